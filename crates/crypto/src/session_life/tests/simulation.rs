//! Two agents, what they store, and a relay between them: the rules of this crate as a runtime applies them.
//!
//! A [`Witness`] compares what each end says and does with what really happened. What a store lost when a copy was put back
//! excuses what is about that, and nothing else.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use sealpost_protocol::{
    AgentId, Attempt, Bundle, CurveKey, Envelope, Header, KemKey, KeyId, MessageClass, MessageId, MessageRef,
    OneTimePrekey, PartHash, PrekeyKind, RefusalReason, SignedManifest, Suite, Timestamp, limits as wire,
};

use super::{
    store::{Known, Sent, Status, Store},
    witness::{Refused, Witness, part_of},
};
use crate::{
    AfterRefusal, Control, ExpectedBundle, IdentityPrivateKey, ManifestPrekeys, Mark, OneTimeCurvePrekey,
    OneTimeKemPrekey, OpenError, Plaintext, Progress, Refusal, Session, SessionId, Validity, VerifiedBundle,
    after_refusal, check_progress, initiate, respond, takes_over,
    testing::{BOTH_SUITES, NOW, SeededPrimitives, header_between, plaintext, take_sealed, text_of},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Alice,
    Bob,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Alice, Self::Bob];

    pub(super) fn other(self) -> Self {
        if self == Self::Alice { Self::Bob } else { Self::Alice }
    }
}

/// One part on its way.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) header: Header,
    pub(super) envelope: Envelope,
}

impl Entry {
    pub(super) fn is_message(&self) -> bool {
        self.header.fields().class == MessageClass::Ordinary
    }

    fn session(&self) -> SessionId {
        SessionId(self.envelope.header.session)
    }
}

pub(super) struct End {
    pub(super) identity: IdentityPrivateKey,
    pub(super) store: Store,
    pub(super) backup: Store,
    /// Whether a copy was put back and not compared with the relay since.
    is_unchecked_copy: bool,
}

/// What the relay holds of one agent.
#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) waiting: VecDeque<Entry>,
    pub(super) held_back: VecDeque<Entry>,
    manifest: Option<SignedManifest>,
    one_time: VecDeque<OneTimePrekey<CurveKey>>,
    one_time_kem: VecDeque<OneTimePrekey<KemKey>>,
    progress: Progress<PartHash>,
}

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) ends: HashMap<Side, End>,
    pub(super) relay: HashMap<Side, Mailbox>,
    pub(super) status: HashMap<MessageId, (Attempt, Status)>,
    pub(super) delivered: HashMap<Side, Vec<Entry>>,
    pub(super) witness: Witness,
    pub(super) controls: usize,
    pub(super) claims: usize,
    pub(super) marks: usize,
    primitives: SeededPrimitives,
    suites: [Suite; 1],
    messages: u64,
    next_key: u32,
}

const ONE_TIME_KEYS: usize = 3;
/// As our runtime does it.
const ROTATION: Duration = Duration::from_secs(7 * 24 * 3_600);
const MANIFEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);
const CONTROL_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
const KEPT_ON: Duration = Duration::from_secs(31 * 24 * 3_600);

impl World {
    /// The same in every run.
    pub(super) fn new(suite: Suite) -> Self {
        take_sealed();
        let primitives = SeededPrimitives::new(1);
        let end = |_| End {
            identity: IdentityPrivateKey::generate(&primitives).unwrap(),
            store: Store::default(),
            backup: Store::default(),
            is_unchecked_copy: false,
        };
        let mut world = Self {
            now: NOW,
            ends: Side::BOTH.into_iter().map(|side| (side, end(side))).collect(),
            relay: Side::BOTH.into_iter().map(|side| (side, Mailbox::default())).collect(),
            status: HashMap::new(),
            delivered: Side::BOTH.into_iter().map(|side| (side, Vec::new())).collect(),
            witness: Witness::default(),
            controls: 0,
            claims: 0,
            marks: 0,
            primitives,
            suites: [suite],
            messages: 0,
            next_key: 1,
        };
        for side in Side::BOTH {
            world.publish(side);
            world.back_up(side);
        }
        world
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        self.ends.get_mut(&side).unwrap()
    }

    pub(super) fn store(&self, side: Side) -> &Store {
        &self.ends[&side].store
    }

    pub(super) fn mailbox(&mut self, side: Side) -> &mut Mailbox {
        self.relay.get_mut(&side).unwrap()
    }

    pub(super) fn agent(&self, side: Side) -> AgentId {
        self.ends[&side].identity.agent_id()
    }

