//! Bodies that are damaged on their way, at the relay, or in the spool: what is good is kept, and what is not is fetched again
//! for so long and no longer.

use std::{collections::HashMap, fs::OpenOptions, os::unix::fs::FileExt, sync::Mutex};

use sealpost_agent::{FetchAnswer, OutgoingScheme, WaitingReason, limits as runtime};

use super::*;

/// What else passes while a body does, for each of its pieces: headers of HTTP, proofs, framing.
const TALK: u64 = 16 << 10;

/// Requests for each piece, by its place.
type Asked = Arc<Mutex<HashMap<u64, usize>>>;

/// What is done to a piece in its place that was asked for so often before: a byte of it is changed.
type Damage = fn(u64, usize) -> Option<(usize, u8)>;

/// A relay's answers, damaged.
fn damaging(body: &[u8], damage: Damage) -> (BodyAnswer, Asked) {
    let (body, asked) = (body.to_vec(), Asked::default());
    let counting = Arc::clone(&asked);
    let answer = move |request: &v1::GetBodyRequest| {
        let mut answer = piece_of(&body, request);
        let place = request.offset / wire::BODY_PIECE;
        let mut counts = counting.lock().unwrap();
        let before = counts.entry(place).or_default();
        if let Some((at, change)) = damage(place, *before) {
            answer.body[at] ^= change;
        }
        *before += 1;
        Ok(answer)
    };
    (Box::new(answer), asked)
}

/// How often each piece was asked for.
fn counts(asked: &Asked, pieces: usize) -> Vec<usize> {
    let asked = asked.lock().unwrap();
    (0..pieces as u64).map(|place| asked.get(&place).copied().unwrap_or_default()).collect()
}

async fn bodies_damaged(agent: &SdkAgent) -> usize {
    let events = agent.events(99).await.unwrap();
    events.iter().filter(|noted| matches!(noted.event, Event::BodyDamaged { .. })).count()
}

#[tokio::test]
async fn a_damaged_piece_is_found_when_it_comes_and_fetched_again_alone() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let content = content(6 * PIECE);
    let (key, body) = sealed(&content);
    let cases: [(&str, Damage, &[usize]); 5] = [
        ("its first byte", |place, before| (place + before as u64 == 0).then_some((0, 1)), &[0]),
        ("the middle", |place, before| (place == 3 && before == 0).then_some((PIECE / 2, 1)), &[3]),
        // The chunk lies in both: the first was good, which its second copy tells.
        ("where two pieces meet", |place, before| (place == 3 && before == 0).then_some((0, 1)), &[2, 3]),
        ("its last chunk", |place, before| (place == 6 && before == 0).then_some((130_000, 1)), &[6]),
        (
            "twice the same piece",
            |place, before| (place == 4 && before < 2).then_some((PIECE / 2, 1 + before as u8)),
            &[4, 4],
        ),
    ];
    for (number, (what, damage, again)) in (1..).zip(cases) {
        let mail = Writer::to(&relay, &bob).body(bob.id(), number, &key, &body);
        relay.script().mailbox = vec![mail];
        let (answer, asked) = damaging(&body, damage);
        relay.script().body = Some(answer);
        let inbox = bob.sync_inbox().await;
        assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content, "{what}");
        let pieces = body.len().div_ceil(PIECE);
        let expected: Vec<_> =
            (0..pieces).map(|place| 1 + again.iter().filter(|again| **again == place).count()).collect();
        assert_eq!(counts(&asked, pieces), expected, "{what}");
        bob.take(&[inbox[0].message]).await.unwrap();
        within("the receipts", bob.give_receipts()).await.unwrap();
        assert!(bob.spooled().is_empty(), "{what}");
    }
    assert_eq!(bodies_damaged(&bob).await, 0);
}

