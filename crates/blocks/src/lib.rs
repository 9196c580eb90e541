//! An owner-free block store: immutable contents as whitened blocks.
//!
//! A content is cut into blocks of four sizes; each block is XORed with random blocks before it is stored, so that no
//! stored block is any content's alone. What leads back from a content to its blocks is a [`BlockHandle`], which a
//! ledger keeps; long lists of blocks are blocks themselves, signed by the node that made them.
//!
//! Whitening gives owner-freeness, and [`BlockStore::shred`]. It gives no confidentiality against whoever holds the whole
//! store and a handle, and shredding reaches no snapshot, no backup and no remapped flash: what must stay secret is sealed
//! before it comes here.
//!
//! Data goes one way: [`BlockStore`] → writer or reader → whitening and its pools → a log of segments → [`Files`].

pub mod limits;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;

mod address;
mod block_id;
mod block_size;
mod collection;
#[cfg(feature = "zstd")]
mod compression;
mod encoding;
mod files;
mod generator;
mod handle;
mod inventory;
mod log;
mod message_cbl;
mod pools;
mod reader;
mod record;
mod scanner;
mod stats;
mod store;
mod table;
mod tuple;
mod walk;
mod whitening;
mod writer;

pub use address::{Address, DurableMark};
pub use block_id::BlockId;
pub use block_size::{BlockSize, Selection};
pub use collection::{CollectError, Collection, Needs};
#[cfg(feature = "object-store")]
pub use files::ObjectFiles;
pub use files::{DiskFiles, Files, MemoryFiles, UntouchedFiles};
pub use generator::{Entropy, operating_system};
pub use handle::{BlockHandle, HandleError};
pub use log::{
    BlockError, BlockSource, Compaction, Damage, DamagedPart, OpenStoreError, OpeningReport, Recovery, Repair,
    Verification,
};
pub use message_cbl::{CblError, CblSigner, CblVerifier};
pub use reader::{ContentReader, ReadError};
pub use stats::Stats;
pub use store::{BlockStore, Compression, ContentOptions, Keys, Options, ShredError};
pub use tuple::StoredBlock;
pub use whitening::{TupleSize, WhiteningPolicy};
pub use writer::{ContentWriter, WriteError};