    pub(super) fn back_up(&mut self, side: Side) {
        let end = self.end(side);
        end.backup = end.store.clone();
    }

    pub(super) fn put_back(&mut self, side: Side) {
        let agent = self.agent(side);
        let end = self.ends.get_mut(&side).unwrap();
        let lost = std::mem::replace(&mut end.store, end.backup.clone());
        end.is_unchecked_copy = true;
        self.witness.note_put_back(side, agent, &lost, &end.store);
    }

    pub(super) fn lose_sessions(&mut self, side: Side) {
        let lost = std::mem::take(&mut self.end(side).store.sessions);
        self.witness.note_gone(side, lost.into_iter().map(|(_, standing)| standing.id));
    }

    fn header(&mut self, from: Side, class: MessageClass) -> Header {
        self.messages += 1;
        let life = if class == MessageClass::Ordinary { wire::MESSAGE_LIFE } else { CONTROL_LIFE };
        let life = Validity::lasting(self.now, life);
        header_between(self.agent(from), self.agent(from.other()), class, life, self.messages)
    }

    /// A new manifest, and as many one-time keys as the relay's set lacks.
    fn publish(&mut self, side: Side) {
        let (now, version) = (self.now, self.relay[&side].progress.manifest_version + 1);
        let (missing, missing_kem) = {
            let mailbox = &self.relay[&side];
            (ONE_TIME_KEYS - mailbox.one_time.len(), ONE_TIME_KEYS - mailbox.one_time_kem.len())
        };
        let first = KeyId(self.next_key);
        self.next_key += u32::try_from(ONE_TIME_KEYS).unwrap();
        let (primitives, end) = (&self.primitives, self.ends.get_mut(&side).unwrap());
        let life = Validity::lasting(now, MANIFEST_LIFE);
        let manifest = ManifestPrekeys::generate(primitives, BOTH_SUITES.to_vec(), first, life).unwrap();
        let (store, identity) = (&mut end.store, &end.identity);
        store.keys.values_mut().for_each(|kept| kept.until = kept.until.or(Some(now.saturating_add(KEPT_ON))));
        store.keep(&manifest.signed, None);
        store.keep(manifest.last_resort_kem.as_ref().unwrap(), None);
        (store.manifest_version, store.manifest_made) = (version, now);
        let life = Validity::lasting(now, wire::ONE_TIME_PREKEY_LIFE);
        let until = Some(life.expires().saturating_add(KEPT_ON));
        let keys = OneTimeCurvePrekey::generate_many(primitives, first, missing, life).unwrap();
        keys.iter().for_each(|key| store.keep(key, until));
        let has_kem = self.suites == [Suite::Pqxdh25519MlKem768];
        let missing_kem = if has_kem { missing_kem } else { 0 };
        let kem_keys = OneTimeKemPrekey::generate_many(primitives, first, missing_kem, life).unwrap();
        kem_keys.iter().for_each(|key| store.keep(key, until));
        let mailbox = self.relay.get_mut(&side).unwrap();
        mailbox.manifest = Some(manifest.publish(identity, version, Validity::lasting(now, MANIFEST_LIFE)).unwrap());
        mailbox.one_time.extend(keys.iter().map(|key| key.publish(identity)));
        mailbox.one_time_kem.extend(kem_keys.iter().map(|key| key.publish(identity)));
        mailbox.progress.manifest_version = version;
    }

    /// New keys weekly; old ones go.
    fn renew_keys(&mut self, side: Side) {
        let now = self.now;
        if now >= self.store(side).manifest_made.saturating_add(ROTATION) {
            self.publish(side);
        }
        let erased = self.end(side).store.erase_old_keys(now);
        self.witness.note_keys_gone(side, erased);
    }

    /// Before the first seal and after each reconnect: is the store an old copy?
    fn check(&mut self, side: Side) {
        if self.witness.lies {
            return;
        }
        let now = self.now;
        let mailbox = self.mailbox(side);
        mailbox.one_time.retain(|key| key.prekey.expires > now);
        mailbox.one_time_kem.retain(|key| key.prekey.expires > now);
        let (one_time_curve, one_time_kem) = (mailbox.one_time.len(), mailbox.one_time_kem.len());
        let relay = Progress { one_time_curve, one_time_kem, ..mailbox.progress };
        let end = self.end(side);
        let was_unchecked = std::mem::take(&mut end.is_unchecked_copy);
        let store = Progress {
            manifest_version: end.store.manifest_version,
            receipt_batch: end.store.receipt_batch,
            one_time_curve: end.store.count(PrekeyKind::OneTimeCurve),
            one_time_kem: end.store.count(PrekeyKind::OneTimeKem),
            last_send: None,
        };
        if check_progress(&store, &relay, |part| end.store.sealed.contains(part)).is_ok() {
            return;
        }
        assert!(was_unchecked, "only a restored store is behind a truthful relay, and only until it has compared");
        let ids: Vec<SessionId> = end.store.sessions.iter().map(|(_, standing)| standing.id).collect();
        ids.into_iter().for_each(|id| end.store.retire(id));
        end.store.receipt_batch = relay.receipt_batch;
        // What the lost store has sealed last is known to have been, from here on.
        end.store.sealed.extend(relay.last_send);
        let mailbox = self.mailbox(side);
        (mailbox.one_time, mailbox.one_time_kem) = (VecDeque::new(), VecDeque::new());
        self.publish(side);
    }

