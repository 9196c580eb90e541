//! What the disk does without a relay.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use crate::{Outcome, per_second};

/// How long one look takes.
const LOOK: Duration = Duration::from_millis(250);

/// Appends of so many bytes to a growing file, each flushed before the next.
pub(super) fn flushes_per_second(folder: &Path, bytes: usize) -> Outcome<f64> {
    let (path, record) = (folder.join("flushes"), vec![0x5a; bytes]);
    let mut file = File::create(&path)?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < LOOK {
        file.write_all(&record)?;
        file.sync_data()?;
        count += 1;
    }
    let figure = per_second(count, start);
    fs::remove_file(path)?;
    Ok(figure)
}
