//! How fast the embedded ledger accepts, hands over and receipts messages of 1 KiB, durable before each answer.
//!
//! `cargo bench -p sealpost-storage --bench ledger [-- FOLDER]` works in a new directory inside FOLDER (default: the
//! target directory, which must be a real disk for the figures to mean anything). Compare with the first rows: what the
//! disk does, with 64 records appended per flush, and what SQLite does with one table, one index and 64 rows per
//! commit. Whatever the disk, it ends within two minutes: each measurement stops after [`AT_MOST`], and says what it got to.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::{
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use sealpost_core::{
    conformance::Agent,
    ports::{Acceptance, BodyQuota, ContentHandle, ContentsMark, Ledger, PageQuery, Prekeys, StoredPart},
};
use sealpost_protocol::{
    AgentId, Attempt, Header, HeaderFields, MessageClass, MessageId, MessageRef, PartHash, Priority, Recipients,
    Retention, Scheme, Timestamp,
};
use sealpost_storage::Embedded;
use tokio::task::JoinSet;

const CALLERS: usize = 64;
const MESSAGES: usize = 128_000;
const AGENTS: u64 = 2_000;
/// How long one of the measurements runs at most.
const AT_MOST: Duration = Duration::from_secs(15);
const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

fn main() {
    let folder = env::args().skip(1).find(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let directory = tempfile::tempdir_in(folder).unwrap();
    disk(directory.path());
    sqlite(directory.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let embedded = Embedded::open(&directory.path().join("relay")).unwrap();
        accept(embedded.ledger(), "accept, 1 caller", vec![messages(0..MESSAGES / 32, 0, 1)]).await;
        let shares = (0..CALLERS).map(|caller| messages(MESSAGES..2 * MESSAGES, caller, CALLERS));
        let accepted = accept(embedded.ledger(), "accept, 64 callers", shares.collect()).await;
        accept(embedded.ledger(), "accept again, 64 callers", accepted).await;
        hand_over(embedded.ledger()).await;
        known(embedded.prekeys()).await;
    });
}

/// The limit: 64 records of 1 KiB per flush.
fn disk(directory: &Path) {
    let mut file = File::create(directory.join("append")).unwrap();
    let group = vec![7; 64 << 10];
    let (watch, mut records) = (Stopwatch::start(), 0);
    while watch.start.elapsed() < Duration::from_secs(2) {
        file.write_all(&group).unwrap();
        file.sync_data().unwrap();
        records += 64;
    }
    watch.report("append and flush by 64", records, Vec::new());
}

/// SQLite's own limit: a body beside a narrow unique index, and nothing else.
fn sqlite(directory: &Path) {
    let mut database = Connection::open(directory.join("plain.sqlite3")).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database.pragma_update(None, "synchronous", "FULL").unwrap();
    database
        .execute_batch(
            "CREATE TABLE mail (id INTEGER PRIMARY KEY, recipient BLOB, seq INTEGER, body BLOB);
             CREATE UNIQUE INDEX by_recipient ON mail (recipient, seq);",
        )
        .unwrap();
    let (watch, mut rows) = (Stopwatch::start(), 0);
    while watch.start.elapsed() < Duration::from_secs(3) {
        let transaction = database.transaction().unwrap();
        for _ in 0..64 {
            let mut insert =
                transaction.prepare_cached("INSERT INTO mail (recipient, seq, body) VALUES (?1, ?2, ?3)").unwrap();
            insert.execute((agent(mixed(rows) % AGENTS).as_bytes(), rows as i64, [7; 1_024])).unwrap();
            rows += 1;
        }
        transaction.commit().unwrap();
    }
    watch.report("SQLite, one index, 64 a commit", rows as usize, Vec::new());
}

/// What one of several callers sends.
fn messages(numbers: std::ops::Range<usize>, caller: usize, callers: usize) -> Vec<Acceptance> {
    numbers.skip(caller).step_by(callers).map(|number| message(number as u64)).collect()
}

/// Each caller sends its share, one message after the other; returns what was accepted of each.
async fn accept(ledger: Arc<dyn Ledger>, name: &str, shares: Vec<Vec<Acceptance>>) -> Vec<Vec<Acceptance>> {
    let mut calling = JoinSet::new();
    let watch = Stopwatch::start();
    for mut share in shares {
        let (ledger, begin) = (Arc::clone(&ledger), watch.start);
        calling.spawn(async move {
            let mut times = Vec::with_capacity(share.len());
            for acceptance in &share {
                let start = Instant::now();
                if begin.elapsed() > AT_MOST {
                    break;
                }
                ledger.accept(acceptance.clone()).await.unwrap();
                times.push(start.elapsed());
            }
            share.truncate(times.len());
            (share, times)
        });
    }
    let (accepted, times): (Vec<_>, Vec<_>) = calling.join_all().await.into_iter().unzip();
    let times = times.concat();
    watch.report(name, times.len(), times);
    accepted
}

