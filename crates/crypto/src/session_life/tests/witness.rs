//! Who has seen all that happened in this world, and knows what each end may tell of it.
//!
//! What an end knows goes back with its store when a copy is put back: so what it told of gaps before is in the store, and
//! what the copy lacks is here.

use std::collections::{HashMap, HashSet};

use sealpost_protocol::{MessageId, MessageRef, PartHash, RefusalReason, Timestamp, encoding::Encode};

use super::{
    simulation::{Entry, Side},
    store::{KeyName, Store, names_in},
};
use crate::{SessionId, limits, testing::take_sealed};

/// What an end has sealed in a session, in that order, and whether it is a message.
type Life = Vec<(PartHash, bool)>;

#[derive(Default)]
pub(super) struct Witness {
    /// Whether the relay hides from everyone how far it has come with them.
    pub(super) lies: bool,
    /// Message keys that were used again.
    pub(super) keys_repeated: usize,
    pub(super) texts: HashMap<MessageId, (Side, String)>,
    /// One for each time that an end made its end of a session: there are two where a repeated opening makes one anew that
    /// was lost.
    sealed: HashMap<(SessionId, Side), Vec<Life>>,
    keys_used: HashMap<[u8; 32], HashSet<[u8; 12]>>,
    /// Sessions that an end had, and lost: by age, by number, by accident, or with a store that a copy took the place of.
    gone: HashSet<(Side, SessionId)>,
    /// Sessions of which an end has an older state than one that it sealed with.
    rewound: HashSet<(Side, SessionId)>,
    /// Private keys that an end had, and lost by age or with its store.
    keys_gone: HashSet<(Side, KeyName)>,
    /// What an end took or sent, and its copy does not know of.
    forgotten: HashSet<(Side, MessageRef)>,
    /// Sessions that were sealed in from two states.
    forked: HashSet<SessionId>,
}

/// What an end has sealed in a session, as its store has it: which of its lists, and how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SealedIn {
    life: usize,
    count: usize,
}

/// What an end has opened in a session since it has had it, and what it skipped.
#[derive(Clone, Default)]
pub(super) struct Seen {
    opened: HashSet<PartHash>,
    /// Which was skipped as the how-manieth, and when.
    skipped: HashMap<PartHash, (usize, Timestamp)>,
}

impl Seen {
    pub(super) fn has_opened(&self, part: &PartHash) -> bool {
        self.opened.contains(part)
    }

    fn is_new(&self, part: &PartHash) -> bool {
        !self.opened.contains(part) && !self.skipped.contains_key(part)
    }

    fn skip(&mut self, part: PartHash, now: Timestamp) {
        let place = self.skipped.len();
        self.skipped.insert(part, (place, now));
    }
}

/// A message that did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: RefusalReason,
    /// Whether it is told that the key was there, and is gone unused.
    pub(super) is_lost: bool,
}

impl Refused {
    pub(super) fn new(reason: RefusalReason) -> Self {
        Self { reason, is_lost: false }
    }
}

impl Witness {
    /// An end makes its end of a session.
    pub(super) fn note_session(&mut self, side: Side, session: SessionId, store: &mut Store) {
        let lives = self.sealed.entry((session, side)).or_default();
        lives.push(Vec::new());
        store.sealed_in.insert(session, SealedIn { life: lives.len() - 1, count: 0 });
        store.seen.insert(session, Seen::default());
    }

    /// An end seals: from the newest state that there ever was of its end, unless the relay lies.
    pub(super) fn note_sealed(&mut self, side: Side, sealed: &Entry, is_message: bool, store: &mut Store) {
        self.note_key(sealed.envelope.nonce);
        let session = SessionId(sealed.envelope.header.session);
        let known = store.sealed_in.get_mut(&session).unwrap();
        let lives = self.sealed.get_mut(&(session, side)).unwrap();
        let newest = SealedIn { life: lives.len() - 1, count: lives.last().unwrap().len() };
        if *known != newest {
            assert!(self.lies, "an old copy of a session goes on");
            self.forked.insert(session);
        }
        lives[known.life].push((part_of(sealed), is_message));
        known.count += 1;
    }

    /// The key of what was just sealed, as the AEAD was given it: none twice, unless the relay hides what it has; and even
    /// then none twice with one nonce.
    fn note_key(&mut self, nonce: [u8; 12]) {
        let sealed = take_sealed();
        let [(key, used)] = sealed.as_slice() else { panic!("one message, and {} keys", sealed.len()) };
        assert_eq!(*used, nonce);
        let nonces = self.keys_used.entry(*key).or_default();
        assert!(nonces.insert(nonce), "a key and its nonce seal twice");
        if nonces.len() > 1 {
            assert!(self.lies, "a key seals twice");
            self.keys_repeated += 1;
        }
    }

    pub(super) fn note_gone(&mut self, side: Side, sessions: impl IntoIterator<Item = SessionId>) {
        self.gone.extend(sessions.into_iter().map(|session| (side, session)));
    }

