//! Trying again when another process of the same agent was faster: the store refused, and nothing has changed.

use crate::{DelegationsError, GroupError, SendError, StateError, StatusError, SyncError, limits};

/// An error that may say so.
pub(crate) trait MayConflict {
    fn is_conflict(&self) -> bool;
}

macro_rules! may_conflict {
    ($($error:ident),+) => {
        $(impl MayConflict for $error {
            fn is_conflict(&self) -> bool {
                matches!(self, Self::State(error) if error.is_conflict())
            }
        })+
    };
}

may_conflict!(DelegationsError, GroupError, SendError, StatusError, SyncError);

impl MayConflict for StateError {
    fn is_conflict(&self) -> bool {
        Self::is_conflict(self)
    }
}

/// Makes an attempt, again while it meets a conflict, and a limited number of times.
pub(crate) async fn retry_conflicts<T, E: MayConflict, A: Future<Output = Result<T, E>>>(
    attempt: impl Fn() -> A,
) -> Result<T, E> {
    let mut result = attempt().await;
    for _ in 0..limits::CONFLICT_RETRIES {
        match &result {
            Err(error) if error.is_conflict() => result = attempt().await,
            _ => break,
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use sealpost_protocol::{MessageId, Timestamp};

    use super::*;
    use crate::{
        Agent, Content, Outgoing, Payload, StateError,
        store::{CommitError, StoreAccessError},
    };

    async fn attempts_that_meet(conflicts: usize) -> (Result<usize, SyncError>, usize) {
        let made = Cell::new(0);
        let result = retry_conflicts(|| async {
            made.set(made.get() + 1);
            let conflict = StateError::from(StoreAccessError::from(CommitError::Conflict));
            if made.get() > conflicts { Ok(made.get()) } else { Err(SyncError::from(conflict)) }
        });
        (result.await, made.get())
    }

    #[test]
    fn every_call_that_tries_again_may_run_in_a_task_of_its_own() {
        fn may_be_spawned<T: Future + Send>(_call: impl FnOnce(&'static Agent) -> T) {}
        may_be_spawned(|agent| agent.sync(Duration::ZERO));
        may_be_spawned(Agent::give_receipts);
        may_be_spawned(|agent| agent.take(&[]));
        may_be_spawned(|agent| agent.unread(None, 1));
        may_be_spawned(|agent| agent.status(MessageId::new(Timestamp::from_millis(0), [0; 10])));
        may_be_spawned(async |agent| {
            let content = Content::text(String::new()).unwrap();
            agent.send(Outgoing::to([], Payload::new(content))).await.map(drop)
        });
    }

    #[tokio::test]
    async fn conflicts_are_tried_again_a_limited_number_of_times_and_nothing_else_is() {
        assert!(matches!(attempts_that_meet(3).await, (Ok(4), 4)));
        let (result, made) = attempts_that_meet(usize::MAX).await;
        assert!(result.is_err_and(|error| error.is_conflict()) && made == limits::CONFLICT_RETRIES + 1);
        let made = Cell::new(0);
        let failed: Result<(), _> = retry_conflicts(|| async {
            made.set(made.get() + 1);
            Err(SyncError::Countersignature)
        })
        .await;
        assert!(failed.is_err() && made.get() == 1);
    }
}
