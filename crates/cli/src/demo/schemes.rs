//! The steps that do without a ratchet: a channel under a shared key, one message to many without a session, and what is
//! refused because it is sealed too weakly.

use sealpost_agent::{
    Agent, Content, Event, Outgoing, OutgoingScheme, Payload, ReceivedScheme, SendError, SendOutcome,
};
use sealpost_protocol::{AgentId, DeliveryState, FailureReason, MessageId, MessageType, RefusalReason, Scheme};

use super::stage::{
    Stage,
    Who::{Alice, Bob},
    ensure, receive_by,
};
use crate::failure::chain;

/// What must never be sealed more weakly than by a ratchet.
const ORDER: &str = "com.example.order";

pub(super) async fn shared_key_channel(stage: &mut Stage) -> Result<(), String> {
    let carol = stage.newcomer("carol").await?;
    let members = [stage.bob.id(), carol.id()];
    let channel = stage.alice.create_group("channel", &members).await.map_err(|error| chain(&error))?.group.id;
    sync(&stage.bob).await?;
    sync(&carol).await?;
    let scheme = OutgoingScheme::SharedKey(channel);
    send(&stage.alice, [], "Hello, both of you.", scheme, None).await?;
    let expected = ReceivedScheme::SharedKey { group: channel, epoch: 0 };
    expect(&stage.bob, "Hello, both of you.", expected).await?;
    expect(&carol, "Hello, both of you.", expected).await?;

    stage.alice.remove_from_group(channel, &[carol.id()]).await.map_err(|error| chain(&error))?;
    sync(&stage.bob).await?;
    sync(&carol).await?;
    send(&stage.alice, [], "Without Carol.", scheme, None).await?;
    expect(&stage.bob, "Without Carol.", ReceivedScheme::SharedKey { group: channel, epoch: 1 }).await?;
    let hers = carol.group(channel).await.map_err(|error| chain(&error))?;
    ensure(hers.epoch == 0, "Carol was handed the key of an epoch without her")?;
    let nothing = carol.unread(None, 1).await.map_err(|error| chain(&error))?;
    ensure(nothing.is_empty(), "Carol was sent what is not for her")
}

pub(super) async fn recipient_keys(stage: &mut Stage) -> Result<(), String> {
    let dave = stage.newcomer("dave").await?;
    let before = dave.prekey_status().await.map_err(|error| chain(&error))?;
    stage.proxy.interference().seen.clear();
    let to = [stage.bob.id(), dave.id()];
    let id = send(&stage.alice, to, "To each of you alone.", OutgoingScheme::RecipientKeys, None).await?;
    expect(&stage.bob, "To each of you alone.", ReceivedScheme::RecipientKeys).await?;
    expect(&dave, "To each of you alone.", ReceivedScheme::RecipientKeys).await?;
    let parts: Vec<_> = stage.proxy.interference().seen.iter().map(|entry| entry.envelope.clone()).collect();
    let one_wrap = parts.len() == 2 && parts.iter().all(|part| part.len() < 200) && parts.first() != parts.get(1);
    ensure(one_wrap, "a recipient was handed more than its own wrap")?;
    let after = dave.prekey_status().await.map_err(|error| chain(&error))?;
    let unused = (before.one_time_curve, before.one_time_kem) == (after.one_time_curve, after.one_time_kem);
    ensure(unused, "one-time keys were used for a message without a session")?;
    let status = stage.status(Alice, id).await?;
    let delivered = status.deliveries.iter().all(|delivery| delivery.status.state == DeliveryState::Delivered);
    ensure(delivered && status.deliveries.len() == 2, "not both have signed for it")
}

pub(super) async fn downgrade_refused(stage: &mut Stage) -> Result<(), String> {
    let order = MessageType::new(ORDER).map_err(|error| error.to_string())?;
    stage.bob.set_minimum(Some(&order), Scheme::Ratchet).await.map_err(|error| chain(&error))?;
    let to = [stage.bob.id()];
    for scheme in [OutgoingScheme::None, OutgoingScheme::RecipientKeys] {
        let id = send(&stage.alice, to, "one hundred", scheme, Some(&order)).await?;
        stage.receive_nothing(Bob).await?;
        let refused = DeliveryState::Failed(FailureReason::Refused(RefusalReason::Policy));
        let status = stage.status(Alice, id).await?;
        ensure(status.deliveries.iter().all(|delivery| delivery.status.state == refused), "Bob did not refuse it")?;
    }
    stage.alice.set_minimum(Some(&order), Scheme::Ratchet).await.map_err(|error| chain(&error))?;
    let refused = try_send(&stage.alice, to, "one hundred", OutgoingScheme::RecipientKeys, Some(&order)).await;
    ensure(matches!(refused, Err(SendError::BelowMinimum { .. })), "Alice's own runtime sent it all the same")?;

    send(&stage.alice, to, "one hundred", OutgoingScheme::Ratchet, Some(&order)).await?;
    stage.proxy.interference().downgrade = true;
    let nothing = stage.receive_nothing(Bob).await;
    stage.proxy.interference().downgrade = false;
    nothing?;
    expect(&stage.bob, "one hundred", ReceivedScheme::Ratchet).await?;
    sync(&stage.alice).await?;
    let events = stage.alice.events(100).await.map_err(|error| chain(&error))?;
    let refusals = events.iter().filter(|noted| matches!(noted.event, Event::Failed { .. })).count();
    ensure(refusals == 2, &format!("Alice was told of {refusals} refusals of 2"))
}

async fn try_send(
    from: &Agent,
    to: impl Into<Vec<AgentId>>,
    text: &str,
    scheme: OutgoingScheme,
    message_type: Option<&MessageType>,
) -> Result<(MessageId, SendOutcome), SendError> {
    let mut payload = Payload::new(Content::text(text.to_owned())?);
    payload.message_type = message_type.cloned();
    let sent = from.send(Outgoing::to(to, payload).under(scheme)).await?;
    Ok((sent.id, sent.outcome))
}

/// Sends a text, which the relay must accept.
async fn send(
    from: &Agent,
    to: impl Into<Vec<AgentId>>,
    text: &str,
    scheme: OutgoingScheme,
    message_type: Option<&MessageType>,
) -> Result<MessageId, String> {
    match try_send(from, to, text, scheme, message_type).await.map_err(|error| chain(&error))? {
        (id, SendOutcome::Accepted(_)) => Ok(id),
        (_, SendOutcome::Kept(error)) => Err(format!("the relay did not accept {text:?}: {error}")),
    }
}

async fn expect(agent: &Agent, text: &str, scheme: ReceivedScheme) -> Result<(), String> {
    let messages = receive_by(agent, 1).await?;
    let found: Vec<_> = messages
        .iter()
        .map(|message| (message.payload().and_then(|payload| payload.content.as_text()), message.scheme))
        .collect();
    ensure(found == [(Some(text), scheme)], &format!("expected {text:?} under {scheme:?}, found {found:?}"))
}

async fn sync(agent: &Agent) -> Result<(), String> {
    agent.sync(std::time::Duration::ZERO).await.map(drop).map_err(|error| chain(&error))
}
