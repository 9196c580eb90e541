//! What a session does as time passes: it lets keys expire, asks for ratchet steps and owes them, and retires.

use std::time::Duration;

use super::*;
use crate::Control;

const MINUTE: Duration = Duration::from_secs(60);

fn after(time: Duration) -> Timestamp {
    NOW.saturating_add(time)
}

impl Pair {
    fn alice_seals_at(&mut self, now: Timestamp) -> Sent {
        let header = self.alice.header_to(&self.bob, self.sent);
        self.sent += 1;
        let text = self.sent.to_string();
        let envelope = self.at_alice.seal(&SystemPrimitives, &header, &plaintext(&text), now).unwrap();
        Sent { header, envelope, text }
    }

    /// Whether the message asked Bob for a step.
    fn bob_opens_and_is_asked(&mut self, sent: &Sent, now: Timestamp) -> bool {
        self.at_bob.open(&sent.header, &sent.envelope, now).unwrap().asks_for_step()
    }

    /// Bob's control message, if he owes one.
    fn bob_answers(&mut self, now: Timestamp) -> Option<(Header, Envelope)> {
        if !self.at_bob.owes_step() {
            return None;
        }
        self.sent += 1;
        let header = self.bob.control_to(&self.alice, self.sent);
        let sealed = self.at_bob.seal(&SystemPrimitives, &header, &Control::Step.to_plaintext(), now).unwrap();
        Some((header, sealed))
    }
}

#[test]
fn keys_of_messages_that_can_come_no_more_are_erased_by_resting_sealing_and_opening() {
    let life = limits::SKIPPED_KEY_LIFE;
    type Way = fn(&mut Pair, Timestamp);
    let ways: [Way; 3] = [
        |pair, now| _ = pair.at_bob.age(now),
        |pair, now| {
            let header = pair.bob.header_to(&pair.alice, 90);
            pair.at_bob.seal(&SystemPrimitives, &header, &plaintext("x"), now).unwrap();
        },
        |pair, now| {
            let sent = pair.alice_seals();
            pair.at_bob.open(&sent.header, &sent.envelope, now).unwrap();
        },
    ];
    for way in ways {
        let mut pair = Pair::answered();
        let (late, newest) = (pair.alice_seals(), pair.alice_seals());
        pair.bob_opens(&newest).unwrap();
        way(&mut pair, after(life));
        assert_eq!(pair.at_bob.skipped_keys(), 1, "a message may be as old as this");
        way(&mut pair, after(life + MINUTE));
        assert_eq!(pair.at_bob.skipped_keys(), 0);
        assert_eq!(pair.bob_opens(&late), Err(OpenError::Lost), "it was never opened");
        assert_eq!(pair.bob_opens(&newest), Err(OpenError::Replay), "it was");
    }
}

#[test]
fn a_session_that_rests_says_whether_anything_expired() {
    let mut pair = Pair::answered();
    let (_, newest) = (pair.alice_seals(), pair.alice_seals());
    pair.bob_opens(&newest).unwrap();
    assert!(!pair.at_bob.age(NOW));
    assert!(pair.at_bob.age(after(limits::SKIPPED_KEY_LIFE + MINUTE)));
    assert!(!pair.at_bob.age(after(limits::SKIPPED_KEY_LIFE + MINUTE)));
}

#[test]
fn gaps_and_repetitions_are_told_apart_in_older_chains_and_beyond_their_ends_is_nothing() {
    let mut pair = Pair::answered();
    let sent: Vec<Sent> = (0..limits::SKIPPED_KEYS + 20).map(|_| pair.alice_seals()).collect();
    pair.bob_opens(&sent[5]).unwrap();
    pair.bob_opens(sent.last().unwrap()).unwrap();
    for round in 0..limits::RETIRED_RATCHET_KEYS {
        for (index, late) in sent.iter().enumerate().take(19) {
            let expected = if index == 5 { OpenError::Replay } else { OpenError::Lost };
            assert_eq!(pair.bob_opens(late), Err(expected), "message {index}, round {round}");
        }
        let mut beyond = sent[0].clone();
        beyond.envelope.header.counter = 3_000;
        assert!(matches!(pair.bob_opens(&beyond), Err(OpenError::DecryptionFailed)), "round {round}");
        let answer = pair.bob_seals();
        pair.alice_opens(&answer).unwrap();
        let next = pair.alice_seals();
        pair.bob_opens(&next).unwrap();
    }
    assert_eq!(pair.at_bob.skipped_keys(), limits::SKIPPED_KEYS);
    pair.bob_opens(&sent[sent.len() - 2]).unwrap();
}

