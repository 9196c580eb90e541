//! Bodies on their way in.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use sealpost_core::ports::{
    AcceptError, AddPieceError, BeginUploadError, BodyQuota, ContentHandle, StoredPiece, UploadDescription, UploadName,
    UploadPlace, UploadRecord,
};
use sealpost_protocol::{AgentId, BodyDescription, Header, PieceHash, Scheme, Timestamp, UploadId};

use super::{
    Abort, StoreError, bodies,
    change_numbers::ChangeNumbers,
    columns::{Number, Time},
};

pub(super) const FIND: &str = "SELECT pieces, scheme, length, hash, expires_at FROM uploads
     WHERE sender = ?1 AND upload_id = ?2";
pub(super) const HOW_MANY: &str = "SELECT count(*) FROM uploads WHERE sender = ?1";
pub(super) const INSERT: &str = "INSERT INTO uploads (pieces, sender, upload_id, scheme, length, hash, expires_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const PROLONG: &str = "UPDATE uploads SET expires_at = ?2 WHERE pieces = ?1";
pub(super) const DELETE: &str = "DELETE FROM uploads WHERE pieces = ?1";
pub(super) const PIECES: &str = "SELECT place, hash FROM pieces WHERE pieces = ?1 ORDER BY place";
pub(super) const HOW_MANY_PIECES: &str = "SELECT count(*) FROM pieces WHERE pieces = ?1";
pub(super) const PIECE_HASH: &str = "SELECT hash FROM pieces WHERE pieces = ?1 AND place = ?2";
pub(super) const EXPIRED: &str = "SELECT sender, upload_id FROM uploads WHERE expires_at <= ?1
     ORDER BY expires_at LIMIT 1";

/// A row of `uploads`.
struct Upload {
    pieces: u64,
    description: UploadDescription,
    expires: Timestamp,
}

pub(super) fn begin(
    transaction: &Transaction<'_>,
    name: UploadName,
    description: UploadDescription,
    expires: Timestamp,
    quota: BodyQuota,
) -> Result<UploadRecord, Abort<BeginUploadError>> {
    if let Some(known) = find(transaction, name)? {
        description.unless_other(known.description).map_err(Abort::Refused)?;
        prolong(transaction, &known, expires)?;
        return Ok(known.record(transaction, expires)?);
    }
    let Number(open) = transaction.prepare_cached(HOW_MANY)?.query_one([name.owner.as_bytes()], |row| row.get(0))?;
    let bytes = bodies::count(transaction, name.owner, description.body.sealed_length)?;
    quota.unless_too_many(open, bytes).map_err(Abort::Refused)?;
    let mut numbers = ChangeNumbers::load(transaction)?;
    let pieces = numbers.take();
    numbers.save(transaction)?;
    transaction.prepare_cached(INSERT)?.execute(params![
        Number(pieces),
        name.owner.as_bytes(),
        name.id.0,
        description.scheme.as_str(),
        Number(description.body.sealed_length),
        description.body.hash,
        Time(expires),
    ])?;
    Ok(UploadRecord { description, expires, pieces: Vec::new() })
}

pub(super) fn add_piece(
    transaction: &Transaction<'_>,
    name: UploadName,
    piece: StoredPiece,
    expires: Timestamp,
) -> Result<Option<ContentHandle>, Abort<AddPieceError>> {
    let upload = find(transaction, name)?.ok_or(Abort::Refused(AddPieceError::Unknown))?;
    if piece.is_there(upload.piece(transaction, piece.place)?).map_err(Abort::Refused)? {
        return Ok(Some(piece.content));
    }
    bodies::insert_piece(transaction, upload.pieces, piece.place, piece.hash, &piece.content)?;
    prolong(transaction, &upload, expires)?;
    Ok(None)
}

pub(super) fn place(
    connection: &Connection,
    name: UploadName,
    place: u64,
    now: Timestamp,
) -> Result<Option<UploadPlace>, StoreError> {
    let Some(upload) = find(connection, name)?.filter(|upload| upload.expires > now) else { return Ok(None) };
    let piece = upload.piece(connection, place)?;
    Ok(Some(UploadPlace { description: upload.description, expires: upload.expires, piece }))
}

