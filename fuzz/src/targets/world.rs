//! Two agents with the same keys in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use sealpost_crypto::{
    Content, ExpectedBundle, IdentityPrivateKey, KemPrivateKey, ManifestPrekeys, OneTimeKemPrekey, OpenError, Payload,
    Plaintext, Primitives, PrimitivesError, PrivatePrekey, ResponderKemKey, ResponderKeys, Session, SharedSecret,
    Validity, VerifiedBundle, initiate, respond,
};
use sealpost_protocol::{
    AgentId, Bundle, Envelope, Header, HeaderFields, KemCiphertext, KemKey, KemPrekeyKind, KeyId, MessageClass,
    MessageId, MessageRef, Priority, Recipients, Scheme, SignedManifest, Suite, Timestamp, encoding::Encode, limits,
};
use sha2::{Digest, Sha256};

/// Whose rows the corpus holds.
pub const AGENT: AgentId = AgentId::from_array([1; 32]);

pub const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

/// Bob's one-time KEM key in each world of the hybrid suite.
const ONE_TIME_KEM: KeyId = KeyId(13);

/// The private KEM key of every world; a ciphertext for it, and the secret inside.
const KEM_KEY: &[u8; KemPrivateKey::LENGTH] = include_bytes!("kem/key");
const KEM_CIPHERTEXT: &[u8; KemCiphertext::LENGTH] = include_bytes!("kem/ciphertext");
const KEM_SECRET: &[u8; 32] = include_bytes!("kem/secret");

/// Primitives that repeat themselves. The library takes no seed for ML-KEM, so there is one key, and one secret that is
/// encapsulated for it: an envelope of one run opens in the next.
#[derive(Debug)]
pub struct Seeded {
    seed: u64,
    blocks: AtomicU64,
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { seed, blocks: AtomicU64::new(0) }
    }
}

impl Primitives for Seeded {
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PrimitivesError> {
        for chunk in bytes.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::Relaxed);
            let hash = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(block.to_be_bytes()).finalize();
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
        Ok(())
    }

    fn generate_kem_key(&self) -> Result<KemPrivateKey, PrimitivesError> {
        KemPrivateKey::copy_of(KEM_KEY).map_err(|_| PrimitivesError::Library)
    }

    fn encapsulate(&self, key: &KemKey) -> Result<(KemCiphertext, SharedSecret), PrimitivesError> {
        assert!(*key == *self.generate_kem_key()?.public_key(), "there is one key");
        Ok((KemCiphertext::from_array(*KEM_CIPHERTEXT), SharedSecret::copy_of(KEM_SECRET)))
    }
}

pub struct World {
    suites: [Suite; 1],
    primitives: Seeded,
    pub alice: IdentityPrivateKey,
    pub bob: IdentityPrivateKey,
    manifest: ManifestPrekeys,
    one_time_kem: OneTimeKemPrekey,
    pub at_alice: Session,
    pub at_bob: Option<Session>,
    sent: u64,
}

impl World {
    /// Alice has opened a session, and Bob has not heard of it.
    ///
    /// # Panics
    /// Never, with randomness that does not fail.
    pub fn new(suite: Suite) -> Self {
        let (primitives, suites) = (Seeded::new(7), [suite]);
        let alice = IdentityPrivateKey::generate(&primitives).expect("randomness");
        let bob = IdentityPrivateKey::generate(&primitives).expect("randomness");
        let validity = Validity::lasting(NOW, limits::MANIFEST_LIFE);
        let manifest = ManifestPrekeys::generate(&primitives, suites.to_vec(), KeyId(7), validity).expect("randomness");
        let one_time_kem: OneTimeKemPrekey =
            PrivatePrekey::generate(&primitives, ONE_TIME_KEM, validity).expect("randomness");
        let bundle = Bundle {
            manifest: manifest.publish(&bob, 1, validity).expect("keys that fit"),
            one_time_curve: None,
            one_time_kem: (suite == Suite::Pqxdh25519MlKem768).then(|| one_time_kem.publish(&bob)),
        };
        let at_alice = open_session(&primitives, &alice, &bob, bundle, &suites);
        Self { suites, primitives, alice, bob, manifest, one_time_kem, at_alice, at_bob: None, sent: 0 }
    }

