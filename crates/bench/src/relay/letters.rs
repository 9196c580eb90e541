//! Messages, sealed before they are sent.

use std::sync::Arc;

use sealpost_agent::SystemClock;
use sealpost_api::v1;
use sealpost_crypto::{
    Content, ExpectedBundle, IdentityPrivateKey, ManifestPrekeys, Payload, Plaintext, Primitives, ResponderKemKey,
    ResponderKeys, SealError, Session, SystemPrimitives, Validity, VerifiedBundle, initiate, respond,
};
use sealpost_protocol::{
    Bundle, Clock, Header, HeaderFields, KeyId, MessageClass, MessageId, MessageRef, Priority, Recipients, Scheme,
    SignedManifest, Suite, Timestamp, encoding::Encode, limits,
};

use crate::Outcome;

const SUITES: [Suite; 1] = [Suite::Pqxdh25519MlKem768];

/// An agent without a store.
pub(super) struct Agent {
    identity: Arc<IdentityPrivateKey>,
    keys: ManifestPrekeys,
    manifest: SignedManifest,
}

impl Agent {
    pub(super) fn new() -> Outcome<Self> {
        let validity = Validity::lasting(SystemClock.now(), limits::MANIFEST_LIFE);
        let identity = Arc::new(IdentityPrivateKey::generate(&SystemPrimitives)?);
        let keys = ManifestPrekeys::generate(&SystemPrimitives, SUITES.to_vec(), KeyId(1), validity)?;
        let manifest = keys.publish(identity.as_ref(), 1, validity)?;
        Ok(Self { identity, keys, manifest })
    }

    pub(super) fn identity(&self) -> Arc<IdentityPrivateKey> {
        Arc::clone(&self.identity)
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    pub(super) fn manifest(&self) -> &SignedManifest {
        &self.manifest
    }
}

/// What each sender writes to each recipient, in turn.
pub(super) struct Letters {
    senders: Vec<Arc<Agent>>,
    recipients: Vec<Arc<Agent>>,
    /// A session for each sender and recipient.
    sessions: Vec<Vec<Session>>,
    plaintext: Plaintext,
    /// How many have been sealed.
    count: usize,
}

impl Letters {
    pub(super) fn between(senders: Vec<Arc<Agent>>, recipients: Vec<Arc<Agent>>, size: usize) -> Outcome<Self> {
        let to_all = |sender: &Arc<Agent>| recipients.iter().map(|recipient| answered(sender, recipient)).collect();
        let sessions = senders.iter().map(to_all).collect::<Outcome<_>>()?;
        let plaintext = Payload::new(Content::bytes(vec![0x5a; size])?).to_plaintext();
        Ok(Self { senders, recipients, sessions, plaintext, count: 0 })
    }

    /// About `count` requests, the same number for each sender.
    pub(super) fn seal(&mut self, count: usize) -> Outcome<Vec<Vec<v1::SendRequest>>> {
        let each = count.div_ceil(self.senders.len());
        (0..self.senders.len()).map(|sender| (0..each).map(|_| self.seal_one(sender)).collect()).collect()
    }

    fn seal_one(&mut self, sender: usize) -> Outcome<v1::SendRequest> {
        self.count += 1;
        let place = self.count % self.recipients.len();
        let missing = "a session for each pair";
        let from = self.senders.get(sender).ok_or(missing)?;
        let to = self.recipients.get(place).ok_or(missing)?;
        let session = self.sessions.get_mut(sender).and_then(|all| all.get_mut(place)).ok_or(missing)?;
        let now = SystemClock.now();
        let header = header(from, to, now)?;
        let envelope = match session.seal(&SystemPrimitives, &header, &self.plaintext, now) {
            Err(SealError::SessionExhausted) => {
                *session = answered(from, to)?;
                session.seal(&SystemPrimitives, &header, &self.plaintext, now)?
            }
            sealed => sealed?,
        };
        let recipient = to.identity.agent_id().to_string();
        let part = v1::Part { recipient, attempt: 1, envelope: envelope.to_bytes() };
        Ok(v1::SendRequest { header: header.to_bytes(), parts: vec![part], ..v1::SendRequest::default() })
    }
}

/// Bytes of the requests, on the average.
pub(super) fn request_bytes(batches: &[Vec<v1::SendRequest>]) -> usize {
    let bytes = |request: &v1::SendRequest| {
        request.header.len()
            + request.parts.iter().map(|part| part.recipient.len() + part.envelope.len()).sum::<usize>()
    };
    let count = batches.iter().map(Vec::len).sum::<usize>().max(1);
    batches.iter().flatten().map(bytes).sum::<usize>() / count
}

/// A session that the recipient has answered: what is sealed in it no longer carries the session's opening.
fn answered(from: &Agent, to: &Agent) -> Outcome<Session> {
    let now = SystemClock.now();
    let bundle = Bundle { manifest: to.manifest.clone(), one_time_curve: None, one_time_kem: None };
    let expected = ExpectedBundle { agent: to.identity.agent_id(), seen: None, suites: &SUITES };
    let bundle = VerifiedBundle::check(bundle, &expected, now)?;
    let mut session = initiate(&SystemPrimitives, &from.identity, bundle, now)?;
    let hello = Payload::new(Content::bytes(Vec::new())?).to_plaintext();
    let there = header(from, to, now)?;
    let first = session.seal(&SystemPrimitives, &there, &hello, now)?;
    let keys = ResponderKeys {
        suites: &SUITES,
        signed_prekey: &to.keys.signed,
        one_time_curve: None,
        kem: to.keys.last_resort_kem.as_ref().map(ResponderKemKey::LastResort),
    };
    let (mut theirs, _) = respond(&to.identity, &keys, &there, &first, now)?;
    let back = header(to, from, now)?;
    let answer = theirs.seal(&SystemPrimitives, &back, &hello, now)?;
    session.open(&back, &answer, now)?;
    Ok(session)
}

fn header(from: &Agent, to: &Agent, now: Timestamp) -> Outcome<Header> {
    let mut random = [0; 10];
    SystemPrimitives.fill_random(&mut random)?;
    Ok(Header::new(HeaderFields {
        message: MessageRef { sender: from.identity.agent_id(), id: MessageId::new(now, random) },
        recipients: Recipients::new(vec![to.identity.agent_id()])?,
        scheme: Scheme::Ratchet,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: now,
        expires: now.saturating_add(limits::MESSAGE_LIFE),
        body: None,
    })?)
}
