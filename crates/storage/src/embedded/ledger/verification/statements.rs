//! Contradictions between rows that a statement finds. Each gives the row's key, an agent, a message's id, and what is
//! wrong. They read whole tables: they are for operators alone.

use std::{borrow::Cow, sync::LazyLock};

use rusqlite::{Connection, Row, Transaction, types::ValueRef};
use sealpost_protocol::{AgentId, MessageId};

use super::{
    Check, FindingKind, Key, Notes, StoreError, Subject,
    mending::{
        body_sums, discard_pieces, drop_retention, keep_released, lose_delivery, mailbox_sums, place_by_state,
        raise_numbers, release_body, release_part,
    },
};
use crate::embedded::named_contents::ContentTable;

/// One way in which rows may contradict each other.
pub(super) struct Statement {
    pub(super) kind: FindingKind,
    find: Cow<'static, str>,
    /// Mends what it found, if it is still so; returns whether it was.
    pub(super) mend: fn(&Transaction<'_>, &Key) -> Result<bool, StoreError>,
}

pub(super) static CHECKS: LazyLock<[Statement; 11]> = LazyLock::new(|| {
    [
    Statement {
        kind: FindingKind::StateAndMailbox,
        find: Cow::Borrowed("SELECT d.id, d.recipient, m.message_id, printf('is %s, and stands in the mailbox', d.state)
             FROM deliveries AS d LEFT JOIN messages AS m ON m.id = d.message
             WHERE d.mailbox_seq IS NOT NULL AND d.state NOT IN ('pending', 'in-transit')"),
        mend: place_by_state,
    },
    Statement {
        kind: FindingKind::StateAndMailbox,
        find: Cow::Borrowed("SELECT d.id, d.recipient, m.message_id, printf('is %s, and stands in no mailbox', d.state)
             FROM deliveries AS d LEFT JOIN messages AS m ON m.id = d.message
             WHERE d.mailbox_seq IS NULL AND d.state IN ('pending', 'in-transit')"),
        mend: place_by_state,
    },
    Statement {
        kind: FindingKind::LostContent,
        find: Cow::Borrowed("SELECT d.id, d.recipient, m.message_id, 'waits, and has no part'
             FROM deliveries AS d LEFT JOIN messages AS m ON m.id = d.message
             WHERE d.mailbox_seq IS NOT NULL AND d.state IN ('pending', 'in-transit')
                 AND NOT EXISTS (SELECT 1 FROM parts WHERE delivery = d.id)"),
        mend: lose_delivery,
    },
    Statement {
        kind: FindingKind::HeldForNobody,
        find: Cow::Borrowed("SELECT p.delivery, d.recipient, m.message_id, 'has ended, and its part is held'
             FROM parts AS p LEFT JOIN deliveries AS d ON d.id = p.delivery LEFT JOIN messages AS m ON m.id = d.message
             WHERE d.id IS NULL OR d.mailbox_seq IS NULL AND d.state NOT IN ('pending', 'in-transit')
                 AND NOT EXISTS (SELECT 1 FROM retained WHERE message = d.message)"),
        mend: release_part,
    },
    Statement {
        kind: FindingKind::HeldForNobody,
        find: Cow::Borrowed("SELECT b.message, b.sender, m.message_id, 'nobody waits for it, and its body is held'
             FROM bodies AS b LEFT JOIN messages AS m ON m.id = b.message
             WHERE m.id IS NULL OR NOT EXISTS (SELECT 1 FROM retained WHERE message = m.id) AND NOT EXISTS (
                 SELECT 1 FROM deliveries WHERE id >= m.id AND id < m.id + m.recipients
                     AND (mailbox_seq IS NOT NULL OR state IN ('pending', 'in-transit'))
             )"),
        mend: release_body,
    },
    Statement {
        kind: FindingKind::HeldForNobody,
        find: Cow::Borrowed("SELECT DISTINCT pieces, NULL, NULL, 'pieces that are no upload''s and no body''s'
             FROM pieces
             WHERE pieces NOT IN (SELECT pieces FROM uploads) AND pieces NOT IN (SELECT pieces FROM bodies)"),
        mend: discard_pieces,
    },
    Statement {
        kind: FindingKind::ReleasedButNeeded,
        find: released_but_needed().into(),
        mend: keep_released,
    },
    Statement {
        kind: FindingKind::RetainedWithoutMessage,
        find: Cow::Borrowed("SELECT message, NULL, NULL, printf('message %d is gone', message) FROM retained
             WHERE message NOT IN (SELECT id FROM messages)"),
        mend: drop_retention,
    },
    Statement {
        kind: FindingKind::MailboxSums,
        find: Cow::Borrowed("SELECT recipient, recipient, NULL, printf('is said to hold %d messages with %d bytes, and holds %d with %d',
                 messages, bytes, held, held_bytes)
             FROM (
                 SELECT recipient, messages, bytes, next_expiry,
                     (SELECT count(*) FROM deliveries AS d
                         WHERE d.recipient = m.recipient AND mailbox_seq IS NOT NULL) AS held,
                     (SELECT coalesce(sum(part_length), 0) FROM deliveries AS d
                         WHERE d.recipient = m.recipient AND mailbox_seq IS NOT NULL) AS held_bytes,
                     (SELECT min(expires_at) FROM deliveries AS d
                         WHERE d.recipient = m.recipient AND mailbox_seq IS NOT NULL) AS first
                 FROM mailboxes AS m
                 UNION ALL
                 SELECT recipient, 0, 0, 0, count(*), sum(part_length), min(expires_at) FROM deliveries AS d
                 WHERE mailbox_seq IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM mailboxes AS m WHERE m.recipient = d.recipient)
                 GROUP BY recipient
             )
             WHERE messages <> held OR bytes <> held_bytes OR next_expiry > first"),
        mend: mailbox_sums,
    },
    Statement {
        kind: FindingKind::BodySums,
        find: Cow::Borrowed("SELECT sender, sender, NULL, printf('is said to have %d bytes in bodies, and has %d', said, held)
             FROM (
                 SELECT sender, sum(said) AS said, sum(held) AS held FROM (
                     SELECT sender, bytes AS said, 0 AS held FROM body_bytes
                     UNION ALL SELECT sender, 0, length FROM bodies
                     UNION ALL SELECT sender, 0, length FROM uploads
                 ) GROUP BY sender
             )
             WHERE said <> held"),
        mend: body_sums,
    },
    Statement {
        kind: FindingKind::ChangeNumbers,
        find: Cow::Borrowed("SELECT used, NULL, NULL, printf('the last number is said to be %d, and %d is in use', last, used)
             FROM (
                 SELECT last, max(
                     (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM deliveries),
                     (SELECT coalesce(max(change_seq), 0) FROM deliveries),
                     (SELECT coalesce(max(mailbox_seq), 0) FROM deliveries),
                     (SELECT coalesce(max(place), 0) FROM control_messages),
                     (SELECT coalesce(max(message + recipients - 1), 0) FROM fan_outs),
                     (SELECT coalesce(max(pieces), 0) FROM pieces), (SELECT coalesce(max(pieces), 0) FROM uploads)
                 ) AS used
                 FROM change_numbers
             )
             WHERE used > last"),
        mend: raise_numbers,
    },
    ]
});

/// Finds what was let go of and stands in a row yet.
fn released_but_needed() -> String {
    let find = |table: ContentTable| {
        let whose = match table {
            ContentTable::Parts => "NULL, NULL, 'a part'",
            ContentTable::Pieces => "NULL, NULL, 'a piece of a body'",
            ContentTable::ControlMessages => "sender, message_id, 'a control message'",
        };
        let name = table.name();
        format!("SELECT content, {whose} FROM {name} WHERE EXISTS (SELECT 1 FROM released WHERE handle = content)")
    };
    ContentTable::ALL.map(find).join(" UNION ALL ")
}

/// Notes what a statement finds.
pub(super) fn run(
    notes: &mut Notes,
    connection: &Connection,
    number: usize,
    check: &Statement,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&check.find)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        notes.add(check.kind, Check::Statement(number), key(row.get_ref(0)?), subject(row, 1)?);
    }
    Ok(())
}

fn key(value: ValueRef<'_>) -> Key {
    match value {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Key::Bytes(bytes.to_vec()),
        ValueRef::Integer(number) => u64::try_from(number).map_or(Key::File, Key::Row),
        ValueRef::Null | ValueRef::Real(_) => Key::File,
    }
}

/// Agent, message and what is wrong, from this column on. An id that is none is left out: it is told as a damaged row.
pub(super) fn subject(row: &Row<'_>, first: usize) -> Result<Subject, StoreError> {
    let mut subject = Subject::that(row.get::<_, String>(first + 2)?);
    if let Ok(agent) = row.get(first) {
        subject = subject.of_agent(AgentId::from_array(agent));
    }
    if let Some(message) = row.get(first + 1).ok().and_then(|id| MessageId::from_array(id).ok()) {
        subject = subject.of_message(message);
    }
    Ok(subject)
}
