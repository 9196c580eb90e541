//! A relay on a real socket, asked over gRPC, REST and WebSocket. Its clock is turned by hand; its store is a real one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests: the first surprise ends them"
)]

mod ask;
mod authentication;
mod bad_keys;
mod contents;
mod conversation;
mod delegations;
mod documents;
mod holding;
mod malformed_grpc;
mod malformed_rest;
mod refusals;
mod session;
mod slow_clients;
mod starting;
mod stopping;
mod test_relay;
mod tls;
mod token_key;
mod uploads;
mod websocket;
mod wire;
