//! A tuple: what one block of data is put together from.

use crate::{
    address::Address,
    block_id::BlockId,
    block_size::BlockSize,
    encoding::{Fields, Short},
    whitening::WhiteningPolicy,
};

/// A block where it is stored, and what it must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredBlock {
    /// Where it is.
    pub address: Address,
    /// What it hashes to.
    pub id: BlockId,
}

/// One block of data: the whitened block, the random block of its own, and what it borrows of which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub(crate) size: BlockSize,
    pub(crate) whitened: StoredBlock,
    /// Under `fresh`.
    pub(crate) own: Option<StoredBlock>,
    /// 0 if it borrows nothing.
    pub(crate) epoch: u32,
    pub(crate) counter: u32,
}

/// Bytes of an encoded tuple without, and with a random block of its own.
pub(crate) const ENCODED: usize = 1 + STORED + 8;
pub(crate) const ENCODED_FRESH: usize = ENCODED + STORED;
const STORED: usize = 8 + 32;

/// The bytes are no tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotATuple;

impl From<Short> for NotATuple {
    fn from(_: Short) -> Self {
        Self
    }
}

impl Tuple {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.size.code());
        for stored in [Some(self.whitened), self.own].into_iter().flatten() {
            bytes.extend(stored.address.segment.to_be_bytes());
            bytes.extend(stored.address.slot.to_be_bytes());
            bytes.extend(stored.id.0);
        }
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.counter.to_be_bytes());
    }

    pub(crate) fn decode(fields: &mut Fields<'_>, policy: WhiteningPolicy) -> Result<Self, NotATuple> {
        let size = BlockSize::from_code(fields.u8()?).ok_or(NotATuple)?;
        let whitened = stored(fields)?;
        let own = match policy {
            WhiteningPolicy::Pooled => None,
            WhiteningPolicy::Fresh => Some(stored(fields)?),
        };
        Ok(Self { size, whitened, own, epoch: fields.u32()?, counter: fields.u32()? })
    }
}

fn stored(fields: &mut Fields<'_>) -> Result<StoredBlock, Short> {
    let address = Address { segment: fields.u32()?, slot: fields.u32()? };
    Ok(StoredBlock { address, id: BlockId(fields.array()?) })
}
