//! Every bit of an envelope matters.

use sealpost_protocol::{CurveKey, HeaderHash};

use super::*;
use crate::{RespondError, curve::CurvePrivateKey};

/// All envelopes that differ from this one in one bit, as far as they are envelopes.
fn one_bit_off(envelope: &Envelope) -> impl Iterator<Item = (usize, Envelope)> {
    let bytes = envelope.to_bytes();
    (0..bytes.len() * 8).filter_map(move |bit| {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        Envelope::from_bytes(&altered).ok().map(|envelope| (bit, envelope))
    })
}

#[test]
fn an_envelope_with_any_bit_flipped_does_not_open() {
    let mut pair = Pair::answered();
    let skipped = pair.alice_seals();
    let newest = pair.alice_seals();
    pair.bob_opens(&newest).unwrap();
    let in_order = pair.alice_seals();
    let answer = pair.bob_seals();
    pair.alice_opens(&answer).unwrap();
    let after_a_step = pair.alice_seals();
    for sent in [skipped, in_order, after_a_step] {
        let mut altered = 0;
        for (bit, envelope) in one_bit_off(&sent.envelope) {
            let result = pair.bob_opens(&Sent { envelope, ..sent.clone() });
            assert!(result.is_err(), "bit {bit}");
            altered += 1;
        }
        assert!(altered > 500, "{altered} altered envelopes");
        pair.bob_opens(&sent).unwrap();
    }
}

#[test]
fn a_repeated_opening_with_any_bit_flipped_does_not_open() {
    let mut pair = Pair::opened();
    let sent = pair.alice_seals();
    assert!(sent.envelope.header.opens_session);
    for (bit, envelope) in one_bit_off(&sent.envelope) {
        assert!(pair.bob_opens(&Sent { envelope, ..sent.clone() }).is_err(), "bit {bit}");
    }
    pair.bob_opens(&sent).unwrap();
}

#[test]
fn a_first_envelope_with_any_bit_flipped_opens_no_session() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut session = alice.initiate(&bob, Suite::X3dh25519, OneTimeKeys::There);
    let sent = seal(&mut session, alice.header_to(&bob, 0), 0);
    for (bit, envelope) in one_bit_off(&sent.envelope) {
        if envelope.opening.is_some() {
            assert!(bob.respond(&sent.header, &envelope).is_err(), "bit {bit}");
        }
    }
    assert!(bob.respond(&sent.header, &sent.envelope).is_ok());
}

#[test]
fn a_kem_ciphertext_with_any_byte_altered_opens_no_session() {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut session = alice.initiate(&bob, Suite::Pqxdh25519MlKem768, OneTimeKeys::There);
    let sent = seal(&mut session, alice.header_to(&bob, 0), 0);
    let kem = sent.envelope.opening.clone().unwrap().kem.unwrap();
    for byte in 0..kem.ciphertext.as_bytes().len() {
        let mut ciphertext = *kem.ciphertext.as_bytes();
        ciphertext[byte] ^= 1;
        let mut envelope = sent.envelope.clone();
        let opening = envelope.opening.as_mut().unwrap();
        opening.kem.as_mut().unwrap().ciphertext = sealpost_protocol::KemCiphertext::from_array(ciphertext);
        let refused = bob.respond(&sent.header, &envelope).map(drop);
        assert_eq!(refused, Err(RespondError::Open(OpenError::OtherSession)), "byte {byte}");
    }
}

#[test]
fn a_forger_without_the_keys_fails_whatever_ratchet_key_and_counters_it_names() {
    let mut pair = Pair::answered();
    let sent = pair.alice_seals();
    let forger = CurvePrivateKey::generate(&SystemPrimitives).unwrap().public_key();
    let known = sent.envelope.header.ratchet_key;
    let forge = |ratchet_key: CurveKey, counter, previous_counter| {
        let mut forged = sent.clone();
        let header = &mut forged.envelope.header;
        (header.ratchet_key, header.counter, header.previous_counter) = (ratchet_key, counter, previous_counter);
        forged
    };
    let (jump, failed, too_far) = (limits::JUMP, Err(OpenError::DecryptionFailed), Err(OpenError::TooFarAhead));
    pair.bob_opens(&sent).unwrap();
    let opened = sent.envelope.header.counter + 1;
    // In the known chain the skip counts from where the chain stands, in a new one the rest of the old chain counts
    // too.
    assert_eq!(pair.bob_opens(&forge(known, opened + jump, 0)), failed);
    assert_eq!(pair.bob_opens(&forge(known, opened + jump + 1, 0)), too_far);
    assert_eq!(pair.bob_opens(&forge(known, u32::MAX, 0)), too_far);
    let answer = pair.bob_seals();
    assert_eq!(pair.bob_opens(&forge(forger, jump, opened)), failed);
    assert_eq!(pair.bob_opens(&forge(forger, jump + 1, opened)), too_far);
    assert_eq!(pair.bob_opens(&forge(forger, jump - 10, opened + 10)), failed);
    assert_eq!(pair.bob_opens(&forge(forger, jump - 10, opened + 11)), too_far);
    assert_eq!(pair.bob_opens(&forge(forger, u32::MAX, u32::MAX)), too_far);
    pair.alice_opens(&answer).unwrap();
}

#[test]
fn a_new_ratchet_key_is_refused_while_none_of_ours_awaits_an_answer() {
    let mut pair = Pair::opened();
    let forger = CurvePrivateKey::generate(&SystemPrimitives).unwrap().public_key();
    let mut sent = pair.alice_seals();
    sent.envelope.header.ratchet_key = forger;
    assert_eq!(pair.bob_opens(&sent), Err(OpenError::DecryptionFailed));
}

#[test]
fn every_field_of_the_envelope_header_is_in_the_associated_data() {
    let pair = Pair::opened();
    let header = |alter: &dyn Fn(&mut EnvelopeHeader)| {
        let mut header = EnvelopeHeader {
            session: [1; 16],
            ratchet_key: pair.alice.one_time_curve.public().key,
            counter: 2,
            previous_counter: 3,
            opens_session: false,
        };
        alter(&mut header);
        pair.at_bob.ad.of_message(&header, &HeaderHash([4; 32]))
    };
    let same = header(&|_| {});
    let alterations: [&dyn Fn(&mut EnvelopeHeader); 5] = [
        &|header| header.session = [9; 16],
        &|header| header.ratchet_key = pair.bob.one_time_curve.public().key,
        &|header| header.counter = 9,
        &|header| header.previous_counter = 9,
        &|header| header.opens_session = true,
    ];
    for alter in alterations {
        assert_ne!(header(alter), same);
    }
}
