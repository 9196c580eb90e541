//! This crate's side.

use std::hint::black_box;

use aws_lc_rs::{aead, hkdf, rand};
use sealpost_crypto::{
    Content, ExpectedBundle, IdentityPrivateKey, ManifestPrekeys, OneTimeCurvePrekey, OneTimeKemPrekey, Payload,
    PrivatePrekey, ResponderKemKey, ResponderKeys, Session, SystemPrimitives, Validity, VerifiedBundle, initiate,
    respond,
};
use sealpost_protocol::{
    Bundle, Envelope, Header, HeaderFields, KeyId, MessageClass, MessageId, MessageRef, Priority, Recipients, Scheme,
    Suite, Timestamp, limits,
};

use crate::{Measure, Outcome, timed, timed_over};

const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);
const SUITES: [Suite; 2] = [Suite::Pqxdh25519MlKem768, Suite::X3dh25519];

/// Bytes of content in a message.
const CONTENT: usize = 1_024;

struct Agent {
    identity: IdentityPrivateKey,
    manifest: ManifestPrekeys,
    one_time_curve: OneTimeCurvePrekey,
    one_time_kem: OneTimeKemPrekey,
    bundle: Bundle,
}

impl Agent {
    fn new() -> Outcome<Self> {
        let primitives = &SystemPrimitives;
        let validity = Validity::lasting(NOW, limits::MANIFEST_LIFE);
        let identity = IdentityPrivateKey::generate(primitives)?;
        let manifest = ManifestPrekeys::generate(primitives, SUITES.to_vec(), KeyId(1), validity)?;
        let one_time_curve: OneTimeCurvePrekey = PrivatePrekey::generate(primitives, KeyId(1), validity)?;
        let one_time_kem: OneTimeKemPrekey = PrivatePrekey::generate(primitives, KeyId(1), validity)?;
        let bundle = Bundle {
            manifest: manifest.publish(&identity, 1, validity)?,
            one_time_curve: Some(one_time_curve.publish(&identity)),
            one_time_kem: Some(one_time_kem.publish(&identity)),
        };
        Ok(Self { identity, manifest, one_time_curve, one_time_kem, bundle })
    }

    fn check(&self, suite: Suite) -> Outcome<VerifiedBundle> {
        let expected = ExpectedBundle { agent: self.identity.agent_id(), seen: None, suites: &[suite] };
        Ok(VerifiedBundle::check(self.bundle.clone(), &expected, NOW)?)
    }

    fn header_to(&self, recipient: &Self) -> Outcome<Header> {
        let message = MessageRef { sender: self.identity.agent_id(), id: MessageId::new(NOW, [7; 10]) };
        Ok(Header::new(HeaderFields {
            message,
            recipients: Recipients::new(vec![recipient.identity.agent_id()])?,
            scheme: Scheme::Ratchet,
            class: MessageClass::Ordinary,
            priority: Priority::Normal,
            message_type: None,
            thread: None,
            reply_to: None,
            created: NOW,
            expires: NOW.saturating_add(limits::MESSAGE_LIFE),
            body: None,
        })?)
    }
}

/// Two agents, the headers of their messages, and what they say.
struct Pair {
    alice: Agent,
    bob: Agent,
    to_bob: Header,
    to_alice: Header,
    payload: Payload,
}

impl Pair {
    fn new() -> Outcome<Self> {
        let (alice, bob) = (Agent::new()?, Agent::new()?);
        let (to_bob, to_alice) = (alice.header_to(&bob)?, bob.header_to(&alice)?);
        let payload = Payload::new(Content::bytes(vec![0x5a; CONTENT])?);
        Ok(Self { alice, bob, to_bob, to_alice, payload })
    }

    fn initiate(&self, bundle: VerifiedBundle) -> Outcome<(Session, Envelope)> {
        let mut session = initiate(&SystemPrimitives, &self.alice.identity, bundle, NOW)?;
        let envelope = self.seal(&mut session, &self.to_bob)?;
        Ok((session, envelope))
    }

    fn respond(&self, envelope: &Envelope) -> Outcome<Session> {
        let opening = envelope.opening.as_ref();
        let keys = ResponderKeys {
            suites: &SUITES,
            signed_prekey: &self.bob.manifest.signed,
            one_time_curve: Some(&self.bob.one_time_curve),
            kem: opening
                .and_then(|opening| opening.kem.as_ref())
                .map(|_| ResponderKemKey::OneTime(&self.bob.one_time_kem)),
        };
        let (session, plaintext) = respond(&self.bob.identity, &keys, &self.to_bob, envelope, NOW)?;
        black_box(plaintext.to_payload()?);
        Ok(session)
    }

