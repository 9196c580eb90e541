//! What a relay and an agent read of each other's requests and answers: JSON forms, their conversions, and origins. The
//! corpora are replayed by the tests of `sealpost-api`, which include this file.

use std::str::FromStr;

use prost::Message;
use sealpost_api::{Origin, convert, v1};
use sealpost_protocol::{
    AgentId, Bundle, ClaimId, DeliveryStatus, Header, MessageClass, MessageRef, ReceiptBatch, SignedManifest,
    encoding::Encode,
};
use serde::{Serialize, de::DeserializeOwned};

/// A target's name, and what it does with its input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 3] = [("json_forms", json_forms), ("protobuf_forms", protobuf_forms), ("origin", origin)];

const CALLER: AgentId = AgentId::from_array([1; 32]);
const NONCE: [u8; 32] = [2; 32];

/// A value in its JSON form reads back as it is, and as protobuf.
fn form<T: Serialize + DeserializeOwned + PartialEq + Message + Default>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    let again = serde_json::to_string(&value).expect("what was read can be written");
    assert!(serde_json::from_str::<T>(&again).expect("what was written can be read") == value, "JSON reads back");
    assert!(T::decode(value.encode_to_vec().as_slice()).expect("its own bytes") == value, "protobuf reads back");
    Some(value)
}

/// Any text as each of the forms that travel in JSON.
pub fn json_forms(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    form::<v1::ChallengeRequest>(text);
    form::<v1::AppendRequest>(text);
    form::<v1::BeginUploadRequest>(text);
    form::<v1::UploadRequest>(text);
    form::<v1::ReceiveRequest>(text);
    form::<v1::FollowRequest>(text);
    form::<v1::GetBodyRequest>(text);
    form::<v1::ListEventsRequest>(text);
    form::<v1::SubscribeRequest>(text);
    form::<v1::ChallengeResponse>(text).iter().for_each(challenge);
    form::<v1::IssueTokenRequest>(text).iter().for_each(token_request);
    form::<v1::UploadPrekeysRequest>(text).iter().for_each(upload);
    form::<v1::ClaimPrekeyBundleRequest>(text).iter().for_each(claim);
    form::<v1::GetStatusRequest>(text).iter().for_each(status_request);
    form::<v1::PrekeyBundle>(text).iter().for_each(bundle);
    form::<v1::SendRequest>(text).iter().for_each(submission);
    form::<v1::AcknowledgeRequest>(text).iter().for_each(acknowledgement);
    form::<v1::DeliveryStatus>(text).iter().for_each(status);
}

/// Any bytes as protobuf.
pub fn protobuf_forms(input: &[u8]) {
    fn read<T: Message + Default + PartialEq>(input: &[u8]) -> Option<T> {
        let value = T::decode(input).ok()?;
        assert!(T::decode(value.encode_to_vec().as_slice()).expect("its own bytes") == value, "protobuf reads back");
        Some(value)
    }
    read::<v1::ChallengeResponse>(input).iter().for_each(challenge);
    read::<v1::IssueTokenRequest>(input).iter().for_each(token_request);
    read::<v1::UploadPrekeysRequest>(input).iter().for_each(upload);
    read::<v1::PrekeyBundle>(input).iter().for_each(bundle);
    read::<v1::SendRequest>(input).iter().for_each(submission);
    read::<v1::AcknowledgeRequest>(input).iter().for_each(acknowledgement);
    read::<v1::DeliveryStatus>(input).iter().for_each(status);
}

/// Any text as an origin: written in one way, it is the same again.
pub fn origin(input: &[u8]) {
    let Some(origin) = str::from_utf8(input).ok().and_then(|text| Origin::from_str(text).ok()) else { return };
    let written = origin.to_string();
    assert_eq!(written.parse(), Ok(origin), "what is written reads back");
    assert_eq!(written, written.to_ascii_lowercase());
    let (scheme, authority) = written.split_once("://").expect("a scheme");
    let (host, port) = authority.rsplit_once(':').expect("a port");
    assert!(scheme == "http" || scheme == "https");
    assert!(port.parse::<u16>().is_ok_and(|port| port > 0) && !host.is_empty());
    assert!(!authority.contains(['/', '@', '?', '#', ' ', '\\']), "nothing but host and port: {authority}");
}

fn challenge(answer: &v1::ChallengeResponse) {
    let Ok((signed, signature)) = answer.clone().into_signed(NONCE) else { return };
    let again = v1::ChallengeResponse::from_signed(signed.clone(), &signature);
    assert_eq!(again.into_signed(NONCE), Ok((signed, signature)));
}

fn token_request(request: &v1::IssueTokenRequest) {
    if let Ok(key) = convert::decode::<sealpost_protocol::IdentityKey>("identity_key", &request.identity_key) {
        assert_eq!(request.identity_key, key.as_bytes());
    }
    if let Ok(time) = convert::timestamp("expires_at_ms", request.expires_at_ms) {
        assert_eq!(convert::millis(time), request.expires_at_ms);
    }
    assert_eq!(convert::array::<64>("signature", &request.signature).is_ok(), request.signature.len() == 64);
}

fn upload(request: &v1::UploadPrekeysRequest) {
    if let Ok(manifest) = convert::decode::<SignedManifest>("manifest", &request.manifest) {
        assert_eq!(manifest.to_bytes(), request.manifest);
    }
    let keys = convert::decode_all::<sealpost_protocol::OneTimePrekey<sealpost_protocol::CurveKey>>(
        "one_time_curve",
        &request.one_time_curve,
    );
    if let Ok(keys) = keys {
        assert_eq!(keys.iter().map(Encode::to_bytes).collect::<Vec<_>>(), request.one_time_curve);
    }
}

