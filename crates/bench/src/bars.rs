//! Bars for those figures that do not hang on how busy the machine is: of speeds, their ceilings over them.

use serde::Serialize;

use crate::blocks::{BlockFigures, Overheads};

/// Messages from which the share of the pool that they borrow from is as small as it gets.
const ENOUGH_MESSAGES: usize = 100_000;

/// Mebibytes from which the turns that a speed and its ceiling take are enough to compare them.
const ENOUGH_MIB: usize = 1_024;

/// A figure above its bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Missed {
    /// Which.
    pub figure: &'static str,
    /// What it is.
    pub measured: f64,
    /// What it may be.
    pub at_most: f64,
}

/// The figures above their bars.
pub(crate) fn missed(figures: &BlockFigures) -> Vec<Missed> {
    let Overheads { one_mib, sixteen_mib_and_one, large } = figures.overhead_pooled_by_size;
    let fresh = figures.overhead_fresh_by_size;
    let mut bars = vec![
        ("peak_rss_mb", figures.peak_rss_mb, 200.0),
        ("overhead_pooled_by_size.one_mib", one_mib, 1.15),
        ("overhead_pooled_by_size.sixteen_mib_and_one", sixteen_mib_and_one, 1.1),
        ("overhead_pooled_by_size.large", large, 1.1),
        ("overhead_fresh_by_size.one_mib", fresh.one_mib, 2.3),
        ("overhead_fresh_by_size.sixteen_mib_and_one", fresh.sixteen_mib_and_one, 2.1),
        ("overhead_fresh_by_size.large", fresh.large, 2.1),
    ];
    if figures.messages >= ENOUGH_MESSAGES {
        bars.push(("overhead_after_delete", figures.overhead_after_delete, 1.3));
    }
    if figures.mib >= ENOUGH_MIB {
        bars.push(("disk_mb_s / write_mb_s", figures.disk_mb_s / figures.write_mb_s, 2.0));
        bars.push(("memory_mb_s / read_mb_s", figures.memory_mb_s / figures.read_mb_s, 2.0));
    }
    let missed = bars.into_iter().filter(|(_, measured, at_most)| measured > at_most);
    missed.map(|(figure, measured, at_most)| Missed { figure, measured, at_most }).collect()
}
