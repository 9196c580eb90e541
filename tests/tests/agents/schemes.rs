//! Messages without a ratchet: `none`, `shared-key` and `recipient-keys`, small and large, honest and not.

use std::{io::Read, time::Duration};

use sealpost_agent::{
    Event, GroupError, Outgoing, OutgoingScheme, ReceiptCheck, ReceivedScheme, SendError, SendOutcome, Streamed,
};
use sealpost_api::v1;
use sealpost_crypto::{GroupKey, GroupName, GroupNotice, HandOver, Member, Payload, Roster, SystemPrimitives};
use sealpost_protocol::{
    AgentId, DeliveryState, FailureReason, GroupId, MessageId, MessageType, RefusalReason, Scheme, SignedManifest,
    Verdict, encoding::Decode,
};
use sealpost_tests::{
    HandClock, ScriptedRelay, SdkAgent, ShiftedClock, TestRelay,
    plain::{Carrier, Grpc, PlainAgent, PlainScheme, log_in, signed_message},
    text, within, words,
};

use super::{assert_accepted, assert_acknowledged, assert_kept, relay_behind_proxy};

const MINUTE: Duration = Duration::from_secs(60);

async fn send(from: &SdkAgent, to: &[AgentId], payload: Payload, scheme: OutgoingScheme) -> MessageId {
    let sent = within("a message sent", from.send(Outgoing::to(to, payload).under(scheme))).await.unwrap();
    assert_accepted(&sent);
    sent.id
}

/// Syncs once, and tells what came, under which scheme; it stays in the inbox.
async fn seen(agent: &SdkAgent) -> Vec<(String, ReceivedScheme)> {
    agent.sync_inbox().await.iter().map(|message| (words(message), message.scheme)).collect()
}

fn said(words: &str, scheme: ReceivedScheme) -> Vec<(String, ReceivedScheme)> {
    vec![(words.to_owned(), scheme)]
}

async fn state(sender: &SdkAgent, id: MessageId) -> DeliveryState {
    super::proven_status(sender, id).await.state
}

fn refused(reason: RefusalReason) -> DeliveryState {
    DeliveryState::Failed(FailureReason::Refused(reason))
}

/// A founder and its group, which the others have heard of.
async fn group_of(founder: &SdkAgent, others: &[&SdkAgent]) -> GroupId {
    let members: Vec<_> = others.iter().map(|agent| agent.id()).collect();
    let change = founder.create_group("team", &members).await.unwrap();
    assert_eq!(change.kept, 0);
    for agent in others {
        agent.sync_inbox().await;
    }
    change.group.id
}

#[tokio::test]
async fn a_message_arrives_under_each_scheme_is_shown_as_what_it_is_and_signed_for() {
    let relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let none = send(&alice, &[bob.id()], text("public"), OutgoingScheme::None).await;
    assert_eq!(seen(&bob).await, said("public", ReceivedScheme::None), "from someone who was never met");
    bob.take_texts().await;
    let counts = bob.prekey_status().await.unwrap();
    let wrapped = send(&alice, &[bob.id()], text("wrapped"), OutgoingScheme::RecipientKeys).await;
    assert_eq!(seen(&bob).await, said("wrapped", ReceivedScheme::RecipientKeys));
    bob.take_texts().await;
    assert_eq!(bob.prekey_status().await.unwrap(), counts, "no one-time key is used");
    let group = group_of(&alice, &[&bob]).await;
    let shared = send(&alice, &[], text("shared"), OutgoingScheme::SharedKey(group)).await;
    assert_eq!(seen(&bob).await, said("shared", ReceivedScheme::SharedKey { group, epoch: 0 }));
    bob.take_texts().await;
    assert_acknowledged(&alice, &[none, wrapped, shared]).await;
    let answer = bob.send_text(alice.id(), "by ratchet").await;
    assert_eq!(seen(&alice).await, said("by ratchet", ReceivedScheme::Ratchet));
    assert_accepted(&answer);
}