#[tokio::test]
async fn a_relay_that_damages_a_piece_again_and_again_is_left_told_of_and_asked_again_when_it_is_said_so() {
    let content = content(6 * PIECE);
    let (key, body) = sealed(&content);
    let pieces = body.len().div_ceil(PIECE);
    let otherwise: Damage = |place, before| (place == 3).then(|| (PIECE / 2, u8::try_from(before % 255 + 1).unwrap()));
    let the_same: Damage = |place, _| (place == 3).then_some((PIECE / 2, 1));
    for damage in [otherwise, the_same] {
        let relay = ScriptedRelay::start().await;
        let mut bob = SdkAgent::new(relay.origin()).await;
        let mut alice = Writer::to(&relay, &bob);
        relay.script().mailbox = vec![alice.body(bob.id(), 1, &key, &body), alice.text(bob.id(), 2, "after the body")];
        let (answer, asked) = damaging(&body, damage);
        relay.script().body = Some(answer);
        for attempt in 1..runtime::BODY_ATTEMPTS {
            let synced = within("a sync", bob.sync(Duration::ZERO)).await;
            assert!(matches!(synced, Err(SyncError::OtherBody(_))), "{attempt}: {synced:?}");
            assert!(bob.waiting_bodies(9).await.unwrap().is_empty() && bob.inbox().await.is_empty());
            // Another process knows of no pause, and of how often it was tried.
            bob = bob.reopen(relay.origin()).await;
        }
        let inbox = bob.sync_inbox().await;
        assert_eq!(inbox.iter().map(words).collect::<Vec<_>>(), ["after the body"], "it holds nothing up");
        let waiting = bob.waiting_bodies(9).await.unwrap();
        assert_eq!(waiting.iter().map(|body| body.reason).collect::<Vec<_>>(), [WaitingReason::Damaged]);
        assert_eq!(bodies_damaged(&bob).await, 1);
        let verdicts: Vec<_> = relay.script().receipts.iter().map(|leaf| leaf.verdict).collect();
        assert_eq!(
            verdicts,
            [Verdict::Stored],
            "nothing is signed for it: neither that it is here nor that it cannot be read"
        );
        // Each attempt goes on where the last one was, with no more than is on the way.
        let total: usize = counts(&asked, pieces).iter().sum();
        let attempts = usize::try_from(runtime::BODY_ATTEMPTS).unwrap();
        let each = runtime::PIECE_REPETITIONS + runtime::PIECES_AT_A_TIME;
        assert!(total <= pieces + attempts * each, "{:?}", counts(&asked, pieces));
        assert_eq!(counts(&asked, 3), [1, 1, 1], "what was good is not fetched again");
        let bob = bob.reopen(relay.origin()).await;
        bob.sync_inbox().await;
        assert_eq!(counts(&asked, pieces).iter().sum::<usize>(), total, "nobody asks any more");

        let (answer, asked) = damaging(&body, |_, _| None);
        relay.script().body = Some(answer);
        assert_eq!(bob.fetch_waiting(waiting[0].message).await.unwrap(), FetchAnswer::Fetches);
        let inbox = bob.sync_inbox().await;
        assert!(inbox.len() == 2 && read(&bob, &inbox[1]).await == content);
        assert_eq!(counts(&asked, pieces), [0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(bodies_damaged(&bob).await, 1);
    }
}

#[tokio::test]
async fn a_body_that_its_sender_spoilt_is_refused_and_its_piece_is_fetched_once_more() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let (key, mut body) = sealed(&content(6 * PIECE));
    body[3 * PIECE + PIECE / 2] ^= 1;
    let mail = Writer::to(&relay, &bob).body(bob.id(), 1, &key, &body);
    relay.script().mailbox = vec![mail];
    let (answer, asked) = damaging(&body, |_, _| None);
    relay.script().body = Some(answer);
    assert!(bob.sync_inbox().await.is_empty());
    let verdicts: Vec<_> = relay.script().receipts.iter().map(|leaf| leaf.verdict).collect();
    assert_eq!(verdicts, [Verdict::Refused(RefusalReason::Undecryptable)]);
    assert_eq!(counts(&asked, 7), [1, 1, 1, 2, 1, 1, 1]);
    assert!(bob.spooled().is_empty());
}

#[tokio::test]
async fn what_was_damaged_in_the_spool_while_nobody_ran_is_fetched_again_alone() {
    let relay = ScriptedRelay::start().await;
    let bob = SdkAgent::new(relay.origin()).await;
    let content = content(10 * PIECE);
    let (key, body) = sealed(&content);
    let mail = Writer::to(&relay, &bob).body(bob.id(), 1, &key, &body);
    relay.script().mailbox = vec![mail];
    let begun = body.clone();
    relay.script().body = Some(Box::new(move |request| match request.offset / wire::BODY_PIECE {
        0..6 => Ok(piece_of(&begun, request)),
        _ => Err(ErrorCode::Internal),
    }));
    within("a sync", bob.sync(Duration::ZERO)).await.unwrap_err();
    let (name, length) = bob.spooled().remove(0);
    assert_eq!(length, 6 * wire::BODY_PIECE);
    let file = OpenOptions::new().write(true).open(bob.spool().join(name)).unwrap();
    let at = 2 * PIECE + 500_000;
    file.write_all_at(&[body[at] ^ 1], at as u64).unwrap();
    let (answer, asked) = damaging(&body, |_, _| None);
    relay.script().body = Some(answer);
    let bob = bob.reopen(relay.origin()).await;
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    assert_eq!(counts(&asked, 11), [0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_flipped_bit_on_the_way_costs_a_piece_under_each_scheme_that_has_tags_also_after_a_restart() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, mut bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&proxy.origin()).await);
    let group = alice.create_group("team", &[bob.id()]).await.unwrap().group.id;
    bob.sync_inbox().await;
    let content = content(24 * PIECE);
    for (scheme, to) in [
        (OutgoingScheme::Ratchet, vec![bob.id()]),
        (OutgoingScheme::RecipientKeys, vec![bob.id()]),
        (OutgoingScheme::SharedKey(group), vec![]),
    ] {
        for is_cut in [false, true] {
            let outgoing = Outgoing::to(to.clone(), Streamed::new(content.as_slice(), Some(content.len() as u64)));
            let sent = within("a body sent", alice.send_streamed(outgoing.under(scheme))).await.unwrap();
            assert_accepted(&sent);
            let before = proxy.passed().answers;
            proxy.damage_answers_after(if is_cut { 16 } else { 8 } * wire::BODY_PIECE, 1);
            if is_cut {
                let mut transfers = bob.transfers();
                tokio::select! {
                    synced = within("a sync", bob.sync(Duration::ZERO)) => panic!("over before it was cut: {synced:?}"),
                    _ = transfers.wait_for(|now| now.is_some_and(|now| now.done >= 8 * wire::BODY_PIECE)) => {}
                }
                bob = bob.reopen(&proxy.origin()).await;
            }
            let inbox = bob.sync_inbox().await;
            assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content, "{scheme:?}");
            let length = bob.spooled()[0].1;
            let passed = proxy.passed().answers - before;
            println!("{scheme:?}, cut {is_cut}: {passed} bytes came down for a body of {length}");
            // Of a chunk that lies in two pieces both come again; what was under way when it was cut does, too.
            let again = 2 + if is_cut { 2 * runtime::PIECES_AT_A_TIME as u64 } else { 0 };
            let most = length + again * wire::BODY_PIECE + 40 * TALK;
            assert!((length + wire::BODY_PIECE..=most).contains(&passed), "{scheme:?}: {passed} bytes of {length}");
            bob.take(&[inbox[0].message]).await.unwrap();
            within("the receipts", bob.give_receipts()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_body_without_tags_that_was_damaged_is_found_out_by_its_hash_and_comes_whole() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&proxy.origin()).await);
    let content = content(6 * PIECE);
    let outgoing = Outgoing::to([bob.id()], Streamed::new(content.as_slice(), Some(content.len() as u64)));
    let sent = within("a body sent", alice.send_streamed(outgoing.under(OutgoingScheme::None))).await.unwrap();
    assert_accepted(&sent);
    proxy.damage_answers_after(3 * wire::BODY_PIECE, 1);
    let synced = within("a sync", bob.sync(Duration::ZERO)).await;
    assert!(matches!(synced, Err(SyncError::OtherBody(_))), "{synced:?}");
    assert!(bob.inbox().await.is_empty() && bob.spooled().is_empty());
    let bob = bob.reopen(&proxy.origin()).await;
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
}

#[tokio::test]
async fn a_way_that_damages_everything_ends_in_so_many_attempts_and_the_sender_hears_no_word_of_it() {
    let (relay, proxy) = relay_behind_proxy().await;
    let (alice, mut bob) = (SdkAgent::new(&relay.origin()).await, SdkAgent::new(&proxy.origin()).await);
    let content = content(4 * PIECE);
    let sent = send(&alice, bob.id(), &content, Some(content.len())).await;
    proxy.damage_answers_after(0, usize::MAX);
    let before = proxy.passed().answers;
    for _ in 1..runtime::BODY_ATTEMPTS {
        within("a sync", bob.sync(Duration::ZERO)).await.unwrap_err();
        bob = bob.reopen(&proxy.origin()).await;
    }
    assert!(bob.sync_inbox().await.is_empty());
    assert_eq!(bodies_damaged(&bob).await, 1);
    let waiting = bob.waiting_bodies(9).await.unwrap();
    assert_eq!(waiting.iter().map(|body| body.reason).collect::<Vec<_>>(), [WaitingReason::Damaged]);
    let each = runtime::PIECE_REPETITIONS + runtime::PIECES_AT_A_TIME;
    let most = runtime::BODY_ATTEMPTS * each as u64 * (wire::BODY_PIECE + TALK);
    assert!(proxy.passed().answers - before <= most, "{} of {most} bytes", proxy.passed().answers - before);
    let state = proven_status(&alice, sent.id).await;
    assert!(state.delivered_at.is_none() && state.state == sealpost_protocol::DeliveryState::InTransit, "{state:?}");
    proxy.damage_answers_after(0, 0);
    assert_eq!(bob.fetch_waiting(waiting[0].message).await.unwrap(), FetchAnswer::Fetches);
    let inbox = bob.sync_inbox().await;
    assert!(inbox.len() == 1 && read(&bob, &inbox[0]).await == content);
    assert!(proven_status(&alice, sent.id).await.delivered_at.is_some());
}
