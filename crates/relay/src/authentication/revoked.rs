//! Tokens that ended before their time.

use std::collections::HashMap;

use sealpost_protocol::{AgentId, Timestamp};
use tokio::sync::watch;

use super::{AuthenticationError, Caller, single_use::SingleUse};
use crate::{limits, peer::Peer};

/// Of each agent that has revoked something lately: its tokens that were issued until then are over. What is older than any
/// token is forgotten.
pub(super) struct RevokedTokens {
    until: watch::Sender<HashMap<AgentId, Timestamp>>,
    admitted: SingleUse,
}

impl Default for RevokedTokens {
    fn default() -> Self {
        Self { until: watch::Sender::new(HashMap::new()), admitted: SingleUse::default() }
    }
}

impl RevokedTokens {
    /// Makes sure that there is room for one agent more, of those that come from `peer`.
    pub(super) fn admit(&self, peer: Peer, agent: AgentId, now: Timestamp) -> Result<(), AuthenticationError> {
        let until = now.saturating_add(limits::REVOKED_REMEMBERED);
        self.admitted.use_up(peer, agent.as_bytes(), until, now).map(|_is_new| ())
    }

    /// Ends the tokens of these agents that were issued until these times.
    pub(super) fn end(&self, revoked: impl IntoIterator<Item = (AgentId, Timestamp)>, now: Timestamp) {
        self.until.send_modify(|until| {
            until.retain(|_, at| now.since(*at) <= limits::REVOKED_REMEMBERED);
            for (agent, at) in revoked {
                let known = until.entry(agent).or_insert(at);
                *known = (*known).max(at);
            }
        });
    }

    pub(super) fn include(&self, caller: &Caller) -> bool {
        includes(&self.until.borrow(), caller)
    }

    /// Waits for the end of a caller's token.
    pub(super) async fn wait_for(&self, caller: Caller) {
        let mut until = self.until.subscribe();
        let ended = until.wait_for(|until| includes(until, &caller)).await.is_ok();
        if !ended {
            std::future::pending().await // nobody is left to revoke anything
        }
    }
}

fn includes(until: &HashMap<AgentId, Timestamp>, caller: &Caller) -> bool {
    until.get(&caller.agent()).is_some_and(|at| caller.issued <= *at)
}