#[tokio::test]
async fn contents_of_any_length_are_streamed_under_each_scheme() {
    let relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let group = group_of(&alice, &[&bob]).await;
    let content: Vec<u8> = (0..2_500_000_u32).map(|number| (number % 251) as u8).collect();
    for (scheme, to) in [
        (OutgoingScheme::None, vec![bob.id()]),
        (OutgoingScheme::RecipientKeys, vec![bob.id()]),
        (OutgoingScheme::SharedKey(group), vec![]),
    ] {
        let streamed = Streamed::new(content.as_slice(), Some(content.len() as u64));
        let sent = within("a body sent", alice.send_streamed(Outgoing::to(to, streamed).under(scheme))).await.unwrap();
        assert_accepted(&sent);
        let messages = bob.sync_inbox().await;
        assert_eq!(messages.iter().map(|message| message.scheme.scheme()).collect::<Vec<_>>(), [scheme.scheme()]);
        let mut read = Vec::new();
        bob.open_body(&messages[0].message).await.unwrap().unwrap().read_to_end(&mut read).unwrap();
        assert!(read == content, "{scheme:?}");
        bob.take(&[messages[0].message]).await.unwrap();
        within("the acknowledgements", bob.give_receipts()).await.unwrap();
        assert_acknowledged(&alice, &[sent.id]).await;
    }
}

