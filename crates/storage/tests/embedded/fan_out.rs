//! A message to a thousand recipients: what else is accepted meanwhile, and what a process leaves that is killed in it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sealpost_core::{
    PageRequest, Ports, Principal, Services,
    conformance::{Agent, HandClock, Letter},
    memory::{MemoryPrekeys, MemoryRevocations},
    ports::{ContentPolicy, Contents, Ledger},
};
use sealpost_storage::Embedded;

/// Set for the child: the data directory.
const DIRECTORY: &str = "SEALPOST_STORAGE_FAN_OUT_DIRECTORY";
/// Recipients of one message: as many as there may be.
const RECIPIENTS: u32 = 1_000;
/// Kills, at moments spread over the time that one message takes.
const KILLS: u32 = 8;

struct Relay {
    services: Arc<Services>,
    ledger: Arc<dyn Ledger>,
}

impl Relay {
    async fn open(directory: &Path, recipients: &[Agent]) -> Self {
        let storage = Embedded::open(directory).unwrap();
        let (clock, node) = (Arc::<HandClock>::default(), Arc::new(Agent::new(0x0d)));
        let ports = Ports {
            ledger: storage.ledger(),
            contents: storage.open_contents(node.clone(), clock.clone()).await.unwrap(),
            prekeys: Arc::<MemoryPrekeys>::default(),
            revocations: Arc::<MemoryRevocations>::default(),
            clock: clock.clone(),
            monotonic: clock,
            node,
        };
        let (ledger, services) = (Arc::clone(&ports.ledger), Arc::new(Services::new(ports)));
        for agent in recipients {
            services.key_agreement.publish(&principal(agent), agent.upload(1, [])).await.unwrap();
        }
        Self { services, ledger }
    }

    /// Returns how long it took.
    async fn send(&self, sender: &Agent, letter: &Letter) -> Duration {
        let submission = letter.submission();
        let begun = Instant::now();
        self.services.delivery_router.send(&principal(sender), submission).await.unwrap();
        begun.elapsed()
    }

    /// How many messages wait for this agent.
    async fn waiting(&self, agent: &Agent) -> usize {
        let page = self.services.mailboxes.receive(&principal(agent), PageRequest::default(), &()).await.unwrap();
        page.entries.len()
    }
}

fn principal(agent: &Agent) -> Principal {
    Principal::authenticated(agent.id())
}

fn recipients() -> Vec<Agent> {
    (0..RECIPIENTS).map(Agent::numbered).collect()
}

fn to_all(recipients: &[Agent], number: u64) -> Letter {
    Letter::new(&Agent::alice(), &recipients.iter().collect::<Vec<_>>()).number(number).ciphertext(1_024)
}

/// What a query counts in the file of a relay that does not run.
fn count(directory: &Path, query: &str) -> usize {
    let database = rusqlite::Connection::open(Embedded::open(directory).unwrap().path()).unwrap();
    let counted: u32 = database.query_row(query, [], |row| row.get(0)).unwrap();
    usize::try_from(counted).unwrap()
}

fn rows(directory: &Path, table: &str) -> usize {
    count(directory, &format!("SELECT count(*) FROM {table}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_one_are_accepted_while_one_to_a_thousand_is_under_way() {
    const ROUNDS: u64 = 6;
    let directory = tempfile::tempdir().unwrap();
    let mut agents = recipients();
    agents.push(Agent::carol());
    let relay = Arc::new(Relay::open(directory.path(), &agents).await);
    let (mut latencies, mut durations) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let letter = to_all(&agents[..agents.len() - 1], round);
        let sending = tokio::spawn({
            let relay = Arc::clone(&relay);
            async move { relay.send(&Agent::alice(), &letter).await }
        });
        while !sending.is_finished() {
            let number = latencies.len() as u64;
            let letter = Letter::new(&Agent::bob(), &[&Agent::carol()]).number(number).ciphertext(1_024);
            latencies.push(relay.send(&Agent::bob(), &letter).await);
        }
        durations.push(sending.await.unwrap());
    }
    latencies.sort_unstable();
    durations.sort_unstable();
    let (median, worst) = (latencies[latencies.len() / 2], latencies[latencies.len() - 1]);
    println!("to one: {} accepted, median {median:?}, worst {worst:?}; to all: {durations:?}", latencies.len());
    // In one transaction with all of it, each round has one, and now and then a second that came after the commit.
    let accepted = latencies.len() as u64;
    assert!(accepted >= 4 * ROUNDS, "{accepted} messages to one were accepted beside {ROUNDS} to all");
}

/// The child: says which message it begins, and sends it. Not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let recipients = recipients();
    let relay = Relay::open(Path::new(&directory), &recipients).await;
    let accepted = relay.waiting(&recipients[0]).await as u64;
    for number in accepted..u64::MAX {
        let letter = to_all(&recipients, number);
        writeln!(std::io::stdout(), "\nsending {number}.").unwrap();
        relay.send(&Agent::alice(), &letter).await;
    }
}

