//! Overwriting blocks so that what they belonged to cannot be put together again.

use std::{collections::BTreeMap, io};

use super::{BlockError, Log, discarding, segment_name};
use crate::{
    address::Address,
    block_id::BlockId,
    record::{HEADER, Kind, Record, UNIT},
    table::Placed,
    tuple::StoredBlock,
};

impl Log {
    /// Overwrites blocks where they are, flushes that, and lets go of them. Returns how many there were; those that are
    /// not there, or are others, are left alone. What was let go of before is overwritten all the same: a crash may have
    /// kept that and forgotten the overwriting.
    ///
    /// What the medium or a snapshot below the file keeps of the old bytes is out of reach.
    pub(crate) fn shred(&self, blocks: &[StoredBlock]) -> Result<u64, BlockError> {
        let _held = self.maintenance();
        // Bytes on their way to the file would land on what overwrites them.
        self.sync().map_err(BlockError::Files)?;
        let mut touched = BTreeMap::<_, Vec<_>>::new();
        for block in blocks {
            let Some((name, placed)) = self.placed(block.address)? else { continue };
            if discarding::is_this(&placed.record, block) {
                self.overwrite_block(&name, &placed).map_err(BlockError::Files)?;
                touched.entry(name).or_default().push(placed);
            }
        }
        for name in touched.keys() {
            self.files.sync(name).map_err(BlockError::Files)?;
        }
        // Void is what was overwritten for certain. Nothing rests on these headers, so they wait for no flush.
        for (name, places) in &touched {
            self.void(name, places).map_err(BlockError::Files)?;
        }
        let mut state = self.state();
        Ok(touched.values().flatten().map(|placed| self.bury(&mut state, &placed.record) as u64).sum())
    }

    /// The record at an address, dead or not, and the file that it is in. Only while nothing rewrites segments does it stay
    /// there.
    fn placed(&self, address: Address) -> Result<Option<(String, Placed)>, BlockError> {
        let Some((generation, position)) = self.position(address)? else { return Ok(None) };
        let (name, mut header) = (segment_name(address.segment, generation), [0; HEADER]);
        match self.files.read(&name, u64::from(position) * UNIT, &mut header) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(None),
            Err(error) => Err(BlockError::Files(error)),
            Ok(()) => {
                let record = Record::decode(self.store, &header).filter(|record| record.address == address);
                Ok(record.map(|record| (name, Placed { record, position })))
            }
        }
    }

    fn void(&self, name: &str, places: &[Placed]) -> io::Result<()> {
        for Placed { record, position } in places {
            let void = Record { kind: Kind::Void, id: BlockId([0; HEADER / 2]), ..*record };
            self.files.overwrite(name, u64::from(*position) * UNIT, &void.encode(self.store))?;
        }
        Ok(())
    }
}
