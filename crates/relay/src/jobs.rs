//! Background jobs.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::{app::App, limits};

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