/// Runs the child, and kills it so long after it has said that it begins its second message. Returns the number of the last
/// one that it has said to begin.
async fn kill_child(directory: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fan_out::child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| Some(line.strip_prefix("sending ")?.strip_suffix('.')?.parse::<u64>().unwrap());
    let mut begun = lines.map_while(Result::ok).filter_map(number);
    begun.next().unwrap();
    let mut last = begun.next().unwrap();
    tokio::time::sleep(after).await;
    child.kill().unwrap();
    child.wait().unwrap();
    for further in begun {
        last = further;
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_in_a_message_to_a_thousand_has_sent_it_to_all_or_to_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let recipients = recipients();
    let (mut interrupted, mut accepted) = (0, 0);
    for kill in 0..KILLS {
        let last = kill_child(directory.path(), Duration::from_millis(u64::from(kill) * 9)).await;
        let was_under_way = rows(directory.path(), "fan_outs") == 1;
        interrupted += usize::from(was_under_way);
        let relay = Relay::open(directory.path(), &recipients).await;
        let letter = to_all(&recipients, last);
        let records = relay.ledger.records(letter.message()).await.unwrap();
        assert!(records.is_empty() || !was_under_way && records.len() == recipients.len(), "{}", records.len());
        relay.services.expiry.sweep().await.unwrap();
        relay.send(&Agent::alice(), &letter).await;
        accepted = usize::try_from(last).unwrap() + 1;
        for agent in [&recipients[0], &recipients[500], &recipients[999]] {
            assert_eq!(relay.waiting(agent).await, accepted, "each message once");
        }
    }
    println!("{interrupted} of {KILLS} kills came between the parts");
    assert!(interrupted > 0, "no kill came between the parts of a message");
    let expected = accepted * recipients.len();
    assert_eq!(["deliveries", "parts", "fan_outs"].map(|table| rows(directory.path(), table)), [expected, expected, 0]);
    let counted = count(directory.path(), "SELECT sum(messages) FROM mailboxes");
    assert_eq!(counted, expected, "no mailbox counts what is not in it");
}

#[tokio::test]
async fn what_is_left_of_a_message_to_many_is_collected_by_the_first_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let recipients: Vec<_> = (0..200).map(Agent::numbered).collect();
    let letter = to_all(&recipients, 1);
    {
        let storage = Embedded::open(directory.path()).unwrap();
        let contents = storage.open_contents(Arc::new(Agent::new(0x0d)), Arc::<HandClock>::default()).await.unwrap();
        let mut first = letter.acceptance();
        first.parts.truncate(150);
        let bytes = first.parts.iter().map(|part| letter.envelope(part.recipient)).collect();
        let stored = contents.append(ContentPolicy::Pooled, bytes).await.unwrap();
        for (part, handle) in first.parts.iter_mut().zip(stored.handles) {
            part.content = handle;
        }
        first.mark = stored.mark;
        storage.ledger().begin_fan_out(first).await.unwrap();
    }
    let relay = Relay::open(directory.path(), &recipients).await;
    relay.services.expiry.sweep().await.unwrap();
    assert_eq!(relay.ledger.released(10).await.unwrap(), [], "discarded, not only released");
    drop(relay);
    for table in ["fan_outs", "deliveries", "parts", "messages"] {
        assert_eq!(rows(directory.path(), table), 0, "{table}");
    }
}
