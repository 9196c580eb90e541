use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::{
    BodyDescription, HeaderFields, MessageClass, MessageId, MessageRef, Priority, Recipients, Timestamp, limits,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

struct TestSigner(SigningKey);

impl TestSigner {
    fn new(byte: u8) -> Self {
        Self(SigningKey::from_bytes(&[byte; 32]))
    }
}

impl Signer for TestSigner {
    fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_array(self.0.verifying_key().to_bytes()).unwrap()
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        Signature(self.0.sign(input.as_bytes()).to_bytes())
    }
}

fn header(sender: &TestSigner, scheme: Scheme, body: &[u8]) -> Header {
    let sender = sender.identity_key().agent_id();
    Header::new(HeaderFields {
        message: MessageRef { sender, id: MessageId::new(NOW, [7; 10]) },
        recipients: Recipients::new(vec![TestSigner::new(2).identity_key().agent_id()]).unwrap(),
        scheme,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: NOW,
        expires: NOW.saturating_add(limits::MESSAGE_LIFE),
        body: Some(BodyDescription::of(body)),
    })
    .unwrap()
}

fn accesses() -> [BodyAccess; 3] {
    let encapsulated = CurveKey::from_array(TestSigner::new(9).identity_key().to_montgomery()).unwrap();
    [
        BodyAccess::Open,
        BodyAccess::Shared(SharedAccess { group: GroupId([4; 16]), epoch: 3, salt: [5; 32] }),
        BodyAccess::Wrapped(WrappedKey { sealing_key: KeyId(7), encapsulated, sealed: [6; 48] }),
    ]
}

fn part(sender: &TestSigner, access: BodyAccess) -> (Header, SignedPart) {
    let header = header(sender, access.scheme(), b"body");
    let seal = SenderSeal::sign(sender, header.hash());
    (header, SignedPart { seal, access })
}

#[test]
fn a_part_of_each_scheme_reads_back_and_verifies() {
    let sender = TestSigner::new(1);
    for (access, length) in accesses().into_iter().zip([98, 150, 182]) {
        let (header, part) = part(&sender, access);
        let bytes = part.to_bytes();
        assert_eq!(bytes.len(), length);
        assert_eq!(SignedPart::from_bytes(&bytes), Ok(part.clone()));
        assert_eq!(part.verify(&header), Ok(()));
    }
}

#[test]
fn a_signature_holds_for_its_header_only() {
    let sender = TestSigner::new(1);
    let (signed, part) = part(&sender, BodyAccess::Open);
    let other = header(&sender, Scheme::None, b"another body");
    assert_ne!(signed.hash(), other.hash());
    assert_eq!(part.verify(&other), Err(SignedPartError::Signature));
}

#[test]
fn another_s_signature_is_refused_even_if_it_verifies() {
    let (mallory, alice) = (TestSigner::new(3), TestSigner::new(1));
    let header = header(&alice, Scheme::None, b"body");
    let part = SignedPart { seal: SenderSeal::sign(&mallory, header.hash()), access: BodyAccess::Open };
    assert_eq!(part.verify(&header), Err(SignedPartError::Sender));
}

#[test]
fn a_part_of_another_scheme_than_its_header_is_refused() {
    let sender = TestSigner::new(1);
    let header = header(&sender, Scheme::RecipientKeys, b"body");
    let part = SignedPart { seal: SenderSeal::sign(&sender, header.hash()), access: BodyAccess::Open };
    assert_eq!(part.verify(&header), Err(SignedPartError::Scheme));
}

#[test]
fn bytes_that_are_no_part_are_refused() {
    let (_, part) = part(&TestSigner::new(1), accesses()[2].clone());
    let bytes = part.to_bytes();
    for length in 0..bytes.len() {
        assert_eq!(SignedPart::from_bytes(&bytes[..length]), Err(DecodeError::Truncated), "{length}");
    }
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        SignedPart::from_bytes(&bytes)
    };
    assert_eq!(changed(0, 2), Err(DecodeError::UnknownValue { field: "part format", found: 2 }));
    assert_eq!(changed(1, 9), Err(DecodeError::UnknownValue { field: "scheme", found: 9 }));
    assert!(matches!(changed(1, 3), Err(DecodeError::Invalid { field: "part scheme", .. })));
    assert_eq!(SignedPart::from_bytes(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing(1)));
    let mut identity = bytes.clone();
    identity[2..34].fill(0);
    assert!(matches!(SignedPart::from_bytes(&identity), Err(DecodeError::Invalid { field: "identity key", .. })));
    let mut encapsulated = bytes;
    encapsulated[102..134].fill(0);
    assert!(matches!(SignedPart::from_bytes(&encapsulated), Err(DecodeError::Invalid { .. })));
}
