//! From a delegation to a token, and what ends either.

use std::time::Duration;

use biscuit_auth::{
    Biscuit, KeyPair, PrivateKey,
    builder::{Algorithm, BlockBuilder},
};
use ed25519_dalek::SigningKey;
use futures::FutureExt;
use proptest::prelude::*;
use sealpost_core::conformance::NOW;
use sealpost_protocol::{DelegationCertificate, DelegationId, SigningInput, limits as wire};

use super::*;

const ALL: &str = "right(\"send\"); right(\"read\"); check if time($time), $time < 99999999999999";

/// A key that an agent has certified.
struct DelegationKey(SigningKey);

impl Signer for DelegationKey {
    fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_array(self.0.verifying_key().to_bytes()).unwrap()
    }

    fn sign(&self, _: &SigningInput) -> Signature {
        unreachable!("only Biscuits are signed with it")
    }
}

impl DelegationKey {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    fn pair(&self) -> KeyPair {
        KeyPair::from(&PrivateKey::from_bytes(&self.0.to_bytes(), Algorithm::Ed25519).unwrap())
    }

    fn certificate(&self, agent: &Agent) -> DelegationCertificate {
        DelegationCertificate::sign(self.identity_key(), NOW, agent)
    }

    fn token(&self, source: &str) -> Biscuit {
        Biscuit::builder().code(source).unwrap().build(&self.pair()).unwrap()
    }
}

fn narrowed(token: &Biscuit, source: &str) -> Biscuit {
    token.append(BlockBuilder::new().code(source).unwrap()).unwrap()
}

/// Bound to a claim, as a delegate shows it.
fn bound(token: &Biscuit, claim: &AccessClaim) -> Biscuit {
    let hash: String = claim.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    narrowed(token, &format!("check if claim(hex:{hash})")).seal().unwrap()
}

fn request(claim: &AccessClaim, certificate: DelegationCertificate, token: &Biscuit) -> TokenRequest {
    raw_request(claim, certificate, token.to_vec().unwrap())
}

fn raw_request(claim: &AccessClaim, certificate: DelegationCertificate, token: Vec<u8>) -> TokenRequest {
    let warrant = Warrant::Delegation(Box::new(Delegation { certificate, token }));
    TokenRequest { warrant, ..signed(claim, &Agent::alice()) }
}

/// Whom a token that is bought for a request names.
fn caller(node: &Node, key: TokenKey, request: TokenRequest) -> Caller {
    let issued = node.buy(request).unwrap();
    let bought = Bought { token: issued.value, key };
    node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&bought.proof(node))).unwrap()
}

#[test]
fn a_delegate_may_do_what_its_delegation_grants_and_nothing_else() {
    let (node, alice, key) = (Node::new(), Agent::alice(), DelegationKey::new(1));
    let all = key.token(ALL);
    let only = |right: &str| narrowed(&all, &format!("check if operation(\"{right}\")"));
    for (token, send, read) in [(all.clone(), true, true), (only("send"), true, false), (only("read"), false, true)] {
        let claim = node.claim(&alice, &TokenKey::new(1));
        let caller = caller(&node, TokenKey::new(1), request(&claim, key.certificate(&alice), &bound(&token, &claim)));
        assert_eq!(caller.agent(), alice.id());
        assert_eq!(caller.may(Right::Send).is_ok(), send);
        assert_eq!(caller.may(Right::Read).is_ok(), read);
        assert_eq!(caller.itself(), Err(AuthenticationError::NotTheIdentity));
    }
    let claim = node.claim(&alice, &TokenKey::new(2));
    let caller = caller(&node, TokenKey::new(2), signed(&claim, &alice));
    assert!(caller.may(Right::Send).is_ok() && caller.may(Right::Read).is_ok() && caller.itself().is_ok());
}

