//! What whole-system tests are written with: real processes, real sockets, and clients that know nothing but the
//! documented interface.
//!
//! The processes are the `sealpost` binary ([`sealpost_binary`]); each is ended by its own id, at the latest when its handle
//! is dropped. Every wait is bounded ([`within`]); what is random comes from a printed seed ([`seeded`]).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: the first surprise ends the test"
)]

pub mod plain;

mod binary;
mod command;
mod hand_clock;
mod patience;
mod proxy;
mod relay;
mod scripted;
mod sdk;
mod seed;
mod terminal;

pub use binary::{echo_example, sealpost_binary};
pub use command::{Finished, FullStreams, Home, Killed, Running};
pub use hand_clock::HandClock;
pub use patience::{PATIENCE, within, within_time};
pub use proxy::{Passed, Proxy};
pub use relay::TestRelay;
pub use scripted::{BodyAnswer, Script, ScriptedRelay};
pub use sdk::{SdkAgent, ShiftedClock, text, words};
pub use seed::seeded;
pub use terminal::Terminal;