    pub(super) fn note_keys_gone(&mut self, side: Side, keys: impl IntoIterator<Item = KeyName>) {
        self.keys_gone.extend(keys.into_iter().map(|key| (side, key)));
    }

    /// A copy takes the place of a store, which is lost.
    pub(super) fn note_put_back(&mut self, side: Side, agent: sealpost_protocol::AgentId, lost: &Store, copy: &Store) {
        let ids =
            |store: &Store| -> HashSet<SessionId> { store.sessions.iter().map(|(_, standing)| standing.id).collect() };
        self.note_gone(side, ids(lost).difference(&ids(copy)).copied());
        let is_older = |session: &SessionId| lost.sealed_in.get(session) != copy.sealed_in.get(session);
        self.rewound.extend(ids(copy).into_iter().filter(is_older).map(|session| (side, session)));
        self.note_keys_gone(side, lost.keys.keys().filter(|name| !copy.keys.contains_key(name)).copied());
        let sent = lost.sent.keys().filter(|id| !copy.sent.contains_key(id));
        let sent = sent.map(|id| MessageRef { sender: agent, id: *id });
        let taken = lost.inbox.keys().filter(|message| !copy.inbox.contains_key(message)).copied();
        let received = lost.received.difference(&copy.received).copied();
        self.forgotten.extend(sent.chain(taken).chain(received).map(|message| (side, message)));
    }

    /// Whether an end has forgotten a message with its store.
    pub(super) fn has_forgotten(&self, side: Side, message: MessageRef) -> bool {
        self.forgotten.contains(&(side, message))
    }

    /// Something is told to be missing before a message if, and only if, a message was sealed before it in its session that
    /// was neither opened nor told of, as far as the store goes back; and no fewer are told of than are missing.
    pub(super) fn check_gap(&self, side: Side, entry: &Entry, told: u32, store: &mut Store, now: Timestamp) {
        let (session, part) = (SessionId(entry.envelope.header.session), part_of(entry));
        let seen = store.seen.entry(session).or_default();
        let lives = &self.sealed[&(session, side.other())];
        let life = lives.iter().rev().find(|life| life.iter().any(|(sealed, _)| *sealed == part)).unwrap();
        let before = life.iter().take_while(|(sealed, _)| *sealed != part);
        let unopened: Vec<(PartHash, bool)> = before.filter(|(sealed, _)| seen.is_new(sealed)).copied().collect();
        if !self.forked.contains(&session) {
            let (told, missing) =
                (usize::try_from(told).unwrap(), unopened.iter().filter(|(_, is_message)| *is_message));
            let missing = missing.count();
            assert_eq!(told > 0, missing > 0, "{told} are told of, {missing} are missing");
            assert!(told >= missing, "{told} are told of, {missing} are missing");
        }
        unopened.into_iter().for_each(|(sealed, _)| seen.skip(sealed, now));
        assert!(seen.opened.insert(part), "an envelope opened twice");
    }

    /// A message that the relay handed out as it was accepted is refused for one of these causes, and for no other.
    pub(super) fn check_cause(&self, side: Side, entry: &Entry, refused: Refused, store: &Store, now: Timestamp) {
        let session = SessionId(entry.envelope.header.session);
        let is_gone = |side| self.gone.contains(&(side, session));
        let has_cause = match refused.reason {
            RefusalReason::UnknownSession => is_gone(side),
            RefusalReason::UnknownPrekey => is_gone(side) || self.lacks_key(side, entry, store),
            RefusalReason::Undecryptable if refused.is_lost => key_is_due_to_go(entry, store, now),
            RefusalReason::Undecryptable => {
                key_is_due_to_go(entry, store, now)
                    || self.rewound.contains(&(side, session))
                    || is_gone(side)
                    || is_gone(side.other())
            }
            RefusalReason::Replay | RefusalReason::Policy | RefusalReason::NotMember => false,
        };
        assert!(has_cause || self.forked.contains(&session), "{refused:?} for no cause");
    }

    /// Whether the end had a key that an opening names, and lost it.
    fn lacks_key(&self, side: Side, entry: &Entry, store: &Store) -> bool {
        let names = entry.envelope.opening.as_ref().map(names_in).unwrap_or_default();
        let mut missing = names.into_iter().filter(|name| !store.keys.contains_key(name));
        missing.any(|name| self.keys_gone.contains(&(side, name)))
    }
}

/// Whether as many keys were skipped after that of a message as a session keeps, or it was skipped so long ago that it went.
fn key_is_due_to_go(entry: &Entry, store: &Store, now: Timestamp) -> bool {
    let Some(seen) = store.seen.get(&SessionId(entry.envelope.header.session)) else { return false };
    let Some((place, at)) = seen.skipped.get(&part_of(entry)) else { return false };
    seen.skipped.len() - place > limits::SKIPPED_KEYS || now.since(*at) >= limits::SKIPPED_KEY_LIFE
}

pub(super) fn part_of(entry: &Entry) -> PartHash {
    PartHash::of(&entry.envelope.to_bytes())
}
