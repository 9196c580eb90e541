//! What SQLite says of its file, and rows that have to be decoded to be judged.

use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_protocol::{
    AgentId, BodyDescription, CountersignedHead, Header, HeaderHash, MessageId, NodeId, ReceiptHead, SignedManifest,
    encoding::Decode,
};

use super::{
    Check, FindingKind, Key, Notes, StoreError, Subject,
    deliveries::{self, Delivery},
    receipts,
    statements::subject,
};
use crate::embedded::{columns::Number, identity};

/// What SQLite tells of damage at most: the first shows that there is some.
const INTEGRITY: &str = "PRAGMA integrity_check(100)";

pub(super) fn integrity(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(INTEGRITY)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            notes.add(FindingKind::Database, Check::Database, Key::File, Subject::that(said));
        }
    }
    Ok(())
}

const MESSAGES: &str = "SELECT id, sender, message_id, recipients, header_hash, header FROM messages ORDER BY id";
/// Those of a message to many that is still coming in have none yet.
const STRAY: &str = "SELECT d.id, d.recipient, m.message_id, 'a delivery that is no message''s, or not one of those that its message counts'
     FROM deliveries AS d LEFT JOIN messages AS m ON m.id = d.message
     WHERE (m.id IS NULL OR d.id < m.id OR d.id >= m.id + m.recipients OR d.sender <> m.sender)
         AND NOT EXISTS (
             SELECT 1 FROM fan_outs AS f WHERE f.message = d.message AND d.id >= f.message AND d.id < f.message + f.recorded
         )";

/// Each message's header is the one that was accepted, and its deliveries are those that the header names.
pub(super) fn messages(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(MESSAGES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (Number(id), Number(recipients)) = (row.get(0)?, row.get(3)?);
        let mut at = Subject::default();
        if let (Ok(sender), Some(name)) = (row.get(1), message_id(row, 2)) {
            at = at.of_agent(AgentId::from_array(sender)).of_message(name);
        }
        let header = match checked_header(row) {
            Ok(header) => header,
            Err(detail) => {
                let subject = Subject { detail, ..at };
                notes.add(FindingKind::DamagedRow, Check::Rows, Key::Row(id), subject);
                continue;
            }
        };
        let named = header.fields().recipients.as_slice();
        match deliveries::load(connection, id..=id.saturating_add(recipients).saturating_sub(1)) {
            Err(error) if error.is_damage() => {
                let subject = Subject { detail: format!("a delivery cannot be read: {error}"), ..at };
                notes.add(FindingKind::DamagedRow, Check::Rows, Key::Row(id), subject);
            }
            found => {
                let found = found?;
                let is_whole = recipients == named.len() as u64
                    && found.iter().map(|delivery| delivery.record.status.recipient).eq(named.iter().copied());
                if !is_whole {
                    let detail = incomplete(named, recipients, &found);
                    let subject = Subject { detail, ..at };
                    notes.add(FindingKind::MessageIncomplete, Check::Incomplete, Key::Row(id), subject);
                }
            }
        }
    }
    let mut statement = connection.prepare(STRAY)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Number(id) = row.get(0)?;
        notes.add(FindingKind::MessageIncomplete, Check::Incomplete, Key::Row(id), subject(row, 1)?);
    }
    Ok(())
}

/// In what a message's deliveries are not those that its header names.
fn incomplete(named: &[AgentId], counted: u64, found: &[Delivery]) -> String {
    let has = |agent: &&AgentId| found.iter().any(|delivery| delivery.record.status.recipient == **agent);
    let there = named.iter().filter(has).count();
    let others = found.len().saturating_sub(there);
    format!(
        "its header names {} recipients and its row counts {counted}; there are deliveries to {there} of those that are \
         named, and {others} to others",
        named.len()
    )
}

fn checked_header(row: &Row<'_>) -> Result<Header, String> {
    let columns = || -> rusqlite::Result<_> { Ok((row.get(1)?, row.get(2)?, row.get(4)?, row.get(5)?)) };
    let (sender, name, hash, bytes): ([u8; 32], [u8; 16], [u8; 32], Vec<u8>) =
        columns().map_err(|error| format!("a message's row cannot be read: {error}"))?;
    let header = Header::from_bytes(&bytes).map_err(|error| format!("a header cannot be read: {error}"))?;
    let message = header.message();
    if header.hash() != HeaderHash(hash) || (*message.sender.as_bytes(), *message.id.as_bytes()) != (sender, name) {
        return Err("a header is not the one that was accepted".to_owned());
    }
    Ok(header)
}