pub(super) fn record(
    connection: &Connection,
    name: UploadName,
    now: Timestamp,
) -> Result<Option<UploadRecord>, StoreError> {
    let found = find(connection, name)?.filter(|upload| upload.expires > now);
    found.map(|upload| upload.record(connection, upload.expires)).transpose()
}

pub(super) fn cancel(transaction: &Transaction<'_>, name: UploadName) -> Result<Vec<ContentHandle>, StoreError> {
    let mut released = Vec::new();
    if let Some(upload) = find(transaction, name)? {
        transaction.prepare_cached(DELETE)?.execute([Number(upload.pieces)])?;
        bodies::release_pieces(transaction, upload.pieces, &mut released)?;
        bodies::discount(transaction, name.owner, upload.description.body.sealed_length)?;
    }
    Ok(released)
}

pub(super) fn expire(transaction: &Transaction<'_>, now: Timestamp) -> Result<Option<Vec<ContentHandle>>, StoreError> {
    let expired = transaction.prepare_cached(EXPIRED)?.query_one([Time(now)], |row| {
        Ok(UploadName { owner: AgentId::from_array(row.get(0)?), id: UploadId(row.get(1)?) })
    });
    expired.optional()?.map(|name| cancel(transaction, name)).transpose()
}

/// Ends the upload that `header` describes, and gives its pieces to whoever calls.
pub(super) fn take(
    transaction: &Transaction<'_>,
    header: &Header,
    id: UploadId,
    at: Timestamp,
) -> Result<u64, Abort<AcceptError>> {
    let found = find(transaction, UploadName { owner: header.message().sender, id })?;
    let upload = found.ok_or(Abort::Refused(AcceptError::UnknownUpload))?;
    let mut statement = transaction.prepare_cached(HOW_MANY_PIECES)?;
    let Number(pieces) = statement.query_one([Number(upload.pieces)], |row| row.get(0))?;
    upload.description.unless_not_body_of(header, pieces, upload.expires, at).map_err(Abort::Refused)?;
    transaction.prepare_cached(DELETE)?.execute([Number(upload.pieces)])?;
    Ok(upload.pieces)
}

fn find(connection: &Connection, name: UploadName) -> Result<Option<Upload>, StoreError> {
    let mut statement = connection.prepare_cached(FIND)?;
    let mut rows = statement.query(params![name.owner.as_bytes(), name.id.0])?;
    rows.next()?.map(Upload::from_row).transpose()
}

fn prolong(transaction: &Transaction<'_>, upload: &Upload, expires: Timestamp) -> Result<(), StoreError> {
    transaction.prepare_cached(PROLONG)?.execute(params![Number(upload.pieces), Time(expires)])?;
    Ok(())
}

impl Upload {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let (Number(pieces), Number(sealed_length), Time(expires)) = (row.get(0)?, row.get(2)?, row.get(4)?);
        let scheme = row.get_ref(1)?.as_str().ok().and_then(Scheme::from_name);
        let body = BodyDescription { sealed_length, hash: row.get(3)? };
        let description = UploadDescription { scheme: scheme.ok_or(StoreError::Damaged("scheme"))?, body };
        Ok(Self { pieces, description, expires })
    }

    /// The hash of the piece in this place.
    fn piece(&self, connection: &Connection, place: u64) -> Result<Option<PieceHash>, StoreError> {
        let mut statement = connection.prepare_cached(PIECE_HASH)?;
        let found = statement.query_one([Number(self.pieces), Number(place)], |row| row.get(0));
        Ok(found.optional()?.map(PieceHash))
    }

    fn record(&self, connection: &Connection, expires: Timestamp) -> Result<UploadRecord, StoreError> {
        let mut statement = connection.prepare_cached(PIECES)?;
        let pieces = statement.query_map([Number(self.pieces)], |row| {
            let Number(place) = row.get(0)?;
            Ok((place, PieceHash(row.get(1)?)))
        })?;
        Ok(UploadRecord { description: self.description, expires, pieces: pieces.collect::<Result<_, _>>()? })
    }
}
