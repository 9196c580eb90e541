//! What operators ask of a relay's store, with and without the relay: figures, verification, where contents lie, backups.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use sealpost_tests::{Finished, Home, TestRelay};

use super::{assert_fields, relay_and_home, texts};

/// An address that nobody listens on.
fn free_address() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}

/// A relay that serves operators at the address, with a message that waits for Bob.
async fn relay_with_mail() -> (TestRelay, Home, String, String) {
    let (mut relay, home) = relay_and_home().await;
    let admin = free_address();
    relay.kill().await;
    relay.restart_with(&["--admin-listen", &admin]).await;
    let sent = home.run(["send", "--as", "alice", "bob", "kept in blocks", "--json"]).await.succeeded().document();
    (relay, home, admin, sent["id"].as_str().unwrap().to_owned())
}

/// What a command ended with, behind the log lines of one that serves.
fn error(finished: &Finished) -> String {
    let error: serde_json::Value = serde_json::from_str(finished.err.lines().last().unwrap()).unwrap();
    error["error"]["message"].as_str().unwrap().to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn the_operators_endpoint_may_be_named_and_the_wrong_one_is_told_apart() {
    let (relay, home, admin, _) = relay_with_mail().await;
    let (_, port) = admin.rsplit_once(':').unwrap();
    home.run(["blocks", "stats", "--admin", &format!("localhost:{port}")]).await.succeeded();
    let address = relay.address().to_string();
    let wrong = home.run(["blocks", "stats", "--admin", &address, "--json"]).await.exited(2);
    assert!(error(&wrong).contains("--admin-listen") && error(&wrong).contains(&address), "{}", wrong.err);
    home.run(["blocks", "stats", "--admin", "192.0.2.1.example:1"]).await.exited(2);
}

#[tokio::test]
async fn a_running_relay_s_store_is_looked_at_through_the_operators_endpoint() {
    let (mut relay, home, admin, message) = relay_with_mail().await;
    let data_dir = relay.data_dir();
    let online = ["--admin", admin.as_str(), "--json"];
    let offline = ["--data-dir", path(&data_dir), "--json"];
    let ask = async |home: &Home, what: &[&str], place: &[&str]| {
        home.run(["blocks"].iter().chain(what).chain(place)).await.succeeded().document()
    };
    let refused = home.run(["blocks", "stats"].iter().chain(&offline)).await.exited(5);
    assert!(error(&refused).contains("--admin"), "{}", refused.err);
    for place in [online.as_slice(), &offline] {
        let stats = ask(&home, &["stats"], place).await;
        let fields = ["segments", "stored_bytes", "live_bytes", "dead_bytes", "epochs", "pool_blocks", "pool_bytes"];
        assert_fields(&stats, &[fields.as_slice(), &["borrowing_blocks"]].concat());
        assert!(stats["live_bytes"].as_u64().unwrap() > 1_024, "{stats}");
        let verified = ask(&home, &["verify"], place).await;
        assert_fields(&verified, &["blocks", "bytes", "contents", "lost_contents", "damaged", "findings"]);
        assert_eq!((verified["contents"].as_u64(), verified["lost_contents"].as_u64()), (Some(1), Some(0)));
        let collected = ask(&home, &["gc"], place).await;
        assert_fields(&collected, &["needed", "collected"]);
        assert_eq!(verified["findings"], serde_json::json!([]));
        let repaired = ask(&home, &["repair"], place).await;
        assert_fields(&repaired, &["rewritten", "lost", "given_up", "mended", "left"]);
        assert_eq!((&repaired["lost"], &repaired["mended"]), (&serde_json::json!([]), &serde_json::json!([])));

        let urls = ask(&home, &["url", &message], place).await;
        let [content] = urls["contents"].as_array().unwrap().as_slice() else { panic!("{urls}") };
        assert_eq!((content["policy"].as_str(), content["isCBL"].as_bool()), (Some("pooled"), Some(false)));
        let id = content["cblBlockIds"][0].as_str().unwrap();
        let url = content["url"].as_str().unwrap();
        assert!(url.starts_with("magnet:?xt=urn:blake3:") && url.contains(id), "{url}");
        let by_handle = home.run(["blocks", "url", content["handle"].as_str().unwrap(), "--json"]).await.succeeded();
        assert_eq!(by_handle.document()["contents"][0]["url"], content["url"]);
        if place == online {
            relay.kill().await;
        }
    }
    home.run(["blocks", "stats"].iter().chain(&online)).await.exited(3);
    let nowhere = home.run(["blocks", "stats", "--json", "--data-dir", path(home.path())]).await.exited(5);
    assert!(error(&nowhere).contains("no relay's data"), "{}", nowhere.err);
}

#[tokio::test]
async fn a_damaged_block_is_found_and_told() {
    let (mut relay, home, _, _) = relay_with_mail().await;
    relay.kill().await;
    let data_dir = relay.data_dir();
    let offline = ["--data-dir", path(&data_dir), "--json"];
    home.run(["blocks", "verify"].iter().chain(&offline)).await.succeeded();
    let segments = fs::read_dir(data_dir.join("blocks")).unwrap().map(|entry| entry.unwrap().path());
    let is_filled = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension == "segment") && path.metadata().unwrap().len() > 2_000
    };
    for segment in segments.filter(is_filled) {
        let mut bytes = fs::read(&segment).unwrap();
        // Inside the first block, behind the headers of segment and record.
        bytes[64 + 64 + 100] ^= 1;
        fs::write(&segment, bytes).unwrap();
    }
    let found = home.run(["blocks", "verify"].iter().chain(&offline)).await.exited(1);
    assert!(!found.document()["damaged"].as_array().unwrap().is_empty(), "{}", found.out);
}

