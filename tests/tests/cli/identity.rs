//! What an agent's store is sealed under, its identity as a file, and whom names mean.

use std::{fs, time::Duration};

use sealpost_tests::{Home, TestRelay, seeded};

use super::{assert_fields, relay_and_home, texts};

/// Sends a text each way, which proves both agents' stores to be whole.
async fn talk(home: &Home, alice: &Home, words: &str) {
    alice.run(["send", "--as", "alice", "bob", words]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), [words]);
    home.run(["send", "--as", "bob", "alice", words]).await.succeeded();
    let received = alice.run(["receive", "--as", "alice", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), [words]);
}

#[tokio::test]
async fn a_store_that_was_emptied_is_told_with_what_to_do_and_no_other_agent_takes_its_place() {
    let (_relay, home) = relay_and_home().await;
    let folder = home.path().join("alice");
    let kept = tempfile::tempdir().unwrap();
    let files = ["agent.sqlite3", "agent.sqlite3-wal", "agent.sqlite3-shm"];
    for file in files.iter().filter(|file| folder.join(file).exists()) {
        fs::rename(folder.join(file), kept.path().join(file)).unwrap();
    }
    fs::write(folder.join("agent.sqlite3"), "").unwrap();
    let commands: [&[&str]; 4] = [
        &["agent", "show", "alice"],
        &["agent", "new", "alice"],
        &["receive", "--as", "alice"],
        &["agent", "rekey", "alice"],
    ];
    for command in commands {
        let told = home.run(command).await.exited(5);
        assert!(told.err.contains("is empty") && told.err.contains("put the file back from a backup"), "{}", told.err);
    }
    assert!(home.run(["agent", "list"]).await.succeeded().out.contains("put the file back from a backup"));
    assert_eq!(fs::metadata(folder.join("agent.sqlite3")).unwrap().len(), 0);
    for file in files.iter().filter(|file| kept.path().join(file).exists()) {
        fs::rename(kept.path().join(file), folder.join(file)).unwrap();
    }
    home.run(["receive", "--as", "alice"]).await.succeeded();
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_of_an_agent_that_cannot_be_made() {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    let told = home.run_on_a_full_disk(["agent", "new", "alice"]).await.exited(5);
    assert!(told.err.contains("master.key"), "{}", told.err);
    assert!(!home.path().join("alice").exists());
    home.run(["agent", "new", "alice"]).await.succeeded();
}

#[tokio::test]
async fn a_store_is_opened_by_its_new_key_and_by_no_other() {
    let (_relay, home) = relay_and_home().await;
    talk(&home, &home, "before").await;
    let rekeyed = home.run(["agent", "rekey", "alice", "--json"]).await.succeeded().document();
    assert_fields(&rekeyed, &["name", "id", "opened_by"]);
    assert_eq!(rekeyed["opened_by"], "key-file");
    talk(&home, &home, "rekeyed").await;

    let old_key = fs::read(home.path().join("alice/master.key")).unwrap();
    home.run(["agent", "passphrase", "alice"]).await.exited(2);
    home.run(["agent", "passphrase", "alice", "--new-key-file"]).await.succeeded();
    assert_ne!(fs::read(home.path().join("alice/master.key")).unwrap(), old_key);
    talk(&home, &home, "new key file").await;

    let new = home.with("SEALPOST_NEW_PASSPHRASE", "first");
    let changed = new.run(["agent", "passphrase", "alice", "--json"]).await.succeeded().document();
    assert_eq!(changed["opened_by"], "passphrase");
    assert!(!home.path().join("alice/master.key").exists());
    home.run(["receive", "--as", "alice"]).await.exited(5);
    let first = home.with("SEALPOST_PASSPHRASE", "first");
    talk(&home, &first, "passphrase").await;

    let second = home.with("SEALPOST_PASSPHRASE", "second");
    second.with("SEALPOST_NEW_PASSPHRASE", "third").run(["agent", "passphrase", "alice"]).await.exited(5);
    first.with("SEALPOST_NEW_PASSPHRASE", "second").run(["agent", "passphrase", "alice"]).await.succeeded();
    first.run(["receive", "--as", "alice"]).await.exited(5);
    second.run(["agent", "rekey", "alice"]).await.succeeded();
    talk(&home, &second, "second passphrase").await;
    second.run(["agent", "passphrase", "alice", "--new-key-file"]).await.succeeded();
    talk(&home, &home, "a key file again").await;
}

#[tokio::test]
async fn a_change_of_keys_that_is_cut_short_leaves_a_store_that_opens() {
    let (_relay, home) = relay_and_home().await;
    let mut random = seeded("a_change_of_keys_that_is_cut_short_leaves_a_store_that_opens");
    for number in 0..60 {
        home.run(["send", "--as", "bob", "alice", &number.to_string()]).await.succeeded();
    }
    home.run(["receive", "--as", "alice", "--peek"]).await.succeeded();
    let mut interrupted = 0;
    for round in 0..24 {
        let changing: &[&str] = match round % 2 {
            0 => &["agent", "rekey", "alice"],
            _ => &["agent", "passphrase", "alice", "--new-key-file"],
        };
        let running = home.start(changing);
        tokio::time::sleep(Duration::from_micros(random.u64(1_000..25_000))).await;
        interrupted += usize::from(running.kill().await.was_interrupted);
        let peeked = home.run(["receive", "--as", "alice", "--peek", "--json"]).await.succeeded();
        assert_eq!(peeked.documents().len(), 60, "after {changing:?}");
    }
    assert!(interrupted > 0, "no change was cut short");
    let files = fs::read_dir(home.path().join("alice")).unwrap();
    let keys = files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains(".key"));
    assert!(keys.count() <= 2);
}

