//! The steps of the story: each plays a scene and checks what came of it.

use sealpost_agent::{ReceiptCheck, SendOutcome};
use sealpost_api::{CODE_METADATA, v1, v1::delivery_router_client::DeliveryRouterClient};
use sealpost_protocol::{DeliveryState, Envelope, KemPrekeyKind, MessageId, Suite, encoding::Decode};
use tonic::{Request, Status, transport::Endpoint};

use super::bodies::{large_file, thousand_recipients};
use super::schemes::{downgrade_refused, recipient_keys, shared_key_channel};
use super::stage::{
    Stage,
    Who::{Alice, Bob},
    ensure,
};

/// Declares the steps once: variant, name, what it tells.
macro_rules! steps {
    ($($variant:ident $name:literal $story:literal => $play:ident;)+) => {
        /// One step.
        #[derive(Debug, Clone, Copy)]
        pub(super) enum Step { $($variant,)+ }

        impl Step {
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in the result.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it tells.
            pub(super) fn story(self) -> &'static str {
                match self { $(Self::$variant => $story,)+ }
            }

            /// Plays it.
            pub(super) async fn play(self, stage: &mut Stage) -> Result<(), String> {
                match self { $(Self::$variant => $play(stage).await,)+ }
            }
        }
    };
}

steps! {
    OfflineFirstContact "offline-first-contact"
        "Alice writes to Bob, whom she never met and who is away; the relay keeps it; Bob comes and opens it." => offline_first_contact;
    PostQuantumHandshake "post-quantum-handshake"
        "Their session opened with X25519 and ML-KEM-768, each with a key that was handed out once." => post_quantum_handshake;
    Reply "reply"
        "Bob answers; from then on no envelope carries an opening." => reply;
    OutOfOrder "out-of-order"
        "The network turns three messages around; all three open." => out_of_order;
    RelayRestart "relay-restart"
        "The relay is killed with mail waiting; what it had accepted is there when it is back." => relay_restart;
    AgentRestart "agent-restart"
        "Bob's runtime ends and is opened again from its store; the session goes on." => agent_restart;
    TamperedEnvelopeRejected "tampered-envelope-rejected"
        "One bit is flipped on the way; Bob takes nothing, and opens the true message later." => tampered_envelope;
    ReplayedEnvelopeIgnored "replayed-envelope-ignored"
        "An old envelope comes again; Bob's inbox shows nothing new." => replayed_envelope;
    StrangerRefused "stranger-refused"
        "A stranger calls without a token, then with Bob's stolen token and proof; the relay refuses each." => stranger;
    StatusHonest "status-honest"
        "Pending, in transit, delivered: each only once it is so, and Alice checks Bob's own signature." => honest_status;
    LargeFile "large-file"
        "200 MB; relay and sender die on the way up, the recipient on the way down; each goes on where it was." => large_file;
    ThousandRecipients "thousand-recipients"
        "One message to a thousand strangers: one body, a key in each one's ratchet, a thousand signatures back." => thousand_recipients;
    SharedKeyChannel "shared-key-channel"
        "Alice founds a channel with Bob and Carol; then without Carol, who is handed no further key." => shared_key_channel;
    RecipientKeys "recipient-keys"
        "One message to two, without a session: each gets the key wrapped for itself, and none is used up." => recipient_keys;
    DowngradeRefused "downgrade-refused"
        "What must not be sent more weakly is not: Bob refuses it, Alice's runtime too, and a relay that alters it fails." => downgrade_refused;
}

async fn offline_first_contact(stage: &mut Stage) -> Result<(), String> {
    let id = stage.send_accepted(Alice, "Hello Bob, this is Alice.").await?;
    let status = stage.status(Alice, id).await?;
    let waits = status.deliveries.iter().all(|delivery| delivery.status.state == DeliveryState::Pending);
    ensure(waits && status.deliveries.len() == 1, "the message does not wait for Bob")?;
    expect_texts(stage, Bob, &["Hello Bob, this is Alice."]).await
}

