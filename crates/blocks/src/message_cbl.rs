//! The constituent block list: tuples that do not fit a handle, in a small block, signed by the node that made it.
//!
//! A CBL of level 1 lists data blocks, one of level `n` lists CBLs of level `n − 1`. All but the last of a level are
//! full, so the place of every byte is known from the content's length alone, and a CBL that claims another place than
//! its own is found. The content hash in a CBL is that of all content up to the end of what it lists: in the last one,
//! that of the whole.

use thiserror::Error;

use crate::{
    block_size::BlockSize,
    encoding::{Fields, Short},
    handle::Form,
    limits, tuple,
    tuple::{NotATuple, Tuple},
};

const MAGIC: [u8; 4] = *b"SPcb";
const SIGNATURE: usize = 64;
const SIGNED: usize = BlockSize::Small.bytes() - SIGNATURE;
/// Magic, level, tuple size, policy, class, offset, length, content hash, creator, time and count.
const FIXED: usize = 4 + 4 + 8 + 8 + 32 + 32 + 8 + 1;
/// What precedes the signed bytes.
const DOMAIN: &[u8] = b"sealpost/cbl/v1\0";

/// Signs the CBLs that a node makes.
pub trait CblSigner: Send + Sync {
    /// The node's public key.
    fn creator(&self) -> [u8; 32];

    /// A signature over `message`, or `None` if the key cannot be used.
    fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;
}

/// Tells which nodes' CBLs are to be believed.
pub trait CblVerifier: Send + Sync {
    /// Whether `creator` is accepted here and made this signature over `message`.
    fn verify(&self, creator: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
}

/// Why a block is not the CBL it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CblError {
    /// It is none.
    #[error("the block is no CBL")]
    Malformed,
    /// Its creator is not accepted, or did not sign it.
    #[error("the CBL's signature is not valid")]
    Signature,
    /// It lists another part, or another content, than the one that led to it.
    #[error("the CBL belongs elsewhere")]
    Misplaced,
}

impl From<Short> for CblError {
    fn from(_: Short) -> Self {
        Self::Malformed
    }
}

impl From<NotATuple> for CblError {
    fn from(_: NotATuple) -> Self {
        Self::Malformed
    }
}

/// Part of a content, and the class of the block that holds it or lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) size: BlockSize,
}

/// Where every byte of a content is, as its form and length say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    form: Form,
    length: u64,
}

impl Layout {
    pub(crate) fn new(form: Form, length: u64) -> Self {
        Self { form, length }
    }

    /// The fewest levels of CBLs after which the handle holds the rest.
    pub(crate) fn levels(self) -> u8 {
        let mut tuples = self.length.div_ceil(self.form.block_size.bytes() as u64);
        let mut levels = 0;
        while tuples > limits::INLINE_TUPLES as u64 {
            tuples = tuples.div_ceil(self.form.fan_out() as u64);
            levels += 1;
        }
        levels
    }

    /// What the tuples of a list cover, which itself covers `length` bytes from `start`, with `levels` of CBLs below.
    pub(crate) fn children(self, levels: u8, start: u64, length: u64) -> impl Iterator<Item = Span> {
        let each = self.covered(levels);
        let end = start.saturating_add(length);
        let mut at = start;
        std::iter::from_fn(move || {
            let covered = each.min(end.saturating_sub(at));
            let size = match levels {
                0 => self.form.selection.last(self.form.block_size, covered),
                _ => BlockSize::Small,
            };
            let span = Span { start: at, length: covered, size };
            at = at.saturating_add(covered);
            (covered > 0).then_some(span)
        })
    }

    /// Where a list begins that covers the last of the content so far, with `levels` of CBLs below its tuples.
    pub(crate) fn last_list(self, levels: u8) -> u64 {
        let full = self.covered(levels.saturating_add(1));
        self.length.saturating_sub(1) / full * full
    }

