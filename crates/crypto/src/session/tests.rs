//! What a session does with honest messages, late ones, and all others.

use sealpost_protocol::encoding::Decode;

use super::*;
use crate::{
    PrimitivesError, SystemPrimitives, limits,
    testing::{FailingPrimitives, NOW, OneTimeKeys, TestAgent, plaintext, text_of},
};

mod conversation;
mod life;
mod tampering;

/// Two agents with a session between them.
struct Pair {
    alice: TestAgent,
    bob: TestAgent,
    at_alice: Session,
    at_bob: Session,
    sent: u64,
}

/// One message on its way.
#[derive(Clone)]
struct Sent {
    header: Header,
    envelope: Envelope,
    text: String,
}

impl Pair {
    /// Bob has opened Alice's first message.
    fn opened() -> Self {
        let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
        let mut at_alice = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
        let header = alice.header_to(&bob, 0);
        let envelope = at_alice.seal(&SystemPrimitives, &header, &plaintext("0"), NOW).unwrap();
        let (at_bob, _) = bob.respond(&header, &envelope).unwrap();
        Self { alice, bob, at_alice, at_bob, sent: 1 }
    }

    /// And Alice has opened his answer.
    fn answered() -> Self {
        let mut pair = Self::opened();
        let answer = pair.bob_seals();
        pair.alice_opens(&answer).unwrap();
        pair
    }

    fn alice_seals(&mut self) -> Sent {
        let header = self.alice.header_to(&self.bob, self.sent);
        self.sent += 1;
        seal(&mut self.at_alice, header, self.sent)
    }

    fn bob_seals(&mut self) -> Sent {
        let header = self.bob.header_to(&self.alice, self.sent);
        self.sent += 1;
        seal(&mut self.at_bob, header, self.sent)
    }

    fn alice_opens(&mut self, sent: &Sent) -> Result<(), OpenError> {
        open(&mut self.at_alice, sent)
    }

    fn bob_opens(&mut self, sent: &Sent) -> Result<(), OpenError> {
        open(&mut self.at_bob, sent)
    }
}

fn seal(session: &mut Session, header: Header, number: u64) -> Sent {
    let text = number.to_string();
    let envelope = session.seal(&SystemPrimitives, &header, &plaintext(&text), NOW).unwrap();
    Sent { header, envelope, text }
}

/// Opens a message; if it fails, the state must be byte for byte as it was.
fn open(session: &mut Session, sent: &Sent) -> Result<(), OpenError> {
    let before = session.encode();
    match session.open(&sent.header, &sent.envelope, NOW) {
        Ok(plaintext) => {
            assert_eq!(text_of(&plaintext), sent.text);
            Ok(())
        }
        Err(error) => {
            assert_eq!(session.encode(), before, "{error}");
            Err(error)
        }
    }
}

#[test]
fn messages_open_in_order_across_many_steps() {
    let mut pair = Pair::opened();
    for _ in 0..5 {
        for _ in 0..3 {
            let sent = pair.bob_seals();
            pair.alice_opens(&sent).unwrap();
        }
        for _ in 0..2 {
            let sent = pair.alice_seals();
            pair.bob_opens(&sent).unwrap();
        }
    }
}

#[test]
fn messages_that_were_overtaken_open_across_a_step() {
    let mut pair = Pair::answered();
    let (first, second, third) = (pair.alice_seals(), pair.alice_seals(), pair.alice_seals());
    pair.bob_opens(&second).unwrap();
    let answer = pair.bob_seals();
    pair.alice_opens(&answer).unwrap();
    let (fourth, fifth) = (pair.alice_seals(), pair.alice_seals());
    pair.bob_opens(&fifth).unwrap();
    assert_eq!(pair.at_bob.skipped_keys(), 3);
    for late in [&third, &first, &fourth] {
        pair.bob_opens(late).unwrap();
    }
    assert_eq!(pair.at_bob.skipped_keys(), 0);
}

#[test]
fn messages_that_cross_open_on_both_sides() {
    let mut pair = Pair::answered();
    for _ in 0..4 {
        let (to_bob, to_alice) = (pair.alice_seals(), pair.bob_seals());
        pair.bob_opens(&to_bob).unwrap();
        pair.alice_opens(&to_alice).unwrap();
    }
}

