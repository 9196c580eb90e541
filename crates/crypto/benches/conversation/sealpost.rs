//! This crate's side: two agents, and every step between them, from bytes to bytes.

use std::hint::black_box;

use sealpost_crypto::{
    Content, ExpectedBundle, IdentityPrivateKey, ManifestPrekeys, OneTimeCurvePrekey, OneTimeKemPrekey, Payload,
    PrivatePrekey, ResponderKemKey, ResponderKeys, SecretBytes, Session, SystemPrimitives, Validity, VerifiedBundle,
    initiate, respond,
};
use sealpost_protocol::{
    Bundle, CurveKey, Envelope, Header, HeaderFields, KemKey, KeyId, MessageClass, MessageId, MessageRef,
    OneTimePrekey, PartHash, Priority, Recipients, Scheme, SignedManifest, Suite, Timestamp,
    encoding::{Decode, Encode},
    limits,
};

use crate::{
    Outcome,
    measuring::{Measure, timed, timed_over},
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);
const SUITES: [Suite; 2] = [Suite::Pqxdh25519MlKem768, Suite::X3dh25519];

/// Bytes of content in a message.
const CONTENT: usize = 1_024;

struct Agent {
    identity: IdentityPrivateKey,
    manifest: ManifestPrekeys,
    one_time_curve: OneTimeCurvePrekey,
    one_time_kem: OneTimeKemPrekey,
    bundle: EncodedBundle,
}

/// What the relay hands out.
struct EncodedBundle {
    manifest: Vec<u8>,
    one_time_curve: Vec<u8>,
    one_time_kem: Vec<u8>,
}

fn validity() -> Validity {
    Validity::lasting(NOW, limits::MANIFEST_LIFE)
}

impl Agent {
    fn new() -> Outcome<Self> {
        let primitives = &SystemPrimitives;
        let identity = IdentityPrivateKey::generate(primitives)?;
        let manifest = ManifestPrekeys::generate(primitives, SUITES.to_vec(), KeyId(1), validity())?;
        let one_time_curve: OneTimeCurvePrekey = PrivatePrekey::generate(primitives, KeyId(1), validity())?;
        let one_time_kem: OneTimeKemPrekey = PrivatePrekey::generate(primitives, KeyId(1), validity())?;
        let bundle = EncodedBundle {
            manifest: manifest.publish(&identity, 1, validity())?.to_bytes(),
            one_time_curve: one_time_curve.publish(&identity).to_bytes(),
            one_time_kem: one_time_kem.publish(&identity).to_bytes(),
        };
        Ok(Self { identity, manifest, one_time_curve, one_time_kem, bundle })
    }

