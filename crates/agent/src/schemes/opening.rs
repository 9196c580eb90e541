//! Taking in what was sealed without a ratchet: the sender's signature is checked before anything else is looked at, then
//! the key of the body is found. The body itself is fetched and checked as under any scheme.
//!
//! | under `shared-key`, when | the message is |
//! | --- | --- |
//! | the key is here, and the sender is a member | taken |
//! | the group is not known, or the key of its epoch is not here | refused as `unknown-prekey`: it may come, and the sender sends the same again |
//! | the sender is no member, and the epoch is the newest | the same: a roster with it may come |
//! | the sender is no member, and the epoch is an earlier one; the agent has left | refused as `not-member` |

use sealpost_crypto::{SealingPrekey, UnwrapError, unwrap_key};
use sealpost_protocol::{BodyAccess, Header, PrekeyKind, RefusalReason, SharedAccess, SignedPart, WrappedKey};

use super::ReceivedScheme;
use crate::{
    Agent, GroupStanding,
    records::{BodyKeyRecord, BodyRecord, GroupRecord},
    sessions::NotOpened,
    store::Changes,
};

const UNDECRYPTABLE: NotOpened = NotOpened::Refused(RefusalReason::Undecryptable);
const UNKNOWN_KEY: NotOpened = NotOpened::Refused(RefusalReason::UnknownPrekey);
const NOT_MEMBER: NotOpened = NotOpened::Refused(RefusalReason::NotMember);

impl Agent {
    /// The body of a message that its sender has signed, and what it takes to read it.
    pub(crate) async fn open_signed(
        &self,
        header: &Header,
        part: &SignedPart,
        changes: &mut Changes,
    ) -> Result<(BodyRecord, ReceivedScheme), NotOpened> {
        let fields = header.fields();
        let (Ok(()), Some(description), Some(_)) =
            (part.verify(header), fields.body, fields.recipients.position(&self.id()))
        else {
            return Err(UNDECRYPTABLE);
        };
        self.note_peer(fields.message.sender, part.seal.sender, changes).await?;
        let (key, scheme) = match &part.access {
            BodyAccess::Open => (BodyKeyRecord::Open, ReceivedScheme::None),
            BodyAccess::Wrapped(wrapped) => (self.unwrap(header, wrapped).await?, ReceivedScheme::RecipientKeys),
            BodyAccess::Shared(access) => {
                let SharedAccess { group, epoch, .. } = *access;
                (self.derive_shared(header, access).await?, ReceivedScheme::SharedKey { group, epoch })
            }
        };
        Ok((BodyRecord { description, key }, scheme))
    }

    async fn unwrap(&self, header: &Header, wrapped: &WrappedKey) -> Result<BodyKeyRecord, NotOpened> {
        let row = self.prekey_row(PrekeyKind::Sealing, wrapped.sealing_key).await?.ok_or(UNKNOWN_KEY)?;
        let private = SealingPrekey::decode(&row.value.key)?;
        match unwrap_key(&private, header, &self.id(), wrapped) {
            Ok(key) => Ok(BodyKeyRecord::Sealed(key)),
            Err(UnwrapError::Primitives(error)) => Err(NotOpened::Failed(error.into())),
            Err(_) => Err(UNDECRYPTABLE),
        }
    }

    async fn derive_shared(&self, header: &Header, access: &SharedAccess) -> Result<BodyKeyRecord, NotOpened> {
        let message = header.message();
        let group = self.store.find::<GroupRecord>(&access.group.0).await?.ok_or(UNKNOWN_KEY)?.value;
        if group.standing == GroupStanding::Left {
            return Err(NOT_MEMBER);
        }
        let failed = |error: crate::GroupError| NotOpened::Failed(error.into());
        let key = self.group_key(access.group, access.epoch).await.map_err(failed)?.ok_or(UNKNOWN_KEY)?;
        if group.roster.member(&message.sender).is_none() {
            return Err(if u64::from(access.epoch) == group.epoch { UNKNOWN_KEY } else { NOT_MEMBER });
        }
        match key.content_key(&message, access) {
            Ok(Some(key)) => Ok(BodyKeyRecord::Sealed(key)),
            Ok(None) => Err(UNDECRYPTABLE),
            Err(error) => Err(NotOpened::Failed(error.into())),
        }
    }
}
