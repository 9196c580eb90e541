//! The authenticated caller.

use sealpost_protocol::AgentId;

/// An agent that a transport has authenticated. Every use case takes one; only authentication makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal {
    agent: AgentId,
}

impl Principal {
    /// States that the caller has shown to be `agent`.
    #[must_use]
    pub fn authenticated(agent: AgentId) -> Self {
        Self { agent }
    }

    /// Who it is.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }
}
