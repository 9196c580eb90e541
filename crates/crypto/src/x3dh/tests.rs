//! Both handshakes, and what must not pass for one.

use sealpost_protocol::{CurveKey, Signature};
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    SystemPrimitives,
    testing::{
        BOTH_SUITES, FailingPrimitives, NOW, OneTimeKeys, SeededPrimitives, TestAgent, hex_array, plaintext, text_of,
    },
};

mod bundle_tests;

fn every_handshake() -> impl Iterator<Item = (Suite, OneTimeKeys)> {
    BOTH_SUITES.into_iter().flat_map(|suite| [(suite, OneTimeKeys::There), (suite, OneTimeKeys::Out)])
}

/// Alice's first message to Bob.
fn first_message(
    alice: &TestAgent,
    bob: &TestAgent,
    suite: Suite,
    one_time: OneTimeKeys,
) -> (Session, Header, Envelope) {
    let mut session = alice.initiate(bob, suite, one_time);
    let header = alice.header_to(bob, 0);
    let envelope = session.seal(&SeededPrimitives::new(5), &header, &plaintext("first"), NOW).unwrap();
    (session, header, envelope)
}

#[test]
fn both_handshakes_agree_with_and_without_one_time_keys() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    for (suite, one_time) in every_handshake() {
        let (mut at_alice, header, envelope) = first_message(&alice, &bob, suite, one_time);
        let opening = envelope.opening.as_ref().unwrap();
        assert_eq!(opening.one_time_curve.is_some(), one_time == OneTimeKeys::There);
        assert_eq!(opening.kem.is_some(), suite.uses_kem());
        let (mut at_bob, first) = bob.respond(&header, &envelope).unwrap();
        assert_eq!(text_of(&first), "first");
        assert_eq!((at_alice.id(), at_alice.suite()), (at_bob.id(), suite));
        assert_eq!((at_alice.agent(), at_alice.peer()), (at_bob.peer(), at_bob.agent()));
        let header = bob.header_to(&alice, 1);
        let answer = at_bob.seal(&SystemPrimitives, &header, &plaintext("answer"), NOW).unwrap();
        assert_eq!(text_of(&at_alice.open(&header, &answer, NOW).unwrap()), "answer");
    }
}

#[test]
fn the_root_key_is_derived_as_specified() {
    let secret = |byte| SharedSecret::copy_of(&[byte; 32]);
    let mut secrets = Secrets { agreements: [secret(1), secret(2), secret(3)], one_time: None, kem: None };
    assert_eq!(
        root_key(&secrets, Suite::X3dh25519).unwrap().expose(),
        &hex_array("1215ddab19df1c128c6f5342a3c3c3d79ab9e4615756f922b641bf38e34a35a2"),
    );
    (secrets.one_time, secrets.kem) = (Some(secret(4)), Some(secret(5)));
    assert_eq!(
        root_key(&secrets, Suite::Pqxdh25519MlKem768).unwrap().expose(),
        &hex_array("19bdd49ce0bc08a5bff0b0c1f5dcb70639a19f505120342d7e93909fcddcb7db"),
    );
}

/// `scripts/independent` comes to such bytes from the specification and other libraries.
#[test]
fn the_same_randomness_gives_the_same_session_and_envelope_for_ever() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let prints: Vec<String> = every_handshake()
        .map(|(suite, one_time)| {
            let (session, _, envelope) = first_message(&alice, &bob, suite, one_time);
            let hash = Sha256::digest(sealpost_protocol::encoding::Encode::to_bytes(&envelope));
            let print: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            format!("{suite} {one_time:?}: session {}, envelope {print}", session.id())
        })
        .collect();
    insta::assert_snapshot!(prints.join("\n"), @"
    PQXDH-25519-MLKEM768 There: session 434c1c82331e68d90526968741883296, envelope 46dc564dee0a4056858c467174f125a9
    PQXDH-25519-MLKEM768 Out: session f5071235dee1df543ddf0834a8eb9bd8, envelope 5de2612e08283ea23ad1c7fd5f632a70
    X3DH-25519 There: session c927b8d8672de1b5afe3bd490b90a348, envelope 234e29c5a42aaadc77df2b131740e888
    X3DH-25519 Out: session b565647f5b0118eb4ec94bcc129e96bd, envelope 6278099c4da0a46bcd28a65790597645
    ");
}

