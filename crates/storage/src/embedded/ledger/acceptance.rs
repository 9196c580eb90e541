//! Accepting a message: whole or not at all.

use rusqlite::Transaction;
use sealpost_core::{
    DeliveryRecord, PartDecision,
    ports::{AcceptError, Acceptance, AcceptanceOutcome, StoredPart},
};
use sealpost_protocol::Timestamp;

use super::{
    Abort,
    change_numbers::ChangeNumbers,
    deliveries::Delivery,
    mailboxes,
    messages::{self, StoredMessage},
};

pub(super) fn accept(
    transaction: &Transaction<'_>,
    acceptance: Acceptance,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    match messages::find(transaction, acceptance.header.message())? {
        None if !acceptance.is_complete => Err(Abort::Refused(AcceptError::Incomplete)),
        None => accept_new(transaction, acceptance),
        Some(known) if known.header != acceptance.header.hash() => Err(Abort::Refused(AcceptError::Conflict)),
        Some(known) => accept_again(transaction, acceptance, &known),
    }
}

fn accept_new(transaction: &Transaction<'_>, acceptance: Acceptance) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    let Acceptance { header, body, parts, at, .. } = acceptance;
    let mut numbers = ChangeNumbers::load(transaction)?;
    let message = numbers.next();
    messages::insert(transaction, message, &header, at)?;
    if let Some(body) = body {
        messages::insert_body(transaction, message, body)?;
    }
    let mut outcome = AcceptanceOutcome::default();
    for part in parts {
        let seq = numbers.take();
        let delivery = Delivery {
            id: seq,
            message,
            sender: header.message().sender,
            record: DeliveryRecord::queued(part.recipient, header.hash(), part.hash, at, seq),
            part_length: part.length,
            expires_at: header.fields().expires,
            mailbox_seq: Some(seq),
        };
        outcome.queued.push(part.recipient);
        delivery.insert(transaction)?;
        mailboxes::enter(transaction, delivery.id, part, delivery.expires_at)?;
    }
    numbers.save(transaction)?;
    Ok(outcome)
}

fn accept_again(
    transaction: &Transaction<'_>,
    acceptance: Acceptance,
    known: &StoredMessage,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    let mut numbers = ChangeNumbers::load(transaction)?;
    let mut outcome = AcceptanceOutcome::default();
    for part in acceptance.parts {
        let delivery = known.delivery(transaction, part.recipient)?.ok_or(Abort::Refused(AcceptError::Conflict))?;
        match delivery.record.decide(part.attempt, part.hash) {
            PartDecision::Duplicate => outcome.unused.push(part.content),
            PartDecision::NextAttempt => {
                outcome.queued.push(part.recipient);
                requeue(transaction, delivery, part, acceptance.at, numbers.take())?;
            }
            PartDecision::Conflict => return Err(Abort::Refused(AcceptError::Conflict)),
        }
    }
    match acceptance.body {
        // It went with the last who waited; now someone waits again.
        Some(body) if !outcome.queued.is_empty() => {
            outcome.unused.extend(messages::insert_body(transaction, known.id, body)?);
        }
        body => outcome.unused.extend(body),
    }
    numbers.save(transaction)?;
    Ok(outcome)
}

/// Puts the next attempt at the end of the mailbox.
fn requeue(
    transaction: &Transaction<'_>,
    mut delivery: Delivery,
    part: StoredPart,
    at: Timestamp,
    seq: u64,
) -> Result<(), Abort<AcceptError>> {
    delivery.record.requeue(part.attempt, part.hash, at, seq);
    delivery.part_length = part.length;
    delivery.mailbox_seq = Some(seq);
    delivery.update(transaction)?;
    mailboxes::enter(transaction, delivery.id, part, delivery.expires_at)
}
