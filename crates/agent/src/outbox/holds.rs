//! Which recipients' mail is not tried again just yet: a refusal that may pass is asked about at growing intervals, not in
//! every round. Kept per process; an explicit call tries at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sealpost_protocol::AgentId;
use tokio::time::Instant;

use crate::Backoff;

/// Recipients, each with its pauses and when the present one ends.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<HashMap<AgentId, (Backoff, Instant)>>);

impl Holds {
    /// Whether mail to one of `recipients` pauses.
    pub(crate) fn hold(&self, recipients: &[AgentId]) -> bool {
        let (holds, now) = (self.lock(), Instant::now());
        recipients.iter().any(|recipient| holds.get(recipient).is_some_and(|(_, until)| *until > now))
    }

    /// After a refusal: longer than the last time.
    pub(crate) fn add(&self, recipients: &[AgentId], random: u32) {
        let (mut holds, now) = (self.lock(), Instant::now());
        for recipient in recipients {
            let (backoff, until) = holds.entry(*recipient).or_insert_with(|| (Backoff::default(), now));
            *until = now + backoff.pause(random);
        }
    }

    /// After a success.
    pub(crate) fn remove(&self, recipients: &[AgentId]) {
        let mut holds = self.lock();
        for recipient in recipients {
            holds.remove(recipient);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, (Backoff, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn mail_to_one_recipient_pauses_for_longer_each_time_and_no_one_elses_does() {
        let (bob, carol) = (AgentId::from_array([1; 32]), AgentId::from_array([2; 32]));
        let holds = Holds::default();
        let mut paused = Vec::new();
        for _ in 0..4 {
            holds.add(&[bob], u32::MAX);
            let begun = Instant::now();
            while holds.hold(&[carol, bob]) {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
            paused.push(begun.elapsed());
            assert!(!holds.hold(&[carol]));
        }
        assert!(paused.is_sorted_by(|a, b| a < b), "{paused:?}");
        holds.remove(&[bob]);
        holds.add(&[bob], u32::MAX);
        assert!(holds.hold(&[bob]));
        tokio::time::advance(paused[0]).await;
        assert!(!holds.hold(&[bob]), "a success begins anew");
    }
}
