//! What the store keeps, record by record. Each begins with a format byte, so that a later version can tell.

mod content;
mod form;
mod parts;

use sealpost_api::v1;
use sealpost_crypto::{IdentityPrivateKey, SecretBytes, SeenManifest};
use sealpost_protocol::{
    AgentId, Attempt, CountersignedHead, DelegationCertificate, GroupId, HeaderHash, IdentityKey, KeyId, LedgerId,
    ManifestHash, MessageId, MessageRef, NodeId, PartHash, PrekeyKind, Priority, ReceiptBatch, ReceiptLeaf,
    RefusalReason, Retention, SignedManifest, Timestamp, Verdict,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

pub(crate) use self::{
    content::{BodyKeyRecord, BodyRecord, ContentRecord, UploadRecord},
    parts::{DeliveryRecord, PartRecord, PartSealing, RenewedPartRecord, SeenManifestRecord, SentPartRecord},
};
use crate::{
    events::Event,
    limits,
    receipt_check::ReceiptCheck,
    schemes::{DraftScheme, ReceivedScheme},
    store::{Area, Record},
};

const FORMAT: u8 = 1;

/// Declares a record: its area, its fields in order, and how each is written and read.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident in $area:ident { $($(#[$doc:meta])* $field:ident: $type:ty => $form:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub(crate) struct $name {
            $($(#[$doc])* pub(crate) $field: $type,)*
        }

        impl Record for $name {
            const AREA: Area = Area::$area;

            fn length(&self) -> usize {
                1 $(+ form::$form::length(&self.$field))*
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.u8(FORMAT);
                $(form::$form::write(writer, &self.$field);)*
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8()? {
                    FORMAT => {}
                    found => return Err(DecodeError::UnknownValue { field: stringify!($name), found }),
                }
                Ok(Self { $($field: form::$form::read(reader)?,)* })
            }
        }
    };
}

mod control;
mod groups;
mod inbox;
mod policy;

pub(crate) use self::{
    control::{ControlRecord, ForkRecord, MarkRecord, SealedControlRecord},
    groups::{GroupKeyRecord, GroupRecord, group_key_key},
    inbox::{
        ArrivalRecord, DownloadRecord, HeldRecord, InboxRecord, UnreadRecord, WaitingBodyRecord, WrittenToRecord,
        arrival_key,
    },
    policy::PolicyRecord,
};

record! {
    /// The identity's private key.
    IdentityRecord in Identity {
        /// 32 bytes.
        seed: SecretBytes => seed,
    }
}

impl IdentityRecord {
    pub(crate) fn of(identity: &IdentityPrivateKey) -> Self {
        Self { seed: SecretBytes::from(identity.expose_seed().to_vec()) }
    }

    pub(crate) fn identity(&self) -> Result<IdentityPrivateKey, DecodeError> {
        IdentityPrivateKey::from_seed(self.seed.first_chunk().ok_or(DecodeError::Truncated)?)
            .map_err(|_| DecodeError::Invalid { field: "a seed", reason: "makes no key" })
    }
}

record! {
    /// What is published, and which ids the next keys get.
    ManifestRecord in Manifest {
        manifest: SignedManifest => value,
        /// When the relay confirmed it.
        confirmed: Option<Timestamp> => option,
        next_ids: NextKeyIds => value,
        /// The ledger that it, and the one-time keys of now, are for; none before the first publication.
        ledger: Option<LedgerName> => option,
    }
}

record! {
    /// What a ledger has that the agent has left for another, and may come back to.
    PublicationRecord in Publication {
        /// The last manifest that it confirmed, by its version, and when.
        version: u64 => number,
        confirmed: Timestamp => value,
    }
}

record! {
    /// Whether one ledger is to forget the one-time keys that it has not handed out.
    RecallRecord in Recall {
        is_due: bool => flag,
        /// When a message was last taken as the reason.
        named: Option<Timestamp> => option,
    }
}

