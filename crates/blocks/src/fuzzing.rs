//! What a store reads of its own files, and of what its ledger keeps, for fuzz targets: each takes any bytes and panics if
//! something is wrong. Sums are put right first, for no fuzzer finds them.
//!
//! The corpora are in `fuzz/corpus`, and replayed by `tests/fuzz_corpora.rs`.

use crate::{
    address::Address,
    block_id::BlockId,
    block_size::{BlockSize, Selection},
    encoding::{Fields, Short},
    handle::{BlockHandle, Form, checksum},
    message_cbl::{Cbl, CblError, CblSigner, CblVerifier, Layout, Place, Span},
    record::{HEADER, Record, StoreId, decode_segment, encode_segment},
    tuple::{StoredBlock, Tuple},
    whitening::{TupleSize, WhiteningPolicy},
};

/// A target's name, and what it does with its input.
type FuzzTarget = (&'static str, fn(&[u8]));

/// All of them.
pub const FUZZ_TARGETS: [FuzzTarget; 3] =
    [("block_handle", block_handle), ("block_list", block_list), ("block_record", block_record)];

const STORE: StoreId = StoreId([7; 16]);
const SEGMENT: (u32, u32) = (4, 2);

/// A handle without its sum, and one as it is.
///
/// # Panics
/// If something is wrong.
pub fn block_handle(input: &[u8]) {
    if let Ok(handle) = BlockHandle::from_bytes(input) {
        assert!(handle.to_bytes() == input, "a handle has one encoding");
    }
    let whole = [input, &checksum(input)].concat();
    let Ok(handle) = BlockHandle::from_bytes(&whole) else { return };
    assert!(handle.to_bytes() == whole, "a handle has one encoding");
    assert!(handle.padded_length() >= handle.stored_length, "blocks have room for what is in them");
    assert_eq!(handle.to_url().matches("&x.b=").count(), handle.tuples.len());
    assert!(BlockHandle::from_bytes(&flipped(&whole)).is_err(), "a flipped bit is found");
}

/// A list of blocks, at the place that it names itself.
///
/// # Panics
/// If something is wrong.
pub fn block_list(input: &[u8]) {
    let Some(place) = place_named_in(input).ok().flatten() else { return };
    let Ok(list) = Cbl::decode(input, place, &Anyone(true)) else { return };
    assert_eq!((list.level, list.offset, list.length), (place.level, place.span.start, place.span.length));
    assert_eq!(Cbl::decode(input, place, &Anyone(false)), Err(CblError::Signature));
    let elsewhere = Place { level: place.level.wrapping_add(1), ..place };
    assert_eq!(Cbl::decode(input, elsewhere, &Anyone(true)), Err(CblError::Misplaced));
    if input.len() == BlockSize::Small.bytes() {
        let again = list.encode(&Anyone(true)).unwrap_or_default();
        assert_eq!(Cbl::decode(&again, place, &Anyone(true)), Ok(list), "a list reads back");
    }
}

/// The fields of a record, a record's header, and that of a segment.
///
/// # Panics
/// If something is wrong.
pub fn block_record(input: &[u8]) {
    if let Some(record) = Record::from_fields(input) {
        assert!(record.fields() == input, "fields have one encoding");
        let header = record.encode(STORE);
        assert_eq!(Record::decode(STORE, &header), Some(record));
        assert_eq!(Record::decode(STORE, &flipped(&header)), None, "a flipped bit is found");
        assert_eq!(Record::decode(StoreId([8; 16]), &header), None, "another store's");
    }
    if let Some(record) = Record::decode(STORE, input) {
        assert!(record.encode(STORE) == input, "a header has one encoding");
    }
    if let Some(store) = decode_segment(input, SEGMENT.0, SEGMENT.1) {
        assert!(encode_segment(store, SEGMENT.0, SEGMENT.1) == input, "a segment's header has one encoding");
    }
}

/// The bytes with one bit flipped, at a place that they choose.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    if let Some(byte) = flipped.get_mut(sum % bytes.len().max(1)) {
        *byte ^= 1 << (sum % 8);
    }
    flipped
}

fn place_named_in(list: &[u8]) -> Result<Option<Place>, Short> {
    let mut fields = Fields(list);
    let _magic: [u8; 4] = fields.array()?;
    let [level, tuple_size, policy, block_size] = fields.array()?;
    let (start, length) = (fields.u64()?, fields.u64()?);
    let form = || {
        Some(Form {
            policy: WhiteningPolicy::from_code(policy)?,
            tuple_size: TupleSize::new(tuple_size)?,
            selection: Selection::Fit,
            block_size: BlockSize::from_code(block_size)?,
            is_compressed: false,
        })
    };
    let span = Span { start, length, size: BlockSize::Small };
    Ok(form().map(|form| Place { form, level, span }))
}

