//! A TCP proxy between agents and a relay that can keep the relay's answers back, damage them and cut connections: a request
//! that arrived, and whose answer never did, is made with it.

mod frames;

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use self::frames::Frames;

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Where connections lead; nowhere to begin with.
    upstream: Option<SocketAddr>,
    /// Whether answers wait here.
    holds_answers: bool,
    /// How often all connections were cut.
    cuts: u64,
    /// What happens once clients have sent so many more bytes.
    trap: Option<(usize, Fault)>,
    /// How many more bytes may pass, in both directions together.
    allowance: Option<u64>,
    /// How many frames of answers are damaged, once so many bytes of answers have passed in all.
    damage: Option<(u64, usize)>,
    passed: Passed,
}

/// What has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes to the relay.
    pub requests: u64,
    /// Bytes from it.
    pub answers: u64,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    HoldAnswers,
    Cut,
}

impl Proxy {
    /// Listens on a free port, so that a relay can be told of the origin before it starts.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(State::default()));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, accepting }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads new connections to `upstream`.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.state.send_modify(|state| state.upstream = Some(upstream));
    }

    /// Lets requests through and keeps their answers, until [`Proxy::cut`].
    pub fn hold_answers(&self) {
        self.state.send_modify(|state| state.holds_answers = true);
    }

    /// [`Proxy::hold_answers`], from when clients have sent this many more bytes: in the middle of a large request.
    pub fn hold_answers_after(&self, bytes: usize) {
        self.state.send_modify(|state| state.trap = Some((bytes, Fault::HoldAnswers)));
    }

    /// Lets so many more bytes pass, in both directions together, and then none until [`Proxy::cut`].
    pub fn stall_after(&self, bytes: u64) {
        self.state.send_modify(|state| state.allowance = Some(bytes));
    }

    /// Flips a bit in the middle of each of so many large frames of answers, once so many more bytes of answers have passed.
    /// Only bodies make frames so large.
    pub fn damage_answers_after(&self, bytes: u64, frames: usize) {
        self.state.send_modify(|state| state.damage = Some((state.passed.answers + bytes, frames)));
    }

    /// Returns when nothing passes any more.
    ///
    /// # Panics
    /// Never: the proxy outlives the call.
    pub async fn stalled(&self) {
        self.state.subscribe().wait_for(|state| state.allowance == Some(0)).await.unwrap();
    }

    /// What has passed so far.
    #[must_use]
    pub fn passed(&self) -> Passed {
        self.state.borrow().passed
    }

    /// Ends every connection; what was held back is lost. New connections work as ever.
    pub fn cut(&self) {
        self.state.send_modify(State::cut);
    }

    /// [`Proxy::cut`], when clients have sent this many more bytes, the last of which do not arrive.
    pub fn cut_after(&self, bytes: usize) {
        self.state.send_modify(|state| state.trap = Some((bytes, Fault::Cut)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl State {
    fn cut(&mut self) {
        *self = Self { holds_answers: false, cuts: self.cuts + 1, trap: None, allowance: None, ..*self };
    }

    /// Takes bytes from what may pass; returns whether they may.
    fn allow(&mut self, bytes: Passed) -> bool {
        let Passed { requests, answers } = bytes;
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_sub(requests + answers);
            if *allowance == 0 {
                return false;
            }
        }
        self.passed = Passed { requests: self.passed.requests + requests, answers: self.passed.answers + answers };
        true
    }

    /// Whether the next large frame of answers is damaged.
    fn damages(&mut self) -> bool {
        match &mut self.damage {
            Some((from, frames)) if self.passed.answers >= *from && *frames > 0 => {
                *frames -= 1;
                true
            }
            _ => false,
        }
    }

    /// Counts bytes on their way to the relay; the trap may close.
    fn count_request(&mut self, bytes: usize) -> bool {
        let Some((left, fault)) = self.trap else { return false };
        match (left.checked_sub(bytes).filter(|left| *left > 0), fault) {
            (Some(left), fault) => self.trap = Some((left, fault)),
            (None, Fault::HoldAnswers) => (self.holds_answers, self.trap) = (true, None),
            (None, Fault::Cut) => self.cut(),
        }
        true
    }
}

async fn accept(listener: TcpListener, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, Arc::clone(&state)));
    }
}

async fn connect(client: TcpStream, state: Arc<watch::Sender<State>>) {
    let State { upstream, cuts, .. } = *state.borrow();
    let Some(upstream) = upstream else { return };
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut watching = state.subscribe();
    tokio::select! {
        _ = watching.wait_for(|state| state.cuts != cuts) => {}
        () = pass_requests(from_client, to_server, &state, cuts) => {}
        () = pass_answers(from_server, to_client, &state, cuts) => {}
    }
}

/// Waits until bytes may pass. They never may on a connection that is cut meanwhile.
async fn allow(state: &watch::Sender<State>, bytes: Passed, cuts: u64) -> bool {
    let mut may_pass = false;
    state.send_modify(|state| may_pass = state.allow(bytes));
    if !may_pass {
        let _ = state.subscribe().wait_for(|state| state.cuts != cuts).await;
    }
    may_pass
}

async fn pass_requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &watch::Sender<State>, cuts: u64) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        state.send_if_modified(|state| state.count_request(count));
        let may_pass = allow(state, Passed { requests: count as u64, answers: 0 }, cuts).await;
        if !may_pass || state.borrow().cuts != cuts || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn pass_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &watch::Sender<State>, cuts: u64) {
    let mut watching = state.subscribe();
    let mut frames = Frames::default();
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        for middle in frames.middles(&bytes[..count]) {
            let mut is_damaged = false;
            state.send_if_modified(|state| {
                is_damaged = state.damages();
                is_damaged
            });
            bytes[middle] ^= u8::from(is_damaged);
        }
        // A connection that was cut passes nothing on, whatever it held.
        let may_pass = watching.wait_for(|state| !state.holds_answers || state.cuts != cuts).await;
        let may_pass = may_pass.is_ok_and(|state| state.cuts == cuts);
        let may_pass = may_pass && allow(state, Passed { requests: 0, answers: count as u64 }, cuts).await;
        if !may_pass || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
