//! What no honest relay does, or none does often: every refusal, entries that nobody can read, pages without end.

use std::time::Duration;

use sealpost_agent::{LocalState, Obstacle, Outgoing, Round, SendError, SendOutcome};
use sealpost_api::v1;
use sealpost_crypto::limits;
use sealpost_protocol::{
    ErrorCode, Header, HeaderFields, Priority, ReceiptLeaf, RefusalReason, Verdict, encoding::Decode,
};
use sealpost_tests::{Script, ScriptedRelay, SdkAgent, plain::PlainAgent, text, within, words};

use super::assert_accepted;

/// What holds a message up is named, to whoever sends behind it and to whoever asks later.
#[tokio::test]
async fn a_message_that_waits_behind_another_names_it_and_why() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob) = (SdkAgent::new(relay.origin()).await, PlainAgent::new());
    relay.script().bundle = Some(bundle(&bob));
    relay.script().refuses_messages = Some(ErrorCode::MailboxFull);
    let first = alice.send_text(bob.id(), "first").await;
    let second = alice.send_text(bob.id(), "second").await;
    let obstacle = Obstacle { message: first.id, reason: "mailbox-full".to_owned() };
    let SendOutcome::Kept(SendError::Behind(named)) = &second.outcome else { panic!("{second:?}") };
    assert_eq!(named, &obstacle);
    let status = within("a status", alice.status(second.id)).await.unwrap();
    assert!(matches!(&status.waits, Some(SendError::Behind(named)) if *named == obstacle), "{status:?}");
    let waiting = alice.reopen(relay.origin()).await.waiting().await.unwrap();
    let told: Vec<_> = waiting.iter().map(|waiting| (waiting.reason.as_deref(), waiting.behind.as_ref())).collect();
    assert_eq!(told, [(Some("mailbox-full"), None), (None, Some(&obstacle))]);
    relay.script().refuses_messages = None;
    let status = within("a status", alice.status(second.id)).await.unwrap();
    assert!(matches!(status.local, LocalState::Accepted(_)), "{status:?}");
    assert_eq!(alice.waiting().await.unwrap(), []);
    assert_eq!(alice.stored(OBSTACLES, &[]), [], "nothing is left of it");
}

/// Where `crates/agent` keeps why messages wait.
const OBSTACLES: u8 = 30;

/// A bundle of `agent`'s last-resort keys.
fn bundle(agent: &PlainAgent) -> v1::PrekeyBundle {
    v1::PrekeyBundle { manifest: agent.prekeys().manifest, ..v1::PrekeyBundle::default() }
}

/// Messages for `agent` by someone who has taken its last-resort keys from the relay.
fn entries(relay: &ScriptedRelay, agent: &SdkAgent, texts: &[&str]) -> Vec<v1::MailboxEntry> {
    let manifest = relay.script().uploaded.clone().expect("the agent has published").manifest;
    let mut writer = PlainAgent::new();
    writer.open_session(agent.id(), v1::PrekeyBundle { manifest, ..v1::PrekeyBundle::default() });
    let entry = |(number, words): (u64, &&str)| {
        let mut request = writer.seal(agent.id(), words).1;
        let envelope = request.parts.remove(0).envelope;
        v1::MailboxEntry { mailbox_seq: number, attempt: 1, queued_at_ms: 0, header: request.header, envelope }
    };
    (1..).zip(texts).map(entry).collect()
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_message_keeps_it_and_says_why() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob) = (SdkAgent::new(relay.origin()).await, PlainAgent::new());
    relay.script().bundle = Some(bundle(&bob));
    for code in [
        ErrorCode::Internal,
        ErrorCode::ClockSkew,
        ErrorCode::MailboxFull,
        ErrorCode::Forbidden,
        ErrorCode::ChallengeRejected,
        ErrorCode::RateLimited,
        ErrorCode::Unavailable,
    ] {
        relay.script().refuses_messages = Some(code);
        let sent = within("an answer", alice.send(Outgoing::to([bob.id()], text("hello")))).await.unwrap();
        let SendOutcome::Kept(SendError::Relay(error)) = &sent.outcome else { panic!("{code}: {sent:?}") };
        assert_eq!(error.code(), Some(code));
        let status = within("a status", alice.status(sent.id)).await.unwrap();
        assert_eq!(status.local, LocalState::Kept, "{code}");
        assert!(matches!(&status.waits, Some(SendError::Relay(error)) if error.code() == Some(code)), "{status:?}");

        relay.script().refuses_messages = None;
        let status = within("a status", alice.status(sent.id)).await.unwrap();
        assert!(matches!(status.local, LocalState::Accepted(_)), "{code}: {status:?}");
    }
}

