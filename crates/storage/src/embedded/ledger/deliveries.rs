//! Rows of `deliveries`: a record is loaded, asked, and stored as what it became.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, types::ValueRef};
use sealpost_core::DeliveryRecord;
use sealpost_protocol::{
    AgentId, Attempt, DeliveryState, DeliveryStatus, FailureReason, HeaderHash, PartHash, ReceiptProof, Timestamp,
    encoding::{Decode, Encode},
};

use super::{
    StoreError,
    columns::{Number, Time},
};

pub(super) const RECIPIENT: &str = "SELECT recipient FROM deliveries WHERE id = ?1";
pub(super) const EXPIRES_AT: &str = "SELECT expires_at FROM deliveries WHERE id = ?1";
/// The columns in the order in which [`Delivery::from_row`] reads them.
pub(super) const LOAD: &str =
    "SELECT d.id, d.message, d.sender, m.header_hash, d.part_hash, d.part_length, d.expires_at,
         d.mailbox_seq, d.recipient, d.attempt, d.state, d.reason, d.late, d.queued_at, d.handed_over_at,
         d.delivered_at, d.acknowledged_at, d.change_seq, d.receipt
     FROM deliveries AS d CROSS JOIN messages AS m ON m.id = d.message
     WHERE d.id BETWEEN ?1 AND ?2 ORDER BY d.id";
pub(super) const INSERT: &str =
    "INSERT INTO deliveries (id, message, sender, recipient, expires_at, attempt, state, late,
         part_hash, part_length, queued_at, mailbox_seq, change_seq)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
pub(super) const UPDATE: &str =
    "UPDATE deliveries SET attempt = ?2, state = ?3, reason = ?4, late = ?5, part_hash = ?6,
         part_length = ?7, queued_at = ?8, handed_over_at = ?9, delivered_at = ?10, acknowledged_at = ?11,
         mailbox_seq = ?12, change_seq = ?13, receipt = ?14
     WHERE id = ?1";

/// One recipient's share of a message.
pub(super) struct Delivery {
    pub(super) id: u64,
    pub(super) message: u64,
    pub(super) sender: AgentId,
    pub(super) record: DeliveryRecord,
    pub(super) part_length: u64,
    pub(super) expires_at: Timestamp,
    /// Its place in the mailbox, while it waits there.
    pub(super) mailbox_seq: Option<u64>,
}

/// Whose delivery this is, if there is this delivery.
pub(super) fn recipient(connection: &Connection, id: u64) -> Result<Option<AgentId>, StoreError> {
    let found = connection.prepare_cached(RECIPIENT)?.query_one([Number(id)], |row| row.get(0)).optional()?;
    Ok(found.map(AgentId::from_array))
}

/// When the life of its message ends, if there is this delivery.
pub(super) fn expires_at(connection: &Connection, id: u64) -> Result<Option<Timestamp>, StoreError> {
    let found = connection.prepare_cached(EXPIRES_AT)?.query_one([Number(id)], |row| row.get(0)).optional()?;
    Ok(found.map(|Time(expires)| expires))
}

/// The deliveries with these ids, ascending.
pub(super) fn load(connection: &Connection, ids: RangeInclusive<u64>) -> Result<Vec<Delivery>, StoreError> {
    let mut statement = connection.prepare_cached(LOAD)?;
    let mut rows = statement.query([Number(*ids.start()), Number(*ids.end())])?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next()? {
        deliveries.push(Delivery::from_row(row)?);
    }
    Ok(deliveries)
}

impl Delivery {
    pub(super) fn is_waiting(&self) -> bool {
        self.mailbox_seq.is_some()
    }

    /// Stores a delivery that was just queued.
    pub(super) fn insert(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let status = &self.record.status;
        transaction.prepare_cached(INSERT)?.execute(params![
            Number(self.id),
            Number(self.message),
            self.sender.as_bytes(),
            status.recipient.as_bytes(),
            Time(self.expires_at),
            status.attempt.number(),
            status.state.as_str(),
            status.late,
            self.record.part.0,
            Number(self.part_length),
            Time(status.queued_at),
            self.mailbox_seq.map(Number),
            Number(status.change_seq),
        ])?;
        Ok(())
    }

    /// Stores what became of it.
    pub(super) fn update(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let status = &self.record.status;
        transaction.prepare_cached(UPDATE)?.execute(params![
            Number(self.id),
            status.attempt.number(),
            status.state.as_str(),
            status.state.failure().map(FailureReason::as_str),
            status.late,
            self.record.part.0,
            Number(self.part_length),
            Time(status.queued_at),
            status.handed_over_at.map(Time),
            status.delivered_at.map(Time),
            status.acknowledged_at.map(Time),
            self.mailbox_seq.map(Number),
            Number(status.change_seq),
            status.receipt.as_ref().map(Encode::to_bytes),
        ])?;
        Ok(())
    }

    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let (Number(id), Number(message), Number(part_length)) = (row.get(0)?, row.get(1)?, row.get(5)?);
        let Time(expires_at) = row.get(6)?;
        let (header, part) = (HeaderHash(row.get(3)?), PartHash(row.get(4)?));
        Ok(Self {
            id,
            message,
            sender: AgentId::from_array(row.get(2)?),
            record: DeliveryRecord { header, part, status: status(row)? },
            part_length,
            expires_at,
            mailbox_seq: row.get::<_, Option<Number>>(7)?.map(|Number(place)| place),
        })
    }
}

fn status(row: &Row<'_>) -> Result<DeliveryStatus, StoreError> {
    let time = |column| Ok::<_, StoreError>(row.get::<_, Option<Time>>(column)?.map(|Time(time)| time));
    let (Time(queued_at), Number(change_seq)) = (row.get(13)?, row.get(17)?);
    let receipt: Option<Vec<u8>> = row.get(18)?;
    let receipt = receipt.map(|bytes| ReceiptProof::from_bytes(&bytes)).transpose();
    Ok(DeliveryStatus {
        recipient: AgentId::from_array(row.get(8)?),
        attempt: Attempt::new(row.get(9)?).ok_or(StoreError::Damaged("attempt"))?,
        state: state(row.get_ref(10)?, row.get_ref(11)?)?,
        late: row.get(12)?,
        queued_at,
        handed_over_at: time(14)?,
        delivered_at: time(15)?,
        acknowledged_at: time(16)?,
        change_seq,
        receipt: receipt.map_err(|source| StoreError::Undecodable { what: "receipt", source })?,
    })
}

/// The state that these two columns name.
pub(super) fn state(state: ValueRef<'_>, reason: ValueRef<'_>) -> Result<DeliveryState, StoreError> {
    let damaged = |_| StoreError::Damaged("state");
    let (state, reason) = (state.as_str().map_err(damaged)?, reason.as_str_or_null().map_err(damaged)?);
    DeliveryState::from_names(state, reason).ok_or(StoreError::Damaged("state"))
}
