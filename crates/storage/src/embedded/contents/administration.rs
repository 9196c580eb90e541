//! What operators ask of the contents, also while they are used: figures, verification, repair, collection, and where a
//! message's contents lie.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use rusqlite::{Connection, Transaction};
use sealpost_blocks::{BlockHandle, BlockStore, Collection, Damage, DamagedPart, ReadError, Stats};
use sealpost_core::ports::{BackendError, Contents};
use sealpost_protocol::{AgentId, MessageId};
use serde::{Deserialize, Serialize};

use super::{
    EmbeddedContents,
    blocks::{self, Blocks},
    contents_mark,
    forms::form,
    is_passing, needed,
};
use crate::{
    embedded::ledger::verification::{self, FindingKind, Findings, Rebuilt},
    limits,
};

/// What looking through blocks and contents found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationReport {
    /// Live blocks that were hashed.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
    /// Contents that the ledger names and that were rebuilt.
    pub contents: u64,
    /// Contents that the ledger names and that cannot be rebuilt.
    pub lost_contents: u64,
    /// Everything of the blocks that is not as it was written.
    pub damaged: Vec<Damaged>,
    /// What is wrong with the ledger, and between ledger and contents.
    pub findings: Vec<Findings>,
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// The file, inside the blocks' directory.
    pub file: String,
    /// What of it.
    pub part: String,
}

/// What repair did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// Tables, headers and inventories written anew.
    pub rewritten: u64,
    /// What of the blocks could not be mended, and stays as it is.
    pub lost: Vec<Damaged>,
    /// What of the blocks was damaged for good, and is let go of: who counted on a content in it is told that it is lost.
    pub given_up: Vec<Damaged>,
    /// What of the ledger was mended.
    pub mended: Vec<Findings>,
    /// What is wrong with the ledger still.
    pub left: Vec<Findings>,
}

/// Where one content of a message lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentLocation {
    /// The message's sender; none if only the handle is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sender: Option<String>,
    /// Whose part it is; none for a piece of the body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recipient: Option<String>,
    /// The handle, in hexadecimal digits.
    pub handle: String,
    /// The handle as a magnet link, for export.
    pub url: String,
    /// Bytes of the content.
    pub length: u64,
    /// BLAKE3 of the content, in hexadecimal digits.
    pub content_hash: String,
    /// Bytes of its blocks, all but the last of which may be smaller.
    pub block_size: u32,
    /// How many blocks give one block of data.
    pub tuple_size: u8,
    /// Whether its random blocks are shared or its own: `pooled` or `fresh`.
    pub policy: String,
    /// Whether the blocks named here are lists of blocks.
    #[serde(rename = "isCBL")]
    pub is_cbl: bool,
    /// The ids of the blocks that the handle names, in hexadecimal digits.
    pub cbl_block_ids: Vec<String>,
}

const PARTS: &str = "SELECT m.sender, d.recipient, p.content FROM messages AS m
     JOIN deliveries AS d ON d.id >= m.id AND d.id < m.id + m.recipients JOIN parts AS p ON p.delivery = d.id
     WHERE m.message_id = ?1 ORDER BY d.id";
const PIECES: &str = "SELECT m.sender, NULL, p.content FROM messages AS m
     JOIN bodies AS b ON b.message = m.id JOIN pieces AS p ON p.pieces = b.pieces
     WHERE m.message_id = ?1 ORDER BY b.message, p.place";

