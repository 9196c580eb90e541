//! The relay's end: open streams are told, nothing is left running, and the store is free again.

use std::time::Instant;

use sealpost_api::v1::{self, delivery_router_client::DeliveryRouterClient, events_client::EventsClient};
use sealpost_core::conformance::Agent;
use sealpost_protocol::ErrorCode;
use sealpost_relay::{Relay, limits};
use tokio::net::TcpStream;
use tonic::{Request, Status, metadata::MetadataMap};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::{
    session::Session,
    test_relay::{TestRelay, config, send_raw},
    websocket::{close_frame, subscribe},
    wire::Wire,
};

fn request<T>(session: &Session, path: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(session.headers("POST", path));
    request
}

fn code(refusal: &Status) -> &str {
    refusal.metadata().get("sealpost-code").unwrap().to_str().unwrap()
}

#[tokio::test]
async fn whoever_waits_is_told_and_the_relay_does_not_wait_for_them() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let (follow, subscribe_path) = ("/sealpost.v1.DeliveryRouter/Follow", "/sealpost.v1.Events/Subscribe");
    let mut router = DeliveryRouterClient::new(relay.channel().await);
    let mut mail = router.follow(request(&alice, follow, v1::FollowRequest::default())).await.unwrap().into_inner();
    let mut events = EventsClient::new(relay.channel().await);
    let changes = request(&alice, subscribe_path, v1::SubscribeRequest::default());
    let mut changes = events.subscribe(changes).await.unwrap().into_inner();
    let socket = subscribe(&alice, 0).await;
    let channel = relay.channel().await;
    let wire = Wire::Grpc(channel.clone());
    let grpc_reader = {
        let (wire, alice) = (wire.clone(), alice.clone());
        let wait = v1::ReceiveRequest { wait_ms: 50_000, ..Default::default() };
        tokio::spawn(async move { wire.ask(&alice, wait).await.unwrap_err().code })
    };
    let rest_reader = {
        let headers = alice.headers("GET", "/messaging/receive");
        tokio::spawn(async move { send_raw(&channel, "GET", "/messaging/receive?wait_ms=50000", headers, "").await })
    };
    wire.ask(&alice, v1::ReceiveRequest::default()).await.unwrap(); // answered when those before it have begun
    let address = relay.relay.address();

    let begin = Instant::now();
    relay.relay.stop().await;
    assert!(begin.elapsed() < limits::SHUTDOWN_GRACE, "{:?}", begin.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    let next = Relay::start_with_clock(config(&relay.data_dir), relay.clock.clone()).await;
    assert!(next.is_ok(), "nothing holds the store any more");
    assert_eq!(code(&mail.message().await.unwrap_err()), "unavailable");
    assert_eq!(code(&changes.message().await.unwrap_err()), "unavailable");
    let frame = close_frame(socket).await.unwrap();
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1013, "unavailable"));
    assert_eq!(grpc_reader.await.unwrap(), ErrorCode::Unavailable);
    assert_eq!(rest_reader.await.unwrap().headers()["sealpost-code"], "unavailable");
}

#[tokio::test]
async fn a_client_that_keeps_its_connection_does_not_hold_up_the_end() {
    let relay = TestRelay::start().await;
    let alice = relay.session(&Agent::alice()).await;
    let (silent, idle) = (TcpStream::connect(relay.relay.address()).await.unwrap(), relay.grpc().await);
    idle.ask(&alice, v1::ReceiveRequest::default()).await.unwrap();
    let begin = Instant::now();
    relay.relay.stop().await;
    assert!(begin.elapsed() < limits::SHUTDOWN_GRACE);
    drop(silent);
}

#[tokio::test]
async fn a_relay_that_has_stopped_can_be_started_again_where_it_was() {
    let relay = TestRelay::start().await;
    let alice = relay.member(&Agent::alice()).await;
    let (node, before) = (relay.relay.node_id(), relay.view(&[&alice]).await);
    relay.relay.stop().await;

    let relay = TestRelay {
        relay: Relay::start_with_clock(config(&relay.data_dir), relay.clock.clone()).await.unwrap(),
        ..relay
    };
    let relay = TestRelay { origin: format!("http://{}", relay.relay.address()), ..relay };
    assert_eq!(relay.relay.node_id(), node);
    let alice = relay.session(&Agent::alice()).await;
    assert_eq!(relay.view(&[&alice]).await, before);
}

#[tokio::test]
async fn a_watch_over_the_relay_s_health_ends_with_it() {
    let relay = TestRelay::start().await;
    let mut health = HealthClient::new(relay.channel().await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let begin = Instant::now();
    relay.relay.stop().await;
    assert!(begin.elapsed() < limits::SHUTDOWN_GRACE, "{:?}", begin.elapsed());
}
