//! A thread that does jobs in groups: those that wait together are done together, and share what the group costs.
//!
//! Kept: jobs are done in the order they came, and each is dropped or answered. The thread outlives a panic of its work, and
//! ends when the last sender is gone and the queue is empty.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use sealpost_sqlite::JoinOnDrop;
use tokio::sync::mpsc;

use crate::limits;

/// The callers' end. Dropping it lets the thread finish what is queued and waits for that.
pub(super) struct Worker<J> {
    // Fields drop in this order: closing the queue is what the thread, joined next, waits for.
    queue: mpsc::Sender<J>,
    _thread: JoinOnDrop,
}

impl<J: Send + 'static> Worker<J> {
    /// Starts a thread that gives groups of jobs to `work`, which takes them out of their list.
    pub(super) fn start(name: &str, mut work: impl FnMut(&mut Vec<J>) + Send + 'static) -> io::Result<Self> {
        let (queue, mut jobs) = mpsc::channel(limits::QUEUE);
        let run = move || {
            let mut group = Vec::with_capacity(limits::GROUP);
            while jobs.blocking_recv_many(&mut group, limits::GROUP) > 0 {
                // Unwind safe: what a group leaves behind is what a crash would, and the next one copes with that.
                if catch_unwind(AssertUnwindSafe(|| work(&mut group))).is_err() {
                    tracing::error!("a group of jobs of the block store panicked");
                }
                group.clear();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { queue, _thread: JoinOnDrop::new(thread) })
    }

    /// Queues a job, waiting for room. A job that is not taken is dropped.
    pub(super) async fn give(&self, job: J) {
        // Whoever waits for its answer sees that it was dropped.
        _ = self.queue.send(job).await;
    }
}
