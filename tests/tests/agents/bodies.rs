//! Contents that travel as bodies: any length, cut off anywhere, by two processes, and from a relay that lies.

mod compressed;
mod damaged;
mod limits_of_uploads;

use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sealpost_agent::{Event, InboxMessage, LocalState, Outgoing, SendError, Sent, Streamed, SyncError};
use sealpost_api::v1;
use sealpost_crypto::{BodySeal, BodySealer, ContentKey, ContentKind, Prelude, SystemPrimitives, limits};
use sealpost_protocol::{AgentId, BodyDescription, ErrorCode, RefusalReason, Verdict, limits as wire};
use sealpost_tests::{BodyAnswer, HandClock, ScriptedRelay, SdkAgent, TestRelay, plain::PlainAgent, within, words};

use super::{assert_accepted, assert_kept, proven_status, relay_behind_proxy};

const DRAFTS: u8 = 6;
const PIECE: usize = wire::BODY_PIECE as usize;

fn content(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

async fn send(alice: &SdkAgent, to: AgentId, content: &[u8], length: Option<usize>) -> Sent {
    let streamed = Streamed::new(content, length.map(|length| length as u64));
    within("a body sent", alice.send_streamed(Outgoing::to([to], streamed))).await.unwrap()
}

/// What a message says, however it came.
async fn read(agent: &SdkAgent, message: &InboxMessage) -> Vec<u8> {
    if let Some(payload) = message.payload() {
        return payload.content.as_bytes().to_vec();
    }
    let (mut body, mut content) = (agent.open_body(&message.message).await.unwrap().unwrap(), Vec::new());
    body.read_to_end(&mut content).unwrap();
    assert_eq!(body.prelude().content_length, content.len() as u64);
    content
}

/// Where the first transfer of a sync goes on; the sync is done when this returns.
async fn resumed_at(agent: &SdkAgent) -> u64 {
    let mut transfers = agent.transfers();
    // What is waited for locks the watch: it must not be kept.
    let first = async { transfers.wait_for(Option::is_some).await.unwrap().unwrap().done };
    let both = async { tokio::join!(first, agent.sync(Duration::ZERO)) };
    let (first, synced) = within("a sync that moves a body", both).await;
    synced.unwrap();
    first
}

#[tokio::test]
async fn a_stream_of_any_length_arrives_and_leaves_nothing_behind() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    for (length, is_known) in
        [(0, true), (5, false), (PIECE, false), (limits::CONTENT + 1, true), (3 * PIECE + 7, true), (5 * PIECE, false)]
    {
        let content = content(length);
        let sent = send(&alice, bob.id(), &content, is_known.then_some(length)).await;
        assert_accepted(&sent);
        let inbox = bob.sync_inbox().await;
        assert_eq!(inbox.len(), 1, "{length}");
        assert!(read(&bob, &inbox[0]).await == content, "{length}");
        bob.take(&[inbox[0].message]).await.unwrap();
        within("the receipts", bob.give_receipts()).await.unwrap();
        proven_status(&alice, sent.id).await;
        assert_eq!((alice.spooled(), bob.spooled()), (Vec::new(), Vec::new()), "{length}");
    }
}

#[tokio::test]
async fn a_content_of_another_length_than_was_said_is_refused_and_nothing_stays() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    for found in [0, 9, 11, 200_000] {
        let content = content(found);
        let streamed = Streamed::new(content.as_slice(), Some(10));
        let refused = alice.send_streamed(Outgoing::to([bob.id()], streamed)).await;
        assert!(matches!(refused, Err(SendError::ContentChanged)), "{refused:?}");
    }
    let streamed = Streamed::new(&[][..], Some(1 << 40));
    let refused = alice.send_streamed(Outgoing::to([bob.id()], streamed)).await;
    assert!(matches!(refused, Err(SendError::ContentTooLong)), "{refused:?}");
    assert!(alice.stored(DRAFTS, &[]).is_empty() && alice.spooled().is_empty());
}

#[tokio::test]
async fn an_upload_that_is_cut_goes_on_where_it_was_in_another_process() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&relay.origin()).await);
    let content = content(12 * PIECE);
    proxy.cut_after(8 * PIECE);
    assert_kept(&send(&alice, bob.id(), &content, None).await);
    let next = alice.send_text(bob.id(), "what follows").await;
    let alice = alice.reopen(&proxy.origin()).await;
    if !matches!(next.outcome, sealpost_agent::SendOutcome::Accepted(_)) {
        let resumed = resumed_at(&alice).await;
        assert!(resumed >= 3 * PIECE as u64, "went on at {resumed}");
    }
    let inbox = bob.sync_inbox().await;
    assert_eq!(inbox.len(), 2);
    assert!(read(&bob, &inbox[0]).await == content);
    assert_eq!(words(&inbox[1]), "what follows");
}

