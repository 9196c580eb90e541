//! What the node's steps around tokens cost beside the primitives that docs/protocol.md counts for them, measured in turns.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

const ROUNDS: usize = 500;
/// As long as a token and a proof are.
const TEXT: [u8; 400] = [5; 400];

#[test]
#[ignore = "a measurement, for an optimised build on a quiet machine"]
fn steps_around_tokens_stay_within_their_primitives() {
    let (node, alice) = (Node::new(), Agent::alice());
    let node_key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let node_signature = node_key.sign(&TEXT);
    let node_public = UnparsedPublicKey::new(&ED25519, node_key.public_key().as_ref());
    let agent_key = SigningKey::from_bytes(&[2; 32]);
    let agent_signature = agent_key.sign(&TEXT);
    let agent_public = agent_key.verifying_key();

    let mut columns: [Vec<Duration>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let connection = ConnectionTokens::new(Peer::nearby());
        let key = TokenKey::new(1);
        let asked = Instant::now();
        black_box(node.authenticator.challenge(NONCE).unwrap());
        let challenge = asked.elapsed();
        let request = signed(&node.claim(&alice, &key), &alice);
        let handed_in = Instant::now();
        let issued = node.buy(request).unwrap();
        let token = challenge + handed_in.elapsed();
        let bought = Bought { token: issued.value, key };
        let (authorization, proof) = (format!("DPoP {}", bought.token), bought.proof(&node));
        let credentials =
            Credentials { authorization: Some(&authorization), proof: Some(&proof), method: METHOD, path: PATH };
        let taken = [
            timed(|| node_key.sign(&TEXT)),
            timed(|| node_public.verify(&TEXT, node_signature.as_ref()).unwrap()),
            timed(|| agent_public.verify_strict(&TEXT, &agent_signature).unwrap()),
            timed(|| IdentityKey::from_array(bought.key.public()).unwrap()),
            token,
            timed(|| node.authenticator.authenticate(&connection, credentials).unwrap()),
        ];
        columns.iter_mut().zip(taken).for_each(|(column, taken)| column.push(taken));
    }

    let [sign, verify, verify_strict, decode, token, first] = columns.map(|mut column| {
        column.sort_unstable();
        column[ROUNDS / 2].as_secs_f64() * 1e6
    });
    for (step, taken, primitives) in
        [("token", token, 2.0 * sign + verify_strict + decode), ("first request on a connection", first, 2.0 * verify)]
    {
        let ratio = taken / primitives;
        println!("{step}: {taken:.1} us, primitives {primitives:.1} us, ratio {ratio:.2}");
        assert!(taken <= (1.3 * primitives).max(primitives + 2.0), "{step} costs {ratio:.2} of its primitives");
    }
}

fn timed<T>(step: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(step());
    begun.elapsed()
}
