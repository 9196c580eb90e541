//! Messages, and the way from a message's name to one recipient's delivery.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_core::{
    DeliveryRecord,
    ports::{BodyPiece, MessageHandles, MessageReader},
};
use sealpost_protocol::{AgentId, Header, HeaderHash, MessageRef, Timestamp};

use super::{
    StoreError, bodies,
    columns::{Number, Time},
    deliveries::{self, Delivery},
    mailboxes, retention,
};

pub(super) const FIND: &str = "SELECT id, recipients, header_hash FROM messages WHERE sender = ?1 AND message_id = ?2";
pub(super) const INSERT: &str =
    "INSERT INTO messages (id, sender, message_id, recipients, accepted_at, header_hash, header)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// What is needed of a known message.
pub(super) struct StoredMessage {
    pub(super) id: u64,
    pub(super) recipients: u64,
    pub(super) header: HeaderHash,
}

/// The statuses of a message, ascending by recipient.
pub(super) fn records(connection: &Connection, message: MessageRef) -> Result<Vec<DeliveryRecord>, StoreError> {
    let Some(known) = find(connection, message)? else { return Ok(Vec::new()) };
    let deliveries = deliveries::load(connection, known.id..=known.last_delivery())?;
    Ok(deliveries.into_iter().map(|delivery| delivery.record).collect())
}

/// A piece of the body, for those who may read it.
pub(super) fn body_piece(
    connection: &Connection,
    message: MessageRef,
    reader: MessageReader,
    place: u64,
) -> Result<Option<BodyPiece>, StoreError> {
    let Some(known) = find_living(connection, message, reader.now)? else { return Ok(None) };
    if reader.agent != message.sender {
        let own = known.delivery(connection, reader.agent)?;
        if !known.shows_its_body_to(connection, own.as_ref())? {
            return Ok(None);
        }
    }
    bodies::piece(connection, known.id, place)
}

/// Where that lies which this agent may read.
pub(super) fn handles(
    connection: &Connection,
    message: MessageRef,
    reader: MessageReader,
    pieces: usize,
) -> Result<MessageHandles, StoreError> {
    let Some(known) = find_living(connection, message, reader.now)? else { return Ok(MessageHandles::default()) };
    let own = known.delivery(connection, reader.agent)?;
    let is_senders = reader.agent == message.sender;
    let shows_body = is_senders || known.shows_its_body_to(connection, own.as_ref())?;
    let body = if shows_body { bodies::first_pieces(connection, known.id, pieces)? } else { None };
    let only = (is_senders && known.recipients == 1).then_some(known.id);
    let part = match own.map(|own| own.id).or(only) {
        Some(delivery) => mailboxes::part(connection, delivery)?,
        None => None,
    };
    Ok(MessageHandles { body, part })
}

pub(super) fn find(connection: &Connection, message: MessageRef) -> Result<Option<StoredMessage>, StoreError> {
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_one(params![message.sender.as_bytes(), message.id.as_bytes()], |row| {
        let (Number(id), Number(recipients)) = (row.get(0)?, row.get(1)?);
        Ok(StoredMessage { id, recipients, header: HeaderHash(row.get(2)?) })
    });
    Ok(found.optional()?)
}

/// The message, unless its life has ended by `now`.
fn find_living(
    connection: &Connection,
    message: MessageRef,
    now: Timestamp,
) -> Result<Option<StoredMessage>, StoreError> {
    let Some(known) = find(connection, message)? else { return Ok(None) };
    let expires = deliveries::expires_at(connection, known.id)?;
    Ok(expires.is_some_and(|expires| expires > now).then_some(known))
}

pub(super) fn insert(transaction: &Transaction<'_>, id: u64, header: &Header, at: Timestamp) -> Result<(), StoreError> {
    let message = header.message();
    transaction.prepare_cached(INSERT)?.execute(params![
        Number(id),
        message.sender.as_bytes(),
        message.id.as_bytes(),
        Number(header.fields().recipients.as_slice().len() as u64),
        Time(at),
        header.hash().0,
        header.as_bytes(),
    ])?;
    Ok(())
}

impl StoredMessage {
    pub(super) fn last_delivery(&self) -> u64 {
        self.id + self.recipients - 1
    }

    /// Whether its body is shown to the recipient to whom this is the delivery.
    fn shows_its_body_to(&self, connection: &Connection, own: Option<&Delivery>) -> Result<bool, StoreError> {
        let Some(own) = own else { return Ok(false) };
        Ok(own.is_waiting() || retention::is_kept(connection, self.id)?)
    }

    /// The delivery to one recipient: they lie in the recipients' order. If damage has taken one out, the others are looked
    /// through: what is wrong with one recipient's is no other's matter.
    pub(super) fn delivery(&self, connection: &Connection, recipient: AgentId) -> Result<Option<Delivery>, StoreError> {
        let (mut low, mut high) = (self.id, self.id + self.recipients);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(found) = deliveries::recipient(connection, middle)? else {
                let mut all = deliveries::load(connection, self.id..=self.last_delivery())?.into_iter();
                return Ok(all.find(|delivery| delivery.record.status.recipient == recipient));
            };
            match found.cmp(&recipient) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(deliveries::load(connection, middle..=middle)?.pop()),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}
