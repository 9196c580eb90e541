//! The three scenarios of the main job, by a client that has nothing but the documented interface: first contact while the
//! recipient is offline, the reply, and the refusal of strangers. Each is written once and run over gRPC, and over REST with
//! WebSocket.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests: the first surprise ends them"
)]

use futures::StreamExt;
use sealpost_api::v1;
use sealpost_protocol::{
    AgentId, ErrorCode, IdentityKey, MessageId, ReceiptProof, Signature, Signer, SigningInput, Verdict,
    encoding::{Decode, Encode},
};
use sealpost_tests::{
    TestRelay,
    plain::{Carrier, Credentials, Events, Grpc, Opened, PlainAgent, ProofKey, Rest, log_in, sign_claim},
    within,
};

/// Runs each scenario over each transport.
macro_rules! over_each_transport {
    ($($scenario:ident),+ $(,)?) => {
        mod over_grpc {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<super::Grpc>().await;
            })+
        }

        mod over_rest_and_websocket {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<super::Rest>().await;
            })+
        }
    };
}

over_each_transport!(
    a_first_message_reaches_a_recipient_who_was_offline,
    a_reply_comes_back_in_the_session_of_the_first_message,
    a_stranger_is_refused,
    a_mailbox_opens_to_its_owner_only,
    nobody_speaks_in_the_name_of_another,
);

/// An agent with a connection.
struct Party<C> {
    agent: PlainAgent,
    carrier: C,
}

impl<C: Carrier> Party<C> {
    /// A new agent that has published its prekeys.
    async fn published(relay: &TestRelay) -> Self {
        let agent = PlainAgent::new();
        let mut carrier: C = log_in(&relay.origin(), &agent.identity).await;
        let counts = carrier.upload_prekeys(agent.prekeys()).await.unwrap();
        assert_eq!(counts, v1::PrekeyCounts { one_time_curve: 3, one_time_kem: 3 });
        Self { agent, carrier }
    }

    fn id(&self) -> AgentId {
        self.agent.id()
    }

    /// Opens a session to `peer` and sends a first message in it.
    async fn contact(&mut self, peer: AgentId, text: &str) -> MessageId {
        let bundle = self.carrier.claim_bundle(peer, [1; 16]).await.unwrap();
        self.agent.open_session(peer, bundle);
        self.send(peer, text).await
    }

    async fn send(&mut self, peer: AgentId, text: &str) -> MessageId {
        let (id, request) = self.agent.seal(peer, text);
        self.carrier.send(request).await.unwrap();
        id
    }

    /// The one message that waits.
    async fn receive(&mut self) -> Opened {
        let page = self.carrier.receive(v1::ReceiveRequest { wait_ms: 10_000, ..Default::default() }).await.unwrap();
        let [entry] = page.entries.as_slice() else { panic!("{} messages wait", page.entries.len()) };
        self.agent.open(entry)
    }

    /// Tells the relay, and with it the sender, what became of a message.
    async fn say(&mut self, relay: &TestRelay, opened: &Opened, verdict: Verdict) {
        let batch = self.agent.sign_receipt(opened, verdict);
        let answer = self.carrier.acknowledge(batch.to_bytes()).await.unwrap();
        let head = batch.signed_head().head;
        let countersignature = Signature(answer.countersignature.try_into().unwrap());
        assert_eq!(answer.number, head.number);
        assert_eq!(head.verify_countersignature(&relay.node_id(), &countersignature), Ok(()));
    }

    /// How a message that it sent stands with its one recipient.
    async fn status(&mut self, id: MessageId) -> v1::DeliveryStatus {
        let request = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
        let mut deliveries = self.carrier.status(request).await.unwrap();
        assert_eq!(deliveries.len(), 1);
        deliveries.remove(0)
    }
}

