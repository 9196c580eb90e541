//! Both handshakes, with and without one-time keys, to the root key and the first envelope.

use sealpost_protocol::{CurveKey, PartHash, Signer, Suite, encoding::Encode};
use serde_json::{Value, json};

use super::{encoded, hex, stored_session::StoredSession};
use crate::{
    CurvePrivateKey, Primitives,
    identity_keys::curve_form,
    testing::{BOTH_SUITES, NOW, OneTimeKeys, SeededPrimitives, TestAgent, plaintext},
};

pub(super) fn vectors() -> Value {
    let one_time = [OneTimeKeys::There, OneTimeKeys::Out];
    BOTH_SUITES.into_iter().flat_map(|suite| one_time.map(|one_time| handshake(suite, one_time))).collect()
}

fn handshake(suite: Suite, one_time: OneTimeKeys) -> Value {
    let (alice, bob) = (TestAgent::new(1), TestAgent::new(2));
    let mut session = alice.initiate(&bob, suite, one_time);
    let stored = StoredSession::of(&session);
    let (header, plaintext) = (alice.header_to(&bob, 0), plaintext("first"));
    let envelope = session.seal(&SeededPrimitives::new(5), &header, &plaintext, NOW).unwrap();
    let (at_bob, _) = bob.respond(&header, &envelope).unwrap();
    assert_eq!(at_bob.id(), session.id());
    let ratchet = SeededPrimitives::new(5);
    json!({
        "suite": suite.as_str(),
        "initiator": "alice",
        "responder": "bob",
        "one_time_keys": one_time == OneTimeKeys::There,
        "agreement": agreement(&alice, &bob, suite, one_time),
        "root_key": hex(stored.root),
        "session_ad": hex(stored.ad.to_bytes().get(4..).unwrap()),
        "session_id": hex(session.id().0),
        "header": encoded(&header),
        "header_hash": hex(header.hash().0),
        "ratchet_private": hex(ratchet.array::<32>()),
        "nonce": hex(ratchet.array::<12>()),
        "plaintext": hex(plaintext.as_bytes()),
        "envelope": encoded(&envelope),
        "part_hash": hex(PartHash::of(&envelope.to_bytes()).0),
    })
}

/// The inputs of the key derivation, and the randomness they come from, drawn as [`TestAgent::initiate`] does.
fn agreement(alice: &TestAgent, bob: &TestAgent, suite: Suite, one_time: OneTimeKeys) -> Value {
    let drawn = SeededPrimitives::new(99);
    let ephemeral_private: [u8; 32] = drawn.array();
    let encapsulation_randomness: [u8; 32] = drawn.array();
    let ephemeral = CurvePrivateKey::copy_of(&ephemeral_private).unwrap();
    let agree = |peer: &CurveKey| hex(ephemeral.agree(peer).unwrap().expose());
    let signed_prekey = bob.manifest.signed.public().key;
    let there = one_time == OneTimeKeys::There;
    let last_resort = bob.manifest.last_resort_kem.as_ref().unwrap().public().key;
    let kem_key = if there { bob.one_time_kem.public().key } else { last_resort };
    let primitives = SeededPrimitives::new(99);
    let _ephemeral: [u8; 32] = primitives.array();
    let (ciphertext, kem_secret) = primitives.encapsulate(&kem_key).unwrap();
    json!({
        "ephemeral_private": hex(ephemeral_private),
        "dh1": hex(alice.identity.agree(&signed_prekey).unwrap().expose()),
        "dh2": agree(&curve_form(&bob.identity.identity_key()).unwrap()),
        "dh3": agree(&signed_prekey),
        "dh4": there.then(|| agree(&bob.one_time_curve.public().key)),
        "encapsulation_randomness": suite.uses_kem().then(|| hex(encapsulation_randomness)),
        "kem_ciphertext": suite.uses_kem().then(|| hex(ciphertext.as_bytes())),
        "kem_secret": suite.uses_kem().then(|| hex(kem_secret.expose())),
    })
}
