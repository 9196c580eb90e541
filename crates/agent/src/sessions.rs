//! The sessions of a peer: at most one to send in, and a few to receive in only.
//!
//! A new opening never deletes an old session. When both sides open at once, both keep both and send in the one with the
//! lower id once they have seen it.

use sealpost_api::v1;
use sealpost_crypto::{
    ExpectedBundle, LastResortKemPrekey, OneTimeCurvePrekey, OneTimeKemPrekey, Plaintext, PrivatePrekey,
    ResponderKemKey, ResponderKeys, Role, Session, SignedPrekey, VerifiedBundle, initiate, respond,
};
use sealpost_protocol::{
    AgentId, Attempt, Bundle, Envelope, Header, IdentityKey, KemPrekeyKind, KeyId, MessageId, Opening, PrekeyKind,
    RefusalReason, Timestamp,
    encoding::{DecodeError, Writer},
};
use sha2::{Digest, Sha256};

use crate::{
    Agent, RelayError, SendError, SyncError, limits,
    prekeys::SUITES,
    records::{PeerRecord, PrekeyRecord, SessionRecord, prekey_key},
    store::{Changes, StoreAccessError, Versioned},
};

const CLAIM_LABEL: &[u8] = b"sealpost/v1/claim-id";

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

impl Agent {
    /// The session to seal the next message for `peer` in; opened anew if there is none, or none that may go on.
    pub(crate) async fn sending_session(
        &self,
        peer: AgentId,
        transmission: (MessageId, Attempt),
        changes: &mut Changes,
    ) -> Result<Sending, SendError> {
        let rows = self.session_rows(peer).await?;
        if let Some(row) = rows.iter().find(|row| row.value.sends) {
            let session = Session::decode(&row.value.session)?;
            if session.unanswered() < sealpost_crypto::limits::UNANSWERED_MESSAGES {
                return Ok(Sending { session, row: Some(row.clone()) });
            }
        }
        let session = self.open_session(peer, transmission, changes).await?;
        make_room(changes, rows, true);
        Ok(Sending { session, row: None })
    }

    /// Claims a bundle, checks it, and opens a session with it. The claim's id follows from the message's and the
    /// attempt, so that a crash in between takes no second key, and what failed is not tried with the same keys.
    async fn open_session(
        &self,
        peer: AgentId,
        transmission: (MessageId, Attempt),
        changes: &mut Changes,
    ) -> Result<Session, SendError> {
        let claim = v1::ClaimPrekeyBundleRequest { agent_id: peer.to_string(), claim_id: claim_id(peer, transmission) };
        let bundle = self.relay().await?.claim_bundle(claim).await?;
        let bundle = Bundle::try_from(bundle).map_err(RelayError::from)?;
        let known = self.store.find::<PeerRecord>(peer.as_bytes()).await?;
        let lowest_version = known.as_ref().map_or(0, |known| known.value.manifest_version);
        let identity = bundle.manifest.fields().identity;
        let now = self.clock.now();
        let verified =
            VerifiedBundle::check(bundle, &ExpectedBundle { agent: peer, lowest_version, suites: &SUITES }, now)
                .map_err(|source| SendError::Bundle { agent: peer, source })?;
        let record = PeerRecord { identity, manifest_version: verified.manifest_version() };
        changes.upsert(peer.as_bytes(), known.as_ref(), &record);
        let session = initiate(self.primitives.as_ref(), &self.identity, verified, now);
        session.map_err(|error| SendError::Seal(error.into()))
    }

    /// Opens an envelope in the session it names, or in the one it opens, and notes what moved among `changes`.
    pub(crate) async fn open_envelope(
        &self,
        header: &Header,
        envelope: &Envelope,
        changes: &mut Changes,
    ) -> Result<Plaintext, NotOpened> {
        let peer = header.message().sender;
        let rows = self.session_rows(peer).await?;
        let key = [peer.as_bytes().as_slice(), &envelope.header.session].concat();
        let Some(row) = rows.iter().find(|row| row.key == key) else {
            return self.accept_session(header, envelope, rows, changes).await;
        };
        let mut session = Session::decode(&row.value.session)?;
        let now = self.clock.now();
        let plaintext = session
            .open(header, envelope, now)
            .map_err(|error| error.refusal().map_or_else(|| NotOpened::Failed(error.into()), NotOpened::Refused))?;
        changes.replace(row, &SessionRecord { session: session.encode(), sends: row.value.sends, used: now });
        Ok(plaintext)
    }