const MANIFESTS: &str = "SELECT id, agent, manifest FROM agents ORDER BY id";

pub(super) fn manifests(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(MANIFESTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Number(id) = row.get(0)?;
        let agent = row.get(1).map(AgentId::from_array).ok();
        let manifest = row.get::<_, Vec<u8>>(2).ok().and_then(|bytes| SignedManifest::from_bytes(&bytes).ok());
        if manifest.is_none() || agent != manifest.map(|manifest| manifest.agent_id()) {
            let subject = Subject::that("its manifest is not what it published");
            let subject = agent.map_or(subject.clone(), |agent| subject.of_agent(agent));
            notes.add(FindingKind::DamagedRow, Check::Rows, Key::Row(id), subject);
        }
    }
    Ok(())
}

const CONTROL: &str =
    "SELECT place, sender, message_id, NULL, header_hash, header FROM control_messages ORDER BY place";

pub(super) fn control_messages(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(CONTROL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(detail) = checked_header(row) {
            let Number(place) = row.get(0)?;
            notes.add(FindingKind::DamagedRow, Check::Rows, Key::Row(place), Subject::that(detail));
        }
    }
    Ok(())
}

const HEADS: &str = "SELECT recipient, number FROM receipt_heads
     WHERE ledger = (SELECT id FROM ledger WHERE only_row = 1) ORDER BY recipient";

/// The node has countersigned each head of this life of the ledger.
pub(super) fn heads(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let node = identity::load(connection)?.node;
    let mut statement = connection.prepare(HEADS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(recipient) = row.get(0).map(AgentId::from_array) else { continue };
        let is_signed = |head: &CountersignedHead, node: NodeId| {
            let signed: &ReceiptHead = &head.signed.head;
            signed.verify_countersignature(&node, &head.countersignature).is_ok()
        };
        let is_damaged = match (receipts::signed_head(connection, recipient), node) {
            (Err(error), _) if error.is_damage() => true,
            (Err(error), _) => return Err(error),
            (Ok(Some(head)), Some(node)) => !is_signed(&head, node),
            (Ok(_), _) => false,
        };
        if is_damaged {
            let subject = Subject::that("its head of receipts is not what was countersigned").of_agent(recipient);
            let key = Key::Bytes(recipient.as_bytes().to_vec());
            notes.add(FindingKind::DamagedRow, Check::Rows, key, subject);
        }
    }
    Ok(())
}

const BODIES: &str = "SELECT b.message, b.sender, m.message_id, '', b.length,
         (SELECT count(*) FROM pieces AS p WHERE p.pieces = b.pieces)
     FROM bodies AS b LEFT JOIN messages AS m ON m.id = b.message ORDER BY b.message";
const HAS_ALL: &str = "SELECT (SELECT count(*) FROM pieces AS p WHERE p.pieces = b.pieces), b.length
     FROM bodies AS b WHERE b.message = ?1";

/// Each body has all its pieces.
pub(super) fn bodies(notes: &mut Notes, connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(BODIES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (Number(message), Number(length), Number(pieces)) = (row.get(0)?, row.get(4)?, row.get(5)?);
        let expected = pieces_of(length);
        if pieces < expected {
            let detail = format!("its body has {pieces} of {expected} pieces");
            let subject = Subject { detail, ..subject(row, 1)? };
            notes.add(FindingKind::LostContent, Check::Body, Key::Row(message), subject);
        }
    }
    Ok(())
}

/// Whether a message has a body with pieces missing.
pub(super) fn lacks_pieces(connection: &Connection, message: u64) -> Result<bool, StoreError> {
    let mut statement = connection.prepare(HAS_ALL)?;
    let found = statement.query_one([Number(message)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.is_some_and(|(Number(pieces), Number(length))| pieces < pieces_of(length)))
}

fn pieces_of(sealed_length: u64) -> u64 {
    BodyDescription { sealed_length, hash: [0; 32] }.pieces()
}

fn message_id(row: &Row<'_>, column: usize) -> Option<MessageId> {
    row.get(column).ok().and_then(|id| MessageId::from_array(id).ok())
}