#[tokio::test]
async fn a_relay_that_takes_no_messages_just_now_still_hands_mail_out() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob) = (SdkAgent::new(relay.origin()).await, PlainAgent::new());
    relay.script().bundle = Some(bundle(&bob));
    for (code, words) in [(ErrorCode::Unavailable, "one"), (ErrorCode::RateLimited, "two")] {
        relay.script().refuses_messages = Some(code);
        alice.send_text(bob.id(), "waits").await;
        let mail = entries(&relay, &alice, &[words]);
        relay.script().mailbox = mail;
        assert_eq!(alice.take_texts().await, [words], "{code}");
    }
}

#[tokio::test]
async fn a_relay_that_gives_no_token_keeps_no_message_from_going_out_later() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob) = (SdkAgent::new(relay.origin()).await, PlainAgent::new());
    relay.script().bundle = Some(bundle(&bob));
    for code in [ErrorCode::Forbidden, ErrorCode::ChallengeRejected, ErrorCode::BadSignature, ErrorCode::Internal] {
        relay.script().refuses_tokens = Some(code);
        let newcomer = alice.reopen(relay.origin()).await;
        let sent = within("an answer", newcomer.send(Outgoing::to([bob.id()], text("hello")))).await.unwrap();
        assert!(matches!(sent.outcome, SendOutcome::Kept(_)), "{code}: {sent:?}");
        relay.script().refuses_tokens = None;
        let status = within("a status", newcomer.status(sent.id)).await.unwrap();
        assert!(matches!(status.local, LocalState::Accepted(_)), "{code}: {status:?}");
    }
}

#[tokio::test]
async fn a_refused_message_is_tried_again_at_growing_intervals_and_not_in_every_round() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob) = (SdkAgent::new(relay.origin()).await, PlainAgent::new());
    relay.script().bundle = Some(bundle(&bob));
    relay.script().refuses_messages = Some(ErrorCode::MailboxFull);
    alice.send_text(bob.id(), "hello").await;
    for _ in 0..20 {
        alice.sync_inbox().await;
    }
    let tried = relay.script().sends;
    assert!((1..=4).contains(&tried), "tried {tried} times in 20 rounds");
    relay.script().refuses_messages = None;
    assert_accepted(&alice.send_text(bob.id(), "an explicit call tries at once, the earlier message first").await);
    assert_eq!(relay.script().sends, tried + 2);
}

#[tokio::test]
async fn a_header_of_a_later_format_is_refused_with_a_receipt() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut entries = entries(&relay, &alice, &["of a later format", "of this format"]);
    let later = Header::from_bytes(&entries[0].header).unwrap().message();
    entries[0].header[0] = 2;
    relay.script().mailbox = entries;
    assert_eq!(alice.take_texts().await, ["of this format"]);
    let script = relay.script();
    assert!(script.mailbox.is_empty(), "nothing stays at the head");
    let leaf = script.receipts.iter().find(|leaf| leaf.message == later).expect("a receipt");
    assert_eq!(leaf.verdict, Verdict::Refused(RefusalReason::Policy));
}