    fn check(&self, suite: Suite) -> Outcome<VerifiedBundle> {
        let bundle = Bundle {
            manifest: SignedManifest::from_bytes(&self.bundle.manifest)?,
            one_time_curve: Some(OneTimePrekey::<CurveKey>::from_bytes(&self.bundle.one_time_curve)?),
            one_time_kem: Some(OneTimePrekey::<KemKey>::from_bytes(&self.bundle.one_time_kem)?),
        };
        let expected = ExpectedBundle { agent: self.identity.agent_id(), seen: None, suites: &[suite] };
        Ok(VerifiedBundle::check(bundle, &expected, NOW)?)
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
pub(crate) struct Pair {
    alice: Agent,
    bob: Agent,
    to_bob: Header,
    to_alice: Header,
    payload: Payload,
}

impl Pair {
    pub(crate) fn new() -> Outcome<Self> {
        let (alice, bob) = (Agent::new()?, Agent::new()?);
        let (to_bob, to_alice) = (alice.header_to(&bob)?, bob.header_to(&alice)?);
        let payload = Payload::new(Content::bytes(vec![0x5a; CONTENT])?);
        Ok(Self { alice, bob, to_bob, to_alice, payload })
    }

    fn initiate(&self, bundle: VerifiedBundle) -> Outcome<(Session, Vec<u8>)> {
        let mut session = initiate(&SystemPrimitives, &self.alice.identity, bundle, NOW)?;
        let envelope = self.seal(&mut session, &self.to_bob)?;
        Ok((session, envelope))
    }

    fn respond(&self, envelope: &[u8]) -> Outcome<Session> {
        let envelope = Envelope::from_bytes(envelope)?;
        let kem = envelope.opening.as_ref().and_then(|opening| opening.kem.as_ref());
        let keys = ResponderKeys {
            suites: &SUITES,
            signed_prekey: &self.bob.manifest.signed,
            one_time_curve: Some(&self.bob.one_time_curve),
            kem: kem.map(|_| ResponderKemKey::OneTime(&self.bob.one_time_kem)),
        };
        let (session, plaintext) = respond(&self.bob.identity, &keys, &self.to_bob, &envelope, NOW)?;
        black_box(plaintext.to_payload()?);
        Ok(session)
    }

    fn seal(&self, session: &mut Session, header: &Header) -> Outcome<Vec<u8>> {
        Ok(session.seal(&SystemPrimitives, header, &self.payload.to_plaintext(), NOW)?.to_bytes())
    }

    /// With what a runtime does besides: the header's encoding, and both hashes.
    fn send(&self, session: &mut Session, header: &Header) -> Outcome<()> {
        let header = Header::new(header.fields().clone())?;
        let envelope = self.seal(session, &header)?;
        black_box((header.to_bytes(), PartHash::of(&envelope), envelope));
        Ok(())
    }

    /// The same of a message that arrives.
    fn receive(session: &mut Session, header: &[u8], envelope: &[u8]) -> Outcome<()> {
        black_box(PartHash::of(envelope));
        Self::open(session, &Header::from_bytes(header)?, envelope)
    }

    fn open(session: &mut Session, header: &Header, envelope: &[u8]) -> Outcome<()> {
        let envelope = Envelope::from_bytes(envelope)?;
        black_box(session.open(header, &envelope, NOW)?.to_payload()?);
        Ok(())
    }

    fn pass(&self, header: &Header, from: &mut Session, to: &mut Session) -> Outcome<()> {
        let envelope = self.seal(from, header)?;
        Self::open(to, header, &envelope)
    }

    /// A session that has been answered, with `skipped` keys kept at Bob.
    pub(crate) fn sessions(&self, skipped: usize) -> Outcome<(Session, Session)> {
        let (mut at_alice, first) = self.initiate(self.bob.check(Suite::X3dh25519)?)?;
        let mut at_bob = self.respond(&first)?;
        self.pass(&self.to_alice, &mut at_bob, &mut at_alice)?;
        for _ in 0..skipped {
            self.seal(&mut at_alice, &self.to_bob)?;
        }
        self.pass(&self.to_bob, &mut at_alice, &mut at_bob)?;
        Ok((at_alice, at_bob))
    }

    /// Bytes on the wire of a first message that opens with `suite`, and of one after the answer: header and envelope.
    pub(crate) fn bytes_on_the_wire(&self, suite: Suite) -> Outcome<(usize, usize)> {
        let (_, first) = self.initiate(self.bob.check(suite)?)?;
        let (mut at_alice, _) = self.sessions(0)?;
        let later = self.seal(&mut at_alice, &self.to_bob)?;
        let header = self.to_bob.as_bytes().len();
        Ok((header + first.len(), header + later.len()))
    }
}

/// Copies of a session for so many operations, and one more.
fn copies(session: &SecretBytes, operations: u32) -> Outcome<Vec<Session>> {
    (0..=operations).map(|_| Ok(Session::decode(session)?)).collect()
}

/// Seal and open on one chain.
pub(crate) fn chain(skipped: usize) -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (mut at_alice, mut at_bob) = pair.sessions(skipped)?;
        timed(operations, || pair.pass(&pair.to_bob, &mut at_alice, &mut at_bob))
    }))
}

pub(crate) fn ping_pong() -> Outcome<Measure> {
    let pair = Pair::new()?;
    let (mut at_alice, mut at_bob) = pair.sessions(0)?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            pair.pass(&pair.to_alice, &mut at_bob, &mut at_alice)?;
            pair.pass(&pair.to_bob, &mut at_alice, &mut at_bob)
        })
    }))
}

