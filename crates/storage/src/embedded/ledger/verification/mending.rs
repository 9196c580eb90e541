//! Mending. Each function looks again whether what was found is still so, in the transaction that mends it: the relay may
//! be running. What it changes it tells; what a delivery became its sender hears in its feed.

use std::iter::zip;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_core::ports::{BackendError, ContentHandle};

use super::{
    CHECKS, Check, EmbeddedContents, Findings, Key, Named, Notes, StoreError, bodies,
    change_numbers::{self, ChangeNumbers},
    control_messages,
    deliveries::{self, Delivery},
    mailboxes, prekeys, released, retention, rows,
};
use crate::{
    embedded::{columns::Number, contents_mark},
    limits,
};

type Mend = fn(&Transaction<'_>, &Key) -> Result<bool, StoreError>;

/// Mends what can be mended; returns what was. What fails is left to the next look, and stops nothing else.
pub(in crate::embedded) async fn mend(
    contents: &EmbeddedContents,
    notes: &Notes,
) -> Result<Vec<Findings>, BackendError> {
    let mut mended: Vec<Findings> = Vec::new();
    for ((kind, check), noted) in &notes.0 {
        let done = match check {
            Check::Rows | Check::Incomplete => continue,
            Check::Mark => {
                let reached = contents.flushed().await?;
                let raise = move |transaction: &Transaction<'_>| Ok(contents_mark::raise_to(transaction, reached)?);
                contents.ledger().write::<_, BackendError>(raise).await?;
                vec![true; noted.keys.len()]
            }
            Check::Database => mend_all(contents, reindex, noted.keys.get(..1).unwrap_or_default()).await,
            Check::Statement(number) => match CHECKS.get(*number) {
                Some(statement) => mend_all(contents, statement.mend, &noted.keys).await,
                None => continue,
            },
            Check::Part => mend_all(contents, lose_part, &noted.keys).await,
            Check::Body => mend_all(contents, lose_body, &noted.keys).await,
            Check::Piece => mend_all(contents, lose_piece, &noted.keys).await,
            Check::Control => mend_all(contents, lose_control, &noted.keys).await,
            Check::Prekey => mend_all(contents, prekeys::use_up, &noted.keys).await,
            Check::Claim => mend_all(contents, prekeys::forget_claim, &noted.keys).await,
        };
        let count = done.iter().filter(|done| **done).count() as u64;
        let subjects = zip(&noted.subjects, done).filter(|(_, done)| *done).map(|(subject, _)| subject.clone());
        if count > 0 {
            Findings { kind: *kind, count, subjects: subjects.collect() }.join(&mut mended);
        }
    }
    Ok(mended)
}

/// Says of each key whether it was mended.
async fn mend_all(contents: &EmbeddedContents, mend: Mend, keys: &[Key]) -> Vec<bool> {
    let mut done = Vec::with_capacity(keys.len());
    for keys in keys.chunks(limits::MENDED_AT_ONCE) {
        if let Ok(mended) = mend_group(contents, mend, keys).await {
            done.extend(mended);
            continue;
        }
        // One that cannot be mended keeps none of the others.
        for key in keys {
            let mended = mend_group(contents, mend, std::slice::from_ref(key)).await;
            done.push(mended.is_ok_and(|mended| mended == [true]));
        }
    }
    done
}

async fn mend_group(contents: &EmbeddedContents, mend: Mend, keys: &[Key]) -> Result<Vec<bool>, BackendError> {
    let group = keys.to_vec();
    let act = move |transaction: &Transaction<'_>| {
        let mended: Result<Vec<bool>, StoreError> = group.iter().map(|key| mend(transaction, key)).collect();
        Ok(mended?)
    };
    let mended = contents.ledger().write::<_, BackendError>(act).await;
    mended.inspect_err(|error| {
        tracing::warn!(%error, source = ?std::error::Error::source(error), "findings were not mended");
    })
}

fn reindex(transaction: &Transaction<'_>, _: &Key) -> Result<bool, StoreError> {
    transaction.execute_batch("REINDEX")?;
    Ok(is_whole(transaction)?)
}

fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    let said: String = connection.query_one("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok(said == "ok")
}

