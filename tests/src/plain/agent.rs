//! An agent that keeps everything in memory: identity, prekeys, sessions and the sequence of its receipts.

use std::{collections::HashMap, time::Duration};

use sealpost_agent::SystemClock;
use sealpost_api::v1;
use sealpost_crypto::{
    BodyKey, BodyOpener, BodySeal, Content, ContentKey, ExpectedBundle, IdentityPrivateKey, ManifestPrekeys,
    OneTimeCurvePrekey, OneTimeKemPrekey, Payload, Plaintext, PrivatePrekey, ResponderKemKey, ResponderKeys, Session,
    SystemPrimitives, Validity, VerifiedBundle, initiate, respond, unwrap_key,
};
use sealpost_protocol::{
    AgentId, Attempt, BodyAccess, BodyDescription, Bundle, Clock, Envelope, Header, HeaderFields, KemPrekeyKind, KeyId,
    MessageClass, MessageId, MessageRef, Opening, PartHash, Priority, ReceiptBatch, ReceiptHead, ReceiptLeaf,
    Recipients, Scheme, SignedPart, Signer, Suite, Verdict,
    encoding::{Decode, Encode},
    limits,
};

use super::credentials::random;

/// The suites that the agent offers and takes.
const SUITES: [Suite; 2] = [Suite::Pqxdh25519MlKem768, Suite::X3dh25519];

/// An agent.
pub struct PlainAgent {
    /// Who it is.
    pub identity: IdentityPrivateKey,
    manifest: ManifestPrekeys,
    validity: Validity,
    one_time_curve: Vec<OneTimeCurvePrekey>,
    one_time_kem: Vec<OneTimeKemPrekey>,
    sessions: HashMap<[u8; 16], Session>,
    /// The session that the next message for a peer is sealed in.
    sends_in: HashMap<AgentId, [u8; 16]>,
    last_receipts: Option<ReceiptHead>,
}

/// A message that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub message: MessageRef,
    /// What it says.
    pub text: String,
    /// Whether its envelope opened the session.
    pub opened_session: bool,
    header: Header,
    attempt: Attempt,
    part: PartHash,
}

impl PlainAgent {
    /// A new agent with three one-time keys of each kind.
    #[must_use]
    pub fn new() -> Self {
        Self::whose_manifest_lasts(Duration::from_secs(7 * 24 * 3600))
    }

    /// A new agent whose manifest, and with it its keys, may be used for this long.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn whose_manifest_lasts(life: Duration) -> Self {
        let primitives = &SystemPrimitives;
        let validity = Validity::lasting(SystemClock.now(), life);
        Self {
            identity: IdentityPrivateKey::generate(primitives).unwrap(),
            manifest: ManifestPrekeys::generate(primitives, SUITES.to_vec(), KeyId(1), validity).unwrap(),
            validity,
            one_time_curve: PrivatePrekey::generate_many(primitives, KeyId(1), 3, validity).unwrap(),
            one_time_kem: PrivatePrekey::generate_many(primitives, KeyId(1), 3, validity).unwrap(),
            sessions: HashMap::new(),
            sends_in: HashMap::new(),
            last_receipts: None,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> AgentId {
        self.identity.agent_id()
    }

    /// What it publishes.
    ///
    /// # Panics
    /// When its keys make no manifest.
    #[must_use]
    pub fn prekeys(&self) -> v1::UploadPrekeysRequest {
        let manifest = self.manifest.publish(&self.identity, 1, self.validity).unwrap();
        v1::UploadPrekeysRequest {
            manifest: manifest.to_bytes(),
            one_time_curve: self.one_time_curve.iter().map(|key| key.publish(&self.identity).to_bytes()).collect(),
            one_time_kem: self.one_time_kem.iter().map(|key| key.publish(&self.identity).to_bytes()).collect(),
            forget_unused: false,
        }
    }

    /// Opens a session to `peer` with a bundle that the relay handed out.
    ///
    /// # Panics
    /// When the bundle does not pass every check.
    pub fn open_session(&mut self, peer: AgentId, bundle: v1::PrekeyBundle) {
        let now = SystemClock.now();
        let expected = ExpectedBundle { agent: peer, seen: None, suites: &SUITES };
        let bundle = VerifiedBundle::check(Bundle::try_from(bundle).unwrap(), &expected, now).unwrap();
        let session = initiate(&SystemPrimitives, &self.identity, bundle, now).unwrap();
        self.keep(session);
    }

    /// Seals a text for a peer that there is a session with.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn seal(&mut self, peer: AgentId, text: &str) -> (MessageId, v1::SendRequest) {
        self.seal_plaintext(peer, &Payload::new(Content::text(text.to_owned()).unwrap()).to_plaintext())
    }

