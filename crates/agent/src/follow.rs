//! Receiving on and on: round after round, with pauses after failures that pass.

use std::{mem, time::Duration};

use tokio::time::Instant;

use crate::{Agent, Backoff, SyncError, Synced, limits, sync::Damage};

/// Rounds without end. What each brought is in the inbox, and stays there until it is taken.
pub struct Follower<'a> {
    agent: &'a Agent,
    backoff: Backoff,
    /// Before the next round.
    pause: Duration,
    /// How long the next round waits for mail.
    wait: Duration,
    damage: Damage,
}

/// What became of a round.
#[derive(Debug)]
pub enum Round {
    /// It went through.
    Synced(Synced),
    /// It did not; the next one is tried after a pause. What came before the failure is in the inbox.
    Interrupted {
        /// Why: the relay does not answer or asks for patience, or something stored here is damaged, which keeps nobody
        /// else's mail.
        error: SyncError,
        /// How long the next call pauses first.
        pause: Duration,
    },
}

impl Agent {
    /// Receives on and on; each call of [`Follower::next`] does a round.
    #[must_use]
    pub fn follow(&self) -> Follower<'_> {
        Follower {
            agent: self,
            backoff: Backoff::default(),
            pause: Duration::ZERO,
            wait: Duration::ZERO,
            damage: Damage::default(),
        }
    }
}

impl Follower<'_> {
    /// Does one round that ends with the first page, after the pause that is due, waiting for mail if there was none.
    ///
    /// May be dropped at any time; the next call goes on.
    ///
    /// # Errors
    /// [`SyncError`], if trying again cannot help. After one that [is a replaced key](SyncError::is_key_replaced) the agent
    /// can be opened anew.
    pub async fn next(&mut self) -> Result<Round, SyncError> {
        tokio::time::sleep(self.pause).await;
        self.pause = Duration::ZERO;
        let begun = Instant::now();
        match self.agent.sync_past_damage(self.wait, &mut self.damage).await {
            Ok(synced) if synced.more => {
                self.wait = Duration::ZERO;
                Ok(Round::Synced(synced))
            }
            Ok(synced) => match mem::take(&mut self.damage).told_after(synced) {
                Ok(synced) => {
                    self.backoff.reset();
                    // A relay that has nothing new and does not wait either must not be asked without pause.
                    if synced.received == 0 && begun.elapsed() < self.wait {
                        self.pause = limits::BACKOFF.0;
                    }
                    self.wait = limits::RECEIVE_WAIT;
                    Ok(Round::Synced(synced))
                }
                Err(error) if error.is_key_replaced() => Err(error),
                Err(error) => self.interrupted(error),
            },
            Err(error) if error.is_passing() => self.interrupted(error),
            Err(error) => Err(error),
        }
    }

    fn interrupted(&mut self, error: SyncError) -> Result<Round, SyncError> {
        self.pause = self.backoff.pause(self.agent.random()?);
        Ok(Round::Interrupted { error, pause: self.pause })
    }
}
