//! What is kept of the agent's policy.

use sealpost_protocol::Scheme;

use super::*;

record! {
    /// The weakest scheme that is sent and taken: of messages of the type that is its key, or of all that have no row of
    /// their own, under the empty key.
    PolicyRecord in Policy {
        minimum: Scheme => value,
    }
}