#[test]
fn a_token_ends_with_its_delegation() {
    let (node, alice, key) = (Node::new(), Agent::alice(), DelegationKey::new(1));
    let claim = node.claim(&alice, &TokenKey::new(1));
    let soon = NOW.saturating_add(Duration::from_secs(90));
    let token = narrowed(&key.token(ALL), &format!("check if time($time), $time < {}", soon.as_millis()));
    let shown = request(&claim, key.certificate(&alice), &bound(&token, &claim));
    assert_eq!(node.buy(shown).unwrap().expires.as_millis(), soon.as_millis() / 1_000 * 1_000);
    node.clock.set(soon.saturating_sub(Duration::from_millis(1)));
    assert!(soon.as_millis() % 1_000 > 1, "less is left than the second that tokens end on");
    let claim = node.claim(&alice, &TokenKey::new(1));
    let error = node.refusal_of(request(&claim, key.certificate(&alice), &bound(&token, &claim)));
    assert_eq!(error, AuthenticationError::DelegationExpired, "no token is issued that has ended");
    node.clock.set(soon);
    let claim = node.claim(&alice, &TokenKey::new(2));
    let error = node.refusal_of(request(&claim, key.certificate(&alice), &bound(&token, &claim)));
    assert_eq!((&error, error.code()), (&AuthenticationError::DelegationExpired, ErrorCode::Expired));
    node.clock.set(NOW.saturating_add(wire::DELEGATION_KEY_LIFE));
    let claim = node.claim(&alice, &TokenKey::new(3));
    let error = node.refusal_of(request(&claim, key.certificate(&alice), &bound(&key.token(ALL), &claim)));
    assert_eq!(error, AuthenticationError::DelegationExpired, "its certificate's life is over");
}

#[test]
fn each_wrong_delegation_has_its_refusal_and_none_uses_up_the_challenge() {
    let (node, alice, key) = (Node::new(), Agent::alice(), DelegationKey::new(1));
    let claim = node.claim(&alice, &TokenKey::new(1));
    let all = key.token(ALL);
    let other_claim = AccessClaim { token_key: TokenKey::new(9).public(), ..claim.clone() };
    let third_party = {
        let block = all.third_party_request().unwrap();
        let block = block.create_block(&KeyPair::new().private(), BlockBuilder::new()).unwrap();
        all.append_third_party(KeyPair::new().public(), block)
    };
    assert!(third_party.is_err(), "a block of another's key than it names");
    let third_party = {
        let other = KeyPair::new();
        let block = all.third_party_request().unwrap().create_block(&other.private(), BlockBuilder::new()).unwrap();
        all.append_third_party(other.public(), block).unwrap()
    };
    let endless = "f(0); f(1); f(2); check if f($a), f($b), f($c), f($d), $a + $b + $c + $d == -1";
    let mut cut = bound(&all, &claim).to_vec().unwrap();
    cut.pop();
    let long = vec![0; wire::DELEGATION_TOKEN + 1];
    let certified = || key.certificate(&alice);
    let bytes = |token: &Biscuit| token.to_vec().unwrap();
    let many = (0..wire::DELEGATION_BLOCKS).fold(all.clone(), |token, _| narrowed(&token, ""));
    let cases = [
        (
            "another's certificate",
            DelegationCertificate::sign(key.identity_key(), NOW, &Agent::mallory()),
            bytes(&bound(&all, &claim)),
        ),
        ("another key's token", certified(), bytes(&bound(&DelegationKey::new(2).token(ALL), &claim))),
        (
            "a certificate of the future",
            DelegationCertificate::sign(key.identity_key(), NOW.saturating_add(2 * wire::CLOCK_AHEAD), &alice),
            bytes(&bound(&all, &claim)),
        ),
        ("not sealed", certified(), bytes(&narrowed(&all, "check if claim(hex:00)"))),
        ("sealed and not bound", certified(), bytes(&all.seal().unwrap())),
        ("bound to another claim", certified(), bytes(&bound(&all, &other_claim))),
        ("bound first and narrowed afterwards", certified(), {
            let hash: String = claim.hash().iter().map(|byte| format!("{byte:02x}")).collect();
            let token = narrowed(&all, &format!("check if claim(hex:{hash})"));
            bytes(&narrowed(&token, "check if operation(\"read\")").seal().unwrap())
        }),
        ("a third party's block", certified(), bytes(&bound(&third_party, &claim))),
        ("a program", certified(), bytes(&bound(&narrowed(&all, endless), &claim))),
        ("more granted by a holder", certified(), bytes(&bound(&narrowed(&all, "right(\"sign\")"), &claim))),
        (
            "nothing granted",
            certified(),
            bytes(&bound(&key.token("check if time($time), $time < 99999999999999"), &claim)),
        ),
        ("no end", certified(), bytes(&bound(&key.token("right(\"send\")"), &claim))),
        ("too many blocks", certified(), bytes(&bound(&many, &claim))),
        ("cut", certified(), cut),
        ("empty", certified(), Vec::new()),
        ("too long", certified(), long),
    ];
    let mut refusals = Vec::new();
    for (name, certificate, token) in cases {
        let error = node.authenticator.check_claim(raw_request(&claim, certificate, token)).err().expect(name);
        refusals.push(format!("{name}: {error} [{}]", error.code()));
    }
    insta::assert_snapshot!(refusals.join("\n"));
    let right = request(&claim, certified(), &bound(&all, &claim));
    assert!(node.buy(right.clone()).is_ok(), "the challenge is still good");
    assert_eq!(node.buy(right).err(), Some(AuthenticationError::Challenge), "what was shown once is worth nothing");
}

