//! What the tests share: primitives that repeat themselves, agents with all their keys, and messages.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering},
};

use ml_kem::{B32, DecapsulationKey768, EncapsulationKey768, Seed, ml_kem_768};
use sealpost_protocol::{
    AgentId, Bundle, Envelope, Header, HeaderFields, KemCiphertext, KemKey, KemPrekeyKind, KeyId, MessageClass,
    MessageId, MessageRef, Opening, Priority, Recipients, Scheme, Suite, Timestamp, limits as wire,
};
use sha2::{Digest, Sha256};

use crate::{
    Content, ExpectedBundle, IdentityPrivateKey, KemPrivateKey, ManifestPrekeys, OneTimeCurvePrekey, OneTimeKemPrekey,
    Payload, Plaintext, Primitives, PrimitivesError, PrivatePrekey, RespondError, ResponderKemKey, ResponderKeys,
    SecretBytes, Session, SharedSecret, SystemPrimitives, Validity, VerifiedBundle, initiate, respond,
    secret::MessageKey,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

pub(crate) const BOTH_SUITES: [Suite; 2] = [Suite::Pqxdh25519MlKem768, Suite::X3dh25519];

/// A message key, and the nonce it was used with.
pub(crate) type KeyAndNonce = ([u8; 32], [u8; 12]);

thread_local! {
    static SEALED: RefCell<Vec<KeyAndNonce>> = const { RefCell::new(Vec::new()) };
}

/// Takes note of what the AEAD is given, whatever the headers say of it.
pub(crate) fn note_sealed(key: &MessageKey, nonce: [u8; 12]) {
    SEALED.with_borrow_mut(|sealed| sealed.push((*key.expose(), nonce)));
}

/// What was sealed in this test since it was last asked.
pub(crate) fn take_sealed() -> Vec<KeyAndNonce> {
    SEALED.take()
}

thread_local! {
    static WIPED: RefCell<usize> = const { RefCell::new(0) };
}

/// Takes note of a secret that was overwritten.
pub(crate) fn note_wiped(bytes: &[u8]) {
    assert!(bytes.iter().all(|byte| *byte == 0), "something is left of it");
    // Where the thread ends there is nobody to tell.
    let _ = WIPED.try_with(|wiped| *wiped.borrow_mut() += 1);
}

/// How many secrets were wiped in this test since it was last asked.
pub(crate) fn take_wiped() -> usize {
    WIPED.take()
}

/// Primitives that give the same from the same seed, ML-KEM by another implementation than production's.
#[derive(Debug)]
pub(crate) struct SeededPrimitives {
    seed: u64,
    blocks: AtomicU64,
}

impl SeededPrimitives {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, blocks: AtomicU64::new(0) }
    }

    /// The next bytes.
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_random(&mut bytes).unwrap();
        bytes
    }
}

impl Primitives for SeededPrimitives {
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PrimitivesError> {
        for chunk in bytes.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::Relaxed);
            let hash = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(block.to_be_bytes()).finalize();
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
        Ok(())
    }

    fn generate_kem_key(&self) -> Result<KemPrivateKey, PrimitivesError> {
        let key = DecapsulationKey768::from_seed(Seed::from(self.array::<64>()));
        Ok(KemPrivateKey::copy_of(&expanded(&key)).unwrap())
    }

    fn encapsulate(&self, key: &KemKey) -> Result<(KemCiphertext, SharedSecret), PrimitivesError> {
        let key = EncapsulationKey768::new(key.as_bytes().into()).unwrap();
        let (ciphertext, secret): (ml_kem_768::Ciphertext, _) =
            key.encapsulate_deterministic(&B32::from(self.array::<32>()));
        Ok((KemCiphertext::from_array(ciphertext.into()), SharedSecret::copy_of(&secret.into())))
    }
}

/// The form in which keys are stored here, which that implementation advises against.
#[expect(deprecated, reason = "aws-lc-rs takes no other form")]
pub(crate) fn expanded(key: &DecapsulationKey768) -> [u8; KemPrivateKey::LENGTH] {
    use ml_kem::ExpandedKeyEncoding;
    key.to_expanded_bytes().into()
}

/// Primitives whose randomness gives out after a number of calls.
pub(crate) struct FailingPrimitives(AtomicU64);

impl FailingPrimitives {
    pub(crate) fn after(calls: u64) -> Self {
        Self(AtomicU64::new(calls))
    }

    fn spend(&self) -> Result<(), PrimitivesError> {
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        spent.map(drop).map_err(|_| PrimitivesError::Randomness)
    }
}

impl Primitives for FailingPrimitives {
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PrimitivesError> {
        self.spend()?;
        SystemPrimitives.fill_random(bytes)
    }

    fn generate_kem_key(&self) -> Result<KemPrivateKey, PrimitivesError> {
        self.spend()?;
        SystemPrimitives.generate_kem_key()
    }

    fn encapsulate(&self, key: &KemKey) -> Result<(KemCiphertext, SharedSecret), PrimitivesError> {
        self.spend()?;
        SystemPrimitives.encapsulate(key)
    }
}

