//! Two agents, what they store, and a relay between them: the rules of this crate as a runtime applies them.
//!
//! Sessions lie in the stores as bytes alone, so that every step is a restart. The keys that the AEAD was given are checked
//! against all that it was ever given, in whatever copy of a store: none twice, unless the relay hides what it has; and
//! even then none twice with one nonce.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use sealpost_protocol::{
    Attempt, Bundle, CurveKey, Envelope, Header, KemKey, KemPrekeyKind, KeyId, MessageClass, MessageId, OneTimePrekey,
    Opening, PartHash, RefusalReason, Suite, Timestamp, encoding::Encode,
};

use crate::{
    AfterRefusal, Control, ExpectedBundle, Mark, OneTimeCurvePrekey, OneTimeKemPrekey, Plaintext, PrivatePrekey,
    Progress, Refusal, ResponderKemKey, ResponderKeys, SecretBytes, Session, SessionId, SessionStanding,
    SystemPrimitives, VerifiedBundle, after_refusal, check_progress, initiate, limits, respond, sessions_to_erase,
    takes_over,
    testing::{NOW, TestAgent, plaintext, take_sealed, text_of, validity},
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

/// What the relay says of a message, or a recipient's receipt through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    Delivered,
    Evicted,
    Refused(RefusalReason),
}

/// One part on its way.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) header: Header,
    pub(super) envelope: Envelope,
}

/// A message as its sender remembers it.
#[derive(Clone)]
pub(super) struct Sent {
    header: Header,
    text: String,
    attempt: Attempt,
    session: SessionId,
    pub(super) outcome: Option<Status>,
}

/// All that an agent stores, and a backup would hold.
#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) sessions: Vec<(SecretBytes, SessionStanding)>,
    one_time: BTreeMap<u32, SecretBytes>,
    one_time_kem: BTreeMap<u32, SecretBytes>,
    manifest_version: u64,
    receipt_batch: u64,
    pub(super) sent: BTreeMap<MessageId, Sent>,
    pub(super) inbox: HashSet<MessageId>,
    sealed: HashSet<PartHash>,
}

pub(super) struct End {
    pub(super) agent: TestAgent,
    pub(super) store: Store,
    pub(super) backup: Store,
    pub(super) restored: bool,
}

/// What the relay holds of one agent.
#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) waiting: VecDeque<Entry>,
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
    pub(super) controls: usize,
    pub(super) claims: usize,
    pub(super) marks: usize,
    /// Whether the relay hides from everyone how far it has come with them.
    pub(super) lies: bool,
    /// Message keys that were used again.
    pub(super) keys_repeated: usize,
    suites: [Suite; 1],
    /// What each end has sealed in a session, in that order, and whether it is a message.
    sealed: HashMap<(SessionId, Side), Vec<(PartHash, bool)>>,
    seen: HashMap<(Side, SessionId), Seen>,
    keys_used: HashMap<[u8; 32], HashSet<[u8; 12]>>,
    claimed: HashSet<(Side, KeyId)>,
    messages: u64,
    next_key: u32,
}

/// What an end has opened in a session since it has had it, and what was told to be missing.
#[derive(Default)]
struct Seen {
    opened: HashSet<PartHash>,
    missed: HashSet<PartHash>,
}

const ONE_TIME_KEYS: u32 = 3;

impl World {
    pub(super) fn new(suite: Suite) -> Self {
        take_sealed();
        let end = |seed| End {
            agent: TestAgent::new(seed),
            store: Store::default(),
            backup: Store::default(),
            restored: false,
        };
        let mut world = Self {
            now: NOW,
            ends: HashMap::from([(Side::Alice, end(1)), (Side::Bob, end(2))]),
            relay: Side::BOTH.into_iter().map(|side| (side, Mailbox::default())).collect(),
            status: HashMap::new(),
            delivered: Side::BOTH.into_iter().map(|side| (side, Vec::new())).collect(),
            controls: 0,
            claims: 0,
            marks: 0,
            lies: false,
            keys_repeated: 0,
            suites: [suite],
            sealed: HashMap::new(),
            seen: HashMap::new(),
            keys_used: HashMap::new(),
            claimed: HashSet::new(),
            messages: 0,
            next_key: 1,
        };
        for side in Side::BOTH {
            world.replace_prekeys(side);
            let end = world.end(side);
            end.backup = end.store.clone();
        }
        world
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        self.ends.get_mut(&side).unwrap()
    }

