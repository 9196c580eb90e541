//! Sealing a draft: the moved ratchets and the envelopes are committed together, before anything leaves.

use sealpost_crypto::{BodyKey, Ordinary, Payload, Plaintext, SecretBytes, encode_secret};
use sealpost_protocol::{
    Attempt, Header, MessageId,
    encoding::{Decode, DecodeError, Encode},
};

use super::refusals::is_final;
use crate::{
    Agent, SendError,
    bodies::Spooled,
    records::{BodyKeyRecord, BodyRecord, ContentRecord, DraftRecord, OutgoingRecord, PartRecord},
    schemes::DraftScheme,
    store::{Changes, Versioned},
};

impl Agent {
    /// Seals a draft: the moved ratchets and the envelopes are committed together, before anything leaves. A draft that
    /// the relay refuses a session for, or whose life is over, is noted as unsent; so is one that was composed by a clock
    /// that was ahead, and has been set right since: no relay would take it, nor what comes after it, before that time. While the
    /// clocks differ too much, it waits, and no key is spent on it.
    pub(super) async fn seal(
        &self,
        id: MessageId,
        draft: Versioned<DraftRecord>,
        is_wanted: bool,
    ) -> Result<(), SendError> {
        let result = match self.check_dates(id, draft.value.expires).await {
            Ok(()) => self.try_seal(id, &draft).await,
            refused => refused,
        };
        if let Err(error) = &result
            && is_final(error)
        {
            let mut changes = Changes::default();
            changes.delete(&draft);
            self.note_unsent(changes, id, draft.value.recipients.clone(), error, is_wanted).await?;
            self.spool.remove(Spooled::Outgoing(id)).await;
        }
        result
    }

    async fn try_seal(&self, id: MessageId, draft: &Versioned<DraftRecord>) -> Result<(), SendError> {
        let header = self.header_of(id, &draft.value)?;
        let mut changes = Changes::default();
        let parts = match draft.value.scheme {
            DraftScheme::Ratchet => self.seal_by_ratchets(&header, &draft.value, &mut changes).await?,
            _ => self.seal_signed(&header, &draft.value, &mut changes).await?,
        };
        let header = header.as_bytes().to_vec();
        let DraftRecord { content, retention, .. } = &draft.value;
        let (content, retention) = (content.clone(), *retention);
        let outgoing = OutgoingRecord { header, parts, content, upload: None, retention };
        changes.delete(draft).insert(id.as_bytes().as_slice(), &outgoing);
        Ok(self.store.commit(changes).await?)
    }

    /// An envelope for each recipient; the moved ratchets are noted among `changes`.
    async fn seal_by_ratchets(
        &self,
        header: &Header,
        draft: &DraftRecord,
        changes: &mut Changes,
    ) -> Result<Vec<PartRecord>, SendError> {
        let (id, now) = (header.message().id, self.clock.now());
        let plaintext = plaintext_of(&draft.content)?;
        let mut parts = Vec::new();
        for (recipient, transmission) in self.transmissions(id, header.fields().recipients.as_slice()).await? {
            let mut sending = self.sending_session(recipient, &transmission, changes).await?;
            let envelope = sending.session.seal(self.primitives.as_ref(), header, &plaintext, now)?;
            sending.save(changes, now);
            parts.push(PartRecord { recipient, attempt: Attempt::FIRST, envelope: envelope.to_bytes() });
        }
        Ok(parts)
    }
}

/// What is sealed for each recipient under the ratchet: the payload, or the key of the body.
pub(crate) fn plaintext_of(content: &ContentRecord) -> Result<Plaintext, SendError> {
    let missing = |reason| DecodeError::Invalid { field: "a content", reason };
    match content {
        ContentRecord::Payload(payload) => Ok(Ordinary::from_bytes(payload)?.to_plaintext()),
        ContentRecord::Body(BodyRecord { description, key: BodyKeyRecord::Sealed(key) }) => {
            let key = BodyKey::new(key, *description).map_err(|error| SendError::Seal(error.into()))?;
            Ok(key.to_plaintext())
        }
        ContentRecord::Body(_) => Err(missing("a body without a key").into()),
        ContentRecord::Erased => Err(missing("erased").into()),
    }
}

/// A payload as it is stored.
pub(crate) fn encode_payload(payload: &Payload) -> SecretBytes {
    encode_secret(payload.content.as_bytes().len() + sealpost_crypto::limits::METADATA, |writer| payload.encode(writer))
}