pub(super) fn raise_numbers(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Row(used) = key else { return Ok(false) };
    change_numbers::raise(transaction, *used)
}

pub(super) fn place_by_state(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Some(mut delivery) = delivery(transaction, key)? else { return Ok(false) };
    let is_waiting = delivery.record.status.state.is_waiting();
    if is_waiting == delivery.is_waiting() {
        return Ok(false);
    }
    if is_waiting && has_part(transaction, delivery.id)? {
        // The number of a change is nobody else's place.
        delivery.mailbox_seq = Some(delivery.record.status.change_seq);
        delivery.update(transaction)?;
        return mailboxes::recount(transaction, delivery.record.status.recipient.as_bytes()).map(|()| true);
    }
    end(transaction, delivery)
}

/// A delivery whose part's row is gone.
pub(super) fn lose_delivery(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    match delivery(transaction, key)? {
        Some(delivery) if delivery.is_waiting() && !has_part(transaction, delivery.id)? => end(transaction, delivery),
        _ => Ok(false),
    }
}

fn lose_part(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Content(named) = key else { return Ok(false) };
    if !stands(transaction, "SELECT 1 FROM parts WHERE delivery = ?1 AND content = ?2 AND ?3 = 0", named)? {
        return Ok(false);
    }
    match delivery(transaction, &Key::Row(named.row))? {
        // Of a message that is still coming in: it is lost when somebody asks for it.
        None if is_delivery(transaction, named.row)? => return Ok(false),
        Some(delivery) if delivery.is_waiting() => _ = end(transaction, delivery)?,
        _ => {}
    }
    // It may have been kept though nobody waits.
    released::note(transaction, mailboxes::take_part(transaction, named.row)?.as_ref())?;
    Ok(true)
}

fn lose_control(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    const DELETE: &str = "DELETE FROM control_messages WHERE place = ?1 AND content = ?2 RETURNING content";
    let Key::Content(named) = key else { return Ok(false) };
    let gone = control_messages::removed(transaction, DELETE, params![Number(named.row), named.handle])?;
    released::note(transaction, &gone)?;
    Ok(!gone.is_empty())
}

/// Of a body, the message is lost with it; of an upload, its sender is asked for the piece again.
fn lose_piece(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    const OWNER: &str = "SELECT message FROM bodies WHERE pieces = ?1";
    const DELETE: &str = "DELETE FROM pieces WHERE pieces = ?1 AND place = ?2";
    let Key::Content(named) = key else { return Ok(false) };
    if !stands(transaction, "SELECT 1 FROM pieces WHERE pieces = ?1 AND content = ?2 AND place = ?3", named)? {
        return Ok(false);
    }
    let owner: Option<Number> =
        transaction.prepare_cached(OWNER)?.query_one([Number(named.row)], |row| row.get(0)).optional()?;
    transaction.prepare_cached(DELETE)?.execute([Number(named.row), Number(named.place)])?;
    released::note(transaction, [&ContentHandle(named.handle.clone())])?;
    owner.map_or(Ok(true), |Number(message)| lose_body(transaction, &Key::Row(message)))
}

/// A message whose body has pieces missing.
fn lose_body(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Row(message) = key else { return Ok(false) };
    if !rows::lacks_pieces(transaction, *message)? {
        return Ok(false);
    }
    for delivery in deliveries_of(transaction, *message)? {
        if delivery.is_waiting() {
            end(transaction, delivery)?;
        }
    }
    let mut gone = Vec::new();
    retention::end_one(transaction, *message, &mut gone)?;
    released::note(transaction, &gone)?;
    Ok(true)
}

pub(super) fn release_part(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Row(id) = key else { return Ok(false) };
    if let Some(delivery) = delivery(transaction, key)?
        && (delivery.is_waiting()
            || delivery.record.status.state.is_waiting()
            || retention::is_kept(transaction, delivery.message)?)
    {
        return Ok(false);
    }
    let part = mailboxes::take_part(transaction, *id)?;
    released::note(transaction, part.as_ref())?;
    Ok(part.is_some())
}