pub(crate) fn seal_on_a_chain() -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (mut at_alice, _) = pair.sessions(0)?;
        timed(operations, || pair.send(&mut at_alice, &pair.to_bob))
    }))
}

pub(crate) fn open_on_a_chain() -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (mut at_alice, mut at_bob) = pair.sessions(0)?;
        let sent: Outcome<Vec<_>> = (0..=operations).map(|_| pair.seal(&mut at_alice, &pair.to_bob)).collect();
        timed_over(sent?, |envelope| Pair::receive(&mut at_bob, pair.to_bob.as_bytes(), &envelope))
    }))
}

/// Messages that were overtaken; one more than there are `operations`, and keys for all of them.
pub(crate) fn open_with_a_skipped_key() -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (mut at_alice, mut at_bob) = pair.sessions(0)?;
        let sent: Outcome<Vec<_>> = (0..=operations).map(|_| pair.seal(&mut at_alice, &pair.to_bob)).collect();
        pair.pass(&pair.to_bob, &mut at_alice, &mut at_bob)?;
        timed_over(sent?, |envelope| Pair::receive(&mut at_bob, pair.to_bob.as_bytes(), &envelope))
    }))
}

pub(crate) fn seal_with_a_step() -> Outcome<Measure> {
    let pair = Pair::new()?;
    let (_, at_bob) = pair.sessions(0)?;
    let at_bob = at_bob.encode();
    Ok(Box::new(move |operations| {
        timed_over(copies(&at_bob, operations)?, |mut session| pair.send(&mut session, &pair.to_alice))
    }))
}

pub(crate) fn open_with_a_step() -> Outcome<Measure> {
    let pair = Pair::new()?;
    let (at_alice, mut at_bob) = pair.sessions(0)?;
    let answer = pair.seal(&mut at_bob, &pair.to_alice)?;
    let at_alice = at_alice.encode();
    Ok(Box::new(move |operations| {
        timed_over(copies(&at_alice, operations)?, |mut session| {
            Pair::receive(&mut session, pair.to_alice.as_bytes(), &answer)
        })
    }))
}

pub(crate) fn initiate_and_seal(suite: Suite) -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let bundles = (0..=operations).map(|_| pair.bob.check(suite)).collect::<Outcome<Vec<_>>>()?;
        timed_over(bundles, |bundle| pair.initiate(bundle).map(|opened| drop(black_box(opened))))
    }))
}

pub(crate) fn respond_and_open(suite: Suite) -> Outcome<Measure> {
    let pair = Pair::new()?;
    Ok(Box::new(move |operations| {
        let (_, envelope) = pair.initiate(pair.bob.check(suite)?)?;
        timed(operations, || pair.respond(&envelope).map(|session| drop(black_box(session))))
    }))
}

pub(crate) fn make_manifest() -> Outcome<Measure> {
    let identity = IdentityPrivateKey::generate(&SystemPrimitives)?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            let keys = ManifestPrekeys::generate(&SystemPrimitives, SUITES.to_vec(), KeyId(1), validity())?;
            black_box(keys.publish(&identity, 1, validity())?.to_bytes());
            Ok(())
        })
    }))
}

pub(crate) fn make_one_time_key() -> Outcome<Measure> {
    let identity = IdentityPrivateKey::generate(&SystemPrimitives)?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            let key: OneTimeCurvePrekey = PrivatePrekey::generate(&SystemPrimitives, KeyId(1), validity())?;
            black_box(key.publish(&identity).to_bytes());
            Ok(())
        })
    }))
}

pub(crate) fn check_manifest() -> Outcome<Measure> {
    let agent = Agent::new()?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(SignedManifest::from_bytes(&agent.bundle.manifest)?.agent_id());
            Ok(())
        })
    }))
}

pub(crate) fn check_bundle() -> Outcome<Measure> {
    let agent = Agent::new()?;
    Ok(Box::new(move |operations| {
        timed(operations, || agent.check(Suite::Pqxdh25519MlKem768).map(|bundle| drop(black_box(bundle))))
    }))
}