#[test]
fn what_is_revoked_ends_tokens_of_until_then_and_no_others() {
    let (node, alice, bob) = (Node::new(), Agent::alice(), Agent::bob());
    let of = |agent: &Agent, seed: u8| {
        let (bought, connection) = (node.token(agent, seed), ConnectionTokens::new(Peer::nearby()));
        node.present(&connection, &bought.token, Some(&bought.proof(&node))).unwrap();
        (bought, connection)
    };
    let (before, others) = (of(&alice, 1), of(&bob, 2));
    let unseen = node.token(&alice, 3);
    node.authenticator.end_tokens([(alice.id(), node.clock.now())]);
    let again = |(bought, connection): &(Bought, ConnectionTokens)| node.present(connection, &bought.token, None);
    assert_eq!(again(&before), Err(AuthenticationError::TokenRevoked));
    assert_eq!(AuthenticationError::TokenRevoked.code(), ErrorCode::TokenExpired);
    let elsewhere = ConnectionTokens::new(Peer::nearby());
    let shown = node.present(&elsewhere, &unseen.token, Some(&unseen.proof(&node)));
    assert_eq!(shown, Err(AuthenticationError::TokenRevoked));
    assert!(again(&others).is_ok());
    node.clock.advance(Duration::from_millis(1));
    assert!(again(&of(&alice, 4)).is_ok(), "a token that was issued since");
    node.authenticator.end_tokens([(alice.id(), NOW)]);
    assert_eq!(again(&before), Err(AuthenticationError::TokenRevoked), "an earlier time takes nothing back");
}

#[tokio::test]
async fn who_waits_with_a_token_hears_that_it_is_revoked() {
    let (node, alice) = (Node::new(), Agent::alice());
    let bought = node.token(&alice, 1);
    let proof = bought.proof(&node);
    let caller = node.present(&ConnectionTokens::new(Peer::nearby()), &bought.token, Some(&proof)).unwrap();
    let waits = node.authenticator.revoked(caller);
    tokio::pin!(waits);
    node.authenticator.end_tokens([(Agent::bob().id(), node.clock.now())]);
    assert!((&mut waits).now_or_never().is_none(), "it is another agent's");
    node.authenticator.end_tokens([(alice.id(), node.clock.now())]);
    assert_eq!(waits.await, AuthenticationError::TokenRevoked);
}

#[test]
fn a_delegation_is_named_by_each_of_its_blocks() {
    let (node, alice, key) = (Node::new(), Agent::alice(), DelegationKey::new(1));
    let claim = node.claim(&alice, &TokenKey::new(1));
    let token = narrowed(&key.token(ALL), "check if operation(\"read\")");
    let names: Vec<_> = token.revocation_identifiers().iter().map(|block| DelegationId::of_block(block)).collect();
    let shown = request(&claim, key.certificate(&alice), &bound(&token, &claim));
    let shown = node.authenticator.check_claim(shown).unwrap().shown.unwrap();
    assert_eq!((shown.agent, shown.certified), (alice.id(), NOW));
    assert_eq!(shown.blocks[..2], names);
    assert_eq!(shown.blocks.len(), 3, "the block that binds it has a name, too");
}

proptest! {
    /// Whatever a stranger sends is refused, unless it says the same in other bytes; and nothing panics.
    #[test]
    fn damaged_tokens_are_refused(place in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<prop::sample::Index>()) {
        let (node, alice, key) = (Node::new(), Agent::alice(), DelegationKey::new(1));
        let claim = node.claim(&alice, &TokenKey::new(1));
        let right = bound(&key.token(ALL), &claim).to_vec().unwrap();
        let wanted = node.authenticator.check_claim(raw_request(&claim, key.certificate(&alice), right.clone())).unwrap();
        let mut flipped = right.clone();
        flipped[place.index(right.len())] ^= 1 << bit;
        for token in [flipped, right[..cut.index(right.len())].to_vec()] {
            match node.authenticator.check_claim(raw_request(&claim, key.certificate(&alice), token)) {
                Err(error) => prop_assert!(matches!(error, AuthenticationError::BadDelegation(_)), "{error:?}"),
                Ok(checked) => prop_assert_eq!((checked.shown, checked.authority), (wanted.shown.clone(), wanted.authority)),
            }
        }
    }
}