#[tokio::test]
async fn a_ledger_that_contradicts_itself_is_told_by_kind_and_mended_while_the_relay_runs() {
    let (mut relay, home, admin, message) = relay_with_mail().await;
    let data_dir = relay.data_dir();
    let damage = |sql: &str| {
        let ledger = rusqlite::Connection::open(data_dir.join("ledger.sqlite3")).unwrap();
        ledger.execute_batch(sql).unwrap();
    };
    damage("UPDATE mailboxes SET messages = 9; DELETE FROM parts");
    for place in [["--admin", &admin], ["--data-dir", path(&data_dir)]] {
        let verify = ["blocks", "verify"].iter().chain(&place).copied();
        let found = home.run(verify.clone().chain(["--json"])).await.exited(1).document();
        let kinds: Vec<_> = found["findings"].as_array().unwrap().iter().map(|found| found["kind"].clone()).collect();
        assert_eq!(kinds, ["lost-content", "mailbox-sums"], "{found}");
        assert_fields(&found["findings"][0], &["kind", "count", "subjects"]);
        assert_eq!(found["findings"][0]["subjects"][0]["message"], message);
        let text = home.run(verify.clone()).await.exited(1).out;
        assert!(text.contains("found: 1 mailbox-sums") && text.contains("said to hold 9 messages"), "{text}");
        let repair = ["blocks", "repair"].iter().chain(&place).copied();
        let repaired = home.run(repair.chain(["--json"])).await.succeeded().document();
        assert_eq!(repaired["mended"].as_array().unwrap().len(), 2, "{repaired}");
        home.run(verify).await.succeeded();
        if place[0] == "--admin" {
            let status = home.run(["status", "--as", "alice", &message, "--json"]).await.succeeded().out;
            assert!(status.contains("lost"), "{status}");
            relay.kill().await;
            damage(
                "UPDATE mailboxes SET messages = 9; UPDATE deliveries SET state = 'pending', reason = NULL,
                mailbox_seq = change_seq",
            );
        }
    }
}