    /// Seals what it likes for a peer that there is a session with.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn seal_plaintext(&mut self, peer: AgentId, plaintext: &Plaintext) -> (MessageId, v1::SendRequest) {
        self.seal_with(peer, plaintext, None)
    }

    /// Seals what it says is the key of a body, under a header that describes the body.
    ///
    /// # Panics
    /// When there is no session.
    #[must_use]
    pub fn seal_body_key(
        &mut self,
        peer: AgentId,
        key: &ContentKey,
        body: BodyDescription,
    ) -> (MessageId, v1::SendRequest) {
        self.seal_with(peer, &BodyKey::new(key, body).unwrap().to_plaintext(), Some(body))
    }

    fn seal_with(
        &mut self,
        peer: AgentId,
        plaintext: &Plaintext,
        body: Option<BodyDescription>,
    ) -> (MessageId, v1::SendRequest) {
        let now = SystemClock.now();
        let id = MessageId::new(now, random());
        let header = Header::new(HeaderFields {
            message: MessageRef { sender: self.id(), id },
            recipients: Recipients::new(vec![peer]).unwrap(),
            scheme: Scheme::Ratchet,
            class: MessageClass::Ordinary,
            priority: Priority::Normal,
            message_type: None,
            thread: None,
            reply_to: None,
            created: now,
            expires: now.saturating_add(limits::MESSAGE_LIFE),
            body,
        })
        .unwrap();
        let session = self.sessions.get_mut(&self.sends_in[&peer]).unwrap();
        let envelope = session.seal(&SystemPrimitives, &header, plaintext, now).unwrap();
        let part = v1::Part { recipient: peer.to_string(), attempt: 1, envelope: envelope.to_bytes() };
        (
            id,
            v1::SendRequest {
                header: header.as_bytes().to_vec(),
                body: None,
                upload_id: None,
                parts: vec![part],
                retention: None,
            },
        )
    }

    /// Opens an entry of the mailbox, in the session it names or in the one it opens.
    ///
    /// # Panics
    /// When it does not open.
    pub fn open(&mut self, entry: &v1::MailboxEntry) -> Opened {
        let header = Header::from_bytes(&entry.header).unwrap();
        let envelope = Envelope::from_bytes(&entry.envelope).unwrap();
        let now = SystemClock.now();
        let plaintext = match self.sessions.get_mut(&envelope.header.session) {
            Some(session) => session.open(&header, &envelope, now).unwrap(),
            None => {
                let opening = envelope.opening.as_ref().expect("an opening of an unknown session");
                let keys = self.named_by(opening);
                let (session, plaintext) = respond(&self.identity, &keys, &header, &envelope, now).unwrap();
                self.keep(session);
                plaintext
            }
        };
        Opened {
            message: header.message(),
            text: plaintext.to_payload().unwrap().content.as_text().unwrap().to_owned(),
            opened_session: envelope.opening.is_some(),
            attempt: sealpost_api::convert::attempt(entry.attempt).unwrap(),
            part: PartHash::of(&entry.envelope),
            header,
        }
    }

    /// The content of a message under `recipient-keys`, whose sender has signed it.
    ///
    /// # Panics
    /// When the entry is not such a message for this agent, or the body not its body.
    #[must_use]
    pub fn read_wrapped(&self, entry: &v1::MailboxEntry, body: &[u8]) -> Vec<u8> {
        let header = Header::from_bytes(&entry.header).unwrap();
        let part = SignedPart::from_bytes(&entry.envelope).unwrap();
        part.verify(&header).unwrap();
        assert_eq!(header.fields().body, Some(BodyDescription::of(body)));
        let BodyAccess::Wrapped(wrapped) = part.access else { panic!("another scheme: {part:?}") };
        let key = unwrap_key(&self.manifest.sealing, &header, &self.id(), &wrapped).unwrap();
        let mut opener = BodyOpener::new(&BodySeal::Sealed(&key), body.len() as u64).unwrap();
        let (mut content, mut rest) = (Vec::new(), body);
        while opener.needed() > 0 {
            let (piece, later) = rest.split_at(opener.needed());
            content.extend_from_slice(&opener.open(piece).unwrap());
            rest = later;
        }
        content
    }

    /// Signs the next batch of receipts, which says `verdict` of one message.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn sign_receipt(&mut self, opened: &Opened, verdict: Verdict) -> ReceiptBatch {
        let leaf = ReceiptLeaf {
            message: opened.message,
            attempt: opened.attempt,
            header: opened.header.hash(),
            part: opened.part,
            verdict,
            at: SystemClock.now(),
            blind: random(),
        };
        let number = self.last_receipts.map_or(0, |last| last.number) + 1;
        let previous_root = self.last_receipts.map_or(ReceiptHead::NO_ROOT, |last| last.root);
        let batch = ReceiptBatch::sign(vec![leaf], number, previous_root, &self.identity as &dyn Signer).unwrap();
        self.last_receipts = Some(batch.signed_head().head);
        batch
    }

    fn keep(&mut self, session: Session) {
        let id = session.id().0;
        self.sends_in.insert(session.peer(), id);
        self.sessions.insert(id, session);
    }

    fn named_by(&self, opening: &Opening) -> ResponderKeys<'_> {
        let curve = |id: KeyId| self.one_time_curve.iter().find(|key| key.id() == id).unwrap();
        let kem = opening.kem.as_ref().map(|kem| match kem.kind {
            KemPrekeyKind::OneTime => {
                ResponderKemKey::OneTime(self.one_time_kem.iter().find(|key| key.id() == kem.id).unwrap())
            }
            KemPrekeyKind::LastResort => ResponderKemKey::LastResort(self.manifest.last_resort_kem.as_ref().unwrap()),
        });
        ResponderKeys {
            suites: &SUITES,
            signed_prekey: &self.manifest.signed,
            one_time_curve: opening.one_time_curve.map(curve),
            kem,
        }
    }
}

impl Default for PlainAgent {
    fn default() -> Self {
        Self::new()
    }
}
