//! Whatever holds a secret or what was said shows nothing of it, or cannot be shown at all; and no exported type is forgotten.

use std::{collections::BTreeMap, fmt::Debug, io::Cursor, marker::PhantomData};

use sealpost_crypto::{Content, FileName, Payload, Prelude};
use sealpost_protocol::{AgentId, GroupId, MessageId, MessageRef, Priority, Timestamp};

use crate::{
    Group, GroupChange, GroupStanding, IdentityFile, InboxMessage, MasterKeySource, Outgoing, Received, ReceivedScheme,
    Streamed,
    agent::VaultHead,
    records::*,
    sessions::{Sending, Transmission},
    store::{Changes, Row, SealedStore, Write},
};

const SECRET: &str = "a secret in words";

/// Tells whether a type can be shown: the constant of the type itself comes before the trait's.
struct Probe<T>(PhantomData<T>);

trait IsShown {
    const IS_SHOWN: bool = false;
}

impl<T> IsShown for Probe<T> {}

impl<T: Debug> Probe<T> {
    const IS_SHOWN: bool = true;
}

/// Names those of the types that can be shown.
macro_rules! shown_of {
    ($($type:ty),+ $(,)?) => {
        [$((stringify!($type), Probe::<$type>::IS_SHOWN)),+].into_iter().filter(|(_, is_shown)| *is_shown).map(|(name, _)| name)
    };
}

#[test]
fn rows_keys_and_what_opens_them_cannot_be_shown() {
    let shown: Vec<&str> = shown_of![
        crate::Agent,
        crate::Composed,
        BodyKeyRecord,
        BodyRecord,
        Changes,
        ContentRecord,
        ControlRecord,
        crate::Delegation,
        DelegationKeyRecord,
        DraftRecord,
        EventRecord,
        GroupKeyRecord,
        GroupRecord,
        IdentityFile,
        IdentityRecord,
        InboxRecord,
        MasterKeySource,
        OutgoingRecord,
        PrekeyRecord,
        RenewalRecord,
        SealedStore,
        Sending,
        SentRecord,
        SessionRecord,
        Transmission,
        VaultHead,
        Write,
    ]
    .collect();
    assert_eq!(shown, <[&str; 0]>::default(), "whoever shows one shows what is in it");
    const { assert!(Probe::<Received>::IS_SHOWN, "the probe finds what can be shown") };
}

/// What each exported type that holds a secret shows of itself.
fn shown() -> BTreeMap<&'static str, String> {
    let content = Content::text(SECRET.to_owned()).unwrap();
    let file_name = Some(FileName::new(SECRET).unwrap());
    let payload = Payload { file_name: file_name.clone(), ..Payload::new(content) };
    let prelude = Prelude { content_length: 1, ..payload.prelude() };
    let peer = AgentId::from_array([7; 32]);
    let now = Timestamp::from_millis(1_795_351_425_123);
    let message = |content| InboxMessage {
        message: MessageRef { sender: peer, id: MessageId::new(now, [1; 10]) },
        content,
        sent: now,
        received: now,
        priority: Priority::Normal,
        scheme: ReceivedScheme::Ratchet,
        arrival: crate::Arrival(Vec::new()),
    };
    let streamed = || Streamed { file_name: file_name.clone(), ..Streamed::new(Cursor::new(SECRET.as_bytes()), None) };
    let group = Group {
        id: GroupId([7; 16]),
        name: SECRET.to_owned(),
        founder: peer,
        members: vec![peer],
        epoch: 0,
        standing: GroupStanding::Member,
    };
    let change = GroupChange { group: group.clone(), accepted: 0, kept: 0 };
    let show = |value: &dyn Debug| format!("{value:?}");
    BTreeMap::from([
        ("Group", show(&group)),
        ("GroupChange", show(&change)),
        (
            "InboxMessage",
            show(&message(Received::Payload(payload.clone()))) + &show(&message(Received::Body(prelude.clone()))),
        ),
        ("Outgoing", show(&Outgoing::to([peer], payload.clone()))),
        ("Payload", show(&payload)),
        ("Prelude", show(&prelude)),
        ("Received", show(&Received::Payload(payload.clone())) + &show(&Received::Body(prelude))),
        ("Content", show(&payload.content)),
        ("FileName", show(&payload.file_name)),
        ("Streamed", show(&streamed())),
    ])
}

/// Those that cannot be shown, or show what stands elsewhere in the table.
const BY_OTHERS: [&str; 7] =
    ["Agent", "BodyReader", "Composed", "Delegation", "IdentityFile", "KeyFileProvider", "MasterKeySource"];

/// Those that hold neither a secret nor what was said.
const OPEN: [&str; 60] = [
    "Arrival",
    "Backoff",
    "CancelError",
    "Contact",
    "ContentKind",
    "DelegationsError",
    "Event",
    "FetchAnswer",
    "Fingerprint",
    "Follower",
    "GrantedDelegation",
    "GroupError",
    "GroupStanding",
    "InvalidDelegation",
    "LocalState",
    "Lock",
    "Mark",
    "Marked",
    "MasterKeyProvider",
    "MessageStatus",
    "NotTold",
    "Noted",
    "Obstacle",
    "OpenAgentError",
    "OutgoingScheme",
    "PayloadError",
    "PrekeyStatus",
    "PrekeysError",
    "Primitives",
    "ProvenStatus",
    "ReceiptCheck",
    "ReceivedScheme",
    "ReceivingLimits",
    "RelayAddress",
    "RelayClient",
    "RelayError",
    "Round",
    "SchemePolicy",
    "SendError",
    "SendOutcome",
    "Sent",
    "SessionId",
    "SessionSummary",
    "StateError",
    "StatusError",
    "StoredBody",
    "StoredContent",
    "StoredMessage",
    "Surroundings",
    "SyncError",
    "Synced",
    "SystemClock",
    "SystemPrimitives",
    "Transfer",
    "TransferKind",
    "Turn",
    "Waiting",
    "WaitingBody",
    "WaitingReason",
    "WaitingState",
];

#[test]
fn nothing_that_holds_what_was_said_shows_it() {
    let numbers = SECRET.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let row = Row { key: Vec::new(), version: 1, sealed: SECRET.into() };
    for (name, text) in shown().into_iter().chain([("Row", format!("{row:?}"))]) {
        assert!(!text.contains(SECRET) && !text.contains(&numbers), "{name}: {text}");
    }
}

#[test]
fn every_exported_type_stands_in_the_table_or_holds_nothing_that_was_said() {
    let library = include_str!("lib.rs");
    let exports = library.split("pub use ").skip(1).filter_map(|export| export.split(';').next());
    let names =
        exports.flat_map(|export| export.split(|character: char| !character.is_alphanumeric() && character != '_'));
    let types: Vec<_> = names.filter(|name| name.starts_with(char::is_uppercase)).collect();
    let shown = shown();
    for name in &types {
        let places = usize::from(shown.contains_key(name))
            + usize::from(BY_OTHERS.contains(name))
            + usize::from(OPEN.contains(name));
        assert_eq!(places, 1, "{name}: a line in the table, if it holds what was said; else it is open");
    }
    let known = shown.keys().chain(&BY_OTHERS).chain(&OPEN);
    assert_eq!(known.filter(|name| !types.contains(name)).count(), 0, "a name of what is no more");
}