#[tokio::test]
async fn an_exported_identity_is_the_same_agent_elsewhere() {
    let (relay, home) = relay_and_home().await;
    let alice = home.run(["agent", "show", "alice", "--json"]).await.succeeded().document();
    talk(&home, &home, "before").await;
    let file = home.path().join("alice.identity");
    let file = file.to_str().unwrap();
    let sealing = home.with("SEALPOST_EXPORT_PASSPHRASE", "sealed");
    home.run(["agent", "export", "alice", file]).await.exited(2);
    let exported = sealing.run(["agent", "export", "alice", file, "--json"]).await.succeeded().document();
    assert_fields(&exported, &["name", "id", "file", "bytes"]);
    assert_eq!(exported["id"], alice["id"]);
    sealing.run(["agent", "export", "alice", file]).await.exited(1);
    let bytes = fs::read(file).unwrap();
    assert_eq!(exported["bytes"].as_u64(), Some(bytes.len() as u64));

    let elsewhere = Home::new(relay.origin());
    let left = || -> Vec<_> {
        let entries = fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name != "damaged").collect()
    };
    let nothing = left();
    let wrong = elsewhere.with("SEALPOST_EXPORT_PASSPHRASE", "guessed");
    wrong.run(["agent", "import", "alice", file]).await.exited(5);
    assert_eq!(left(), nothing, "a failed import leaves nothing");
    let opening = elsewhere.with("SEALPOST_EXPORT_PASSPHRASE", "sealed");
    for cut in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        let damaged = elsewhere.path().join("damaged");
        fs::write(&damaged, &bytes[..cut]).unwrap();
        opening.run(["agent", "import", "alice", damaged.to_str().unwrap()]).await.exited(5);
        assert_eq!(left(), nothing, "a failed import leaves nothing");
    }
    let imported = opening.run(["agent", "import", "alice", file, "--json"]).await.succeeded().document();
    assert_fields(&imported, &["name", "id", "opened_by"]);
    assert_eq!(imported["id"], alice["id"]);
    opening.run(["agent", "import", "alice", file]).await.exited(5);
    let prekeys = elsewhere.run(["prekeys", "status", "--as", "alice", "--json"]).await.succeeded().document();
    assert_eq!(prekeys["version"], 2, "published anew");
    elsewhere.run(["send", "--as", "alice", "bob", "from elsewhere"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["from elsewhere"], "the name went with it");
    home.run(["send", "--as", "bob", "alice", "well met"]).await.succeeded();
    let received = elsewhere.run(["receive", "--as", "alice", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["well met"]);
}

#[tokio::test]
async fn both_sides_see_one_fingerprint_and_comparing_it_is_noted() {
    let (_relay, home) = relay_and_home().await;
    let seen = home.run(["agent", "verify", "--as", "alice", "bob", "--json"]).await.succeeded().document();
    assert_fields(&seen, &["contact", "id", "own_id", "fingerprint"]);
    let other = home.run(["agent", "verify", "--as", "bob", "alice", "--json"]).await.succeeded().document();
    assert_eq!((&seen["fingerprint"], &seen["id"]), (&other["fingerprint"], &other["own_id"]));
    let fingerprint = seen["fingerprint"].as_str().unwrap();
    let groups: Vec<_> = fingerprint.split(' ').collect();
    assert_eq!(groups.len(), 12);

    let mut wrong = groups.clone();
    wrong.swap(0, 1);
    let refused = home.run(["agent", "verify", "--as", "alice", "bob", &wrong.concat(), "--json"]).await.exited(1);
    assert!(refused.out.is_empty() && refused.err.contains("\"fingerprint-mismatch\""), "{}", refused.err);
    let contact = home.run(["agent", "contacts", "--as", "alice", "--json"]).await.succeeded().document();
    assert_fields(&contact, &["contact", "id"]);
    let compared = ["agent", "verify", "--as", "alice", "bob"].into_iter().chain(groups);
    let shown = home.run(compared).await.succeeded();
    assert!(shown.out.contains("verified 2") && shown.out.contains('█'), "{}", shown.out);
    let contact = home.run(["agent", "contacts", "--as", "alice", "--json"]).await.succeeded().document();
    assert_fields(&contact, &["contact", "id", "verified_at"]);
}

#[tokio::test]
async fn a_name_that_means_another_agent_now_means_none_until_someone_decides() {
    let (_relay, home) = relay_and_home().await;
    home.run(["send", "--as", "alice", "bob", "hello"]).await.succeeded();
    let bob = home.run(["agent", "show", "bob", "--json"]).await.document()["id"].as_str().unwrap().to_owned();
    fs::rename(home.path().join("bob"), home.path().join("robert")).unwrap();
    home.run(["send", "--as", "alice", "bob", "still him"]).await.succeeded();
    let other = home.agent("bob").await;
    for command in
        [["send", "--as", "alice", "bob", "who?", "--json"], ["agent", "verify", "--as", "alice", "bob", "--json"]]
    {
        let refused = home.run(command).await.exited(1);
        assert!(refused.err.contains("\"name-changed\"") && refused.err.contains(&other), "{}", refused.err);
    }
    home.run(["send", "--as", "alice", &bob, "by id"]).await.succeeded();
    let received = home.run(["receive", "--as", "robert", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["hello", "still him", "by id"]);
    assert_eq!(home.run(["receive", "--as", "bob"]).await.succeeded().out, "");

    home.run(["agent", "trust", "--as", "alice", "bob"]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "the new one"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--json"]).await.succeeded();
    assert_eq!(texts(&received.documents()), ["the new one"]);
    let carol = home.run(["agent", "trust", "--as", "alice", "carol", &bob, "--json"]).await.succeeded().document();
    assert_eq!((carol["contact"].as_str(), carol["id"].as_str()), (Some("carol"), Some(bob.as_str())));
    home.run(["send", "--as", "alice", "carol", "another name"]).await.succeeded();
    home.run(["agent", "trust", "--as", "alice", "dave"]).await.exited(2);
}
