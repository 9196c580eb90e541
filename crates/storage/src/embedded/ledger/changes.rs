//! The feed of changes of one agent: what it sent, what is pending for it, what is in transit to it, what was
//! lost of what it was to get. Each of the four
//! has an index in the order of the changes; a page of each holds every change of the page of all.

use rusqlite::{Connection, Row, params, types::ValueRef};
use sealpost_core::ports::Change;
use sealpost_protocol::{AgentId, Attempt, MessageId, MessageRef};

use super::{StoreError, columns::Number, deliveries};

macro_rules! changes_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.sender, m.message_id, d.recipient, d.attempt, d.state, d.reason,
                 d.acknowledged_at IS NOT NULL, d.change_seq
             FROM deliveries AS d LEFT JOIN messages AS m ON m.id = d.message
             WHERE ",
            $condition,
            " LIMIT ?3"
        )
    };
}

pub(super) const SENT: &str = changes_where!("d.sender = ?1 AND d.change_seq > ?2 ORDER BY d.change_seq");
/// A pending delivery's place in the mailbox is the number of the change that queued it. What an agent sent to itself
/// is among what it sent.
pub(super) const PENDING: &str = changes_where!(
    "d.recipient = ?1 AND d.mailbox_seq > ?2 AND d.state = 'pending' AND d.sender <> ?1 ORDER BY d.mailbox_seq"
);
pub(super) const IN_TRANSIT: &str = changes_where!(
    "d.recipient = ?1 AND d.change_seq > ?2 AND d.state = 'in-transit' AND d.sender <> ?1 ORDER BY d.change_seq"
);
pub(super) const LOST: &str = changes_where!(
    "d.recipient = ?1 AND d.change_seq > ?2 AND d.state = 'failed' AND d.reason = 'lost' AND d.sender <> ?1
     ORDER BY d.change_seq"
);

pub(super) fn changes(
    connection: &Connection,
    agent: AgentId,
    after: u64,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let (mut changes, mut hidden) = (Vec::new(), None);
    for sql in [SENT, PENDING, IN_TRANSIT, LOST] {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![agent.as_bytes(), Number(after), Number(limit as u64)])?;
        while let Some(row) = rows.next()? {
            if row.get_ref(1)? == ValueRef::Null {
                // Of a fan-out that is under way: what comes after it is shown after it.
                let Number(seq) = row.get(7)?;
                hidden = Some(hidden.map_or(seq, |hidden: u64| hidden.min(seq)));
                break;
            }
            changes.push(change(row)?);
        }
    }
    changes.retain(|change: &Change| hidden.is_none_or(|hidden| change.change_seq < hidden));
    changes.sort_unstable_by_key(|change| change.change_seq);
    changes.truncate(limit);
    Ok(changes)
}

fn change(row: &Row<'_>) -> Result<Change, StoreError> {
    let id = MessageId::from_array(row.get(1)?).map_err(|_| StoreError::Damaged("message id"))?;
    let Number(change_seq) = row.get(7)?;
    Ok(Change {
        message: MessageRef { sender: AgentId::from_array(row.get(0)?), id },
        recipient: AgentId::from_array(row.get(2)?),
        attempt: Attempt::new(row.get(3)?).ok_or(StoreError::Damaged("attempt"))?,
        state: deliveries::state(row.get_ref(4)?, row.get_ref(5)?)?,
        acknowledged: row.get(6)?,
        change_seq,
    })
}