#[test]
fn after_a_hundred_messages_without_a_step_one_asks_for_one_and_is_answered() {
    let mut pair = Pair::answered();
    let asked = |pair: &mut Pair| {
        let sent = pair.alice_seals();
        pair.bob_opens_and_is_asked(&sent, NOW)
    };
    // The first makes a step itself.
    for number in 0..limits::MESSAGES_WITHOUT_STEP {
        assert!(!asked(&mut pair), "message {number}");
    }
    assert!(!pair.at_bob.owes_step());
    assert!(asked(&mut pair));
    for number in 1..limits::MESSAGES_WITHOUT_STEP {
        assert!(!asked(&mut pair), "one request is outstanding: {number}");
    }
    assert!(asked(&mut pair), "and is repeated, should it or its answer be lost");
    let (header, envelope) = pair.bob_answers(NOW).unwrap();
    assert!(!pair.at_bob.owes_step(), "one answer for both");
    assert!(pair.at_alice.unanswered() > limits::MESSAGES_WITHOUT_STEP);
    let answer = pair.at_alice.open(&header, &envelope, NOW).unwrap();
    assert_eq!(answer.to_control(), Ok(Control::Step));
    assert_eq!(pair.at_alice.unanswered(), 0, "the ratchet has stepped");
    assert!(!pair.at_alice.owes_step(), "an answer is not answered");
    assert!(!asked(&mut pair));
}

#[test]
fn an_hour_without_a_step_is_long_and_time_alone_sends_nothing() {
    let mut pair = Pair::answered();
    let step = pair.alice_seals();
    pair.bob_opens(&step).unwrap();
    for (minutes, expected) in [(59, false), (60, true), (61, false), (119, false), (120, true)] {
        let now = after(MINUTE * minutes);
        let sent = pair.alice_seals_at(now);
        assert_eq!(pair.bob_opens_and_is_asked(&sent, now), expected, "after {minutes} minutes");
    }
}

#[test]
fn whatever_is_sealed_next_answers_a_request() {
    let mut pair = Pair::answered();
    let step = pair.alice_seals();
    pair.bob_opens(&step).unwrap();
    let now = after(MINUTE * 60);
    let sent = pair.alice_seals_at(now);
    assert!(pair.bob_opens_and_is_asked(&sent, now));
    assert!(pair.at_bob.owes_step());
    let stored = Session::decode(&pair.at_bob.encode()).unwrap();
    assert!(stored.owes_step(), "what is owed survives a restart");
    let answer = pair.bob_seals();
    assert!(!pair.at_bob.owes_step());
    pair.alice_opens(&answer).unwrap();
    assert_eq!(pair.at_alice.unanswered(), 0);
}

#[test]
fn control_messages_never_ask_however_long_no_step_was_made() {
    let mut pair = Pair::answered();
    let long = after(MINUTE * 600);
    for _ in 0..3 {
        pair.sent += 1;
        let header = pair.bob.control_to(&pair.alice, pair.sent);
        let control = Control::Step.to_plaintext();
        let envelope = pair.at_bob.seal(&SystemPrimitives, &header, &control, long).unwrap();
        let opened = pair.at_alice.open(&header, &envelope, long).unwrap();
        assert!(!opened.asks_for_step() && opened.to_control().is_ok());
        assert!(!pair.at_alice.owes_step());
    }
}

#[test]
fn what_is_sealed_goes_under_a_header_of_its_class() {
    let mut pair = Pair::answered();
    let before = pair.at_alice.encode();
    let (ordinary, control) = (pair.alice.header_to(&pair.bob, 7), pair.alice.control_to(&pair.bob, 8));
    for (header, plaintext) in [(&ordinary, Control::Step.to_plaintext()), (&control, plaintext("x"))] {
        let refused = pair.at_alice.seal(&SystemPrimitives, header, &plaintext, NOW);
        assert_eq!(refused, Err(SealError::OtherClass));
    }
    assert_eq!(pair.at_alice.encode(), before);
}

