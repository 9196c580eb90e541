//! Contents that are compressed before they are sealed: whole, shorter where they can be, and no bombs.

use std::io::Write;

use sealpost_agent::{FetchAnswer, OutgoingScheme, ReceivingLimits, WaitingReason, limits as runtime};
use sealpost_protocol::{MessageId, MessageRef};
use sealpost_tests::text;
use zstd::stream::{raw::CParameter, write};

use super::*;
use crate::assert_acknowledged;

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let step = |state: &mut u64, _| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some((*state >> 56) as u8)
    };
    (0..length).scan(7_u64, step).collect()
}

/// Digits that compress to half as many bytes, and to no fewer.
fn digits(length: usize) -> Vec<u8> {
    noise(length).iter().map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]).collect()
}

fn frame(content: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut encoder = write::Encoder::new(Vec::new(), 0).unwrap();
    parameters.iter().for_each(|parameter| encoder.set_parameter(*parameter).unwrap());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

async fn send_compressed(from: &SdkAgent, to: AgentId, content: &[u8], length: Option<usize>) -> Sent {
    let streamed = Streamed::new(content, length.map(|length| length as u64));
    within("a body sent", from.send_streamed(Outgoing::to([to], streamed).compressed())).await.unwrap()
}

/// Bytes of a message's sealed body, which its sender keeps until it has arrived; none if it has none.
fn sealed_length(agent: &SdkAgent, id: MessageId) -> Option<u64> {
    let name: String = id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    agent.spooled().iter().find(|(file, _)| *file == format!("out-{name}")).map(|(_, length)| *length)
}

#[tokio::test]
async fn what_compresses_travels_shorter_and_arrives_whole_under_each_scheme() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    let group = alice.create_group("team", &[bob.id()]).await.unwrap().group.id;
    bob.sync_inbox().await;
    let line = "the same again, ".repeat(2_000);
    let large = line.repeat(100);
    for (scheme, to) in [
        (OutgoingScheme::Ratchet, vec![bob.id()]),
        (OutgoingScheme::RecipientKeys, vec![bob.id()]),
        (OutgoingScheme::SharedKey(group), vec![]),
        (OutgoingScheme::None, vec![bob.id()]),
    ] {
        let outgoing = Outgoing::to(to.clone(), text(&line)).under(scheme).compressed();
        let message = within("a message sent", alice.send(outgoing)).await.unwrap();
        let streamed = Streamed::new(large.as_bytes(), None);
        let outgoing = Outgoing::to(to, streamed).under(scheme).compressed();
        let body = within("a body sent", alice.send_streamed(outgoing)).await.unwrap();
        for (sent, length) in [(&message, line.len()), (&body, large.len())] {
            assert_accepted(sent);
            let sealed = sealed_length(&alice, sent.id).unwrap();
            assert!(sealed < length as u64 / 10, "{scheme:?}: {sealed} bytes of {length}");
        }
        let inbox = bob.sync_inbox().await;
        assert_eq!(inbox.len(), 2, "{scheme:?}");
        assert_eq!(words(&inbox[0]), line, "{scheme:?}: a text is a text");
        assert!(inbox[1].payload().is_none() && read(&bob, &inbox[1]).await == large.as_bytes(), "{scheme:?}");
        bob.take(&[inbox[0].message, inbox[1].message]).await.unwrap();
        within("the receipts", bob.give_receipts()).await.unwrap();
        assert_acknowledged(&alice, &[message.id, body.id]).await;
        assert!(bob.spooled().is_empty());
    }
}

#[tokio::test]
async fn what_does_not_become_shorter_is_sent_as_it_is() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    for length in [0, 9, 70_000, 2 * PIECE + 5] {
        let content = noise(length);
        let plain = send(&alice, bob.id(), &content, Some(length)).await;
        let expected = sealed_length(&alice, plain.id);
        assert!(expected.is_some());
        for known in [None, Some(length)] {
            let sent = send_compressed(&alice, bob.id(), &content, known).await;
            assert_eq!(sealed_length(&alice, sent.id), expected, "{length}");
        }
        let inbox = bob.sync_inbox().await;
        assert_eq!(inbox.len(), 3);
        for message in &inbox {
            assert!(read(&bob, message).await == content, "{length}");
        }
        bob.take(&inbox.iter().map(|message| message.message).collect::<Vec<_>>()).await.unwrap();
    }
    let outgoing = Outgoing::to([bob.id()], text("a short text")).compressed();
    let sent = within("a message sent", alice.send(outgoing)).await.unwrap();
    assert_eq!(sealed_length(&alice, sent.id), None, "no body for what is not shorter");
    assert_eq!(bob.take_texts().await, ["a short text"]);
}

