//! A conversation over a carrier that loses, reorders, repeats and alters, between agents that restart.
//!
//! A model that sees only envelope headers says of every delivery whether it must open: each message opens exactly
//! once, unless its key was evicted; what was evicted is never taken for a repetition; whatever does not open leaves the
//! state as it was.

use std::collections::{HashSet, VecDeque};

use proptest::{prelude::*, sample::Index};
use sealpost_protocol::CurveKey;

use super::*;
use crate::{limits, testing::take_sealed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Alice,
    Bob,
}

#[derive(Debug, Clone)]
enum Event {
    Send(Side, usize),
    Deliver(Side, Index),
    DeliverAgain(Side, Index),
    Alter(Side, Index, Index),
    Lose(Side, Index),
    Restart(Side),
}

fn event() -> impl Strategy<Value = Event> {
    let side = || prop_oneof![Just(Side::Alice), Just(Side::Bob)];
    prop_oneof![
        6 => (side(), 1..6_usize).prop_map(|(side, count)| Event::Send(side, count)),
        1 => (side(), 60..130_usize).prop_map(|(side, count)| Event::Send(side, count)),
        12 => (side(), any::<Index>()).prop_map(|(side, which)| Event::Deliver(side, which)),
        3 => (side(), any::<Index>()).prop_map(|(side, which)| Event::DeliverAgain(side, which)),
        3 => (side(), any::<Index>(), any::<Index>()).prop_map(|(side, which, bit)| Event::Alter(side, which, bit)),
        1 => (side(), any::<Index>()).prop_map(|(side, which)| Event::Lose(side, which)),
        2 => side().prop_map(Event::Restart),
    ]
}

/// What a receiver must be able to open, told from headers alone.
#[derive(Default)]
struct Model {
    newest: Option<(CurveKey, u32)>,
    skipped: VecDeque<(CurveKey, u32)>,
    chains: Vec<CurveKey>,
}

impl Model {
    fn must_open(&self, header: &EnvelopeHeader) -> bool {
        let overtaken = self.skipped.contains(&(header.ratchet_key, header.counter));
        let newest = self.newest.is_some_and(|(key, next)| key == header.ratchet_key && header.counter >= next);
        overtaken || newest || !self.chains.contains(&header.ratchet_key)
    }

    fn opened(&mut self, header: &EnvelopeHeader) {
        let position = (header.ratchet_key, header.counter);
        if let Some(index) = self.skipped.iter().position(|skipped| *skipped == position) {
            self.skipped.remove(index);
            return;
        }
        let start = match self.newest {
            Some((key, next)) if key == header.ratchet_key => next,
            Some((key, next)) => {
                self.skipped.extend((next..header.previous_counter).map(|number| (key, number)));
                0
            }
            None => 0,
        };
        self.skipped.extend((start..header.counter).map(|number| (header.ratchet_key, number)));
        let surplus = self.skipped.len().saturating_sub(limits::SKIPPED_KEYS);
        self.skipped.drain(..surplus);
        self.newest = Some((header.ratchet_key, header.counter + 1));
        if !self.chains.contains(&header.ratchet_key) {
            self.chains.push(header.ratchet_key);
        }
    }
}

/// One agent, and what is on its way to it or has been.
struct End {
    agent: TestAgent,
    session: Option<Session>,
    model: Model,
    on_the_way: Vec<Sent>,
    opened: Vec<Sent>,
}

impl End {
    fn new(agent: TestAgent, session: Option<Session>) -> Self {
        Self { agent, session, model: Model::default(), on_the_way: Vec::new(), opened: Vec::new() }
    }

    fn open(&mut self, sent: &Sent) -> Result<(), Option<OpenError>> {
        if let Some(session) = &mut self.session {
            return open(session, sent).map_err(Some);
        }
        let (session, plaintext) = self.agent.respond(&sent.header, &sent.envelope).map_err(|_| None)?;
        assert_eq!(text_of(&plaintext), sent.text);
        self.session = Some(session);
        Ok(())
    }

    fn deliver(&mut self, sent: Sent) {
        let must_open = self.model.must_open(&sent.envelope.header);
        let opened = self.open(&sent);
        assert_eq!(opened.is_ok(), must_open, "{:?}", sent.envelope.header);
        assert_ne!(opened, Err(Some(OpenError::Replay)), "it was never opened");
        if must_open {
            self.model.opened(&sent.envelope.header);
            self.opened.push(sent);
        }
        if let Some(session) = &self.session {
            assert_eq!(session.skipped_keys(), self.model.skipped.len());
        }
    }