#[tokio::test]
async fn a_backup_of_a_running_relay_is_put_back_and_serves_on() {
    let (mut relay, home, admin, _) = relay_with_mail().await;
    let backup = home.path().join("backup");
    let made = home.run(["backup", "--admin", &admin, "--to", path(&backup), "--json"]).await.succeeded().document();
    assert_fields(&made, &["folder", "files", "bytes"]);
    let again = home.run(["backup", "--admin", &admin, "--to", path(&backup), "--json"]).await.exited(1);
    assert!(error(&again).contains("is not empty"), "{}", again.err);
    home.run(["send", "--as", "alice", "bob", "after the backup"]).await.succeeded();
    relay.kill().await;
    let data_dir = relay.data_dir();
    let restore = ["restore", "--from", path(&backup), "--data-dir", path(&data_dir), "--json"];
    let refused = home.run(restore).await.exited(5);
    assert!(error(&refused).contains("is not empty"), "{}", refused.err);
    relay.lose_data();
    let restored = home.run(restore).await.succeeded().document();
    assert_fields(&restored, &["data_dir", "ledger_id", "files", "bytes"]);
    let keys = |home: &Home| {
        let home = home.clone();
        async move { home.run(["prekeys", "status", "--as", "bob", "--json"]).await.succeeded().document() }
    };
    let node = relay.node_id();
    relay.restart().await;
    assert_eq!(relay.node_id(), node, "the node's key came back with its ledger");
    let left = keys(&home).await;
    assert_eq!(left["one_time_curve"].as_u64(), Some(0), "every one-time key counts as used: {left}");
    let received = home.run(["receive", "--as", "bob", "--wait", "5s", "--json"]).await.succeeded().documents();
    assert_eq!(texts(&received), ["kept in blocks"]);
    home.run(["receive", "--as", "alice"]).await.succeeded();
    home.run(["send", "--as", "alice", "bob", "on we go"]).await.succeeded();
    let received = home.run(["receive", "--as", "bob", "--wait", "5s", "--json"]).await.succeeded().documents();
    assert_eq!(texts(&received), ["on we go"]);
}

#[tokio::test]
async fn a_backup_into_the_data_folder_and_a_restore_into_the_backup_are_refused() {
    let (mut relay, home, admin, _) = relay_with_mail().await;
    let data_dir = relay.data_dir();
    let inside = data_dir.join("backup");
    let refused = home.run(["backup", "--admin", &admin, "--to", path(&inside), "--json"]).await.exited(1);
    assert!(error(&refused).contains("lies in the data folder"), "{}", refused.err);
    relay.kill().await;
    let refused = home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&inside), "--json"]).await.exited(5);
    assert!(error(&refused).contains("lies in the data folder"), "{}", refused.err);
    assert!(!inside.exists());
    let backup = home.path().join("backup");
    home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&backup)]).await.succeeded();
    let target = backup.join("data");
    let refused = home.run(["restore", "--from", path(&backup), "--data-dir", path(&target), "--json"]).await.exited(5);
    assert!(error(&refused).contains("lie in each other"), "{}", refused.err);
    assert!(!target.exists());
}

#[tokio::test]
async fn a_relay_starts_neither_on_a_backup_nor_on_an_emptied_ledger_nor_on_a_port_in_use() {
    let (mut relay, home, admin, _) = relay_with_mail().await;
    let data_dir = relay.data_dir();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--json", "--data-dir"];
    let elsewhere = home.path().join("elsewhere");
    let taken = home.run(serve.iter().chain(&[path(&elsewhere), "--admin-listen", &admin])).await.exited(5);
    assert!(error(&taken).contains("another address with --admin-listen"), "{}", taken.err);
    assert!(!elsewhere.exists(), "a relay that cannot serve makes nothing");
    relay.kill().await;
    let backup = home.path().join("backup");
    home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&backup)]).await.succeeded();
    let restore = ["restore", "--json", "--from", path(&backup), "--data-dir"];
    let refused = home.run(serve.iter().chain(&[path(&backup)])).await.exited(5);
    assert!(error(&refused).contains("is a backup") && error(&refused).contains("sealpost restore"), "{}", refused.err);
    let inside = data_dir.join("r");
    let refused = home.run(restore.iter().chain(&[path(&inside)])).await.exited(5);
    assert!(error(&refused).contains("lies in") && !inside.exists(), "{}", refused.err);
    let inside = backup.join("in");
    let refused = home.run(["backup", "--json", "--data-dir", path(&data_dir), "--to", path(&inside)]).await.exited(5);
    assert!(error(&refused).contains("lies in") && !inside.exists(), "{}", refused.err);

    fs::write(data_dir.join("ledger.sqlite3"), b"").unwrap();
    let blocks = ["blocks", "verify", "--json", "--data-dir"];
    for command in [serve.as_slice(), &blocks] {
        let refused = home.run(command.iter().chain(&[path(&data_dir)])).await.exited(5);
        assert!(error(&refused).contains("ledger.sqlite3 is empty"), "{}", refused.err);
        assert_eq!(fs::metadata(data_dir.join("ledger.sqlite3")).unwrap().len(), 0);
    }
    home.run(restore.iter().chain(&[path(&home.path().join("whole"))])).await.succeeded();
}