#[tokio::test]
async fn a_download_that_is_given_up_goes_on_where_it_was_in_another_process() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let content = content(24 * PIECE);
    let sent = send(&alice, bob.id(), &content, Some(content.len())).await;
    let mut transfers = bob.transfers();
    tokio::select! {
        synced = within("a sync", bob.sync(Duration::ZERO)) => panic!("over before it was cut: {synced:?}"),
        _ = transfers.wait_for(|now| now.is_some_and(|now| now.done >= 8 * PIECE as u64)) => {}
    }
    let state = proven_status(&alice, sent.id).await;
    assert!(state.delivered_at.is_none(), "no word on what is not here: {state:?}");
    assert!(bob.inbox().await.is_empty());
    let bob = bob.reopen(&relay.origin()).await;
    let resumed = resumed_at(&bob).await;
    assert!(resumed >= 7 * PIECE as u64, "went on at {resumed}");
    let inbox = bob.inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    assert!(proven_status(&alice, sent.id).await.delivered_at.is_some());
}

#[tokio::test]
async fn two_processes_of_an_agent_send_and_receive_a_body_once() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&relay.origin()).await);
    let (other_alice, other_bob) = (alice.reopen(&proxy.origin()).await, bob.reopen(&relay.origin()).await);
    let content = content(9 * PIECE);
    proxy.cut_after(2 * PIECE);
    let sent = send(&alice, bob.id(), &content, Some(content.len())).await;
    assert_kept(&sent);
    for _ in 0..2 {
        let (one, other) = tokio::join!(alice.sync(Duration::ZERO), other_alice.sync(Duration::ZERO));
        one.and(other).unwrap();
    }
    for _ in 0..2 {
        let (one, other) = tokio::join!(bob.sync(Duration::ZERO), other_bob.sync(Duration::ZERO));
        one.and(other).unwrap();
    }
    let inbox = other_bob.inbox().await;
    assert_eq!((inbox.len(), bob.inbox().await.len()), (1, 1));
    assert!(read(&other_bob, &inbox[0]).await == content);
    assert!(proven_status(&alice, sent.id).await.delivered_at.is_some());
}

#[tokio::test]
async fn a_message_that_is_taken_back_in_the_middle_of_its_upload_leaves_nothing() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&relay.origin()).await);
    proxy.cut_after(3 * PIECE);
    let sent = send(&alice, bob.id(), &content(9 * PIECE), Some(9 * PIECE)).await;
    assert_kept(&sent);
    assert_eq!(alice.spooled().len(), 1);
    within("an answer", alice.cancel(sent.id)).await.unwrap();
    let status = within("a status", alice.status(sent.id)).await.unwrap();
    assert_eq!(status.local, LocalState::Unsent("cancelled".to_owned()));
    assert!(alice.spooled().is_empty());
    assert_accepted(&alice.send_text(bob.id(), "instead").await);
    assert_eq!(bob.take_texts().await, ["instead"]);
}

#[tokio::test]
async fn a_message_whose_life_ends_during_its_upload_is_unsent_and_leaves_nothing() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (clock, an_hour) = (HandClock::now(), Duration::from_secs(3_600));
    // By the relay's clock it is over long before.
    clock.turn_back(an_hour);
    let (alice, bob) = (SdkAgent::by_clock(&proxy.origin(), &clock).await, SdkAgent::new(&relay.origin()).await);
    proxy.cut_after(3 * PIECE);
    let content = content(9 * PIECE);
    let mut outgoing = Outgoing::to([bob.id()], Streamed::new(content.as_slice(), None));
    outgoing.life = Duration::from_secs(50);
    let sent = within("a body sent", alice.send_streamed(outgoing)).await.unwrap();
    assert_kept(&sent);
    clock.advance(an_hour);
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    let events: Vec<_> = alice.events(9).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert_eq!(events, [Event::Unsent { message: sent.id, code: "expired".to_owned() }]);
    assert!(alice.spooled().is_empty());
}

