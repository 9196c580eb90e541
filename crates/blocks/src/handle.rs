//! The handle: from what a stored content is rebuilt. The ledger keeps it as bytes.

use thiserror::Error;

use crate::{
    address::DurableMark,
    block_id::BlockId,
    block_size::{BlockSize, Selection},
    encoding::{Fields, Short},
    limits, message_cbl,
    tuple::{NotATuple, Tuple},
    whitening::{TupleSize, WhiteningPolicy},
};

const VERSION: u8 = 1;
const CHECKSUM: usize = 8;

/// Names a content of one store: its length, its hash and the tuples at the top.
///
/// Short lists of tuples stand in the handle; longer ones in CBLs, to which the handle's tuples then lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHandle {
    pub(crate) form: Form,
    /// Levels of CBLs between the handle's tuples and the data.
    pub(crate) levels: u8,
    /// Bytes of the content as its writer gave it.
    pub(crate) length: u64,
    /// Bytes that lie in blocks: fewer if it is compressed.
    pub(crate) stored_length: u64,
    /// BLAKE3 of the bytes that lie in blocks.
    pub(crate) hash: [u8; 32],
    pub(crate) tuples: Vec<Tuple>,
}

/// What all tuples of a content have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) policy: WhiteningPolicy,
    pub(crate) tuple_size: TupleSize,
    pub(crate) selection: Selection,
    /// The class of all data blocks but the last.
    pub(crate) block_size: BlockSize,
    pub(crate) is_compressed: bool,
}

/// The bytes are no handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HandleError {
    /// They end too soon or too late.
    #[error("a handle of the wrong length")]
    Length,
    /// Their checksum is another's: they were altered.
    #[error("a damaged handle")]
    Checksum,
    /// A version this store does not know.
    #[error("a handle of version {0}, which this version does not know")]
    Version(u8),
    /// A field holds what no writer puts there.
    #[error("a malformed handle")]
    Malformed,
}

impl From<Short> for HandleError {
    fn from(_: Short) -> Self {
        Self::Length
    }
}

impl From<NotATuple> for HandleError {
    fn from(_: NotATuple) -> Self {
        Self::Malformed
    }
}

impl BlockHandle {
    /// Bytes of the content.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// BLAKE3 of the content as it lies in blocks: of the compressed bytes, if it is compressed.
    #[must_use]
    pub fn content_hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether its tuples stand in CBLs (`isCBL` in the document).
    #[must_use]
    pub fn is_cbl(&self) -> bool {
        self.levels > 0
    }

    /// The ids of the stored blocks that the handle itself names (`cblBlockIds` in the document).
    pub fn block_ids(&self) -> impl Iterator<Item = BlockId> {
        self.tuples.iter().map(|tuple| tuple.whitened.id)
    }

    /// The class of its blocks, all but the last of which may be smaller.
    #[must_use]
    pub fn block_size(&self) -> BlockSize {
        self.form.block_size
    }

    /// Bytes of its data blocks, padding included: without block lists, and without the random blocks of its own.
    #[must_use]
    pub fn padded_length(&self) -> u64 {
        let size = self.form.block_size;
        let rest = self.stored_length % size.bytes() as u64;
        let last = if rest == 0 { 0 } else { self.form.selection.last(size, rest).bytes() as u64 };
        (self.stored_length - rest).saturating_add(last)
    }

    /// How many blocks give one block of data.
    #[must_use]
    pub fn tuple_size(&self) -> TupleSize {
        self.form.tuple_size
    }

    /// The content's name and blocks as a magnet link, for export only: no store reads it back. `xt` is the content's hash,
    /// `xl` its length in bytes, `x.bs` the class of its blocks in bytes, `x.ts` the tuple size, `x.cbl` whether the ids that
    /// follow as `x.b` are those of block lists.
    #[must_use]
    pub fn to_url(&self) -> String {
        let hash = BlockId(self.hash);
        let mut url = format!("magnet:?xt=urn:blake3:{hash}&xl={}", self.length);
        let (size, tuple) = (self.block_size().bytes(), self.tuple_size().get());
        url += &format!("&x.bs={size}&x.ts={tuple}&x.cbl={}", u8::from(self.is_cbl()));
        self.block_ids().for_each(|id| url += &format!("&x.b={id}"));
        url
    }

    /// Whether everything of the content was appended before this mark: what lists blocks comes after them.
    #[must_use]
    pub fn lies_before(&self, mark: DurableMark) -> bool {
        self.tuples.iter().flat_map(Tuple::blocks).all(|block| mark.covers(block.address))
    }

    /// Where its random blocks come from.
    #[must_use]
    pub fn policy(&self) -> WhiteningPolicy {
        self.form.policy
    }