impl EmbeddedContents {
    /// Figures; nothing is read.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn stats(&self) -> Result<Stats, BackendError> {
        self.blocking(|blocks| blocks.with(BlockStore::stats).map_err(BackendError::new)).await
    }

    /// Looks through all blocks and the ledger, and rebuilds every content that the ledger names. Nothing is changed.
    ///
    /// # Errors
    /// [`BackendError`]. Damage is no error.
    pub async fn verify(&self) -> Result<VerificationReport, BackendError> {
        let verify = |store: &BlockStore| store.verify();
        let found =
            self.blocking(move |blocks| blocks.with(verify).map_err(BackendError::new)?.map_err(BackendError::new));
        let found = found.await?;
        let (notes, Rebuilt { whole, lost }) = verification::look_through(self).await?;
        Ok(VerificationReport {
            blocks: found.blocks,
            bytes: found.bytes,
            contents: whole,
            lost_contents: lost,
            damaged: self.shortness().into_iter().chain(found.damage.iter().map(Damaged::from)).collect(),
            findings: notes.findings(),
        })
    }

    /// Mends tables, headers and the inventory of the blocks from each other, and of the ledger what can be mended without
    /// guessing: [`FindingKind`](super::super::FindingKind) says how. What of the blocks is damaged for good goes once nothing
    /// names it any more.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn repair(&self) -> Result<RepairReport, BackendError> {
        let done = self.upkeep(|store| store.repair(&mut |_| None)).await?;
        let (mended, left) = self.mend().await?;
        let (mut damaged, mut lost) = (done.lost, Vec::new());
        if !damaged.is_empty() || self.is_short {
            self.discard_released().await?;
            lost = self.upkeep(BlockStore::verify).await?.damage;
        }
        // While a content that cannot be rebuilt is still named, another copy of its blocks could be put back.
        if !lost.is_empty() && !left.iter().any(|found| found.kind == FindingKind::LostContent) {
            let given_up = std::mem::take(&mut lost);
            damaged.extend(given_up.iter().filter(|damage| !damaged.contains(damage)).cloned().collect::<Vec<_>>());
            self.upkeep(move |store| store.give_up(&given_up)).await?;
        }
        damaged.retain(|damage| !lost.contains(damage));
        let given_up = self.shortness().into_iter().chain(damaged.iter().map(Damaged::from)).collect();
        let lost = lost.iter().map(Damaged::from).collect();
        Ok(RepairReport { rewritten: done.rewritten, lost, given_up, mended, left })
    }

    /// Mends the ledger, and what only then can be seen; returns what was mended, and what is left.
    async fn mend(&self) -> Result<(Vec<Findings>, Vec<Findings>), BackendError> {
        let mut mended = Vec::new();
        for _ in 0..limits::MENDINGS {
            let (notes, _) = verification::look_through(self).await?;
            let done = verification::mend(self, &notes).await?;
            if done.is_empty() {
                return Ok((mended, notes.findings()));
            }
            verification::add(&mut mended, done);
        }
        let (notes, _) = verification::look_through(self).await?;
        Ok((mended, notes.findings()))
    }

    /// Lets go of all that the ledger has let go of, as a sweep does.
    async fn discard_released(&self) -> Result<(), BackendError> {
        loop {
            let released = self.ledger().read(verification::released).await?;
            if released.is_empty() {
                return Ok(());
            }
            Contents::discard(self, released.clone()).await?;
            let forget = move |transaction: &Transaction<'_>| Ok(verification::forget(transaction, &released)?);
            self.ledger().write::<_, BackendError>(forget).await?;
        }
    }

    /// Does something with the whole store, while no backup is made.
    async fn upkeep<T: Send + 'static>(
        &self,
        act: impl FnOnce(&BlockStore) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.blocking(move |blocks| {
            let _kept = blocks.keeping.read().unwrap_or_else(PoisonError::into_inner);
            blocks.with(act).map_err(BackendError::new)?.map_err(BackendError::new)
        })
        .await
    }

    fn shortness(&self) -> Option<Damaged> {
        let part = "the blocks end before what the ledger has accepted".to_owned();
        self.is_short.then(|| Damaged { file: String::new(), part })
    }

    /// Lets go of every block that no handle in the ledger leads to. What is being accepted meanwhile is spared.
    ///
    /// # Errors
    /// [`BackendError`]; also if a content that is needed cannot be read, and so does not tell what it needs.
    pub async fn collect(&self) -> Result<Collection, BackendError> {
        let ledger = &self.blocks.ledger;
        let committed = blocks::mark(ledger.read(contents_mark::load).await?);
        // In this order: what is settled now is in what is read of the ledger next.
        let before = self.blocks.settled(committed);
        let blocks = Arc::clone(&self.blocks);
        let collect = move |connection: &Connection| {
            needed(connection, |handles| {
                let _kept = blocks.keeping.read().unwrap_or_else(PoisonError::into_inner);
                let collect = |store: &BlockStore| {
                    let collection = store.collect_but(handles, before).map_err(BackendError::new)?;
                    blocks.sync(store).map_err(BackendError::new)?;
                    Ok(collection)
                };
                blocks.with(collect).map_err(BackendError::new)?
            })
        };
        ledger.read(collect).await?
    }

    /// Rebuilds one content; `None` if the handle leads to nothing, or to what is damaged: that is an answer here, and no
    /// news for the log.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn rebuild(&self, handle: Vec<u8>) -> Result<Option<Vec<u8>>, BackendError> {
        let Ok(handle) = BlockHandle::from_bytes(&handle) else { return Ok(None) };
        let read = move |blocks: &Blocks| match blocks.with(|store| store.read(&handle)).map_err(BackendError::new)? {
            Ok(content) => Ok(Some(content)),
            Err(error) if is_passing(&error) => Err(BackendError::new(error)),
            Err(_) => Ok(None),
        };
        self.blocking(read).await
    }

    /// The stored bytes of every block that a content has for itself: of its data, of its lists, and its own random ones.
    /// `None` if the handle does not lead to all of them.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn blocks_of(&self, handle: Vec<u8>) -> Result<Option<Vec<Vec<u8>>>, BackendError> {
        let Ok(handle) = BlockHandle::from_bytes(&handle) else { return Ok(None) };
        let read = move |store: &BlockStore| -> Result<Option<Vec<_>>, ReadError> {
            let ids = store.block_ids(&handle)?;
            ids.into_iter().map(|id| store.block(id).map_err(ReadError::Block)).collect()
        };
        self.blocking(move |blocks| match blocks.with(read).map_err(BackendError::new)? {
            Ok(blocks) => Ok(blocks),
            Err(error) if is_passing(&error) => Err(BackendError::new(error)),
            Err(_) => Ok(None),
        })
        .await
    }

    /// Where the contents of messages with this id lie; empty if there is none, or nothing of it is kept.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn contents_of(&self, message: MessageId) -> Result<Vec<ContentLocation>, BackendError> {
        let find = move |connection: &Connection| {
            let mut found = Vec::new();
            for sql in [PARTS, PIECES] {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query([message.as_bytes()])?;
                while let Some(row) = rows.next()? {
                    let (sender, recipient): ([u8; 32], Option<[u8; 32]>) = (row.get(0)?, row.get(1)?);
                    let bytes: Vec<u8> = row.get(2)?;
                    let Some(content) = ContentLocation::of(&bytes) else { continue };
                    let name = |bytes: [u8; 32]| AgentId::from_array(bytes).to_string();
                    let (sender, recipient) = (Some(name(sender)), recipient.map(name));
                    found.push(ContentLocation { sender, recipient, ..content });
                }
            }
            Ok(found)
        };
        self.blocks.ledger.read(find).await
    }
}