    pub(super) fn mailbox(&mut self, side: Side) -> &mut Mailbox {
        self.relay.get_mut(&side).unwrap()
    }

    fn header(&mut self, from: Side, class: MessageClass) -> Header {
        self.messages += 1;
        let (sender, recipient) = (&self.ends[&from].agent, &self.ends[&from.other()].agent);
        match class {
            MessageClass::Ordinary => sender.header_to(recipient, self.messages),
            MessageClass::Control => sender.control_to(recipient, self.messages),
        }
    }

    /// A new manifest and new one-time keys, with none of the old ones left to be claimed.
    fn replace_prekeys(&mut self, side: Side) {
        let ids = self.next_key..self.next_key + ONE_TIME_KEYS;
        self.next_key = ids.end;
        let version = self.relay[&side].progress.manifest_version + 1;
        let has_kem = self.suites == [Suite::Pqxdh25519MlKem768];
        let end = self.end(side);
        end.store.manifest_version = version;
        let keys: Vec<OneTimeCurvePrekey> =
            ids.clone().map(|id| PrivatePrekey::generate(&SystemPrimitives, KeyId(id), validity()).unwrap()).collect();
        end.store.one_time.extend(keys.iter().map(|key| (key.id().0, key.encode())));
        let published = keys.iter().map(|key| key.publish(&end.agent.identity)).collect();
        let ids = ids.filter(|_| has_kem);
        let keys: Vec<OneTimeKemPrekey> =
            ids.map(|id| PrivatePrekey::generate(&SystemPrimitives, KeyId(id), validity()).unwrap()).collect();
        end.store.one_time_kem.extend(keys.iter().map(|key| (key.id().0, key.encode())));
        let published_kem = keys.iter().map(|key| key.publish(&end.agent.identity)).collect();
        let held = end.store.one_time.len();
        let mailbox = self.mailbox(side);
        mailbox.one_time = published;
        mailbox.one_time_kem = published_kem;
        mailbox.progress.manifest_version = version;
        assert!(mailbox.one_time.len() <= held);
    }

    /// Before the first seal and after each reconnect: is the store an old copy?
    fn check(&mut self, side: Side) {
        if self.lies {
            return;
        }
        let (end, mailbox) = (&self.ends[&side], &self.relay[&side]);
        let store = Progress {
            manifest_version: end.store.manifest_version,
            receipt_batch: end.store.receipt_batch,
            one_time_curve: end.store.one_time.len(),
            one_time_kem: end.store.one_time_kem.len(),
            ..Progress::default()
        };
        let (one_time_curve, one_time_kem) = (mailbox.one_time.len(), mailbox.one_time_kem.len());
        let relay = Progress { one_time_curve, one_time_kem, ..mailbox.progress };
        let sealed = &end.store.sealed;
        if check_progress(&store, &relay, |envelope| sealed.contains(envelope)).is_ok() {
            return;
        }
        assert!(end.restored, "only a restored store is behind a truthful relay");
        let end = self.end(side);
        for (session, standing) in &mut end.store.sessions {
            let mut retired = Session::decode(session).unwrap();
            retired.retire();
            (*session, standing.sends) = (retired.encode(), false);
        }
        end.store.receipt_batch = relay.receipt_batch;
        self.replace_prekeys(side);
        // What the lost store has sealed last is known to have been, from here on.
        self.end(side).store.sealed.extend(relay.last_send);
    }

    fn claim(&mut self, target: Side) -> VerifiedBundle {
        self.claims += 1;
        let mailbox = self.mailbox(target);
        let (one_time, one_time_kem) = (mailbox.one_time.pop_front(), mailbox.one_time_kem.pop_front());
        if let Some(key) = &one_time {
            assert!(self.claimed.insert((target, key.prekey.id)), "a one-time key was handed out twice");
        }
        let agent = &self.ends[&target].agent;
        let version = self.relay[&target].progress.manifest_version;
        let manifest = agent.manifest.publish(&agent.identity, version, validity()).unwrap();
        let expected = ExpectedBundle { agent: agent.identity.agent_id(), seen: None, suites: &self.suites };
        let bundle = Bundle { manifest, one_time_curve: one_time, one_time_kem };
        VerifiedBundle::check(bundle, &expected, NOW).unwrap()
    }

