//! The sessions of one peer: which of them sends, how long the others are kept, and what a refusal does to them.
//!
//! An agent stores each session with its [`SessionStanding`]. At most one sends; it is never given up for its age
//! alone, for that would drain the one-time keys of a peer that is merely away. The others only receive.

use std::cmp::Reverse;

use sealpost_protocol::{Attempt, RefusalReason, Timestamp};

use crate::{
    limits,
    session::{Role, Session},
    session_ad::SessionId,
};

/// What decides about a session, beside the session itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStanding {
    /// Its name.
    pub id: SessionId,
    /// Whether messages to the peer are sealed in it.
    pub sends: bool,
    /// When a message was last sealed or opened in it.
    pub used: Timestamp,
}

/// Whether the agent sends from now on in the session that its peer has just opened to it. `sending` is the session that
/// it sent in until now, with the time of its last use.
///
/// It does; unless both opened at once, where both keep to the session with the lower id. They did if the agent opened
/// its own and has heard nothing in it, while a message of it may still be on the way: the peer then did not know it.
#[must_use]
pub fn takes_over(opened: &Session, sending: Option<(&Session, Timestamp)>, now: Timestamp) -> bool {
    let Some((own, used)) = sending else { return true };
    let may_be_on_the_way = now.since(used) < limits::RECEIVING_SESSION_LIFE;
    let at_once = own.may_seal() && own.role() == Role::Initiator && !own.is_answered() && may_be_on_the_way;
    !at_once || opened.id() < own.id()
}

/// The sessions to erase of all that there are with a peer: those that only receive, and were not used for
/// [`RECEIVING_SESSION_LIFE`](limits::RECEIVING_SESSION_LIFE) or are not among the
/// [`RECEIVING_SESSIONS`](limits::RECEIVING_SESSIONS) that were used last.
///
/// Ask once per sync, and whenever a session has joined or another one sends.
#[must_use]
pub fn sessions_to_erase(standings: &[SessionStanding], now: Timestamp) -> Vec<SessionId> {
    let mut receiving: Vec<&SessionStanding> = standings.iter().filter(|standing| !standing.sends).collect();
    receiving.sort_by_key(|standing| Reverse(standing.used));
    let in_use = |standing: &SessionStanding| now.since(standing.used) < limits::RECEIVING_SESSION_LIFE;
    let kept = receiving.iter().take(limits::RECEIVING_SESSIONS).take_while(|standing| in_use(standing)).count();
    receiving.into_iter().skip(kept).map(|standing| standing.id).collect()
}

/// A refusal of a message, for which the recipient's signature has verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the recipient says.
    pub reason: RefusalReason,
    /// Which attempt it refuses.
    pub attempt: Attempt,
    /// The session that this attempt was sealed in.
    pub session: SessionId,
}

/// What becomes of a message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Nothing: it has failed for good.
    Failed,
    /// It is sealed anew, as the next attempt, in the session that sends.
    SealAnew,
    /// The session that sends is [retired](Session::retire), and another one opened from a bundle that is claimed for it;
    /// there the message is sealed anew, as the next attempt.
    Renew,
    /// The session that sends is too young to be renewed: ask again at this time.
    Wait(Timestamp),
}

/// Decides about a message that was refused. `sending` is the session that the agent sends in, if there is one.
///
/// The recipient cannot read the session any more if it says so, or if it lacks the session or the prekeys that it opens
/// with; for it may have lost its state. What is refused in a session that sends no more renews nothing: hundreds of
/// messages of one session are refused for one reason.
#[must_use]
pub fn after_refusal(refusal: &Refusal, sending: Option<&Session>, now: Timestamp) -> AfterRefusal {
    let curable = match refusal.reason {
        RefusalReason::Undecryptable | RefusalReason::UnknownPrekey | RefusalReason::UnknownSession => true,
        RefusalReason::Replay | RefusalReason::Policy | RefusalReason::NotMember => false,
    };
    if !curable || refusal.attempt.number() > limits::SEALED_ANEW {
        return AfterRefusal::Failed;
    }
    match sending.filter(|session| session.may_seal()) {
        None => AfterRefusal::Renew,
        Some(session) if session.id() != refusal.session => AfterRefusal::SealAnew,
        Some(session) => {
            let renewable = session.created().saturating_add(limits::SESSION_RENEWAL_INTERVAL);
            if now < renewable { AfterRefusal::Wait(renewable) } else { AfterRefusal::Renew }
        }
    }
}

#[cfg(test)]
mod tests;
