//! The endpoints: each parses a request, calls one use case and maps the answer. gRPC and REST share them.

use std::{sync::Arc, time::Duration};

use sealpost_api::{
    convert::{agent_id, array, attempt, decode, decode_all, message_ref, millis, timestamp},
    v1,
};
use sealpost_core::{
    BodyPart, MailboxEntry, Page, PageRequest, Part, RevokeError, Submission, SubmittedBody,
    ports::{Change, PrekeyCounts, PrekeyUpload, RefusedReceipt},
};
use sealpost_protocol::{
    ClaimId, DeliveryState, ErrorCode, Header, IdentityKey, ReceiptBatch, Retention, Right, Signature,
    encoding::Encode, limits,
};

use super::{refusal::Refusal, stored_contents::content_message, uploads::upload_id};
use crate::{
    app::App,
    authentication::{AuthenticationError, Caller, Delegation, TokenRequest, Warrant},
    memory::Share,
    peer::Peer,
};

pub(crate) fn challenge(app: &App, request: v1::ChallengeRequest) -> Result<v1::ChallengeResponse, Refusal> {
    let (answer, signature) = app.authenticator.challenge(array("nonce", &request.nonce)?)?;
    Ok(v1::ChallengeResponse::from_signed(answer, &signature))
}

pub(crate) async fn issue_token(
    app: &App,
    peer: Peer,
    request: v1::IssueTokenRequest,
) -> Result<v1::IssueTokenResponse, Refusal> {
    if request.origin.len() > limits::ORIGIN {
        return Err(Refusal::new(ErrorCode::TooLarge, "origin: too long"));
    }
    let identity: IdentityKey = decode("identity_key", &request.identity_key)?;
    let request = TokenRequest {
        identity,
        origin: request.origin,
        challenge: request.challenge,
        expires: timestamp("expires_at_ms", request.expires_at_ms)?,
        token_key: array("token_key", &request.token_key)?,
        warrant: warrant(request.signature, request.delegation)?,
    };
    let claim = app.authenticator.check_claim(request)?;
    if let Some(shown) = &claim.shown
        && app.services.revoking.is_revoked(shown.clone()).await?
    {
        return Err(AuthenticationError::DelegationRevoked.into());
    }
    let token = app.authenticator.issue_token(peer, claim)?;
    Ok(v1::IssueTokenResponse { token: token.value, expires_at_ms: millis(token.expires) })
}

fn warrant(signature: Vec<u8>, delegation: Option<v1::Delegation>) -> Result<Warrant, Refusal> {
    match delegation {
        None => Ok(Warrant::Signature(Signature(array("signature", &signature)?))),
        Some(v1::Delegation { certificate, token }) if signature.is_empty() => {
            let certificate = decode("delegation.certificate", &certificate)?;
            Ok(Warrant::Delegation(Box::new(Delegation { certificate, token })))
        }
        Some(_) => Err(Refusal::new(ErrorCode::Malformed, "signature, delegation: one of them")),
    }
}

/// Tokens end when it is durable what was revoked, and before the caller hears so.
pub(crate) async fn revoke(
    app: &Arc<App>,
    caller: Caller,
    peer: Peer,
    share: Arc<Share>,
    request: v1::RevokeRequest,
) -> Result<v1::RevokeResponse, Refusal> {
    let principal = caller.itself()?;
    let delegations = decode_all("delegation_ids", &request.delegation_ids)?;
    let certified_until = request.certified_until_ms.map(|until| timestamp("certified_until_ms", until)).transpose()?;
    app.authenticator.admit_revocation(peer, caller.agent())?;
    let revoke = move |app: Arc<App>| async move {
        let at = app.services.revoking.revoke(&principal, delegations, certified_until).await?;
        app.authenticator.end_tokens([(principal.agent(), at)]);
        Ok::<_, RevokeError>(())
    };
    write(app, share, revoke).await?;
    Ok(v1::RevokeResponse {})
}

