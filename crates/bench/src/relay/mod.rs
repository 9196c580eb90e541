//! The relay against a gRPC echo on its own listener and connections.
//!
//! | figure | is |
//! | --- | --- |
//! | `accepted_per_s` | messages that the relay has durably and has said so, in windows that alternate with those of |
//! | `echo_per_s` | echoes of requests of the same size, through the same connections, before anything of the relay's own |
//! | `fdatasync_per_s` | requests of that size appended to a file on the same disk, each flushed, one after the other |
//! | `p50_us`, `p99_us` | how long a message took from the call to "accepted" |
//!
//! Client and relay share the machine. What is sent was sealed before its window, in sessions that were answered.

mod disk;
mod letters;
mod windows;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sealpost_agent::{RelayAddress, RelayClient};
use sealpost_api::v1;
use sealpost_protocol::encoding::Encode;
use sealpost_relay::{Config, Relay};
use serde::Serialize;
use tokio::runtime::Runtime;

use self::{
    letters::{Agent, Letters},
    windows::{Window, echo, send},
};
use crate::{BenchError, Outcome, folder_in};

/// How long one window is. Long enough for groups to form and a checkpoint to happen, short enough that both figures see
/// the same machine.
const WINDOW: Duration = Duration::from_secs(1);

/// Mailboxes that are written to: each takes 10,000 messages.
const RECIPIENTS: usize = 64;

/// Messages of the first window, which is not counted: how many fit in one is not known yet.
const FIRST: usize = 2_000;

/// The most messages that are sealed beforehand: they are kept in memory.
const MOST: usize = 100_000;

/// The largest content that is measured: it travels in an envelope, and a window of such messages fits in memory.
const MOST_BYTES: usize = 64 << 10;

/// What to measure.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Senders, each with a connection of its own.
    pub clients: usize,
    /// Messages under way at a time, of all clients together.
    pub inflight: usize,
    /// Bytes of content in a message.
    pub size: usize,
    /// How long to measure, both figures together; not counting preparations.
    pub seconds: u64,
    /// Where the relay keeps its data: on the disk to measure.
    pub folder: PathBuf,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct RelayFigures {
    /// Messages accepted per second.
    pub accepted_per_s: f64,
    /// Echoes per second.
    pub echo_per_s: f64,
    /// The first over the second.
    pub accepted_over_echo: f64,
    /// Durable appends per second, one at a time.
    pub fdatasync_per_s: f64,
    /// Half of the messages took at most so many microseconds.
    pub p50_us: u64,
    /// Ninety-nine of a hundred did.
    pub p99_us: u64,
    /// Messages accepted in all.
    pub accepted: usize,
    /// Bytes of one request, as the echo has them.
    pub request_bytes: usize,
    /// As asked for.
    pub clients: usize,
    /// As asked for.
    pub inflight: usize,
    /// As asked for.
    pub size: usize,
}

impl RelayOptions {
    /// Whether these can be measured.
    ///
    /// # Errors
    /// What is asked for instead.
    pub fn check(&self) -> Result<(), BenchError> {
        if self.clients == 0 || self.inflight < self.clients {
            return Err("at least one of --clients, and as many --inflight as there are clients".into());
        }
        if self.seconds == 0 || self.size > MOST_BYTES {
            return Err(format!("at least one second, and at most {MOST_BYTES} bytes of content").into());
        }
        Ok(())
    }
}

/// Starts a relay with a data directory of its own, measures it, and removes everything.
///
/// # Errors
/// [`BenchError`].
pub async fn measure_relay(options: RelayOptions) -> Result<RelayFigures, BenchError> {
    let RelayOptions { clients, inflight, size, .. } = options;
    options.check()?;
    let folder = folder_in(&options.folder)?;
    // Threads of its own, as a relay has.
    let threads = Runtime::new()?;
    let config = Config {
        data_dir: folder.path().join("relay"),
        listen: "127.0.0.1:0".parse()?,
        echo: true,
        ..Config::default()
    };
    let relay = threads.spawn(Relay::start(config)).await??;
    let figures = measure(&options, &relay, folder.path()).await;
    threads.spawn(relay.stop()).await?;
    threads.shutdown_background();
    let (accepted, echoed, fdatasync_per_s, request_bytes) = figures?;
    let (accepted_per_s, echo_per_s) = (accepted.per_second(), echoed.per_second());
    Ok(RelayFigures {
        accepted_per_s,
        echo_per_s,
        accepted_over_echo: accepted_per_s / echo_per_s,
        fdatasync_per_s,
        p50_us: accepted.latency_us(0.50),
        p99_us: accepted.latency_us(0.99),
        accepted: accepted.count(),
        request_bytes,
        clients,
        inflight,
        size,
    })
}

