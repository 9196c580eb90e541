//! Reading a mailbox in its order, and noting what was handed over or is lost.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, types::ValueRef};
use sealpost_core::ports::{ContentHandle, LostEntries, PageQuery, WaitingEntry};
use sealpost_protocol::{AgentId, Attempt, HeaderHash, PartHash, Timestamp};

use super::{
    StoreError,
    change_numbers::ChangeNumbers,
    columns::{Number, Time},
    control_messages,
    deliveries::{self, Delivery},
    mailboxes,
};

/// A part whose row is gone reads as empty, which no part is. A delivery without a message is of a fan-out that is under way.
pub(super) const PAGE: &str =
    "SELECT d.part_length, d.mailbox_seq, d.attempt, d.handed_over_at IS NOT NULL, d.queued_at,
         m.header, m.header_hash, d.part_hash, coalesce(p.content, x'')
     FROM deliveries AS d LEFT JOIN messages AS m ON m.id = d.message LEFT JOIN parts AS p ON p.delivery = d.id
     WHERE d.recipient = ?1 AND d.mailbox_seq > ?2 AND d.expires_at > ?3
     ORDER BY d.mailbox_seq LIMIT ?4";
pub(super) const ENTRY: &str = "SELECT id FROM deliveries WHERE recipient = ?1 AND mailbox_seq = ?2";

pub(super) fn page(connection: &Connection, query: &PageQuery) -> Result<Vec<WaitingEntry>, StoreError> {
    let mut control = control_messages::waiting(connection, query)?.into_iter().peekable();
    let mut statement = connection.prepare_cached(PAGE)?;
    let mut rows = statement.query(params![
        query.recipient.as_bytes(),
        Number(query.after),
        Time(query.now),
        Number(query.entries as u64),
    ])?;
    let mut page = FilledPage { query, entries: Vec::new(), bytes: 0 };
    while let Some(row) = rows.next()? {
        let (Number(length), Number(place)) = (row.get(0)?, row.get(1)?);
        while let Some((length, entry)) = control.next_if(|(_, entry)| entry.mailbox_seq < place) {
            if !page.has_room(length) {
                return Ok(page.entries);
            }
            page.entries.push(entry);
        }
        // What stands behind a hidden entry is shown after it: whoever reads on from there has seen both.
        let is_hidden = row.get_ref(5)? == ValueRef::Null;
        if is_hidden || !page.has_room(length) {
            return Ok(page.entries);
        }
        page.entries.push(entry(row)?);
    }
    for (length, entry) in control {
        if !page.has_room(length) {
            break;
        }
        page.entries.push(entry);
    }
    Ok(page.entries)
}

/// A page on its way to its limits.
struct FilledPage<'a> {
    query: &'a PageQuery,
    entries: Vec<WaitingEntry>,
    bytes: u64,
}

impl FilledPage<'_> {
    /// Counts the next entry in. The first one always fits.
    fn has_room(&mut self, length: u64) -> bool {
        self.bytes = self.bytes.saturating_add(length);
        let is_within = self.bytes <= self.query.bytes || self.entries.is_empty();
        is_within && self.entries.len() < self.query.entries
    }
}

fn entry(row: &Row<'_>) -> Result<WaitingEntry, StoreError> {
    let (Number(mailbox_seq), Time(queued_at)) = (row.get(1)?, row.get(4)?);
    Ok(WaitingEntry {
        mailbox_seq,
        attempt: Attempt::new(row.get(2)?).ok_or(StoreError::Damaged("attempt"))?,
        handed_over: row.get(3)?,
        queued_at,
        header: row.get(5)?,
        header_hash: HeaderHash(row.get(6)?),
        part: PartHash(row.get(7)?),
        content: ContentHandle(row.get(8)?),
    })
}

pub(super) fn hand_over(
    transaction: &Transaction<'_>,
    recipient: AgentId,
    entries: &[u64],
    at: Timestamp,
) -> Result<Vec<AgentId>, StoreError> {
    let mut numbers = ChangeNumbers::load(transaction)?;
    let mut senders = Vec::new();
    for mut delivery in waiting(transaction, recipient, entries)? {
        if delivery.record.hand_over(at, numbers.next()) {
            numbers.take();
            delivery.update(transaction)?;
            senders.push(delivery.sender);
        }
    }
    numbers.save(transaction)?;
    Ok(senders)
}

pub(super) fn lose(
    transaction: &Transaction<'_>,
    recipient: AgentId,
    entries: &[u64],
) -> Result<LostEntries, StoreError> {
    let mut numbers = ChangeNumbers::load(transaction)?;
    let mut lost = LostEntries::default();
    for place in entries {
        lost.released.extend(control_messages::lose(transaction, recipient, *place)?);
    }
    for mut delivery in waiting(transaction, recipient, entries)? {
        if delivery.record.lose(numbers.next()) {
            numbers.take();
            lost.senders.push(delivery.sender);
            mailboxes::leave(transaction, delivery, &mut lost.released)?;
        }
    }
    numbers.save(transaction)?;
    Ok(lost)
}

/// The deliveries that wait in these places.
fn waiting(transaction: &Transaction<'_>, recipient: AgentId, places: &[u64]) -> Result<Vec<Delivery>, StoreError> {
    let mut find = transaction.prepare_cached(ENTRY)?;
    let mut found = Vec::new();
    for place in places {
        let id = find.query_one(params![recipient.as_bytes(), Number(*place)], |row| row.get(0)).optional()?;
        let Some(Number(id)) = id else { continue };
        found.extend(deliveries::load(transaction, id..=id)?);
    }
    Ok(found)
}