#[test]
fn a_repeated_message_is_a_replay_in_the_newest_chain_and_in_older_ones() {
    let mut pair = Pair::answered();
    let early = pair.alice_seals();
    let skipped = pair.alice_seals();
    let overtakes = pair.alice_seals();
    for sent in [&early, &overtakes, &skipped] {
        pair.bob_opens(sent).unwrap();
    }
    let replays = [early, skipped, overtakes];
    for round in 0..5 {
        for sent in &replays {
            assert_eq!(pair.bob_opens(sent), Err(OpenError::Replay), "round {round}");
        }
        let answer = pair.bob_seals();
        pair.alice_opens(&answer).unwrap();
        let sent = pair.alice_seals();
        pair.bob_opens(&sent).unwrap();
    }
}

#[test]
fn a_message_whose_key_was_evicted_no_longer_opens_and_the_session_lives_on() {
    let mut pair = Pair::answered();
    let sent: Vec<Sent> = (0..=limits::SKIPPED_KEYS + 1).map(|_| pair.alice_seals()).collect();
    pair.bob_opens(sent.last().unwrap()).unwrap();
    assert_eq!(pair.at_bob.skipped_keys(), limits::SKIPPED_KEYS);
    assert_eq!(pair.bob_opens(&sent[0]), Err(OpenError::Lost), "the oldest was evicted");
    for late in &sent[1..sent.len() - 1] {
        pair.bob_opens(late).unwrap();
        assert_eq!(pair.bob_opens(late), Err(OpenError::Replay));
    }
    assert_eq!(pair.bob_opens(&sent[0]), Err(OpenError::Lost), "still");
    let next = pair.alice_seals();
    pair.bob_opens(&next).unwrap();
}

#[test]
fn every_envelope_carries_the_same_opening_until_the_initiator_has_opened_an_answer() {
    let mut pair = Pair::opened();
    assert!(!pair.at_alice.is_answered());
    let (one, other) = (pair.alice_seals(), pair.alice_seals());
    assert!(one.envelope.header.opens_session && one.envelope.opening == other.envelope.opening);
    pair.bob_opens(&other).unwrap();
    let answer = pair.bob_seals();
    assert_eq!(answer.envelope.opening, None);
    pair.alice_opens(&answer).unwrap();
    assert!(pair.at_alice.is_answered());
    assert_eq!(pair.alice_seals().envelope.opening, None);
    pair.bob_opens(&one).unwrap();
}

#[test]
fn a_message_under_another_header_does_not_open() {
    let mut pair = Pair::answered();
    let mut sent = pair.alice_seals();
    let header = std::mem::replace(&mut sent.header, pair.alice.header_to(&pair.bob, 999));
    assert_eq!(pair.bob_opens(&sent), Err(OpenError::DecryptionFailed));
    sent.header = header;
    pair.bob_opens(&sent).unwrap();
}

#[test]
fn a_message_of_other_parties_is_neither_sealed_nor_opened() {
    let mut pair = Pair::answered();
    let eve = TestAgent::new(3);
    let mut sent = pair.alice_seals();
    for header in [eve.header_to(&pair.bob, 1), pair.alice.header_to(&eve, 1), pair.bob.header_to(&pair.alice, 1)] {
        let before = pair.at_alice.encode();
        let sealed = pair.at_alice.seal(&SystemPrimitives, &header, &plaintext("x"), NOW);
        assert_eq!(sealed, Err(SealError::OtherParties));
        assert_eq!(pair.at_alice.encode(), before);
        sent.header = header;
        assert_eq!(pair.bob_opens(&sent), Err(OpenError::OtherParties));
    }
}

#[test]
fn a_message_does_not_open_where_it_came_from() {
    let mut pair = Pair::answered();
    let mut sent = pair.alice_seals();
    sent.header = pair.bob.header_to(&pair.alice, 1);
    assert_eq!(pair.alice_opens(&sent), Err(OpenError::DecryptionFailed), "reflected under Bob's name");
}

#[test]
fn a_message_of_another_session_between_the_same_agents_is_refused() {
    let mut pair = Pair::answered();
    let mut renamed = pair.alice_seals();
    renamed.envelope.header.session[0] ^= 1;
    assert_eq!(pair.bob_opens(&renamed), Err(OpenError::OtherSession));
    let mut other = pair.alice.initiate(&pair.bob, Suite::X3dh25519, OneTimeKeys::Out);
    let mut sent = seal(&mut other, pair.alice.header_to(&pair.bob, 70), 70);
    assert_eq!(pair.bob_opens(&sent), Err(OpenError::OtherSession));
    sent.envelope.header.session = pair.at_bob.id().0;
    assert_eq!(pair.bob_opens(&sent), Err(OpenError::OtherSession), "its opening makes another session");
    (sent.envelope.header.opens_session, sent.envelope.opening) = (false, None);
    assert_eq!(pair.bob_opens(&sent), Err(OpenError::DecryptionFailed), "it was sealed for another");
}

