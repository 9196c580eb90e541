//! The sessions of a peer: at most one to send in, and a few to receive in only.
//!
//! A new opening never deletes an old session. When both sides open at once, both keep both and send in the one with the
//! lower id once they have seen it.

use futures::{StreamExt, stream::FuturesOrdered};
use sealpost_api::{convert::FieldError, v1};
use sealpost_crypto::{
    ExpectedBundle, LastResortKemPrekey, OneTimeCurvePrekey, OneTimeKemPrekey, Plaintext, PrivatePrekey,
    ResponderKemKey, ResponderKeys, Session, SessionId, SessionStanding, SignedPrekey, VerifiedBundle, initiate,
    respond, sessions_to_erase, takes_over,
};
use sealpost_protocol::{
    AgentId, Attempt, Bundle, Envelope, Header, IdentityKey, KemPrekeyKind, KeyId, MessageId, Opening, PrekeyKind,
    RefusalReason, Timestamp,
    encoding::{DecodeError, Writer},
};
use sha2::{Digest, Sha256};

use crate::{
    Agent, RelayError, SendError, StateError, SyncError, limits,
    prekeys::SUITES,
    records::{PeerRecord, PrekeyRecord, SeenManifestRecord, SessionRecord, prekey_key},
    store::{Changes, StoreAccessError, Versioned},
};

const CLAIM_LABEL: &[u8] = b"sealpost/v1/claim-id";

/// What is to be sealed for a peer.
pub(crate) struct Transmission {
    pub(crate) message: MessageId,
    pub(crate) attempt: Attempt,
    /// A session that is over: if it still sends, it is retired, and another opened.
    pub(crate) ended: Option<SessionId>,
    /// A bundle that was claimed for it before.
    pub(crate) claimed: Option<v1::PrekeyBundle>,
}

/// A session to seal in, and the row it came from, if it is stored.
pub(crate) struct Sending {
    pub(crate) session: Session,
    row: Option<Versioned<SessionRecord>>,
}

/// A message that will not be taken, or a failure that says nothing about it.
pub(crate) enum NotOpened {
    Refused(RefusalReason),
    Failed(SyncError),
}

impl From<StoreAccessError> for NotOpened {
    fn from(error: StoreAccessError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DecodeError> for NotOpened {
    fn from(error: DecodeError) -> Self {
        Self::Failed(error.into())
    }
}

impl Sending {
    /// Notes the moved session among `changes`.
    pub(crate) fn save(self, changes: &mut Changes, used: Timestamp) {
        let record = SessionRecord { session: self.session.encode(), sends: true, used };
        match &self.row {
            Some(row) => changes.replace(row, &record),
            None => changes.insert(session_key(&self.session), &record),
        };
    }
}

/// How a session with a peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSummary {
    /// Its name, the same at both ends.
    pub id: SessionId,
    /// Whether the next message to the peer is sealed in it; of a peer's sessions at most one is.
    pub sends: bool,
    /// How many messages were sealed since the peer's last step of the ratchet.
    pub unanswered: u32,
    /// How many keys wait for messages that were overtaken.
    pub skipped_keys: usize,
    /// When it was last sealed or opened in.
    pub used: Timestamp,
}

impl Agent {
    /// The sessions with a peer.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn sessions(&self, peer: AgentId) -> Result<Vec<SessionSummary>, StateError> {
        let mut sessions = Vec::new();
        for row in self.session_rows(peer).await? {
            let session = Session::decode(&row.value.session).map_err(StoreAccessError::from)?;
            sessions.push(SessionSummary {
                id: session.id(),
                sends: row.value.sends,
                unanswered: session.unanswered(),
                skipped_keys: session.skipped_keys(),
                used: row.value.used,
            });
        }
        Ok(sessions)
    }

