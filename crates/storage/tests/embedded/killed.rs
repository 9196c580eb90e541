//! A process that accepts and lets go without pause is killed, again and again: what it said was accepted is there, and
//! what it left over is found.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use sealpost_core::{
    conformance::{Agent, HandClock, Letter, NOW},
    ports::{ContentPolicy, Contents, Ledger, PageQuery, WaitingEntry},
};
use sealpost_protocol::PartHash;
use sealpost_storage::{Embedded, EmbeddedContents};

/// Set for the child: the data directory.
const DIRECTORY: &str = "SEALPOST_STORAGE_TEST_DIRECTORY";
const ROUNDS: u64 = 8;
/// Letters of one run of the child, at most.
const RUN: u64 = 1 << 20;

async fn open(directory: &Path) -> (Arc<dyn Ledger>, Arc<EmbeddedContents>) {
    let embedded = Embedded::open(directory).unwrap();
    let contents = embedded.open_contents(Arc::new(Agent::new(0x0d)), Arc::<HandClock>::default()).await.unwrap();
    (embedded.ledger(), contents)
}

fn letter(number: u64) -> Letter {
    let ciphertext = usize::try_from(number * 7_919 % 30_000).unwrap();
    Letter::new(&Agent::alice(), &[&Agent::bob()]).number(number).ciphertext(ciphertext)
}

async fn waiting(ledger: &dyn Ledger) -> Vec<WaitingEntry> {
    let query =
        PageQuery { recipient: Agent::bob().id(), after: 0, entries: usize::MAX >> 1, bytes: u64::MAX, now: NOW };
    ledger.page(query).await.unwrap()
}

/// The child: says what is accepted, and what it is about to let go of. Not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let (ledger, contents) = open(Path::new(&directory)).await;
    let mut out = std::io::stdout();
    let first = (u64::from(std::process::id()) % 1_000_000) * RUN;
    for number in first..first + RUN {
        let policy = if number % 2 == 0 { ContentPolicy::Pooled } else { ContentPolicy::Fresh };
        let letter = letter(number);
        let stored = contents.append(policy, vec![letter.envelope(Agent::bob().id())]).await.unwrap();
        let mut acceptance = letter.acceptance();
        acceptance.parts[0].content = stored.handles[0].clone();
        acceptance.mark = stored.mark;
        ledger.accept(acceptance).await.unwrap();
        writeln!(out, "\naccepted {number}.").unwrap();
        if number % 3 == 0 {
            let entries = waiting(&*ledger).await;
            let entry = &entries[usize::try_from(number).unwrap() % entries.len()];
            writeln!(out, "\nlost {}.", entry.part.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                .unwrap();
            let lost = ledger.lose(Agent::bob().id(), vec![entry.mailbox_seq]).await.unwrap();
            contents.discard(lost.released.clone()).await.unwrap();
            ledger.discarded(lost.released).await.unwrap();
        }
        if number % 16 == 15 {
            contents.compact().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_accepted_is_there_and_what_it_left_over_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = std::collections::BTreeSet::new();
    let mut in_doubt = std::collections::BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: &str| match line.strip_suffix('.').and_then(|line| line.split_once(' ')) {
            Some(("accepted", number)) => {
                let envelope = letter(number.parse().unwrap()).envelope(Agent::bob().id());
                expected.insert(hex(PartHash::of(&envelope)));
                true
            }
            Some(("lost", part)) => {
                expected.remove(part);
                in_doubt.insert(part.to_owned());
                false
            }
            _ => false,
        };
        let wanted = 20 + 13 * round;
        let mut seen = 0;
        while seen < wanted {
            seen += u64::from(take(&lines.next().expect("the child writes until it is killed").unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| _ = take(&line));

        let (ledger, contents) = open(directory.path()).await;
        let entries = waiting(&*ledger).await;
        for entry in &entries {
            let content = contents.read(vec![entry.content.clone()]).await.unwrap().remove(0);
            assert_eq!(content.map(|content| PartHash::of(&content)), Some(entry.part), "round {round}");
        }
        let there: std::collections::BTreeSet<_> = entries.iter().map(|entry| hex(entry.part)).collect();
        assert_eq!(expected.difference(&there).count(), 0, "round {round}: nothing accepted is lost");
        // An acceptance that was not told, and a loss that was told and not done.
        expected.extend(there);
        let released = ledger.released(1_000).await.unwrap();
        contents.discard(released.clone()).await.unwrap();
        ledger.discarded(released).await.unwrap();
        contents.collect().await.unwrap();
        let found = contents.verify().await.unwrap();
        assert_eq!((found.contents, found.lost_contents), (entries.len() as u64, 0));
        assert_eq!(found.damaged, []);
        assert_eq!(contents.collect().await.unwrap().collected, 0);
    }
    assert!(expected.len() > 100 && in_doubt.len() > 20);
}

fn hex(part: PartHash) -> String {
    part.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