impl ContentLocation {
    /// What a handle's bytes say; `None` if they are none.
    #[must_use]
    pub fn of(handle: &[u8]) -> Option<Self> {
        let parsed = BlockHandle::from_bytes(handle).ok()?;
        let form = form(&parsed);
        Some(Self {
            sender: None,
            recipient: None,
            handle: hex(handle),
            url: parsed.to_url(),
            length: form.length,
            content_hash: hex(&parsed.content_hash()),
            block_size: form.block_size,
            tuple_size: form.tuple_size,
            policy: form.policy.as_str().to_owned(),
            is_cbl: form.is_cbl,
            cbl_block_ids: form.block_ids.iter().map(|id| hex(id)).collect(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<&Damage> for Damaged {
    fn from(damage: &Damage) -> Self {
        let part = match damage.part {
            DamagedPart::Cut => "the file is gone, or shorter than it was".to_owned(),
            DamagedPart::SegmentHeader => "the segment's header".to_owned(),
            DamagedPart::RecordHeader(address) => format!("the header of the record at {address}"),
            DamagedPart::Block { address, id, .. } => format!("the block {id} at {address}"),
            DamagedPart::Table => "the segment's table".to_owned(),
            DamagedPart::State => "the inventory".to_owned(),
            _ => "an unknown part".to_owned(),
        };
        Self { file: damage.file.clone(), part }
    }
}
