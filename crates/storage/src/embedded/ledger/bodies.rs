//! Bodies of messages: sets of pieces, and what each sender has in them.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sealpost_core::ports::{AcceptError, AcceptedBody, BodyHandles, BodyPiece, BodyQuota, ContentHandle};
use sealpost_protocol::{AgentId, Header, PieceHash, Timestamp};

use super::{Abort, StoreError, columns::Number, uploads};

pub(super) const INSERT: &str = "INSERT INTO bodies (message, sender, length, pieces) VALUES (?1, ?2, ?3, ?4)";
pub(super) const EXISTS: &str = "SELECT 1 FROM bodies WHERE message = ?1";
pub(super) const PIECE: &str = "SELECT b.length, p.content FROM bodies AS b
     LEFT JOIN pieces AS p ON p.pieces = b.pieces AND p.place = ?2 WHERE b.message = ?1";
pub(super) const FIRST_PIECES: &str = "SELECT b.length, p.content FROM bodies AS b
     LEFT JOIN pieces AS p ON p.pieces = b.pieces AND p.place < ?2 WHERE b.message = ?1 ORDER BY p.place";
pub(super) const RELEASE: &str = "DELETE FROM bodies
     WHERE message = ?1 AND NOT EXISTS (
         SELECT 1 FROM deliveries
         WHERE id >= ?1 AND id < ?1 + (SELECT recipients FROM messages WHERE id = ?1) AND mailbox_seq IS NOT NULL
     )
     RETURNING sender, length, pieces";
pub(super) const TAKE_OUT: &str = "DELETE FROM bodies WHERE message = ?1 RETURNING sender, length, pieces";
pub(super) const INSERT_PIECE: &str = "INSERT INTO pieces (pieces, place, hash, content) VALUES (?1, ?2, ?3, ?4)";
pub(super) const RELEASE_PIECES: &str = "DELETE FROM pieces WHERE pieces = ?1 RETURNING content";
pub(super) const COUNT: &str = "INSERT INTO body_bytes VALUES (?1, ?2)
     ON CONFLICT (sender) DO UPDATE SET bytes = bytes + excluded.bytes
     RETURNING bytes";
pub(super) const DISCOUNT: &str = "UPDATE body_bytes SET bytes = bytes - ?2 WHERE sender = ?1";
/// For a sender whose number is wrong.
const RECOUNT: &str = "INSERT INTO body_bytes
     SELECT ?1, coalesce(sum(length), 0) FROM (
         SELECT length FROM bodies WHERE sender = ?1 UNION ALL SELECT length FROM uploads WHERE sender = ?1
     ) WHERE true
     ON CONFLICT (sender) DO UPDATE SET bytes = excluded.bytes";
pub(super) const FORGET_SENDER: &str = "DELETE FROM body_bytes WHERE sender = ?1 AND bytes = 0";

/// The body that a message brings.
pub(super) struct NewBody<'a> {
    pub(super) message: u64,
    pub(super) header: &'a Header,
    pub(super) body: AcceptedBody,
    /// What its sender may have in bodies.
    pub(super) quota: BodyQuota,
    pub(super) at: Timestamp,
}

/// Records a message's body; it has none yet.
pub(super) fn insert(transaction: &Transaction<'_>, new: NewBody<'_>) -> Result<(), Abort<AcceptError>> {
    let sender = new.header.message().sender;
    let description = new.header.fields().body.ok_or(Abort::Refused(AcceptError::UnknownUpload))?;
    let pieces = match new.body {
        AcceptedBody::Inline(content) => {
            let bytes = count(transaction, sender, description.sealed_length)?;
            new.quota.unless_too_large(bytes).map_err(Abort::Refused)?;
            let hash = PieceHash(description.hash);
            insert_piece(transaction, new.message, 0, hash, &content)?;
            new.message
        }
        // It was counted when it was begun.
        AcceptedBody::Uploaded(id) => uploads::take(transaction, new.header, id, new.at)?,
    };
    let row = params![Number(new.message), sender.as_bytes(), Number(description.sealed_length), Number(pieces)];
    transaction.prepare_cached(INSERT)?.execute(row)?;
    Ok(())
}

/// Whether a message has a body.
pub(super) fn exists(connection: &Connection, message: u64) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(EXISTS)?.exists([Number(message)])?)
}