#[tokio::test]
async fn a_compressed_content_of_another_length_than_was_said_is_refused_and_nothing_stays() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    for found in [0, 9, 11, 200_000] {
        let streamed = Streamed::new(&[7; 200_000][..found], Some(10));
        let refused = alice.send_streamed(Outgoing::to([bob.id()], streamed).compressed()).await;
        assert!(matches!(refused, Err(SendError::ContentChanged)), "{found}: {refused:?}");
    }
    assert!(alice.stored(DRAFTS, &[]).is_empty() && alice.spooled().is_empty());
}

#[tokio::test]
async fn a_compressed_body_that_is_cut_on_either_way_goes_on_where_it_was() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&relay.origin()).await);
    let content = digits(24 * PIECE);
    proxy.cut_after(8 * PIECE);
    let sent = send_compressed(&alice, bob.id(), &content, Some(content.len())).await;
    assert_kept(&sent);
    let sealed = sealed_length(&alice, sent.id).unwrap();
    assert!((12 * PIECE as u64..16 * PIECE as u64).contains(&sealed), "{sealed}");
    let alice = alice.reopen(&proxy.origin()).await;
    let resumed = resumed_at(&alice).await;
    assert!(resumed >= 3 * PIECE as u64, "the upload went on at {resumed}");
    let mut transfers = bob.transfers();
    tokio::select! {
        synced = within("a sync", bob.sync(Duration::ZERO)) => panic!("over before it was cut: {synced:?}"),
        _ = transfers.wait_for(|now| now.is_some_and(|now| now.done >= 4 * PIECE as u64)) => {}
    }
    let bob = bob.reopen(&relay.origin()).await;
    let resumed = resumed_at(&bob).await;
    assert!(resumed >= 3 * PIECE as u64, "the download went on at {resumed}");
    let inbox = bob.inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    assert!(proven_status(&alice, sent.id).await.delivered_at.is_some());
}

#[tokio::test]
async fn bombs_and_frames_that_are_not_what_was_stated_are_refused_and_leave_nothing() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let mut number = 0;
    for length in [3_000, 3 * PIECE] {
        let content = digits(length);
        let whole = frame(&content, &[]);
        let stated = content.len() as u64;
        let bomb = [frame(&vec![0; 64 << 20], &[]), whole.clone()].concat();
        let window = CParameter::WindowLog(runtime::COMPRESSION_WINDOW_LOG + 1);
        let cases: [(&str, &[u8], u64, bool); 9] = [
            ("whole", &whole, stated, true),
            ("fewer bytes than there are", &whole, stated - 1, false),
            ("more bytes than there are", &whole, stated + 1, false),
            ("cut off", &whole[..whole.len() - 1], stated, false),
            ("followed by a byte", &[&whole, &b"\0"[..]].concat(), stated, false),
            ("a bomb", &bomb, bomb.len() as u64 + 1, false),
            ("a great window", &frame(&content, &[window]), stated, false),
            ("no frame", &content[..length / 2], stated, false),
            ("beyond every limit", &whole, runtime::BODY_CONTENT + 1, false),
        ];
        for (what, in_body, stated, is_taken) in cases {
            number += 1;
            let (key, body) = sealed_frame(in_body, stated, Some(in_body.len() as u64));
            let mail = Writer::to(&relay, &bob).body(bob.id(), number, &key, &body);
            relay.script().receipts.clear();
            relay.script().mailbox = vec![mail];
            relay.script().body = Some(honest(body));
            let inbox = bob.sync_inbox().await;
            let verdicts: Vec<_> = relay.script().receipts.iter().map(|leaf| leaf.verdict).collect();
            if is_taken {
                assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content, "{what}, {length}");
                assert_eq!(verdicts, [Verdict::Stored], "{what}, {length}");
                bob.take(&[inbox[0].message]).await.unwrap();
            } else {
                assert!(inbox.is_empty(), "{what}, {length}");
                assert_eq!(verdicts, [Verdict::Refused(RefusalReason::Undecryptable)], "{what}, {length}");
            }
            within("the receipts", bob.give_receipts()).await.unwrap();
            assert!(bob.spooled().is_empty(), "{what}, {length}");
        }
    }
}