#[tokio::test]
async fn entries_that_cannot_be_answered_do_not_stand_before_those_that_can() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let garbage = |number| v1::MailboxEntry { mailbox_seq: number, attempt: 1, ..v1::MailboxEntry::default() };
    let mut mailbox: Vec<_> = (1..=250).map(garbage).collect();
    let mut last = entries(&relay, &alice, &["behind them"]).remove(0);
    last.mailbox_seq = 251;
    mailbox.push(last);
    relay.script().mailbox = mailbox;
    assert_eq!(alice.take_texts().await, ["behind them"]);
    relay.script().receives.clear();
    within("a round", alice.sync_page(Duration::from_secs(1))).await.unwrap();
    let asked = relay.script().receives.clone();
    assert!(asked.len() == 1 && asked[0].after >= 200, "a wait is for what comes after them: {asked:?}");
}

#[tokio::test]
async fn a_round_goes_on_past_pages_of_which_everything_is_refused_and_ends_if_they_come_again() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut mailbox = entries(&relay, &alice, &["x"; 401]);
    for entry in &mut mailbox[..400] {
        *entry.envelope.last_mut().unwrap() ^= 1;
    }
    relay.script().mailbox = mailbox.clone();
    assert_eq!(alice.take_texts().await, ["x"]);
    let is_refusal = |leaf: &&ReceiptLeaf| matches!(leaf.verdict, Verdict::Refused(_));
    assert_eq!(relay.script().receipts.iter().filter(is_refusal).count(), 400);

    // The same page for ever, whatever it is told.
    relay.script().mailbox = mailbox[..100].to_vec();
    relay.script().keeps_mail = true;
    relay.script().receives.clear();
    let synced = within("a round", alice.sync(Duration::ZERO)).await.unwrap();
    assert!(!synced.more);
    let asked = relay.script().receives.len();
    assert!((1..=10).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn a_round_ends_with_the_first_page_that_was_not_full() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    within("a first round, which compares the store", alice.sync(Duration::ZERO)).await.unwrap();
    relay.script().page = 3;
    relay.script().mailbox = entries(&relay, &alice, &["1", "2", "3", "4", "5", "6", "7"]);
    relay.script().receives.clear();
    let synced = within("a round", alice.sync(Duration::ZERO)).await.unwrap();
    assert_eq!((synced.received, synced.more), (3, false));
    assert_eq!(relay.script().receives.len(), 1);
}

#[tokio::test]
async fn a_header_altered_on_the_way_takes_nothing_from_the_true_message() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let entry = entries(&relay, &alice, &["hello"]).remove(0);
    let fields = Header::from_bytes(&entry.header).unwrap().fields().clone();
    // Still a header, of the same message, and not the one that was sealed.
    let altered = Header::new(HeaderFields { priority: Priority::High, ..fields }).unwrap().as_bytes().to_vec();
    relay.script().mailbox = vec![v1::MailboxEntry { header: altered, ..entry.clone() }];
    assert_eq!(alice.take_texts().await, Vec::<String>::new());
    assert!(matches!(relay.script().receipts[..], [ReceiptLeaf { verdict: Verdict::Refused(_), .. }]));

    relay.script().mailbox = vec![v1::MailboxEntry { mailbox_seq: 2, ..entry.clone() }];
    assert_eq!(alice.take_texts().await, ["hello"]);
    relay.script().mailbox = vec![v1::MailboxEntry { mailbox_seq: 3, ..entry }];
    assert_eq!(alice.take_texts().await, Vec::<String>::new(), "and is shown once");
}

#[tokio::test]
async fn a_relay_that_takes_no_receipts_keeps_nobody_from_mail_and_makes_none_pile_up() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let texts: Vec<String> = (0..250).map(|number| number.to_string()).collect();
    relay.script().mailbox = entries(&relay, &alice, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    relay.script().refuses_receipts = Some(ErrorCode::ReceiptsOutOfSequence);
    assert_eq!(alice.sync_inbox().await.iter().map(words).collect::<Vec<_>>(), texts);
    for _ in 0..5 {
        alice.sync_inbox().await;
    }
    relay.script().refuses_receipts = None;
    within("the receipts", alice.give_receipts()).await.unwrap();
    let given = relay.script().receipts.len();
    assert!(
        (250..=350).contains(&given),
        "each once, and the first batch, which was signed already, once more: {given}"
    );
}

