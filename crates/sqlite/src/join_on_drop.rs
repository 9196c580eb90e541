//! A thread that is waited for when its owner is dropped.

use std::thread::{self, JoinHandle};

/// A thread whose end is waited for when this is dropped. What makes it end must have happened by then.
#[derive(Debug)]
pub struct JoinOnDrop(Option<JoinHandle<()>>);

impl JoinOnDrop {
    /// Takes the thread over.
    #[must_use]
    pub fn new(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        // A job may hold the last handle: the thread cannot wait for itself, and ends on its own right after.
        if let Some(thread) = self.0.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the store panicked");
        }
    }
}