/// An agent with an identity, a manifest's keys, and one one-time key of each kind.
pub(crate) struct TestAgent {
    pub(crate) identity: IdentityPrivateKey,
    pub(crate) manifest: ManifestPrekeys,
    pub(crate) one_time_curve: OneTimeCurvePrekey,
    pub(crate) one_time_kem: OneTimeKemPrekey,
}

/// Whether a bundle comes with one-time keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OneTimeKeys {
    There,
    Out,
}

impl TestAgent {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_suites(seed, &BOTH_SUITES)
    }

    pub(crate) fn with_suites(seed: u64, suites: &[Suite]) -> Self {
        let primitives = SeededPrimitives::new(seed);
        Self {
            identity: IdentityPrivateKey::generate(&primitives).unwrap(),
            manifest: ManifestPrekeys::generate(&primitives, suites.to_vec(), KeyId(7), validity()).unwrap(),
            one_time_curve: PrivatePrekey::generate(&primitives, KeyId(11), validity()).unwrap(),
            one_time_kem: PrivatePrekey::generate(&primitives, KeyId(13), validity()).unwrap(),
        }
    }

    pub(crate) fn bundle(&self, one_time: OneTimeKeys) -> Bundle {
        let there = one_time == OneTimeKeys::There;
        Bundle {
            manifest: self.manifest.publish(&self.identity, 3, validity()).unwrap(),
            one_time_curve: there.then(|| self.one_time_curve.publish(&self.identity)),
            one_time_kem: there.then(|| self.one_time_kem.publish(&self.identity)),
        }
    }

    /// What another agent knows of this one.
    pub(crate) fn expected<'a>(&self, suites: &'a [Suite]) -> ExpectedBundle<'a> {
        ExpectedBundle { agent: self.identity.agent_id(), seen: None, suites }
    }

    pub(crate) fn initiate(&self, peer: &Self, suite: Suite, one_time: OneTimeKeys) -> Session {
        let primitives = SeededPrimitives::new(99);
        let bundle = VerifiedBundle::check(peer.bundle(one_time), &peer.expected(&[suite]), NOW).unwrap();
        initiate(&primitives, &self.identity, bundle, NOW).unwrap()
    }

    /// The private keys that an opening names, as a store would look them up.
    pub(crate) fn keys(&self, opening: &Opening) -> ResponderKeys<'_> {
        ResponderKeys {
            suites: &self.manifest.suites,
            signed_prekey: &self.manifest.signed,
            one_time_curve: opening.one_time_curve.map(|_| &self.one_time_curve),
            kem: opening.kem.as_ref().map(|kem| match kem.kind {
                KemPrekeyKind::OneTime => ResponderKemKey::OneTime(&self.one_time_kem),
                KemPrekeyKind::LastResort => {
                    ResponderKemKey::LastResort(self.manifest.last_resort_kem.as_ref().unwrap())
                }
            }),
        }
    }

    pub(crate) fn respond(&self, header: &Header, envelope: &Envelope) -> Result<(Session, Plaintext), RespondError> {
        let keys = self.keys(envelope.opening.as_ref().unwrap());
        respond(&self.identity, &keys, header, envelope, NOW)
    }

    /// The header of message `number` to `recipient`.
    pub(crate) fn header_to(&self, recipient: &Self, number: u64) -> Header {
        self.header_of(MessageClass::Ordinary, recipient, number)
    }

    /// The header of control message `number` to `recipient`.
    pub(crate) fn control_to(&self, recipient: &Self, number: u64) -> Header {
        self.header_of(MessageClass::Control, recipient, number)
    }

    fn header_of(&self, class: MessageClass, recipient: &Self, number: u64) -> Header {
        let (from, to) = (self.identity.agent_id(), recipient.identity.agent_id());
        header_between(from, to, class, Validity::lasting(NOW, wire::MESSAGE_LIFE), number)
    }
}

/// The header of message `number`, which lives for so long.
pub(crate) fn header_between(from: AgentId, to: AgentId, class: MessageClass, life: Validity, number: u64) -> Header {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Header::new(HeaderFields {
        message: MessageRef { sender: from, id: MessageId::new(life.created(), random) },
        recipients: Recipients::new(vec![to]).unwrap(),
        scheme: Scheme::Ratchet,
        class,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: life.created(),
        expires: life.expires(),
        body: None,
    })
    .unwrap()
}

/// For assertions only: such a comparison takes the longer the more is equal.
impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

pub(crate) fn validity() -> Validity {
    Validity::lasting(NOW.saturating_sub(std::time::Duration::from_secs(60)), wire::MANIFEST_LIFE)
}

pub(crate) fn plaintext(text: &str) -> Plaintext {
    Payload::new(Content::text(text.to_owned()).unwrap()).to_plaintext()
}

pub(crate) fn text_of(plaintext: &Plaintext) -> String {
    plaintext.to_payload().unwrap().content.as_text().unwrap().to_owned()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}
