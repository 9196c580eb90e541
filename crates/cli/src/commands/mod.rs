//! One file per command.

pub(crate) mod agent;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod blocks;
pub(crate) mod completions;
pub(crate) mod contacts;
pub(crate) mod delegation;
pub(crate) mod delegations;
pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod mark;
mod operators;
pub(crate) mod outbox;
pub(crate) mod policy;
pub(crate) mod prekeys;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod status;
