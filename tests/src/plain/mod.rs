//! A client written from the interface's documentation alone, as a stranger would write one: over REST and WebSocket
//! ([`Rest`]), and over gRPC ([`Grpc`]). What it seals and opens, it does with `sealpost-crypto`; the SDK has no part in it.

mod agent;
mod carrier;
mod credentials;
mod grpc;
mod rest;
mod signed;

pub use agent::{Opened, PlainAgent};
pub use carrier::{Carrier, Events, log_in, sign_in};
pub use credentials::{Credentials, ProofKey, sign_claim};
pub use grpc::Grpc;
pub use rest::Rest;
pub use signed::{PlainScheme, signed_message};
