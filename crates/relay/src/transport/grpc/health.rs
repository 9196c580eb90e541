//! gRPC health: the same answer as `/readyz`, asked for or watched.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, stream};
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server};

use crate::app::App;

/// The health of the relay as a whole; its services have none of their own.
pub(super) struct Health(pub(super) Arc<App>);

type Watch = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("service not registered"));
        }
        Ok(Response::new(response(status_of(self.0.ready().await.is_ok()))))
    }

    type WatchStream = Watch;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        if request.get_ref().service.is_empty() {
            return Ok(Response::new(Box::pin(watch(Arc::clone(&self.0)))));
        }
        // The protocol's answer to a watch over what is not known: it may come to be.
        let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]);
        Ok(Response::new(Box::pin(unknown)))
    }
}

fn status_of(is_ready: bool) -> ServingStatus {
    if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// What it is now, and each change that the relay sees, until the relay stops. All watches share one look: anyone may have
/// one.
fn watch(app: Arc<App>) -> impl Stream<Item = Result<HealthCheckResponse, Status>> {
    let changes = app.is_ready.subscribe();
    stream::unfold((app, changes, None), async |(app, mut changes, last)| {
        loop {
            let now = if last.is_none() { app.ready().await.is_ok() } else { *changes.borrow_and_update() };
            if last != Some(now) {
                return Some((Ok(response(status_of(now))), (app, changes, Some(now))));
            }
            app.tasks.stopping().run_until_cancelled(changes.changed()).await?.ok()?;
        }
    })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::time::Instant;
    use tonic_health::pb::health_server::Health as _;

    use super::*;
    use crate::{
        app::tests::{Disk, app_on},
        jobs, limits,
    };

    async fn asked(health: &Health) -> ServingStatus {
        health.check(Request::new(HealthCheckRequest::default())).await.unwrap().into_inner().status()
    }

    #[tokio::test]
    async fn a_relay_without_room_or_with_a_failed_store_is_not_serving_by_any_way_of_asking() {
        let disk = Disk::default();
        let app = Arc::new(app_on(disk.clone()));
        let health = Health(Arc::clone(&app));
        for (room, works) in [(true, true), (false, true), (true, false), (false, false), (true, true)] {
            disk.set_room(room);
            app.store_works.send_replace(works);
            assert_eq!(asked(&health).await == ServingStatus::Serving, room && works);
            assert_eq!(app.ready().await.is_ok(), room && works);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_tells_each_change_and_ends_when_the_relay_stops() {
        let disk = Disk::default();
        let app = Arc::new(app_on(disk.clone()));
        app.tasks.spawn(jobs::watch_readiness(Arc::clone(&app)));
        let mut watch = Box::pin(watch(Arc::clone(&app)));
        let mut next = async || watch.next().await.map(|answer| answer.unwrap().status());
        assert_eq!(next().await, Some(ServingStatus::Serving));
        disk.set_room(false);
        let begin = Instant::now();
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        assert!(begin.elapsed() <= limits::HEALTH_INTERVAL);
        disk.set_room(true);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        let begin = Instant::now();
        app.store_works.send_replace(false);
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        assert!(begin.elapsed().is_zero(), "it is woken");
        app.tasks.stop().await;
        assert_eq!(next().await, None);
    }
}
