//! Refusals: one form for every way of saying no, and its one translation into each transport.

use std::{error::Error, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sealpost_api::{ALLOWED_METADATA, CODE_METADATA, TIME_METADATA, convert::FieldError};
use sealpost_core::{
    ClaimError, DeliveryError, ManifestLookupError, NotReady, PublishError, QueryError, ReceiptsError, ReceiveError,
    RevokeError, SubmissionError, UploadError,
    ports::{BackendError, ClaimKeysError},
};
use sealpost_protocol::{ErrorCode, SignedPartError, Timestamp, encoding::DecodeError};
use serde::Serialize;
use tonic::{Code, Status, metadata::MetadataValue};

use crate::{authentication::AuthenticationError, limits, memory::BrokenOff};

/// A request that was not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
    pub(crate) hint: Option<Hint>,
}

/// What a program can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// How late it is here, and how far a client's clock may be from that.
    Clock { now: Timestamp, allowed: Duration },
    /// When the same request may succeed.
    RetryAfter(Duration),
}

impl Refusal {
    /// A detail may quote what was sent, so it is cut.
    pub(crate) fn new(code: ErrorCode, detail: impl AsRef<str>) -> Self {
        Self { code, detail: detail.as_ref().chars().take(limits::DETAIL_CHARACTERS).collect(), hint: None }
    }

    fn with_hint(self, hint: Option<Hint>) -> Self {
        Self { hint, ..self }
    }

    /// The relay is about to stop.
    pub(crate) fn stopping() -> Self {
        Self::new(ErrorCode::Unavailable, "the relay is stopping")
    }

    /// Says what a caller may know; what made a store fail goes to the log.
    fn from_error(code: ErrorCode, error: &dyn Error) -> Self {
        if matches!(code, ErrorCode::Unavailable | ErrorCode::Internal) {
            let mut source: &dyn Error = error;
            while let Some(deeper) = source.source() {
                source = deeper;
            }
            tracing::error!(%code, %error, cause = %source, "request failed");
        }
        Self::new(code, error.to_string())
    }
}

/// Errors that name their own code.
macro_rules! refusal_from {
    ($($error:ty),+) => {
        $(impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self::from_error(error.code(), &error)
            }
        })+
    };
}

refusal_from!(NotReady, PublishError, QueryError, ReceiptsError, ReceiveError, RevokeError, UploadError);

impl From<AuthenticationError> for Refusal {
    fn from(error: AuthenticationError) -> Self {
        let hint = match error {
            AuthenticationError::ProofTime { now } => Some(Hint::Clock { now, allowed: limits::PROOF_AGE }),
            _ => None,
        };
        Self::from_error(error.code(), &error).with_hint(hint)
    }
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        let hint = match error {
            ClaimError::Store(ClaimKeysError::TooMany { retry_after }) => Some(Hint::RetryAfter(retry_after)),
            _ => None,
        };
        Self::from_error(error.code(), &error).with_hint(hint)
    }
}

impl From<ManifestLookupError> for Refusal {
    fn from(error: ManifestLookupError) -> Self {
        Self::from_error(error.code(), &error)
    }
}

impl From<DeliveryError> for Refusal {
    fn from(error: DeliveryError) -> Self {
        let hint = match error {
            DeliveryError::ClockSkew { now, allowed } => Some(Hint::Clock { now, allowed }),
            _ => None,
        };
        Self::from_error(error.code(), &error).with_hint(hint)
    }
}

impl Hint {
    /// As headers and as metadata: a name and a number each.
    fn headers(self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Clock { now, allowed } => vec![(TIME_METADATA, now.as_millis()), (ALLOWED_METADATA, millis(allowed))],
            // In whole seconds, as RFC 9110 has it, and not too early.
            Self::RetryAfter(wait) => vec![(header::RETRY_AFTER.as_str(), wait.as_secs() + 1)],
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self::from_error(ErrorCode::Unavailable, &error)
    }
}

impl From<BrokenOff> for Refusal {
    fn from(why: BrokenOff) -> Self {
        Self::new(ErrorCode::Unavailable, why.to_string())
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        let code = match error {
            FieldError::Encoding { source: DecodeError::BadSignature { .. }, .. } => ErrorCode::BadSignature,
            _ => ErrorCode::Malformed,
        };
        Self::from_error(code, &error)
    }
}

impl From<SubmissionError> for Refusal {
    fn from(error: SubmissionError) -> Self {
        let code = match &error {
            SubmissionError::PartTooLarge { .. }
            | SubmissionError::BodyTooLarge { .. }
            | SubmissionError::ControlTooLarge { .. } => ErrorCode::TooLarge,
            SubmissionError::SignedPart(SignedPartError::Sender | SignedPartError::Signature) => {
                ErrorCode::BadSignature
            }
            _ => ErrorCode::Malformed,
        };
        Self::from_error(code, &error)
    }
}