    /// A bundle of the peer; none while its manifest has expired.
    fn claim(&mut self, requester: Side) -> Option<VerifiedBundle> {
        let (now, target) = (self.now, requester.other());
        let mailbox = self.mailbox(target);
        let manifest = mailbox.manifest.clone().unwrap();
        if manifest.fields().expires <= now {
            return None;
        }
        mailbox.one_time.retain(|key| key.prekey.expires > now);
        mailbox.one_time_kem.retain(|key| key.prekey.expires > now);
        let (one_time_curve, one_time_kem) = (mailbox.one_time.pop_front(), mailbox.one_time_kem.pop_front());
        self.claims += 1;
        let expected = ExpectedBundle {
            agent: self.agent(target),
            seen: self.store(requester).manifest_of_peer,
            suites: &self.suites,
        };
        let bundle = VerifiedBundle::check(Bundle { manifest, one_time_curve, one_time_kem }, &expected, now).unwrap();
        self.end(requester).store.manifest_of_peer = Some(bundle.seen());
        Some(bundle)
    }

    /// The session to send in; opened anew if there is none, and none if that cannot be.
    fn sending(&mut self, side: Side) -> Option<Session> {
        let sending = self.store(side).sending();
        if let Some((session, _)) = sending.filter(|(session, _)| session.may_seal()) {
            return Some(session);
        }
        let bundle = self.claim(side)?;
        let now = self.now;
        let session = initiate(&self.primitives, &self.ends[&side].identity, bundle, now).unwrap();
        self.add_session(side, &session, true);
        Some(session)
    }

    fn add_session(&mut self, side: Side, session: &Session, sends: bool) {
        let now = self.now;
        let store = &mut self.ends.get_mut(&side).unwrap().store;
        self.witness.note_session(side, session.id(), store);
        let erased = store.join(session, sends, now);
        self.witness.note_gone(side, erased);
    }

    fn seal(&mut self, side: Side, mut session: Session, header: &Header, plaintext: &Plaintext) {
        let now = self.now;
        let envelope = session.seal(&self.primitives, header, plaintext, now).unwrap();
        let entry = Entry { header: header.clone(), envelope };
        let part = part_of(&entry);
        let store = &mut self.ends.get_mut(&side).unwrap().store;
        store.save(&session, now);
        store.sealed.insert(part);
        self.witness.note_sealed(side, &entry, entry.is_message(), store);
        self.mailbox(side).progress.last_send = Some(part);
        let mailbox = self.mailbox(side.other());
        if !entry.is_message() {
            // Superseded: of one sender the relay keeps the newest.
            mailbox.waiting.retain(Entry::is_message);
        }
        mailbox.waiting.push_back(entry);
    }

    pub(super) fn send(&mut self, side: Side) -> MessageId {
        self.check(side);
        let header = self.header(side, MessageClass::Ordinary);
        let message = header.message().id;
        self.witness.texts.insert(message, (side, self.messages.to_string()));
        let sent = Sent { header, attempt: Attempt::FIRST, session: None, outcome: None };
        self.end(side).store.sent.insert(message, sent);
        self.transmit(side, message);
        message
    }

    pub(super) fn send_many(&mut self, side: Side, count: usize) {
        for _ in 0..count {
            self.send(side);
        }
    }

    /// Shows the peer how far was read, and that something is written, where that can be; no session is opened for it.
    pub(super) fn mark(&mut self, side: Side, typing: bool) {
        self.check(side);
        let sending = self.store(side).sending();
        let Some((session, _)) = sending.filter(|(session, _)| session.may_mark()) else { return };
        let header = self.header(side, MessageClass::Control);
        let peer = self.agent(side.other());
        let taken = self.store(side).inbox.iter().filter(|(_, known)| known.verdict == Status::Delivered);
        let read = taken.filter(|(message, _)| message.sender == peer).map(|(message, _)| message.id).max();
        self.seal(side, session, &header, &Control::Mark(Mark { read, typing }).to_plaintext());
        self.marks += 1;
    }

