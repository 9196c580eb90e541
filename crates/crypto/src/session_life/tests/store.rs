//! What an agent stores in this world, and a backup would hold. Sessions and keys lie in it as bytes alone, so that every
//! step is a restart.

use std::collections::{BTreeMap, HashMap, HashSet};

use sealpost_protocol::{
    Attempt, Header, HeaderHash, KemPrekeyKind, KeyId, MessageId, MessageRef, Opening, PartHash, PrekeyKind, Timestamp,
    limits as wire,
};

use super::witness::{SealedIn, Seen};
use crate::{
    LastResortKemPrekey, OneTimeCurvePrekey, OneTimeKemPrekey, PrivatePrekey, ResponderKemKey, ResponderKeys,
    SecretBytes, SeenManifest, Session, SessionId, SessionStanding, SignedPrekey, limits, prekeys::Kind,
    sessions_to_erase,
};

/// What the relay says of a message, or a recipient's receipt through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    Delivered,
    Evicted,
    Expired,
    Refused(sealpost_protocol::RefusalReason),
}

/// A message as its sender remembers it.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) header: Header,
    pub(super) attempt: Attempt,
    /// The session of that attempt; none while it is not sealed.
    pub(super) session: Option<SessionId>,
    pub(super) outcome: Option<Status>,
}

/// A message as its recipient remembers it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) header: HeaderHash,
    pub(super) part: PartHash,
    pub(super) verdict: Status,
}

/// A private key, and until when it is kept.
#[derive(Clone, PartialEq)]
pub(super) struct KeptKey {
    pub(super) key: SecretBytes,
    pub(super) until: Option<Timestamp>,
}

pub(super) type KeyName = (PrekeyKind, KeyId);

#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) sessions: Vec<(SecretBytes, SessionStanding)>,
    pub(super) keys: BTreeMap<KeyName, KeptKey>,
    pub(super) manifest_version: u64,
    pub(super) manifest_made: Timestamp,
    /// The peer's manifest that was seen last.
    pub(super) manifest_of_peer: Option<SeenManifest>,
    pub(super) receipt_batch: u64,
    pub(super) sent: BTreeMap<MessageId, Sent>,
    pub(super) inbox: HashMap<MessageRef, Known>,
    pub(super) sealed: HashSet<PartHash>,
    /// For the witness: no agent keeps these.
    pub(super) received: HashSet<MessageRef>,
    pub(super) seen: HashMap<SessionId, Seen>,
    pub(super) sealed_in: HashMap<SessionId, SealedIn>,
}

/// The private keys that an opening names, as far as they are there.
pub(super) struct NamedKeys {
    signed: Option<SignedPrekey>,
    curve: Option<OneTimeCurvePrekey>,
    kem: Option<OneTimeKemPrekey>,
    last_resort: Option<LastResortKemPrekey>,
}

/// What an opening names.
pub(super) fn names_in(opening: &Opening) -> Vec<KeyName> {
    let kem = opening.kem.as_ref().map(|kem| match kem.kind {
        KemPrekeyKind::OneTime => (PrekeyKind::OneTimeKem, kem.id),
        KemPrekeyKind::LastResort => (PrekeyKind::LastResortKem, kem.id),
    });
    let curve = opening.one_time_curve.map(|id| (PrekeyKind::OneTimeCurve, id));
    [(PrekeyKind::Signed, opening.signed_prekey)].into_iter().chain(curve).chain(kem).collect()
}

impl Store {
    pub(super) fn keep<K: Kind>(&mut self, key: &PrivatePrekey<K>, until: Option<Timestamp>) {
        self.keys.insert((K::KIND, key.id()), KeptKey { key: key.encode(), until });
    }

    /// How many private keys of a kind there are.
    pub(super) fn count(&self, kind: PrekeyKind) -> usize {
        self.keys.keys().filter(|(other, _)| *other == kind).count()
    }

    /// The keys that an opening names; none if one of them is missing.
    pub(super) fn keys_of(&self, opening: &Opening) -> Option<NamedKeys> {
        let names = names_in(opening);
        if !names.iter().all(|name| self.keys.contains_key(name)) {
            return None;
        }
        Some(NamedKeys {
            signed: self.named(&names),
            curve: self.named(&names),
            kem: self.named(&names),
            last_resort: self.named(&names),
        })
    }