async fn post_quantum_handshake(stage: &mut Stage) -> Result<(), String> {
    let envelope = last_envelope(stage)?;
    let opening = envelope.opening.ok_or("the first envelope carries no opening")?;
    ensure(opening.suite == Suite::Pqxdh25519MlKem768, "the session did not open with the post-quantum suite")?;
    ensure(opening.one_time_curve.is_some(), "no one-time curve key was used")?;
    let kem = opening.kem.ok_or("no KEM key was used")?;
    ensure(kem.kind == KemPrekeyKind::OneTime, "the KEM key was not a one-time key")
}

async fn reply(stage: &mut Stage) -> Result<(), String> {
    stage.send_accepted(Bob, "Hello Alice, well met.").await?;
    expect_texts(stage, Alice, &["Hello Alice, well met."]).await?;
    stage.send_accepted(Alice, "Likewise.").await?;
    expect_texts(stage, Bob, &["Likewise."]).await?;
    ensure(last_envelope(stage)?.opening.is_none(), "an envelope still carries the opening after the answer")
}

async fn out_of_order(stage: &mut Stage) -> Result<(), String> {
    let texts = ["one", "two", "three"];
    for text in texts {
        stage.send_accepted(Alice, text).await?;
    }
    stage.proxy.interference().reverse = true;
    let arrived = expect_texts(stage, Bob, &["three", "two", "one"]).await;
    stage.proxy.interference().reverse = false;
    arrived
}

async fn relay_restart(stage: &mut Stage) -> Result<(), String> {
    stage.send_accepted(Alice, "accepted before the crash").await?;
    let address = stage.kill_relay().await?;
    let (_, outcome) = stage.send(Alice, "written during the crash").await?;
    ensure(matches!(outcome, SendOutcome::Kept(_)), "a message was accepted by a relay that is dead")?;
    stage.restart_relay(&address).await?;
    stage.send_accepted(Alice, "written after the crash").await?;
    let texts = ["accepted before the crash", "written during the crash", "written after the crash"];
    expect_texts(stage, Bob, &texts).await
}

async fn agent_restart(stage: &mut Stage) -> Result<(), String> {
    stage.send_accepted(Alice, "for Bob's next life").await?;
    stage.restart_agent(Bob).await?;
    expect_texts(stage, Bob, &["for Bob's next life"]).await?;
    stage.restart_agent(Alice).await?;
    stage.send_accepted(Bob, "for Alice's").await?;
    expect_texts(stage, Alice, &["for Alice's"]).await
}

async fn tampered_envelope(stage: &mut Stage) -> Result<(), String> {
    let id = stage.send_accepted(Alice, "not a bit of it").await?;
    stage.proxy.interference().tamper = true;
    let nothing = stage.receive_nothing(Bob).await;
    stage.proxy.interference().tamper = false;
    nothing?;
    let status = stage.status(Alice, id).await?;
    let still_waits = status.deliveries.iter().all(|delivery| delivery.status.state == DeliveryState::InTransit);
    ensure(still_waits, "the relay gave the true message up for a forged one")?;
    expect_texts(stage, Bob, &["not a bit of it"]).await
}

async fn replayed_envelope(stage: &mut Stage) -> Result<(), String> {
    let old = stage.proxy.interference().seen.clone();
    ensure(!old.is_empty(), "no envelope was seen before")?;
    stage.proxy.interference().replay = old;
    let nothing = stage.receive_nothing(Bob).await;
    stage.proxy.interference().replay.clear();
    nothing?;
    stage.send_accepted(Alice, "still here").await?;
    expect_texts(stage, Bob, &["still here"]).await
}