    fn deliver_altered(&mut self, which: Index, bit: Index) {
        let Some(sent) = pick(&self.on_the_way, which).cloned() else { return };
        let mut bytes = sent.envelope.to_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(envelope) = Envelope::from_bytes(&bytes) else { return };
        if self.session.is_some() || envelope.opening.is_some() {
            assert!(self.open(&Sent { envelope, ..sent }).is_err(), "bit {bit}");
        }
    }
}

fn pick(sent: &[Sent], which: Index) -> Option<&Sent> {
    (!sent.is_empty()).then(|| which.get(sent))
}

fn take(sent: &mut Vec<Sent>, which: Index) -> Option<Sent> {
    (!sent.is_empty()).then(|| sent.remove(which.index(sent.len())))
}

struct Conversation {
    alice: End,
    bob: End,
    sent: u64,
}

impl Conversation {
    fn new(suite: Suite) -> Self {
        let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
        let session = alice.initiate(&bob, suite, OneTimeKeys::There);
        Self { alice: End::new(alice, Some(session)), bob: End::new(bob, None), sent: 0 }
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Alice => &mut self.alice,
            Side::Bob => &mut self.bob,
        }
    }

    fn send(&mut self, side: Side) {
        let (from, to) = match side {
            Side::Alice => (&mut self.alice, &mut self.bob),
            Side::Bob => (&mut self.bob, &mut self.alice),
        };
        if let Some(session) = &mut from.session {
            self.sent += 1;
            to.on_the_way.push(seal(session, from.agent.header_to(&to.agent, self.sent), self.sent));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send(side, count) => {
                let unanswered = self.end(side).session.as_ref().map_or(0, Session::unanswered);
                if unanswered < limits::UNANSWERED_MESSAGES / 2 {
                    (0..count).for_each(|_| self.send(side));
                }
            }
            Event::Deliver(side, which) => {
                let end = self.end(side);
                if let Some(sent) = take(&mut end.on_the_way, which) {
                    end.deliver(sent);
                }
            }
            Event::DeliverAgain(side, which) => {
                let end = self.end(side);
                if let Some(sent) = pick(&end.opened, which).cloned() {
                    assert!(end.open(&sent).is_err(), "a message opened twice");
                }
            }
            Event::Alter(side, which, bit) => self.end(side).deliver_altered(which, bit),
            Event::Lose(side, which) => drop(take(&mut self.end(side).on_the_way, which)),
            Event::Restart(side) => {
                let session = &mut self.end(side).session;
                *session = session.as_ref().map(|session| Session::decode(&session.encode()).unwrap());
            }
        }
    }

    /// Whatever happened, both ends can still talk. Returns how many messages were sealed.
    fn end_well(mut self) -> u64 {
        for side in [Side::Alice, Side::Bob, Side::Alice] {
            self.send(side);
            let to = if side == Side::Alice { Side::Bob } else { Side::Alice };
            let newest = self.end(to).on_the_way.pop().unwrap();
            self.end(to).deliver(newest);
        }
        for side in [Side::Alice, Side::Bob] {
            for sent in std::mem::take(&mut self.end(side).on_the_way) {
                self.end(side).deliver(sent);
            }
        }
        self.sent
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_delivered_message_opens_exactly_once_or_was_evicted(
        suite in prop_oneof![Just(Suite::X3dh25519), Just(Suite::Pqxdh25519MlKem768)],
        events in proptest::collection::vec(event(), 1..120),
    ) {
        take_sealed();
        let mut conversation = Conversation::new(suite);
        events.into_iter().for_each(|event| conversation.happen(event));
        let sent = conversation.end_well();
        let keys: HashSet<[u8; 32]> = take_sealed().into_iter().map(|(key, _)| key).collect();
        prop_assert_eq!(keys.len() as u64, sent, "a key for each message");
    }

    #[test]
    fn any_bytes_are_read_as_a_session_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(session) = Session::decode(&bytes) {
            let again = session.encode();
            prop_assert_eq!(&*again, bytes.as_slice());
        }
    }
}