    /// Bytes for the ledger, below 1 KiB.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let form = &self.form;
        let mut bytes = vec![VERSION, form.policy.code(), form.tuple_size.get(), form.selection as u8];
        bytes.extend([form.block_size.code(), u8::from(form.is_compressed), self.levels, self.tuples.len() as u8]);
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.stored_length.to_be_bytes());
        bytes.extend(self.hash);
        self.tuples.iter().for_each(|tuple| tuple.encode(&mut bytes));
        bytes.extend(checksum(&bytes));
        bytes
    }

    /// Reads what [`BlockHandle::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`HandleError`]; no other bytes are a handle.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandleError> {
        let (fields, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(HandleError::Length)?;
        if *sum != checksum(fields) {
            return Err(HandleError::Checksum);
        }
        let mut fields = Fields(fields);
        let version = fields.u8()?;
        if version != VERSION {
            return Err(HandleError::Version(version));
        }
        let form = Form::decode(&mut fields)?;
        let [levels, count] = fields.array()?;
        let (length, stored_length, hash) = (fields.u64()?, fields.u64()?, fields.array()?);
        let tuple = |_| Tuple::decode(&mut fields, form.policy);
        let tuples = (0..count).map(tuple).collect::<Result<Vec<_>, _>>()?;
        let handle = Self { form, levels, length, stored_length, hash, tuples };
        if !fields.0.is_empty() {
            return Err(HandleError::Length);
        }
        if handle.is_possible() { Ok(handle) } else { Err(HandleError::Malformed) }
    }

    /// Whether a writer could have made it: its tuples are as many, and of the classes, that its length asks for.
    fn is_possible(&self) -> bool {
        let lengths_agree = self.form.is_compressed || self.length == self.stored_length;
        let layout = message_cbl::Layout::new(self.form, self.stored_length);
        let is_least = layout.levels() == self.levels && self.levels <= limits::CBL_LEVELS;
        let spans = layout.children(self.levels, 0, self.stored_length);
        let sizes = self.tuples.iter().map(|tuple| tuple.size);
        lengths_agree && is_least && sizes.eq(spans.map(|span| span.size))
    }
}

impl Form {
    /// Tuples that one CBL holds.
    pub(crate) fn fan_out(&self) -> usize {
        match self.policy {
            WhiteningPolicy::Pooled => limits::CBL_POOLED,
            WhiteningPolicy::Fresh => limits::CBL_FRESH,
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, HandleError> {
        let [policy, tuple_size, selection, block_size, compressed] = fields.array()?;
        let selection = [Selection::Compact, Selection::Fit].into_iter().find(|known| *known as u8 == selection);
        let form = || {
            Some(Self {
                policy: WhiteningPolicy::from_code(policy)?,
                tuple_size: TupleSize::new(tuple_size)?,
                selection: selection?,
                block_size: BlockSize::from_code(block_size)?,
                is_compressed: [false, true].get(usize::from(compressed)).copied()?,
            })
        };
        form().ok_or(HandleError::Malformed)
    }
}

pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let hash: [u8; 32] = *blake3::hash(bytes).as_bytes();
    *hash.first_chunk().unwrap_or(&[0; CHECKSUM])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ContentOptions, MemoryFiles, Recovery,
        conformance::{NOW, store},
    };

    fn bytes() -> Vec<u8> {
        let (store, _) = store(std::sync::Arc::new(MemoryFiles::default()), Recovery::Everything);
        store.append(&[7; 3_000], ContentOptions::new(WhiteningPolicy::Pooled, NOW)).unwrap().to_bytes()
    }

    /// What the fields are said to be once one byte of them is another, under a checksum that holds.
    fn forged(at: usize, value: u8) -> HandleError {
        let mut fields = bytes();
        fields.truncate(fields.len() - CHECKSUM);
        fields[at] = value;
        let sum = checksum(&fields);
        BlockHandle::from_bytes(&[fields, sum.to_vec()].concat()).unwrap_err()
    }

    #[test]
    fn each_field_that_no_writer_makes_is_refused_by_its_kind() {
        let (policy, tuple_size, selection, block_size, compressed, levels, count, length) = (1, 2, 3, 4, 5, 6, 7, 15);
        for (at, value) in [(policy, 9), (tuple_size, 1), (tuple_size, 11), (selection, 9), (block_size, 9)] {
            assert_eq!(forged(at, value), HandleError::Malformed, "byte {at} as {value}");
        }
        assert_eq!(forged(compressed, 2), HandleError::Malformed);
        assert_eq!(forged(levels, 1), HandleError::Malformed, "a level of lists that the length does not ask for");
        assert_eq!(forged(length, 0), HandleError::Malformed, "another length than what lies in blocks");
        assert_eq!(forged(0, 2), HandleError::Version(2));
        let tuples = bytes()[count];
        assert_eq!(forged(count, tuples + 1), HandleError::Malformed, "one tuple too few");
        assert_eq!(forged(count, tuples - 1), HandleError::Length, "bytes behind the last");
    }

    #[test]
    fn other_bytes_are_told_apart_from_altered_ones() {
        let whole = bytes();
        assert_eq!(BlockHandle::from_bytes(&[]), Err(HandleError::Length));
        assert_eq!(BlockHandle::from_bytes(&whole[1..]), Err(HandleError::Checksum));
        assert!(BlockHandle::from_bytes(&whole).is_ok());
    }
}