/// The next event; what led from one state to the next between two looks may be missing, and is passed over.
async fn await_event(events: &mut Events, kind: &str, id: MessageId) -> v1::Event {
    within(kind, async {
        loop {
            let event = events.next().await.expect("the events go on");
            assert_eq!(event.message_id, id.to_string());
            if event.r#type == kind {
                return event;
            }
        }
    })
    .await
}

async fn a_first_message_reaches_a_recipient_who_was_offline<C: Carrier>() {
    let relay = TestRelay::start().await;
    let mut alice = Party::<C>::published(&relay).await;
    let Party { agent: bob, carrier } = Party::<C>::published(&relay).await;
    drop(carrier);

    let id = alice.contact(bob.id(), "are you there?").await;
    let mut heard = alice.carrier.subscribe(0).await.unwrap();
    assert_eq!(await_event(&mut heard, "message:sent", id).await.recipient, bob.id().to_string());
    assert_eq!(alice.status(id).await.state, "pending");

    let mut bob = Party { carrier: log_in::<C>(&relay.origin(), &bob.identity).await, agent: bob };
    let mut arriving = bob.carrier.subscribe(0).await.unwrap();
    assert_eq!(await_event(&mut arriving, "message:sent", id).await.sender, alice.id().to_string());
    let opened = bob.receive().await;
    assert_eq!((opened.message.sender, opened.message.id, opened.text.as_str()), (alice.id(), id, "are you there?"));
    assert_eq!(alice.status(id).await.state, "in-transit");

    bob.say(&relay, &opened, Verdict::Stored).await;
    await_event(&mut heard, "message:delivered", id).await;
    let delivered = alice.status(id).await;
    assert_eq!((delivered.state.as_str(), delivered.acknowledged_at_ms), ("delivered", None));
    check_receipt(&delivered, &bob.agent.identity.identity_key(), Verdict::Stored);

    bob.say(&relay, &opened, Verdict::Acknowledged).await;
    await_event(&mut heard, "message:acknowledged", id).await;
    let acknowledged = alice.status(id).await;
    assert!(acknowledged.acknowledged_at_ms.is_some());
    check_receipt(&acknowledged, &bob.agent.identity.identity_key(), Verdict::Acknowledged);

    let page = bob.carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
    assert_eq!(page.entries, [], "the mailbox is empty");
    assert_eq!(page.prekeys.unwrap().one_time_curve, 2, "a one-time key was used");
    let events = alice.carrier.list_events(0).await.unwrap();
    let last: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(last, ["message:acknowledged"], "the page shows the last state");
}

/// The recipient's own signed word stands behind the relay's.
fn check_receipt(status: &v1::DeliveryStatus, recipient: &IdentityKey, said: Verdict) {
    let proof = ReceiptProof::from_bytes(&status.receipt).unwrap();
    assert_eq!(proof.leaf.verdict, said);
    assert_eq!(proof.verify(recipient), Ok(()));
}

async fn a_reply_comes_back_in_the_session_of_the_first_message<C: Carrier>() {
    let relay = TestRelay::start().await;
    let (mut alice, mut bob) = (Party::<C>::published(&relay).await, Party::<C>::published(&relay).await);
    alice.contact(bob.id(), "one").await;
    let first = bob.receive().await;
    assert!(first.opened_session);
    bob.say(&relay, &first, Verdict::Stored).await;

    bob.send(alice.id(), "two").await;
    let reply = alice.receive().await;
    assert_eq!((reply.message.sender, reply.text.as_str(), reply.opened_session), (bob.id(), "two", false));
    alice.say(&relay, &reply, Verdict::Stored).await;

    let seen = alice.carrier.list_events(0).await.unwrap().last().expect("what happened so far").seq;
    let mut from_here = alice.carrier.subscribe(seen).await.unwrap();
    let third = alice.send(bob.id(), "three").await;
    assert!(await_event(&mut from_here, "message:sent", third).await.seq > seen, "only what is new is heard");
    let opened = bob.receive().await;
    assert_eq!((opened.text.as_str(), opened.opened_session), ("three", false), "the opening is known to have arrived");
    bob.say(&relay, &opened, Verdict::Acknowledged).await;
    assert_eq!(alice.status(third).await.state, "delivered");
}