pub(crate) async fn upload_prekeys(
    app: &App,
    caller: Caller,
    request: v1::UploadPrekeysRequest,
) -> Result<v1::UploadPrekeysResponse, Refusal> {
    let caller = &caller.itself()?;
    let limit = limits::ONE_TIME_PREKEYS_PER_UPLOAD;
    if request.one_time_curve.len() > limit || request.one_time_kem.len() > limit {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("at most {limit} one-time prekeys of each kind")));
    }
    let upload = PrekeyUpload {
        manifest: decode("manifest", &request.manifest)?,
        one_time_curve: decode_all("one_time_curve", &request.one_time_curve)?,
        one_time_kem: decode_all("one_time_kem", &request.one_time_kem)?,
        forget_unused: request.forget_unused,
    };
    let counts = app.services.key_agreement.publish(caller, upload).await?;
    Ok(v1::UploadPrekeysResponse { counts: Some(counts_message(counts)) })
}

pub(crate) async fn claim_prekey_bundle(
    app: &App,
    caller: Caller,
    request: v1::ClaimPrekeyBundleRequest,
) -> Result<v1::PrekeyBundle, Refusal> {
    let caller = &caller.may(Right::Send)?;
    let claim = ClaimId(array("claim_id", &request.claim_id)?);
    let target = agent_id("agent_id", &request.agent_id)?;
    let bundle = app.services.key_agreement.claim(caller, claim, target).await?;
    Ok(v1::PrekeyBundle::from(&bundle))
}

pub(crate) async fn get_manifest(
    app: &App,
    _anyone: Caller,
    request: v1::GetManifestRequest,
) -> Result<v1::GetManifestResponse, Refusal> {
    let manifest = app.services.key_agreement.manifest(agent_id("agent_id", &request.agent_id)?).await?;
    Ok(v1::GetManifestResponse { manifest: manifest.to_bytes() })
}

pub(crate) async fn send(
    app: &Arc<App>,
    caller: Caller,
    share: Arc<Share>,
    request: v1::SendRequest,
) -> Result<v1::SendResponse, Refusal> {
    let caller = caller.may(Right::Send)?;
    if request.header.len() > limits::HEADER {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("header: at most {} bytes", limits::HEADER)));
    }
    let header: Header = decode("header", &request.header)?;
    let recipients = header.fields().recipients.as_slice().len();
    if request.parts.len() > recipients {
        return Err(Refusal::new(
            ErrorCode::Malformed,
            format!("at most one part for each of {recipients} recipients"),
        ));
    }
    let part = |part: v1::Part| -> Result<Part, Refusal> {
        Ok(Part::new(agent_id("recipient", &part.recipient)?, attempt(part.attempt)?, part.envelope)?)
    };
    let parts = request.parts.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
    let body = match (request.body, request.upload_id) {
        (None, None) => None,
        (Some(body), None) => Some(SubmittedBody::Inline(body)),
        (None, Some(id)) => Some(SubmittedBody::Uploaded(upload_id(&id)?)),
        (Some(_), Some(_)) => return Err(Refusal::new(ErrorCode::Malformed, "body, upload_id: one of them")),
    };
    let retention = request.retention.as_deref().map(retention).transpose()?;
    let mut submission = Submission::new(header, body, parts)?;
    if let Some(retention) = retention {
        submission = submission.kept(retention)?;
    }
    let send = |app: Arc<App>| async move { app.services.delivery_router.send(&caller, submission).await };
    let accepted = write(app, share, send).await?;
    Ok(v1::SendResponse { accepted_at_ms: millis(accepted.at) })
}

fn retention(name: &str) -> Result<Retention, Refusal> {
    let unknown = || Refusal::new(ErrorCode::Malformed, "retention: until-delivered or until-expiry");
    Retention::from_name(name).ok_or_else(unknown)
}