#[test]
fn an_opening_that_was_altered_in_any_part_opens_nothing() {
    let (alice, bob, eve) = (TestAgent::new(1), TestAgent::new(2), TestAgent::new(3));
    let other_key = CurvePrivateKey::generate(&SystemPrimitives).unwrap().public_key();
    let (_, header, envelope) = first_message(&alice, &bob, Suite::Pqxdh25519MlKem768, OneTimeKeys::There);
    let altered = |alter: &dyn Fn(&mut Opening)| {
        let mut envelope = envelope.clone();
        alter(envelope.opening.as_mut().unwrap());
        envelope
    };
    let refused = |envelope: &Envelope| bob.respond(&header, envelope).map(drop);
    let other_session = Err(RespondError::Open(OpenError::OtherSession));
    assert_eq!(refused(&altered(&|opening| opening.ephemeral = other_key)), other_session);
    assert_eq!(refused(&altered(&|opening| opening.one_time_curve = None)), other_session);
    assert_eq!(refused(&altered(&|opening| opening.signed_prekey = KeyId(8))), Err(RespondError::OtherKeys));
    assert_eq!(
        refused(&altered(&|opening| opening.kem.as_mut().unwrap().kind = KemPrekeyKind::LastResort)),
        Err(RespondError::OtherKeys),
        "the last-resort key has another id"
    );
    let other_ciphertext = altered(&|opening| {
        let kem = opening.kem.as_mut().unwrap();
        (kem.ciphertext, _) = SystemPrimitives.encapsulate(&bob.one_time_kem.public().key).unwrap();
    });
    assert_eq!(refused(&other_ciphertext), other_session);
    let other_initiator = altered(&|opening| opening.initiator = eve.identity.identity_key());
    assert_eq!(refused(&other_initiator), Err(RespondError::Open(OpenError::OtherParties)));
}

#[test]
fn a_suite_cannot_be_taken_down() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (_, header, envelope) = first_message(&alice, &bob, Suite::Pqxdh25519MlKem768, OneTimeKeys::There);
    let mut downgraded = envelope.clone();
    let opening = downgraded.opening.as_mut().unwrap();
    (opening.suite, opening.kem) = (Suite::X3dh25519, None);
    assert_eq!(
        bob.respond(&header, &downgraded).map(drop),
        Err(RespondError::Open(OpenError::OtherSession)),
        "the suite is in the associated data"
    );
    let mut contradictory = envelope;
    contradictory.opening.as_mut().unwrap().suite = Suite::X3dh25519;
    assert_eq!(bob.respond(&header, &contradictory).map(drop), Err(RespondError::NoOpening));
}

#[test]
fn a_suite_that_the_responder_does_not_take_part_in_is_refused() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (_, header, envelope) = first_message(&alice, &bob, Suite::X3dh25519, OneTimeKeys::There);
    let keys = ResponderKeys { suites: &[Suite::Pqxdh25519MlKem768], ..bob.keys(envelope.opening.as_ref().unwrap()) };
    assert_eq!(respond(&bob.identity, &keys, &header, &envelope, NOW).map(drop), Err(RespondError::SuiteRefused));
}

#[test]
fn keys_that_are_not_the_ones_named_open_nothing() {
    let (alice, bob, carol) = (TestAgent::new(1), TestAgent::new(2), TestAgent::new(3));
    let (_, header, envelope) = first_message(&alice, &bob, Suite::Pqxdh25519MlKem768, OneTimeKeys::There);
    let keys = bob.keys(envelope.opening.as_ref().unwrap());
    let refused = |keys: &ResponderKeys<'_>| respond(&bob.identity, keys, &header, &envelope, NOW).map(drop);
    let failed = Err(RespondError::Open(OpenError::DecryptionFailed));
    assert_eq!(refused(&ResponderKeys { signed_prekey: &carol.manifest.signed, ..keys }), failed, "same id, other key");
    assert_eq!(refused(&ResponderKeys { one_time_curve: Some(&carol.one_time_curve), ..keys }), failed);
    assert_eq!(
        refused(&ResponderKeys { kem: Some(ResponderKemKey::OneTime(&carol.one_time_kem)), ..keys }),
        Err(RespondError::Open(OpenError::OtherSession)),
        "the KEM key's hash is in the associated data"
    );
    assert_eq!(refused(&ResponderKeys { one_time_curve: None, ..keys }), Err(RespondError::OtherKeys));
    assert_eq!(refused(&ResponderKeys { kem: None, ..keys }), Err(RespondError::OtherKeys));
}

