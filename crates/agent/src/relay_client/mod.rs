//! The connection to a relay: authentication, retries of what only authentication refused, and typed errors.

mod error;
mod proofs;
mod tokens;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sealpost_api::{
    NotAnOrigin, Origin,
    convert::{FieldError, millis, timestamp},
    v1::{
        self, authentication_client::AuthenticationClient, delegations_client::DelegationsClient,
        delivery_router_client::DeliveryRouterClient, events_client::EventsClient,
        key_agreement_client::KeyAgreementClient, messages_client::MessagesClient, uploads_client::UploadsClient,
    },
};
use sealpost_crypto::IdentityPrivateKey;
use sealpost_protocol::{AccessClaim, ChallengeAnswer, Clock, ErrorCode, LedgerId, NodeId, Signer, Timestamp};
use tokio::sync::Mutex;
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

pub use self::error::RelayError;
use self::{proofs::ProofKey, tokens::Token};
use crate::{Delegation, limits};

/// Where a relay is, and how its certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// `scheme://host:port`.
    pub origin: String,
    /// PEM certificates to trust instead of the system's.
    pub certificates: Option<Vec<u8>>,
}

impl RelayAddress {
    /// The origin as it stands in claims: as it was written, without a slash at its end.
    ///
    /// # Errors
    /// [`RelayError::Address`] for what is more than an origin, or less, or none.
    pub fn checked_origin(&self) -> Result<&str, RelayError> {
        let origin = self.origin.strip_suffix('/').unwrap_or(&self.origin);
        match origin.parse::<Origin>() {
            Ok(_) => Ok(origin),
            Err(NotAnOrigin) => Err(RelayError::Address(self.origin.clone())),
        }
    }
}

/// One agent's connection to one relay, without a store behind it: for those who seal by themselves.
pub struct RelayClient {
    origin: String,
    channel: Channel,
    caller: Caller,
    clock: Arc<dyn Clock>,
    session: Mutex<Session>,
}

/// By what right calls are made.
enum Caller {
    Identity(Arc<IdentityPrivateKey>),
    Delegate(Box<Delegation>),
}

#[derive(Default)]
struct Session {
    /// The node that the agent knows under this origin; another is refused.
    pinned: Option<NodeId>,
    /// The ledger that the node kept when it issued the token.
    ledger: Option<LedgerId>,
    clocks: Option<ClocksCompared>,
    token: Option<Arc<Token>>,
    /// Whether the connection has yet to see proof of the token's key.
    needs_proof: bool,
}

impl Session {
    /// What the node's clock shows when the one here shows `local`.
    fn node_time(&self, local: Timestamp) -> Timestamp {
        match self.clocks {
            Some(ClocksCompared { here, there, .. }) => {
                there.saturating_add(local.since(here)).saturating_sub(here.since(local))
            }
            None => local,
        }
    }
}

/// What the clocks here and at the node showed at the same moment.
#[derive(Clone, Copy)]
struct ClocksCompared {
    here: Timestamp,
    there: Timestamp,
    at: Instant,
}

impl ClocksCompared {
    /// Whether the clock here has been set since, or the machine has slept: then nothing is known by it.
    fn is_void(self, local: Timestamp) -> bool {
        let expected = self.here.saturating_add(self.at.elapsed());
        local.since(expected).max(expected.since(local)) > limits::CLOCK_JUMP
    }
}

