//! Bodies in memory: those of messages, and those that are on their way in.

use std::collections::BTreeMap;

use sealpost_protocol::{AgentId, PieceHash, Timestamp};

use crate::ports::{
    AcceptError, Acceptance, AcceptedBody, AddPieceError, BeginUploadError, BodyQuota, ContentHandle, StoredPiece,
    UploadDescription, UploadName, UploadPlace, UploadRecord,
};

/// The body of a message.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) length: u64,
    pub(super) pieces: Vec<ContentHandle>,
}

/// Uploads by name.
#[derive(Debug, Clone, Default)]
pub(super) struct UploadTable(BTreeMap<UploadName, Upload>);

#[derive(Debug, Clone)]
struct Upload {
    description: UploadDescription,
    expires: Timestamp,
    pieces: BTreeMap<u64, (PieceHash, ContentHandle)>,
}

impl Upload {
    fn record(&self) -> UploadRecord {
        let pieces = self.pieces.iter().map(|(place, (hash, _))| (*place, *hash)).collect();
        UploadRecord { description: self.description, expires: self.expires, pieces }
    }

    fn into_handles(self) -> Vec<ContentHandle> {
        self.pieces.into_values().map(|(_, content)| content).collect()
    }
}

impl UploadTable {
    /// Bytes that the owner has announced.
    pub(super) fn bytes(&self, owner: AgentId) -> u64 {
        let lengths = self.of(owner).map(|upload| upload.description.body.sealed_length);
        lengths.fold(0, u64::saturating_add)
    }

    fn of(&self, owner: AgentId) -> impl Iterator<Item = &Upload> {
        self.0.iter().filter(move |(name, _)| name.owner == owner).map(|(_, upload)| upload)
    }

    /// `used` is what the owner has in bodies and uploads.
    pub(super) fn begin(
        &mut self,
        name: UploadName,
        description: UploadDescription,
        expires: Timestamp,
        quota: BodyQuota,
        used: u64,
    ) -> Result<UploadRecord, BeginUploadError> {
        if let Some(known) = self.0.get_mut(&name) {
            description.unless_other(known.description)?;
            known.expires = expires;
            return Ok(known.record());
        }
        let bytes = used.saturating_add(description.body.sealed_length);
        quota.unless_too_many(self.of(name.owner).count() as u64, bytes)?;
        let upload = Upload { description, expires, pieces: BTreeMap::new() };
        let record = upload.record();
        self.0.insert(name, upload);
        Ok(record)
    }

    pub(super) fn add_piece(
        &mut self,
        name: UploadName,
        piece: StoredPiece,
        expires: Timestamp,
    ) -> Result<Option<ContentHandle>, AddPieceError> {
        let upload = self.0.get_mut(&name).ok_or(AddPieceError::Unknown)?;
        if piece.is_there(upload.pieces.get(&piece.place).map(|(hash, _)| *hash))? {
            return Ok(Some(piece.content));
        }
        upload.pieces.insert(piece.place, (piece.hash, piece.content));
        upload.expires = expires;
        Ok(None)
    }

    pub(super) fn find(&self, name: UploadName, now: Timestamp) -> Option<UploadRecord> {
        self.0.get(&name).filter(|upload| upload.expires > now).map(Upload::record)
    }

    pub(super) fn place(&self, name: UploadName, place: u64, now: Timestamp) -> Option<UploadPlace> {
        let upload = self.0.get(&name).filter(|upload| upload.expires > now)?;
        let piece = upload.pieces.get(&place).map(|(hash, _)| *hash);
        Some(UploadPlace { description: upload.description, expires: upload.expires, piece })
    }

    pub(super) fn cancel(&mut self, name: UploadName) -> Vec<ContentHandle> {
        self.0.remove(&name).map(Upload::into_handles).unwrap_or_default()
    }

    pub(super) fn expire(&mut self, now: Timestamp) -> Option<Vec<ContentHandle>> {
        let (name, _) = self.0.iter().find(|(_, upload)| upload.expires <= now)?;
        let name = *name;
        Some(self.cancel(name))
    }

    /// The body of a message that is accepted. `used` is what its sender has in bodies and uploads.
    pub(super) fn body_of(&mut self, acceptance: &Acceptance, used: u64) -> Result<Option<Body>, AcceptError> {
        let (header, quota) = (&acceptance.header, acceptance.quota);
        let Some(described) = header.fields().body else { return Ok(None) };
        let length = described.sealed_length;
        match &acceptance.body {
            None => Ok(None),
            Some(AcceptedBody::Inline(content)) => {
                quota.unless_too_large(used.saturating_add(length))?;
                Ok(Some(Body { length, pieces: vec![content.clone()] }))
            }
            Some(AcceptedBody::Uploaded(id)) => {
                let name = UploadName { owner: header.message().sender, id: *id };
                let upload = self.0.get(&name).ok_or(AcceptError::UnknownUpload)?;
                let pieces = upload.pieces.len() as u64;
                upload.description.unless_not_body_of(header, pieces, upload.expires, acceptance.at)?;
                Ok(Some(Body { length, pieces: self.cancel(name) }))
            }
        }
    }
}