#[tokio::test]
async fn the_inbox_is_read_in_pages_that_are_short_in_messages_and_in_bytes() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let numbers: Vec<String> = (0..250).map(|number| number.to_string()).collect();
    let greatest = "x".repeat(limits::CONTENT);
    let mut texts = vec![greatest.as_str(); 3];
    texts.extend(numbers.iter().map(String::as_str));
    relay.script().page = 50;
    relay.script().mailbox = entries(&relay, &alice, &texts);
    while !relay.script().mailbox.is_empty() {
        within("a round", alice.sync(Duration::ZERO)).await.unwrap();
    }
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = alice.unread(after.as_ref(), usize::MAX).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.arrival.clone());
        pages.push(page.len());
    }
    assert_eq!(pages, [3, 100, 100, 50], "three of the greatest messages are more than 2 MiB");
    assert_eq!(alice.inbox().await.iter().map(words).collect::<Vec<_>>(), texts);
}

#[tokio::test]
async fn a_follower_goes_on_after_whatever_passes_wherever_in_a_round_it_comes() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut follower = alice.follow();
    for refuse in [
        |script: &mut Script, code| script.refuses_changes = code,
        |script: &mut Script, code| script.refuses_receipts = code,
    ] {
        let mut entry = entries(&relay, &alice, &["hello"]).remove(0);
        entry.mailbox_seq = 1;
        relay.script().mailbox.push(entry);
        refuse(&mut relay.script(), Some(ErrorCode::Unavailable));
        let round = within("a round", follower.next()).await;
        assert!(matches!(round, Ok(Round::Interrupted { .. })), "{round:?}");
        refuse(&mut relay.script(), None);
        let round = within("a round", follower.next()).await;
        assert!(matches!(round, Ok(Round::Synced(_))), "{round:?}");
        assert_eq!(relay.script().mailbox, []);
    }
}

#[tokio::test]
async fn a_follower_ends_when_trying_again_cannot_help() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    relay.script().refuses_changes = Some(ErrorCode::Forbidden);
    let round = within("a round", alice.follow().next()).await;
    assert!(matches!(&round, Err(error) if !error.is_passing()), "{round:?}");
}

#[tokio::test]
async fn a_follower_does_not_ask_without_pause_when_the_relay_has_nothing_new_and_does_not_wait() {
    let relay = ScriptedRelay::start().await;
    let alice = SdkAgent::new(relay.origin()).await;
    let mut follower = alice.follow();
    relay.script().receives.clear();
    let begun = tokio::time::Instant::now();
    for _ in 0..4 {
        within("a round", follower.next()).await.unwrap();
    }
    let pauses = begun.elapsed();
    assert!(pauses >= Duration::from_millis(400), "two pauses at least: {pauses:?}");
}

#[tokio::test]
async fn a_page_of_changes_of_one_message_asks_once_how_it_stands() {
    let relay = ScriptedRelay::start().await;
    let (alice, bob) = (SdkAgent::new(relay.origin()).await, PlainAgent::new());
    relay.script().bundle = Some(bundle(&bob));
    let sent = alice.send_text(bob.id(), "hello").await;
    let status = v1::DeliveryStatus {
        recipient: bob.id().to_string(),
        attempt: 1,
        state: "delivered".to_owned(),
        ..v1::DeliveryStatus::default()
    };
    relay.script().statuses.insert(sent.id.to_string(), vec![status]);
    let change = |seq| v1::Event {
        seq,
        r#type: "message:delivered".to_owned(),
        sender: alice.id().to_string(),
        message_id: sent.id.to_string(),
        recipient: bob.id().to_string(),
        ..v1::Event::default()
    };
    relay.script().changes = vec![change(1), change(2), change(3)];
    within("a round", alice.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(relay.script().status_requests, [sent.id.to_string()]);
}
