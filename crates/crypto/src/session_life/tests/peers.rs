//! Everything that can happen to two agents, their mail, their stores and their clocks, in any order.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use sealpost_protocol::{
    Envelope, Suite,
    encoding::{Decode, Encode},
};

use super::simulation::{Entry, Side, Status, World};
use crate::{
    limits,
    testing::{BOTH_SUITES, NOW},
};

#[derive(Debug, Clone)]
enum Event {
    Send(Side, usize),
    /// Read and typing marks, in a row.
    Mark(Side, usize),
    Sync(Side),
    /// The mailbox loses its oldest entries, and their senders are told.
    Evict(Side, Index),
    /// The relay hands out again what it handed out before.
    Repeat(Side, Index),
    /// The mailbox loses one entry, and its sender is told.
    Drop(Side, Index),
    /// Two entries change their places.
    Reorder(Side, Index, Index),
    /// A forger flips a bit of what waits.
    Alter(Side, Index, Index),
    Wait(u64),
    Backup(Side),
    Restore(Side),
    LoseSessions(Side),
}

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
        2 => (side(), any::<Index>(), any::<Index>()).prop_map(|(side, which, bit)| Event::Alter(side, which, bit)),
        2 => (1..300_u64).prop_map(Event::Wait),
        1 => side().prop_map(Event::Backup),
        1 => side().prop_map(Event::Restore),
        1 => side().prop_map(Event::LoseSessions),
    ]
}

impl World {
    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Send(side, count) => (0..count).for_each(|_| self.send(side)),
            Event::Mark(side, count) => (0..count).for_each(|number| self.mark(side, number % 2 == 0)),
            Event::Sync(side) => self.sync(side),
            Event::Evict(side, count) => {
                let waiting = self.mailbox(side).waiting.len();
                self.evict(side, if waiting == 0 { 0 } else { count.index(waiting) });
            }
            Event::Drop(side, which) => self.drop(side, which),
            Event::Reorder(side, one, other) => {
                let waiting = &mut self.mailbox(side).waiting;
                if !waiting.is_empty() {
                    waiting.swap(one.index(waiting.len()), other.index(waiting.len()));
                }
            }
            Event::Repeat(side, which) => self.repeat(side, which),
            Event::Alter(side, which, bit) => self.alter(side, which, bit),
            Event::Wait(minutes) => self.now = self.now.saturating_add(Duration::from_secs(60 * minutes)),
            Event::Backup(side) => {
                let end = self.end(side);
                end.backup = end.store.clone();
            }
            Event::Restore(side) => {
                let end = self.end(side);
                end.store = end.backup.clone();
                end.restored = true;
            }
            Event::LoseSessions(side) => self.end(side).store.sessions.clear(),
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

    fn tell_lost(&mut self, entry: &Entry) {
        if let Some((_, status)) = self.status.get_mut(&entry.header.message().id) {
            *status = Status::Evicted;
        }
    }

    fn repeat(&mut self, side: Side, which: Index) {
        let delivered = &self.delivered[&side];
        if delivered.is_empty() {
            return;
        }
        let entry = which.get(delivered).clone();
        let end = &self.ends[&side];
        // A store that was put back has not opened it.
        if end.restored {
            return;
        }
        let sessions = end.store.sessions.clone();
        let known = sessions.iter().any(|(_, standing)| standing.id.0 == entry.envelope.header.session);
        let has_keys = entry.envelope.opening.as_ref().is_some_and(|opening| end.store.has_keys_of(opening));
        if known || !has_keys {
            assert!(self.open(side, &entry).is_err(), "a message opened twice");
        } else {
            // Neither the session nor a one-time key is left to tell: its name is known, until nothing of its age is taken.
            assert!(end.store.inbox.contains(&entry.header.message().id), "an opening is taken twice");
            assert_eq!(self.receive(side, &entry), Status::Delivered);
        }
        assert!(self.ends[&side].store.sessions == sessions, "a repetition changes nothing");
    }

    fn alter(&mut self, side: Side, which: Index, bit: Index) {
        let waiting = &self.relay[&side].waiting;
        if waiting.is_empty() {
            return;
        }
        let Entry { header, envelope } = &waiting[which.index(waiting.len())];
        let mut bytes = envelope.to_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(envelope) = Envelope::from_bytes(&bytes) else { return };
        let entry = Entry { header: header.clone(), envelope };
        let before = self.ends[&side].store.clone();
        assert!(self.open(side, &entry).is_err(), "bit {bit}");
        assert!(self.ends[&side].store.sessions == before.sessions, "what does not verify changes nothing");
    }

    /// Until nothing is on the way and nothing is unsettled; it takes a few rounds, however much has happened.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.now = self.now.saturating_add(limits::SESSION_RENEWAL_INTERVAL);
            Side::BOTH.into_iter().for_each(|side| self.sync(side));
            let quiet =
                |side| self.relay[&side].waiting.is_empty() && self.ends[&side].store.unsettled().next().is_none();
            if Side::BOTH.into_iter().all(quiet) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Whatever was sent arrived, was evicted, or was refused to the sender's knowledge.
    fn assert_nothing_is_missing(&self) {
        for side in Side::BOTH {
            let recipient = &self.ends[&side.other()];
            for (message, sent) in &self.ends[&side].store.sent {
                match sent.outcome {
                    Some(Status::Delivered) => {
                        assert!(recipient.restored || recipient.store.inbox.contains(message), "{message} is lost");
                    }
                    Some(Status::Evicted) => {}
                    Some(Status::Refused(_)) => {
                        assert_eq!(self.status[message].0.number(), 3, "{message}: given up early")
                    }
                    Some(Status::Waiting) | None => panic!("{message} is not settled"),
                }
            }
        }
    }
}

/// Whatever has happened: nothing is missing, both can still talk, at once, and then there is silence.
fn check_rest(mut world: World) {
    world.settle();
    world.assert_nothing_is_missing();
    for side in Side::BOTH {
        world.send(side);
    }
    world.settle();
    world.assert_nothing_is_missing();
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
        (0..3).for_each(|_| world.send(Alice));
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

    /// Whether anything still arrives is the relay's to say. That a nonce seals once under a key is checked with each seal.
    #[test]
    fn a_relay_that_hides_how_far_it_has_come_sees_no_nonce_twice_under_one_key(
        suite in suite(),
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut world = World::new(suite);
        world.lies = true;
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
        world.lies = true;
        world.send(Side::Alice);
        world.happen(&Event::Backup(Side::Alice));
        (0..3).for_each(|_| world.send(Side::Alice));
        world.happen(&Event::Restore(Side::Alice));
        (0..3).for_each(|_| world.send(Side::Alice));
        assert_eq!(world.keys_repeated, 3, "{suite:?}");
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
    (0..SENT).for_each(|_| world.send(Side::Alice));
    assert_eq!(world.claims, SENT.div_ceil(2_000), "a session for each 2,000");
    world.evict(Side::Bob, SENT - KEPT);
    world.sync(Side::Bob);
    assert_eq!(world.ends[&Side::Bob].store.inbox.len(), KEPT);
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
    (0..3).for_each(|_| world.send(Side::Alice));
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
        (0..limits::MESSAGES_WITHOUT_STEP + 1).for_each(|_| world.send(Side::Alice));
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