#[test]
fn nobody_passes_another_agent_s_session_off_as_its_own() {
    let (alice, bob, eve) = (TestAgent::new(1), TestAgent::new(2), TestAgent::new(3));
    let (_, header, envelope) = first_message(&alice, &bob, Suite::X3dh25519, OneTimeKeys::There);
    let parties = Err(RespondError::Open(OpenError::OtherParties));
    assert_eq!(bob.respond(&eve.header_to(&bob, 0), &envelope).map(drop), parties, "from Eve, under Alice's opening");
    assert_eq!(bob.respond(&alice.header_to(&eve, 0), &envelope).map(drop), parties, "to Eve");
    assert_eq!(
        bob.respond(&alice.header_to(&bob, 1), &envelope).map(drop),
        Err(RespondError::Open(OpenError::DecryptionFailed)),
        "another message of Alice's"
    );
    assert!(bob.respond(&header, &envelope).is_ok());
}

#[test]
fn an_envelope_that_names_another_session_than_its_opening_makes_is_refused() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (_, header, mut envelope) = first_message(&alice, &bob, Suite::X3dh25519, OneTimeKeys::There);
    envelope.header.session[0] ^= 1;
    assert_eq!(bob.respond(&header, &envelope).map(drop), Err(RespondError::Open(OpenError::OtherSession)));
}

#[test]
fn any_of_the_first_messages_opens_the_session_and_the_others_follow_in_any_order() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh25519MlKem768, OneTimeKeys::Out);
    let mut sent: Vec<(Header, Envelope)> = (0..5)
        .map(|number| {
            let header = alice.header_to(&bob, number);
            let text = plaintext(&number.to_string());
            let envelope = at_alice.seal(&SystemPrimitives, &header, &text, NOW).unwrap();
            (header, envelope)
        })
        .collect();
    let (header, envelope) = sent.remove(3);
    let (mut at_bob, opened) = bob.respond(&header, &envelope).unwrap();
    assert_eq!((text_of(&opened).as_str(), at_bob.skipped_keys()), ("3", 3));
    for (number, (header, envelope)) in [0, 1, 2, 4].into_iter().zip(sent).rev() {
        assert_eq!(text_of(&at_bob.open(&header, &envelope, NOW).unwrap()), number.to_string());
    }
}

#[test]
fn both_sides_may_open_a_session_at_once() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let (mut from_alice, to_bob, hello_bob) = first_message(&alice, &bob, Suite::X3dh25519, OneTimeKeys::There);
    let (mut from_bob, to_alice, hello_alice) = first_message(&bob, &alice, Suite::X3dh25519, OneTimeKeys::There);
    let (mut at_bob, _) = bob.respond(&to_bob, &hello_bob).unwrap();
    let (mut at_alice, _) = alice.respond(&to_alice, &hello_alice).unwrap();
    assert_ne!(from_alice.id(), from_bob.id());
    for (sender, receiver) in [(&mut from_alice, &mut at_bob), (&mut at_alice, &mut from_bob)] {
        let header = alice.header_to(&bob, 1);
        let envelope = sender.seal(&SystemPrimitives, &header, &plaintext("more"), NOW).unwrap();
        assert_eq!(text_of(&receiver.open(&header, &envelope, NOW).unwrap()), "more");
    }
}

#[test]
fn an_agent_can_write_to_itself() {
    let alice = TestAgent::new(1);
    let (_, header, envelope) = first_message(&alice, &alice, Suite::Pqxdh25519MlKem768, OneTimeKeys::There);
    assert_eq!(text_of(&alice.respond(&header, &envelope).unwrap().1), "first");
}

#[test]
fn without_randomness_there_is_an_error_and_no_session() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    for calls in 0..2 {
        let expected = bob.expected(&[Suite::Pqxdh25519MlKem768]);
        let bundle = VerifiedBundle::check(bob.bundle(OneTimeKeys::There), &expected, NOW).unwrap();
        let session = initiate(&FailingPrimitives::after(calls), &alice.identity, bundle, NOW);
        assert_eq!(session.map(drop), Err(PrimitivesError::Randomness), "after {calls} calls");
    }
}
