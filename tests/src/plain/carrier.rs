//! What a relay does for a client, whichever way they talk.

use futures::stream::BoxStream;
use sealpost_api::v1;
use sealpost_crypto::IdentityPrivateKey;
use sealpost_protocol::{AgentId, ErrorCode};

use super::credentials::{Credentials, ProofKey, sign_claim};

/// Events as they come; the stream ends when the relay ends it.
pub type Events = BoxStream<'static, v1::Event>;

/// One connection to a relay. A refusal is its stable code, which every transport gives.
#[expect(async_fn_in_trait, reason = "the tests await these calls where they make them")]
pub trait Carrier: Sized {
    /// Dials `origin`; who calls is not known yet.
    async fn dial(origin: &str) -> Self;

    /// Makes every call from now on with these credentials.
    fn present(&mut self, credentials: Credentials);

    /// Asks for a challenge to sign.
    async fn challenge(&mut self) -> Result<v1::ChallengeResponse, ErrorCode>;

    /// Asks for a token.
    async fn issue_token(&mut self, request: v1::IssueTokenRequest) -> Result<v1::IssueTokenResponse, ErrorCode>;

    /// Publishes prekeys.
    async fn upload_prekeys(&mut self, request: v1::UploadPrekeysRequest) -> Result<v1::PrekeyCounts, ErrorCode>;

    /// Claims a bundle of `agent`'s prekeys.
    async fn claim_bundle(&mut self, agent: AgentId, claim_id: [u8; 16]) -> Result<v1::PrekeyBundle, ErrorCode>;

    /// Reads `agent`'s manifest.
    async fn manifest(&mut self, agent: AgentId) -> Result<Vec<u8>, ErrorCode>;

    /// Hands a message in; returns when it was accepted.
    async fn send(&mut self, request: v1::SendRequest) -> Result<i64, ErrorCode>;

    /// Reads a page of the caller's mailbox.
    async fn receive(&mut self, request: v1::ReceiveRequest) -> Result<v1::ReceiveResponse, ErrorCode>;

    /// Hands receipts in.
    async fn acknowledge(&mut self, receipts: Vec<u8>) -> Result<v1::AcknowledgeResponse, ErrorCode>;

    /// Asks what became of a message.
    async fn status(&mut self, request: v1::GetStatusRequest) -> Result<Vec<v1::DeliveryStatus>, ErrorCode>;

    /// Asks for a message's body.
    async fn body(&mut self, request: v1::GetBodyRequest) -> Result<Vec<u8>, ErrorCode>;

    /// Reads a page of the caller's events.
    async fn list_events(&mut self, after: u64) -> Result<Vec<v1::Event>, ErrorCode>;

    /// Follows the caller's events.
    async fn subscribe(&mut self, after: u64) -> Result<Events, ErrorCode>;
}

/// A connection on which `identity` has proven who it is.
///
/// # Panics
/// When the relay does not take its word.
pub async fn log_in<C: Carrier>(origin: &str, identity: &IdentityPrivateKey) -> C {
    let mut carrier = C::dial(origin).await;
    let credentials = prove(&mut carrier, origin, identity).await;
    carrier.present(credentials);
    carrier
}

/// What the relay gives `identity` to show on any connection.
///
/// # Panics
/// When the relay does not take its word.
pub async fn sign_in<C: Carrier>(origin: &str, identity: &IdentityPrivateKey) -> Credentials {
    prove(&mut C::dial(origin).await, origin, identity).await
}

async fn prove<C: Carrier>(carrier: &mut C, origin: &str, identity: &IdentityPrivateKey) -> Credentials {
    let key = ProofKey::generate();
    let challenge = carrier.challenge().await.unwrap();
    let issued = carrier.issue_token(sign_claim(identity, challenge, origin, &key)).await.unwrap();
    Credentials { token: issued.token, key: Some(key) }
}
