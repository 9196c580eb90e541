//! Block lists are signed by the node, and only its own are believed.

use std::sync::Arc;

use sealpost_blocks::{CblSigner, CblVerifier, Keys};
use sealpost_protocol::{IdentityKey, Signature, Signer, SigningInput};

struct Node(Arc<dyn Signer + Send + Sync>);

/// One node as the maker and the only believed maker of block lists.
pub(super) fn keys(node: Arc<dyn Signer + Send + Sync>) -> Keys {
    let node = Arc::new(Node(node));
    Keys { signer: node.clone(), verifier: node }
}

impl Node {
    fn key(&self) -> IdentityKey {
        self.0.identity_key()
    }
}

impl CblSigner for Node {
    fn creator(&self) -> [u8; 32] {
        *self.key().as_bytes()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let Signature(signature) = self.0.sign(&SigningInput::block_list(message));
        Some(signature)
    }
}

impl CblVerifier for Node {
    fn verify(&self, creator: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let key = self.key();
        creator == key.as_bytes() && key.verify(&SigningInput::block_list(message), &Signature(*signature)).is_ok()
    }
}