impl RelayClient {
    /// Prepares a connection to a relay whose node, where it is known, is `pinned`; it comes about at the first call.
    ///
    /// # Errors
    /// [`RelayError::Address`].
    pub fn new(
        address: &RelayAddress,
        pinned: Option<NodeId>,
        identity: Arc<IdentityPrivateKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RelayError> {
        Self::prepare(address, pinned, Caller::Identity(identity), clock)
    }

    /// Prepares a connection for somebody who acts for an agent. The node must be the one that the delegation was made at.
    ///
    /// # Errors
    /// [`RelayError::Address`].
    pub fn for_delegate(
        address: &RelayAddress,
        delegation: Delegation,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RelayError> {
        let (node, _) = delegation.relay();
        Self::prepare(address, Some(node), Caller::Delegate(Box::new(delegation)), clock)
    }

    fn prepare(
        address: &RelayAddress,
        pinned: Option<NodeId>,
        caller: Caller,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RelayError> {
        let origin = address.checked_origin()?.to_owned();
        let invalid = |_| RelayError::Address(origin.clone());
        let mut endpoint = Endpoint::from_shared(origin.clone())
            .map_err(invalid)?
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .http2_keep_alive_interval(limits::KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = ClientTlsConfig::new();
            let tls = match &address.certificates {
                Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                None => tls.with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(invalid)?;
        }
        let session = Mutex::new(Session { pinned, ..Session::default() });
        Ok(Self { origin, channel: endpoint.connect_lazy(), caller, clock, session })
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The node behind the origin, as it names itself; pinned from then on.
    pub(crate) async fn node_id(&self) -> Result<NodeId, RelayError> {
        self.token().await?;
        self.session.lock().await.pinned.ok_or(RelayError::Answer("the relay did not say who it is"))
    }

    /// What the node's clock shows.
    pub(crate) async fn time(&self) -> Result<Timestamp, RelayError> {
        self.token().await?;
        Ok(self.session.lock().await.node_time(self.clock.now()))
    }

    /// The same from what was last heard of it, as the monotonic clock goes; nothing if that is not known.
    pub(crate) fn time_as_compared(&self) -> Option<Timestamp> {
        let compared = self.session.try_lock().ok()?.clocks?;
        Some(compared.there.saturating_add(compared.at.elapsed()))
    }

    /// The ledger that the node keeps now, as far as is known here. A token of another one is refused, so whoever has made
    /// a call since knows.
    pub(crate) async fn ledger(&self) -> Result<LedgerId, RelayError> {
        self.token().await?;
        self.session.lock().await.ledger.ok_or(RelayError::Answer("the relay did not say which ledger it keeps"))
    }

    /// Talks to `node` and to no other from now on.
    pub(crate) async fn hold_to(&self, node: NodeId) -> Result<(), RelayError> {
        let mut session = self.session.lock().await;
        match session.pinned {
            Some(met) if met != node => {
                *session = Session { pinned: Some(node), ..Session::default() };
                Err(RelayError::OtherNode { origin: self.origin.clone(), pinned: node, found: met })
            }
            _ => {
                session.pinned = Some(node);
                Ok(())
            }
        }
    }

    /// Takes delegations back.
    pub(crate) async fn revoke(&self, request: v1::RevokeRequest) -> Result<v1::RevokeResponse, RelayError> {
        let call = async |channel, request| DelegationsClient::new(channel).revoke(request).await;
        self.call("/sealpost.v1.Delegations/Revoke", request, Duration::ZERO, call).await
    }

    /// The connection itself, for calls that need no token.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Publishes the agent's prekeys.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn upload_prekeys(&self, request: v1::UploadPrekeysRequest) -> Result<v1::PrekeyCounts, RelayError> {
        let call = async |channel, request| KeyAgreementClient::new(channel).upload_prekeys(request).await;
        let answer = self.call("/sealpost.v1.KeyAgreement/UploadPrekeys", request, Duration::ZERO, call).await?;
        answer.counts.ok_or(RelayError::Answer("no counts"))
    }

    pub(crate) async fn manifest(
        &self,
        request: v1::GetManifestRequest,
    ) -> Result<v1::GetManifestResponse, RelayError> {
        let call = async |channel, request| KeyAgreementClient::new(channel).get_manifest(request).await;
        self.call("/sealpost.v1.KeyAgreement/GetManifest", request, Duration::ZERO, call).await
    }

    pub(crate) async fn claim_bundle(
        &self,
        request: v1::ClaimPrekeyBundleRequest,
    ) -> Result<v1::PrekeyBundle, RelayError> {
        let call = async |channel, request| KeyAgreementClient::new(channel).claim_prekey_bundle(request).await;
        self.call("/sealpost.v1.KeyAgreement/ClaimPrekeyBundle", request, Duration::ZERO, call).await
    }

    /// Hands a sealed message over.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn send(&self, request: v1::SendRequest) -> Result<v1::SendResponse, RelayError> {
        let call = async |channel, request| DeliveryRouterClient::new(channel).send(request).await;
        self.call("/sealpost.v1.DeliveryRouter/Send", request, Duration::ZERO, call).await
    }

    /// Reads a page of the mailbox; nothing is consumed by that.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn receive(&self, request: v1::ReceiveRequest) -> Result<v1::ReceiveResponse, RelayError> {
        let wait = Duration::from_millis(request.wait_ms.into());
        let call = async |channel, request| DeliveryRouterClient::new(channel).receive(request).await;
        self.call("/sealpost.v1.DeliveryRouter/Receive", request, wait, call).await
    }

    pub(crate) async fn acknowledge(
        &self,
        request: v1::AcknowledgeRequest,
    ) -> Result<v1::AcknowledgeResponse, RelayError> {
        let call = async |channel, request| DeliveryRouterClient::new(channel).acknowledge(request).await;
        self.call("/sealpost.v1.DeliveryRouter/Acknowledge", request, Duration::ZERO, call).await
    }

    pub(crate) async fn standing(&self) -> Result<v1::GetStandingResponse, RelayError> {
        let call = async |channel, request| DeliveryRouterClient::new(channel).get_standing(request).await;
        let request = v1::GetStandingRequest {};
        self.call("/sealpost.v1.DeliveryRouter/GetStanding", request, Duration::ZERO, call).await
    }

    /// What became of a message.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn status(&self, request: v1::GetStatusRequest) -> Result<v1::GetStatusResponse, RelayError> {
        let call = async |channel, request| MessagesClient::new(channel).get_status(request).await;
        self.call("/sealpost.v1.Messages/GetStatus", request, Duration::ZERO, call).await
    }

    pub(crate) async fn begin_upload(&self, request: v1::BeginUploadRequest) -> Result<v1::UploadStatus, RelayError> {
        let call = async |channel, request| UploadsClient::new(channel).begin(request).await;
        self.call("/sealpost.v1.Uploads/Begin", request, Duration::ZERO, call).await
    }

    pub(crate) async fn append(&self, request: v1::AppendRequest) -> Result<v1::AppendResponse, RelayError> {
        let call = async |channel, request| UploadsClient::new(channel).append(request).await;
        self.call("/sealpost.v1.Uploads/Append", request, Duration::ZERO, call).await
    }

    pub(crate) async fn upload_status(&self, request: v1::UploadRequest) -> Result<v1::UploadStatus, RelayError> {
        let call = async |channel, request| UploadsClient::new(channel).get(request).await;
        self.call("/sealpost.v1.Uploads/Get", request, Duration::ZERO, call).await
    }

    pub(crate) async fn cancel_upload(
        &self,
        request: v1::UploadRequest,
    ) -> Result<v1::CancelUploadResponse, RelayError> {
        let call = async |channel, request| UploadsClient::new(channel).cancel(request).await;
        self.call("/sealpost.v1.Uploads/Cancel", request, Duration::ZERO, call).await
    }

    /// A message's body from a place to the end of the piece that the place lies in.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn body(&self, request: v1::GetBodyRequest) -> Result<v1::GetBodyResponse, RelayError> {
        let call = async |channel, request| MessagesClient::new(channel).get_body(request).await;
        self.call("/sealpost.v1.Messages/GetBody", request, Duration::ZERO, call).await
    }

