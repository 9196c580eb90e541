//! Windows of time in which as many calls are made as get through.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sealpost_agent::RelayClient;
use sealpost_api::{
    echo::{EchoMessage, echo_client::EchoClient},
    v1,
};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::Outcome;

/// The calls of one window, or of several.
#[derive(Debug, Default)]
pub(super) struct Window {
    latencies: Vec<Duration>,
    lasted: Duration,
}

impl Window {
    pub(super) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.lasted += other.lasted;
    }

    pub(super) fn count(&self) -> usize {
        self.latencies.len()
    }

    pub(super) fn lasted(&self) -> Duration {
        self.lasted
    }

    pub(super) fn per_second(&self) -> f64 {
        self.count() as f64 / self.lasted.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency that so great a share of the calls did not exceed.
    pub(super) fn latency_us(&self, share: f64) -> u64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
        sorted.get(place).map_or(0, |latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))
    }
}

/// One of those who send at the same time through one connection, what is left to be sent shared.
struct Sender {
    connection: Arc<RelayClient>,
    left: Arc<Mutex<Vec<v1::SendRequest>>>,
}

/// Sends what is prepared for each connection, until it is all sent or the time is over.
pub(super) async fn send(
    connections: &[Arc<RelayClient>],
    batches: Vec<Vec<v1::SendRequest>>,
    inflight: usize,
    time: Duration,
) -> Outcome<Window> {
    let senders = connections.iter().zip(batches).flat_map(|(connection, batch)| {
        let left = Arc::new(Mutex::new(batch));
        (0..inflight / connections.len())
            .map(move |_| Sender { connection: Arc::clone(connection), left: Arc::clone(&left) })
    });
    let call = |sender: Arc<Sender>| async move {
        let next = sender.left.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(request) = next else { return Ok(None) };
        let start = Instant::now();
        sender.connection.send(request).await?;
        Ok(Some(start.elapsed()))
    };
    window(senders, time, call).await
}

/// Has as many bytes come back, in as many calls at a time.
pub(super) async fn echo(
    connections: &[Arc<RelayClient>],
    bytes: usize,
    inflight: usize,
    time: Duration,
) -> Outcome<Window> {
    let callers = connections.iter().flat_map(|connection| {
        let client = EchoClient::new(connection.channel());
        (0..inflight / connections.len()).map(move |_| client.clone())
    });
    let call = move |client: Arc<EchoClient<Channel>>| async move {
        let (message, start) = (EchoMessage { payload: vec![0x5a; bytes] }, Instant::now());
        EchoClient::clone(&client).echo(message).await?;
        Ok(Some(start.elapsed()))
    };
    window(callers, time, call).await
}

/// Lets each caller call again and again, until it has nothing more to ask or the time is over.
async fn window<C, F>(
    callers: impl Iterator<Item = C>,
    time: Duration,
    call: impl Fn(Arc<C>) -> F + Clone + Send + 'static,
) -> Outcome<Window>
where
    C: Send + Sync + 'static,
    F: Future<Output = Outcome<Option<Duration>>> + Send,
{
    let start = Instant::now();
    let mut calling = JoinSet::new();
    for caller in callers {
        let (call, caller) = (call.clone(), Arc::new(caller));
        calling.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let Some(latency) = call(Arc::clone(&caller)).await? else { break };
                latencies.push(latency);
            }
            Outcome::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = calling.join_next().await {
        latencies.extend(done??);
    }
    Ok(Window { latencies, lasted: start.elapsed() })
}