/// A body of one content under a key.
fn sealed(content: &[u8]) -> (ContentKey, Vec<u8>) {
    sealed_frame(content, content.len() as u64, None)
}

/// A body with these bytes, as what they are said to be.
fn sealed_frame(in_body: &[u8], content_length: u64, compressed_length: Option<u64>) -> (ContentKey, Vec<u8>) {
    let key = ContentKey::generate(&SystemPrimitives).unwrap();
    let prelude = Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: ContentKind::Bytes,
        content_length,
        compressed_length,
    };
    let mut sealer = BodySealer::new(&BodySeal::Sealed(&key), &prelude).unwrap();
    let (mut body, mut rest) = (Vec::new(), in_body);
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at(room.len());
        room.copy_from_slice(now);
        rest = later;
        body.extend_from_slice(sealer.seal().unwrap());
    }
    (key, body)
}

/// What an honest relay answers.
fn piece_of(body: &[u8], request: &v1::GetBodyRequest) -> v1::GetBodyResponse {
    let begin = usize::try_from(request.offset).unwrap();
    let piece = body[begin..body.len().min(begin + PIECE)].to_vec();
    v1::GetBodyResponse { body: piece, offset: request.offset, length: body.len() as u64 }
}

fn honest(body: Vec<u8>) -> BodyAnswer {
    Box::new(move |request| Ok(piece_of(&body, request)))
}

/// Who writes to an agent of a scripted relay.
struct Writer(PlainAgent);

impl Writer {
    fn to(relay: &ScriptedRelay, agent: &SdkAgent) -> Self {
        let manifest = relay.script().uploaded.clone().expect("the agent has published").manifest;
        let mut writer = PlainAgent::new();
        writer.open_session(agent.id(), v1::PrekeyBundle { manifest, ..v1::PrekeyBundle::default() });
        Self(writer)
    }

    /// The entry of a message with that body.
    fn body(&mut self, to: AgentId, number: u64, key: &ContentKey, body: &[u8]) -> v1::MailboxEntry {
        entry(number, self.0.seal_body_key(to, key, BodyDescription::of(body)).1)
    }

    fn text(&mut self, to: AgentId, number: u64, text: &str) -> v1::MailboxEntry {
        entry(number, self.0.seal(to, text).1)
    }
}

fn entry(number: u64, mut request: v1::SendRequest) -> v1::MailboxEntry {
    let envelope = request.parts.remove(0).envelope;
    v1::MailboxEntry { mailbox_seq: number, attempt: 1, queued_at_ms: 0, header: request.header, envelope }
}

#[tokio::test]
async fn another_body_than_the_header_s_is_dropped_and_fetched_again_and_the_message_is_not_lost() {
    let relay = ScriptedRelay::start().await;
    let mut bob = SdkAgent::new(relay.origin()).await;
    for (number, length) in (1..).zip([3_000, 3 * PIECE]) {
        let content = content(length);
        let (key, body) = sealed(&content);
        let mail = Writer::to(&relay, &bob).body(bob.id(), number, &key, &body);
        relay.script().receipts.clear();
        relay.script().mailbox = vec![mail];
        type Lie = fn(&mut v1::GetBodyResponse);
        let lies: [(&str, Lie); 5] = [
            ("another byte", |answer| *answer.body.last_mut().unwrap() ^= 1),
            ("a truncated piece", |answer| answer.body.truncate(answer.body.len() / 2)),
            ("a longer piece", |answer| answer.body.push(0)),
            ("another length", |answer| answer.length -= 1),
            ("another place", |answer| answer.offset += wire::BODY_PIECE),
        ];
        for (what, lie) in lies {
            let lied = body.clone();
            relay.script().body = Some(Box::new(move |request| {
                let mut answer = piece_of(&lied, request);
                lie(&mut answer);
                Ok(answer)
            }));
            // Another process knows of no pause.
            bob = bob.reopen(relay.origin()).await;
            let synced = within("a sync", bob.sync(Duration::ZERO)).await;
            assert!(matches!(synced, Err(SyncError::OtherBody(_))), "{what}: {synced:?}");
            assert!(bob.inbox().await.is_empty() && relay.script().receipts.is_empty(), "{what}");
        }
        relay.script().body = Some(honest(body));
        bob = bob.reopen(relay.origin()).await;
        let inbox = bob.sync_inbox().await;
        assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
        assert_eq!(relay.script().receipts[0].verdict, Verdict::Stored);
        bob.take(&[inbox[0].message]).await.unwrap();
        within("the receipts", bob.give_receipts()).await.unwrap();
        assert!(bob.spooled().is_empty());
    }
}