/// An RFC 9457 problem document. Its type is a name, not an address: nothing is fetched from it.
#[derive(Debug, Serialize)]
struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = http_status(self.code);
        let (server_time_ms, allowed_ms, retry_after_ms) = match self.hint {
            Some(Hint::Clock { now, allowed }) => (Some(now.as_millis()), Some(millis(allowed)), None),
            Some(Hint::RetryAfter(wait)) => (None, None, Some(millis(wait))),
            None => (None, None, None),
        };
        let problem = Problem {
            r#type: format!("urn:sealpost:error:{}", self.code),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: self.detail,
            retryable: self.code.is_retryable(),
            server_time_ms,
            allowed_ms,
            retry_after_ms,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CODE_METADATA, HeaderValue::from_static(self.code.as_str()));
        for (name, value) in self.hint.into_iter().flat_map(Hint::headers) {
            headers.insert(name, HeaderValue::from(value));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"DPoP algs="EdDSA""#));
        }
        response
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut status = Self::new(grpc_code(refusal.code), refusal.detail);
        if let Ok(code) = refusal.code.as_str().parse() {
            status.metadata_mut().insert(CODE_METADATA, code);
        }
        for (name, value) in refusal.hint.into_iter().flat_map(Hint::headers) {
            status.metadata_mut().insert(name, MetadataValue::from(value));
        }
        status
    }
}

/// The one translation into HTTP.
fn http_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Malformed | ErrorCode::BadSignature => StatusCode::BAD_REQUEST,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unauthenticated
        | ErrorCode::TokenExpired
        | ErrorCode::ProofRequired
        | ErrorCode::ChallengeRejected => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound | ErrorCode::UnknownRecipient => StatusCode::NOT_FOUND,
        ErrorCode::Lost => StatusCode::GONE,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::Conflict | ErrorCode::StaleManifest | ErrorCode::ReceiptsOutOfSequence => StatusCode::CONFLICT,
        ErrorCode::ClockSkew | ErrorCode::Expired | ErrorCode::UnsupportedScheme => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::MailboxFull | ErrorCode::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The one translation into gRPC.
fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::Malformed | ErrorCode::BadSignature | ErrorCode::TooLarge => Code::InvalidArgument,
        ErrorCode::Unauthenticated
        | ErrorCode::TokenExpired
        | ErrorCode::ProofRequired
        | ErrorCode::ChallengeRejected => Code::Unauthenticated,
        ErrorCode::Forbidden => Code::PermissionDenied,
        ErrorCode::NotFound | ErrorCode::UnknownRecipient => Code::NotFound,
        ErrorCode::Lost => Code::DataLoss,
        ErrorCode::Conflict => Code::AlreadyExists,
        ErrorCode::StaleManifest | ErrorCode::ReceiptsOutOfSequence => Code::Aborted,
        ErrorCode::ClockSkew | ErrorCode::Expired => Code::FailedPrecondition,
        ErrorCode::UnsupportedScheme | ErrorCode::MethodNotAllowed => Code::Unimplemented,
        ErrorCode::MailboxFull | ErrorCode::QuotaExceeded | ErrorCode::RateLimited => Code::ResourceExhausted,
        ErrorCode::Unavailable => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status_on_each_transport() {
        let line =
            |code: &ErrorCode| format!("{code} http={} grpc={:?}", http_status(*code).as_u16(), grpc_code(*code));
        let table: Vec<_> = ErrorCode::ALL.iter().map(line).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn a_detail_that_quotes_a_whole_request_is_cut() {
        let quoted = "é".repeat(sealpost_protocol::limits::REQUEST_BYTES);
        let refusal = Refusal::new(ErrorCode::Malformed, quoted);
        assert_eq!(refusal.detail.chars().count(), limits::DETAIL_CHARACTERS);
    }

    #[tokio::test]
    async fn a_limit_says_when_to_come_back_on_each_transport() {
        let wait = Duration::from_millis(61_500);
        let refusal = Refusal::from(ClaimError::Store(ClaimKeysError::TooMany { retry_after: wait }));
        let status = Status::from(refusal.clone());
        assert_eq!(status.metadata().get("retry-after").unwrap(), "62");
        assert_eq!(status.code(), Code::ResourceExhausted);
        let response = refusal.into_response();
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "62"));
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (problem["code"].as_str(), problem["retry_after_ms"].as_u64()),
            (Some("rate-limited"), Some(61_500))
        );
    }

    #[test]
    fn what_made_a_store_fail_stays_inside() {
        let error = BackendError::new("disk /var/lib/sealpost is on fire");
        assert_eq!(Refusal::from(error), Refusal::new(ErrorCode::Unavailable, "the store failed"));
    }
}
