//! Ctrl-C, and a service manager's request to end: a command that is interrupted says what it leaves, and its exit code is
//! [`crate::failure::ExitCode::Interrupted`].

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, MutexGuard},
};

use crate::failure::Failure;

/// Held over what must not be cut in two.
static WHOLE: Mutex<()> = Mutex::const_new(());

/// Puts interrupts off until it is dropped: what was shown meanwhile is noted as shown. It is held for moments.
pub(crate) async fn put_off() -> MutexGuard<'static, ()> {
    WHOLE.lock().await
}

/// Both, heard from when it is made.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(|error| Failure::other(error.to_string()));
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    /// Waits for either.
    pub(crate) async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits for either.
pub(crate) async fn interrupted() -> Result<(), Failure> {
    Interrupts::listen()?.heard().await;
    Ok(())
}

/// Waits for either, and for the end of what must not be cut in two; where neither can be heard, for ever.
pub(crate) async fn heard() {
    if let Err(failure) = interrupted().await {
        tracing::warn!(error = failure.message(), "interrupts are not heard");
        std::future::pending::<()>().await;
    }
    drop(put_off().await);
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
