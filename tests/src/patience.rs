//! Bounded waits: a test that waits for ever tells nobody what it waited for.

use std::time::Duration;

/// How long anything may take that takes milliseconds when all is well: a busy machine with two cores stays below it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits `event` for at most [`PATIENCE`].
///
/// # Panics
/// When it does not happen in time; the message is `what`.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    within_time(PATIENCE, what, event).await
}

/// Awaits `event` for at most `patience`: for what takes long when all is well.
///
/// # Panics
/// As [`within`].
pub async fn within_time<T>(patience: Duration, what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(patience, event).await {
        Ok(value) => value,
        Err(_) => panic!("within {} s this did not happen: {what}", patience.as_secs()),
    }
}