pub(crate) async fn receive(
    app: &App,
    token: Caller,
    share: &Share,
    request: v1::ReceiveRequest,
) -> Result<v1::ReceiveResponse, Refusal> {
    let caller = &token.may(Right::Read)?;
    let page = PageRequest {
        after: request.after,
        entries: usize::try_from(request.limit).unwrap_or(usize::MAX),
        wait: Duration::from_millis(request.wait_ms.into()),
        control_taken: request.control_taken,
    };
    if page.control_taken != 0 {
        token.itself()?; // reading may be left to others, and consumes nothing
    }
    let received = app.services.mailboxes.receive(caller, page, share);
    let received = app.tasks.stopping().run_until_cancelled(received);
    let page = tokio::select! {
        biased;
        received = received => received.ok_or_else(Refusal::stopping)??,
        over = app.over(token) => return Err(over),
    };
    Ok(page_message(page))
}

pub(crate) async fn acknowledge(
    app: &Arc<App>,
    caller: Caller,
    share: Arc<Share>,
    request: v1::AcknowledgeRequest,
) -> Result<v1::AcknowledgeResponse, Refusal> {
    let caller = caller.itself()?;
    let batch: ReceiptBatch = decode("receipts", &request.receipts)?;
    let record = |app: Arc<App>| async move { app.services.receipts.record(&caller, batch).await };
    let countersigned = write(app, share, record).await?;
    let refused = |refused: &RefusedReceipt| v1::RefusedReceipt {
        index: u32::try_from(refused.index).unwrap_or(u32::MAX),
        code: refused.code().to_string(),
    };
    Ok(v1::AcknowledgeResponse {
        number: countersigned.number,
        countersignature: countersigned.signature.0.to_vec(),
        refused: countersigned.refused.iter().map(refused).collect(),
    })
}

pub(crate) async fn get_standing(app: &App, caller: Caller) -> Result<v1::GetStandingResponse, Refusal> {
    let caller = &caller.may(Right::Read)?;
    let standing = app.services.message_query.standing(caller).await?;
    Ok(v1::GetStandingResponse {
        receipt_head: standing.receipt_head.map(|head| head.to_bytes()).unwrap_or_default(),
        last_control: standing.last_control.map(|id| id.to_string()).unwrap_or_default(),
    })
}

pub(crate) async fn get_status(
    app: &App,
    caller: Caller,
    share: &Share,
    request: v1::GetStatusRequest,
) -> Result<v1::GetStatusResponse, Refusal> {
    let caller = &caller.may(Right::Read)?;
    let message = message_ref(caller.agent(), &request.sender, &request.message_id)?;
    share.grow(crate::limits::STATUS_BYTES)?;
    let status = app.services.message_query.status(caller, message).await?;
    let deliveries = status.deliveries.iter().map(v1::DeliveryStatus::from).collect();
    Ok(v1::GetStatusResponse { deliveries, content: content_message(&status.content) })
}

pub(crate) async fn get_body(
    app: &App,
    caller: Caller,
    share: &Share,
    request: v1::GetBodyRequest,
) -> Result<v1::GetBodyResponse, Refusal> {
    let caller = &caller.may(Right::Read)?;
    let message = message_ref(caller.agent(), &request.sender, &request.message_id)?;
    share.grow(limits::INLINE_BODY)?;
    Ok(body_message(app.services.message_query.body(caller, message, request.offset).await?))
}

pub(crate) fn body_message(part: BodyPart) -> v1::GetBodyResponse {
    v1::GetBodyResponse { body: part.bytes, offset: part.offset, length: part.length }
}

pub(crate) async fn list_events(
    app: &App,
    caller: Caller,
    request: v1::ListEventsRequest,
) -> Result<v1::ListEventsResponse, Refusal> {
    let caller = &caller.may(Right::Read)?;
    let changes = app.services.message_query.changes(caller, request.after).await?;
    Ok(v1::ListEventsResponse { events: changes.iter().map(event_message).collect() })
}

