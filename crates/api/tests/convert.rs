//! What travels becomes what is valid, or is refused by the name of its field.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests: the first surprise ends them")]

use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use sealpost_api::{
    convert::{self, FieldError},
    v1,
};
use sealpost_protocol::{
    AgentId, Attempt, Bundle, ChallengeAnswer, CurveKey, DeliveryState, DeliveryStatus, HeaderHash, IdentityKey, KeyId,
    LedgerId, Manifest, ManifestFields, MessageId, MessageRef, NodeId, OneTimePrekey, PartHash, Prekey, ReceiptBatch,
    ReceiptLeaf, Signature, Signer, SigningInput, Suite, Timestamp, Verdict,
    encoding::{DecodeError, Encode},
};

const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);
const NONCE: [u8; 32] = [2; 32];

struct Identity(SigningKey);

impl Identity {
    fn new() -> Self {
        Self(SigningKey::from_bytes(&[7; 32]))
    }
}

impl Signer for Identity {
    fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_array(self.0.verifying_key().to_bytes()).unwrap()
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        Signature(self.0.sign(input.as_bytes()).to_bytes())
    }
}

fn agent() -> AgentId {
    Identity::new().identity_key().agent_id()
}

fn prekey(id: u32) -> Prekey<CurveKey> {
    let key = CurveKey::from_array([9; 32]).unwrap();
    Prekey { id: KeyId(id), created: NOW, expires: NOW.saturating_add(Duration::from_secs(1)), key }
}

fn bundle() -> Bundle {
    let identity = Identity::new();
    let fields = ManifestFields {
        identity: identity.identity_key(),
        suites: vec![Suite::X3dh25519.into()],
        signed_prekey: prekey(1),
        last_resort_kem: None,
        sealing_key: prekey(1),
        version: 1,
        created: NOW,
        expires: NOW.saturating_add(Duration::from_secs(1)),
    };
    let one_time_curve = Some(OneTimePrekey::sign(prekey(2), &identity));
    Bundle { manifest: Manifest::new(fields).unwrap().sign(&identity).unwrap(), one_time_curve, one_time_kem: None }
}

fn status() -> DeliveryStatus {
    let leaf = ReceiptLeaf {
        message: MessageRef { sender: agent(), id: MessageId::new(NOW, [7; 10]) },
        attempt: Attempt::FIRST,
        header: HeaderHash([1; 32]),
        part: PartHash([2; 32]),
        verdict: Verdict::Acknowledged,
        at: NOW,
        blind: [3; 16],
    };
    let receipt = ReceiptBatch::sign(vec![leaf], 1, [0; 32], &Identity::new()).unwrap().proofs().remove(0);
    DeliveryStatus {
        recipient: agent(),
        attempt: Attempt::FIRST,
        state: DeliveryState::Delivered,
        late: true,
        queued_at: NOW,
        handed_over_at: Some(NOW),
        delivered_at: Some(NOW),
        acknowledged_at: Some(NOW),
        change_seq: 5,
        receipt: Some(receipt),
    }
}

fn answer() -> ChallengeAnswer {
    let node = NodeId::from_array(*Identity::new().identity_key().as_bytes());
    ChallengeAnswer { node, ledger: LedgerId([1; 16]), nonce: NONCE, challenge: vec![3; 56], at: NOW, expires: NOW }
}

/// An id with another last character, which its checksum does not allow.
fn misspelt(id: &str) -> String {
    let last = if id.ends_with('q') { 'p' } else { 'q' };
    format!("{}{last}", &id[..id.len() - 1])
}

