//! Ctrl-C, and a service manager's request to end: a command that is interrupted says what it leaves, and its exit code is
//! [`crate::failure::ExitCode::Interrupted`].

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Waits for either.
pub(crate) async fn interrupted() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::other(error.to_string()))?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map_err(|error| Failure::other(error.to_string())),
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits for either; where neither can be heard, for ever.
pub(crate) async fn heard() {
    if let Err(failure) = interrupted().await {
        tracing::warn!(error = failure.message(), "interrupts are not heard");
        std::future::pending::<()>().await;
    }
}

/// Does `work`, unless it is interrupted: then it is dropped, and `told` is what that means.
pub(crate) async fn unless_interrupted<T>(
    told: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        // Heard before anything is begun.
        biased;
        () = heard() => Err(Failure::interrupted(format!("interrupted: {told}"))),
        done = work => done,
    }
}
