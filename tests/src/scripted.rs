//! A relay that says what a test tells it to: refusals, entries and pages that an honest one never hands out.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::HandClock;
use futures::stream::BoxStream;
use sealpost_agent::SystemClock;
use sealpost_api::{
    CODE_METADATA,
    v1::{
        self,
        authentication_server::{Authentication, AuthenticationServer},
        delivery_router_server::{DeliveryRouter, DeliveryRouterServer},
        events_server::{Events, EventsServer},
        key_agreement_server::{KeyAgreement, KeyAgreementServer},
        messages_server::{Messages, MessagesServer},
    },
};
use sealpost_crypto::{IdentityPrivateKey, SystemPrimitives};
use sealpost_protocol::{
    ChallengeAnswer, Clock, CountersignedHead, ErrorCode, HeaderHash, LedgerId, ReceiptBatch, ReceiptLeaf, Signer,
    Timestamp,
    encoding::{Decode, Encode},
    limits as wire,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Code, Request, Response, Status, transport::server::TcpIncoming};

/// The relay; it ends when dropped.
pub struct ScriptedRelay {
    origin: String,
    serving: JoinHandle<()>,
    script: Arc<Mutex<Script>>,
}

/// How a relay answers to whoever asks for a body.
pub type BodyAnswer = Box<dyn Fn(&v1::GetBodyRequest) -> Result<v1::GetBodyResponse, ErrorCode> + Send>;

/// What the relay says, and what it was told.
pub struct Script {
    /// What every request for a token is refused with.
    pub refuses_tokens: Option<ErrorCode>,
    /// What every message is refused with.
    pub refuses_messages: Option<ErrorCode>,
    /// What it says beside a refusal's code.
    pub words: String,
    /// What every batch of receipts is refused with.
    pub refuses_receipts: Option<ErrorCode>,
    /// What every request for changes is refused with.
    pub refuses_changes: Option<ErrorCode>,
    /// What every upload is refused with, though it has arrived.
    pub refuses_uploads: Option<ErrorCode>,
    /// How many one-time keys it says it has left.
    pub counts: v1::PrekeyCounts,
    /// One-time keys and manifests that every upload of them conflicts with.
    pub spent: Vec<Vec<u8>>,
    /// What whoever asks for a manifest gets, whose it may be.
    pub manifest: Option<Vec<u8>>,
    /// What a claim is answered with.
    pub bundle: Option<v1::PrekeyBundle>,
    /// Bodies of messages, by their ids.
    pub bodies: HashMap<String, Vec<u8>>,
    /// What is said of messages, by their ids.
    pub statuses: HashMap<String, Vec<v1::DeliveryStatus>>,
    /// The feed of changes.
    pub changes: Vec<v1::Event>,
    /// The messages whose status was asked for.
    pub status_requests: Vec<String>,
    /// What is answered to whoever asks for a body, in place of those there are.
    pub body: Option<BodyAnswer>,
    /// The mailbox, in order.
    pub mailbox: Vec<v1::MailboxEntry>,
    /// Whether it hands out what it has receipts of.
    pub keeps_mail: bool,
    /// Entries in a page.
    pub page: usize,
    /// How often a token was given.
    pub tokens: usize,
    /// How often messages were handed in.
    pub sends: usize,
    /// Each request for mail.
    pub receives: Vec<v1::ReceiveRequest>,
    /// What it says of the agent's own doing; the head of receipts follows what it takes.
    pub standing: v1::GetStandingResponse,
    /// How often that was asked for.
    pub standings: usize,
    /// Every receipt that was given.
    pub receipts: Vec<ReceiptLeaf>,
    /// The last upload of prekeys.
    pub uploaded: Option<v1::UploadPrekeysRequest>,
    clock: Arc<dyn Clock>,
    node: IdentityPrivateKey,
}

#[derive(Clone)]
struct Scripted(Arc<Mutex<Script>>);