    /// Seals a message for its attempt, and the relay accepts it. It waits while there is no session to be had, and is
    /// over when its life is.
    fn transmit(&mut self, side: Side, message: MessageId) {
        let Sent { header, attempt, .. } = self.store(side).sent[&message].clone();
        if header.fields().expires <= self.now {
            self.end(side).store.sent.get_mut(&message).unwrap().outcome = Some(Status::Expired);
            return;
        }
        let Some(session) = self.sending(side) else { return };
        let id = session.id();
        let text = self.witness.texts[&message].1.clone();
        self.seal(side, session, &header, &plaintext(&text));
        self.end(side).store.sent.get_mut(&message).unwrap().session = Some(id);
        self.status.insert(message, (attempt, Status::Waiting));
    }

    /// What has expired is not handed out, and messages have failed.
    fn sweep(&mut self) {
        let now = self.now;
        for mailbox in self.relay.values_mut() {
            let mut lives = |entry: &Entry| {
                let is_over = entry.header.fields().expires <= now;
                if is_over && entry.is_message() {
                    self.status.get_mut(&entry.header.message().id).unwrap().1 = Status::Expired;
                }
                !is_over
            };
            mailbox.waiting.retain(&mut lives);
            mailbox.held_back.retain(&mut lives);
        }
    }

    /// Fetches, opens, gives receipts, looks what became of what was sent, answers requests, and tidies up.
    pub(super) fn sync(&mut self, side: Side) {
        self.sweep();
        self.check(side);
        self.renew_keys(side);
        let entries = std::mem::take(&mut self.mailbox(side).waiting);
        if entries.iter().any(Entry::is_message) {
            self.end(side).store.receipt_batch += 1;
            self.mailbox(side).progress.receipt_batch += 1;
            let (store, relay) = (self.store(side).receipt_batch, self.relay[&side].progress.receipt_batch);
            assert!(self.witness.lies || store == relay);
        }
        for entry in entries {
            let verdict = match self.receive(side, &entry) {
                Ok(()) => Status::Delivered,
                Err(refused) => {
                    self.witness.check_cause(side, &entry, refused, self.store(side), self.now);
                    Status::Refused(refused.reason)
                }
            };
            if entry.is_message() {
                self.status.get_mut(&entry.header.message().id).unwrap().1 = verdict;
            }
            self.delivered.get_mut(&side).unwrap().push(entry);
        }
        self.follow_up(side);
        self.answer(side);
        let now = self.now;
        let erased = self.end(side).store.tidy(now);
        self.witness.note_gone(side, erased);
    }

    /// Takes an entry as a runtime does: by its name if that is known, and else by opening it.
    pub(super) fn receive(&mut self, side: Side, entry: &Entry) -> Result<(), Refused> {
        let (message, part, header) = (entry.header.message(), part_of(entry), entry.header.hash());
        if !entry.is_message() {
            return self.open(side, entry).map(|plaintext| self.look_at_mark(side, &plaintext));
        }
        match self.store(side).inbox.get(&message) {
            Some(known) if known.verdict == Status::Delivered => {
                return if known.header == header { Ok(()) } else { Err(Refused::new(RefusalReason::Replay)) };
            }
            Some(Known { verdict: Status::Refused(reason), header: refused, part: refused_part })
                if (*refused, *refused_part) == (header, part) =>
            {
                return Err(Refused::new(*reason));
            }
            _ if self.now.since(entry.header.fields().created) > wire::REMEMBERED => {
                return Err(Refused::new(RefusalReason::Policy));
            }
            _ => {}
        }
        let opened = self.open(side, entry);
        let verdict = match &opened {
            Ok(plaintext) => {
                let (sender, text) = &self.witness.texts[&message.id];
                assert_eq!((self.agent(*sender), text), (message.sender, &text_of(plaintext)), "another's words");
                assert!(self.end(side).store.received.insert(message), "a message opened twice");
                Status::Delivered
            }
            Err(refused) => Status::Refused(refused.reason),
        };
        self.end(side).store.inbox.insert(message, Known { header, part, verdict });
        opened.map(drop)
    }

