//! Everything that can happen to two agents, their mail, their stores and their clocks, in any order.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use sealpost_protocol::{
    AgentId, Envelope, Header, MessageRef, RefusalReason, Suite,
    encoding::{Decode, Encode},
    limits as wire,
};

use super::{
    simulation::{Entry, Side, World},
    store::Status,
    witness::{Refused, part_of},
};
use crate::{
    SessionId, limits,
    testing::{BOTH_SUITES, NOW},
};

#[derive(Debug, Clone)]
enum Event {
    Send(Side, usize),
    /// Read and typing marks, in a row.
    Mark(Side, usize),
    Sync(Side),
    /// The mailbox loses its oldest entries, all of them at most, and their senders are told.
    Evict(Side, Index),
    /// The relay hands out again what it handed out before.
    Repeat(Side, Index),
    /// The mailbox loses one entry, and its sender is told.
    Drop(Side, Index),
    /// Two entries change their places.
    Reorder(Side, Index, Index),
    /// One entry is not handed out until all that is held back is.
    HoldBack(Side, Index),
    LetGo(Side),
    /// What waits is handed out altered.
    Alter(Side, Index, Alteration),
    Wait(Duration),
    Backup(Side),
    Restore(Side),
    LoseSessions(Side),
}

/// One bit, or who it is said to be from.
#[derive(Debug, Clone)]
enum Alteration {
    Header(Index),
    EnvelopeHeader(Index),
    Envelope(Index),
    Recipient,
    Stranger,
}

const HOUR: u64 = 3_600;

fn event() -> impl Strategy<Value = Event> {
    let side = || prop_oneof![Just(Side::Alice), Just(Side::Bob)];
    prop_oneof![
        8 => (side(), 1..4_usize).prop_map(|(side, count)| Event::Send(side, count)),
        1 => (side(), 90..150_usize).prop_map(|(side, count)| Event::Send(side, count)),
        4 => (side(), 1..4_usize).prop_map(|(side, count)| Event::Mark(side, count)),
        1 => (side(), 90..150_usize).prop_map(|(side, count)| Event::Mark(side, count)),
        8 => side().prop_map(Event::Sync),
        2 => (side(), any::<Index>()).prop_map(|(side, count)| Event::Evict(side, count)),
        2 => (side(), any::<Index>()).prop_map(|(side, which)| Event::Repeat(side, which)),
        3 => (side(), any::<Index>()).prop_map(|(side, which)| Event::Drop(side, which)),
        3 => (side(), any::<Index>(), any::<Index>()).prop_map(|(side, one, other)| Event::Reorder(side, one, other)),
        2 => (side(), any::<Index>()).prop_map(|(side, which)| Event::HoldBack(side, which)),
        1 => side().prop_map(Event::LetGo),
        3 => (side(), any::<Index>(), alteration()).prop_map(|(side, which, how)| Event::Alter(side, which, how)),
        2 => (60..5 * HOUR).prop_map(|seconds| Event::Wait(Duration::from_secs(seconds))),
        1 => (24 * HOUR..45 * 24 * HOUR).prop_map(|seconds| Event::Wait(Duration::from_secs(seconds))),
        1 => side().prop_map(Event::Backup),
        1 => side().prop_map(Event::Restore),
        1 => side().prop_map(Event::LoseSessions),
    ]
}

/// What loses no store, and leaves what is on the way in time and in order.
fn peaceful_event() -> impl Strategy<Value = Event> {
    event().prop_filter("costs state", |event| match event {
        Event::Send(_, count) | Event::Mark(_, count) => *count < 10,
        Event::Wait(time) => *time < Duration::from_secs(5 * HOUR),
        Event::Reorder(..) | Event::HoldBack(..) => false,
        Event::Backup(_) | Event::Restore(_) | Event::LoseSessions(_) => false,
        _ => true,
    })
}

