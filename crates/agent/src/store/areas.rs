//! The areas of an agent's store.

/// What kind of row it is. The number is stored; the name goes into the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Area {
    /// The one unsealed row: whose store it is, and the store key, sealed under the master key.
    Vault,
    /// The identity's private key.
    Identity,
    /// What is published, and which key ids are used.
    Manifest,
    /// Private prekeys, by kind and id.
    Prekey,
    /// What is known of other agents, by id.
    Peer,
    /// Sessions, by peer and session id.
    Session,
    /// Messages composed and not yet sealed, by id.
    Draft,
    /// Messages sealed and not yet accepted by the relay, by id.
    Outbox,
    /// Messages that a relay has accepted, by id.
    Sent,
    /// Messages that the relay refused for good, by id.
    Unsent,
    /// Messages received or refused, by sender and id.
    Inbox,
    /// Received messages that the agent has not taken, by arrival.
    Unread,
    /// Receipts that the relay has not confirmed, by arrival.
    Receipt,
    /// The last head of receipts, and the batch that is under way, by node and ledger.
    ReceiptHead,
    /// Relays met before, by origin.
    Relay,
    /// How far the relay's feed of changes has been read, by node and ledger.
    Feed,
    /// What the agent has not been told of yet, by time.
    Event,
    /// What the relay last said of messages that it accepted, by id.
    Status,
    /// Messages that are to be sealed anew for some of their recipients, by id.
    Renewal,
    /// How far old rows have been swept out, by area.
    Sweep,
    /// What an imported identity has published before.
    Floor,
    /// Other agents' names here.
    Contact,
    /// Agents whose fingerprints were compared, by id.
    Verified,
    /// How far the store has been compared with a node, by node.
    Compared,
    /// The last place given in the order of arrival.
    Arrival,
    /// Received messages that stand behind a body of their sender which is on its way, and that one, by sender and arrival.
    Held,
    /// Bodies that are at the relay still, by arrival.
    Download,
    /// Groups that share a key, by id.
    Group,
    /// Keys of groups, by group and epoch.
    GroupKey,
    /// The weakest schemes that are sent and taken, by message type.
    Policy,
    /// Control messages that the relay has not accepted, by recipient.
    Control,
    /// The highest id of a control message that was sealed.
    SealedControl,
    /// How far was read, here and there, by peer.
    Mark,
    /// Heads of receipts that exclude each other, by node and ledger.
    Fork,
    /// What is published in ledgers that were left, by node and ledger.
    Publication,
    /// Why messages wait that the relay, or something about them, keeps from going out, by id.
    Obstacle,
    /// Received messages whose bodies stay at the relay until they are asked for or there is room, by reason and arrival.
    WaitingBody,
    /// Agents that this one has written to, by id.
    WrittenTo,
    /// What was last told of how the prekeys stand at the relay.
    PrekeyWarning,
    /// Ledgers that are to forget one-time keys, by node and ledger.
    Recall,
    /// The key that signs delegations, and its certificate.
    DelegationKey,
    /// Delegations that were made, by id.
    Grant,
    /// Delegations that were revoked, by id, and until when all were, by node.
    Revocation,
}

impl Area {
    /// Those that hold sealed rows: all but the vault's own.
    const SEALED: [Self; 42] = [
        Self::Identity,
        Self::Manifest,
        Self::Prekey,
        Self::Peer,
        Self::Session,
        Self::Draft,
        Self::Outbox,
        Self::Sent,
        Self::Unsent,
        Self::Inbox,
        Self::Unread,
        Self::Receipt,
        Self::ReceiptHead,
        Self::Relay,
        Self::Feed,
        Self::Event,
        Self::Status,
        Self::Renewal,
        Self::Sweep,
        Self::Floor,
        Self::Contact,
        Self::Verified,
        Self::Compared,
        Self::Arrival,
        Self::Held,
        Self::Download,
        Self::Group,
        Self::GroupKey,
        Self::Policy,
        Self::Control,
        Self::SealedControl,
        Self::Mark,
        Self::Fork,
        Self::Publication,
        Self::Obstacle,
        Self::WaitingBody,
        Self::WrittenTo,
        Self::PrekeyWarning,
        Self::Recall,
        Self::DelegationKey,
        Self::Grant,
        Self::Revocation,
    ];

    /// The area of sealed rows that a stored number stands for.
    pub(super) fn sealed(number: u8) -> Option<Self> {
        Self::SEALED.into_iter().find(|area| area.number() == number)
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Vault => 0,
            Self::Identity => 1,
            Self::Manifest => 2,
            Self::Prekey => 3,
            Self::Peer => 4,
            Self::Session => 5,
            Self::Draft => 6,
            Self::Outbox => 7,
            Self::Sent => 8,
            Self::Unsent => 9,
            Self::Inbox => 10,
            Self::Unread => 11,
            Self::Receipt => 12,
            Self::ReceiptHead => 13,
            Self::Relay => 14,
            Self::Feed => 15,
            Self::Event => 16,
            Self::Status => 17,
            Self::Renewal => 18,
            Self::Sweep => 19,
            Self::Floor => 20,
            Self::Contact => 21,
            Self::Verified => 22,
            Self::Compared => 23,
            Self::Arrival => 24,
            Self::Held => 25,
            Self::Download => 26,
            Self::Group => 32,
            Self::GroupKey => 33,
            Self::Policy => 34,
            Self::Control => 40,
            Self::SealedControl => 41,
            Self::Fork => 42,
            Self::Mark => 43,
            Self::Publication => 29,
            Self::Obstacle => 30,
            Self::WaitingBody => 60,
            Self::WrittenTo => 61,
            Self::PrekeyWarning => 62,
            Self::Recall => 63,
            Self::DelegationKey => 64,
            Self::Grant => 65,
            Self::Revocation => 66,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Identity => "identity",
            Self::Manifest => "manifest",
            Self::Prekey => "prekey",
            Self::Peer => "peer",
            Self::Session => "session",
            Self::Draft => "draft",
            Self::Outbox => "outbox",
            Self::Sent => "sent",
            Self::Unsent => "unsent",
            Self::Inbox => "inbox",
            Self::Unread => "unread",
            Self::Receipt => "receipt",
            Self::ReceiptHead => "receipt-head",
            Self::Relay => "relay",
            Self::Feed => "feed",
            Self::Event => "event",
            Self::Status => "status",
            Self::Renewal => "renewal",
            Self::Sweep => "sweep",
            Self::Floor => "floor",
            Self::Contact => "contact",
            Self::Verified => "verified",
            Self::Compared => "compared",
            Self::Arrival => "arrival",
            Self::Held => "held",
            Self::Download => "download",
            Self::Group => "group",
            Self::GroupKey => "group-key",
            Self::Policy => "policy",
            Self::Control => "control",
            Self::SealedControl => "sealed-control",
            Self::Fork => "fork",
            Self::Mark => "mark",
            Self::Publication => "publication",
            Self::Obstacle => "obstacle",
            Self::WaitingBody => "waiting-body",
            Self::WrittenTo => "written-to",
            Self::PrekeyWarning => "prekey-warning",
            Self::Recall => "recall",
            Self::DelegationKey => "delegation-key",
            Self::Grant => "grant",
            Self::Revocation => "revocation",
        }
    }
}
