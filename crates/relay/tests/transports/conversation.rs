//! What goes right, so that refusals mean something: the same conversation over each pair of transports.

use sealpost_api::v1;
use sealpost_core::conformance::{Agent, Letter, ReceiptBook};
use sealpost_protocol::{Verdict, encoding::Encode};
use serde_json::{Value, json};

use super::{
    ask::Ask,
    session::Session,
    test_relay::{TestRelay, send_request},
    wire::Wire,
};

/// Asks over both transports, which must say the same.
pub(crate) async fn ask_both(wires: &[Wire; 2], session: &Session, ask: impl Into<Ask>) -> Value {
    let ask = ask.into();
    let answers = [wires[0].ask(session, ask.clone()).await.unwrap(), wires[1].ask(session, ask).await.unwrap()];
    assert_eq!(answers[0], answers[1]);
    answers[0].clone()
}

#[tokio::test]
async fn a_message_goes_from_one_agent_to_another_over_either_transport() {
    let relay = TestRelay::start().await;
    let wires = relay.wires().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let bobs_agent = Agent::bob();
    let mut book = ReceiptBook::new(&bobs_agent);
    for (number, (sending, receiving)) in [(&wires[0], &wires[1]), (&wires[1], &wires[0])].into_iter().enumerate() {
        let claim = v1::ClaimPrekeyBundleRequest { agent_id: Agent::bob().id().to_string(), claim_id: vec![1; 16] };
        let bundle = ask_both(&wires, &alice, claim).await;
        assert_ne!(bundle["one_time_kem"], "", "the same claim, the same keys");

        let letter = Letter::new(&Agent::alice(), &[&bobs_agent]).number(1 + number as u64).body(b"sealed for all");
        sending.ask(&alice, send_request(&letter)).await.unwrap();

        let page = receiving.ask(&bob, v1::ReceiveRequest::default()).await.unwrap();
        let received: v1::ReceiveResponse = serde_json::from_value(page).unwrap();
        let [entry] = received.entries.as_slice() else { panic!("{received:?}") };
        assert_eq!(entry.header, letter.header().to_bytes());
        assert_eq!(entry.envelope, letter.envelope(Agent::bob().id()));
        assert_eq!(received.prekeys, Some(v1::PrekeyCounts { one_time_curve: 4, one_time_kem: 4 }));

        let message = letter.message();
        let (sender, message_id) = (message.sender.to_string(), message.id.to_string());
        let body = v1::GetBodyRequest { sender: sender.clone(), message_id: message_id.clone(), offset: 7 };
        assert_eq!(ask_both(&wires, &bob, body).await, json!({ "body": "Zm9yIGFsbA==", "offset": 7, "length": 14 }));

        let batch = book.sign(vec![letter.receipt(&bobs_agent, Verdict::Stored)]);
        let countersigned = receiving.ask(&bob, v1::AcknowledgeRequest { receipts: batch.to_bytes() }).await.unwrap();
        assert_eq!(countersigned["number"], json!(number + 1));
        book.enter(&batch);

        let status = v1::GetStatusRequest { sender: String::new(), message_id };
        let status = ask_both(&wires, &alice, status).await;
        assert_eq!(status["deliveries"][0]["state"], "delivered");
        let events = ask_both(&wires, &alice, v1::ListEventsRequest::default()).await;
        assert_eq!(events["events"][number]["type"], "message:delivered");
    }
}

#[tokio::test]
async fn a_reader_who_waits_gets_what_arrives_meanwhile() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    for (number, wire) in relay.wires().await.into_iter().enumerate() {
        let letter = Letter::new(&Agent::alice(), &[&Agent::bob()]).number(number as u64);
        let waiting = v1::ReceiveRequest { after: number as u64, wait_ms: 50_000, ..Default::default() };
        let (page, sent) = tokio::join!(wire.ask(&bob, waiting), wire.ask(&alice, send_request(&letter)));
        assert!(sent.is_ok());
        assert_eq!(page.unwrap()["entries"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_follower_gets_what_waits_and_what_arrives() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (relay.member(&Agent::alice()).await, relay.member(&Agent::bob()).await);
    let wire = relay.rest();
    let letter = |number| Letter::new(&Agent::alice(), &[&Agent::bob()]).number(number);
    wire.ask(&alice, send_request(&letter(1))).await.unwrap();

    let mut request = tonic::Request::new(v1::FollowRequest::default());
    let headers = bob.headers("POST", "/sealpost.v1.DeliveryRouter/Follow");
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
    let mut client = v1::delivery_router_client::DeliveryRouterClient::new(relay.channel().await);
    let mut mail = client.follow(request).await.unwrap().into_inner();
    for number in 1..=3 {
        let page = mail.message().await.unwrap().unwrap();
        let headers: Vec<_> = page.entries.iter().map(|entry| entry.header.clone()).collect();
        assert_eq!(headers, [letter(number).header().to_bytes()]);
        wire.ask(&alice, send_request(&letter(number + 1))).await.unwrap();
    }
}