#[tokio::test]
async fn a_relay_whose_last_blocks_are_gone_says_what_to_do_and_goes_on_once_the_loss_is_accepted() {
    a_loss_of_blocks_is_told_and_accepted(|blocks| {
        let segments = fs::read_dir(blocks).unwrap().map(|entry| entry.unwrap().path());
        let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "segment");
        fs::remove_file(segments.filter(is_segment).max().unwrap()).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_relay_whose_blocks_are_gone_with_their_folder_says_the_same_and_what_it_names_works() {
    a_loss_of_blocks_is_told_and_accepted(|blocks| fs::remove_dir_all(blocks).unwrap()).await;
}

async fn a_loss_of_blocks_is_told_and_accepted(lose: impl FnOnce(&Path)) {
    let (mut relay, home, _, message) = relay_with_mail().await;
    relay.kill().await;
    let data_dir = relay.data_dir();
    let backup = home.path().join("backup");
    home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&backup)]).await.succeeded();
    let blocks = data_dir.join("blocks");
    lose(&blocks);
    let (place, was_there) = (["--data-dir", path(&data_dir), "--json"], blocks.exists());
    let verify = async || {
        let found = home.run(["blocks", "verify"].iter().chain(&place)).await.exited(1).document();
        assert_eq!(found["lost_contents"].as_u64(), Some(1), "{found}");
    };
    verify().await;
    home.run(["blocks", "stats"].iter().chain(&place)).await.succeeded();
    assert_eq!(blocks.exists(), was_there, "whoever looks makes nothing");
    for command in [["serve", "--listen", "127.0.0.1:0"].as_slice(), &["blocks", "repair"], &["blocks", "gc"]] {
        let refused = home.run(command.iter().chain(&place)).await.exited(5);
        let told = error(&refused);
        assert!(told.contains("they are gone, older, or were cut"), "{command:?}: {told}");
        for advice in ["sealpost restore", "sealpost blocks verify", "sealpost blocks repair --accept-loss"] {
            assert!(told.contains(advice), "{command:?}: {told}");
        }
    }
    // What is advised works.
    verify().await;
    let whole = home.path().join("whole");
    home.run(["restore", "--from", path(&backup), "--data-dir", path(&whole)]).await.succeeded();
    home.run(["blocks", "verify", "--data-dir", path(&whole)]).await.succeeded();
    home.run(["blocks", "repair", "--accept-loss", "--admin", "127.0.0.1:1"]).await.exited(2);
    let repaired = home.run(["blocks", "repair", "--accept-loss"].iter().chain(&place)).await.succeeded().document();
    assert_eq!(repaired["mended"][0]["kind"], "lost-content", "{repaired}");
    home.run(["blocks", "verify"].iter().chain(&place)).await.succeeded();
    home.run(["blocks", "gc"].iter().chain(&place)).await.succeeded();
    relay.restart().await;
    let status = home.run(["status", "--as", "alice", &message, "--json"]).await.succeeded().out;
    assert!(status.contains("lost"), "{status}");
    home.run(["send", "--as", "alice", "bob", "after the loss"]).await.succeeded();
    // What was lost is told to its recipient too, beside what comes.
    let received = home.run(["receive", "--as", "bob", "--wait", "5s", "--json"]).await.exited(6);
    assert_eq!(texts(&received.documents()), ["after the loss"]);
    assert!(received.err.contains(&message), "{}", received.err);
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_during_which_the_relay_was_killed_is_told_and_taken_for_nothing_else() {
    let (mut relay, home, admin, _) = relay_with_mail().await;
    let (key, backup) = (relay.data_dir().join("node.key"), home.path().join("backup"));
    // Copying the key blocks until somebody writes it.
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&key).status().unwrap().success());
    let command = ["backup", "--admin", &admin, "--to", path(&backup), "--json"];
    let (told, ()) = tokio::join!(home.run(command), async {
        until(|| backup.join("ledger.sqlite3").metadata().is_ok_and(|ledger| ledger.len() > 0)).await;
        relay.kill().await;
    });
    let told = error(&told.exited(3));
    assert!(told.contains("broke before its answer came") && told.contains("half done"), "{told}");
    fs::remove_file(&key).unwrap();
    fs::write(&key, bytes).unwrap();
    let data_dir = relay.data_dir();
    let again = home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&backup), "--json"]).await.exited(5);
    assert!(error(&again).contains("remove the folder, or name another"), "{}", again.err);
    let target = home.path().join("target");
    let refused = home.run(["restore", "--from", path(&backup), "--data-dir", path(&target), "--json"]).await.exited(5);
    assert!(error(&refused).contains("is no finished backup") && !target.exists(), "{}", refused.err);
    let refused = home.run(["serve", "--listen", "127.0.0.1:0", "--data-dir", path(&backup), "--json"]).await.exited(5);
    assert!(error(&refused).contains("was not finished"), "{}", refused.err);
    fs::remove_dir_all(&backup).unwrap();
    home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&backup)]).await.succeeded();
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_whose_command_was_killed_stops_in_the_relay_and_leaves_nothing() {
    let (relay, home, admin, _) = relay_with_mail().await;
    let (key, backup) = (relay.data_dir().join("node.key"), home.path().join("backup"));
    // Copying the key blocks until somebody writes it.
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&key).status().unwrap().success());
    let command = home.start(["backup", "--admin", &admin, "--to", path(&backup)]);
    until(|| backup.join("ledger.sqlite3").exists()).await;
    command.kill().await;
    // The relay has seen by then that nobody waits.
    home.run(["blocks", "stats", "--admin", &admin]).await.succeeded();
    home.run(["blocks", "stats", "--admin", &admin]).await.succeeded();
    until(|| {
        // Open for both it waits for nobody; who has it open by now reads to its end.
        fs::File::options().read(true).write(true).open(&key).unwrap().write_all(&bytes).unwrap();
        !backup.exists()
    })
    .await;
}

