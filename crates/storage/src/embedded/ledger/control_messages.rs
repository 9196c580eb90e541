//! Control messages: a table of their own, in the order of the messages.

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, Transaction, params};
use sealpost_core::ports::{AcceptError, AcceptanceOutcome, ContentHandle, ControlAcceptance, PageQuery, WaitingEntry};
use sealpost_protocol::{AgentId, Attempt, HeaderHash, MessageId, PartHash, Timestamp};

use super::{
    Abort, StoreError,
    change_numbers::ChangeNumbers,
    columns::{Number, Time},
};

pub(super) const KNOWN: &str =
    "SELECT message_id, queued_at FROM control_messages WHERE recipient = ?1 AND sender = ?2";
pub(super) const HOW_MANY_OTHERS: &str = "SELECT count(*) FROM control_messages WHERE recipient = ?1 AND sender <> ?2";
pub(super) const SUPERSEDE: &str =
    "DELETE FROM control_messages WHERE recipient = ?1 AND sender = ?2 RETURNING content";
pub(super) const INSERT: &str = "INSERT INTO control_messages (place, recipient, sender, message_id, queued_at,
         expires_at, header_hash, part_hash, part_length, header, content)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
pub(super) const SET_LAST: &str = "INSERT INTO last_control VALUES (?1, ?2)
     ON CONFLICT (sender) DO UPDATE SET message_id = max(message_id, excluded.message_id)";
pub(super) const LAST: &str = "SELECT message_id FROM last_control WHERE sender = ?1";
pub(super) const EXPIRED_OF: &str =
    "DELETE FROM control_messages WHERE recipient = ?1 AND expires_at <= ?2 RETURNING content";
pub(super) const TAKE: &str = "DELETE FROM control_messages INDEXED BY control_waiting
     WHERE recipient = ?1 AND place <= ?2 RETURNING content";
pub(super) const LOSE: &str = "DELETE FROM control_messages WHERE place = ?2 AND recipient = ?1 RETURNING content";
pub(super) const EXPIRE: &str = "DELETE FROM control_messages WHERE place IN (
         SELECT place FROM control_messages WHERE expires_at <= ?1 LIMIT ?2
     ) RETURNING content";
pub(super) const WAITING: &str = "SELECT place, part_length, queued_at, header, header_hash, part_hash, content
     FROM control_messages INDEXED BY control_waiting
     WHERE recipient = ?1 AND place > ?2 AND expires_at > ?3
     ORDER BY place LIMIT ?4";

pub(super) fn accept(
    transaction: &Transaction<'_>,
    message: ControlAcceptance,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    let (name, recipient, at) = (message.header.message(), message.part.recipient, message.at);
    let pair = params![recipient.as_bytes(), name.sender.as_bytes()];
    let expired = removed(transaction, EXPIRED_OF, params![recipient.as_bytes(), Time(at)])?;
    let mut outcome = AcceptanceOutcome { at, queued: Vec::new(), unused: expired };
    let known = waiting_of(transaction, pair)?;
    if !message.supersedes(known.map(|(id, _)| id)) {
        let same = known.filter(|(id, _)| *id == name.id);
        outcome.at = same.map_or(at, |(_, queued_at)| queued_at);
        outcome.unused.push(message.part.content);
        return Ok(outcome);
    }
    let others = waiting_of_others(transaction, pair)?;
    ControlAcceptance::unless_full(recipient, others).map_err(Abort::Refused)?;
    let ControlAcceptance { header, part, .. } = message;
    outcome.unused.extend(removed(transaction, SUPERSEDE, pair)?);
    let mut numbers = ChangeNumbers::load(transaction)?;
    transaction.prepare_cached(INSERT)?.execute(params![
        Number(numbers.take()),
        recipient.as_bytes(),
        name.sender.as_bytes(),
        name.id.as_bytes(),
        Time(at),
        Time(header.fields().expires),
        header.hash().0,
        part.hash.0,
        Number(part.length),
        header.as_bytes(),
        part.content.0,
    ])?;
    numbers.save(transaction)?;
    transaction.prepare_cached(SET_LAST)?.execute(params![name.sender.as_bytes(), name.id.as_bytes()])?;
    outcome.queued.push(recipient);
    Ok(outcome)
}

/// What a page is made of, in order, each with its length.
pub(super) fn waiting(connection: &Connection, query: &PageQuery) -> Result<Vec<(u64, WaitingEntry)>, StoreError> {
    let mut statement = connection.prepare_cached(WAITING)?;
    let mut rows = statement.query(params![
        query.recipient.as_bytes(),
        Number(query.after),
        Time(query.now),
        Number(query.entries as u64),
    ])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        waiting.push(entry(row)?);
    }
    Ok(waiting)
}

fn entry(row: &Row<'_>) -> Result<(u64, WaitingEntry), StoreError> {
    let (Number(place), Number(length), Time(queued_at)) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let entry = WaitingEntry {
        mailbox_seq: place,
        attempt: Attempt::FIRST,
        handed_over: true,
        queued_at,
        header: row.get(3)?,
        header_hash: HeaderHash(row.get(4)?),
        part: PartHash(row.get(5)?),
        content: ContentHandle(row.get(6)?),
    };
    Ok((length, entry))
}

pub(super) fn take(
    transaction: &Transaction<'_>,
    recipient: AgentId,
    until: u64,
) -> Result<Vec<ContentHandle>, StoreError> {
    removed(transaction, TAKE, params![recipient.as_bytes(), Number(until)])
}

pub(super) fn lose(
    transaction: &Transaction<'_>,
    recipient: AgentId,
    place: u64,
) -> Result<Vec<ContentHandle>, StoreError> {
    removed(transaction, LOSE, params![recipient.as_bytes(), Number(place)])
}

pub(super) fn expire(
    transaction: &Transaction<'_>,
    now: Timestamp,
    rows: usize,
) -> Result<Vec<ContentHandle>, StoreError> {
    removed(transaction, EXPIRE, params![Time(now), Number(rows as u64)])
}

pub(super) fn last_of(connection: &Connection, sender: AgentId) -> Result<Option<MessageId>, StoreError> {
    let last = connection.prepare_cached(LAST)?.query_one([sender.as_bytes()], |row| row.get(0)).optional()?;
    last.map(message_id).transpose()
}

/// The one of this recipient and sender that waits, and since when.
fn waiting_of(
    transaction: &Transaction<'_>,
    pair: &[&dyn ToSql],
) -> Result<Option<(MessageId, Timestamp)>, StoreError> {
    let known = transaction.prepare_cached(KNOWN)?.query_one(pair, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    known.map(|(id, Time(queued_at))| Ok((message_id(id)?, queued_at))).transpose()
}

fn waiting_of_others(transaction: &Transaction<'_>, pair: &[&dyn ToSql]) -> Result<u64, StoreError> {
    let Number(count) = transaction.prepare_cached(HOW_MANY_OTHERS)?.query_one(pair, |row| row.get(0))?;
    Ok(count)
}

fn message_id(id: [u8; 16]) -> Result<MessageId, StoreError> {
    MessageId::from_array(id).map_err(|_| StoreError::Damaged("message id"))
}

/// Runs a statement that deletes rows and returns their contents.
pub(super) fn removed(
    transaction: &Transaction<'_>,
    statement: &str,
    of: impl Params,
) -> Result<Vec<ContentHandle>, StoreError> {
    let mut statement = transaction.prepare_cached(statement)?;
    let contents = statement.query_map(of, |row| row.get(0).map(ContentHandle))?;
    Ok(contents.collect::<Result<_, _>>()?)
}
