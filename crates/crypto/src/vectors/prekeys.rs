//! Identities and their ids, manifests, and one-time prekeys.

use sealpost_protocol::{NodeId, Signer, encoding::Encode};
use serde_json::{Value, json};

use super::{encoded, hex};
use crate::testing::{OneTimeKeys, SeededPrimitives, TestAgent};

pub(super) fn vectors() -> Value {
    json!({ "alice": agent(1), "bob": agent(2) })
}

/// What the agent of a seed drew, in the order in which [`TestAgent::new`] draws.
pub(super) struct Drawn {
    pub(super) identity: [u8; 32],
    signed: [u8; 32],
    last_resort_kem: [u8; 64],
    sealing: [u8; 32],
    one_time_curve: [u8; 32],
    one_time_kem: [u8; 64],
}

impl Drawn {
    pub(super) fn by(seed: u64) -> Self {
        let primitives = SeededPrimitives::new(seed);
        Self {
            identity: primitives.array(),
            signed: primitives.array(),
            last_resort_kem: primitives.array(),
            sealing: primitives.array(),
            one_time_curve: primitives.array(),
            one_time_kem: primitives.array(),
        }
    }
}

fn agent(seed: u64) -> Value {
    let (agent, drawn) = (TestAgent::new(seed), Drawn::by(seed));
    let identity = agent.identity.identity_key();
    let bundle = agent.bundle(OneTimeKeys::There);
    json!({
        "identity_seed": hex(drawn.identity),
        "identity_key": hex(identity.as_bytes()),
        "identity_x25519": hex(identity.to_montgomery()),
        "agent_id": encoded(&agent.identity.agent_id()),
        "agent_id_text": agent.identity.agent_id().to_string(),
        "node_id_text": NodeId::from(identity).to_string(),
        "signed_prekey_private": hex(drawn.signed),
        "last_resort_kem_seed": hex(drawn.last_resort_kem),
        "sealing_key_private": hex(drawn.sealing),
        "one_time_curve_private": hex(drawn.one_time_curve),
        "one_time_kem_seed": hex(drawn.one_time_kem),
        "signed_manifest": encoded(&bundle.manifest),
        "one_time_curve": hex(bundle.one_time_curve.unwrap().to_bytes()),
        "one_time_kem": hex(bundle.one_time_kem.unwrap().to_bytes()),
    })
}