    /// The place of the session to send in; opened anew if there is none.
    fn sending(&mut self, side: Side) -> usize {
        let may_seal = |session: &SecretBytes| Session::decode(session).unwrap().may_seal();
        let sessions = &self.ends[&side].store.sessions;
        if let Some(place) = sessions.iter().position(|(session, standing)| standing.sends && may_seal(session)) {
            return place;
        }
        let bundle = self.claim(side.other());
        let now = self.now;
        let end = self.end(side);
        let session = initiate(&SystemPrimitives, &end.agent.identity, bundle, now).unwrap();
        end.store.join(&session, true, now);
        end.store.sessions.len() - 1
    }

    fn seal(&mut self, side: Side, place: usize, header: &Header, plaintext: &Plaintext) -> SessionId {
        let now = self.now;
        let (stored, standing) = &mut self.end(side).store.sessions[place];
        let mut session = Session::decode(stored).unwrap();
        let envelope = session.seal(&SystemPrimitives, header, plaintext, now).unwrap();
        (*stored, standing.used) = (session.encode(), now);
        self.note_key(envelope.nonce);
        let part = PartHash::of(&envelope.to_bytes());
        self.end(side).store.sealed.insert(part);
        self.mailbox(side).progress.last_send = Some(part);
        let is_control = |class| class == MessageClass::Control;
        let class = header.fields().class;
        self.sealed.entry((session.id(), side)).or_default().push((part, !is_control(class)));
        if is_control(class) {
            // Superseded: of one sender the relay keeps the newest.
            self.mailbox(side.other()).waiting.retain(|entry| !is_control(entry.header.fields().class));
        }
        self.mailbox(side.other()).waiting.push_back(Entry { header: header.clone(), envelope });
        session.id()
    }

    /// The key of what was just sealed, as the AEAD was given it.
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

    pub(super) fn send(&mut self, side: Side) {
        self.check(side);
        let header = self.header(side, MessageClass::Ordinary);
        let message = header.message().id;
        let text = self.messages.to_string();
        let sent = Sent { header, text, attempt: Attempt::FIRST, session: SessionId([0; 16]), outcome: None };
        self.end(side).store.sent.insert(message, sent);
        self.transmit(side, message);
    }

    /// Shows the peer how far was read, and that something is written, where that can be; no session is opened for it.
    pub(super) fn mark(&mut self, side: Side, typing: bool) {
        self.check(side);
        let may_mark = |session: &SecretBytes| Session::decode(session).unwrap().may_mark();
        let sessions = &self.ends[&side].store.sessions;
        let place = sessions.iter().position(|(session, standing)| standing.sends && may_mark(session));
        let Some(place) = place else { return };
        let header = self.header(side, MessageClass::Control);
        let read = self.ends[&side].store.inbox.iter().max().copied();
        self.seal(side, place, &header, &Control::Mark(Mark { read, typing }).to_plaintext());
        self.marks += 1;
    }

    /// Seals a message for its attempt, and the relay accepts it.
    fn transmit(&mut self, side: Side, message: MessageId) {
        let place = self.sending(side);
        let Sent { header, text, attempt, .. } = self.ends[&side].store.sent[&message].clone();
        let session = self.seal(side, place, &header, &plaintext(&text));
        self.end(side).store.sent.get_mut(&message).unwrap().session = session;
        self.status.insert(message, (attempt, Status::Waiting));
    }

    /// Fetches, opens, gives receipts, looks what became of what was sent, answers requests, and tidies up.
    pub(super) fn sync(&mut self, side: Side) {
        self.check(side);
        let entries = std::mem::take(&mut self.mailbox(side).waiting);
        if entries.iter().any(|entry| entry.header.fields().class == MessageClass::Ordinary) {
            self.end(side).store.receipt_batch += 1;
            self.mailbox(side).progress.receipt_batch += 1;
            let (store, relay) = (self.ends[&side].store.receipt_batch, self.relay[&side].progress.receipt_batch);
            assert!(self.lies || store == relay);
        }
        for entry in entries {
            let verdict = self.receive(side, &entry);
            if entry.header.fields().class == MessageClass::Ordinary {
                self.status.get_mut(&entry.header.message().id).unwrap().1 = verdict;
            }
            self.delivered.get_mut(&side).unwrap().push(entry);
        }
        self.follow_up(side);
        self.answer(side);
        let now = self.now;
        self.end(side).store.tidy(now);
    }