#[test]
fn an_initiator_takes_no_opening() {
    let mut pair = Pair::opened();
    let opening = pair.alice_seals().envelope.opening;
    let mut answer = pair.bob_seals();
    (answer.envelope.header.opens_session, answer.envelope.opening) = (true, opening);
    assert_eq!(pair.alice_opens(&answer), Err(OpenError::OtherSession));
}

#[test]
fn a_sender_stops_at_the_bound_and_starts_again_after_an_answer() {
    let mut pair = Pair::answered();
    let sent: Vec<Sent> = (0..limits::UNANSWERED_MESSAGES).map(|_| pair.alice_seals()).collect();
    assert_eq!(pair.at_alice.unanswered(), limits::UNANSWERED_MESSAGES);
    let before = pair.at_alice.encode();
    let header = pair.alice.header_to(&pair.bob, 1);
    let refused = pair.at_alice.seal(&SystemPrimitives, &header, &plaintext("x"), NOW);
    assert_eq!((refused, pair.at_alice.encode()), (Err(SealError::SessionExhausted), before));
    pair.bob_opens(&sent[0]).unwrap();
    let answer = pair.bob_seals();
    pair.alice_opens(&answer).unwrap();
    assert_eq!(pair.at_alice.unanswered(), 0);
    pair.alice_seals();
}

#[test]
fn losing_two_full_chains_but_for_their_ends_does_not_kill_a_session() {
    let mut pair = Pair::answered();
    let first = pair.alice_seals();
    pair.bob_opens(&first).unwrap();
    let answer = pair.bob_seals();
    for _ in 1..limits::UNANSWERED_MESSAGES {
        pair.alice_seals();
    }
    pair.alice_opens(&answer).unwrap();
    let last = (0..limits::UNANSWERED_MESSAGES).map(|_| pair.alice_seals()).last().unwrap();
    assert_eq!(last.envelope.header.previous_counter, limits::UNANSWERED_MESSAGES);
    pair.bob_opens(&last).unwrap();
    assert_eq!(pair.at_bob.skipped_keys(), limits::SKIPPED_KEYS);
}

#[test]
fn what_the_session_tells_about_itself_is_so() {
    let pair = Pair::opened();
    assert_eq!((pair.at_alice.role(), pair.at_bob.role()), (Role::Initiator, Role::Responder));
    assert_eq!((pair.at_alice.unanswered(), pair.at_bob.unanswered()), (1, 0));
    assert_eq!((pair.at_alice.created(), pair.at_bob.created()), (NOW, NOW));
    assert!(pair.at_alice.may_seal() && !pair.at_alice.is_retired() && !pair.at_bob.owes_step());
}

#[test]
fn without_randomness_nothing_is_sealed_and_nothing_moves() {
    let mut pair = Pair::opened();
    for (calls, fails) in [(0, true), (1, true), (2, false)] {
        let before = pair.at_bob.encode();
        let header = pair.bob.header_to(&pair.alice, 1);
        let sealed = pair.at_bob.seal(&FailingPrimitives::after(calls), &header, &plaintext("x"), NOW);
        assert_eq!(sealed.is_err(), fails, "after {calls} calls");
        if let Err(error) = sealed {
            assert_eq!((error, pair.at_bob.encode()), (PrimitivesError::Randomness.into(), before));
        }
    }
}

#[test]
fn a_session_survives_storage_at_every_step() {
    let mut pair = Pair::opened();
    let restart = |session: &mut Session| {
        let stored = session.encode();
        *session = Session::decode(&stored).unwrap();
        assert_eq!(session.encode(), stored);
    };
    for _ in 0..4 {
        for _ in 0..3 {
            restart(&mut pair.at_alice);
            let (lost, sent) = (pair.alice_seals(), pair.alice_seals());
            restart(&mut pair.at_alice);
            restart(&mut pair.at_bob);
            pair.bob_opens(&sent).unwrap();
            restart(&mut pair.at_bob);
            pair.bob_opens(&lost).unwrap();
        }
        let answer = pair.bob_seals();
        restart(&mut pair.at_bob);
        pair.alice_opens(&answer).unwrap();
    }
}