fn alteration() -> impl Strategy<Value = Alteration> {
    prop_oneof![
        3 => any::<Index>().prop_map(Alteration::Header),
        2 => any::<Index>().prop_map(Alteration::EnvelopeHeader),
        3 => any::<Index>().prop_map(Alteration::Envelope),
        1 => Just(Alteration::Recipient),
        1 => Just(Alteration::Stranger),
    ]
}

impl World {
    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Send(side, count) => self.send_many(side, count),
            Event::Mark(side, count) => (0..count).for_each(|number| self.mark(side, number % 2 == 0)),
            Event::Sync(side) => self.sync(side),
            Event::Evict(side, count) => {
                let waiting = self.mailbox(side).waiting.len();
                self.evict(side, count.index(waiting + 1));
            }
            Event::Drop(side, which) => self.drop(side, which),
            Event::Reorder(side, one, other) => {
                let waiting = &mut self.mailbox(side).waiting;
                if !waiting.is_empty() {
                    waiting.swap(one.index(waiting.len()), other.index(waiting.len()));
                }
            }
            Event::HoldBack(side, which) => {
                let mailbox = self.mailbox(side);
                if !mailbox.waiting.is_empty() {
                    let entry = mailbox.waiting.remove(which.index(mailbox.waiting.len())).unwrap();
                    mailbox.held_back.push_back(entry);
                }
            }
            Event::LetGo(side) => self.let_go(side),
            Event::Repeat(side, which) => self.repeat(side, which),
            Event::Alter(side, which, ref how) => self.alter(side, which, how),
            Event::Wait(time) => self.now = self.now.saturating_add(time),
            Event::Backup(side) => self.back_up(side),
            Event::Restore(side) => self.put_back(side),
            Event::LoseSessions(side) => self.lose_sessions(side),
        }
    }

    fn evict(&mut self, side: Side, count: usize) {
        let evicted: Vec<Entry> = self.mailbox(side).waiting.drain(..count).collect();
        evicted.iter().for_each(|entry| self.tell_lost(entry));
    }

    fn drop(&mut self, side: Side, which: Index) {
        let waiting = &mut self.mailbox(side).waiting;
        let dropped = if waiting.is_empty() { None } else { waiting.remove(which.index(waiting.len())) };
        dropped.iter().for_each(|entry| self.tell_lost(entry));
    }

    fn let_go(&mut self, side: Side) {
        let mailbox = self.mailbox(side);
        mailbox.waiting.append(&mut mailbox.held_back);
    }

    fn tell_lost(&mut self, entry: &Entry) {
        if let Some((_, status)) = self.status.get_mut(&entry.header.message().id) {
            *status = Status::Evicted;
        }
    }

    /// What was taken is not taken again: by its key while the session is there, and by its name, or its age, in any case.
    fn repeat(&mut self, side: Side, which: Index) {
        let delivered = &self.delivered[&side];
        if delivered.is_empty() {
            return;
        }
        let entry = which.get(delivered).clone();
        let (message, part) = (entry.header.message(), part_of(&entry));
        let session = SessionId(entry.envelope.header.session);
        let store = self.store(side).clone();
        let is_there = store.find(session).is_some();
        let is_opened = is_there && store.seen[&session].has_opened(&part);
        let has_keys = entry.envelope.opening.as_ref().is_some_and(|opening| store.keys_of(opening).is_some());
        if is_opened || (!is_there && !has_keys) {
            assert!(self.open(side, &entry).is_err(), "a key opens twice");
            assert!(self.store(side).moves() == store.moves(), "what is refused changes nothing");
        }
        let known = store.inbox.get(&message).filter(|known| {
            known.verdict == Status::Delivered || (known.header, known.part) == (entry.header.hash(), part)
        });
        let expected = match known.map(|known| known.verdict) {
            _ if !entry.is_message() => None,
            Some(Status::Refused(reason)) => Some(Err(Refused::new(reason))),
            Some(_) => Some(Ok(())),
            None if self.now.since(message.id.timestamp()) > wire::REMEMBERED => {
                Some(Err(Refused::new(RefusalReason::Policy)))
            }
            // Another attempt has been refused since; or a copy was put back that knows nothing of it.
            None => {
                let is_known = store.inbox.contains_key(&message) || self.witness.has_forgotten(side, message);
                assert!(is_known, "what was answered is known");
                None
            }
        };
        let verdict = self.receive(side, &entry);
        if let Some(expected) = expected {
            assert_eq!(verdict, expected);
            assert!(self.store(side).moves() == store.moves(), "a repetition changes nothing");
        }
    }

    /// Something else than what was accepted is handed out before it.
    fn alter(&mut self, side: Side, which: Index, how: &Alteration) {
        let waiting = &self.relay[&side].waiting;
        if waiting.is_empty() {
            return;
        }
        let genuine = waiting[which.index(waiting.len())].clone();
        let Some(altered) = self.altered(side, &genuine, how) else { return };
        let store = self.store(side).clone();
        let verdict = self.receive(side, &genuine);
        let afterwards = std::mem::replace(&mut self.end(side).store, store.clone());

        let forged = self.receive(side, &altered);
        // Under a name that has been taken nothing is opened, and so nothing is found out.
        let is_taken = |known: &super::store::Known| known.verdict == Status::Delivered;
        if !store.inbox.get(&altered.header.message()).is_some_and(is_taken) {
            assert!(forged.is_err(), "{how:?} opens");
        }
        assert!(self.store(side).moves() == store.moves(), "what does not verify changes nothing");
        assert!(self.store(side).received == store.received, "nothing was taken");
        assert_eq!(self.receive(side, &genuine), verdict, "and what was sent opens as it would have");
        assert!(self.store(side).moves() == afterwards.moves(), "to the same effect");
        self.end(side).store = store;
    }

    /// None if what is left of it could not be read at all.
    fn altered(&self, side: Side, Entry { header, envelope }: &Entry, how: &Alteration) -> Option<Entry> {
        let (mut head, mut part) = (header.to_bytes(), envelope.to_bytes());
        let flip = |bytes: &mut [u8], bit: Index| {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        };
        // Format, then the sender.
        let sender = 1..33;
        match how {
            Alteration::Header(bit) => flip(&mut head, *bit),
            Alteration::EnvelopeHeader(bit) => flip(&mut part[..58], *bit),
            Alteration::Envelope(bit) => flip(&mut part, *bit),
            Alteration::Recipient => head[sender].copy_from_slice(self.agent(side).as_bytes()),
            Alteration::Stranger => head[sender].copy_from_slice(AgentId::from_array([9; 32]).as_bytes()),
        }
        Some(Entry { header: Header::from_bytes(&head).ok()?, envelope: Envelope::from_bytes(&part).ok()? })
    }

    /// Until nothing is on the way and nothing is unsettled; it takes a few rounds, however much has happened.
    fn settle(&mut self) {
        Side::BOTH.into_iter().for_each(|side| self.let_go(side));
        for _ in 0..12 {
            self.now = self.now.saturating_add(limits::SESSION_RENEWAL_INTERVAL);
            Side::BOTH.into_iter().for_each(|side| self.sync(side));
            let quiet = |side| self.relay[&side].waiting.is_empty() && self.store(side).unsettled().next().is_none();
            if Side::BOTH.into_iter().all(quiet) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Whatever was sent arrived, was evicted, has expired, or was refused to the sender's knowledge, each time for a cause.
    fn assert_nothing_is_missing(&self) {
        for side in Side::BOTH {
            let recipient = side.other();
            for (id, sent) in &self.store(side).sent {
                let message = MessageRef { sender: self.agent(side), id: *id };
                let is_received = self.store(recipient).received.contains(&message);
                match sent.outcome {
                    Some(Status::Delivered) => {
                        assert!(is_received || self.witness.has_forgotten(recipient, message), "{id} is lost");
                    }
                    Some(Status::Evicted) => {}
                    Some(Status::Expired) => assert!(sent.header.fields().expires <= self.now, "{id}: given up early"),
                    Some(Status::Refused(_)) => {
                        assert_eq!(sent.attempt.number(), limits::SEALED_ANEW + 1, "{id}: given up early");
                    }
                    Some(Status::Waiting) | None => panic!("{id} is not settled"),
                }
            }
        }
    }

    /// The session that sends.
    fn sends_in(&self, side: Side) -> Option<SessionId> {
        self.store(side).sending().map(|(_, standing)| standing.id)
    }
}

/// Whatever has happened: nothing is missing, both can still talk, at once, and then there is silence.
fn check_rest(mut world: World) {
    world.settle();
    world.assert_nothing_is_missing();
    let last = Side::BOTH.map(|side| (side, world.send(side)));
    world.settle();
    world.assert_nothing_is_missing();
    for (side, message) in last {
        assert_eq!(world.store(side).sent[&message].outcome, Some(Status::Delivered), "nothing was in its way");
    }
    let before = (world.controls, world.marks, world.claims);
    world.settle();
    assert_eq!((world.controls, world.marks, world.claims), before, "nothing is said for nothing");
}

#[test]
fn a_store_that_is_put_back_meets_one_that_lost_its_sessions() {
    use Event::{Backup, LoseSessions, Restore, Send, Sync};
    use Side::{Alice, Bob};
    for suite in BOTH_SUITES {
        let mut world = World::new(suite);
        let begin = [Send(Alice, 1), Sync(Alice), Send(Alice, 2), Sync(Bob), Restore(Alice), Send(Bob, 98)];
        let end = [LoseSessions(Bob), Send(Bob, 1), Sync(Alice), Backup(Bob), Sync(Bob), Restore(Bob)];
        begin.iter().chain(&end).for_each(|event| world.happen(event));
        check_rest(world);
    }
}

#[test]
fn half_a_mailbox_is_lost_around_a_step_that_was_asked_for() {
    use Event::{Mark, Send, Sync};
    use Side::{Alice, Bob};
    for suite in BOTH_SUITES {
        let mut world = World::new(suite);
        let begin = [Send(Alice, 101), Sync(Bob), Sync(Alice), Mark(Alice, 1), Mark(Bob, 98)];
        begin.iter().for_each(|event| world.happen(event));
        world.send_many(Alice, 3);
        let half = world.mailbox(Bob).waiting.len() / 2;
        world.evict(Bob, half);
        world.send(Alice);
        check_rest(world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_opens_once_or_is_reported_and_control_messages_come_to_rest(
        suite in suite(),
        events in proptest::collection::vec(event(), 1..90),
    ) {
        let mut world = World::new(suite);
        for event in &events {
            world.happen(event);
        }
        check_rest(world);
    }

    /// Each keeps both sessions, and once each has seen a message of the other's, both send in the one with the lower name.
    #[test]
    fn two_that_open_at_once_settle_on_the_lower_session(
        suite in suite(),
        opening in (1..5_usize, 1..5_usize),
        events in proptest::collection::vec(peaceful_event(), 0..20),
    ) {
        let mut world = World::new(suite);
        world.happen(&Event::Send(Side::Alice, opening.0));
        world.happen(&Event::Send(Side::Bob, opening.1));
        let [alices, bobs] = Side::BOTH.map(|side| world.sends_in(side).unwrap());
        prop_assert_ne!(alices, bobs);
        for event in &events {
            world.happen(event);
        }
        // What was lost is made up for: each sees a message that the other has sealed in the session it opened, or in the other.
        for side in Side::BOTH {
            world.send(side);
        }
        world.settle();
        for side in Side::BOTH {
            prop_assert_eq!(world.sends_in(side), Some(alices.min(bobs)));
        }
        prop_assert_eq!(world.claims, 2, "and no other is opened");
        check_rest(world);
    }

    /// Whether anything still arrives is the relay's to say. That a nonce seals once under a key is checked with each seal.
    #[test]
    fn a_relay_that_hides_how_far_it_has_come_sees_no_nonce_twice_under_one_key(
        suite in suite(),
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut world = World::new(suite);
        world.witness.lies = true;
        for event in &events {
            world.happen(event);
        }
    }
}

/// What the property above looks for does occur, and what the relay gets by it is a key that sealed twice.
#[test]
fn a_copy_that_is_put_back_behind_a_lying_relay_uses_its_keys_again_with_other_nonces() {
    for suite in BOTH_SUITES {
        let mut world = World::new(suite);
        world.witness.lies = true;
        world.send(Side::Alice);
        world.happen(&Event::Backup(Side::Alice));
        world.send_many(Side::Alice, 3);
        world.happen(&Event::Restore(Side::Alice));
        world.send_many(Side::Alice, 3);
        assert_eq!(world.witness.keys_repeated, 3, "{suite:?}");
    }
}

fn suite() -> impl Strategy<Value = Suite> {
    proptest::sample::select(BOTH_SUITES.as_slice())
}

#[test]
fn a_sleeper_opens_all_of_twenty_five_thousand_messages_that_its_mailbox_kept() {
    const SENT: usize = 25_000;
    const KEPT: usize = 10_000;
    let mut world = World::new(Suite::X3dh25519);
    world.send_many(Side::Alice, SENT);
    assert_eq!(world.claims, SENT.div_ceil(2_000), "a session for each 2,000");
    world.evict(Side::Bob, SENT - KEPT);
    world.sync(Side::Bob);
    assert_eq!(world.store(Side::Bob).received.len(), KEPT);
    world.settle();
    world.assert_nothing_is_missing();
    world.send(Side::Bob);
    world.settle();
    world.assert_nothing_is_missing();
    assert_eq!(world.now.since(NOW).as_secs() % 60, 0);
}

#[test]
fn a_store_that_was_put_back_retires_its_sessions_before_it_seals() {
    let mut world = World::new(Suite::X3dh25519);
    world.send(Side::Alice);
    world.settle();
    world.happen(&Event::Backup(Side::Alice));
    world.send_many(Side::Alice, 3);
    world.settle();
    world.happen(&Event::Restore(Side::Alice));
    let claims = world.claims;
    world.send(Side::Alice);
    assert_eq!(world.claims, claims + 1, "a new session");
    world.settle();
    world.assert_nothing_is_missing();
}

#[test]
fn a_hundred_messages_one_way_are_answered_by_control_messages_alone() {
    let mut world = World::new(Suite::X3dh25519);
    for _ in 0..6 {
        world.send_many(Side::Alice, limits::MESSAGES_WITHOUT_STEP as usize + 1);
        world.settle();
    }
    assert_eq!(world.controls, 6);
    assert_eq!(world.claims, 1, "and no new session");
}

#[test]
fn marks_to_a_sleeper_come_to_an_end_take_no_session_and_are_not_missed() {
    let mut world = World::new(Suite::X3dh25519);
    world.send(Side::Alice);
    world.settle();
    world.send(Side::Bob);
    world.settle();
    (0..500).for_each(|_| world.mark(Side::Alice, true));
    assert_eq!(world.marks, usize::from(limits::MARKS_IN_A_ROW));
    assert_eq!(world.relay[&Side::Bob].waiting.len(), 1, "each supersedes the one before");
    world.send(Side::Alice);
    world.settle();
    world.assert_nothing_is_missing();
    assert_eq!(
        (world.claims, world.controls),
        (1, 1),
        "the step that the message has asked for, and nothing for the marks"
    );
}