    /// The session to seal the next message for `peer` in; opened anew if there is none, or none that may go on.
    pub(crate) async fn sending_session(
        &self,
        peer: AgentId,
        transmission: &Transmission,
        changes: &mut Changes,
    ) -> Result<Sending, SendError> {
        let mut rows = self.session_rows(peer).await?;
        if let Some(row) = rows.iter_mut().find(|row| row.value.sends) {
            let mut session = Session::decode(&row.value.session)?;
            if transmission.ended == Some(session.id()) {
                session.retire();
                row.value.session = session.encode();
            } else if session.may_seal() {
                return Ok(Sending { session, row: Some(row.clone()) });
            }
        }
        let session = self.open_session(peer, transmission, changes).await?;
        make_room(changes, rows, &session, true, self.clock.now())?;
        Ok(Sending { session, row: None })
    }

    /// Claims a bundle, checks it, and opens a session with it. The claim's id follows from the message's and the
    /// attempt, so that a crash in between takes no second key, and what failed is not tried with the same keys.
    async fn open_session(
        &self,
        peer: AgentId,
        transmission: &Transmission,
        changes: &mut Changes,
    ) -> Result<Session, SendError> {
        let bundle = match &transmission.claimed {
            Some(claimed) => claimed.clone(),
            None => self.claim(peer, transmission).await?,
        };
        let bundle = Bundle::try_from(bundle).map_err(|error| match error {
            FieldError::Encoding { source, .. } => SendError::Bundle { agent: peer, source: source.into() },
            error => RelayError::from(error).into(),
        })?;
        let known = self.store.find::<PeerRecord>(peer.as_bytes()).await?;
        let seen = known.as_ref().and_then(|known| known.value.manifest).map(|SeenManifestRecord(seen)| seen);
        let identity = bundle.manifest.fields().identity;
        let now = self.clock.now();
        let verified = VerifiedBundle::check(bundle, &ExpectedBundle { agent: peer, seen, suites: &SUITES }, now)
            .map_err(|source| SendError::Bundle { agent: peer, source })?;
        let record = PeerRecord { identity, manifest: Some(SeenManifestRecord(verified.seen())) };
        changes.upsert(peer.as_bytes(), known.as_ref(), &record);
        let session = initiate(self.primitives.as_ref(), &self.identity, verified, now);
        session.map_err(|error| SendError::Seal(error.into()))
    }

    async fn claim(&self, peer: AgentId, transmission: &Transmission) -> Result<v1::PrekeyBundle, SendError> {
        let claim = v1::ClaimPrekeyBundleRequest {
            agent_id: peer.to_string(),
            claim_id: claim_id(peer, transmission.message, transmission.attempt),
        };
        Ok(self.relay().await?.claim_bundle(claim).await?)
    }

    /// What it takes to seal the first attempt of a message for each of its recipients. The bundles that this needs are
    /// claimed several at a time: one after the other, a thousand round trips would pass before the first byte does.
    pub(crate) async fn transmissions(
        &self,
        message: MessageId,
        recipients: &[AgentId],
    ) -> Result<Vec<(AgentId, Transmission)>, SendError> {
        let mut rest = recipients.iter();
        let mut claiming = FuturesOrdered::new();
        let mut transmissions = Vec::with_capacity(recipients.len());
        loop {
            while claiming.len() < limits::CLAIMS_AT_A_TIME
                && let Some(peer) = rest.next()
            {
                claiming.push_back(self.transmission(message, *peer));
            }
            match claiming.next().await {
                Some(transmission) => transmissions.push(transmission?),
                None => return Ok(transmissions),
            }
        }
    }

    async fn transmission(&self, message: MessageId, peer: AgentId) -> Result<(AgentId, Transmission), SendError> {
        let mut transmission = Transmission { message, attempt: Attempt::FIRST, ended: None, claimed: None };
        let rows = self.session_rows(peer).await?;
        let may_seal = match rows.iter().find(|row| row.value.sends) {
            Some(row) => Session::decode(&row.value.session)?.may_seal(),
            None => false,
        };
        if !may_seal {
            transmission.claimed = Some(self.claim(peer, &transmission).await?);
        }
        Ok((peer, transmission))
    }