    /// Changes after a number, as many as a page holds.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn changes(&self, request: v1::ListEventsRequest) -> Result<v1::ListEventsResponse, RelayError> {
        let call = async |channel, request| EventsClient::new(channel).list(request).await;
        self.call("/sealpost.v1.Events/List", request, Duration::ZERO, call).await
    }

    /// Makes one call, with a token, and with proof of its key if the connection needs one. What only authentication
    /// refused is tried again with what was missing.
    async fn call<Q: Clone, A>(
        &self,
        path: &'static str,
        message: Q,
        wait: Duration,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, RelayError> {
        let mut tries = 3;
        loop {
            let (token, proof_time) = self.token().await?;
            let mut request = Request::new(message.clone());
            token.authorize(&mut request)?;
            if let Some(now) = proof_time {
                let target = format!("{}{path}", self.origin);
                token.prove(&mut request, &target, now)?;
            }
            request.set_timeout(limits::REQUEST_TIMEOUT + wait);
            let answer =
                tokio::time::timeout(limits::REQUEST_TIMEOUT + wait, call(self.channel.clone(), request)).await;
            let error = match answer {
                Ok(Ok(answer)) => {
                    self.session.lock().await.needs_proof = false;
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => RelayError::from(status),
                Err(_) => RelayError::Unreachable("no answer in time".into()),
            };
            tries -= 1;
            let was_proven = proof_time.is_some();
            if tries == 0 || !self.can_mend(&error, &token, was_proven).await {
                return Err(error);
            }
        }
    }

    /// Whether a further try, with a new token or a proof, may succeed. One of the clocks may have been set since they were
    /// compared; a new token compares them again.
    async fn can_mend(&self, error: &RelayError, used: &Arc<Token>, was_proven: bool) -> bool {
        let mut session = self.session.lock().await;
        match error.code() {
            Some(ErrorCode::ProofRequired) => session.needs_proof = true,
            Some(ErrorCode::ClockSkew) if !was_proven => return false,
            Some(ErrorCode::TokenExpired | ErrorCode::Unauthenticated | ErrorCode::ClockSkew) => {
                if session.token.as_ref().is_some_and(|token| Arc::ptr_eq(token, used)) {
                    session.token = None;
                }
            }
            _ => return false,
        }
        true
    }

    /// A token that is good for a while, and the node's time if it needs proof. Tokens and proofs go by the node's clock:
    /// one that is wrong here keeps nobody out.
    async fn token(&self) -> Result<(Arc<Token>, Option<Timestamp>), RelayError> {
        let mut session = self.session.lock().await;
        if session.clocks.is_some_and(|compared| compared.is_void(self.clock.now())) {
            let answer = self.challenge(session.pinned).await?;
            session.clocks = Some(self.compared(&answer));
        }
        let now = session.node_time(self.clock.now());
        let ends_after = now.saturating_add(limits::TOKEN_MARGIN);
        if let Some(token) = session.token.as_ref().filter(|token| token.expires > ends_after) {
            return Ok((Arc::clone(token), session.needs_proof.then_some(now)));
        }
        let answer = self.challenge(session.pinned).await?;
        let (node, ledger, clocks) = (answer.node, answer.ledger, Some(self.compared(&answer)));
        let token = Arc::new(self.new_token(answer).await?);
        *session = Session {
            pinned: Some(node),
            ledger: Some(ledger),
            clocks,
            token: Some(Arc::clone(&token)),
            needs_proof: true,
        };
        Ok((token, Some(session.node_time(self.clock.now()))))
    }

    fn compared(&self, answer: &ChallengeAnswer) -> ClocksCompared {
        ClocksCompared { here: self.clock.now(), there: answer.at, at: Instant::now() }
    }

    /// Asks for a challenge. Who answers must be the pinned node, and sign as it.
    async fn challenge(&self, pinned: Option<NodeId>) -> Result<ChallengeAnswer, RelayError> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| RelayError::Key)?;
        let mut client = AuthenticationClient::new(self.channel.clone());
        let challenge = timely(client.challenge(v1::ChallengeRequest { nonce: nonce.to_vec() })).await?;
        let (answer, signature) = challenge.into_signed(nonce)?;
        let origin = || self.origin.clone();
        if let Some(pinned) = pinned.filter(|pinned| *pinned != answer.node) {
            return Err(RelayError::OtherNode { origin: origin(), pinned, found: answer.node });
        }
        let claimed = answer.node;
        answer.verify(&signature).map_err(|_| RelayError::NotTheNode { origin: origin(), claimed })?;
        Ok(answer)
    }

    async fn new_token(&self, answer: ChallengeAnswer) -> Result<Token, RelayError> {
        let key = ProofKey::generate()?;
        let claim = AccessClaim {
            node: answer.node,
            origin: self.origin.clone(),
            identity: match &self.caller {
                Caller::Identity(identity) => identity.identity_key(),
                Caller::Delegate(delegation) => delegation.certificate().fields().identity,
            },
            expires: answer.expires,
            challenge: answer.challenge,
            token_key: key.public(),
        };
        let (signature, delegation) = match &self.caller {
            Caller::Identity(identity) => (claim.sign(identity.as_ref()).0.to_vec(), None),
            Caller::Delegate(delegation) => {
                let (certificate, token) = delegation.bind(&claim).map_err(|_| RelayError::Key)?;
                (Vec::new(), Some(v1::Delegation { certificate, token }))
            }
        };
        let request = v1::IssueTokenRequest {
            identity_key: claim.identity.as_bytes().to_vec(),
            origin: claim.origin.clone(),
            signature,
            delegation,
            expires_at_ms: millis(claim.expires),
            token_key: claim.token_key.to_vec(),
            challenge: claim.challenge,
        };
        let mut client = AuthenticationClient::new(self.channel.clone());
        let issued = timely(client.issue_token(request)).await?;
        let expires = timestamp("expires_at_ms", issued.expires_at_ms)?;
        Ok(Token::new(issued.token, expires, key))
    }
}

async fn timely<A>(call: impl Future<Output = Result<Response<A>, Status>>) -> Result<A, RelayError> {
    match tokio::time::timeout(limits::REQUEST_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(RelayError::Unreachable("no answer in time".into())),
    }
}

impl From<FieldError> for RelayError {
    fn from(_: FieldError) -> Self {
        Self::Answer("a field is not what the interface says")
    }
}