/// Signs for whoever asks, and takes all signatures or none.
struct Anyone(bool);

impl CblSigner for Anyone {
    fn creator(&self) -> [u8; 32] {
        [1; 32]
    }

    fn sign(&self, _: &[u8]) -> Option<[u8; 64]> {
        Some([2; 64])
    }
}

impl CblVerifier for Anyone {
    fn verify(&self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> bool {
        self.0
    }
}

/// A target, the name of an input, and its bytes.
type FuzzSeed = (&'static str, &'static str, Vec<u8>);

/// The first corpora: nothing of them is left to chance.
#[must_use]
pub fn fuzz_seeds() -> Vec<FuzzSeed> {
    let many = 40_960 * BlockSize::Small.bytes() as u64;
    let (small, large) = (handle(WhiteningPolicy::Pooled, 3_000), handle(WhiteningPolicy::Fresh, many));
    let fields = |handle: &BlockHandle| {
        let mut bytes = handle.to_bytes();
        bytes.truncate(bytes.len() - checksum(&[]).len());
        bytes
    };
    vec![
        ("block_handle", "inline", fields(&small)),
        ("block_handle", "with_lists", fields(&large)),
        ("block_handle", "whole", small.to_bytes()),
        ("block_list", "pooled", list(WhiteningPolicy::Pooled)),
        ("block_list", "fresh", list(WhiteningPolicy::Fresh)),
        ("block_record", "fields", Record::SAMPLE.fields().to_vec()),
        ("block_record", "header", Record::SAMPLE.encode(STORE).to_vec()),
        ("block_record", "segment", encode_segment(STORE, SEGMENT.0, SEGMENT.1).to_vec()),
        ("block_record", "empty_header", vec![0; HEADER]),
    ]
}

fn form(policy: WhiteningPolicy) -> Form {
    let (selection, block_size) = (Selection::Fit, BlockSize::Small);
    Form { policy, tuple_size: TupleSize::default(), selection, block_size, is_compressed: false }
}

fn tuple(size: BlockSize, policy: WhiteningPolicy) -> Tuple {
    let stored = |byte| StoredBlock { address: Address { segment: 1, slot: 2 }, id: BlockId([byte; 32]) };
    let own = (policy == WhiteningPolicy::Fresh).then(|| stored(4));
    Tuple { size, whitened: stored(3), own, epoch: 5, counter: 6 }
}

fn handle(policy: WhiteningPolicy, length: u64) -> BlockHandle {
    let (form, layout) = (form(policy), Layout::new(form(policy), length));
    let levels = layout.levels();
    let tuples = layout.children(levels, 0, length).map(|span| tuple(span.size, policy)).collect();
    BlockHandle { form, levels, length, stored_length: length, hash: [8; 32], tuples }
}

fn list(policy: WhiteningPolicy) -> Vec<u8> {
    let (form, length) = (form(policy), 5_000);
    let spans = Layout::new(form, u64::MAX).children(0, 0, length);
    let tuples = spans.map(|span| tuple(span.size, policy)).collect();
    let list = Cbl { form, level: 1, offset: 0, length, content_hash: [8; 32], created: 9, tuples };
    list.encode(&Anyone(true)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_what_they_are_called() {
        let seeds = fuzz_seeds();
        let seed = |name: &str| seeds.iter().find(|(_, found, _)| *found == name).map(|(_, _, bytes)| bytes).unwrap();
        for (fields, levels) in [(seed("inline"), 0), (seed("with_lists"), 4)] {
            let handle = BlockHandle::from_bytes(&[fields.as_slice(), &checksum(fields)].concat()).unwrap();
            assert_eq!(handle.levels, levels);
        }
        assert!(BlockHandle::from_bytes(seed("whole")).is_ok());
        for list in [seed("pooled"), seed("fresh")] {
            let place = place_named_in(list).unwrap().unwrap();
            assert!(Cbl::decode(list, place, &Anyone(true)).is_ok());
        }
        assert!(Record::from_fields(seed("fields")).is_some());
        assert!(Record::decode(STORE, seed("header")).is_some());
        assert!(decode_segment(seed("segment"), SEGMENT.0, SEGMENT.1).is_some());
    }
}
