//! What the block store and the relay do, each beside what the machine could do in the same run.

mod bars;
mod blocks;
mod ceilings;
mod limits;
mod relay;

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

pub use self::{
    bars::Missed,
    blocks::{BlockFigures, BlockOptions, Overheads, measure_blocks},
    relay::{RelayFigures, RelayOptions, measure_relay},
};

/// Why there are no figures.
pub type BenchError = Box<dyn Error + Send + Sync>;

type Outcome<T> = Result<T, BenchError>;

/// Folders of measurements that are, or were, under way.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

const MIB: usize = 1 << 20;

/// A folder of our own on the disk to measure; removed with what it holds.
fn folder_in(folder: &Path) -> io::Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().prefix("sealpost-bench-").tempdir_in(folder)?;
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).push(made.path().to_owned());
    Ok(made)
}

/// Removes what measurements that are under way have written: for a process that is about to end in the middle of one.
#[expect(clippy::disallowed_methods, reason = "the process is about to end, and serves nobody meanwhile")]
pub fn remove_folders() {
    for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // What is being measured goes on writing: some of it may come while the rest goes, and what is being opened may be
        // made anew just after.
        let mut gone = 0;
        for _ in 0..limits::REMOVALS {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => gone += 1,
                _ => gone = 0,
            }
            if gone == limits::LOOKS {
                break;
            }
            thread::sleep(limits::LOOK_AGAIN);
        }
    }
}

/// Per second since `start`.
fn per_second(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}