    fn look_at_mark(&self, side: Side, plaintext: &Plaintext) {
        let Control::Mark(Mark { read: Some(read), .. }) = plaintext.to_control().unwrap() else { return };
        let message = MessageRef { sender: self.agent(side), id: read };
        assert_eq!(self.witness.texts[&read].0, side, "only what was sent to it is read");
        let is_own = self.store(side).sent.contains_key(&read) || self.witness.has_forgotten(side, message);
        assert!(is_own, "what it has sent is known to it");
        let peer = side.other();
        let is_read = self.store(peer).received.contains(&message) || self.witness.has_forgotten(peer, message);
        assert!(is_read, "what was not received is not read");
    }

    /// Opens an entry as a runtime does; if it does not open, nothing that a message can move has moved.
    pub(super) fn open(&mut self, side: Side, entry: &Entry) -> Result<Plaintext, Refused> {
        let (now, id) = (self.now, entry.session());
        let from_peer = entry.header.message().sender == self.agent(side.other());
        let known = self.store(side).find(id).filter(|_| from_peer);
        let Some(mut session) = known else { return self.open_first(side, entry) };
        let before = session.encode();
        let plaintext = session.open(&entry.header, &entry.envelope, now).map_err(|error| {
            assert_eq!(session.encode(), before, "a failure leaves the state as it was");
            Refused { reason: error.refusal().unwrap(), is_lost: error == OpenError::Lost }
        })?;
        let store = &mut self.ends.get_mut(&side).unwrap().store;
        store.save(&session, now);
        self.witness.check_gap(side, entry, plaintext.missing_before(), store, now);
        Ok(plaintext)
    }

    fn open_first(&mut self, side: Side, entry: &Entry) -> Result<Plaintext, Refused> {
        let now = self.now;
        let opening = entry.envelope.opening.as_ref().ok_or(Refused::new(RefusalReason::UnknownSession))?;
        let keys = self.store(side).keys_of(opening).ok_or(Refused::new(RefusalReason::UnknownPrekey))?;
        let (identity, keys) = (&self.ends[&side].identity, keys.lend(&self.suites));
        let (session, plaintext) = respond(identity, &keys, &entry.header, &entry.envelope, now)
            .map_err(|error| Refused::new(error.refusal().unwrap()))?;
        let sending = self.store(side).sending();
        let sends = takes_over(&session, sending.as_ref().map(|(own, standing)| (own, standing.used)), now);
        self.end(side).store.use_up(opening);
        self.add_session(side, &session, sends);
        let store = &mut self.ends.get_mut(&side).unwrap().store;
        self.witness.check_gap(side, entry, plaintext.missing_before(), store, now);
        Ok(plaintext)
    }

    /// What became of the messages that are not settled yet.
    fn follow_up(&mut self, side: Side) {
        let unsettled: Vec<MessageId> = self.store(side).unsettled().collect();
        for message in unsettled {
            let status = self.status.get(&message).copied();
            let sent = self.end(side).store.sent.get_mut(&message).unwrap();
            // What the relay has accepted counts as sealed, whether or not a copy knows of it.
            let accepted = status.filter(|(attempt, _)| *attempt >= sent.attempt);
            let Some((attempt, status)) = accepted else {
                self.transmit(side, message);
                continue;
            };
            let session = sent.session.filter(|_| attempt == sent.attempt).unwrap_or(SessionId([0; 16]));
            sent.attempt = attempt;
            match status {
                Status::Waiting => {}
                Status::Delivered | Status::Evicted | Status::Expired => sent.outcome = Some(status),
                Status::Refused(reason) => self.cure(side, message, Refusal { reason, attempt, session }),
            }
        }
    }

    fn cure(&mut self, side: Side, message: MessageId, refusal: Refusal) {
        let now = self.now;
        let store = &mut self.end(side).store;
        let sending = store.sending().map(|(session, _)| session);
        match after_refusal(&refusal, sending.as_ref(), now) {
            AfterRefusal::Wait(until) => return assert!(until > now),
            AfterRefusal::Failed => {
                store.sent.get_mut(&message).unwrap().outcome = Some(Status::Refused(refusal.reason));
                return;
            }
            AfterRefusal::SealAnew => {}
            AfterRefusal::Renew => sending.iter().for_each(|session| store.retire(session.id())),
        }
        let sent = store.sent.get_mut(&message).unwrap();
        (sent.attempt, sent.session) = (refusal.attempt.next().unwrap(), None);
        self.transmit(side, message);
    }

    fn answer(&mut self, side: Side) {
        let ids: Vec<SessionId> = self.store(side).sessions.iter().map(|(_, standing)| standing.id).collect();
        for id in ids {
            let session = self.store(side).find(id).unwrap();
            if session.owes_step() {
                let header = self.header(side, MessageClass::Control);
                self.seal(side, session, &header, &Control::Step.to_plaintext());
                self.controls += 1;
            }
        }
    }
}
