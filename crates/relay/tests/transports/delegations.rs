//! What a delegate may ask for, and how what it was given is taken back.

use std::time::Duration;

use biscuit_auth::{
    Biscuit, KeyPair, PrivateKey,
    builder::{Algorithm, BlockBuilder},
};
use ed25519_dalek::SigningKey;
use futures::StreamExt;
use http::HeaderMap;
use sealpost_api::v1::{self, delivery_router_client::DeliveryRouterClient, events_client::EventsClient};
use sealpost_core::conformance::Agent;
use sealpost_protocol::{
    AccessClaim, Clock, DelegationCertificate, DelegationId, ErrorCode, IdentityKey, Signer, Timestamp,
    encoding::Encode, limits,
};
use sealpost_relay::Relay;
use serde_json::Value;
use tonic::metadata::MetadataMap;

use super::{
    ask::Ask,
    authentication::asks_of_members,
    session::Session,
    test_relay::{TestRelay, config},
    token_key::TokenKey,
    wire::Refused,
};

/// What an agent has granted.
struct Granted {
    agent: Agent,
    certificate: DelegationCertificate,
    token: Biscuit,
}

impl Granted {
    fn new(agent: Agent, now: Timestamp, source: &str) -> Self {
        let seed = [42; 32];
        let key = IdentityKey::from_array(SigningKey::from_bytes(&seed).verifying_key().to_bytes()).unwrap();
        let certificate = DelegationCertificate::sign(key, now, &agent);
        let pair = KeyPair::from(&PrivateKey::from_bytes(&seed, Algorithm::Ed25519).unwrap());
        let source = format!("{source}; check if time($time), $time < 99999999999999");
        let token = Biscuit::builder().code(source).unwrap().build(&pair).unwrap();
        Self { agent, certificate, token }
    }

    fn id(&self) -> DelegationId {
        DelegationId::of_block(&self.token.revocation_identifiers()[0])
    }

    /// What a delegate asks for a token with.
    async fn request(&self, relay: &TestRelay, key: &TokenKey) -> v1::IssueTokenRequest {
        let challenge = v1::ChallengeRequest { nonce: vec![7; 32] };
        let challenge = relay.rest().ask(&relay.nobody(), challenge).await.unwrap();
        let challenge: v1::ChallengeResponse = serde_json::from_value(challenge).unwrap();
        let claim = AccessClaim {
            node: relay.relay.node_id(),
            origin: relay.origin.clone(),
            identity: self.agent.identity_key(),
            challenge: challenge.challenge,
            expires: Timestamp::from_millis(challenge.expires_at_ms.try_into().unwrap()),
            token_key: key.public(),
        };
        let hash: String = claim.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let block = BlockBuilder::new().code(format!("check if claim(hex:{hash})")).unwrap();
        let token = self.token.append(block).unwrap().seal().unwrap().to_vec().unwrap();
        v1::IssueTokenRequest {
            identity_key: claim.identity.as_bytes().to_vec(),
            origin: claim.origin,
            challenge: claim.challenge,
            expires_at_ms: challenge.expires_at_ms,
            token_key: claim.token_key.to_vec(),
            signature: Vec::new(),
            delegation: Some(v1::Delegation { certificate: self.certificate.to_bytes(), token }),
        }
    }

    async fn session(&self, relay: &TestRelay) -> Session {
        let key = TokenKey::new(77);
        let request = self.request(relay, &key).await;
        let issued = relay.rest().ask(&relay.nobody(), request).await.unwrap();
        Session { token: issued["token"].as_str().map(str::to_owned), key: key.into(), ..relay.nobody() }
    }
}

/// What it takes to ask.
fn needed(ask: &Ask) -> &'static str {
    match ask.grpc_path().split_once("v1.").unwrap().1 {
        "KeyAgreement/GetManifest" => "any",
        "KeyAgreement/UploadPrekeys" | "DeliveryRouter/Acknowledge" | "Delegations/Revoke" => "the identity",
        "KeyAgreement/ClaimPrekeyBundle" | "DeliveryRouter/Send" => "send",
        "Uploads/Begin" | "Uploads/Append" | "Uploads/Get" => "send",
        "DeliveryRouter/Receive" | "DeliveryRouter/GetStanding" | "Events/List" => "read",
        "Messages/GetStatus" | "Messages/GetBody" => "read",
        other => panic!("who may ask {other}?"),
    }
}

fn is_forbidden(answer: &Result<Value, Refused>) -> bool {
    answer.as_ref().is_err_and(|refusal| refusal.code == ErrorCode::Forbidden)
}

