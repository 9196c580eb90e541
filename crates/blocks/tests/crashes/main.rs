//! The store over a file layer that forgets: against a model, through crashes, flips and kills.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "these are tests: the first surprise ends them"
)]

mod cut;
mod flushing;
mod forgetful;
#[cfg(unix)]
mod killed;
mod model;
mod runs;
mod shredding;
mod starting;
mod tearing;
