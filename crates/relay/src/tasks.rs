//! The relay's running tasks, and how they end: asked to first, made to when their grace is over.

use tokio::task::JoinHandle;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::limits;

/// Everything that runs. Clones are handles to the same tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
    dropping: CancellationToken,
}

impl Tasks {
    /// Runs a task that ends by itself when the relay stops, and is dropped if it does not.
    pub(crate) fn spawn<F: Future<Output: Send> + Send + 'static>(&self, task: F) {
        self.tracker.spawn(self.dropping.clone().run_until_cancelled_owned(task));
    }

    /// Runs a task that is never dropped before its end.
    pub(crate) fn spawn_whole<F: Future<Output: Send> + Send + 'static>(&self, task: F) -> JoinHandle<F::Output> {
        self.tracker.spawn(task)
    }

    /// While this is held, the relay's end waits for its holder, though another has spawned it.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.tracker.token()
    }

    /// Cancelled when the relay stops: what is open ends then.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Cancelled when the grace is over: what has not ended is dropped then.
    pub(crate) fn dropping(&self) -> &CancellationToken {
        &self.dropping
    }

    /// Ends all tasks; none is left when this returns.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.tracker.close();
        if tokio::time::timeout(limits::SHUTDOWN_GRACE, self.tracker.wait()).await.is_err() {
            tracing::warn!(open = self.tracker.len(), "requests cut off by the relay's end");
            self.dropping.cancel();
            self.tracker.wait().await;
        }
    }
}

/// HTTP/2 runs each request as a task of its own.
impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, time::Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_that_end_by_themselves_are_waited_for() {
        let tasks = Tasks::default();
        let (done, is_done) = oneshot::channel();
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move {
            stopping.cancelled().await;
            done.send(()).unwrap();
        });
        let begin = Instant::now();
        tasks.stop().await;
        assert!(is_done.await.is_ok());
        assert!(begin.elapsed() < limits::SHUTDOWN_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_dropped_when_its_grace_is_over() {
        let tasks = Tasks::default();
        tasks.spawn(std::future::pending::<()>());
        let begin = Instant::now();
        tasks.stop().await;
        assert!(begin.elapsed() >= limits::SHUTDOWN_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_task_comes_to_its_end_however_long_it_takes() {
        let tasks = Tasks::default();
        let work = tasks.spawn_whole(tokio::time::sleep(3 * limits::SHUTDOWN_GRACE));
        tasks.stop().await;
        assert!(work.is_finished());
    }
}