#[test]
fn a_stored_session_that_was_cut_lengthened_or_altered_is_refused_or_says_what_it_says() {
    let mut pair = Pair::opened();
    let late = pair.alice_seals();
    let sent = pair.alice_seals();
    pair.bob_opens(&sent).unwrap();
    pair.bob_seals();
    for stored in [pair.at_alice.encode(), pair.at_bob.encode()] {
        for length in 0..stored.len() {
            assert!(Session::decode(&stored[..length]).is_err(), "{length} bytes");
        }
        assert!(Session::decode(&[&stored[..], &[0]].concat()).is_err());
        for bit in 0..stored.len() * 8 {
            let mut altered = stored.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            if let Ok(session) = Session::decode(&altered) {
                assert_eq!(*session.encode(), altered, "bit {bit}");
            }
        }
    }
    pair.bob_opens(&late).unwrap();
}

#[test]
fn a_stored_session_whose_opening_contradicts_the_rest_is_refused() {
    let (mut unanswered, mut answered) = (Pair::opened().at_alice, Pair::answered().at_alice);
    std::mem::swap(&mut unanswered.side, &mut answered.side);
    assert!(Session::decode(&unanswered.encode()).is_err(), "the opening is gone before the answer");
    assert!(Session::decode(&answered.encode()).is_err(), "the opening is still there after the answer");
    unanswered.side = Side::Responder { opening_hash: [0; 32] };
    assert!(Session::decode(&unanswered.encode()).is_err(), "a responder that has received nothing");
    let mut foreign = Pair::opened().at_alice;
    let (bob, carol) = (TestAgent::new(2), TestAgent::new(3));
    foreign.side = carol.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There).side;
    assert!(Session::decode(&foreign.encode()).is_err(), "another agent's opening");
}

#[test]
fn a_stored_session_fits_the_room_made_for_it() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut session = alice.initiate(&bob, Suite::Pqxdh25519MlKem768, OneTimeKeys::There);
    seal(&mut session, alice.header_to(&bob, 1), 1);
    assert!(session.encode().len() > 1_500, "the opening is in it");
    let mut pair = Pair::answered();
    for _ in 0..=limits::RETIRED_RATCHET_KEYS {
        let sent = (0..limits::SKIPPED_KEYS).map(|_| pair.alice_seals()).last().unwrap();
        pair.bob_opens(&sent).unwrap();
        let answer = pair.bob_seals();
        pair.alice_opens(&answer).unwrap();
    }
    assert!(pair.at_bob.encode().len() > limits::SKIPPED_KEYS * 76 + limits::RETIRED_RATCHET_KEYS * 36);
}

#[test]
fn debug_of_a_session_shows_no_secret() {
    insta::assert_debug_snapshot!(Pair::opened().at_bob, @"
    Session {
        id: SessionId(c927b8d8672de1b5afe3bd490b90a348),
        role: Responder,
        peer: agent1r6sq30788z6hgy6qx8rv67deccaekkm6894xu2tx8m7k6vfrrjwsajjpwe,
        suite: X3dh25519,
        unanswered: 0,
        ..
    }
    ");
}

#[test]
fn every_refusal_is_named_and_those_that_depend_on_secrets_are_one() {
    let errors = [
        OpenError::OtherParties,
        OpenError::OtherSession,
        OpenError::Replay,
        OpenError::Lost,
        OpenError::TooFarAhead,
        OpenError::DecryptionFailed,
        OpenError::Primitives(PrimitivesError::Library),
    ];
    let lines: Vec<String> = errors.iter().map(|error| format!("{error}: {:?}", error.refusal())).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    the message is not from this session's peer to its agent: Some(Undecryptable)
    the envelope belongs to another session: Some(UnknownSession)
    the message's key is used up: Some(Replay)
    the message's key is gone: it came too late: Some(Undecryptable)
    too many messages are missing before this one: Some(Undecryptable)
    decryption failed: Some(Undecryptable)
    the cryptographic library failed: None
    ");
    assert_eq!(OpenError::from(PrimitivesError::Agreement), OpenError::DecryptionFailed, "waiting would not mend it");
}