    /// What the tuples of that list cover.
    pub(crate) fn unfinished(self, levels: u8) -> impl Iterator<Item = Span> {
        let start = self.last_list(levels);
        self.children(levels, start, self.length - start)
    }

    /// Bytes of the content below one tuple with `levels` of CBLs below.
    pub(crate) fn covered(self, levels: u8) -> u64 {
        let block = self.form.block_size.bytes() as u64;
        (0..levels).fold(block, |bytes, _| bytes.saturating_mul(self.form.fan_out() as u64))
    }
}

/// A list of tuples and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cbl {
    pub(crate) form: Form,
    pub(crate) level: u8,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) content_hash: [u8; 32],
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) tuples: Vec<Tuple>,
}

/// Where a CBL must belong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) form: Form,
    pub(crate) level: u8,
    pub(crate) span: Span,
}

impl Cbl {
    /// The CBL as a small block; `None` if the signer fails.
    pub(crate) fn encode(&self, signer: &dyn CblSigner) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(BlockSize::Small.bytes());
        bytes.extend(MAGIC);
        bytes.extend([self.level, self.form.tuple_size.get(), self.form.policy.code(), self.form.block_size.code()]);
        bytes.extend(self.offset.to_be_bytes());
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.content_hash);
        bytes.extend(signer.creator());
        bytes.extend(self.created.to_be_bytes());
        bytes.push(self.tuples.len() as u8);
        self.tuples.iter().for_each(|tuple| tuple.encode(&mut bytes));
        bytes.resize(SIGNED, 0);
        let signature = signer.sign(&message(&bytes))?;
        bytes.extend(signature);
        Some(bytes)
    }

    /// The CBL in this block, signed and in its place.
    pub(crate) fn decode(bytes: &[u8], place: Place, verifier: &dyn CblVerifier) -> Result<Self, CblError> {
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(CblError::Malformed)?;
        let mut fields = Fields(signed);
        if fields.array()? != MAGIC {
            return Err(CblError::Malformed);
        }
        let [level, tuple_size, policy, block_size] = fields.array()?;
        let (offset, length, content_hash) = (fields.u64()?, fields.u64()?, fields.array()?);
        let creator = fields.array()?;
        if !verifier.verify(&creator, &message(signed), signature) {
            return Err(CblError::Signature);
        }
        let form = place.form;
        let ours = [place.level, form.tuple_size.get(), form.policy.code(), form.block_size.code()];
        if [level, tuple_size, policy, block_size] != ours || (offset, length) != (place.span.start, place.span.length)
        {
            return Err(CblError::Misplaced);
        }
        let (created, count) = (fields.u64()?, fields.u8()?);
        let tuple = |_| Tuple::decode(&mut fields, form.policy);
        let tuples = (0..count).map(tuple).collect::<Result<Vec<_>, _>>()?;
        let spans = Layout::new(form, u64::MAX).children(level.saturating_sub(1), offset, length);
        if !tuples.iter().map(|tuple| tuple.size).eq(spans.map(|span| span.size)) {
            return Err(CblError::Malformed);
        }
        Ok(Self { form, level, offset, length, content_hash, created, tuples })
    }
}

fn message(signed: &[u8]) -> Vec<u8> {
    [DOMAIN, signed].concat()
}