    async fn accept_session(
        &self,
        header: &Header,
        envelope: &Envelope,
        rows: Vec<Versioned<SessionRecord>>,
        changes: &mut Changes,
    ) -> Result<Plaintext, NotOpened> {
        let opening = envelope.opening.as_ref().ok_or(NotOpened::Refused(RefusalReason::UnknownSession))?;
        let prekeys = self.named_prekeys(opening).await?.ok_or(NotOpened::Refused(RefusalReason::UnknownPrekey))?;
        let now = self.clock.now();
        let (session, plaintext) =
            respond(&self.identity, &prekeys.keys(), header, envelope, now).map_err(|error| {
                error.refusal().map_or_else(|| NotOpened::Failed(SyncError::Respond(error)), NotOpened::Refused)
            })?;
        for row in &prekeys.one_time_rows {
            changes.delete(row);
        }
        self.note_peer(header.message().sender, opening.initiator, changes).await?;
        let sends = takes_over(&session, &rows)?;
        changes.insert(session_key(&session), &SessionRecord { session: session.encode(), sends, used: now });
        make_room(changes, rows, sends);
        Ok(plaintext)
    }

    async fn note_peer(
        &self,
        peer: AgentId,
        identity: IdentityKey,
        changes: &mut Changes,
    ) -> Result<(), StoreAccessError> {
        if self.store.find::<PeerRecord>(peer.as_bytes()).await?.is_none() {
            changes.insert(peer.as_bytes().as_slice(), &PeerRecord { identity, manifest_version: 0 });
        }
        Ok(())
    }

    async fn session_rows(&self, peer: AgentId) -> Result<Vec<Versioned<SessionRecord>>, StoreAccessError> {
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

    async fn prekey_row(
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

/// Whether the agent sends in a session that its peer has just opened. It does, unless it opened one at the same time
/// whose id is lower.
fn takes_over(opened: &Session, rows: &[Versioned<SessionRecord>]) -> Result<bool, DecodeError> {
    let Some(row) = rows.iter().find(|row| row.value.sends) else { return Ok(true) };
    let own = Session::decode(&row.value.session)?;
    let opened_at_once = own.role() == Role::Initiator && !own.is_answered();
    Ok(!opened_at_once || opened.id().0 < own.id().0)
}

/// Another session joins: of those that only receive, the oldest go, and if the new one sends, no other does.
fn make_room(changes: &mut Changes, rows: Vec<Versioned<SessionRecord>>, new_one_sends: bool) {
    let (mut receiving, sending): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| !row.value.sends);
    if new_one_sends {
        for row in &sending {
            changes.replace(row, &SessionRecord { sends: false, ..row.value.clone() });
        }
    }
    // What was sent in until now only receives, or else the new one does: either takes one place.
    let joins = if new_one_sends { sending.len() } else { 1 };
    let room = limits::RECEIVING_SESSIONS.saturating_sub(joins);
    receiving.sort_by_key(|row| std::cmp::Reverse(row.value.used));
    for row in receiving.iter().skip(room) {
        changes.delete(row);
    }
}

fn session_key(session: &Session) -> Vec<u8> {
    [session.peer().as_bytes().as_slice(), &session.id().0].concat()
}

fn claim_id(peer: AgentId, (message, attempt): (MessageId, Attempt)) -> Vec<u8> {
    let mut input = Writer::new();
    input.bytes(CLAIM_LABEL).value(&message).value(&peer);
    if attempt != Attempt::FIRST {
        input.value(&attempt);
    }
    Sha256::digest(input.into_bytes()).iter().take(16).copied().collect()
}