#[tokio::test]
async fn a_delegate_asks_for_what_it_was_granted_and_for_nothing_else_over_each_transport() {
    let relay = TestRelay::start().await;
    relay.member(&Agent::alice()).await;
    let now = relay.clock.now();
    for right in ["send", "read"] {
        let granted = Granted::new(Agent::alice(), now, &format!("right(\"{right}\")"));
        let session = granted.session(&relay).await;
        for wire in relay.wires().await {
            for ask in asks_of_members() {
                let needed = needed(&ask);
                let answer = wire.ask(&session, ask.clone()).await;
                assert_eq!(is_forbidden(&answer), needed != right && needed != "any", "{right}: {ask:?}: {answer:?}");
            }
            let taking = v1::ReceiveRequest { control_taken: 1, ..Default::default() };
            assert!(is_forbidden(&wire.ask(&session, taking).await), "reading takes nothing");
        }
        let channel = relay.channel().await;
        let headers = |path: &str| MetadataMap::from_headers(session.headers("POST", path));
        let asked = |path, message: v1::SubscribeRequest| {
            let mut request = tonic::Request::new(message);
            *request.metadata_mut() = headers(path);
            request
        };
        let events = EventsClient::new(channel.clone())
            .subscribe(asked("/sealpost.v1.Events/Subscribe", v1::SubscribeRequest::default()))
            .await;
        assert_eq!(events.is_ok(), right == "read");
        let mut follow = tonic::Request::new(v1::FollowRequest::default());
        *follow.metadata_mut() = headers("/sealpost.v1.DeliveryRouter/Follow");
        assert_eq!(DeliveryRouterClient::new(channel.clone()).follow(follow).await.is_ok(), right == "read");
        let mut body = tonic::Request::new(v1::GetBodyRequest { message_id: "x".into(), ..Default::default() });
        *body.metadata_mut() = headers("/sealpost.v1.Messages/StreamBody");
        let body = v1::messages_client::MessagesClient::new(channel.clone()).stream_body(body).await;
        assert_eq!(body.err().map(|status| code(&status)).as_deref() == Some("forbidden"), right != "read");
        let mut pieces = tonic::Request::new(futures::stream::empty());
        *pieces.metadata_mut() = headers("/sealpost.v1.Uploads/AppendAll");
        let pieces = v1::uploads_client::UploadsClient::new(channel).append_all(pieces).await;
        assert_eq!(pieces.is_ok(), right == "send");
        let mut headers: HeaderMap = session.headers("GET", "/events");
        for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")] {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        let answer =
            reqwest::Client::new().get(format!("{}/events", relay.origin)).headers(headers).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), if right == "read" { 101 } else { 403 });
    }
}

fn code(status: &tonic::Status) -> String {
    status.metadata().get("sealpost-code").unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_revoked_is_over_at_once_and_stays_so_when_the_relay_starts_anew() {
    let mut relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let now = relay.clock.now();
    let granted = Granted::new(Agent::alice(), now, "right(\"read\")");
    let other = Granted::new(Agent::alice(), now, "right(\"read\"); right(\"send\")");
    let (delegate, bob) = (granted.session(&relay).await, relay.member(&Agent::bob()).await);
    relay.clock.advance(Duration::from_millis(5));

    let mut subscribe = tonic::Request::new(v1::SubscribeRequest::default());
    *subscribe.metadata_mut() = MetadataMap::from_headers(delegate.headers("POST", "/sealpost.v1.Events/Subscribe"));
    let mut events = EventsClient::new(relay.channel().await).subscribe(subscribe).await.unwrap().into_inner();
    let wire = relay.rest();
    let waiting = wire.ask(&delegate, v1::ReceiveRequest { wait_ms: 40_000, ..Default::default() });
    let revoking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let request = v1::RevokeRequest { delegation_ids: vec![granted.id().0.to_vec()], certified_until_ms: None };
        relay.grpc().await.ask(&alice, request).await.unwrap();
    };
    let both = async { tokio::join!(waiting, revoking) };
    let (waited, ()) = tokio::time::timeout(Duration::from_secs(10), both).await.expect("it does not wait on");
    assert_eq!(waited.unwrap_err().code, ErrorCode::TokenExpired);
    let end = tokio::time::timeout(Duration::from_secs(5), events.next()).await.expect("an end").unwrap();
    assert_eq!(code(&end.unwrap_err()), "token-expired");

    for wire in relay.wires().await {
        for ended in [&delegate, &alice] {
            let refused = wire.ask(ended, v1::ReceiveRequest::default()).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::TokenExpired);
        }
        assert!(wire.ask(&bob, v1::ReceiveRequest::default()).await.is_ok(), "another agent's");
        let again = granted.request(&relay, &TokenKey::new(5)).await;
        assert_eq!(wire.ask(&relay.nobody(), again).await.unwrap_err().code, ErrorCode::Forbidden);
    }
    relay.clock.advance(Duration::from_millis(5));
    let (alice, other) = (relay.session(&Agent::alice()).await, other.session(&relay).await);
    for session in [&alice, &other] {
        assert!(relay.rest().ask(session, v1::ReceiveRequest::default()).await.is_ok(), "who still may gets another");
    }

    relay.relay.stop().await;
    let started = Relay::start_with_clock(config(&relay.data_dir), relay.clock.clone()).await.unwrap();
    relay.origin = format!("http://{}", started.address());
    relay.relay = started;
    let moved = |session: &Session| Session { origin: relay.origin.clone(), ..session.clone() };
    for wire in relay.wires().await {
        let refused = wire.ask(&moved(&delegate), v1::ReceiveRequest::default()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::TokenExpired, "a token outlives the process, and its end does");
        assert!(wire.ask(&moved(&other), v1::ReceiveRequest::default()).await.is_ok());
        let again = granted.request(&relay, &TokenKey::new(5)).await;
        assert_eq!(wire.ask(&relay.nobody(), again).await.unwrap_err().code, ErrorCode::Forbidden);
    }
}

