//! The relay and the processes of two agents are killed in the middle of a large upload and of a large download, again and
//! again: each goes on where it was, nothing but what was in flight goes over the wire twice, and the file is the same.

use std::{ops::Range, path::PathBuf};

use fastrand::Rng;
use sealpost_protocol::limits::BODY_PIECE;
use sealpost_tests::{Home, PATIENCE, Passed, Proxy, TestRelay, seeded, within};

/// Bytes of the file.
const LENGTH: u64 = 24 << 20;

/// Kills in the upload, and as many in the download.
const KILLS: usize = 7;

/// Bytes that pass between two kills. All kills together come to less than the file, however much each lets pass.
const BETWEEN: Range<u64> = 256 << 10..3 << 20;

/// Pieces that are under way at a time: what was in flight at a kill is sent again.
const IN_FLIGHT: u64 = 4;

/// What else a run of the command says and hears: logging in, statuses, the framing of pieces.
const TALK: u64 = 512 << 10;

/// Which way the file goes.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

struct Scene {
    relay: TestRelay,
    proxy: Proxy,
    home: Home,
    random: Rng,
}

impl Scene {
    async fn set() -> Self {
        let proxy = Proxy::listen().await;
        let relay = TestRelay::start_behind(&[&proxy.origin()]).await;
        proxy.lead_to(relay.address());
        let home = Home::new(proxy.origin());
        home.agent("alice").await;
        home.agent("bob").await;
        Self { relay, proxy, home, random: seeded("killed_transfers") }
    }

    fn passed(&self, way: Way) -> u64 {
        let Passed { requests, answers } = self.proxy.passed();
        match way {
            Way::Up => requests,
            Way::Down => answers,
        }
    }

    /// Starts the command, and kills it or the relay in the middle of what it moves.
    async fn kill_in(&mut self, arguments: &[&str]) {
        self.proxy.stall_after(self.random.u64(BETWEEN));
        let mut running = self.home.start(arguments);
        tokio::select! {
            () = within("the middle of the transfer", self.proxy.stalled()) => {}
            document = running.next_document() => panic!("it was over before it was cut: {document:?}"),
        }
        if self.random.bool() {
            assert!(running.kill().await.was_interrupted);
            self.proxy.cut();
        } else {
            self.relay.kill().await;
            self.proxy.cut();
            running.wait().await;
            self.relay.restart().await;
        }
    }

    /// Moves the file with this command, and after each kill with that one. Returns how many bytes have passed.
    async fn move_file(&mut self, way: Way, first: &[&str], again: &[&str]) -> u64 {
        let before = self.passed(way);
        for kill in 0..KILLS {
            self.kill_in(if kill == 0 { first } else { again }).await;
        }
        self.home.run_for(2 * PATIENCE, again).await.succeeded();
        self.passed(way) - before
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_outlives_kills_on_its_way_up_and_down_and_passes_once() {
    let mut scene = Scene::set().await;
    let content: Vec<u8> = std::iter::repeat_with(|| scene.random.u8(..)).take(LENGTH.try_into().unwrap()).collect();
    let path = scene.home.path().join("film.bin");
    std::fs::write(&path, &content).unwrap();
    let folder = scene.home.path().join("saved");
    let (file, saved) = (path.to_str().unwrap().to_owned(), folder.to_str().unwrap().to_owned());

    let send = ["send", "--as", "alice", "bob", "--file", &file, "--json"];
    let up = scene.move_file(Way::Up, &send, &["receive", "--as", "alice", "--json"]).await;
    let receive = ["receive", "--as", "bob", "--save", &saved, "--json"];
    let down = scene.move_file(Way::Down, &receive, &receive).await;

    let files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert!(std::fs::read(file).unwrap() == content, "the file is another");
    println!("{LENGTH} bytes and {KILLS} kills each way: {up} bytes went up, {down} came down");
    let kills = u64::try_from(KILLS).unwrap();
    let most = LENGTH + kills * IN_FLIGHT * BODY_PIECE + (kills + 1) * TALK;
    assert!(up <= most && down <= most, "{up} bytes went up and {down} came down, {most} at most");
    // A transfer that began anew after each kill would be beyond it, were it cut late enough; this one is not near.
    assert!(up < 2 * LENGTH && down < 2 * LENGTH, "{up} bytes went up, {down} came down");
    scene.home.run(["receive", "--as", "alice"]).await.succeeded();
    assert_eq!(std::fs::read_dir(scene.home.path().join("alice/spool")).unwrap().count(), 0, "nothing is left of it");
}
