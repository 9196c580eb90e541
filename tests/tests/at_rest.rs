//! What lies in a relay's data directory: nothing that can be read, and after the end of a message's life nothing that it
//! could be rebuilt from. The message is of the scheme `none`: its content is sealed by nobody.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{collections::HashSet, fs, net::TcpListener, path::Path, time::Duration};

use sealpost_agent::SystemClock;
use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, Attempt, BodyAccess, BodyDescription, Clock, Header, HeaderFields, MessageClass, MessageId, MessageRef,
    PartHash, Priority, ReceiptBatch, ReceiptHead, ReceiptLeaf, Recipients, Scheme, SenderSeal, SignedPart, Signer,
    Verdict, encoding::Encode,
};
use sealpost_relay::Operations;
use sealpost_tests::{
    Home, PATIENCE, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, log_in},
};

/// Bytes that a run must have to count as found.
const RUN: usize = 16;

struct Party {
    agent: PlainAgent,
    carrier: Grpc,
}

impl Party {
    async fn published(relay: &TestRelay) -> Self {
        let agent = PlainAgent::new();
        let mut carrier: Grpc = log_in(&relay.origin(), &agent.identity).await;
        carrier.upload_prekeys(agent.prekeys()).await.unwrap();
        Self { agent, carrier }
    }

    /// Publishes a content for one reader; returns its header and part.
    async fn announce(&mut self, reader: AgentId, content: &[u8], life: Duration) -> (Header, Vec<u8>) {
        let now = SystemClock.now();
        let random = std::array::from_fn(|_| fastrand::u8(..));
        let header = Header::new(HeaderFields {
            message: MessageRef { sender: self.agent.id(), id: MessageId::new(now, random) },
            recipients: Recipients::new(vec![reader]).unwrap(),
            scheme: Scheme::None,
            class: MessageClass::Ordinary,
            priority: Priority::Normal,
            message_type: None,
            thread: None,
            reply_to: None,
            created: now,
            expires: now.saturating_add(life),
            body: Some(BodyDescription::of(content)),
        })
        .unwrap();
        let seal = SenderSeal::sign(&self.agent.identity, header.hash());
        let envelope = SignedPart { seal, access: BodyAccess::Open }.to_bytes();
        let part = v1::Part { recipient: reader.to_string(), attempt: 1, envelope: envelope.clone() };
        let (header_bytes, body) = (header.as_bytes().to_vec(), Some(content.to_vec()));
        let request =
            v1::SendRequest { header: header_bytes, body, upload_id: None, parts: vec![part], retention: None };
        self.carrier.send(request).await.unwrap();
        (header, envelope)
    }

    async fn receipt(&mut self, header: &Header, envelope: &[u8]) {
        let leaf = ReceiptLeaf {
            message: header.message(),
            attempt: Attempt::FIRST,
            header: header.hash(),
            part: PartHash::of(envelope),
            verdict: Verdict::Stored,
            at: SystemClock.now(),
            blind: [7; 16],
        };
        let signer = &self.agent.identity as &dyn Signer;
        let batch = ReceiptBatch::sign(vec![leaf], 1, ReceiptHead::NO_ROOT, signer).unwrap();
        self.carrier.acknowledge(batch.to_bytes()).await.unwrap();
    }

    async fn body(&mut self, message: MessageRef) -> Option<Vec<u8>> {
        let request = v1::GetBodyRequest {
            sender: message.sender.to_string(),
            message_id: message.id.to_string(),
            ..Default::default()
        };
        self.carrier.body(request).await.ok()
    }
}

/// A text of which no two runs are alike.
fn announcement(bytes: usize) -> Vec<u8> {
    (0..).flat_map(|line: u32| format!("public announcement, line {line:06}\n").into_bytes()).take(bytes).collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(path).unwrap()] }).collect()
}

fn has_a_run_of(content: &[u8], files: &[Vec<u8>]) -> bool {
    let runs: HashSet<&[u8]> = content.windows(RUN).collect();
    files.iter().any(|file| file.windows(RUN).any(|window| runs.contains(window)))
}

/// Every run of every block that a message has for itself: of data, of lists, and its own random ones.
async fn runs_of_blocks(data_dir: &Path, message: MessageId) -> HashSet<[u8; RUN]> {
    let operations = Operations::looking(data_dir).await.unwrap();
    let contents = operations.contents_of(message).await.unwrap();
    assert!(contents.iter().all(|content| content.policy == "fresh") && contents.iter().any(|content| content.is_cbl));
    let mut runs = HashSet::new();
    for content in contents {
        let byte = |place: usize| u8::from_str_radix(&content.handle[place..place + 2], 16).unwrap();
        let handle: Vec<u8> = (0..content.handle.len()).step_by(2).map(byte).collect();
        assert!(operations.rebuild(handle.clone()).await.unwrap().is_some());
        let blocks = operations.blocks_of(handle).await.unwrap().unwrap();
        runs.extend(blocks.iter().flat_map(|block| block.as_chunks().0));
    }
    runs
}

/// How many of them are in the files.
fn found(runs: &HashSet<[u8; RUN]>, files: &[Vec<u8>]) -> usize {
    let windows = files.iter().flat_map(|file| file.windows(RUN)).filter_map(|window| window.first_chunk::<RUN>());
    windows.filter(|window| runs.contains(*window)).collect::<HashSet<_>>().len()
}

#[tokio::test]
async fn nothing_that_a_relay_keeps_can_be_read_in_its_data_directory() {
    let mut relay = TestRelay::start().await;
    let (mut alice, mut bob) = (Party::published(&relay).await, Party::published(&relay).await);
    let content = announcement(200_000);
    assert!(has_a_run_of(&content, &[content[100_000..100_016].to_vec()]), "the search finds what is there");
    let (header, _) = alice.announce(bob.agent.id(), &content, Duration::from_secs(3_600)).await;
    assert_eq!(bob.body(header.message()).await.as_deref(), Some(content.as_slice()));
    relay.kill().await;
    let kept = files(&relay.data_dir());
    assert!(kept.iter().map(Vec::len).sum::<usize>() > 2 * content.len(), "it is there, twice as long");
    assert!(!has_a_run_of(&content, &kept));
}

#[tokio::test]
async fn after_its_life_nothing_is_left_to_rebuild_a_message_from() {
    let mut relay = TestRelay::start().await;
    let (mut alice, mut bob) = (Party::published(&relay).await, Party::published(&relay).await);
    let content = announcement(20_000);
    let life = Duration::from_secs(20);
    let (header, envelope) = alice.announce(bob.agent.id(), &content, life).await;
    bob.receipt(&header, &envelope).await;
    assert!(bob.body(header.message()).await.is_some(), "received, and kept to the end of its life");
    relay.kill().await;
    let runs = runs_of_blocks(&relay.data_dir(), header.message().id).await;
    assert_eq!(found(&runs, &files(&relay.data_dir())), runs.len(), "this is what it is rebuilt from");

    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    tokio::time::sleep(header.fields().expires.since(SystemClock.now())).await;
    relay.restart_with(&["--admin-listen", &address]).await;
    let home = Home::new(relay.origin());
    let ask = ["blocks", "url", &header.message().id.to_string(), "--json", "--admin", &address];
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while found(&runs, &files(&relay.data_dir())) > 0 {
        assert!(tokio::time::Instant::now() < deadline, "its blocks are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(home.run(ask).await.err.contains("nothing of this message is kept"));
    relay.kill().await;
}
