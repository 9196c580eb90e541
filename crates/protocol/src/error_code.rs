//! Stable names of errors, the same on every transport.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A text that names no error of this version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown error code")]
pub struct UnknownErrorCode;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $retryable:literal;)+) => {
        /// What a relay answers when it does not do what it was asked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $variant,)+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Whether the same request may succeed later without being changed.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)+ }
            }
        }

        impl FromStr for ErrorCode {
            type Err = UnknownErrorCode;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownErrorCode) }
            }
        }
    };
}

error_codes! {
    /// The request is not of the form that the interface states.
    Malformed = "malformed", false;
    /// A part of the request exceeds its limit.
    TooLarge = "too-large", false;
    /// A signature in the request does not verify.
    BadSignature = "bad-signature", false;
    /// No valid token came with the request.
    Unauthenticated = "unauthenticated", false;
    /// The token's time is over; a new one is needed.
    TokenExpired = "token-expired", false;
    /// This connection has not yet seen proof of the token's key.
    ProofRequired = "proof-required", false;
    /// The challenge was used, is too old, or was issued by another node.
    ChallengeRejected = "challenge-rejected", false;
    /// The caller is known and may not do this.
    Forbidden = "forbidden", false;
    /// There is no such thing, or none that the caller may see.
    NotFound = "not-found", false;
    /// The relay had it, and its store has lost or damaged it.
    Lost = "lost", false;
    /// The path is served, and not by this method.
    MethodNotAllowed = "method-not-allowed", false;
    /// The recipient has published no prekeys at this relay.
    UnknownRecipient = "unknown-recipient", false;
    /// The id is in use for something else.
    Conflict = "conflict", false;
    /// The time of a message or a proof is too far from the relay's clock, which is told.
    ClockSkew = "clock-skew", false;
    /// The manifest is not newer than the stored one.
    StaleManifest = "stale-manifest", false;
    /// The manifest, or a key in it, has expired.
    Expired = "expired", false;
    /// The scheme is not served by this relay: a code of the wire that a relay of ours, which serves all, never says.
    UnsupportedScheme = "unsupported-scheme", false;
    /// The recipient's mailbox has no room.
    MailboxFull = "mailbox-full", true;
    /// The agent has as much at the relay as it may have.
    QuotaExceeded = "quota-exceeded", true;
    /// The batch of receipts does not continue the last one.
    ReceiptsOutOfSequence = "receipts-out-of-sequence", false;
    /// Too many requests of this kind.
    RateLimited = "rate-limited", true;
    /// The relay cannot serve the request now, or cannot say that it did: it is not known whether it was done, and the same
    /// request again is safe.
    Unavailable = "unavailable", true;
    /// The relay is at fault.
    Internal = "internal", false;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_the_list_is_stable() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        let list: Vec<_> =
            ErrorCode::ALL.iter().map(|code| format!("{code} retryable={}", code.is_retryable())).collect();
        insta::assert_snapshot!(list.join("\n"));
    }
}