async fn a_stranger_is_refused<C: Carrier>() {
    let relay = TestRelay::start().await;
    let origin = relay.origin();
    let (mallory, key) = (PlainAgent::new(), ProofKey::generate());
    let mut carrier = C::dial(&origin).await;
    let nothing = v1::ReceiveRequest::default();
    assert_eq!(carrier.receive(nothing).await.unwrap_err(), ErrorCode::Unauthenticated);
    assert_eq!(carrier.subscribe(0).await.err(), Some(ErrorCode::Unauthenticated));

    let challenge = carrier.challenge().await.unwrap();
    let claim = sign_claim(&mallory.identity, challenge.clone(), &origin, &key);
    let forged = v1::IssueTokenRequest { signature: vec![1; 64], ..claim.clone() };
    assert_eq!(carrier.issue_token(forged).await, Err(ErrorCode::BadSignature));
    let elsewhere = sign_claim(&mallory.identity, challenge.clone(), "http://elsewhere.example:80", &key);
    assert_eq!(carrier.issue_token(elsewhere).await, Err(ErrorCode::Forbidden));
    let other = v1::ChallengeResponse { challenge: vec![0; challenge.challenge.len()], ..challenge };
    let guessed = sign_claim(&mallory.identity, other, &origin, &key);
    assert_eq!(carrier.issue_token(guessed).await, Err(ErrorCode::ChallengeRejected));

    let token = carrier.issue_token(claim.clone()).await.unwrap().token;
    assert_eq!(carrier.issue_token(claim).await, Err(ErrorCode::ChallengeRejected), "a challenge is good for one use");
    carrier.present(Credentials { token: token.clone(), key: None });
    assert_eq!(carrier.receive(nothing).await, Err(ErrorCode::ProofRequired));
    carrier.present(Credentials { token: token.clone(), key: Some(ProofKey::generate()) });
    assert_eq!(carrier.receive(nothing).await, Err(ErrorCode::ProofRequired), "a stolen token is worth nothing");
    carrier.present(Credentials { token: format!("{token}A"), key: Some(key.clone()) });
    assert_eq!(carrier.receive(nothing).await, Err(ErrorCode::Unauthenticated));
    carrier.present(Credentials { token, key: Some(key) });
    assert_eq!(carrier.receive(nothing).await.unwrap().entries, []);
}

async fn a_mailbox_opens_to_its_owner_only<C: Carrier>() {
    let relay = TestRelay::start().await;
    let (mut alice, mut bob) = (Party::<C>::published(&relay).await, Party::<C>::published(&relay).await);
    let mut mallory = Party::<C>::published(&relay).await;
    let id = alice.contact(bob.id(), "for bob").await;

    let page = mallory.carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
    assert_eq!(page.entries, []);
    let (sender, message_id) = (alice.id().to_string(), id.to_string());
    let status = v1::GetStatusRequest { sender: sender.clone(), message_id: message_id.clone() };
    assert_eq!(mallory.carrier.status(status.clone()).await, Err(ErrorCode::NotFound));
    let body = v1::GetBodyRequest { sender, message_id, offset: 0 };
    assert_eq!(mallory.carrier.body(body).await, Err(ErrorCode::NotFound));
    assert_eq!(mallory.carrier.list_events(0).await.unwrap(), []);
    assert_eq!(bob.carrier.status(status).await.unwrap().len(), 1, "the recipient sees its own");

    // Mallory has seen the envelope on its way and says that it was delivered.
    let opened = bob.receive().await;
    let own_word = mallory.agent.sign_receipt(&opened, Verdict::Stored);
    let refused = mallory.carrier.acknowledge(own_word.to_bytes()).await.unwrap().refused;
    let refused: Vec<_> = refused.iter().map(|refused| (refused.index, refused.code.as_str())).collect();
    assert_eq!(refused, [(0, "not-found")]);
    let bobs_word = bob.agent.sign_receipt(&opened, Verdict::Stored);
    assert_eq!(mallory.carrier.acknowledge(bobs_word.to_bytes()).await, Err(ErrorCode::Forbidden));
    assert_eq!(alice.status(id).await.state, "in-transit");
    bob.carrier.acknowledge(bobs_word.to_bytes()).await.unwrap();
    assert_eq!(alice.status(id).await.state, "delivered");
}