/// Pages of 100 entries, each noted as handed over.
async fn hand_over(ledger: Arc<dyn Ledger>) {
    let (watch, mut entries) = (Stopwatch::start(), 0);
    for number in 0..500 {
        if watch.start.elapsed() > AT_MOST {
            break;
        }
        let recipient = agent(AGENTS + number);
        let query = PageQuery { recipient, after: 0, entries: 100, bytes: 2 << 20, now: NOW };
        let page = ledger.page(query).await.unwrap();
        let places = page.iter().map(|entry| entry.mailbox_seq).collect();
        ledger.hand_over(recipient, places, NOW).await.unwrap();
        entries += page.len();
    }
    watch.report("page and hand over, 1 caller", entries, Vec::new());
}

/// What the router asks before it accepts: whether the recipient has published prekeys.
async fn known(prekeys: Arc<dyn Prekeys>) {
    const QUESTIONS: usize = 2_000;
    for number in 0..100 {
        prekeys.publish(Agent::new(number).upload(1, []), NOW).await.unwrap();
    }
    let watch = Stopwatch::start();
    let mut calling = JoinSet::new();
    for caller in 0..CALLERS as u8 {
        let prekeys = Arc::clone(&prekeys);
        let (asked, begin) = ([Agent::new(caller).id()], watch.start);
        calling.spawn(async move {
            let mut questions = 0;
            while questions < QUESTIONS && begin.elapsed() < AT_MOST {
                assert_eq!(prekeys.first_unknown(&asked).await.unwrap(), None);
                questions += 1;
            }
            questions
        });
    }
    let asked = calling.join_all().await.into_iter().sum();
    watch.report("recipient known?, 64 callers", asked, Vec::new());
}

/// A message from anyone to anyone. As from a clock, ids ascend with time: ten messages per millisecond.
fn message(number: u64) -> Acceptance {
    let created = NOW.saturating_add(Duration::from_millis(number / 10));
    let mut random = [0; 10];
    random[2..].copy_from_slice(&mixed(number).to_be_bytes());
    let recipient = agent(AGENTS + mixed(number) % AGENTS);
    let fields = HeaderFields {
        message: MessageRef {
            sender: agent(mixed(number + 1_000_000_007) % AGENTS),
            id: MessageId::new(created, random),
        },
        recipients: Recipients::new(vec![recipient]).unwrap(),
        scheme: Scheme::Ratchet,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created,
        expires: created.saturating_add(Duration::from_secs(3_600)),
        body: None,
    };
    let content = vec![number.to_be_bytes()[7]; 1_024];
    let part = StoredPart {
        recipient,
        attempt: Attempt::FIRST,
        hash: PartHash([7; 32]),
        length: content.len() as u64,
        content: ContentHandle(content),
    };
    let (header, quota) = (Header::new(fields).unwrap(), BodyQuota { uploads: 0, bytes: 0 });
    Acceptance {
        header,
        body: None,
        quota,
        parts: vec![part],
        retention: Retention::UntilDelivered,
        mark: ContentsMark::default(),
        is_complete: true,
        at: NOW,
    }
}

/// An id that looks like a hash: neighbours in number are far apart.
fn agent(number: u64) -> AgentId {
    let mut bytes = [0; 32];
    for (index, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&mixed(number * 4 + index as u64).to_be_bytes());
    }
    AgentId::from_array(bytes)
}

/// The finaliser of SplitMix64: a random-looking number for each number.
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What a row of the report is made of.
struct Stopwatch {
    start: Instant,
    written: Option<u64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { start: Instant::now(), written: written() }
    }

    fn report(self, name: &str, count: usize, mut times: Vec<Duration>) {
        times.sort_unstable();
        let percentile = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        let rate = count as f64 / self.start.elapsed().as_secs_f64();
        let bytes = self.written.zip(written()).map_or(0, |(before, after)| (after - before) / count.max(1) as u64);
        println!(
            "{name:30} {rate:>9.0} /s   p50 {:>9.1?}   p99 {:>9.1?}   {bytes:>6} bytes written for each",
            percentile(50),
            percentile(99)
        );
    }
}

/// How many bytes this process has sent towards the disk, where the system tells.
fn written() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/self/io").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}