    fn seal(&self, session: &mut Session, header: &Header) -> Outcome<Envelope> {
        Ok(session.seal(&SystemPrimitives, header, &self.payload.to_plaintext(), NOW)?)
    }

    fn pass(&self, header: &Header, from: &mut Session, to: &mut Session) -> Outcome<()> {
        let envelope = self.seal(from, header)?;
        black_box(to.open(header, &envelope, NOW)?.to_payload()?);
        Ok(())
    }

    /// A session that has been answered.
    fn sessions(&self) -> Outcome<(Session, Session)> {
        let (mut at_alice, first) = self.initiate(self.bob.check(Suite::X3dh25519)?)?;
        let mut at_bob = self.respond(&first)?;
        self.pass(&self.to_alice, &mut at_bob, &mut at_alice)?;
        self.pass(&self.to_bob, &mut at_alice, &mut at_bob)?;
        Ok((at_alice, at_bob))
    }
}

pub(crate) fn chain() -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (mut at_alice, mut at_bob) = pair.sessions()?;
        timed(operations, || pair.pass(&pair.to_bob, &mut at_alice, &mut at_bob))
    }))
}

/// Two key derivations, one sealing, one opening and one nonce, with the lengths that a message of 1 KiB has.
pub(crate) fn primitives_of_chain() -> Measure {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            64
        }
    }
    let derive = |key: &[u8; 32]| -> Outcome<[u8; 64]> {
        let mut output = [0; 64];
        let extracted = hkdf::Salt::none(hkdf::HKDF_SHA256).extract(key);
        extracted.expand(&[b"message_key"], Length).and_then(|expanded| expanded.fill(&mut output))?;
        Ok(output)
    };
    let bind = |key: &[u8; 32]| aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key).map(aead::LessSafeKey::new);
    let (plaintext, associated_data) = ([0x5a; 1_088], [0x5b; 390]);
    Box::new(move |operations| {
        timed(operations, || {
            let key = black_box([0x5c; 32]);
            let mut nonce = [0; 12];
            rand::fill(&mut nonce)?;
            let (mut ciphertext, mut tag, mut opened) = (vec![0; plaintext.len()], [0; 16], vec![0; plaintext.len()]);
            let once = || aead::Nonce::assume_unique_for_key(nonce);
            let ad = || aead::Aad::from(&associated_data);
            black_box(derive(&key)?);
            bind(&key)?.seal_out_of_place_scatter(once(), ad(), &plaintext, &mut ciphertext, &[], &mut tag)?;
            black_box(derive(&key)?);
            bind(&key)?.open_separate_gather(once(), ad(), &ciphertext, &tag, &mut opened)?;
            black_box(opened);
            Ok(())
        })
    })
}

pub(crate) fn ping_pong() -> Outcome<Measure> {
    let pair = Pair::new()?;
    let (mut at_alice, mut at_bob) = pair.sessions()?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            pair.pass(&pair.to_alice, &mut at_bob, &mut at_alice)?;
            pair.pass(&pair.to_bob, &mut at_alice, &mut at_bob)
        })
    }))
}

pub(crate) fn initiate_x3dh() -> Outcome<Measure> {
    initiate_with(Suite::X3dh25519)
}

pub(crate) fn initiate_pqxdh() -> Outcome<Measure> {
    initiate_with(Suite::Pqxdh25519MlKem768)
}

fn initiate_with(suite: Suite) -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let bundles = (0..operations).map(|_| pair.bob.check(suite)).collect::<Outcome<Vec<_>>>()?;
        timed_over(bundles, |bundle| pair.initiate(bundle).map(|opened| drop(black_box(opened))))
    }))
}

pub(crate) fn respond_x3dh() -> Outcome<Measure> {
    respond_with(Suite::X3dh25519)
}

pub(crate) fn respond_pqxdh() -> Outcome<Measure> {
    respond_with(Suite::Pqxdh25519MlKem768)
}

fn respond_with(suite: Suite) -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (_, envelope) = pair.initiate(pair.bob.check(suite)?)?;
        timed(operations, || pair.respond(&envelope).map(|session| drop(black_box(session))))
    }))
}

pub(crate) fn check_bundle() -> Outcome<Measure> {
    let agent = Agent::new()?;
    Ok(Box::new(move |operations| {
        timed(operations, || agent.check(Suite::Pqxdh25519MlKem768).map(|bundle| drop(black_box(bundle))))
    }))
}

pub(crate) fn store_and_load() -> Outcome<Measure> {
    let pair = Pair::new()?;
    let (session, _) = pair.sessions()?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(Session::decode(&session.encode())?);
            Ok(())
        })
    }))
}
