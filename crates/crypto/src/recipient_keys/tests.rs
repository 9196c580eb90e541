use sealpost_protocol::BodyDescription;

use super::*;
use crate::testing::{FailingPrimitives, SeededPrimitives, TestAgent};

struct Wrap {
    sender: TestAgent,
    recipient: TestAgent,
    header: Header,
    key: ContentKey,
    wrapped: WrappedKey,
}

impl Wrap {
    fn new() -> Self {
        let (sender, recipient) = (TestAgent::new(1), TestAgent::new(2));
        let header = sender.header_to(&recipient, 0);
        let primitives = SeededPrimitives::new(3);
        let key = ContentKey::generate(&primitives).unwrap();
        let id = recipient.identity.agent_id();
        let to = recipient.manifest.sealing.public();
        let wrapped = wrap_key(&primitives, &key, header.hash(), &id, &to).unwrap();
        Self { sender, recipient, header, key, wrapped }
    }

    fn open(&self, header: &Header, wrapped: &WrappedKey) -> Result<ContentKey, UnwrapError> {
        unwrap_key(&self.recipient.manifest.sealing, header, &self.recipient.identity.agent_id(), wrapped)
    }
}

#[test]
fn the_recipient_unwraps_the_key() {
    let wrap = Wrap::new();
    assert_eq!(wrap.open(&wrap.header, &wrap.wrapped).unwrap().expose(), wrap.key.expose());
}

#[test]
fn a_wrap_opens_for_its_message_recipient_and_key_only() {
    let wrap = Wrap::new();
    let other_message = wrap.sender.header_to(&wrap.recipient, 1);
    assert_eq!(wrap.open(&other_message, &wrap.wrapped).err(), Some(UnwrapError::Unreadable));
    let private = &wrap.recipient.manifest.sealing;
    let sender = wrap.sender.identity.agent_id();
    let as_another = unwrap_key(private, &wrap.header, &sender, &wrap.wrapped);
    assert_eq!(as_another.err(), Some(UnwrapError::Unreadable));
    let own = wrap.recipient.identity.agent_id();
    let with_another_key = unwrap_key(&wrap.sender.manifest.sealing, &wrap.header, &own, &wrap.wrapped);
    assert_eq!(with_another_key.err(), Some(UnwrapError::Unreadable));
}

#[test]
fn an_altered_wrap_does_not_open() {
    let wrap = Wrap::new();
    for at in 0..wrap.wrapped.sealed.len() {
        let mut altered = wrap.wrapped.clone();
        altered.sealed[at] ^= 1;
        assert_eq!(wrap.open(&wrap.header, &altered).err(), Some(UnwrapError::Unreadable), "byte {at}");
    }
    let mut altered = wrap.wrapped.clone();
    altered.encapsulated = wrap.sender.manifest.sealing.public().key;
    assert_eq!(wrap.open(&wrap.header, &altered).err(), Some(UnwrapError::Unreadable));
}

#[test]
fn two_wraps_share_nothing() {
    let wrap = Wrap::new();
    let to = wrap.recipient.manifest.sealing.public();
    let id = wrap.recipient.identity.agent_id();
    let again = wrap_key(&SeededPrimitives::new(4), &wrap.key, wrap.header.hash(), &id, &to).unwrap();
    assert_ne!(again.encapsulated, wrap.wrapped.encapsulated);
    assert_ne!(again.sealed, wrap.wrapped.sealed);
}

#[test]
fn without_randomness_nothing_is_wrapped() {
    let wrap = Wrap::new();
    let to = wrap.recipient.manifest.sealing.public();
    let id = wrap.recipient.identity.agent_id();
    let refusal = wrap_key(&FailingPrimitives::after(0), &wrap.key, wrap.header.hash(), &id, &to);
    assert_eq!(refusal.err(), Some(PrimitivesError::Randomness));
}

#[test]
fn a_body_s_header_changes_the_wrap_s_info() {
    let wrap = Wrap::new();
    let fields = wrap.header.fields().clone();
    let described = sealpost_protocol::HeaderFields { body: Some(BodyDescription::of(b"another")), ..fields };
    let header = Header::new(described).unwrap();
    assert_eq!(wrap.open(&header, &wrap.wrapped).err(), Some(UnwrapError::Unreadable));
}

/// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence number 0.
#[test]
fn the_library_speaks_rfc_9180() {
    use crate::testing::hex;
    let own = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
    let encapsulated = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let ciphertext = hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28");
    let plaintext = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &<X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&own).unwrap(),
        &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&encapsulated).unwrap(),
        &hex("4f6465206f6e2061204772656369616e2055726e"),
        &ciphertext,
        &hex("436f756e742d30"),
    );
    assert_eq!(plaintext.unwrap(), b"Beauty is truth, truth beauty");
}