#[tokio::test]
async fn all_delegations_until_a_time_are_revoked_and_later_ones_are_not() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let now = relay.clock.now();
    let early = Granted::new(Agent::alice(), now, "right(\"read\")");
    relay.clock.advance(Duration::from_secs(1));
    let until = i64::try_from(relay.clock.now().as_millis()).unwrap();
    let ahead = v1::RevokeRequest { delegation_ids: Vec::new(), certified_until_ms: Some(until + 9_999_999) };
    relay.rest().ask(&alice, ahead).await.unwrap();
    relay.clock.advance(limits::CLOCK_AHEAD + Duration::from_secs(1));
    let late = Granted::new(Agent::alice(), relay.clock.now(), "right(\"read\")");
    let request = early.request(&relay, &TokenKey::new(5)).await;
    assert_eq!(relay.rest().ask(&relay.nobody(), request).await.unwrap_err().code, ErrorCode::Forbidden);
    late.session(&relay).await;
}

#[tokio::test]
async fn a_malformed_revocation_or_delegation_changes_nothing() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let now = relay.clock.now();
    let granted = Granted::new(Agent::alice(), now, "right(\"read\")");
    let ids = |count: usize, length: usize| v1::RevokeRequest {
        delegation_ids: vec![vec![1; length]; count],
        certified_until_ms: None,
    };
    let negative = v1::RevokeRequest { delegation_ids: Vec::new(), certified_until_ms: Some(-1) };
    for wire in relay.wires().await {
        for (request, code) in [
            (ids(1, 15), ErrorCode::Malformed),
            (ids(1, 17), ErrorCode::Malformed),
            (ids(limits::REVOKED_PER_REQUEST + 1, 16), ErrorCode::TooLarge),
            (negative.clone(), ErrorCode::Malformed),
        ] {
            assert_eq!(wire.ask(&alice, request).await.unwrap_err().code, code);
        }
        assert!(wire.ask(&alice, v1::ReceiveRequest::default()).await.is_ok(), "no token has ended");
        let right = granted.request(&relay, &TokenKey::new(6)).await;
        let delegation = right.delegation.clone().unwrap();
        let with = |certificate: Vec<u8>| v1::IssueTokenRequest {
            delegation: Some(v1::Delegation { certificate, ..delegation.clone() }),
            ..right.clone()
        };
        let mut flipped = delegation.certificate.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut too_long = granted.certificate.to_bytes();
        too_long[72] = 1; // its end, in the greatest byte
        for (request, code) in [
            (with(Vec::new()), ErrorCode::Malformed),
            (with(delegation.certificate[1..].to_vec()), ErrorCode::Malformed),
            (with([&delegation.certificate[..], &[0]].concat()), ErrorCode::Malformed),
            (with(flipped), ErrorCode::BadSignature),
            (with(too_long), ErrorCode::Malformed),
            (v1::IssueTokenRequest { signature: vec![1; 64], ..right.clone() }, ErrorCode::Malformed),
            (v1::IssueTokenRequest { delegation: None, ..right.clone() }, ErrorCode::Malformed),
        ] {
            assert_eq!(wire.ask(&relay.nobody(), request).await.unwrap_err().code, code);
        }
        wire.ask(&relay.nobody(), right).await.unwrap();
    }
}