/// The piece in this place, if the message has a body.
pub(super) fn piece(connection: &Connection, message: u64, place: u64) -> Result<Option<BodyPiece>, StoreError> {
    let mut statement = connection.prepare_cached(PIECE)?;
    let piece = statement.query_one([Number(message), Number(place)], |row| {
        let Number(length) = row.get(0)?;
        Ok(BodyPiece { length, content: row.get::<_, Option<_>>(1)?.map(ContentHandle) })
    });
    Ok(piece.optional()?)
}

/// Where up to `pieces` of the body lie, from its beginning, if the message has one.
pub(super) fn first_pieces(
    connection: &Connection,
    message: u64,
    pieces: usize,
) -> Result<Option<BodyHandles>, StoreError> {
    let mut statement = connection.prepare_cached(FIRST_PIECES)?;
    let mut rows = statement.query([Number(message), Number(pieces as u64)])?;
    let mut body = None;
    while let Some(row) = rows.next()? {
        let Number(length) = row.get(0)?;
        let found = body.get_or_insert(BodyHandles { length, first: Vec::new() });
        found.first.extend(row.get::<_, Option<_>>(1)?.map(ContentHandle));
    }
    Ok(body)
}

/// Takes the body out if nobody waits for the message any more.
pub(super) fn release(
    transaction: &Transaction<'_>,
    message: u64,
    released: &mut Vec<ContentHandle>,
) -> Result<(), StoreError> {
    delete(transaction, RELEASE, message, released)
}

/// Takes the body out, whoever waits for the message.
pub(super) fn take_out(
    transaction: &Transaction<'_>,
    message: u64,
    released: &mut Vec<ContentHandle>,
) -> Result<(), StoreError> {
    delete(transaction, TAKE_OUT, message, released)
}

fn delete(
    transaction: &Transaction<'_>,
    statement: &str,
    message: u64,
    released: &mut Vec<ContentHandle>,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(statement)?;
    let row = statement.query_one([Number(message)], |row| {
        let (Number(length), Number(pieces)) = (row.get(1)?, row.get(2)?);
        Ok((AgentId::from_array(row.get(0)?), length, pieces))
    });
    if let Some((sender, length, pieces)) = row.optional()? {
        release_pieces(transaction, pieces, released)?;
        discount(transaction, sender, length)?;
    }
    Ok(())
}

/// Stores where a piece lies.
pub(super) fn insert_piece(
    transaction: &Transaction<'_>,
    pieces: u64,
    place: u64,
    hash: PieceHash,
    content: &ContentHandle,
) -> Result<(), StoreError> {
    let row = params![Number(pieces), Number(place), hash.0, content.0];
    transaction.prepare_cached(INSERT_PIECE)?.execute(row)?;
    Ok(())
}

/// Takes a set of pieces out.
pub(super) fn release_pieces(
    transaction: &Transaction<'_>,
    pieces: u64,
    released: &mut Vec<ContentHandle>,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(RELEASE_PIECES)?;
    let mut rows = statement.query([Number(pieces)])?;
    while let Some(row) = rows.next()? {
        released.push(ContentHandle(row.get(0)?));
    }
    Ok(())
}

/// Counts bytes to a sender, and gives what it has with them.
pub(super) fn count(transaction: &Transaction<'_>, sender: AgentId, bytes: u64) -> Result<u64, StoreError> {
    let row = params![sender.as_bytes(), Number(bytes)];
    let Number(bytes) = transaction.prepare_cached(COUNT)?.query_one(row, |row| row.get(0))?;
    Ok(bytes)
}

pub(super) fn discount(transaction: &Transaction<'_>, sender: AgentId, bytes: u64) -> Result<(), StoreError> {
    transaction.prepare_cached(DISCOUNT)?.execute(params![sender.as_bytes(), Number(bytes)])?;
    transaction.prepare_cached(FORGET_SENDER)?.execute([sender.as_bytes()])?;
    Ok(())
}

/// Counts what a sender has.
pub(super) fn recount(transaction: &Transaction<'_>, sender: &[u8]) -> Result<(), StoreError> {
    transaction.prepare_cached(RECOUNT)?.execute([sender])?;
    transaction.prepare_cached(FORGET_SENDER)?.execute([sender])?;
    Ok(())
}