async fn nobody_speaks_in_the_name_of_another<C: Carrier>() {
    let relay = TestRelay::start().await;
    let (mut alice, mut bob) = (Party::<C>::published(&relay).await, Party::<C>::published(&relay).await);
    let mut mallory = Party::<C>::published(&relay).await;
    let bundle = alice.carrier.claim_bundle(bob.id(), [1; 16]).await.unwrap();
    alice.agent.open_session(bob.id(), bundle);
    let (_, request) = alice.agent.seal(bob.id(), "from alice");
    assert_eq!(mallory.carrier.send(request.clone()).await, Err(ErrorCode::Forbidden));
    assert_eq!(bob.carrier.receive(v1::ReceiveRequest::default()).await.unwrap().entries, []);

    assert_eq!(mallory.carrier.upload_prekeys(bob.agent.prekeys()).await, Err(ErrorCode::Forbidden));
    let forged = ReceiptForger { pretends: bob.agent.identity.identity_key(), signs: &mallory.agent };
    alice.carrier.send(request).await.unwrap();
    let opened = bob.receive().await;
    let batch = forged.sign(&mut bob.agent, &opened);
    assert_eq!(bob.carrier.acknowledge(batch).await, Err(ErrorCode::BadSignature));

    let unpublished = PlainAgent::new();
    assert_eq!(alice.carrier.claim_bundle(unpublished.id(), [2; 16]).await, Err(ErrorCode::UnknownRecipient));
    assert_eq!(alice.carrier.manifest(unpublished.id()).await, Err(ErrorCode::UnknownRecipient));
    assert!(!alice.carrier.manifest(bob.id()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_agent_whose_receipts_are_further_on_than_the_ledger_is_logged_once_however_often_it_comes() {
    let relay = TestRelay::start().await;
    let mut alice = Party::<Grpc>::published(&relay).await;
    for number in 1..=2 {
        let mut bob = Party::<Grpc>::published(&relay).await;
        alice.contact(bob.id(), "for bob").await;
        let opened = bob.receive().await;
        bob.agent.sign_receipt(&opened, Verdict::Stored);
        for _ in 0..20 {
            let ahead = bob.agent.sign_receipt(&opened, Verdict::Stored);
            let refused = bob.carrier.acknowledge(ahead.to_bytes()).await;
            assert_eq!(refused, Err(ErrorCode::ReceiptsOutOfSequence));
        }
        let log = relay.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("say so with --restored")).collect();
        assert_eq!(lines.len(), number, "{log}");
        assert!(lines.last().is_some_and(|line| line.contains(&bob.id().to_string())), "{log}");
    }
}

/// Signs with one key and says that it is another's.
struct ReceiptForger<'a> {
    pretends: IdentityKey,
    signs: &'a PlainAgent,
}

impl ReceiptForger<'_> {
    /// Receipts that are right in everything but the signature.
    fn sign(&self, recipient: &mut PlainAgent, opened: &Opened) -> Vec<u8> {
        let genuine = recipient.sign_receipt(opened, Verdict::Stored);
        let head = genuine.signed_head().head;
        let leaves = genuine.leaves().to_vec();
        sealpost_protocol::ReceiptBatch::sign(leaves, head.number, head.previous_root, self).unwrap().to_bytes()
    }
}

impl Signer for ReceiptForger<'_> {
    fn identity_key(&self) -> IdentityKey {
        self.pretends
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        self.signs.identity.sign(input)
    }
}