#[tokio::test]
async fn what_waits_for_the_relay_goes_out_after_a_restart_of_both_and_arrives_once() {
    let mut relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let group = group_of(&alice, &[&bob]).await;
    relay.kill().await;
    let mut kept = Vec::new();
    for (scheme, to) in [
        (OutgoingScheme::None, vec![bob.id()]),
        (OutgoingScheme::RecipientKeys, vec![bob.id()]),
        (OutgoingScheme::SharedKey(group), vec![]),
    ] {
        let sent = alice.send(Outgoing::to(to, text(scheme.scheme().as_str())).under(scheme)).await.unwrap();
        assert_kept(&sent);
        kept.push(sent.id);
    }
    relay.restart().await;
    let alice = alice.reopen(&relay.origin()).await;
    within("what was kept goes out", alice.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(bob.take_texts().await, ["none", "recipient-keys", "shared-key"]);
    let bob = bob.reopen(&relay.origin()).await;
    assert!(bob.take_texts().await.is_empty());
    assert_acknowledged(&alice, &kept).await;
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_message() {
    let (_relay, proxy) = relay_behind_proxy().await;
    let [alice, bob] = [SdkAgent::new(&proxy.origin()).await, SdkAgent::new(&proxy.origin()).await];
    let long = "x".repeat(100_000);
    // Most of it has left when the connection ends.
    proxy.cut_after(60_000);
    let outgoing = Outgoing::to([bob.id()], text(&long)).under(OutgoingScheme::RecipientKeys);
    let sent = within("a message sent", alice.send(outgoing)).await.unwrap();
    within("the rest", alice.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(bob.take_texts().await, [long]);
    assert_acknowledged(&alice, &[sent.id]).await;
}

#[tokio::test]
async fn one_message_reaches_a_hundred_recipients_each_with_a_part_of_its_own() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let mut recipients = Vec::new();
    for _ in 0..100 {
        let recipient = PlainAgent::new();
        let mut carrier: Grpc = log_in(&relay.origin(), &recipient.identity).await;
        carrier.upload_prekeys(recipient.prekeys()).await.unwrap();
        recipients.push((recipient.id(), carrier));
    }
    let to: Vec<_> = recipients.iter().map(|(agent, _)| *agent).collect();
    let id = send(&alice, &to, text("to each of you"), OutgoingScheme::RecipientKeys).await;
    let mut parts = std::collections::HashSet::new();
    for (_, carrier) in &mut recipients {
        let page = carrier.receive(v1::ReceiveRequest::default()).await.unwrap();
        let entry = &page.entries[0];
        assert_eq!((page.entries.len(), entry.envelope.len()), (1, 182), "its own wrap and no other");
        assert!(parts.insert(entry.envelope.clone()));
        let body = v1::GetBodyRequest { sender: alice.id().to_string(), message_id: id.to_string(), offset: 0 };
        assert!(!carrier.body(body).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_sealing_key_that_was_replaced_opens_what_is_on_its_way_until_it_is_erased() {
    let relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    send(&alice, &[bob.id()], text("to the old key"), OutgoingScheme::RecipientKeys).await;
    bob.rotate_prekeys().await.unwrap();
    send(&alice, &[bob.id()], text("to the new key"), OutgoingScheme::RecipientKeys).await;
    assert_eq!(bob.take_texts().await, ["to the old key", "to the new key"]);

    let mut mallory: Grpc = log_in(&relay.origin(), &PlainAgent::new().identity).await;
    let manifest = SignedManifest::from_bytes(&mallory.manifest(bob.id()).await.unwrap()).unwrap();
    let mut gone = manifest.fields().sealing_key.clone();
    gone.id = sealpost_protocol::KeyId(77);
    let stranger = PlainAgent::new();
    let mut carrier: Grpc = log_in(&relay.origin(), &stranger.identity).await;
    let scheme = PlainScheme::Wrapped(&gone);
    let (id, request) = signed_message(&stranger.identity, &[bob.id()], None, "to a key that is gone", scheme);
    carrier.send(request).await.unwrap();
    assert!(bob.take_texts().await.is_empty());
    let status = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
    assert_eq!(carrier.status(status).await.unwrap()[0].reason, "refused-unknown-prekey");
}

/// A relay that hands out one message to Bob, as it was sent or altered.
struct Bent {
    relay: ScriptedRelay,
    bob: SdkAgent,
    sender: PlainAgent,
    group: GroupKey,
}

impl Bent {
    async fn new() -> Self {
        let relay = ScriptedRelay::start().await;
        let bob = SdkAgent::by_clock(relay.origin(), &HandClock::now()).await;
        let mut sender = PlainAgent::new();
        // The sender has a group, and Bob its key.
        let uploaded = relay.script().uploaded.clone().unwrap();
        let bundle = v1::PrekeyBundle { manifest: uploaded.manifest, ..Default::default() };
        sender.open_session(bob.id(), bundle);
        let member = |agent| Member { agent, since: 1 };
        let members = vec![member(sender.id()), member(bob.id())];
        let roster = Roster::new([7; 16], GroupName::new("team").unwrap(), 1, members).unwrap();
        let group = GroupKey::generate(&SystemPrimitives, roster.group(&sender.id()), 0).unwrap();
        let key = GroupKey::decode(&group.encode()).unwrap();
        let notice = GroupNotice::Key(HandOver { roster, key });
        let (_, request) = sender.seal_plaintext(bob.id(), &notice.to_plaintext());
        relay.script().mailbox.push(entry(1, &request, 0));
        bob.sync_inbox().await;
        assert_eq!(bob.groups().await.unwrap().len(), 1);
        relay.script().receipts.clear();
        Self { relay, bob, sender, group }
    }

    fn message(&self, scheme: Scheme) -> (MessageId, v1::SendRequest) {
        let manifest = self.relay.script().uploaded.clone().unwrap().manifest;
        let sealing_key = SignedManifest::from_bytes(&manifest).unwrap().fields().sealing_key.clone();
        let scheme = match scheme {
            Scheme::None => PlainScheme::Open,
            Scheme::SharedKey => PlainScheme::Shared(&self.group),
            _ => PlainScheme::Wrapped(&sealing_key),
        };
        signed_message(&self.sender.identity, &[self.bob.id()], None, "the truth", scheme)
    }

    /// Hands a message out, and returns what Bob signs for it, and what he reads.
    async fn hands_out(&self, id: MessageId, request: &v1::SendRequest) -> (Vec<Verdict>, Vec<String>) {
        self.relay.script().mailbox = vec![entry(2, request, 0)];
        self.relay.script().bodies.insert(id.to_string(), request.body.clone().unwrap_or_default());
        self.relay.script().receipts.clear();
        // An entry that nothing could be said of is passed over once.
        for _ in 0..2 {
            let _ = within("a round", self.bob.sync(Duration::ZERO)).await;
        }
        let read = self.bob.inbox().await.iter().map(words).collect();
        let verdicts = self.relay.script().receipts.iter().map(|leaf| leaf.verdict).collect();
        (verdicts, read)
    }
}

fn entry(mailbox_seq: u64, request: &v1::SendRequest, part: usize) -> v1::MailboxEntry {
    v1::MailboxEntry {
        mailbox_seq,
        attempt: 1,
        queued_at_ms: 0,
        header: request.header.clone(),
        envelope: request.parts[part].envelope.clone(),
    }
}

/// Where the scheme stands in a header with one recipient.
const SCHEME_IN_HEADER: usize = 1 + 32 + 16 + 2 + 32;

#[tokio::test]
async fn an_altered_message_is_never_shown_and_the_true_one_still_opens_under_each_scheme() {
    let bent = Bent::new().await;
    for scheme in [Scheme::None, Scheme::SharedKey, Scheme::RecipientKeys] {
        let (id, honest) = bent.message(scheme);
        let unreadable = vec![Verdict::Refused(RefusalReason::Undecryptable)];
        // The signature, and each byte that leads to the key.
        let part = honest.parts[0].envelope.len();
        for place in [2, 40, 97, 98, part - 1].into_iter().filter(|place| *place < part) {
            let mut altered = honest.clone();
            altered.parts[0].envelope[place] ^= 1;
            let (verdicts, read) = bent.hands_out(id, &altered).await;
            assert!(read.is_empty(), "{scheme}, byte {place} of the part");
            let is_refused = verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused(_)));
            assert!(is_refused && verdicts.len() == 1, "{scheme}, byte {place} of the part: {verdicts:?}");
        }
        // Priority, times, and the body's hash in the header.
        for place in [SCHEME_IN_HEADER + 2, honest.header.len() - 1] {
            let mut altered = honest.clone();
            altered.header[place] ^= 1;
            assert_eq!(bent.hands_out(id, &altered).await, (unreadable.clone(), vec![]), "{scheme}, header {place}");
        }
        // Another body waits for the true one: it is the relay's doing, and no word of the sender's.
        let mut altered = honest.clone();
        altered.body.as_mut().unwrap()[20] ^= 1;
        assert_eq!(bent.hands_out(id, &altered).await, (vec![], vec![]), "{scheme}: another body");
        bent.relay.script().mailbox.clear();
        let bob = bent.bob.reopen(bent.relay.origin()).await;
        bent.relay.script().bodies.insert(id.to_string(), honest.body.clone().unwrap());
        bent.relay.script().mailbox = vec![entry(2, &honest, 0)];
        let _ = within("a round", bob.sync(Duration::ZERO)).await;
        assert_eq!(bent.bob.inbox().await.iter().map(words).collect::<Vec<_>>(), ["the truth"], "{scheme}");
        bent.bob.take_texts().await;
    }
}

#[tokio::test]
async fn a_relay_that_lowers_the_scheme_in_the_header_gets_nothing_past_the_signature() {
    let bent = Bent::new().await;
    let (id, honest) = bent.message(Scheme::RecipientKeys);
    let (_, public) = bent.message(Scheme::None);
    // The header says `none` now, and the part is one of that scheme, with the true signature.
    let mut lowered = honest.clone();
    lowered.header[SCHEME_IN_HEADER] = Scheme::None.to_byte();
    lowered.parts[0].envelope = public.parts[0].envelope.clone();
    lowered.parts[0].envelope[..98].copy_from_slice(&honest.parts[0].envelope[..98]);
    lowered.parts[0].envelope[1] = Scheme::None.to_byte();
    let unreadable = vec![Verdict::Refused(RefusalReason::Undecryptable)];
    assert_eq!(bent.hands_out(id, &lowered).await, (unreadable.clone(), vec![]));
    let mut claimed = honest.clone();
    claimed.header[SCHEME_IN_HEADER] = Scheme::Ratchet.to_byte();
    assert_eq!(bent.hands_out(id, &claimed).await, (unreadable, vec![]), "nor to a ratchet that it is not");
    assert_eq!(bent.hands_out(id, &honest).await, (vec![Verdict::Stored], vec!["the truth".to_owned()]));
    assert_eq!(bent.hands_out(id, &honest).await.0, [Verdict::Stored], "again: the same word, and shown once");
    assert_eq!(bent.bob.inbox().await.len(), 1);
}

#[tokio::test]
async fn a_message_of_another_signer_or_for_another_recipient_is_refused() {
    let bent = Bent::new().await;
    let (_, honest) = bent.message(Scheme::None);
    let mallory = PlainAgent::new();
    let (id, forged) = signed_message(&mallory.identity, &[bent.bob.id()], None, "a lie", PlainScheme::Open);
    let mut in_his_name = honest.clone();
    in_his_name.parts = forged.parts;
    let unreadable = (vec![Verdict::Refused(RefusalReason::Undecryptable)], vec![]);
    assert_eq!(bent.hands_out(id, &in_his_name).await, unreadable, "another's signature");
    let other = AgentId::from_array([5; 32]);
    let (id, elsewhere) = signed_message(&bent.sender.identity, &[other], None, "not for Bob", PlainScheme::Open);
    assert_eq!(bent.hands_out(id, &elsewhere).await, unreadable, "Bob is no recipient");
}

#[tokio::test]
async fn a_message_under_an_epoch_that_has_not_come_is_sent_again_until_it_opens() {
    let mut relay = TestRelay::start().await;
    let clock = std::sync::Arc::new(ShiftedClock::default());
    let alice = SdkAgent::new(&relay.origin()).await;
    let bob = SdkAgent::by_clock(&relay.origin(), &clock).await;
    let carol = SdkAgent::new(&relay.origin()).await;
    let group = group_of(&alice, &[&bob, &carol]).await;
    // The new key reaches Bob, and what hands it to Carol is taken back before it has left.
    relay.kill().await;
    alice.rotate_group(group).await.unwrap();
    let waiting = alice.waiting().await.unwrap();
    let hers = waiting.iter().find(|message| message.recipients == [carol.id()]).unwrap();
    relay.restart().await;
    alice.cancel(hers.id).await.unwrap();
    within("a sync", alice.sync(Duration::ZERO)).await.unwrap();
    bob.sync_inbox().await;

    let id = send(&bob, &[], text("under the new key"), OutgoingScheme::SharedKey(group)).await;
    assert!(carol.take_texts().await.is_empty());
    let to_carol = async || {
        let status = within("a status", bob.status(id)).await.unwrap();
        let hers = status.deliveries.into_iter().find(|delivery| delivery.status.recipient == carol.id()).unwrap();
        assert_ne!(hers.receipt, ReceiptCheck::Unproven);
        hers.status
    };
    let status = to_carol().await;
    assert_eq!((status.state, status.attempt.number()), (refused(RefusalReason::UnknownPrekey), 1));
    let told = bob.events(10).await.unwrap();
    let is_told =
        |noted: &sealpost_agent::Noted| matches!(noted.event, Event::SentAgain { message, .. } if message == id);
    assert!(told.iter().any(is_told), "{told:?}");
    let change = alice.add_to_group(group, &[carol.id()]).await.unwrap();
    assert_eq!(change.kept, 0);
    clock.advance(MINUTE + Duration::from_secs(1));
    let bob = bob.reopen(&relay.origin()).await;
    within("it goes out again", bob.sync(Duration::ZERO)).await.unwrap();
    assert_eq!(carol.take_texts().await, ["under the new key"]);
    let status = to_carol().await;
    assert_eq!((status.state, status.attempt.number()), (DeliveryState::Delivered, 2));
    assert_eq!(alice.take_texts().await, ["under the new key"], "once, for who had the key");
}

#[tokio::test]
async fn who_was_removed_reads_nothing_of_the_next_epoch_and_says_nothing_under_the_last() {
    let relay = TestRelay::start().await;
    let [alice, bob, carol] = [
        SdkAgent::new(&relay.origin()).await,
        SdkAgent::new(&relay.origin()).await,
        SdkAgent::new(&relay.origin()).await,
    ];
    let group = group_of(&alice, &[&bob, &carol]).await;
    alice.remove_from_group(group, &[carol.id()]).await.unwrap();
    bob.sync_inbox().await;
    // Carol has not heard of it, and writes as ever.
    let sent = send(&carol, &[], text("under the old key"), OutgoingScheme::SharedKey(group)).await;
    assert!(alice.take_texts().await.is_empty() && bob.take_texts().await.is_empty());
    let status = within("a status", carol.status(sent)).await.unwrap();
    let states: Vec<_> = status.deliveries.iter().map(|delivery| delivery.status.state).collect();
    assert_eq!(states, [refused(RefusalReason::NotMember); 2]);
    carol.sync_inbox().await;
    let outgoing = Outgoing::to([], text("again")).under(OutgoingScheme::SharedKey(group));
    assert!(matches!(carol.send(outgoing).await, Err(SendError::Group(GroupError::Ended))));
    let id = send(&alice, &[], text("without Carol"), OutgoingScheme::SharedKey(group)).await;
    let status = within("a status", alice.status(id)).await.unwrap();
    assert_eq!(status.deliveries.iter().map(|delivery| delivery.status.recipient).collect::<Vec<_>>(), [bob.id()]);
    assert_eq!(seen(&bob).await, said("without Carol", ReceivedScheme::SharedKey { group, epoch: 1 }));
    assert!(carol.take_texts().await.is_empty());
}

#[tokio::test]
async fn a_member_that_names_who_was_removed_hands_it_nothing_to_read() {
    let relay = TestRelay::start().await;
    let carol = SdkAgent::new(&relay.origin()).await;
    let mut founder = PlainAgent::new();
    let mut carrier: Grpc = log_in(&relay.origin(), &founder.identity).await;
    carrier.upload_prekeys(founder.prekeys()).await.unwrap();
    founder.open_session(carol.id(), carrier.claim_bundle(carol.id(), [1; 16]).await.unwrap());
    let member = |agent| Member { agent, since: 1 };
    let members = vec![member(founder.id()), member(carol.id())];
    let roster = Roster::new([7; 16], GroupName::new("team").unwrap(), 1, members).unwrap();
    let id = roster.group(&founder.id());
    let keys = [0, 1].map(|epoch| GroupKey::generate(&SystemPrimitives, id, epoch).unwrap());
    let key = GroupKey::decode(&keys[0].encode()).unwrap();
    let (_, request) = founder.seal_plaintext(carol.id(), &GroupNotice::Key(HandOver { roster, key }).to_plaintext());
    carrier.send(request).await.unwrap();
    for (key, words, reason) in [(&keys[0], "hers", ""), (&keys[1], "not hers", "refused-unknown-prekey")] {
        let (id, request) = signed_message(&founder.identity, &[carol.id()], None, words, PlainScheme::Shared(key));
        carrier.send(request).await.unwrap();
        let expected: &[&str] = if reason.is_empty() { &["hers"] } else { &[] };
        assert_eq!(carol.take_texts().await, expected);
        let status = v1::GetStatusRequest { sender: String::new(), message_id: id.to_string() };
        assert_eq!(carrier.status(status).await.unwrap()[0].reason, reason);
    }
}

fn of_type(words: &str, message_type: &MessageType) -> Payload {
    Payload { message_type: Some(message_type.clone()), ..text(words) }
}

#[tokio::test]
async fn what_a_type_demands_is_held_to_at_both_ends_and_kept_over_a_restart() {
    let relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let order = MessageType::new("com.example.order").unwrap();
    bob.set_minimum(Some(&order), Scheme::RecipientKeys).await.unwrap();
    let bob = bob.reopen(&relay.origin()).await;
    assert_eq!(bob.policy().await.unwrap().types["com.example.order"], Scheme::RecipientKeys);

    let lowered = send(&alice, &[bob.id()], of_type("an order", &order), OutgoingScheme::None).await;
    let streamed =
        Streamed { message_type: Some(order.clone()), ..Streamed::new(&[7; 2_000_000][..], Some(2_000_000)) };
    let outgoing = Outgoing::to([bob.id()], streamed).under(OutgoingScheme::None);
    let large = within("a body sent", alice.send_streamed(outgoing)).await.unwrap().id;
    assert!(bob.take_texts().await.is_empty());
    assert_eq!(state(&alice, lowered).await, refused(RefusalReason::Policy));
    assert_eq!(state(&alice, large).await, refused(RefusalReason::Policy));
    send(&alice, &[bob.id()], of_type("an order", &order), OutgoingScheme::RecipientKeys).await;
    send(&alice, &[bob.id()], text("no order"), OutgoingScheme::None).await;
    send(&alice, &[bob.id()], of_type("by ratchet", &order), OutgoingScheme::Ratchet).await;
    assert_eq!(bob.take_texts().await, ["an order", "no order", "by ratchet"]);

    alice.set_minimum(Some(&order), Scheme::Ratchet).await.unwrap();
    let outgoing = Outgoing::to([bob.id()], of_type("an order", &order)).under(OutgoingScheme::RecipientKeys);
    let refusal = alice.send(outgoing).await;
    let Err(SendError::BelowMinimum { scheme, minimum }) = refusal else { panic!("{refusal:?}") };
    assert_eq!((scheme, minimum), (Scheme::RecipientKeys, Scheme::Ratchet));
    assert!(alice.waiting().await.unwrap().is_empty(), "nothing was stored");
}

#[tokio::test]
async fn an_agents_minimum_holds_for_every_type_without_a_rule_of_its_own() {
    let relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    let news = MessageType::new("news").unwrap();
    bob.set_minimum(None, Scheme::Ratchet).await.unwrap();
    bob.set_minimum(Some(&news), Scheme::None).await.unwrap();
    let untyped = send(&alice, &[bob.id()], text("untyped"), OutgoingScheme::RecipientKeys).await;
    send(&alice, &[bob.id()], of_type("news", &news), OutgoingScheme::None).await;
    assert_eq!(bob.take_texts().await, ["news"]);
    assert_eq!(state(&alice, untyped).await, refused(RefusalReason::Policy));
    assert!(bob.unset_minimum(&news).await.unwrap() && !bob.unset_minimum(&news).await.unwrap());
    let again = send(&alice, &[bob.id()], of_type("news", &news), OutgoingScheme::None).await;
    assert!(bob.take_texts().await.is_empty());
    assert_eq!(state(&alice, again).await, refused(RefusalReason::Policy));
}

#[tokio::test]
async fn a_refusal_behind_many_deliveries_is_told_in_one_round() {
    let relay = TestRelay::start().await;
    let [alice, bob] = [SdkAgent::new(&relay.origin()).await, SdkAgent::new(&relay.origin()).await];
    bob.set_minimum(None, Scheme::Ratchet).await.unwrap();
    for number in 0..150 {
        send(&alice, &[bob.id()], text(&number.to_string()), OutgoingScheme::Ratchet).await;
    }
    let lowered = send(&alice, &[bob.id()], text("lowered"), OutgoingScheme::RecipientKeys).await;
    assert_eq!(bob.take_texts().await.len(), 150);
    alice.sync_inbox().await;
    let told = alice.events(100).await.unwrap();
    let is_it = |event: &Event| matches!(event, Event::Failed { message, .. } if *message == lowered);
    assert!(told.iter().any(|noted| is_it(&noted.event)), "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_under_a_scheme_is_refused_before_anything_is_stored() {
    let relay = TestRelay::start().await;
    let alice = SdkAgent::new(&relay.origin()).await;
    let group = alice.create_group("alone", &[]).await.unwrap().group.id;
    let shared = OutgoingScheme::SharedKey(group);
    let named = Outgoing::to([AgentId::from_array([1; 32])], text("named")).under(shared);
    assert!(matches!(alice.send(named).await, Err(SendError::GroupHasRecipients)));
    assert!(matches!(alice.send(Outgoing::to([], text("to nobody")).under(shared)).await, Err(SendError::Header(_))));
    let unknown = OutgoingScheme::SharedKey(GroupId([9; 16]));
    let refused = alice.send(Outgoing::to([], text("to whom?")).under(unknown)).await;
    assert!(matches!(refused, Err(SendError::Group(GroupError::Unknown(_)))));
    assert!(alice.waiting().await.unwrap().is_empty());
    let nobody = SdkAgent::unpublished(&relay.origin()).await;
    let outgoing = Outgoing::to([nobody.id()], text("hello?")).under(OutgoingScheme::RecipientKeys);
    let unsent = alice.send(outgoing).await;
    assert!(matches!(unsent, Err(SendError::Relay(_))), "{unsent:?}");
    let expected = matches!(unsent.map(|sent| sent.outcome), Ok(SendOutcome::Accepted(_)));
    assert!(!expected);
}
