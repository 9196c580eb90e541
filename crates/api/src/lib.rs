//! The protobuf interface of a relay, and its conversions to and from the protocol's types.
//!
//! [`Origin`] is under what a relay is reached. The generated types are what travels; [`convert`] parses them into types that are valid, and back. Both ends of a
//! connection use the same conversions.

pub mod convert;

mod base64_json;
mod origin;

pub use origin::{NotAnOrigin, Origin};

/// Generated from `proto/sealpost/v1/sealpost.proto`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::too_many_lines,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("sealpost.v1");

    /// The compiled `.proto` files, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("sealpost.v1");
}

/// Generated from `proto/sealpost/bench/v1/echo.proto`; no relay serves it but one that is measured.
#[expect(missing_docs, unused_qualifications, clippy::allow_attributes, reason = "generated code")]
pub mod echo {
    tonic::include_proto!("sealpost.bench.v1");
}

/// The metadata and header name under which a refusal carries its stable code.
pub const CODE_METADATA: &str = "sealpost-code";

/// Beside the code `clock-skew`: the relay's clock, in milliseconds since 1970.
pub const TIME_METADATA: &str = "sealpost-time-ms";

/// Beside the code `clock-skew`: how far ahead or behind a client's clock may be, in milliseconds.
pub const ALLOWED_METADATA: &str = "sealpost-allowed-ms";
