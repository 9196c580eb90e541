//! Adapters that keep everything in memory: the model that real adapters are compared with, and a relay without a disk.
//! They are durable for as long as they live.

mod bodies;
mod contents;
mod control_messages;
mod fan_outs;
mod ledger;
mod prekeys;
mod revocations;

pub use contents::MemoryContents;
pub use ledger::MemoryLedger;
pub use prekeys::MemoryPrekeys;
pub use revocations::MemoryRevocations;