#[tokio::test]
async fn a_body_that_does_not_open_is_refused_with_a_receipt_and_leaves_nothing() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let mut number = 0;
    for length in [3_000, 3 * PIECE] {
        let (key, body) = sealed(&content(length));
        let mut altered = body.clone();
        *altered.last_mut().unwrap() ^= 1;
        let cut = body[..body.len() - 70_000.min(body.len() / 2)].to_vec();
        for body in [altered, cut] {
            number += 1;
            let mail = Writer::to(&relay, &bob).body(bob.id(), number, &key, &body);
            relay.script().receipts.clear();
            relay.script().mailbox = vec![mail];
            relay.script().body = Some(honest(body));
            assert!(bob.sync_inbox().await.is_empty());
            let verdicts: Vec<_> = relay.script().receipts.iter().map(|leaf| leaf.verdict).collect();
            assert_eq!(verdicts, [Verdict::Refused(RefusalReason::Undecryptable)], "{length}");
            assert!(bob.spooled().is_empty());
        }
    }
}

#[tokio::test]
async fn mail_passes_a_body_that_does_not_come_and_its_sender_s_own_waits_behind_it() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let content = content(2 * PIECE);
    let (key, body) = sealed(&content);
    let (mut alice, mut carol) = (Writer::to(&relay, &bob), Writer::to(&relay, &bob));
    let mail = vec![
        alice.body(bob.id(), 1, &key, &body),
        alice.text(bob.id(), 2, "after the body"),
        carol.text(bob.id(), 3, "by another"),
    ];
    relay.script().mailbox = mail;
    relay.script().body = Some(Box::new(move |_| Err(ErrorCode::Internal)));
    within("a sync", bob.sync(Duration::ZERO)).await.unwrap_err();
    let shown = bob.inbox().await;
    assert_eq!(shown.iter().map(words).collect::<Vec<_>>(), ["by another"]);
    assert_eq!(relay.script().receipts.len(), 2, "what is here has its receipt, the body has none");

    relay.script().body = Some(honest(body));
    let bob = bob.reopen(relay.origin()).await;
    within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
    let after = bob.unread(Some(&shown[0].arrival), usize::MAX).await.unwrap();
    assert_eq!(after.len(), 2, "whoever reads on finds them");
    assert!(read(&bob, &after[0]).await == content);
    assert_eq!(words(&after[1]), "after the body");
}

#[tokio::test]
async fn a_body_that_the_relay_has_no_more_is_told_of_and_holds_nothing_up() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let (key, body) = sealed(&content(2 * PIECE));
    let mut alice = Writer::to(&relay, &bob);
    let mail = vec![alice.body(bob.id(), 1, &key, &body), alice.text(bob.id(), 2, "after the body")];
    relay.script().mailbox = mail;
    let inbox = bob.sync_inbox().await;
    assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["after the body"]);
    let events: Vec<_> = bob.events(9).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert!(matches!(&events[..], [Event::BodyGone { sender, .. }] if *sender == alice.0.id()), "{events:?}");
    assert!(bob.spooled().is_empty());
}

#[tokio::test]
async fn a_body_that_is_lost_is_told_of_once_and_asked_for_no_more() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let (key, body) = sealed(&content(2 * PIECE));
    let mut alice = Writer::to(&relay, &bob);
    let mail = vec![alice.body(bob.id(), 1, &key, &body), alice.text(bob.id(), 2, "after the body")];
    relay.script().mailbox = mail;
    let (asked, counts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&asked);
    relay.script().body = Some(Box::new(move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
        Err(ErrorCode::Lost)
    }));
    let inbox = bob.sync_inbox().await;
    assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["after the body"]);
    counts.store(asked.load(Ordering::Relaxed), Ordering::Relaxed);
    // A relay that has lost a body takes its entry out of the mailbox.
    relay.script().mailbox.remove(0);
    let bob = bob.reopen(relay.origin()).await;
    within("a sync", bob.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), counts.load(Ordering::Relaxed), "it is not asked for again");
    let events: Vec<_> = bob.events(9).await.unwrap().into_iter().map(|noted| noted.event).collect();
    assert!(matches!(&events[..], [Event::BodyLost { sender, .. }] if *sender == alice.0.id()), "{events:?}");
    assert!(bob.spooled().is_empty());
}