    pub(super) fn receive(&mut self, side: Side, entry: &Entry) -> Status {
        let message = entry.header.message().id;
        if self.ends[&side].store.inbox.contains(&message) {
            return Status::Delivered;
        }
        match self.open(side, entry) {
            Ok(plaintext) if entry.header.fields().class == MessageClass::Control => {
                let Control::Mark(mark) = plaintext.to_control().unwrap() else { return Status::Delivered };
                let (own, peer) = (&self.ends[&side], &self.ends[&side.other()]);
                let is_own = mark.read.is_none_or(|read| own.store.sent.contains_key(&read));
                assert!(is_own || own.restored, "only what was sent to it is read");
                let is_read = mark.read.is_none_or(|read| peer.store.inbox.contains(&read));
                assert!(is_read || peer.restored, "what was not received is not read");
                Status::Delivered
            }
            Ok(plaintext) => {
                let sent = self.ends[&side.other()].store.sent.get(&message);
                assert!(sent.is_none_or(|sent| sent.text == text_of(&plaintext)));
                assert!(self.end(side).store.inbox.insert(message), "a message opened twice");
                Status::Delivered
            }
            Err(reason) => Status::Refused(reason),
        }
    }

    /// Opens an entry as a runtime does; if it does not open, the store is as it was.
    pub(super) fn open(&mut self, side: Side, entry: &Entry) -> Result<Plaintext, RefusalReason> {
        let (now, suites) = (self.now, self.suites);
        let End { agent, store, .. } = self.end(side);
        let session_id = SessionId(entry.envelope.header.session);
        if let Some((stored, _)) = store.sessions.iter().find(|(_, standing)| standing.id == session_id) {
            let mut session = Session::decode(stored).unwrap();
            let opened = session.open(&entry.header, &entry.envelope, now);
            if opened.is_err() {
                assert_eq!(session.encode(), *stored, "a failure leaves the state as it was");
            }
            let plaintext = opened.map_err(|error| error.refusal().unwrap())?;
            self.check_gap(side, entry, &plaintext);
            let store = &mut self.end(side).store;
            let (stored, standing) = store.sessions.iter_mut().find(|(_, standing)| standing.id == session_id).unwrap();
            assert!(session.skipped_keys() <= limits::SKIPPED_KEYS);
            (*stored, standing.used) = (session.encode(), now);
            return Ok(plaintext);
        }
        let opening = entry.envelope.opening.as_ref().ok_or(RefusalReason::UnknownSession)?;
        let (one_time, one_time_kem) = store.one_time_keys(opening)?;
        let last_resort = agent.manifest.last_resort_kem.as_ref();
        let kem = match (&one_time_kem, &opening.kem) {
            (Some(key), _) => Some(ResponderKemKey::OneTime(key)),
            (None, Some(_)) => last_resort.map(ResponderKemKey::LastResort),
            (None, None) => None,
        };
        let keys = ResponderKeys {
            suites: &suites,
            signed_prekey: &agent.manifest.signed,
            one_time_curve: one_time.as_ref(),
            kem,
        };
        let (session, plaintext) = respond(&agent.identity, &keys, &entry.header, &entry.envelope, now)
            .map_err(|error| error.refusal().unwrap())?;
        one_time.map(|key| store.one_time.remove(&key.id().0));
        one_time_kem.map(|key| store.one_time_kem.remove(&key.id().0));
        let sending = store.sessions.iter().find(|(_, standing)| standing.sends);
        let sending = sending.map(|(stored, standing)| (Session::decode(stored).unwrap(), standing.used));
        let sends = takes_over(&session, sending.as_ref().map(|(own, used)| (own, *used)), now);
        store.join(&session, sends, now);
        self.seen.insert((side, session_id), Seen::default());
        self.check_gap(side, entry, &plaintext);
        Ok(plaintext)
    }

    /// Something is told to be missing before a message if, and only if, a message was sealed before it in its session that
    /// was neither opened nor told of. Where a copy was put back, an end may not know what it has sealed or opened.
    fn check_gap(&mut self, side: Side, entry: &Entry, plaintext: &Plaintext) {
        let session = SessionId(entry.envelope.header.session);
        let part = PartHash::of(&entry.envelope.to_bytes());
        let seen = self.seen.entry((side, session)).or_default();
        let is_new = |part: &PartHash| !seen.opened.contains(part) && !seen.missed.contains(part);
        let before = self.sealed[&(session, side.other())].iter().take_while(|(sealed, _)| *sealed != part);
        let missing: Vec<PartHash> =
            before.filter(|(part, is_message)| *is_message && is_new(part)).map(|(part, _)| *part).collect();
        if self.ends.values().all(|end| !end.restored) {
            let told = usize::try_from(plaintext.missing_before()).unwrap();
            assert_eq!(told > 0, !missing.is_empty(), "{told} are told of, {} are missing", missing.len());
            assert!(told >= missing.len(), "{told} are told of, {} are missing", missing.len());
        }
        seen.missed.extend(missing);
        seen.opened.insert(part);
    }