#[test]
fn a_retired_session_seals_nothing_also_after_a_restart_and_opens_all() {
    let mut pair = Pair::answered();
    let now = after(MINUTE * 60);
    let sent = pair.alice_seals_at(now);
    let asking = pair.alice_seals_at(after(MINUTE * 120));
    pair.at_bob.retire();
    pair.at_bob = Session::decode(&pair.at_bob.encode()).unwrap();
    assert!(pair.at_bob.is_retired() && !pair.at_bob.may_seal());
    pair.bob_opens(&sent).unwrap();
    assert!(pair.bob_opens_and_is_asked(&asking, now));
    assert!(!pair.at_bob.owes_step(), "who cannot seal owes nothing");
    let before = pair.at_bob.encode();
    let header = pair.bob.header_to(&pair.alice, 7);
    let refused = pair.at_bob.seal(&SystemPrimitives, &header, &plaintext("x"), now);
    assert_eq!((refused, pair.at_bob.encode()), (Err(SealError::Retired), before));
}

#[test]
fn a_session_may_seal_until_its_chain_is_full() {
    let mut pair = Pair::answered();
    for _ in 0..limits::UNANSWERED_MESSAGES {
        assert!(pair.at_alice.may_seal());
        pair.alice_seals();
    }
    assert!(!pair.at_alice.may_seal());
}

#[test]
fn what_is_missing_is_told_once_with_what_comes_next() {
    let mut pair = Pair::answered();
    let sent: Vec<Sent> = (0..8).map(|_| pair.alice_seals()).collect();
    let opened = |pair: &mut Pair, place: usize| {
        let Sent { header, envelope, .. } = &sent[place];
        pair.at_bob.open(header, envelope, NOW).unwrap().missing_before()
    };
    // Alice's step overtakes nothing of her chain before, all of which was opened.
    let missing: Vec<u32> = [1, 2, 5, 3, 4, 7].into_iter().map(|place| opened(&mut pair, place)).collect();
    assert_eq!(missing, [1, 0, 2, 0, 0, 1], "what is late after all is told no more");
    let answer = pair.bob_seals();
    pair.alice_opens(&answer).unwrap();
    pair.alice_seals();
    let next = pair.alice_seals();
    assert_eq!(pair.at_bob.open(&next.header, &next.envelope, NOW).unwrap().missing_before(), 1);
}

#[test]
fn the_end_of_a_chain_that_is_missing_is_told_with_the_next_chain() {
    let mut pair = Pair::answered();
    let first = pair.alice_seals();
    pair.bob_opens(&first).unwrap();
    let answer = pair.bob_seals();
    let (lost, lost_too) = (pair.alice_seals(), pair.alice_seals());
    pair.alice_opens(&answer).unwrap();
    let (_, next) = (pair.alice_seals(), pair.alice_seals());
    assert_eq!(pair.at_bob.open(&next.header, &next.envelope, NOW).unwrap().missing_before(), 3);
    assert_eq!(pair.at_bob.open(&lost.header, &lost.envelope, NOW).unwrap().missing_before(), 0);
    assert_eq!(pair.at_bob.open(&lost_too.header, &lost_too.envelope, NOW).unwrap().missing_before(), 0);
}

#[test]
fn lost_control_messages_are_not_missed_and_lost_messages_among_them_are() {
    let mut pair = Pair::answered();
    let control = |pair: &mut Pair| {
        pair.sent += 1;
        let header = pair.bob.control_to(&pair.alice, pair.sent);
        let envelope = pair.at_bob.seal(&SystemPrimitives, &header, &Control::Step.to_plaintext(), NOW).unwrap();
        pair.at_bob = Session::decode(&pair.at_bob.encode()).unwrap();
        (header, envelope)
    };
    let missing = |pair: &mut Pair, header: &Header, envelope: &Envelope| {
        pair.at_alice.open(header, envelope, NOW).unwrap().missing_before()
    };
    let first = pair.bob_seals();
    pair.alice_opens(&first).unwrap();
    control(&mut pair);
    control(&mut pair);
    let third = control(&mut pair);
    assert_eq!(missing(&mut pair, &third.0, &third.1), 0, "a control message counts those before it");
    control(&mut pair);
    let message = pair.bob_seals();
    assert_eq!(missing(&mut pair, &message.header, &message.envelope), 0);
    pair.bob_seals();
    control(&mut pair);
    let message = pair.bob_seals();
    assert_eq!(missing(&mut pair, &message.header, &message.envelope), 1, "the message before it");
    for _ in 0..u32::from(limits::CONTROLS_COUNTED) + 3 {
        control(&mut pair);
    }
    let message = pair.bob_seals();
    assert_eq!(missing(&mut pair, &message.header, &message.envelope), 3, "beyond the count they look like messages");
}

