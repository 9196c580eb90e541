//! The vectors of what the runtime makes of names alone: fingerprints and claim ids. Made anew, and compared with
//! `docs/vectors/names.json`; `SEALPOST_WRITE_VECTORS=1` rewrites the file, as it does for those of `sealpost-crypto`.

use std::{env, fs, path::Path};

use sealpost_protocol::{AgentId, Attempt, MessageId, Timestamp};
use serde_json::{Value, json};

use crate::{Fingerprint, sessions::claim_id};

#[test]
fn the_file_of_names_holds_what_the_code_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    let prekeys: Value = serde_json::from_str(&fs::read_to_string(folder.join("prekeys.json")).unwrap()).unwrap();
    let id = |name: &str| -> AgentId { prekeys[name]["agent_id_text"].as_str().unwrap().parse().unwrap() };
    let fingerprint = Fingerprint::of(id("alice"), id("bob"));
    let message = MessageId::new(Timestamp::from_millis(1_795_351_425_123), [9; 10]);
    let claim = |target: &str, attempt: u16| {
        let claim = claim_id(id(target), message, Attempt::new(attempt).unwrap());
        json!({ "target": target, "attempt": attempt, "claim_id": hex(&claim) })
    };
    let made = json!({
        "fingerprint": { "one": "alice", "other": "bob", "digits": fingerprint.digits(), "shown": fingerprint.to_string() },
        "message": hex(message.as_bytes()),
        "claims": [claim("bob", 1), claim("bob", 2), claim("bob", 258), claim("alice", 1)],
    });
    let path = folder.join("names.json");
    if env::var_os("SEALPOST_WRITE_VECTORS").is_some() {
        fs::write(&path, format!("{made:#}\n")).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(committed == made, "docs/vectors/names.json differs: did the protocol change?");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