    /// What became of the messages that are not settled yet.
    fn follow_up(&mut self, side: Side) {
        let unsettled: Vec<MessageId> = self.ends[&side].store.unsettled().collect();
        for message in unsettled {
            let (attempt, status) = self.status[&message];
            let sent = self.end(side).store.sent.get_mut(&message).unwrap();
            sent.attempt = sent.attempt.max(attempt);
            let session = sent.session;
            match status {
                Status::Waiting => {}
                Status::Delivered | Status::Evicted => sent.outcome = Some(status),
                Status::Refused(reason) => self.cure(side, message, Refusal { reason, attempt, session }),
            }
        }
    }

    fn cure(&mut self, side: Side, message: MessageId, refusal: Refusal) {
        let now = self.now;
        let store = &mut self.end(side).store;
        let sending = store.sessions.iter().position(|(_, standing)| standing.sends);
        let session = sending.map(|place| Session::decode(&store.sessions[place].0).unwrap());
        match after_refusal(&refusal, session.as_ref(), now) {
            AfterRefusal::Wait(until) => return assert!(until > now),
            AfterRefusal::Failed => {
                store.sent.get_mut(&message).unwrap().outcome = Some(Status::Refused(refusal.reason));
                return;
            }
            AfterRefusal::SealAnew => {}
            AfterRefusal::Renew => {
                if let Some((place, mut session)) = sending.zip(session) {
                    session.retire();
                    store.sessions[place].0 = session.encode();
                    store.sessions[place].1.sends = false;
                }
            }
        }
        store.sent.get_mut(&message).unwrap().attempt = refusal.attempt.next().unwrap();
        self.transmit(side, message);
    }

    fn answer(&mut self, side: Side) {
        for place in 0..self.ends[&side].store.sessions.len() {
            if Session::decode(&self.ends[&side].store.sessions[place].0).unwrap().owes_step() {
                let header = self.header(side, MessageClass::Control);
                self.seal(side, place, &header, &Control::Step.to_plaintext());
                self.controls += 1;
            }
        }
    }
}

impl Store {
    /// The one-time keys that an opening names.
    fn one_time_keys(
        &self,
        opening: &Opening,
    ) -> Result<(Option<OneTimeCurvePrekey>, Option<OneTimeKemPrekey>), RefusalReason> {
        let key =
            |keys: &BTreeMap<u32, SecretBytes>, id: KeyId| keys.get(&id.0).cloned().ok_or(RefusalReason::UnknownPrekey);
        let curve = opening.one_time_curve.map(|id| key(&self.one_time, id)).transpose()?;
        let kem = opening.kem.as_ref().filter(|kem| kem.kind == KemPrekeyKind::OneTime);
        let kem = kem.map(|kem| key(&self.one_time_kem, kem.id)).transpose()?;
        let curve = curve.map(|key| PrivatePrekey::decode(&key).unwrap());
        Ok((curve, kem.map(|key| PrivatePrekey::decode(&key).unwrap())))
    }

    /// Whether it has the one-time keys that an opening names.
    pub(super) fn has_keys_of(&self, opening: &Opening) -> bool {
        self.one_time_keys(opening).is_ok()
    }

    /// A session joins; if it sends, no other does.
    fn join(&mut self, session: &Session, sends: bool, now: Timestamp) {
        if sends {
            self.sessions.iter_mut().for_each(|(_, standing)| standing.sends = false);
        }
        self.sessions.push((session.encode(), SessionStanding { id: session.id(), sends, used: now }));
        self.tidy(now);
    }

    fn tidy(&mut self, now: Timestamp) {
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
    }

    pub(super) fn unsettled(&self) -> impl Iterator<Item = MessageId> {
        self.sent.iter().filter(|(_, sent)| sent.outcome.is_none()).map(|(message, _)| *message)
    }
}
