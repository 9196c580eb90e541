//! Accepting a message: whole or not at all.

use rusqlite::Transaction;
use sealpost_core::{
    DeliveryRecord, MessageDecision,
    ports::{AcceptError, Acceptance, AcceptanceOutcome, AcceptedBody, ContentHandle, StoredPart, UploadName},
};
use sealpost_protocol::{AgentId, Header, Timestamp};

use super::{
    Abort, StoreError,
    bodies::{self, NewBody},
    change_numbers::ChangeNumbers,
    deliveries::Delivery,
    mailboxes,
    messages::{self, StoredMessage},
    retention, uploads,
};

pub(super) fn accept(
    transaction: &Transaction<'_>,
    acceptance: Acceptance,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    let known = messages::find(transaction, acceptance.header.message())?;
    let decision = acceptance.decide(known.as_ref().map(|known| known.header)).map_err(Abort::Refused)?;
    match known.filter(|_| decision == MessageDecision::Again) {
        None => accept_new(transaction, acceptance),
        Some(known) => accept_again(transaction, acceptance, &known),
    }
}

fn accept_new(
    transaction: &Transaction<'_>,
    mut acceptance: Acceptance,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    let mut numbers = ChangeNumbers::load(transaction)?;
    let id = numbers.next();
    let mut outcome = AcceptanceOutcome { at: acceptance.at, queued: Vec::new(), unused: Vec::new() };
    let parts = std::mem::take(&mut acceptance.parts);
    let new = NewMessage { id, header: &acceptance.header, at: acceptance.at };
    for part in parts {
        let seq = numbers.take();
        outcome.queued.push(part.recipient);
        queue(transaction, &new, seq, seq, part)?;
    }
    numbers.save(transaction)?;
    show(transaction, id, acceptance)?;
    Ok(outcome)
}

/// What its deliveries need of a new message.
pub(super) struct NewMessage<'a> {
    pub(super) id: u64,
    pub(super) header: &'a Header,
    pub(super) at: Timestamp,
}

/// Puts a first attempt at the end of its mailbox, as the delivery of this id.
pub(super) fn queue(
    transaction: &Transaction<'_>,
    message: &NewMessage<'_>,
    id: u64,
    seq: u64,
    part: StoredPart,
) -> Result<(), Abort<AcceptError>> {
    let &NewMessage { id: message, header, at } = message;
    let delivery = Delivery {
        id,
        message,
        sender: header.message().sender,
        record: DeliveryRecord::queued(part.recipient, header.hash(), part.hash, at, seq),
        part_length: part.length,
        expires_at: header.fields().expires,
        mailbox_seq: Some(seq),
    };
    delivery.insert(transaction)?;
    mailboxes::enter(transaction, id, part, delivery.expires_at)
}

/// Records the message itself, whose parts are queued: from here on it is seen.
pub(super) fn show(
    transaction: &Transaction<'_>,
    message: u64,
    acceptance: Acceptance,
) -> Result<(), Abort<AcceptError>> {
    let Acceptance { header, body, quota, retention, at, .. } = acceptance;
    messages::insert(transaction, message, &header, at)?;
    retention::keep(transaction, message, retention, header.fields().expires)?;
    if let Some(body) = body {
        bodies::insert(transaction, NewBody { message, header: &header, body, quota, at })?;
    }
    Ok(())
}

fn accept_again(
    transaction: &Transaction<'_>,
    acceptance: Acceptance,
    known: &StoredMessage,
) -> Result<AcceptanceOutcome, Abort<AcceptError>> {
    let mut numbers = ChangeNumbers::load(transaction)?;
    let (mut queued, mut unused, mut last) = (Vec::new(), Vec::new(), None);
    for part in acceptance.parts {
        let delivery = known.delivery(transaction, part.recipient)?;
        let record = delivery.as_ref().map(|delivery| &delivery.record);
        let queued_before = record.map(|record| record.status.queued_at);
        let is_next = part.is_next_attempt(record).map_err(Abort::Refused)?;
        match delivery.filter(|_| is_next) {
            None => {
                last = last.max(queued_before);
                unused.push(part.content);
            }
            Some(delivery) => {
                last = last.max(Some(acceptance.at));
                queued.push(part.recipient);
                unused.extend(mailboxes::take_part(transaction, delivery.id)?);
                requeue(transaction, delivery, part, acceptance.at, numbers.take())?;
            }
        }
    }
    if let Some(body) = acceptance.body {
        if queued.is_empty() || bodies::exists(transaction, known.id)? {
            unused.extend(left_by(transaction, acceptance.header.message().sender, body)?);
        } else {
            // It went with the last who waited; now someone waits again.
            let (message, header) = (known.id, &acceptance.header);
            let (quota, at) = (acceptance.quota, acceptance.at);
            bodies::insert(transaction, NewBody { message, header, body, quota, at })?;
        }
    }
    numbers.save(transaction)?;
    Ok(AcceptanceOutcome { at: last.unwrap_or(acceptance.at), queued, unused })
}

/// What a body that is not needed leaves behind.
fn left_by(
    transaction: &Transaction<'_>,
    owner: AgentId,
    body: AcceptedBody,
) -> Result<Vec<ContentHandle>, StoreError> {
    match body {
        AcceptedBody::Inline(content) => Ok(vec![content]),
        AcceptedBody::Uploaded(id) => uploads::cancel(transaction, UploadName { owner, id }),
    }
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
