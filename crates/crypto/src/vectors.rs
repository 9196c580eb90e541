//! The test vectors in `docs/vectors`: made anew from seeds, and compared with the files.
//!
//! A part of the tests, and of no other build. A session's secrets are read from its stored form, so the crate opens
//! nothing for this. `SEALPOST_WRITE_VECTORS=1 cargo test -p sealpost-crypto vectors` rewrites the files;
//! `scripts/independent` checks them with other implementations.

mod access;
mod bodies;
mod conversation;
mod handshakes;
mod payloads;
mod prekeys;
mod receipts;
mod stored_session;

use std::{env, fs, path::Path};

use sealpost_protocol::encoding::Encode;
use serde_json::Value;

#[test]
fn the_files_hold_what_the_code_does() {
    check("prekeys.json", &prekeys::vectors());
    check("handshakes.json", &handshakes::vectors());
    check("conversation.json", &conversation::vectors());
    check("bodies.json", &bodies::vectors());
    check("payloads.json", &payloads::vectors());
    check("receipts.json", &receipts::vectors());
    check("access.json", &access::vectors());
}

fn check(name: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors").join(name);
    if env::var_os("SEALPOST_WRITE_VECTORS").is_some() {
        fs::write(&path, format!("{made:#}\n")).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(committed == *made, "docs/vectors/{name} differs: did the wire format change?");
}

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn encoded(value: &impl Encode) -> Value {
    hex(value.to_bytes())
}
