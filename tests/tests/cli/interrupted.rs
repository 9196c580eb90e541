//! Commands that are interrupted say what became of what they were at, and leave nothing else behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sealpost_tests::{Home, TestRelay, within};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{relay_and_home, texts};

/// A file that is read for as long as someone writes it.
fn pipe(home: &Home) -> PathBuf {
    let path = home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[tokio::test]
async fn a_message_that_is_interrupted_before_it_is_whole_is_kept_nowhere() {
    let (_relay, home) = relay_and_home().await;
    let path = pipe(&home);
    let sending = home.start(["send", "--as", "alice", "bob", "--json", "--file", path.to_str().unwrap()]);
    let opened = within("the file opened", tokio::fs::OpenOptions::new().write(true).open(&path)).await;
    assert_eq!(sending.interrupt().await, 130);
    drop(opened);
    assert_eq!(home.run(["outbox", "list", "--as", "alice", "--json"]).await.succeeded().out, "");
    let spool = home.path().join("alice/spool");
    assert!(!spool.exists() || fs::read_dir(spool).unwrap().next().is_none(), "nothing is left of it");
}

#[tokio::test]
async fn what_a_killed_send_has_left_is_cleared_away_by_the_next_one_and_what_is_in_use_stays() {
    let (_relay, home) = relay_and_home().await;
    let spool = home.path().join("alice/spool");
    fs::create_dir_all(&spool).unwrap();
    let file = |name: &str| {
        let path = spool.join(name);
        fs::write(&path, b"left behind").unwrap();
        path
    };
    let left = ["staged-0190d3a8000070008000000000000001", "out-0190d3a8000070008000000000000002"].map(file);
    let used = file("out-0190d3a8000070008000000000000003");
    let lock = fs::File::open(&used).unwrap();
    lock.lock().unwrap();
    home.run(["send", "--as", "alice", "bob", "a text"]).await.succeeded();
    assert_eq!((left.map(|path| path.exists()), used.exists()), ([false, false], true));
    drop(lock);
    home.run(["send", "--as", "alice", "bob", "another"]).await.succeeded();
    assert!(!used.exists());
}

#[tokio::test]
async fn a_message_that_is_interrupted_on_its_way_is_kept_and_goes_on() {
    let (_relay, home) = relay_and_home().await;
    for signal in ["-INT", "-TERM"] {
        let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", silent.local_addr().unwrap());
        let mut sending = home.start(["send", "--as", "alice", "bob", "--json", "--relay", &origin, "--", signal]);
        let connection = within("a connection", silent.accept()).await.unwrap();
        sending.signal(signal).await;
        let told = sending.next_document().await.expect("its id");
        assert_eq!((told["state"].as_str(), told["reason"].as_str()), (Some("kept"), Some("interrupted")));
        assert_eq!(sending.ended().await, 130);
        drop(connection);
        let waiting = home.run(["outbox", "list", "--as", "alice", "--json"]).await.succeeded().document();
        assert_eq!(waiting["id"], told["id"]);
        home.run(["receive", "--as", "alice"]).await.succeeded();
        assert_eq!(texts(&home.run(["receive", "--as", "bob", "--json"]).await.succeeded().documents()), [signal]);
    }
}

#[tokio::test]
async fn following_ends_in_order_whichever_way_it_is_asked_to() {
    let (_relay, home) = relay_and_home().await;
    for signal in ["-INT", "-TERM"] {
        let mut following = home.start(["receive", "--as", "bob", "--follow", "--json"]);
        home.run(["send", "--as", "alice", "bob", "--", signal]).await.succeeded();
        assert_eq!(following.next_document().await.expect("a message")["text"], signal);
        following.signal(signal).await;
        assert_eq!(following.ended().await, 0);
    }
}

/// A listener that takes connections and says nothing.
async fn silent() -> (TcpListener, String) {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    (silent, address)
}

#[tokio::test]
async fn an_agent_whose_keys_are_not_published_yet_is_made_and_says_so() {
    let (silent, address) = silent().await;
    let home = Home::new(format!("http://{address}"));
    for (name, signal) in [("alice", "-INT"), ("bob", "-TERM")] {
        let mut making = home.start_heard(["agent", "new", name, "--json"]);
        let connection = within("a connection", silent.accept()).await.unwrap();
        making.signal(signal).await;
        let made = making.next_document().await.expect("the agent");
        assert_eq!((made["name"].as_str(), made["published"].as_bool()), (Some(name), Some(false)));
        let (exit, err) = making.ended_saying().await;
        assert_eq!(exit, 130);
        assert!(err.contains("\"interrupted\"") && err.contains("the agent is made"), "{err}");
        drop(connection);
        home.run(["agent", "show", name]).await.succeeded();
    }
}

#[tokio::test]
async fn commands_that_wait_for_a_relay_say_that_they_were_interrupted() {
    let (_relay, home) = relay_and_home().await;
    let (silent, address) = silent().await;
    let origin = format!("http://{address}");
    let to = home.path().join("backup");
    let commands: [&[&str]; 6] = [
        &["receive", "--as", "bob", "--relay", &origin],
        &["prekeys", "status", "--as", "bob", "--relay", &origin],
        &["group", "new", "--as", "alice", "team", "bob", "--relay", &origin],
        &["blocks", "stats", "--admin", &address],
        &["blocks", "repair", "--admin", &address],
        &["backup", "--admin", &address, "--to", to.to_str().unwrap()],
    ];
    for command in commands {
        let mut running = home.start_heard(command);
        let connection = within("a connection", silent.accept()).await.unwrap();
        running.signal("-INT").await;
        let (exit, err) = running.ended_saying().await;
        assert_eq!(exit, 130, "{command:?}: {err}");
        assert!(err.starts_with("error: interrupted: "), "{command:?}: {err}");
        drop(connection);
    }
    assert!(!to.exists());
}

/// A file that is read for as long as somebody writes it, in the place of another; and what that held.
fn pipe_in_place_of(path: &Path) -> (PathBuf, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    (path.to_owned(), bytes)
}

#[tokio::test]
async fn a_restore_that_is_interrupted_says_so_and_leaves_nothing() {
    let home = Home::new("http://127.0.0.1:1");
    let mut relay = TestRelay::start().await;
    relay.kill().await;
    let (data, backup) = (relay.data_dir(), home.path().join("backup"));
    home.run(["backup", "--data-dir", data.to_str().unwrap(), "--to", backup.to_str().unwrap()]).await.succeeded();
    let (key, bytes) = pipe_in_place_of(&backup.join("node.key"));
    let (target, restoring) = (home.path().join("data"), home.path().join("data.restoring"));
    let from = ["--from", backup.to_str().unwrap(), "--data-dir", target.to_str().unwrap()];
    let mut running = home.start_heard(["restore"].iter().chain(&from));
    let mut opened = within("the key opened", tokio::fs::OpenOptions::new().write(true).open(&key)).await.unwrap();
    running.signal("-INT").await;
    // Nothing outside shows that it was heard.
    tokio::time::sleep(Duration::from_millis(300)).await;
    opened.write_all(&bytes).await.unwrap();
    drop(opened);
    let (exit, err) = running.ended_saying().await;
    assert_eq!(exit, 130, "{err}");
    assert!(err.contains("interrupted: nothing was put back"), "{err}");
    assert!(!target.exists() && !restoring.exists());
    fs::remove_file(&key).unwrap();
    fs::write(&key, bytes).unwrap();
    home.run(["restore"].iter().chain(&from)).await.succeeded();
}

#[cfg(target_os = "linux")]
/// Processes whose command line names something in `folder`.
fn processes_in(folder: &Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(folder.to_str().unwrap())).count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_demo_that_is_killed_leaves_no_relay_running() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new("http://127.0.0.1:1").with("TMPDIR", folder.path());
    let demo = home.start(["demo"]);
    let wait = async |is_over: fn(usize) -> bool| {
        while !is_over(processes_in(folder.path())) {
            tokio::task::yield_now().await;
        }
    };
    within("the demo's relay", wait(|count| count > 0)).await;
    demo.kill().await;
    within("the end of the demo's relay", wait(|count| count == 0)).await;
}

fn benches_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count()
}

#[tokio::test]
async fn a_measurement_that_is_interrupted_leaves_nothing_behind() {
    let home = Home::new("http://127.0.0.1:1");
    for kind in ["blocks", "relay"] {
        for signal in ["-INT", "-TERM"] {
            let folder = tempfile::tempdir().unwrap();
            let mut bench = home.start(["bench", kind, "--folder", folder.path().to_str().unwrap()]);
            within("the measurement's folder", async {
                while benches_in(folder.path()) == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            bench.signal(signal).await;
            assert_eq!(bench.ended().await, 130, "{kind} {signal}");
            assert_eq!(benches_in(folder.path()), 0, "{kind} {signal}");
        }
    }
}