#[test]
fn the_first_message_to_arrive_tells_of_those_before_it() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut at_alice = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
    let sent: Vec<Sent> = (0..3).map(|number| seal(&mut at_alice, alice.header_to(&bob, number), number)).collect();
    let (_, plaintext) = bob.respond(&sent[2].header, &sent[2].envelope).unwrap();
    assert_eq!(plaintext.missing_before(), 2);
}

#[test]
fn marks_to_a_peer_that_does_not_answer_come_to_an_end_and_begin_again_with_its_answer() {
    let mut pair = Pair::answered();
    let first = pair.bob_seals();
    pair.alice_opens(&first).unwrap();
    let mark = Control::Mark(crate::Mark { read: None, typing: true }).to_plaintext();
    let mut last = None;
    for _ in 0..limits::MARKS_IN_A_ROW {
        assert!(pair.at_bob.may_mark());
        pair.sent += 1;
        let header = pair.bob.control_to(&pair.alice, pair.sent);
        last = Some((pair.at_bob.seal(&SystemPrimitives, &header, &mark, NOW).unwrap(), header));
    }
    assert!(!pair.at_bob.may_mark(), "alice has seen none of them");
    let (envelope, header) = last.unwrap();
    assert_eq!(pair.at_alice.open(&header, &envelope, NOW).unwrap().missing_before(), 0);
    // She has not stepped yet: bob cannot know that she has it.
    assert!(!pair.at_bob.may_mark());
    let answer = pair.alice_seals();
    pair.bob_opens(&answer).unwrap();
    let next = pair.bob_seals();
    assert_eq!(pair.at_alice.open(&next.header, &next.envelope, NOW).unwrap().missing_before(), 0);
    assert!(pair.at_bob.may_mark());
}

#[test]
fn control_messages_of_chains_before_the_one_that_was_answered_are_not_counted() {
    let mut pair = Pair::answered();
    let step = Control::Step.to_plaintext();
    let control = |pair: &mut Pair| {
        pair.sent += 1;
        let header = pair.bob.control_to(&pair.alice, pair.sent);
        let envelope = pair.at_bob.seal(&SystemPrimitives, &header, &step, NOW).unwrap();
        (header, envelope)
    };
    // A peer that only reads: each of its marks is answered, however many there are.
    for _ in 0..2 * u32::from(limits::MARKS_IN_A_ROW) {
        assert!(pair.at_bob.may_mark());
        let (header, envelope) = control(&mut pair);
        assert_eq!(pair.at_alice.open(&header, &envelope, NOW).unwrap().missing_before(), 0);
        let answer = pair.alice_seals();
        pair.bob_opens(&answer).unwrap();
    }
    // One chain of four, of which the last three are lost with it: they are counted, and those before are not.
    let (header, envelope) = control(&mut pair);
    pair.at_alice.open(&header, &envelope, NOW).unwrap();
    for _ in 0..3 {
        control(&mut pair);
    }
    let answer = pair.alice_seals();
    pair.bob_opens(&answer).unwrap();
    let next = pair.bob_seals();
    assert_eq!(pair.at_alice.open(&next.header, &next.envelope, NOW).unwrap().missing_before(), 0);
}

#[test]
fn an_agent_that_has_heard_nothing_in_its_session_marks_nothing_there() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut at_alice = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
    seal(&mut at_alice, alice.header_to(&bob, 0), 0);
    assert!(at_alice.may_seal() && !at_alice.may_mark());
}