impl ScriptedRelay {
    /// A relay on a free port that takes everything and has nothing.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        Self::by_clock(Arc::new(SystemClock)).await
    }

    /// The same, and a clock for agents that is always right: what the relay's shows, turned by hand.
    pub async fn with_clock() -> (Self, Arc<HandClock>) {
        let clock = HandClock::now();
        (Self::by_clock(Arc::clone(&clock) as Arc<dyn Clock>).await, clock)
    }

    async fn by_clock(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script {
            refuses_tokens: None,
            refuses_messages: None,
            words: "as the script says".to_owned(),
            refuses_receipts: None,
            refuses_changes: None,
            refuses_uploads: None,
            counts: full(),
            spent: Vec::new(),
            manifest: None,
            bundle: None,
            bodies: HashMap::new(),
            statuses: HashMap::new(),
            changes: Vec::new(),
            status_requests: Vec::new(),
            body: None,
            mailbox: Vec::new(),
            keeps_mail: false,
            page: 100,
            tokens: 0,
            sends: 0,
            receives: Vec::new(),
            standing: v1::GetStandingResponse::default(),
            standings: 0,
            receipts: Vec::new(),
            uploaded: None,
            clock,
            node: IdentityPrivateKey::generate(&SystemPrimitives).unwrap(),
        }));
        let service = Scripted(Arc::clone(&script));
        let serving = tonic::transport::Server::builder()
            .add_service(AuthenticationServer::new(service.clone()))
            .add_service(KeyAgreementServer::new(service.clone()))
            .add_service(DeliveryRouterServer::new(service.clone()))
            .add_service(MessagesServer::new(service.clone()))
            .add_service(EventsServer::new(service))
            .serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self { origin, serving, script }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: the origin names the address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.origin.trim_start_matches("http://").parse().unwrap()
    }

    /// What it says, to read and to change.
    ///
    /// # Panics
    /// When a test has panicked with it in hand.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

impl Drop for ScriptedRelay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Scripted {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

fn refusal(code: ErrorCode) -> Status {
    refusal_in(code, "as the script says")
}

fn refusal_in(code: ErrorCode, words: &str) -> Status {
    let mut status = Status::new(Code::Unknown, words);
    status.metadata_mut().insert(CODE_METADATA, code.as_str().parse().unwrap());
    status
}

fn answer<T>(refused: Option<ErrorCode>, answer: T) -> Result<Response<T>, Status> {
    match refused {
        Some(code) => Err(refusal(code)),
        None => Ok(Response::new(answer)),
    }
}

fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

#[tonic::async_trait]
impl Authentication for Scripted {
    async fn challenge(
        &self,
        request: Request<v1::ChallengeRequest>,
    ) -> Result<Response<v1::ChallengeResponse>, Status> {
        let script = self.script();
        let (node, at) = (&script.node, script.clock.now());
        let said = ChallengeAnswer {
            node: node.identity_key().into(),
            ledger: LedgerId([7; 16]),
            nonce: request.into_inner().nonce.try_into().unwrap(),
            challenge: vec![1; 56],
            at,
            expires: at.saturating_add(Duration::from_secs(3_600)),
        };
        let signature = said.sign(node);
        answer(None, v1::ChallengeResponse::from_signed(said, &signature))
    }

    async fn issue_token(&self, _: Request<v1::IssueTokenRequest>) -> Result<Response<v1::IssueTokenResponse>, Status> {
        let mut script = self.script();
        let in_an_hour = script.clock.now().saturating_add(Duration::from_secs(3_600));
        let issued = v1::IssueTokenResponse { token: "token".to_owned(), expires_at_ms: millis(in_an_hour) };
        script.tokens += usize::from(script.refuses_tokens.is_none());
        match script.refuses_tokens {
            Some(code) => Err(refusal_in(code, &script.words)),
            None => answer(None, issued),
        }
    }
}

#[tonic::async_trait]
impl KeyAgreement for Scripted {
    async fn upload_prekeys(
        &self,
        request: Request<v1::UploadPrekeysRequest>,
    ) -> Result<Response<v1::UploadPrekeysResponse>, Status> {
        let request = request.into_inner();
        let mut script = self.script();
        let is_spent = |key: &Vec<u8>| script.spent.contains(key);
        let conflicts =
            request.one_time_curve.iter().chain(&request.one_time_kem).chain([&request.manifest]).any(is_spent);
        if !conflicts {
            script.uploaded = Some(request);
        }
        let refused = conflicts.then_some(ErrorCode::Conflict).or(script.refuses_uploads);
        answer(refused, v1::UploadPrekeysResponse { counts: Some(script.counts) })
    }

    async fn claim_prekey_bundle(
        &self,
        _: Request<v1::ClaimPrekeyBundleRequest>,
    ) -> Result<Response<v1::PrekeyBundle>, Status> {
        let bundle = self.script().bundle.clone();
        answer(bundle.is_none().then_some(ErrorCode::UnknownRecipient), bundle.unwrap_or_default())
    }