    fn named<K: Kind>(&self, names: &[KeyName]) -> Option<PrivatePrekey<K>> {
        let name = names.iter().find(|(kind, _)| *kind == K::KIND)?;
        Some(PrivatePrekey::decode(&self.keys[name].key).unwrap())
    }

    /// Erases the one-time keys that an opening named.
    pub(super) fn use_up(&mut self, opening: &Opening) {
        for name in names_in(opening) {
            if matches!(name.0, PrekeyKind::OneTimeCurve | PrekeyKind::OneTimeKem) {
                self.keys.remove(&name);
            }
        }
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Session> {
        let (stored, _) = self.sessions.iter().find(|(_, standing)| standing.id == id)?;
        Some(Session::decode(stored).unwrap())
    }

    /// The session that sends.
    pub(super) fn sending(&self) -> Option<(Session, SessionStanding)> {
        let (stored, standing) = self.sessions.iter().find(|(_, standing)| standing.sends)?;
        Some((Session::decode(stored).unwrap(), *standing))
    }

    /// A session has moved.
    pub(super) fn save(&mut self, session: &Session, now: Timestamp) {
        let place = self.sessions.iter_mut().find(|(_, standing)| standing.id == session.id());
        let (stored, standing) = place.unwrap();
        assert!(session.skipped_keys() <= limits::SKIPPED_KEYS);
        (*stored, standing.used) = (session.encode(), now);
    }

    /// Nothing is sealed in it any more.
    pub(super) fn retire(&mut self, id: SessionId) {
        let (stored, standing) = self.sessions.iter_mut().find(|(_, standing)| standing.id == id).unwrap();
        let mut session = Session::decode(stored).unwrap();
        session.retire();
        (*stored, standing.sends) = (session.encode(), false);
    }

    /// A session joins; if it sends, no other does. Returns which others are erased for it.
    pub(super) fn join(&mut self, session: &Session, sends: bool, now: Timestamp) -> Vec<SessionId> {
        if sends {
            self.sessions.iter_mut().for_each(|(_, standing)| standing.sends = false);
        }
        self.sessions.push((session.encode(), SessionStanding { id: session.id(), sends, used: now }));
        self.tidy(now)
    }

    /// Erases what is not kept any longer, and says which sessions.
    pub(super) fn tidy(&mut self, now: Timestamp) -> Vec<SessionId> {
        let standings: Vec<SessionStanding> = self.sessions.iter().map(|(_, standing)| *standing).collect();
        let erased = sessions_to_erase(&standings, now);
        self.sessions.retain(|(_, standing)| !erased.contains(&standing.id));
        assert!(self.sessions.iter().filter(|(_, standing)| standing.sends).count() <= 1);
        assert!(self.sessions.len() <= limits::RECEIVING_SESSIONS + 1);
        for (stored, _) in &mut self.sessions {
            let mut session = Session::decode(stored).unwrap();
            if session.age(now) {
                *stored = session.encode();
            }
        }
        self.inbox.retain(|message, _| now.since(message.id.timestamp()) <= wire::REMEMBERED);
        erased
    }

    /// Erases the keys that no honest opening can name any more, and says which.
    pub(super) fn erase_old_keys(&mut self, now: Timestamp) -> Vec<KeyName> {
        let is_old = |kept: &KeptKey| kept.until.is_some_and(|until| until <= now);
        let old: Vec<KeyName> = self.keys.iter().filter(|(_, kept)| is_old(kept)).map(|(name, _)| *name).collect();
        self.keys.retain(|_, kept| !is_old(kept));
        old
    }

    /// All that a message can move, but the memory of names.
    pub(super) fn moves(&self) -> (&[(SecretBytes, SessionStanding)], &BTreeMap<KeyName, KeptKey>) {
        (&self.sessions, &self.keys)
    }

    pub(super) fn unsettled(&self) -> impl Iterator<Item = MessageId> {
        self.sent.iter().filter(|(_, sent)| sent.outcome.is_none()).map(|(message, _)| *message)
    }
}

impl NamedKeys {
    pub(super) fn lend<'a>(&'a self, suites: &'a [sealpost_protocol::Suite]) -> ResponderKeys<'a> {
        let last_resort = || self.last_resort.as_ref().map(ResponderKemKey::LastResort);
        ResponderKeys {
            suites,
            signed_prekey: self.signed.as_ref().unwrap(),
            one_time_curve: self.curve.as_ref(),
            kem: self.kem.as_ref().map(ResponderKemKey::OneTime).or_else(last_resort),
        }
    }
}
