//! A content of any length under each of the four schemes: sealed, stored by the relay, and opened.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests: the first surprise ends them")]

use std::{
    io::Read,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use sealpost_agent::{InboxMessage, Outgoing, OutgoingScheme, SendOutcome, Streamed};
use sealpost_crypto::{Content, Payload, limits};
use sealpost_protocol::limits as wire;
use sealpost_tests::{SdkAgent, TestRelay, within};
use tokio::runtime::Runtime;

/// After this much time no further case begins.
const ENOUGH: Duration = Duration::from_secs(14);

/// Where what is stored, sealed or sent changes its form: blocks of the smallest class, what a handle and one list name,
/// chunks of a body, the next class of blocks, what is inline, and pieces.
const EDGES: [usize; 9] = [
    limits::SHORTEST_PADDED,
    1 << 10,
    8 << 10,
    16 << 10,
    limits::BODY_CHUNK,
    256 << 10,
    limits::CONTENT,
    wire::BODY_PIECE as usize,
    2 * wire::BODY_PIECE as usize,
];

/// Sealing adds so much at most to what is not large.
const ADDED: usize = 700;

fn any_length() -> impl Strategy<Value = usize> {
    let near = |edge: usize| edge.saturating_sub(ADDED)..=edge + 2;
    let exactly = |edge: usize| edge.saturating_sub(1)..=edge + 1;
    let edges = prop::sample::select(EDGES.as_slice());
    prop_oneof![
        4 => edges.clone().prop_flat_map(near),
        2 => edges.prop_flat_map(exactly),
        1 => 0_usize..100,
        3 => 0_usize..100_000,
        1 => 100_000_usize..3_000_000,
    ]
}

struct Pair {
    relay: TestRelay,
    alice: SdkAgent,
    bob: SdkAgent,
    schemes: Vec<(OutgoingScheme, Vec<sealpost_protocol::AgentId>)>,
}

impl Pair {
    async fn new() -> Self {
        let relay = TestRelay::start().await;
        let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
        let group = alice.create_group("team", &[bob.id()]).await.unwrap().group.id;
        bob.sync_inbox().await;
        let schemes = vec![
            (OutgoingScheme::None, vec![bob.id()]),
            (OutgoingScheme::SharedKey(group), vec![]),
            (OutgoingScheme::RecipientKeys, vec![bob.id()]),
            (OutgoingScheme::Ratchet, vec![bob.id()]),
        ];
        Self { relay, alice, bob, schemes }
    }

    /// Sends a content under each scheme, and compares what arrives.
    async fn carries(&self, content: &[u8], is_streamed: bool) {
        for (scheme, to) in &self.schemes {
            let sent = if is_streamed || content.len() > limits::CONTENT {
                let streamed = Streamed::new(content, Some(content.len() as u64));
                within("a body sent", self.alice.send_streamed(Outgoing::to(&**to, streamed).under(*scheme))).await
            } else {
                let payload = Payload::new(Content::bytes(content.to_vec()).unwrap());
                within("a message sent", self.alice.send(Outgoing::to(&**to, payload).under(*scheme))).await
            };
            let sent = sent.unwrap();
            assert!(matches!(sent.outcome, SendOutcome::Accepted(_)), "{:?}", sent.outcome);
            let messages = within("what was sent", self.bob.sync_inbox()).await;
            let [message] = messages.as_slice() else { panic!("{} messages under {scheme:?}", messages.len()) };
            assert_eq!(message.scheme.scheme(), scheme.scheme());
            assert!(self.read(message).await == content, "{} bytes under {scheme:?}", content.len());
            self.bob.take(&[message.message]).await.unwrap();
            within("the acknowledgement", self.bob.give_receipts()).await.unwrap();
            let status = within("a status", self.alice.status(sent.id)).await.unwrap();
            assert!(status.deliveries.iter().all(|delivery| delivery.status.acknowledged_at.is_some()), "{status:?}");
        }
    }

    async fn read(&self, message: &InboxMessage) -> Vec<u8> {
        if let Some(payload) = message.payload() {
            return payload.content.as_bytes().to_vec();
        }
        let mut read = Vec::new();
        self.bob.open_body(&message.message).await.unwrap().unwrap().read_to_end(&mut read).unwrap();
        read
    }
}

#[test]
fn a_content_of_any_length_comes_back_under_each_scheme() {
    let runtime = Runtime::new().unwrap();
    let pair = runtime.block_on(Pair::new());
    let (begun, mut carried) = (Instant::now(), Vec::new());
    let cases = std::cell::RefCell::new(&mut carried);
    let config = Config { cases: 64, max_shrink_iters: 12, failure_persistence: None, ..Config::default() };
    let outcome =
        TestRunner::new(config).run(&(any_length(), any::<bool>(), any::<u8>()), |(length, is_streamed, seed)| {
            if begun.elapsed() < ENOUGH {
                let content: Vec<u8> = (0..length).map(|place| (place % 251) as u8 ^ seed).collect();
                runtime.block_on(pair.carries(&content, is_streamed));
                cases.borrow_mut().push(length);
            }
            Ok(())
        });
    if let Err(TestError::Fail(reason, (length, is_streamed, seed))) = outcome {
        panic!("{length} bytes, streamed: {is_streamed}, seed {seed}: {reason}");
    }
    eprintln!("carried under each scheme: {carried:?}");
    assert!(carried.len() >= 5, "{carried:?}: too few to say anything");
    drop(pair.relay);
}