async fn measure(options: &RelayOptions, relay: &Relay, folder: &Path) -> Outcome<(Window, Window, f64, usize)> {
    let origin = format!("http://{}", relay.address());
    let senders = agents(options.clients)?;
    let recipients = agents(RECIPIENTS)?;
    for recipient in &recipients {
        let request = v1::UploadPrekeysRequest { manifest: recipient.manifest().to_bytes(), ..Default::default() };
        client(&origin, recipient)?.upload_prekeys(request).await?;
    }
    let connections: Vec<_> =
        senders.iter().map(|sender| client(&origin, sender).map(Arc::new)).collect::<Outcome<_>>()?;
    let mut letters = Letters::between(senders, recipients, options.size)?;
    let (mut accepted, mut echoed, mut flushes) = (Window::default(), Window::default(), Vec::new());
    let (mut next, mut is_counted) = (FIRST, false);
    let (begun, mut request_bytes) = (Instant::now(), 0);
    while accepted.lasted() + echoed.lasted() < Duration::from_secs(options.seconds) {
        let batches = letters.seal(next)?;
        request_bytes = letters::request_bytes(&batches);
        let sent = send(&connections, batches, options.inflight, WINDOW).await?;
        let mirrored = echo(&connections, request_bytes, options.inflight, WINDOW).await?;
        // Half as many again as went out, so that the next window does not run dry.
        next = (sent.per_second() * WINDOW.as_secs_f64() * 1.5) as usize;
        next = next.clamp(FIRST, MOST);
        if is_counted {
            accepted.add(sent);
            echoed.add(mirrored);
            flushes.push(disk::flushes_per_second(folder, request_bytes)?);
        }
        is_counted = true;
        if begun.elapsed() > Duration::from_secs(10 * options.seconds + 60) {
            return Err("the machine is too slow to measure".into());
        }
    }
    let fdatasync_per_s = flushes.iter().sum::<f64>() / flushes.len().max(1) as f64;
    Ok((accepted, echoed, fdatasync_per_s, request_bytes))
}

fn agents(count: usize) -> Outcome<Vec<Arc<Agent>>> {
    (0..count).map(|_| Agent::new().map(Arc::new)).collect()
}

fn client(origin: &str, agent: &Agent) -> Outcome<RelayClient> {
    let address = RelayAddress { origin: origin.to_owned(), certificates: None };
    Ok(RelayClient::new(&address, None, agent.identity(), agent.clock())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_short_run_has_every_figure_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            RelayOptions { clients: 2, inflight: 4, size: 1_024, seconds: 1, folder: folder.path().to_owned() };
        let figures = measure_relay(options).await.unwrap();
        assert!(figures.accepted > 0 && figures.accepted_per_s > 0.0 && figures.echo_per_s > 0.0, "{figures:?}");
        assert!(figures.fdatasync_per_s > 0.0 && figures.p50_us > 0 && figures.p99_us >= figures.p50_us);
        assert!((1_024..2_048).contains(&figures.request_bytes), "no opening travels: {figures:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_says_nothing_is_refused() {
        for (clients, inflight, size, seconds) in [(0, 1, 1, 1), (2, 1, 1, 1), (1, 1, 1, 0), (1, 1, usize::MAX, 1)] {
            let folder = std::env::temp_dir();
            assert!(measure_relay(RelayOptions { clients, inflight, size, seconds, folder }).await.is_err());
        }
    }
}