    /// Opens an envelope in the session it names, or in the one it opens, and notes what moved among `changes`.
    pub(crate) async fn open_envelope(
        &self,
        header: &Header,
        envelope: &Envelope,
        changes: &mut Changes,
    ) -> Result<Plaintext, NotOpened> {
        match self.open_in_known_session(header, envelope, changes).await? {
            Some(plaintext) => Ok(plaintext),
            None => {
                let rows = self.session_rows(header.message().sender).await?;
                self.accept_session(header, envelope, rows, changes).await
            }
        }
    }

    /// Opens an envelope in the session it names; `None` if that is not there.
    pub(crate) async fn open_in_known_session(
        &self,
        header: &Header,
        envelope: &Envelope,
        changes: &mut Changes,
    ) -> Result<Option<Plaintext>, NotOpened> {
        let key = [header.message().sender.as_bytes().as_slice(), &envelope.header.session].concat();
        let Some(row) = self.store.find::<SessionRecord>(&key).await? else { return Ok(None) };
        let mut session = Session::decode(&row.value.session)?;
        let now = self.clock.now();
        let plaintext = session
            .open(header, envelope, now)
            .map_err(|error| error.refusal().map_or_else(|| NotOpened::Failed(error.into()), NotOpened::Refused))?;
        self.owed_steps.note(&session);
        changes.replace(&row, &SessionRecord { session: session.encode(), sends: row.value.sends, used: now });
        Ok(Some(plaintext))
    }

    async fn accept_session(
        &self,
        header: &Header,
        envelope: &Envelope,
        rows: Vec<Versioned<SessionRecord>>,
        changes: &mut Changes,
    ) -> Result<Plaintext, NotOpened> {
        let opening = envelope.opening.as_ref().ok_or(NotOpened::Refused(RefusalReason::UnknownSession))?;
        let Some(prekeys) = self.named_prekeys(opening).await? else {
            self.note_unknown_keys(header.message(), opening, changes).await?;
            return Err(NotOpened::Refused(RefusalReason::UnknownPrekey));
        };
        let now = self.clock.now();
        let (session, plaintext) =
            respond(&self.identity, &prekeys.keys(), header, envelope, now).map_err(|error| {
                error.refusal().map_or_else(|| NotOpened::Failed(SyncError::Respond(error)), NotOpened::Refused)
            })?;
        self.owed_steps.note(&session);
        for row in &prekeys.one_time_rows {
            changes.delete(row);
        }
        self.note_peer(header.message().sender, opening.initiator, changes).await?;
        let own = rows.iter().find(|row| row.value.sends);
        let own = own.map(|row| Session::decode(&row.value.session).map(|own| (own, row.value.used))).transpose()?;
        let sends = takes_over(&session, own.as_ref().map(|(own, used)| (own, *used)), now);
        changes.insert(session_key(&session), &SessionRecord { session: session.encode(), sends, used: now });
        make_room(changes, rows, &session, sends, now)?;
        Ok(plaintext)
    }

    pub(crate) async fn note_peer(
        &self,
        peer: AgentId,
        identity: IdentityKey,
        changes: &mut Changes,
    ) -> Result<(), StoreAccessError> {
        if self.store.find::<PeerRecord>(peer.as_bytes()).await?.is_none() {
            changes.insert(peer.as_bytes().as_slice(), &PeerRecord { identity, manifest: None });
        }
        Ok(())
    }

    pub(crate) async fn session_rows(&self, peer: AgentId) -> Result<Vec<Versioned<SessionRecord>>, StoreAccessError> {
        self.store.list(peer.as_bytes(), &[], limits::ROWS).await
    }