#[cfg(unix)]
async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.expect("it comes to be");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_that_either_side_keeps_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt;

    fn below(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { [vec![path.clone()], below(&path)].concat() } else { vec![path] })
            .collect()
    }

    let (relay, home, _, _) = relay_with_mail().await;
    home.run(["receive", "--as", "bob", "--wait", "5s"]).await.succeeded();
    for folder in [relay.data_dir(), home.path().to_owned()] {
        let all = below(&folder);
        let is_open = |path: &&std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o077 != 0;
        assert!(all.len() > 5, "{all:?}");
        assert_eq!(all.iter().filter(is_open).collect::<Vec<_>>(), Vec::<&std::path::PathBuf>::new());
    }
}

#[tokio::test]
async fn a_damaged_or_unfinished_backup_is_refused_and_nothing_is_made() {
    let (mut relay, home, _, _) = relay_with_mail().await;
    relay.kill().await;
    let (backup, target) = (home.path().join("backup"), home.path().join("target"));
    let data_dir = relay.data_dir();
    home.run(["backup", "--data-dir", path(&data_dir), "--to", path(&backup)]).await.succeeded();
    let restore = ["restore", "--from", path(&backup), "--data-dir", path(&target), "--json"];
    let files = ["ledger.sqlite3", "node.key", "blocks/state", "backup.json"];
    for name in files {
        let file = backup.join(name);
        let whole = fs::read(&file).unwrap();
        let middle = whole.len() / 2;
        let mut flipped = whole.clone();
        flipped[middle] ^= 1;
        for damaged in [whole[..middle].to_vec(), flipped] {
            fs::write(&file, damaged).unwrap();
            let refused = home.run(restore).await.exited(5);
            assert!(error(&refused).contains("damaged"), "{name}: {}", refused.err);
        }
        fs::remove_file(&file).unwrap();
        home.run(restore).await.exited(5);
        fs::write(&file, whole).unwrap();
        assert!(!target.exists() && !home.path().join("target.restoring").exists());
    }
    home.run(restore).await.succeeded();
}