    async fn get_manifest(
        &self,
        _: Request<v1::GetManifestRequest>,
    ) -> Result<Response<v1::GetManifestResponse>, Status> {
        let manifest = self.script().manifest.clone();
        let refused = manifest.is_none().then_some(ErrorCode::UnknownRecipient);
        answer(refused, v1::GetManifestResponse { manifest: manifest.unwrap_or_default() })
    }
}

#[tonic::async_trait]
impl DeliveryRouter for Scripted {
    async fn send(&self, _: Request<v1::SendRequest>) -> Result<Response<v1::SendResponse>, Status> {
        let mut script = self.script();
        script.sends += 1;
        let accepted_at_ms = millis(script.clock.now());
        answer(script.refuses_messages, v1::SendResponse { accepted_at_ms })
    }

    async fn receive(&self, request: Request<v1::ReceiveRequest>) -> Result<Response<v1::ReceiveResponse>, Status> {
        let request = request.into_inner();
        let mut script = self.script();
        let waiting = script.mailbox.iter().filter(|entry| entry.mailbox_seq > request.after);
        let entries = waiting.take(script.page).cloned().collect();
        script.receives.push(request);
        answer(None, v1::ReceiveResponse { entries, prekeys: Some(script.counts) })
    }

    async fn get_standing(
        &self,
        _: Request<v1::GetStandingRequest>,
    ) -> Result<Response<v1::GetStandingResponse>, Status> {
        let mut script = self.script();
        script.standings += 1;
        answer(None, script.standing.clone())
    }

    type FollowStream = BoxStream<'static, Result<v1::ReceiveResponse, Status>>;

    async fn follow(&self, _: Request<v1::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        Err(refusal(ErrorCode::Unavailable))
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::AcknowledgeResponse>, Status> {
        let batch = ReceiptBatch::from_bytes(&request.into_inner().receipts).unwrap();
        let mut script = self.script();
        if let Some(code) = script.refuses_receipts {
            return Err(refusal(code));
        }
        for leaf in batch.leaves() {
            let keeps_mail = script.keeps_mail;
            script.mailbox.retain(|entry| keeps_mail || HeaderHash::of(&entry.header) != leaf.header);
            script.receipts.push(leaf.clone());
        }
        let head = batch.signed_head().head;
        let countersignature = head.countersign(&script.node);
        script.standing.receipt_head = CountersignedHead { signed: *batch.signed_head(), countersignature }.to_bytes();
        let countersignature = countersignature.0.to_vec();
        answer(None, v1::AcknowledgeResponse { number: head.number, countersignature, refused: Vec::new() })
    }
}

#[tonic::async_trait]
impl Messages for Scripted {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let id = request.into_inner().message_id;
        let mut script = self.script();
        script.status_requests.push(id.clone());
        let deliveries = script.statuses.get(&id).cloned();
        answer(
            deliveries.is_none().then_some(ErrorCode::NotFound),
            v1::GetStatusResponse { deliveries: deliveries.unwrap_or_default(), content: None },
        )
    }

    async fn get_body(&self, request: Request<v1::GetBodyRequest>) -> Result<Response<v1::GetBodyResponse>, Status> {
        let request = request.into_inner();
        if let Some(answer) = &self.script().body {
            return answer(&request).map(Response::new).map_err(refusal);
        }
        let body = self.script().bodies.get(&request.message_id).cloned();
        let body = body.ok_or_else(|| refusal(ErrorCode::NotFound))?;
        let piece = usize::try_from(wire::BODY_PIECE).unwrap();
        let length = body.len() as u64;
        let rest = body.into_iter().skip(usize::try_from(request.offset).unwrap());
        answer(None, v1::GetBodyResponse { body: rest.take(piece).collect(), offset: request.offset, length })
    }

    type StreamBodyStream = BoxStream<'static, Result<v1::GetBodyResponse, Status>>;

    async fn stream_body(&self, _: Request<v1::GetBodyRequest>) -> Result<Response<Self::StreamBodyStream>, Status> {
        Err(refusal(ErrorCode::NotFound))
    }
}

#[tonic::async_trait]
impl Events for Scripted {
    type SubscribeStream = BoxStream<'static, Result<v1::Event, Status>>;

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(refusal(ErrorCode::Unavailable))
    }

    async fn list(&self, request: Request<v1::ListEventsRequest>) -> Result<Response<v1::ListEventsResponse>, Status> {
        let after = request.into_inner().after;
        let script = self.script();
        let events = script.changes.iter().filter(|event| event.seq > after).cloned().collect();
        answer(script.refuses_changes, v1::ListEventsResponse { events })
    }
}

fn full() -> v1::PrekeyCounts {
    v1::PrekeyCounts { one_time_curve: 100, one_time_kem: 100 }
}