/// Bytes of a content that compresses to next to nothing: more than is decompressed unasked.
const LARGE: usize = 40 << 20;

#[tokio::test]
async fn a_stranger_s_small_body_whose_content_is_large_waits_and_nothing_of_it_is_decompressed() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let frame = frame(&vec![0; LARGE], &[]);
    let padded = [frame.clone(), vec![0; 2 * PIECE]].concat();
    // A small body, a large one, and one whose frame holds more than it says: that shows only when it is decompressed.
    for (number, (in_body, stated)) in (1..).zip([(&frame, LARGE), (&padded, LARGE), (&frame, LARGE - 1)]) {
        let (key, body) = sealed_frame(in_body, stated as u64, Some(in_body.len() as u64));
        let mut alice = Writer::to(&relay, &bob);
        relay.script().receipts.clear();
        relay.script().mailbox =
            vec![alice.body(bob.id(), number, &key, &body), alice.text(bob.id(), number + 100, "after the body")];
        let asked = Arc::new(AtomicUsize::new(0));
        let (counting, answered) = (Arc::clone(&asked), body.clone());
        relay.script().body = Some(Box::new(move |request| {
            counting.fetch_add(1, Ordering::Relaxed);
            Ok(piece_of(&answered, request))
        }));
        let inbox = bob.sync_inbox().await;
        assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["after the body"], "it holds nothing up");
        let waiting = bob.waiting_bodies(9).await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!((waiting[0].reason, waiting[0].content_length), (WaitingReason::Stranger, Some(stated as u64)));
        assert_eq!(waiting[0].length, body.len() as u64);
        assert!(bob.spooled().is_empty());
        let before = asked.load(Ordering::Relaxed);
        bob.reopen(relay.origin()).await.sync_inbox().await;
        assert_eq!(asked.load(Ordering::Relaxed), before, "nobody looks again");

        bob.take(&[inbox[0].message]).await.unwrap();
        relay.script().receipts.clear();
        assert_eq!(bob.fetch_waiting(waiting[0].message).await.unwrap(), FetchAnswer::Fetches);
        let inbox = bob.sync_inbox().await;
        let verdicts: Vec<_> = relay
            .script()
            .receipts
            .iter()
            .map(|leaf| leaf.verdict)
            .filter(|verdict| *verdict != Verdict::Acknowledged)
            .collect();
        if in_body.len() == frame.len() && stated == LARGE {
            assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == vec![0; LARGE]);
            assert_eq!(verdicts, [Verdict::Stored]);
            bob.take(&[inbox[0].message]).await.unwrap();
        } else {
            assert!(inbox.is_empty());
            assert_eq!(verdicts, [Verdict::Refused(RefusalReason::Undecryptable)]);
        }
        within("the receipts", bob.give_receipts()).await.unwrap();
        assert!(bob.waiting_bodies(9).await.unwrap().is_empty() && bob.spooled().is_empty());
    }
}

#[tokio::test]
async fn a_contact_s_content_may_be_as_long_as_any() {
    let relay = TestRelay::start().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await);
    bob.set_contact("alice", alice.id()).await.unwrap();
    assert_accepted(&send_compressed(&alice, bob.id(), &vec![0; LARGE], Some(LARGE)).await);
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == vec![0; LARGE]);
}

#[tokio::test]
async fn a_content_is_written_only_where_the_disk_has_room_for_what_it_becomes() {
    let relay = TestRelay::start().await;
    let reserved = ReceivingLimits { disk_reserve: u64::MAX / 2, ..ReceivingLimits::default() };
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::receiving(&relay.origin(), reserved).await);
    let message = MessageRef { sender: alice.id(), id: alice.send_text(bob.id(), "hello").await.id };
    let folder = bob.spool().join("not/made/yet");
    let refused = bob.check_room_in(&message, &folder, 1).await;
    assert!(matches!(refused, Err(SyncError::NoRoom { needed, free }) if needed > free), "{refused:?}");
    bob.set_contact("alice", alice.id()).await.unwrap();
    bob.check_room_in(&message, &folder, 1).await.unwrap();
    let refused = bob.check_room_in(&message, &folder, 1 << 60).await;
    assert!(matches!(refused, Err(SyncError::NoRoom { needed, .. }) if needed > 1 << 60), "{refused:?}");
}