/// Does a write to its end, whatever becomes of the request.
pub(super) async fn write<T, E, F>(
    app: &Arc<App>,
    share: Arc<Share>,
    work: impl FnOnce(Arc<App>) -> F,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    Refusal: From<E>,
{
    match app.write(share, work(Arc::clone(app))).await {
        Some(done) => Ok(done?),
        // What came before the panic may be stored, and both writes may be repeated as they are.
        None => Err(Refusal::new(ErrorCode::Unavailable, "the relay failed; it may have been done")),
    }
}

pub(crate) fn page_message(page: Page) -> v1::ReceiveResponse {
    let entry = |entry: MailboxEntry| v1::MailboxEntry {
        mailbox_seq: entry.mailbox_seq,
        attempt: entry.attempt.number().into(),
        queued_at_ms: millis(entry.queued_at),
        header: entry.header,
        envelope: entry.part,
    };
    v1::ReceiveResponse {
        entries: page.entries.into_iter().map(entry).collect(),
        prekeys: Some(counts_message(page.prekeys)),
    }
}

pub(crate) fn event_message(change: &Change) -> v1::Event {
    let r#type = match change.state {
        DeliveryState::Pending => "message:sent",
        DeliveryState::InTransit => "message:in-transit",
        DeliveryState::Delivered if change.acknowledged => "message:acknowledged",
        DeliveryState::Delivered => "message:delivered",
        DeliveryState::Failed(_) => "message:failed",
    };
    v1::Event {
        seq: change.change_seq,
        r#type: r#type.to_owned(),
        sender: change.message.sender.to_string(),
        message_id: change.message.id.to_string(),
        recipient: change.recipient.to_string(),
        attempt: change.attempt.number().into(),
        reason: change.state.failure().map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
    }
}

fn counts_message(counts: PrekeyCounts) -> v1::PrekeyCounts {
    v1::PrekeyCounts { one_time_curve: counts.one_time_curve, one_time_kem: counts.one_time_kem }
}

#[cfg(test)]
mod tests {
    use sealpost_core::conformance::{Agent, Letter};

    use super::*;
    use crate::{app::tests::app, limits::MEMORY};

    #[tokio::test]
    async fn a_write_that_panics_may_be_repeated() {
        let app = Arc::new(app());
        let share = Arc::new(app.memory.share());
        let work = |_| async { if std::hint::black_box(true) { panic!("a defect") } else { Ok::<(), Refusal>(()) } };
        assert!(write(&app, share, work).await.unwrap_err().code.is_retryable());
    }

    #[tokio::test]
    async fn an_answer_finds_its_memory_before_it_is_read() {
        let app = app();
        let bob = Agent::bob();
        let caller = Caller::for_test(bob.id());
        let principal = caller.itself().unwrap();
        let letter = Letter::new(&bob, &[&bob]).body(b"body");
        app.services.key_agreement.publish(&principal, bob.upload(1, 1..=5)).await.unwrap();
        app.services.delivery_router.send(&principal, letter.submission()).await.unwrap();
        let (sender, message_id) = (bob.id().to_string(), letter.message().id.to_string());
        let others = app.memory.share();
        others.grow(MEMORY - 1_000).unwrap();
        let share = app.memory.share();
        let body = v1::GetBodyRequest { sender: sender.clone(), message_id: message_id.clone(), offset: 0 };
        let status = v1::GetStatusRequest { sender, message_id };
        assert!(receive(&app, caller, &share, v1::ReceiveRequest::default()).await.is_err());
        assert!(get_body(&app, caller, &share, body.clone()).await.is_err());
        assert!(get_status(&app, caller, &share, status.clone()).await.is_err());
        drop(others);
        let before = get_status(&app, caller, &share, status).await.unwrap();
        assert_eq!(before.deliveries.first().unwrap().state, "pending", "it was not read");
        assert_eq!(receive(&app, caller, &share, v1::ReceiveRequest::default()).await.unwrap().entries.len(), 1);
        assert_eq!(get_body(&app, caller, &share, body).await.unwrap().body, b"body");
        assert!(!app.memory.has_free(MEMORY - limits::PAGE_BYTES), "the answers have it");
    }
}