    /// Bob's manifest, as a relay hands it out.
    pub fn manifest(&self) -> SignedManifest {
        let validity = Validity::lasting(NOW, limits::MANIFEST_LIFE);
        self.manifest.publish(&self.bob, 1, validity).expect("keys that fit")
    }

    pub fn manifest_keys(&self) -> &ManifestPrekeys {
        &self.manifest
    }

    pub fn primitives(&self) -> &Seeded {
        &self.primitives
    }

    pub fn header_to_bob(&mut self) -> Header {
        self.sent += 1;
        header(self.alice.agent_id(), self.bob.agent_id(), self.sent)
    }

    pub fn header_to_alice(&mut self) -> Header {
        self.sent += 1;
        header(self.bob.agent_id(), self.alice.agent_id(), self.sent)
    }

    /// Alice's first message reaches Bob, and his answer her.
    pub fn meet(&mut self) {
        let header = self.header_to_bob();
        let first = self.at_alice.seal(&self.primitives, &header, &text(1), NOW).expect("a fresh session");
        self.at_bob = self.respond(&header, &first).map(|(session, _)| session);
        let header = self.header_to_alice();
        let at_bob = self.at_bob.as_mut().expect("a session");
        let answer = at_bob.seal(&self.primitives, &header, &text(2), NOW).expect("a fresh session");
        self.at_alice.open(&header, &answer, NOW).expect("an honest message");
    }

    /// Bob's session and the message, if the envelope opens one.
    pub fn respond(&self, header: &Header, envelope: &Envelope) -> Option<(Session, Plaintext)> {
        let kem = envelope.opening.as_ref()?.kem.as_ref().map(|kem| match kem.kind {
            KemPrekeyKind::OneTime => Some(ResponderKemKey::OneTime(&self.one_time_kem)),
            KemPrekeyKind::LastResort => self.manifest.last_resort_kem.as_ref().map(ResponderKemKey::LastResort),
        });
        let keys = ResponderKeys {
            suites: &self.suites,
            signed_prekey: &self.manifest.signed,
            one_time_curve: None,
            kem: kem.flatten(),
        };
        respond(&self.bob, &keys, header, envelope, NOW).ok()
    }

    /// Whether this is the first envelope that Alice seals.
    pub fn is_genuine(&self, input: &[u8]) -> bool {
        first_envelope(self.suites[0]).to_bytes() == input
    }

    pub fn state_of_bob(&self) -> Vec<u8> {
        self.at_bob.as_ref().map(|session| session.encode().to_vec()).unwrap_or_default()
    }

    pub fn open_at_bob(&mut self, header: &Header, envelope: &Envelope) -> Result<Plaintext, OpenError> {
        self.at_bob.as_mut().expect("they have met").open(header, envelope, NOW)
    }
}

/// The first envelope of every world of that suite.
pub fn first_envelope(suite: Suite) -> Envelope {
    let mut world = World::new(suite);
    let header = world.header_to_bob();
    world.at_alice.seal(&world.primitives, &header, &text(1), NOW).expect("a fresh session")
}

pub fn text(number: usize) -> Plaintext {
    Payload::new(Content::text(number.to_string()).expect("a short text")).to_plaintext()
}

fn open_session(
    primitives: &Seeded,
    alice: &IdentityPrivateKey,
    bob: &IdentityPrivateKey,
    bundle: Bundle,
    suites: &[Suite],
) -> Session {
    let expected = ExpectedBundle { agent: bob.agent_id(), seen: None, suites };
    let bundle = VerifiedBundle::check(bundle, &expected, NOW).expect("an honest bundle");
    initiate(primitives, alice, bundle, NOW).expect("randomness")
}

fn header(from: AgentId, to: AgentId, number: u64) -> Header {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Header::new(HeaderFields {
        message: MessageRef { sender: from, id: MessageId::new(NOW, random) },
        recipients: Recipients::new(vec![to]).expect("one recipient"),
        scheme: Scheme::Ratchet,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: NOW,
        expires: NOW.saturating_add(limits::MESSAGE_LIFE),
        body: None,
    })
    .expect("fields that agree")
}
