//! Sealing without a ratchet: one signature over the header, and for each recipient the way to the body's key.

use sealpost_crypto::{ContentKey, wrap_key};
use sealpost_protocol::{AgentId, Attempt, BodyAccess, Header, MessageRef, SenderSeal, SignedPart, encoding::Encode};

use super::{DraftScheme, OutgoingScheme};
use crate::{
    Agent, GroupError, GroupStanding, SendError,
    records::{BodyKeyRecord, ContentRecord, DraftRecord, PartRecord},
    store::Changes,
};

impl Agent {
    /// For whom a message is, how its draft is to be sealed, and the key that its body is sealed under.
    pub(crate) async fn begin_scheme(
        &self,
        scheme: OutgoingScheme,
        to: &[AgentId],
        message: &MessageRef,
    ) -> Result<(Vec<AgentId>, DraftScheme, BodyKeyRecord), SendError> {
        let new_key = || ContentKey::generate(self.primitives.as_ref()).map(BodyKeyRecord::Sealed);
        let failed = |error| SendError::Seal(sealpost_crypto::SealError::from(error));
        Ok(match scheme {
            OutgoingScheme::Ratchet => (to.to_vec(), DraftScheme::Ratchet, new_key().map_err(failed)?),
            OutgoingScheme::RecipientKeys => (to.to_vec(), DraftScheme::RecipientKeys, new_key().map_err(failed)?),
            OutgoingScheme::None => (to.to_vec(), DraftScheme::None, BodyKeyRecord::Open),
            OutgoingScheme::SharedKey(group) => {
                if !to.is_empty() {
                    return Err(SendError::GroupHasRecipients);
                }
                let row = self.group_row(group).await.map_err(SendError::Group)?;
                if row.value.standing != GroupStanding::Member {
                    return Err(SendError::Group(GroupError::Ended));
                }
                let members = row.value.roster.members().iter().map(|member| member.agent);
                let others = members.filter(|member| *member != self.id()).collect();
                let newest = self.newest_key(&row).await.map_err(SendError::Group)?;
                let (key, access) = newest.new_content_key(self.primitives.as_ref(), message).map_err(failed)?;
                (others, DraftScheme::SharedKey(access), BodyKeyRecord::Sealed(key))
            }
        })
    }

    /// The parts of a draft, one for each recipient.
    pub(crate) async fn seal_signed(
        &self,
        header: &Header,
        draft: &DraftRecord,
        changes: &mut Changes,
    ) -> Result<Vec<PartRecord>, SendError> {
        let recipients = header.fields().recipients.as_slice();
        let seal = SenderSeal::sign(self.identity.as_ref(), header.hash());
        let part = |recipient: AgentId, access| {
            let envelope = SignedPart { seal, access }.to_bytes();
            PartRecord { recipient, attempt: Attempt::FIRST, envelope }
        };
        let same = |access: BodyAccess| recipients.iter().map(|recipient| part(*recipient, access.clone())).collect();
        match draft.scheme {
            DraftScheme::None => {
                self.learn_identities(recipients, changes).await?;
                Ok(same(BodyAccess::Open))
            }
            DraftScheme::SharedKey(access) => {
                self.learn_identities(recipients, changes).await?;
                Ok(same(BodyAccess::Shared(access)))
            }
            DraftScheme::RecipientKeys | DraftScheme::Ratchet => {
                let key = content_key(&draft.content)?;
                let sealing_keys = self.sealing_keys(recipients, changes).await?;
                let mut parts = Vec::with_capacity(recipients.len());
                for (recipient, sealing_key) in recipients.iter().zip(&sealing_keys) {
                    let wrapped = wrap_key(self.primitives.as_ref(), key, header.hash(), recipient, sealing_key);
                    let wrapped = wrapped.map_err(|error| SendError::Seal(error.into()))?;
                    parts.push(part(*recipient, BodyAccess::Wrapped(wrapped)));
                }
                Ok(parts)
            }
        }
    }
}

fn content_key(content: &ContentRecord) -> Result<&ContentKey, SendError> {
    match content.body().map(|body| &body.key) {
        Some(BodyKeyRecord::Sealed(key)) => Ok(key),
        _ => Err(sealpost_protocol::encoding::DecodeError::Invalid {
            field: "a draft",
            reason: "without its body's key",
        }
        .into()),
    }
}