record! {
    /// What was last told of how the prekeys stand at the relay.
    #[derive(Default)]
    PrekeyWarningRecord in PrekeyWarning {
        /// The code with which the relay refuses them; empty since it has taken some.
        refused: String => text,
        /// When that was told.
        refused_at: Option<Timestamp> => option,
        /// When it was told that one-time keys are nearly out; none since there were enough.
        low_at: Option<Timestamp> => option,
    }
}

record! {
    /// The private key that signs delegations.
    DelegationKeyRecord in DelegationKey {
        /// 32 bytes.
        seed: SecretBytes => seed,
        certificate: DelegationCertificate => value,
    }
}

record! {
    /// A delegation that was made.
    GrantRecord in Grant {
        /// By their names.
        rights: String => text,
        label: String => text,
        created: Timestamp => value,
        until: Timestamp => value,
        /// When its key was certified.
        certified: Timestamp => value,
        /// Whose relay it is for.
        node: NodeId => value,
    }
}

record! {
    /// That a delegation was revoked, or all of a node's of until then.
    RevocationRecord in Revocation {
        at: Timestamp => value,
        /// Whom it is to be told.
        node: NodeId => value,
        /// The node's ledger that has it.
        told: Option<LedgerId> => option,
    }
}

/// One ledger of one node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerName {
    pub(crate) node: NodeId,
    pub(crate) ledger: LedgerId,
}

impl Encode for LedgerName {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.node).value(&self.ledger);
    }
}

impl Decode for LedgerName {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { node: NodeId::decode(reader)?, ledger: LedgerId::decode(reader)? })
    }
}

/// The ids that the next keys of each kind get: none is used twice.
#[derive(Clone, Copy)]
pub(crate) struct NextKeyIds {
    /// Of the keys that stand in a manifest; they share it.
    pub(crate) manifest: KeyId,
    pub(crate) one_time_curve: KeyId,
    pub(crate) one_time_kem: KeyId,
}

impl NextKeyIds {
    pub(crate) const FIRST: Self = Self { manifest: KeyId(1), one_time_curve: KeyId(1), one_time_kem: KeyId(1) };

    /// Well above what another copy of the agent may have used.
    pub(crate) fn beyond_the_gap(self) -> Self {
        let beyond = |id: KeyId| KeyId(id.0.saturating_add(limits::COPY_GAP));
        Self {
            manifest: beyond(self.manifest),
            one_time_curve: beyond(self.one_time_curve),
            one_time_kem: beyond(self.one_time_kem),
        }
    }
}

impl Encode for NextKeyIds {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.manifest).value(&self.one_time_curve).value(&self.one_time_kem);
    }
}

impl Decode for NextKeyIds {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            manifest: KeyId::decode(reader)?,
            one_time_curve: KeyId::decode(reader)?,
            one_time_kem: KeyId::decode(reader)?,
        })
    }
}

record! {
    /// A private prekey.
    PrekeyRecord in Prekey {
        key: SecretBytes => secret,
        /// When its replacement was confirmed by the relay.
        retired: Option<Timestamp> => option,
        /// Whether the relay has confirmed the public half.
        published: bool => flag,
    }
}

record! {
    /// What is known of another agent.
    PeerRecord in Peer {
        identity: IdentityKey => value,
        /// The manifest of the highest version seen; no older one, and no other of its version, is taken.
        manifest: Option<SeenManifestRecord> => option,
    }
}

record! {
    /// One session with a peer.
    SessionRecord in Session {
        session: SecretBytes => secret,
        /// Whether the next message is sealed in it; of a peer's sessions at most one is.
        sends: bool => flag,
        used: Timestamp => value,
    }
}

record! {
    /// A message composed and not yet sealed.
    DraftRecord in Draft {
        recipients: Vec<AgentId> => recipients,
        priority: Priority => value,
        created: Timestamp => value,
        expires: Timestamp => value,
        scheme: DraftScheme => value,
        /// How long the relay is asked to keep it; none for as its scheme has it.
        retention: Option<Retention> => option,
        /// A body is in the spool.
        content: ContentRecord => content,
    }
}

