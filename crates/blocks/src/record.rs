//! How a segment file is laid out: a header of 64 bytes, then records; a record is a header of 64 bytes and a block of
//! exactly its class.
//!
//! A record's header tells where it stands and what its block hashes to, under a checksum that only this store's
//! records carry: so a segment can be read without its table, and the next whole record is found behind a torn one.

use crate::{
    address::Address,
    block_id::BlockId,
    block_size::BlockSize,
    encoding::{Fields, Short},
};

/// Bytes of a record's header, and of a segment's.
pub(crate) const HEADER: usize = 64;

/// What slots count.
pub(crate) const UNIT: u64 = 64;

const RECORD_MAGIC: [u8; 4] = *b"SPrc";
const SEGMENT_MAGIC: [u8; 4] = *b"SPsg";
const VERSION: u16 = 1;

/// What tells one store's bytes from another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

/// What a record's block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A part of a content, or a CBL, whitened.
    Whitened,
    /// A random block of one content's own.
    Own,
    /// A random block of an epoch's pool.
    Pool,
    /// Addresses of blocks that are let go of; not a block that anyone refers to.
    Discards,
    /// What shredding left.
    Void,
}

/// What is known of a block without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) address: Address,
    pub(crate) size: BlockSize,
    pub(crate) kind: Kind,
    /// Of a pool block: what its epoch is for.
    pub(crate) purpose: u8,
    /// The epoch it borrows from, or belongs to; 0 for none.
    pub(crate) epoch: u32,
    /// The first of the epoch's uses that it takes; of a pool block, its index.
    pub(crate) counter: u32,
    pub(crate) id: BlockId,
}

/// The bytes of a [`Record`] without magic and checksum, as tables keep them.
pub(crate) const RECORD_FIELDS: usize = 52;

impl Kind {
    const ALL: [Self; 5] = [Self::Whitened, Self::Own, Self::Pool, Self::Discards, Self::Void];

    /// Whether something may refer to it.
    pub(crate) fn is_block(self) -> bool {
        matches!(self, Self::Whitened | Self::Own | Self::Pool)
    }
}

impl Record {
    /// Units that the record takes in its file, header included.
    pub(crate) fn units(&self) -> u32 {
        units(self.size)
    }

    pub(crate) fn fields(&self) -> [u8; RECORD_FIELDS] {
        let mut bytes = Vec::with_capacity(RECORD_FIELDS);
        bytes.extend([self.size.code(), self.kind as u8, self.purpose, 0]);
        for field in [self.address.segment, self.address.slot, self.epoch, self.counter] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(self.id.0);
        bytes.try_into().unwrap_or([0; RECORD_FIELDS])
    }

    pub(crate) fn from_fields(bytes: &[u8]) -> Option<Self> {
        let read = || -> Result<Option<Self>, Short> {
            let mut fields = Fields(bytes);
            let [size, kind, purpose, reserved] = fields.array()?;
            let address = Address { segment: fields.u32()?, slot: fields.u32()? };
            let (epoch, counter, id) = (fields.u32()?, fields.u32()?, BlockId(fields.array()?));
            let size = BlockSize::from_code(size).filter(|_| reserved == 0 && fields.0.is_empty());
            let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
            Ok(size.zip(kind).map(|(size, kind)| Self { address, size, kind, purpose, epoch, counter, id }))
        };
        read().ok().flatten()
    }

    pub(crate) fn encode(&self, store: StoreId) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let (magic, rest) = bytes.split_at_mut(4);
        let (fields, sum) = rest.split_at_mut(RECORD_FIELDS);
        magic.copy_from_slice(&RECORD_MAGIC);
        fields.copy_from_slice(&self.fields());
        sum.copy_from_slice(&checksum(store, magic, fields));
        bytes
    }

    /// The record whose header this is; `None` if it is none of this store's.
    pub(crate) fn decode(store: StoreId, bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_at_checked(4)?;
        if magic != RECORD_MAGIC {
            return None;
        }
        let (fields, sum) = rest.split_at_checked(RECORD_FIELDS)?;
        (sum == checksum(store, magic, fields)).then(|| Self::from_fields(fields)).flatten()
    }
}

/// Units of a record of this class.
pub(crate) const fn units(size: BlockSize) -> u32 {
    ((HEADER + size.bytes()) as u64 / UNIT) as u32
}

/// The header of a segment file.
pub(crate) fn encode_segment(store: StoreId, segment: u32, generation: u32) -> [u8; HEADER] {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(SEGMENT_MAGIC);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(store.0);
    bytes.extend(segment.to_be_bytes());
    bytes.extend(generation.to_be_bytes());
    bytes.resize(HEADER - 8, 0);
    bytes.extend(checksum(store, &[], &bytes));
    bytes.try_into().unwrap_or([0; HEADER])
}

/// The store that a segment's header names; `None` if it is not whole, or of another segment.
pub(crate) fn decode_segment(bytes: &[u8], segment: u32, generation: u32) -> Option<StoreId> {
    let store = StoreId(bytes.get(6..)?.first_chunk().copied()?);
    (bytes == encode_segment(store, segment, generation)).then_some(store)
}

fn checksum(store: StoreId, magic: &[u8], fields: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&store.0).update(magic).update(fields);
    let hash: [u8; 32] = *hasher.finalize().as_bytes();
    *hash.first_chunk().unwrap_or(&[0; 8])
}

#[cfg(any(test, feature = "fuzzing"))]
impl Record {
    /// One whose fields all differ.
    pub(crate) const SAMPLE: Self = Self {
        address: Address { segment: 3, slot: 99 },
        size: BlockSize::Large,
        kind: Kind::Pool,
        purpose: 5,
        epoch: 8,
        counter: 13,
        id: BlockId([9; 32]),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_found() {
        let bytes = Record::SAMPLE.encode(STORE);
        assert_eq!(Record::decode(STORE, &bytes), Some(Record::SAMPLE));
        assert_eq!(Record::decode(StoreId([8; 16]), &bytes), None, "another store's");
        for bit in 0..HEADER * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(STORE, &flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn segment_headers_come_back_and_every_flipped_bit_is_found() {
        let bytes = encode_segment(STORE, 4, 2);
        assert_eq!(decode_segment(&bytes, 4, 2), Some(STORE));
        assert_eq!(decode_segment(&bytes, 4, 1), None);
        for bit in 0..HEADER * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_segment(&flipped, 4, 2), None, "bit {bit}");
        }
    }
}