fn claim(request: &v1::ClaimPrekeyBundleRequest) {
    if let Ok(agent) = convert::agent_id("agent_id", &request.agent_id) {
        assert_eq!(convert::agent_id("agent_id", &agent.to_string()), Ok(agent));
    }
    if let Ok(id) = convert::decode::<ClaimId>("claim_id", &request.claim_id) {
        assert_eq!(request.claim_id, id.0);
    }
}

fn status_request(request: &v1::GetStatusRequest) {
    if let Ok(MessageRef { sender, id }) = convert::message_ref(CALLER, &request.sender, &request.message_id) {
        assert_eq!(convert::message_ref(CALLER, &sender.to_string(), &id.to_string()), Ok(MessageRef { sender, id }));
    }
}

fn bundle(bundle: &v1::PrekeyBundle) {
    if let Ok(known) = Bundle::try_from(bundle.clone()) {
        assert_eq!(v1::PrekeyBundle::from(&known), *bundle, "a bundle has one form");
    }
}

fn submission(request: &v1::SendRequest) {
    if let Ok(header) = convert::decode::<Header>("header", &request.header) {
        assert_eq!(header.to_bytes(), request.header);
        assert!(header.fields().class == MessageClass::Ordinary || header.fields().body.is_none());
    }
    for part in &request.parts {
        let attempt = convert::attempt(part.attempt).map(|attempt| u32::from(attempt.number()));
        assert!(attempt.is_err() || attempt == Ok(part.attempt));
    }
}

fn acknowledgement(request: &v1::AcknowledgeRequest) {
    if let Ok(batch) = convert::decode::<ReceiptBatch>("receipts", &request.receipts) {
        assert_eq!(batch.to_bytes(), request.receipts);
    }
}

fn status(status: &v1::DeliveryStatus) {
    let Ok(known) = DeliveryStatus::try_from(status.clone()) else { return };
    let again = v1::DeliveryStatus::from(&known);
    assert_eq!(DeliveryStatus::try_from(again.clone()).as_ref(), Ok(&known));
    assert_eq!(v1::DeliveryStatus { recipient: again.recipient.clone(), ..status.clone() }, again, "one form each");
}

/// A target, the name of an input, and its bytes.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// The first corpora, of what those of the formats are made of.
pub fn seeds() -> Vec<Seed> {
    let manifest = include_bytes!("../corpus/manifest/pqxdh").to_vec();
    let one_time_curve = include_bytes!("../corpus/one_time_prekey/curve").to_vec();
    let one_time_kem = include_bytes!("../corpus/one_time_prekey/kem").to_vec();
    let header = include_bytes!("../corpus/header/one_recipient").to_vec();
    let envelope = include_bytes!("../corpus/envelope/later").to_vec();
    let receipt = include_bytes!("../corpus/receipts/proof").to_vec();
    let recipient = CALLER.to_string();
    let bundle = v1::PrekeyBundle {
        manifest: manifest.clone(),
        one_time_curve: one_time_curve.clone(),
        one_time_kem: one_time_kem.clone(),
    };
    let upload = v1::UploadPrekeysRequest {
        manifest,
        one_time_curve: vec![one_time_curve],
        one_time_kem: vec![one_time_kem],
        ..Default::default()
    };
    let part = v1::Part { recipient: recipient.clone(), attempt: 1, envelope };
    let send = v1::SendRequest { header, parts: vec![part], ..Default::default() };
    let status = v1::DeliveryStatus {
        recipient: recipient.clone(),
        attempt: 2,
        state: "failed".to_owned(),
        reason: "refused-undecryptable".to_owned(),
        queued_at_ms: 1_795_351_425_123,
        handed_over_at_ms: Some(1_795_351_425_124),
        change_seq: 9,
        receipt,
        ..Default::default()
    };
    let answer = v1::ChallengeResponse {
        node_id: sealpost_protocol::NodeId::from_array([3; 32]).to_string(),
        challenge: vec![4; 56],
        expires_at_ms: 1_795_351_485_123,
        ledger_id: vec![5; 16],
        at_ms: 1_795_351_425_123,
        signature: vec![6; 64],
    };
    let claim = v1::ClaimPrekeyBundleRequest { agent_id: recipient, claim_id: vec![7; 16] };
    let acknowledge = v1::AcknowledgeRequest { receipts: include_bytes!("../corpus/receipts/batch").to_vec() };
    vec![
        ("json_forms", "bundle", json(&bundle)),
        ("json_forms", "upload", json(&upload)),
        ("json_forms", "send", json(&send)),
        ("json_forms", "status", json(&status)),
        ("json_forms", "challenge", json(&answer)),
        ("json_forms", "claim", json(&claim)),
        ("json_forms", "acknowledge", json(&acknowledge)),
        ("json_forms", "nothing", b"{}".to_vec()),
        ("protobuf_forms", "bundle", bundle.encode_to_vec()),
        ("protobuf_forms", "upload", upload.encode_to_vec()),
        ("protobuf_forms", "send", send.encode_to_vec()),
        ("protobuf_forms", "status", status.encode_to_vec()),
        ("protobuf_forms", "challenge", answer.encode_to_vec()),
        ("protobuf_forms", "acknowledge", acknowledge.encode_to_vec()),
        ("origin", "name", b"https://Post.Example".to_vec()),
        ("origin", "port", b"http://localhost:0080".to_vec()),
        ("origin", "address", b"http://[2001:DB8::1]:7117".to_vec()),
        ("origin", "with_a_name", b"https://a:b@post.example".to_vec()),
    ]
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a form")
}
