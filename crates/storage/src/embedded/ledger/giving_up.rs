//! Failing one message for all for whom it still waits.

use rusqlite::{Connection, Transaction};
use sealpost_core::ports::{GiveUp, GivenUp};
use sealpost_protocol::MessageRef;

use super::{
    StoreError, bodies,
    change_numbers::ChangeNumbers,
    deliveries, mailboxes,
    messages::{self, StoredMessage},
};

/// Whether there is something to be given up: most who ask find nothing, and write nothing.
pub(super) fn is_due(connection: &Connection, message: MessageRef, reason: &GiveUp) -> Result<bool, StoreError> {
    Ok(due(connection, message, reason)?.is_some())
}

pub(super) fn give_up(
    transaction: &Transaction<'_>,
    message: MessageRef,
    reason: &GiveUp,
) -> Result<GivenUp, StoreError> {
    let mut given_up = GivenUp::default();
    let Some(known) = due(transaction, message, reason)? else { return Ok(given_up) };
    let mut numbers = ChangeNumbers::load(transaction)?;
    for mut delivery in deliveries::load(transaction, known.id..=known.last_delivery())? {
        let is_news = match reason {
            GiveUp::LifeOver(_) => delivery.record.expire(numbers.next()),
            GiveUp::BodyLost { .. } => delivery.record.lose(numbers.next()),
        };
        if is_news {
            numbers.take();
            given_up.agents.extend([delivery.record.status.recipient, delivery.sender]);
            mailboxes::leave(transaction, delivery, &mut given_up.released)?;
        }
    }
    numbers.save(transaction)?;
    if let GiveUp::BodyLost { .. } = reason {
        bodies::take_out(transaction, known.id, &mut given_up.released)?;
    }
    Ok(given_up)
}

fn due(connection: &Connection, message: MessageRef, reason: &GiveUp) -> Result<Option<StoredMessage>, StoreError> {
    let Some(known) = messages::find(connection, message)? else { return Ok(None) };
    let is_due = match reason {
        GiveUp::LifeOver(now) => {
            let deliveries = deliveries::load(connection, known.id..=known.last_delivery())?;
            deliveries.iter().any(|delivery| delivery.is_waiting() && delivery.expires_at <= *now)
        }
        GiveUp::BodyLost { place, content } => {
            bodies::piece(connection, known.id, *place)?.is_some_and(|piece| piece.content.as_ref() == Some(content))
        }
    };
    Ok(is_due.then_some(known))
}