record! {
    /// A message sealed and not yet accepted.
    OutgoingRecord in Outbox {
        header: Vec<u8> => bytes,
        parts: Vec<PartRecord> => parts,
        /// What is sealed in the parts; erased in what is sealed anew, since the sent message has it. A body is in the spool.
        content: ContentRecord => content,
        /// The upload of the body, once it has begun.
        upload: Option<UploadRecord> => option,
        /// As in the draft; none in what is sealed anew, since the relay keeps to what it was told first.
        retention: Option<Retention> => option,
    }
}

record! {
    /// A message that a relay has accepted.
    SentRecord in Sent {
        header: Vec<u8> => bytes,
        parts: Vec<SentPartRecord> => sent_parts,
        /// Erased when all is delivered or has failed; a body is in the spool until then.
        content: ContentRecord => content,
        accepted: Timestamp => value,
    }
}

record! {
    /// Why a message waits that was tried.
    ObstacleRecord in Obstacle {
        /// The refusal's stable code.
        code: String => text,
        at: Timestamp => value,
    }
}

record! {
    /// A message that the relay refused for good.
    UnsentRecord in Unsent {
        recipients: Vec<AgentId> => recipients,
        /// The refusal's stable code.
        code: String => text,
        at: Timestamp => value,
    }
}

record! {
    /// A receipt that the relay has not confirmed.
    ReceiptRecord in Receipt {
        leaf: ReceiptLeaf => value,
    }
}

record! {
    /// Where the sequence of receipts stands that one ledger is given.
    ReceiptHeadRecord in ReceiptHead {
        /// The last one that was confirmed, under both signatures.
        last: Option<CountersignedHead> => option,
        /// The batch that was signed and not yet confirmed; sent again as it is.
        under_way: Option<ReceiptBatch> => option,
    }
}

record! {
    /// A relay met before.
    RelayRecord in Relay {
        node: NodeId => value,
    }
}

record! {
    /// How far one ledger's feed of changes has been read.
    FeedRecord in Feed {
        after: u64 => number,
    }
}

record! {
    /// How far the store has been compared with what one node accepted from the agent.
    ComparedRecord in Compared {
        after: u64 => number,
        /// Up to here, the messages that the store does not know are an earlier copy's, and were answered for.
        forgiven: Option<MessageId> => option,
        /// One-time keys that the relay had and the store had not, of both kinds, when that was answered for.
        surplus_curve: u64 => number,
        surplus_kem: u64 => number,
    }
}

record! {
    /// What an imported identity has published before: its own goes on above.
    FloorRecord in Floor {
        manifest_version: u64 => number,
        next_ids: NextKeyIds => value,
    }
}

record! {
    /// Whom a name means.
    ContactRecord in Contact {
        agent: AgentId => value,
    }
}

record! {
    /// That the fingerprints were compared.
    VerifiedRecord in Verified {
        at: Timestamp => value,
    }
}

record! {
    /// Something that the agent has not taken note of.
    EventRecord in Event {
        at: Timestamp => value,
        event: Event => value,
    }
}

record! {
    /// What the relay last said of a message.
    StatusRecord in Status {
        asked: Timestamp => value,
        deliveries: Vec<DeliveryRecord> => deliveries,
    }
}

record! {
    /// A message that is to be sealed anew.
    RenewalRecord in Renewal {
        parts: Vec<RenewedPartRecord> => renewed_parts,
        /// Before then it is too early.
        not_before: Timestamp => value,
    }
}

record! {
    /// How far the old rows of an area have been swept out.
    SweepRecord in Sweep {
        /// The last key looked at; empty at the beginning.
        after: Vec<u8> => bytes,
        /// When the end was last reached.
        finished: Timestamp => value,
    }
}

/// Where a private prekey is kept.
pub(crate) fn prekey_key(kind: PrekeyKind, id: KeyId) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.value(&kind).value(&id);
    writer.into_bytes()
}

#[cfg(test)]
mod tests;