/// Whether a CBL of this many tuples is a small block.
pub(crate) const fn fits(tuples: usize, is_fresh: bool) -> bool {
    let each = if is_fresh { tuple::ENCODED_FRESH } else { tuple::ENCODED };
    FIXED + tuples * each <= SIGNED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::Address,
        block_id::BlockId,
        block_size::Selection,
        conformance::TestNode,
        tuple::StoredBlock,
        whitening::{TupleSize, WhiteningPolicy},
    };

    fn form(policy: WhiteningPolicy) -> Form {
        let (tuple_size, selection) = (TupleSize::default(), Selection::Compact);
        Form { policy, tuple_size, selection, block_size: BlockSize::Large, is_compressed: false }
    }

    fn cbl(policy: WhiteningPolicy) -> (Cbl, Place) {
        let form = form(policy);
        let count = form.fan_out();
        let stored = StoredBlock { address: Address { segment: 1, slot: 2 }, id: BlockId([3; 32]) };
        let own = (policy == WhiteningPolicy::Fresh).then_some(stored);
        let tuple = Tuple { size: BlockSize::Large, whitened: stored, own, epoch: 4, counter: 5 };
        let span = Span { start: 0, length: (count << 20) as u64, size: BlockSize::Small };
        let (tuples, content_hash) = (vec![tuple; count], [6; 32]);
        let cbl = Cbl { form, level: 1, offset: 0, length: span.length, content_hash, created: 7, tuples };
        (cbl, Place { form, level: 1, span })
    }

    #[test]
    fn a_full_cbl_is_a_small_block_and_every_flipped_bit_is_found() {
        for policy in [WhiteningPolicy::Pooled, WhiteningPolicy::Fresh] {
            let (cbl, place) = cbl(policy);
            let bytes = cbl.encode(&TestNode([1; 32])).unwrap();
            assert_eq!(bytes.len(), BlockSize::Small.bytes());
            assert_eq!(Cbl::decode(&bytes, place, &TestNode([1; 32])), Ok(cbl));
            assert_eq!(Cbl::decode(&bytes, place, &TestNode([2; 32])), Err(CblError::Signature));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Cbl::decode(&flipped, place, &TestNode([1; 32])).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_cbl_of_another_place_is_refused_though_it_is_signed() {
        let (cbl, place) = cbl(WhiteningPolicy::Pooled);
        let bytes = cbl.encode(&TestNode([1; 32])).unwrap();
        let later = Span { start: place.span.length, ..place.span };
        let longer = Span { length: place.span.length + 1, ..place.span };
        let others = [
            Place { level: 2, ..place },
            Place { span: later, ..place },
            Place { span: longer, ..place },
            Place { form: form(WhiteningPolicy::Fresh), ..place },
            Place { form: Form { block_size: BlockSize::Huge, ..place.form }, ..place },
        ];
        for other in others {
            assert_eq!(Cbl::decode(&bytes, other, &TestNode([1; 32])), Err(CblError::Misplaced));
        }
    }

    #[test]
    fn what_a_signer_signed_is_still_parsed_with_care() {
        let (whole, place) = cbl(WhiteningPolicy::Pooled);
        let fewer = Cbl { tuples: whole.tuples[1..].to_vec(), ..whole.clone() };
        let bytes = fewer.encode(&TestNode([1; 32])).unwrap();
        assert_eq!(Cbl::decode(&bytes, place, &TestNode([1; 32])), Err(CblError::Malformed));
        let small = Tuple { size: BlockSize::Small, ..whole.tuples[0] };
        let smaller = Cbl { tuples: vec![small; whole.tuples.len()], ..whole };
        let bytes = smaller.encode(&TestNode([1; 32])).unwrap();
        assert_eq!(Cbl::decode(&bytes, place, &TestNode([1; 32])), Err(CblError::Malformed));
        for length in [0, 63, 64, 100] {
            assert_eq!(Cbl::decode(&bytes[..length], place, &TestNode([1; 32])), Err(CblError::Malformed));
        }
    }

    #[test]
    fn there_are_as_many_levels_as_the_length_needs() {
        let levels = |blocks: u64| Layout::new(form(WhiteningPolicy::Pooled), blocks << 20).levels();
        assert_eq!([0, 1, 8].map(levels), [0; 3]);
        assert_eq!([9, 16, 128].map(levels), [1; 3]);
        assert_eq!([129, 2_048].map(levels), [2; 2]);
        let endless = Layout::new(Form { block_size: BlockSize::Small, ..form(WhiteningPolicy::Fresh) }, u64::MAX);
        assert!(endless.levels() <= limits::CBL_LEVELS);
    }
}
