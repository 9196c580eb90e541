//! What logs do not say, in their fullest detail, on either side.

use std::{fs, path::Path};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use super::relay_and_home;

const SAID: &str = "the harvest is hidden under the third bridge";
/// What every token begins with: the JSON of its header.
const TOKEN: &str = "eyJ";

/// How bytes would look in a log.
fn forms(bytes: &[u8]) -> Vec<String> {
    // Of an encoding that may begin in the middle of the bytes, what does not depend on where.
    let inner = |encoded: String| encoded[2..encoded.len() - 2].to_owned();
    let encoded = (0..3).flat_map(|skipped| {
        let bytes = &bytes[skipped..];
        [inner(STANDARD_NO_PAD.encode(bytes)), inner(URL_SAFE_NO_PAD.encode(bytes))]
    });
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!("{bytes:?}");
    encoded.chain([hex, numbers.trim_matches(['[', ']']).to_owned()]).collect()
}

/// The secrets in a key file, behind the name of its form: in pieces, since several may follow one another.
fn secrets(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    bytes[16..].chunks_exact(16).map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn neither_side_logs_contents_keys_or_tokens() {
    let (mut relay, home) = relay_and_home().await;
    let home = home.with("RUST_LOG", "trace");
    let file = home.path().join("said.bin");
    fs::write(&file, SAID.repeat(30_000)).unwrap();
    let mut log = String::new();
    let commands = [
        vec!["send", "--as", "alice", "bob", SAID],
        vec!["send", "--as", "alice", "bob", SAID, "--scheme", "none"],
        vec!["send", "--as", "alice", "bob", SAID, "--scheme", "recipient-keys"],
        vec!["send", "--as", "alice", "bob", "--file", file.to_str().unwrap()],
        vec!["receive", "--as", "bob"],
        vec!["prekeys", "rotate", "--as", "bob"],
    ];
    for command in &commands {
        log += &home.run(command).await.succeeded().err;
    }
    relay.kill().await;
    log += &relay.log();
    assert!(log.contains("relay started") && log.contains("TRACE"), "logs are there to be looked through");

    let mut secrets: Vec<_> = ["alice", "bob"]
        .iter()
        .flat_map(|name| secrets(&home.path().join(name).join("master.key")))
        .chain(secrets(&relay.data_dir().join("node.key")))
        .collect();
    assert!(secrets.len() >= 8, "{}", secrets.len());
    secrets.push(SAID.as_bytes().to_vec());
    let told: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).filter(|form| log.contains(form)).collect();
    assert_eq!(told, [""; 0]);
    assert!(!log.contains(SAID) && !log.contains(TOKEN));
}
