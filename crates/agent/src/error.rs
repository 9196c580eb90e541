//! What can go wrong in an agent's runtime.

use std::path::PathBuf;

use sealpost_crypto::{
    BodyError, BundleError, MasterKeyError, PayloadError, PrimitivesError, RosterError, SealError, SignManifestError,
    VaultError,
};
use sealpost_protocol::{
    AgentId, DelegationId, ErrorCode, GroupId, HeaderError, MessageId, ReceiptError, Scheme, Timestamp,
    encoding::DecodeError, limits as wire,
};
use thiserror::Error;

use crate::{
    InvalidDelegation, clocks::difference, limits, outbox::Obstacle, relay_client::RelayError, store::StoreAccessError,
};

/// The local state could not be read or written; nothing has changed.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct StateError(#[from] StoreAccessError);

impl StateError {
    /// Whether another process of the agent was faster; the same call may be made again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.0, StoreAccessError::Commit(crate::store::CommitError::Conflict))
    }

    /// Whether the agent's store key was replaced since it was opened: opened anew, it goes on.
    #[must_use]
    pub fn is_key_replaced(&self) -> bool {
        self.0.is_other_generation()
    }
}

/// Why there is no agent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenAgentError {
    /// There is none in that folder.
    #[error("there is no agent in {0}")]
    Missing(PathBuf),
    /// The store's file is there with nothing in it, and the agent has been in use.
    #[error(
        "{} is empty, though the agent has been in use: put the file back from a backup; without one, remove the folder and make \
         the agent again from its exported identity (`sealpost agent import`), or another agent (`sealpost agent new`)",
        .0.display()
    )]
    Emptied(PathBuf),
    /// There is one already.
    #[error("there is an agent in {0} already")]
    Exists(PathBuf),
    /// The file cannot be opened.
    #[error(transparent)]
    Database(#[from] sealpost_sqlite::OpenDatabaseError),
    /// The folder cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The vault does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store is not an agent's, or damaged.
    #[error("the store is damaged: {0}")]
    Damaged(#[from] DecodeError),
    /// The local state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// No key could be made.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
    /// The relay's address is none.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

/// Why a message was not sent. What became of it is said by each case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The content is not allowed; nothing was stored.
    #[error(transparent)]
    Content(#[from] PayloadError),
    /// The recipients or times are not allowed; nothing was stored.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// An agent cannot write to itself; nothing was stored.
    #[error("an agent cannot send to itself")]
    ToItself,
    /// The message that is said to be read has not come from that agent, or was forgotten; nothing was stored.
    #[error("no message {message} was received from {peer}")]
    NotReceived {
        /// Which.
        message: MessageId,
        /// From whom.
        peer: AgentId,
    },
    /// The agent's policy demands a stronger scheme for the message; nothing was stored.
    #[error("the policy demands {minimum} for this message, and it was to go under {scheme}")]
    BelowMinimum {
        /// The one that was asked for.
        scheme: Scheme,
        /// The weakest that would do.
        minimum: Scheme,
    },
    /// A message for a group goes to its members; nothing was stored.
    #[error("a message for a group goes to its members, and names no recipients")]
    GroupHasRecipients,
    /// There is no such group, or the agent does not belong to it; nothing was stored.
    #[error(transparent)]
    Group(GroupError),
    /// The content cannot be read; nothing was stored.
    #[error("the content cannot be read: {0}")]
    Input(#[source] std::io::Error),
    /// The content has another length than was said; nothing was stored.
    #[error("the content has changed its length while it was read")]
    ContentChanged,
    /// The content is longer than any body; nothing was stored.
    #[error("a message carries at most {} bytes", limits::BODY_CONTENT)]
    ContentTooLong,
    /// The content cannot be sealed into a body; nothing was stored.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The folder of sealed bodies cannot be written or read.
    #[error("the folder of sealed bodies cannot be used: {0}")]
    Spool(#[source] std::io::Error),
    /// Another process of the agent uploads its body.
    #[error("another process of the agent is uploading its body")]
    UploadedElsewhere,
    /// The relay cannot be reached or did not take it; if that is for good it is noted as not sent.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The relay handed out a bundle of `agent` that must not be used; the message stays a draft.
    #[error("the bundle of {agent} must not be used: {source}")]
    Bundle {
        /// Whose.
        agent: AgentId,
        /// Why.
        source: BundleError,
    },
    /// An earlier message to the same recipient waits, and this one behind it.
    #[error("an earlier message to the same recipient waits: {} [{}]", .0.message, .0.reason)]
    Behind(Obstacle),
    /// It was composed by a clock that was ahead and has been set right since, and no relay takes it before that time; it is
    /// noted as not sent. The same content may be sent anew.
    #[error("the message is dated {dated}, by a clock that was ahead; it is not sent: send the same anew [clock-skew]")]
    Misdated {
        /// When it was composed, by that clock.
        dated: Timestamp,
    },
    /// The clock here and the relay's differ by more than the relay allows; the message waits until they agree.
    #[error(
        "the clock here is {} the relay's, which takes no message that is dated so; the message waits until the clocks agree: if \
         this one is wrong, set it right and send the same anew [clock-skew]", difference(*ours, *relays)
    )]
    ClocksDiffer {
        /// What the clock here shows.
        ours: Timestamp,
        /// What the relay's shows.
        relays: Timestamp,
    },
    /// The relay does not know a recipient any more whose keys it has given out before: its ledger was put back from an older
    /// copy, or it is another relay. The message waits until the recipient has published its keys there.
    #[error(
        "the relay does not know a recipient any more; the message waits until that agent has been there again: {0}"
    )]
    RecipientForgotten(#[source] RelayError),
    /// The store is an old copy, and its prekeys could not be replaced; the message stays a draft.
    #[error(transparent)]
    Prekeys(#[from] PrekeysError),
    /// It could not be sealed; it stays a draft.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The local state failed; it is as it was.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored row is not what it should be.
    #[error("the local store is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

impl SendError {
    /// Its stable name: the relay's code where it is the relay's, else one of `unreachable`, `unusable-bundle`, `behind`,
    /// `clock-skew`, `unknown-recipient`, `uploading`, `invalid`, `local-state` and `failed`.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Relay(error) | Self::Prekeys(PrekeysError::Relay(error)) => match error {
                RelayError::Unreachable(_) => "unreachable".to_owned(),
                error => error.code().map_or_else(|| "failed".to_owned(), |code| code.to_string()),
            },
            Self::Bundle { .. } => "unusable-bundle".to_owned(),
            Self::Behind(_) => "behind".to_owned(),
            Self::Misdated { .. } | Self::ClocksDiffer { .. } => ErrorCode::ClockSkew.to_string(),
            Self::RecipientForgotten(_) => ErrorCode::UnknownRecipient.to_string(),
            Self::Content(_)
            | Self::Header(_)
            | Self::ToItself
            | Self::NotReceived { .. }
            | Self::ContentChanged
            | Self::ContentTooLong
            | Self::Body(_) => "invalid".to_owned(),
            Self::State(_) | Self::Damaged(_) | Self::Spool(_) => "local-state".to_owned(),
            Self::UploadedElsewhere => Obstacle::UPLOADS.to_owned(),
            _ => "failed".to_owned(),
        }
    }

    /// Whether the same call may succeed later without anything else being done.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Relay(error) | Self::Prekeys(PrekeysError::Relay(error)) if error.is_passing())
    }
}