/// A field, and how it is spoilt.
type Spoilt<W> = (&'static str, fn(&mut W));

/// Checks that what is said of each spoilt form begins with the field's name.
fn refused<W: Clone, T: std::fmt::Debug>(whole: &W, read: impl Fn(W) -> Result<T, FieldError>, table: &[Spoilt<W>]) {
    assert!(read(whole.clone()).is_ok());
    for (field, spoil) in table {
        let mut spoilt = whole.clone();
        spoil(&mut spoilt);
        let error = read(spoilt).expect_err(field);
        assert!(error.to_string().starts_with(&format!("{field}: ")), "{field}: {error}");
    }
}

#[test]
fn every_field_of_a_status_is_refused_by_name() {
    let whole = v1::DeliveryStatus::from(&status());
    assert_eq!(DeliveryStatus::try_from(whole.clone()).unwrap(), status());
    let table: [Spoilt<v1::DeliveryStatus>; 14] = [
        ("recipient", |status| status.recipient.clear()),
        ("recipient", |status| status.recipient = misspelt(&status.recipient)),
        ("attempt", |status| status.attempt = 0),
        ("attempt", |status| status.attempt = 65_536),
        ("state", |status| status.state.clear()),
        ("state", |status| status.state = "Delivered".to_owned()),
        ("state", |status| status.reason = "expired".to_owned()),
        ("state", |status| status.state = "failed".to_owned()),
        ("queued_at_ms", |status| status.queued_at_ms = -1),
        ("handed_over_at_ms", |status| status.handed_over_at_ms = Some(-1)),
        ("delivered_at_ms", |status| status.delivered_at_ms = Some(i64::MIN)),
        ("acknowledged_at_ms", |status| status.acknowledged_at_ms = Some(-1)),
        ("receipt", |status| status.receipt.truncate(1)),
        ("receipt", |status| status.receipt.push(0)),
    ];
    refused(&whole, DeliveryStatus::try_from, &table);
    let bare = v1::DeliveryStatus { handed_over_at_ms: None, receipt: Vec::new(), ..whole };
    let bare = DeliveryStatus::try_from(bare).unwrap();
    assert_eq!((bare.handed_over_at, bare.receipt), (None, None), "what may be missing");
}

#[test]
fn every_field_of_a_challenge_s_answer_is_refused_by_name() {
    let whole = v1::ChallengeResponse::from_signed(answer(), &Signature([4; 64]));
    assert_eq!(whole.clone().into_signed(NONCE), Ok((answer(), Signature([4; 64]))));
    let table: [Spoilt<v1::ChallengeResponse>; 9] = [
        ("node_id", |answer| answer.node_id.clear()),
        ("node_id", |answer| answer.node_id = misspelt(&answer.node_id)),
        ("node_id", |answer| answer.node_id = agent().to_string()),
        ("ledger_id", |answer| answer.ledger_id.truncate(15)),
        ("ledger_id", |answer| answer.ledger_id.push(0)),
        ("at_ms", |answer| answer.at_ms = -1),
        ("expires_at_ms", |answer| answer.expires_at_ms = -1),
        ("signature", |answer| answer.signature.clear()),
        ("signature", |answer| answer.signature.push(0)),
    ];
    refused(&whole, |whole| whole.into_signed(NONCE), &table);
}

#[test]
fn every_field_of_a_bundle_is_refused_by_name() {
    let whole = v1::PrekeyBundle::from(&bundle());
    assert_eq!(Bundle::try_from(whole.clone()).unwrap(), bundle());
    let table: [Spoilt<v1::PrekeyBundle>; 5] = [
        ("manifest", |bundle| bundle.manifest.clear()),
        ("manifest", |bundle| bundle.manifest[0] = 2),
        ("one_time_curve", |bundle| bundle.one_time_curve.truncate(1)),
        ("one_time_curve", |bundle| bundle.one_time_curve.push(0)),
        ("one_time_kem", |bundle| bundle.one_time_kem = vec![0]),
    ];
    refused(&whole, Bundle::try_from, &table);
    let without = v1::PrekeyBundle { one_time_curve: Vec::new(), ..whole };
    assert_eq!(Bundle::try_from(without).unwrap().one_time_curve, None, "empty stands for none");
}

#[test]
fn single_fields_say_what_they_expect() {
    let short = FieldError::Length { field: "claim_id", expected: 16, found: 15 };
    assert_eq!(convert::array::<16>("claim_id", &[0; 15]), Err(short));
    let cut = FieldError::Encoding { field: "attempt", source: DecodeError::Truncated };
    assert_eq!(convert::decode::<Attempt>("attempt", &[0]), Err(cut));
    assert_eq!(convert::decode_optional::<Attempt>("attempt", &[]), Ok(None));
    assert_eq!(convert::decode_optional("attempt", &Attempt::FIRST.to_bytes()), Ok(Some(Attempt::FIRST)));
    for number in [0, 65_536, u32::MAX] {
        let refused = convert::attempt(number);
        assert!(matches!(refused, Err(FieldError::Value { field: "attempt", .. })), "{refused:?}");
    }
    assert_eq!(convert::attempt(65_535).map(Attempt::number), Ok(65_535));
    let early = convert::timestamp("since_ms", -1);
    assert_eq!(early, Err(FieldError::Value { field: "since_ms", reason: "before 1970" }));
    for time in [Timestamp::from_millis(0), NOW, Timestamp::from_millis(i64::MAX.unsigned_abs())] {
        assert_eq!(convert::timestamp("since_ms", convert::millis(time)), Ok(time));
    }
    assert_eq!(convert::millis(Timestamp::from_millis(u64::MAX)), i64::MAX, "the end of the range");
}

#[test]
fn a_message_is_named_by_its_sender_or_by_the_caller() {
    let (caller, id) = (AgentId::from_array([1; 32]), MessageId::new(NOW, [7; 10]));
    let text = id.to_string();
    assert_eq!(convert::message_ref(caller, "", &text), Ok(MessageRef { sender: caller, id }));
    assert_eq!(convert::message_ref(caller, &agent().to_string(), &text), Ok(MessageRef { sender: agent(), id }));
    let no_sender = convert::message_ref(caller, "somebody", &text);
    assert!(matches!(no_sender, Err(FieldError::AgentId { field: "sender", .. })), "{no_sender:?}");
    for wrong in ["", "0", &text[1..], &format!("{text}0")] {
        let no_id = convert::message_ref(caller, "", wrong);
        assert!(matches!(no_id, Err(FieldError::MessageId(_))), "{wrong:?}: {no_id:?}");
    }
}
