//! What the block store and the relay do, each beside what the machine could do in the same run.

mod blocks;
mod relay;

use std::{error::Error, io, path::Path, time::Instant};

pub use self::{
    blocks::{BlockFigures, BlockOptions, Overheads, measure_blocks},
    relay::{RelayFigures, RelayOptions, measure_relay},
};

/// Why there are no figures.
pub type BenchError = Box<dyn Error + Send + Sync>;

type Outcome<T> = Result<T, BenchError>;

const MIB: usize = 1 << 20;

/// A folder of our own on the disk to measure; removed with what it holds.
fn folder_in(folder: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("sealpost-bench-").tempdir_in(folder)
}

/// Per second since `start`.
fn per_second(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}