/// Why the mailbox could not be read or receipts not be given; what was done before stays done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The local state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Prekeys.
    #[error(transparent)]
    Prekeys(#[from] PrekeysError),
    /// What became of sent messages could not be told.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// Receipts could not be signed.
    #[error(transparent)]
    Receipts(#[from] ReceiptError),
    /// The relay's countersignature does not verify.
    #[error("the relay's countersignature of the receipts does not verify")]
    Countersignature,
    /// Below the protocol something failed; it says nothing about the messages.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
    /// A message could not be opened for a reason that says nothing about it.
    #[error(transparent)]
    Open(#[from] sealpost_crypto::OpenError),
    /// A session could not be opened for a reason that says nothing about the message.
    #[error(transparent)]
    Respond(#[from] sealpost_crypto::RespondError),
    /// The relay hands out another body than the header of a message describes; it is fetched again later.
    #[error("the relay hands out another body than the one of {0}; it is fetched again later")]
    OtherBody(MessageId),
    /// The folder of sealed bodies cannot be written or read.
    #[error("the folder of sealed bodies cannot be used: {0}")]
    Spool(#[source] std::io::Error),
    /// The disk has no room for a content.
    #[error("the disk has no room for it: it needs {needed} bytes, and {free} are free")]
    NoRoom {
        /// Bytes that it needs, with those that the disk keeps free.
        needed: u64,
        /// Bytes that there are.
        free: u64,
    },
    /// A stored row is not what it should be.
    #[error("the local store is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

impl SyncError {
    /// Whether the same call may succeed later without anything else being done.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::State(error)
            | Self::Prekeys(PrekeysError::State(error))
            | Self::Status(StatusError::State(error)) => error.is_conflict(),
            error => error.relay().is_some_and(RelayError::is_passing),
        }
    }

    /// Whether the agent's store key was replaced since it was opened: opened anew, it goes on.
    #[must_use]
    pub fn is_key_replaced(&self) -> bool {
        matches!(self, Self::State(error)
            | Self::Prekeys(PrekeysError::State(error))
            | Self::Status(StatusError::State(error)) if error.is_key_replaced())
    }

    /// The relay's part in it, if it has one.
    #[must_use]
    pub fn relay(&self) -> Option<&RelayError> {
        match self {
            Self::Relay(error)
            | Self::Prekeys(PrekeysError::Relay(error))
            | Self::Status(StatusError::Relay(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether it failed on the agent's own side, whoever the relay is.
    pub(crate) fn is_local(&self) -> bool {
        self.relay().is_none() && !matches!(self, Self::Countersignature)
    }
}

/// Why prekeys were not published; the old ones stay in use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrekeysError {
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The local state.
    #[error(transparent)]
    State(#[from] StateError),
    /// No key could be made.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
    /// The keys make no manifest.
    #[error(transparent)]
    Publish(#[from] SignManifestError),
    /// A stored row is not what it should be.
    #[error("the local store is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// Why a message's status cannot be told.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The agent has not sent such a message.
    #[error("no message {0} was sent by this agent")]
    Unknown(MessageId),
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The local state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored row is not what it should be.
    #[error("the local store is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// Why a message could not be taken back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CancelError {
    /// It was accepted, refused for good or taken back before, or never was.
    #[error("no message {0} waits here")]
    NotWaiting(MessageId),
    /// It left, and only the answer was lost; the next round takes note.
    #[error("the relay has accepted {0} already")]
    Accepted(MessageId),
    /// It may have left, and the relay does not say whether.
    #[error("the message is sealed and may have left, and the relay does not say: {0}")]
    Relay(#[from] RelayError),
    /// The local state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored row is not what it should be.
    #[error("the local store is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// Why a group is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// There is no such group here.
    #[error("this agent knows no group {0}")]
    Unknown(GroupId),
    /// The name is none that people can tell from others and type.
    #[error(
        "{0:?} is no name for a group: it begins or ends with a space, has characters that cannot be seen, or is an id"
    )]
    UnclearName(String),
    /// The agent has founded a group of that name.
    #[error("this agent has a group called {name:?} already: {group}")]
    NameTaken {
        /// The name.
        name: String,
        /// The group that has it.
        group: GroupId,
    },
    /// Another agent has founded it, and only that one may change it.
    #[error("only its founder changes a group")]
    NotFounder,
    /// The agent belongs to it no more.
    #[error("this agent does not belong to the group any more")]
    Ended,
    /// Who is to be removed is no member.
    #[error("{0} is not a member of the group")]
    NotMember(AgentId),
    /// A founder cannot be removed from its group.
    #[error("its founder cannot be removed from a group: leave it, and it is dissolved")]
    FounderStays,
    /// Name or members are not allowed.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The agent is in as many groups as it may be.
    #[error("an agent belongs to at most {} groups", limits::GROUPS)]
    TooMany,
    /// The group has had as many epochs or changes as there can be.
    #[error("the group cannot be changed any more: found another")]
    Exhausted,
    /// No key could be made.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
    /// The local state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A stored row is not what it should be.
    #[error("the local store is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// Why a delegation was not made, or not revoked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DelegationsError {
    /// It would end at once, or live too long.
    #[error("a delegation lives for at most {} days, and for some time", wire::DELEGATION_KEY_LIFE.as_secs() / 86_400)]
    Life,
    /// Its label is too long.
    #[error("a label has at most {} bytes", limits::DELEGATION_LABEL)]
    Label,
    /// There are as many as an agent may have made.
    #[error(
        "an agent remembers at most {} delegations; they are forgotten 35 days after their ends",
        limits::DELEGATIONS
    )]
    TooMany,
    /// As many as are remembered are revoked one by one; nothing was noted.
    #[error(
        "at most {} delegations are revoked one by one: revoke all of them, and make anew those that shall stay",
        limits::DELEGATIONS
    )]
    TooManyRevoked,
    /// It is for another relay; nothing was noted.
    #[error("the delegation {0} is for another relay, where it is to be revoked")]
    OtherRelay(DelegationId),
    /// It could not be made.
    #[error(transparent)]
    Invalid(#[from] InvalidDelegation),
    /// No key could be made.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The local state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Store errors go by way of [`StateError`].
macro_rules! through_state {
    ($($error:ty),+) => {
        $(impl From<StoreAccessError> for $error {
            fn from(error: StoreAccessError) -> Self {
                Self::State(error.into())
            }
        })+
    };
}

through_state!(
    OpenAgentError,
    SendError,
    SyncError,
    PrekeysError,
    StatusError,
    CancelError,
    GroupError,
    DelegationsError
);