async fn stranger(stage: &mut Stage) -> Result<(), String> {
    // Bob's runtime shows proof to a relay that does not know its connection yet: the eavesdropper has it all.
    stage.proxy.interference().credentials = None;
    stage.restart_agent(Bob).await?;
    stage.receive_nothing(Bob).await?;
    let stolen = stage.proxy.interference().credentials.clone().ok_or("no credentials have passed")?;
    let origin = stage.relay_origin();
    expect_refusal(&origin, None, None, "unauthenticated").await?;
    expect_refusal(&origin, Some(&stolen.authorization), None, "proof-required").await?;
    expect_refusal(&origin, Some(&stolen.authorization), Some(&stolen.proof), "proof-required").await
}

async fn honest_status(stage: &mut Stage) -> Result<(), String> {
    let id = stage.send_accepted(Alice, "where are you?").await?;
    expect_state(stage, id, DeliveryState::Pending, ReceiptCheck::NotNeeded).await?;
    stage.proxy.interference().forge_delivered = true;
    let forged = expect_state(stage, id, DeliveryState::Delivered, ReceiptCheck::Unproven).await;
    stage.proxy.interference().forge_delivered = false;
    forged?;
    stage.proxy.interference().tamper = true;
    let nothing = stage.receive_nothing(Bob).await;
    stage.proxy.interference().tamper = false;
    nothing?;
    expect_state(stage, id, DeliveryState::InTransit, ReceiptCheck::NotNeeded).await?;
    expect_texts(stage, Bob, &["where are you?"]).await?;
    expect_state(stage, id, DeliveryState::Delivered, ReceiptCheck::Verified).await?;
    let status = stage.status(Alice, id).await?;
    let in_order = status.deliveries.iter().all(|delivery| {
        let times = &delivery.status;
        let all = [Some(times.queued_at), times.handed_over_at, times.delivered_at, times.acknowledged_at];
        all.iter().all(Option::is_some) && all.is_sorted()
    });
    ensure(in_order, "the status's times are missing or out of order")
}

async fn expect_texts(stage: &Stage, who: super::stage::Who, texts: &[&str]) -> Result<(), String> {
    let messages = stage.receive(who, texts.len()).await?;
    let text = |message: &sealpost_agent::InboxMessage| message.payload()?.content.as_text().map(str::to_owned);
    let found: Vec<_> = messages.iter().map(|message| text(message).unwrap_or("(bytes)".to_owned())).collect();
    ensure(found == texts, &format!("expected {texts:?}, found {found:?}"))
}

async fn expect_state(stage: &Stage, id: MessageId, state: DeliveryState, receipt: ReceiptCheck) -> Result<(), String> {
    let status = stage.status(Alice, id).await?;
    let found: Vec<_> = status.deliveries.iter().map(|delivery| (delivery.status.state, delivery.receipt)).collect();
    ensure(found == [(state, receipt)], &format!("expected {state:?} with receipt {receipt:?}, found {found:?}"))
}

fn last_envelope(stage: &Stage) -> Result<Envelope, String> {
    let interference = stage.proxy.interference();
    let entry = interference.seen.last().ok_or("no envelope has passed")?;
    Envelope::from_bytes(&entry.envelope).map_err(|error| error.to_string())
}

/// Reads a mailbox with what a stranger may have, and expects to be told no with that code.
async fn expect_refusal(
    origin: &str,
    authorization: Option<&str>,
    proof: Option<&str>,
    code: &str,
) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(origin.to_owned()).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
    let mut request = Request::new(v1::ReceiveRequest::default());
    for (name, value) in [("authorization", authorization), ("dpop", proof)] {
        if let Some(value) = value {
            request.metadata_mut().insert(name, value.parse().map_err(|_| "credentials are not text")?);
        }
    }
    let found = match DeliveryRouterClient::new(channel).receive(request).await {
        Ok(_) => return Err("a stranger read a mailbox".to_owned()),
        Err(status) => code_of(&status),
    };
    ensure(found == code, &format!("expected the refusal {code}, found {found}"))
}

fn code_of(status: &Status) -> String {
    let code = status.metadata().get(CODE_METADATA).and_then(|code| code.to_str().ok());
    code.unwrap_or("(none)").to_owned()
}