    /// The private keys that an opening names; `None` if one is not there.
    async fn named_prekeys(&self, opening: &Opening) -> Result<Option<NamedPrekeys>, NotOpened> {
        let Some(signed) = self.prekey_row(PrekeyKind::Signed, opening.signed_prekey).await? else { return Ok(None) };
        let signed = PrivatePrekey::decode(&signed.value.key)?;
        let mut named = NamedPrekeys { signed, one_time_curve: None, kem: None, one_time_rows: Vec::new() };
        if let Some(id) = opening.one_time_curve {
            let Some(row) = self.prekey_row(PrekeyKind::OneTimeCurve, id).await? else { return Ok(None) };
            named.one_time_curve = Some(PrivatePrekey::decode(&row.value.key)?);
            named.one_time_rows.push(row);
        }
        if let Some(kem) = &opening.kem {
            let kind = match kem.kind {
                KemPrekeyKind::OneTime => PrekeyKind::OneTimeKem,
                KemPrekeyKind::LastResort => PrekeyKind::LastResortKem,
            };
            let Some(row) = self.prekey_row(kind, kem.id).await? else { return Ok(None) };
            named.kem = Some(match kem.kind {
                KemPrekeyKind::OneTime => NamedKemKey::OneTime(PrivatePrekey::decode(&row.value.key)?),
                KemPrekeyKind::LastResort => NamedKemKey::LastResort(PrivatePrekey::decode(&row.value.key)?),
            });
            if kem.kind == KemPrekeyKind::OneTime {
                named.one_time_rows.push(row);
            }
        }
        Ok(Some(named))
    }

    pub(crate) async fn prekey_row(
        &self,
        kind: PrekeyKind,
        id: KeyId,
    ) -> Result<Option<Versioned<PrekeyRecord>>, StoreAccessError> {
        self.store.find(&prekey_key(kind, id)).await
    }
}

/// The private keys of one opening, and the rows of those that are used up by it.
struct NamedPrekeys {
    signed: SignedPrekey,
    one_time_curve: Option<OneTimeCurvePrekey>,
    kem: Option<NamedKemKey>,
    one_time_rows: Vec<Versioned<PrekeyRecord>>,
}

enum NamedKemKey {
    OneTime(OneTimeKemPrekey),
    LastResort(LastResortKemPrekey),
}

impl NamedPrekeys {
    fn keys(&self) -> ResponderKeys<'_> {
        ResponderKeys {
            suites: &SUITES,
            signed_prekey: &self.signed,
            one_time_curve: self.one_time_curve.as_ref(),
            kem: self.kem.as_ref().map(|key| match key {
                NamedKemKey::OneTime(key) => ResponderKemKey::OneTime(key),
                NamedKemKey::LastResort(key) => ResponderKemKey::LastResort(key),
            }),
        }
    }
}

/// Another session joins: if it sends, no other does, and what is to be kept no longer goes.
fn make_room(
    changes: &mut Changes,
    rows: Vec<Versioned<SessionRecord>>,
    joins: &Session,
    joins_sending: bool,
    now: Timestamp,
) -> Result<(), DecodeError> {
    let mut standings = vec![SessionStanding { id: joins.id(), sends: joins_sending, used: now }];
    for row in &rows {
        standings.push(SessionStanding {
            id: session_of(row)?,
            sends: row.value.sends && !joins_sending,
            used: row.value.used,
        });
    }
    let erased = sessions_to_erase(&standings, now);
    for row in rows {
        if erased.contains(&session_of(&row)?) {
            changes.delete(&row);
        } else if joins_sending && row.value.sends {
            changes.replace(&row, &SessionRecord { sends: false, ..row.value.clone() });
        }
    }
    Ok(())
}

/// The session that a row is of: its key is the peer's id and the session's.
fn session_of(row: &Versioned<SessionRecord>) -> Result<SessionId, DecodeError> {
    row.key.last_chunk().map(|id| SessionId(*id)).ok_or(DecodeError::Truncated)
}

fn session_key(session: &Session) -> Vec<u8> {
    [session.peer().as_bytes().as_slice(), &session.id().0].concat()
}

/// The same each time a transmission is sealed, so that a crash takes no second bundle.
pub(crate) fn claim_id(peer: AgentId, message: MessageId, attempt: Attempt) -> Vec<u8> {
    let mut input = Writer::new();
    input.bytes(CLAIM_LABEL).value(&message).value(&peer);
    if attempt != Attempt::FIRST {
        input.value(&attempt);
    }
    Sha256::digest(input.into_bytes()).iter().take(16).copied().collect()
}