pub(super) fn release_body(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    const SENDER: &str = "SELECT sender FROM bodies WHERE message = ?1";
    let Key::Row(message) = key else { return Ok(false) };
    let sender: Option<Vec<u8>> =
        transaction.prepare_cached(SENDER)?.query_one([Number(*message)], |row| row.get(0)).optional()?;
    let Some(sender) = sender else { return Ok(false) };
    let is_waiting = |delivery: &Delivery| delivery.is_waiting() || delivery.record.status.state.is_waiting();
    let deliveries = deliveries_of(transaction, *message)?;
    if deliveries.iter().any(is_waiting) || !deliveries.is_empty() && retention::is_kept(transaction, *message)? {
        return Ok(false);
    }
    let mut gone = Vec::new();
    bodies::release(transaction, *message, &mut gone)?;
    released::note(transaction, &gone)?;
    bodies::recount(transaction, &sender)?;
    Ok(true)
}

pub(super) fn discard_pieces(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    const OWNED: &str = "SELECT EXISTS (SELECT 1 FROM uploads WHERE pieces = ?1)
         OR EXISTS (SELECT 1 FROM bodies WHERE pieces = ?1)";
    let Key::Row(pieces) = key else { return Ok(false) };
    if transaction.prepare_cached(OWNED)?.query_one([Number(*pieces)], |row| row.get(0))? {
        return Ok(false);
    }
    let mut gone = Vec::new();
    bodies::release_pieces(transaction, *pieces, &mut gone)?;
    released::note(transaction, &gone)?;
    Ok(!gone.is_empty())
}

/// Should it have been let go of since it was found, its blocks are left to a collection.
pub(super) fn keep_released(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Bytes(handle) = key else { return Ok(false) };
    released::forget(transaction, &[ContentHandle(handle.clone())])?;
    Ok(true)
}

pub(super) fn drop_retention(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    const DELETE: &str =
        "DELETE FROM retained WHERE message = ?1 AND NOT EXISTS (SELECT 1 FROM messages WHERE id = ?1)";
    let Key::Row(message) = key else { return Ok(false) };
    Ok(transaction.prepare_cached(DELETE)?.execute([Number(*message)])? > 0)
}

pub(super) fn mailbox_sums(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Bytes(recipient) = key else { return Ok(false) };
    mailboxes::recount(transaction, recipient).map(|()| true)
}

pub(super) fn body_sums(transaction: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let Key::Bytes(sender) = key else { return Ok(false) };
    bodies::recount(transaction, sender).map(|()| true)
}

/// Takes a delivery out of its mailbox; if it had not ended, it is lost.
fn end(transaction: &Transaction<'_>, mut delivery: Delivery) -> Result<bool, StoreError> {
    let recipient = delivery.record.status.recipient;
    let mut numbers = ChangeNumbers::load(transaction)?;
    if delivery.record.lose(numbers.next()) {
        numbers.take();
    }
    numbers.save(transaction)?;
    let mut gone = Vec::new();
    mailboxes::leave(transaction, delivery, &mut gone)?;
    released::note(transaction, &gone)?;
    mailboxes::recount(transaction, recipient.as_bytes())?;
    Ok(true)
}

fn delivery(connection: &Connection, key: &Key) -> Result<Option<Delivery>, StoreError> {
    let Key::Row(id) = key else { return Ok(None) };
    Ok(deliveries::load(connection, *id..=*id)?.pop())
}

fn deliveries_of(connection: &Connection, message: u64) -> Result<Vec<Delivery>, StoreError> {
    const RECIPIENTS: &str = "SELECT recipients FROM messages WHERE id = ?1";
    let recipients: Option<Number> =
        connection.prepare_cached(RECIPIENTS)?.query_one([Number(message)], |row| row.get(0)).optional()?;
    let Some(Number(recipients)) = recipients.filter(|Number(recipients)| *recipients > 0) else {
        return Ok(Vec::new());
    };
    deliveries::load(connection, message..=message + recipients - 1)
}

fn is_delivery(connection: &Connection, id: u64) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM deliveries WHERE id = ?1")?.exists([Number(id)])?)
}

fn has_part(connection: &Connection, delivery: u64) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM parts WHERE delivery = ?1")?.exists([Number(delivery)])?)
}

/// Whether the handle that was found lost still stands in its row.
fn stands(connection: &Connection, sql: &str, named: &Named) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(sql)?.exists(params![Number(named.row), named.handle, Number(named.place)])?)
}
