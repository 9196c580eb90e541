//! Bounded waits: a test that waits for ever tells nobody what it waited for.

use std::time::Duration;

/// How long anything may take that takes milliseconds when all is well: a busy machine with two cores stays below it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits `event` for at most [`PATIENCE`].
///
/// # Panics
/// When it does not happen in time; the message is `what`.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("within {} s this did not happen: {what}", PATIENCE.as_secs()),
    }
}
