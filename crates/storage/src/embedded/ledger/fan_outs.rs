//! Messages to many, in several transactions. Before the last of them the deliveries have no row in `messages`: whatever
//! looks for a message, or joins one, passes over them, and pages and feeds end in front of them.

use rusqlite::{OptionalExtension, Transaction, params};
use sealpost_core::ports::{AbandonStep, AcceptError, Acceptance, AcceptanceOutcome, BackendError, FanOutId};
use sealpost_protocol::AgentId;

use super::{
    Abort, StoreError,
    acceptance::{self, NewMessage},
    change_numbers::ChangeNumbers,
    columns::Number,
    mailboxes, messages,
};

pub(super) const BEGIN: &str = "INSERT INTO fan_outs VALUES (?1, ?2, 0)";
pub(super) const FIND: &str = "SELECT recipients, recorded FROM fan_outs WHERE message = ?1";
pub(super) const RECORD: &str = "UPDATE fan_outs SET recorded = ?2 WHERE message = ?1";
pub(super) const END: &str = "DELETE FROM fan_outs WHERE message = ?1";
pub(super) const FIRST: &str = "SELECT message, recorded FROM fan_outs ORDER BY message LIMIT 1";
pub(super) const TAKE_BACK: &str =
    "DELETE FROM deliveries WHERE id BETWEEN ?1 AND ?2 RETURNING id, sender, recipient, part_length";

pub(super) fn begin(transaction: &Transaction<'_>, first: Acceptance) -> Result<FanOutId, Abort<AcceptError>> {
    unless_known(transaction, &first)?;
    let mut numbers = ChangeNumbers::load(transaction)?;
    let recipients = first.header.fields().recipients.as_slice().len() as u64;
    let message = numbers.take_many(recipients);
    numbers.save(transaction)?;
    transaction.prepare_cached(BEGIN)?.execute(params![Number(message), Number(recipients)])?;
    add(transaction, FanOutId(message), first)?;
    Ok(FanOutId(message))
}

/// Records the next parts, each with the next change's number: whoever looks on has seen lower ones only.
pub(super) fn add(
    transaction: &Transaction<'_>,
    FanOutId(message): FanOutId,
    next: Acceptance,
) -> Result<(), Abort<AcceptError>> {
    let (recipients, recorded) = find(transaction, message)?;
    let parts = next.parts.len() as u64;
    if recorded + parts > recipients {
        return Err(Abort::Refused(AcceptError::Incomplete));
    }
    let mut numbers = ChangeNumbers::load(transaction)?;
    let new = NewMessage { id: message, header: &next.header, at: next.at };
    for (id, part) in (message + recorded..).zip(next.parts) {
        acceptance::queue(transaction, &new, id, numbers.take(), part)?;
    }
    numbers.save(transaction)?;
    transaction.prepare_cached(RECORD)?.execute(params![Number(message), Number(recorded + parts)])?;
    Ok(())
}

pub(super) fn finish(
    transaction: &Transaction<'_>,
    id: FanOutId,
    mut last: Acceptance,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    unless_known(transaction, &last)?;
    let parts = std::mem::take(&mut last.parts);
    add(transaction, id, Acceptance { parts, ..last.clone() })?;
    let (recipients, recorded) = find(transaction, id.0)?;
    if recorded < recipients {
        return Err(Abort::Refused(AcceptError::Incomplete));
    }
    let (at, queued) = (last.at, last.header.fields().recipients.as_slice().to_vec());
    acceptance::show(transaction, id.0, last)?;
    transaction.prepare_cached(END)?.execute([Number(id.0)])?;
    Ok(AcceptanceOutcome { at, queued, unused: Vec::new() })
}

pub(super) fn abandon(transaction: &Transaction<'_>, rows: usize) -> Result<Option<AbandonStep>, StoreError> {
    let first = transaction.prepare_cached(FIRST)?.query_one([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((Number(message), Number(recorded))) = first else { return Ok(None) };
    let left = recorded.saturating_sub(rows.max(1) as u64);
    let mut step = AbandonStep::default();
    for taken in take_back(transaction, message + left, message + recorded)? {
        step.agents.extend([taken.recipient, taken.sender]);
        mailboxes::uncount(transaction, taken.recipient, taken.length)?;
        step.released.extend(mailboxes::take_part(transaction, taken.delivery)?);
    }
    if left == 0 {
        transaction.prepare_cached(END)?.execute([Number(message)])?;
    } else {
        transaction.prepare_cached(RECORD)?.execute(params![Number(message), Number(left)])?;
    }
    Ok(Some(step))
}

fn unless_known(transaction: &Transaction<'_>, acceptance: &Acceptance) -> Result<(), Abort<AcceptError>> {
    let known = messages::find(transaction, acceptance.header.message())?;
    Acceptance::unless_known(known.map(|known| known.header)).map_err(Abort::Refused)
}

struct TakenBack {
    delivery: u64,
    sender: AgentId,
    recipient: AgentId,
    length: u64,
}

/// Takes out the deliveries from `first` to before `end`.
fn take_back(transaction: &Transaction<'_>, first: u64, end: u64) -> Result<Vec<TakenBack>, StoreError> {
    let mut statement = transaction.prepare_cached(TAKE_BACK)?;
    let rows = statement.query_map(params![Number(first), Number(end.saturating_sub(1))], |row| {
        let (Number(delivery), Number(length)) = (row.get(0)?, row.get(3)?);
        let (sender, recipient) = (AgentId::from_array(row.get(1)?), AgentId::from_array(row.get(2)?));
        Ok(TakenBack { delivery, sender, recipient, length })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn find(transaction: &Transaction<'_>, message: u64) -> Result<(u64, u64), Abort<AcceptError>> {
    let found = transaction.prepare_cached(FIND)?.query_one([Number(message)], |row| Ok((row.get(0)?, row.get(1)?)));
    match found.optional()? {
        Some((Number(recipients), Number(recorded))) => Ok((recipients, recorded)),
        None => Err(Abort::Refused(BackendError::new("there is no such fan-out").into())),
    }
}
