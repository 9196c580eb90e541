//! Refusals: one form for every way of saying no, and its one translation into each transport.

use std::error::Error;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sealpost_api::{CODE_METADATA, convert::FieldError};
use sealpost_core::{
    ClaimError, PublishError, QueryError, ReceiptsError, ReceiveError, SendError, SubmissionError, ports::BackendError,
};
use sealpost_protocol::ErrorCode;
use serde::Serialize;
use tonic::{Code, Status};

use crate::{authentication::AuthenticationError, limits, memory::MemoryShort};

/// A request that was not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
}

impl Refusal {
    /// A detail may quote what was sent, so it is cut.
    pub(crate) fn new(code: ErrorCode, detail: impl AsRef<str>) -> Self {
        Self { code, detail: detail.as_ref().chars().take(limits::DETAIL_CHARACTERS).collect() }
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

refusal_from!(AuthenticationError, ClaimError, PublishError, QueryError, ReceiptsError, ReceiveError, SendError);

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self::from_error(ErrorCode::Unavailable, &error)
    }
}

impl From<MemoryShort> for Refusal {
    fn from(short: MemoryShort) -> Self {
        Self::new(ErrorCode::Unavailable, short.to_string())
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::from_error(ErrorCode::Malformed, &error)
    }
}

impl From<SubmissionError> for Refusal {
    fn from(error: SubmissionError) -> Self {
        let code = match &error {
            SubmissionError::PartTooLarge { .. } | SubmissionError::BodyTooLarge { .. } => ErrorCode::TooLarge,
            SubmissionError::Scheme(_) | SubmissionError::Class => ErrorCode::UnsupportedScheme,
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
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = http_status(self.code);
        let problem = Problem {
            r#type: format!("urn:sealpost:error:{}", self.code),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: self.detail,
            retryable: self.code.is_retryable(),
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CODE_METADATA, HeaderValue::from_static(self.code.as_str()));
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
        ErrorCode::Conflict | ErrorCode::StaleManifest | ErrorCode::ReceiptsOutOfSequence => StatusCode::CONFLICT,
        ErrorCode::ClockSkew | ErrorCode::Expired | ErrorCode::UnsupportedScheme => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::MailboxFull => StatusCode::INSUFFICIENT_STORAGE,
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
        ErrorCode::Conflict => Code::AlreadyExists,
        ErrorCode::StaleManifest | ErrorCode::ReceiptsOutOfSequence => Code::Aborted,
        ErrorCode::ClockSkew | ErrorCode::Expired => Code::FailedPrecondition,
        ErrorCode::UnsupportedScheme => Code::Unimplemented,
        ErrorCode::MailboxFull | ErrorCode::RateLimited => Code::ResourceExhausted,
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
        let quoted = "é".repeat(limits::REQUEST_BYTES);
        let refusal = Refusal::new(ErrorCode::Malformed, quoted);
        assert_eq!(refusal.detail.chars().count(), limits::DETAIL_CHARACTERS);
    }

    #[test]
    fn what_made_a_store_fail_stays_inside() {
        let error = BackendError::new("disk /var/lib/sealpost is on fire");
        assert_eq!(Refusal::from(error), Refusal::new(ErrorCode::Unavailable, "the store failed"));
    }
}
