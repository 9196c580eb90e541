//! What keeps a relay from starting is named.

use std::fs;

use sealpost_relay::{Config, ConfigError, LedgerIdentityError, Relay, StartError};

use super::test_relay::{TestRelay, config};

async fn error(config: Config) -> StartError {
    match Relay::start(config).await {
        Err(error) => error,
        Ok(_) => panic!("it serves"),
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let (relay, folder) = (TestRelay::start().await, tempfile::tempdir().unwrap());
    let error = error(Config { listen: relay.relay.address(), ..config(&folder) }).await;
    assert!(matches!(error, StartError::Listen { address, .. } if address == relay.relay.address()), "{error}");
    for part in [relay.relay.address().to_string().as_str(), "another program listens there", "--listen"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_data_directory_that_another_relay_uses() {
    let relay = TestRelay::start().await;
    let error = error(config(&relay.data_dir)).await;
    assert!(matches!(error, StartError::Storage(_)), "{error}");
}

#[tokio::test]
async fn an_address_open_to_others_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let error = error(Config { listen: "0.0.0.0:0".parse().unwrap(), ..config(&folder) }).await;
    assert!(matches!(error, StartError::Config(ConfigError::Plaintext(_))), "{error}");
}

/// Starts a relay once and stops it: its node and its ledger.
async fn once(config: Config) -> (sealpost_protocol::NodeId, sealpost_protocol::LedgerId) {
    let relay = Relay::start(config).await.unwrap();
    let identity = (relay.node_id(), relay.ledger_id());
    relay.stop().await;
    identity
}

#[tokio::test]
async fn a_ledger_without_its_node_s_key() {
    let folder = tempfile::tempdir().unwrap();
    let (node, ledger) = once(config(&folder)).await;
    let (key, kept) = (folder.path().join("node.key"), folder.path().join("kept"));
    fs::rename(&key, &kept).unwrap();
    let refused = error(config(&folder)).await;
    let StartError::Identity(LedgerIdentityError::KeyMissing { node: whose, .. }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(*whose, node);
    for part in [key.to_str().unwrap(), "ledger.sqlite3", "trust-relay"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert!(!key.exists(), "no new node is made");
    fs::rename(&kept, &key).unwrap();
    assert_eq!(once(config(&folder)).await, (node, ledger));
}

#[tokio::test]
async fn a_ledger_beside_another_node_s_key() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((node, _), (found, _)) = (once(config(&folder)).await, once(config(&other)).await);
    fs::copy(other.path().join("node.key"), folder.path().join("node.key")).unwrap();
    let refused = error(config(&folder)).await;
    let StartError::Identity(LedgerIdentityError::OtherNode { found: key, node: whose, .. }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!((*key, *whose), (found, node));
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_refused_and_left_and_a_start_that_was_cut_short_goes_on() {
    for (name, is_folder) in [("letter.txt", false), ("src", true), (".git", true), ("lock.txt", false)] {
        let folder = tempfile::tempdir().unwrap();
        let entry = folder.path().join(name);
        if is_folder {
            fs::create_dir(&entry).unwrap()
        } else {
            fs::write(&entry, "mine").unwrap()
        }
        fs::write(folder.path().join("lock"), "").unwrap();
        let refused = error(config(&folder)).await;
        assert!(matches!(&refused, StartError::Foreign { entry: found, .. } if *found == entry), "{name}: {refused}");
        assert!(refused.to_string().contains("name a folder that is missing or empty"), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is made");
    }
    let cut_short: [&[(&str, &[u8])]; 4] = [
        &[],
        &[("lock", b"")],
        &[("lock", b"4711\n"), ("ledger.sqlite3", b"")],
        &[("lock", b"4711\n"), ("ledger.sqlite3", b""), ("node.key.new", b"half")],
    ];
    for files in cut_short {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        once(config(&folder)).await;
    }
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (node, _) = once(config(&other)).await;
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::copy(other.path().join("node.key"), folder.path().join("node.key")).unwrap();
    assert_eq!(once(config(&folder)).await.0, node, "a node's key alone is where its ledger was lost");
}

#[tokio::test]
async fn a_lost_ledger_and_a_restored_one_are_another_of_the_same_node() {
    let folder = tempfile::tempdir().unwrap();
    let (node, first) = once(config(&folder)).await;
    let (same, second) = once(Config { restored: true, ..config(&folder) }).await;
    assert_eq!((same, second == first), (node, false));
    assert_eq!(once(config(&folder)).await, (node, second), "said once, it stays");
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("ledger.sqlite3") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let (same, third) = once(config(&folder)).await;
    assert_eq!((same, third == second), (node, false));
}
