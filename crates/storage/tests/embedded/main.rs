//! The embedded adapters on a real file: the core's suites, and what only a data directory can do.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests: the first surprise ends them")]

mod conformance;
mod fan_out;
mod identity;
mod killed;
mod model;
mod opening;
mod reopening;
mod room;
