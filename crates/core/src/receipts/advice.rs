//! How often an operator is told that receipts are further on than the ledger. Any agent can make them so, as often as it likes;
//! what is worth knowing is whose they are, and whether they are many.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use sealpost_protocol::{AgentId, Timestamp};

use crate::limits;

/// Whose receipts were told of in the present span of time.
#[derive(Debug, Default)]
pub(crate) struct Advice(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    since: Option<Timestamp>,
    agents: HashSet<AgentId>,
    is_full: bool,
}

/// What an operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saying {
    /// Whose receipts they are.
    Of(AgentId),
    /// That there are more than are named.
    OfMany,
    /// Nothing: it was told already.
    Nothing,
}

impl Advice {
    /// What to say at `now` of receipts of an agent.
    pub(crate) fn on(&self, agent: AgentId, now: Timestamp) -> Saying {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins anew, too.
        let is_fresh = told.since.is_some_and(|since| since <= now && now.since(since) < limits::ADVICE_WINDOW);
        if !is_fresh {
            *told = Told { since: Some(now), ..Told::default() };
        }
        if told.agents.contains(&agent) || told.is_full {
            return Saying::Nothing;
        }
        if told.agents.len() == limits::ADVISED_AGENTS {
            told.is_full = true;
            return Saying::OfMany;
        }
        told.agents.insert(agent);
        Saying::Of(agent)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn agent(number: usize) -> AgentId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        AgentId::from_array(id)
    }

    #[test]
    fn an_agent_is_told_of_once_in_an_hour_and_so_are_many() {
        let (advice, begin) = (Advice::default(), Timestamp::from_millis(1_000_000));
        let said = |number, now| advice.on(agent(number), now);
        for attempt in 0..1_000 {
            let expected = if attempt == 0 { Saying::Of(agent(1)) } else { Saying::Nothing };
            assert_eq!(said(1, begin.saturating_add(Duration::from_secs(attempt))), expected);
        }
        let named = (2..100_000).filter(|number| matches!(said(*number, begin), Saying::Of(_))).count();
        assert_eq!(named, limits::ADVISED_AGENTS - 1, "and no more are kept");
        assert_eq!(said(100_000, begin), Saying::Nothing, "that there are many was said");
        let later = begin.saturating_add(limits::ADVICE_WINDOW);
        assert_eq!((said(1, later), said(1, later)), (Saying::Of(agent(1)), Saying::Nothing));
        let set_back = begin.saturating_sub(Duration::from_secs(60));
        assert_eq!(said(1, set_back), Saying::Of(agent(1)));
    }

    #[test]
    fn that_there_are_many_is_said_once() {
        let (advice, now) = (Advice::default(), Timestamp::from_millis(5));
        let many = (0..3 * limits::ADVISED_AGENTS).filter(|number| advice.on(agent(*number), now) == Saying::OfMany);
        assert_eq!(many.count(), 1);
    }
}
