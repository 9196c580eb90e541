//! Background jobs.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::{
    app::App,
    limits,
    operators::{Operations, OperatorError},
    tasks::Tasks,
};

/// Ends what has lived long enough, again and again, until the relay stops. A sweep that fails is tried again.
pub(crate) async fn sweep_expired(app: Arc<App>) {
    let mut ticks = interval(limits::SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while app.tasks.stopping().run_until_cancelled(ticks.tick()).await.is_some() {
        let swept = app.services.expiry.sweep().await;
        app.store_works.send_replace(swept.is_ok());
        match swept {
            Ok(Some(swept)) => tracing::debug!(notified = swept.notified, forgotten = swept.forgotten, "swept"),
            Ok(None) => tracing::debug!("not swept: the wall clock is in doubt"),
            Err(error) => tracing::warn!(%error, source = ?std::error::Error::source(&error), "sweep failed"),
        }
    }
}

/// Looks whether the relay is ready, for all who watch its health: at once when the store fails or works again; what the disk
/// has left nobody tells.
pub(crate) async fn watch_readiness(app: Arc<App>) {
    let mut works = app.store_works.subscribe();
    loop {
        works.mark_unchanged();
        let is_ready = app.ready().await.is_ok();
        app.is_ready.send_if_modified(|known| std::mem::replace(known, is_ready) != is_ready);
        let again = tokio::time::timeout(limits::HEALTH_INTERVAL, works.changed());
        if app.tasks.stopping().run_until_cancelled(again).await.is_none() {
            return;
        }
    }
}

/// Lets go of what crashes have left of contents, a little at a time, until the relay stops.
pub(crate) async fn collect_orphans(operations: Operations, tasks: Tasks) {
    let mut ticks = interval_at(Instant::now() + limits::COLLECTION_DELAY, limits::COLLECTION_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while tasks.stopping().run_until_cancelled(ticks.tick()).await.is_some() {
        let all = collect_all(&operations);
        match tasks.stopping().run_until_cancelled(all).await {
            Some(Ok(0)) | None => {}
            Some(Ok(blocks)) => tracing::info!(blocks, "what a crash had left over was let go of"),
            Some(Err(error)) => {
                tracing::warn!(%error, source = ?std::error::Error::source(&error), "collection failed")
            }
        }
    }
}

async fn collect_all(operations: &Operations) -> Result<u64, OperatorError> {
    let mut blocks = 0;
    while let Some(found) = operations.collect_some(limits::COLLECTION_PAUSE).await? {
        blocks += found.collected;
    }
    Ok(blocks)
}
