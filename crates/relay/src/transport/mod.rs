//! gRPC, REST and WebSocket on one port. A request is authenticated once, whatever its form; then an endpoint, shared by
//! gRPC and REST, calls one use case.

mod authenticate;
mod bodies;
mod connection;
mod echo;
mod endpoints;
mod grpc;
mod operators;
mod places;
mod refusal;
mod respond;
mod rest;
mod stored_contents;
mod streams;
mod tls;
mod uploads;
mod websocket;

pub(crate) use connection::serve;
pub(crate) use operators::serve as serve_operators;
pub(crate) use refusal::Refusal;
pub use tls::TlsError;
pub(crate) use tls::tls_acceptor;
