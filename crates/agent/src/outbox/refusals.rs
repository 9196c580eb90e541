//! What a failure says of a message that was to go out: the one table.

use sealpost_protocol::ErrorCode;

use crate::{RelayError, SendError};

/// What becomes of a message after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It can never be accepted: it is noted as unsent.
    Unsent,
    /// It waits and is tried again, and with it what follows it to the same recipients.
    Waits,
    /// It waits, and so does everything else: the relay cannot be used now.
    AllWait,
}

/// What becomes of a message after `error`.
pub(crate) fn fate(error: &SendError) -> Fate {
    match error {
        SendError::Relay(error) => after_relay(error),
        SendError::Prekeys(_) => Fate::AllWait,
        SendError::Misdated { .. } => Fate::Unsent,
        _ => Fate::Waits,
    }
}

/// Whether what was said of a message is the last word on it.
pub(crate) fn is_final(error: &SendError) -> bool {
    fate(error) == Fate::Unsent
}

fn after_relay(error: &RelayError) -> Fate {
    match error {
        RelayError::Refused { code, .. } => after_code(*code),
        _ => Fate::AllWait,
    }
}

fn after_code(code: ErrorCode) -> Fate {
    match code {
        // What the message is, and cannot become otherwise.
        ErrorCode::Malformed
        | ErrorCode::TooLarge
        | ErrorCode::Conflict
        | ErrorCode::Expired
        | ErrorCode::UnsupportedScheme
        | ErrorCode::UnknownRecipient => Fate::Unsent,
        // Who the agent is to the relay: it would meet every message.
        ErrorCode::BadSignature
        | ErrorCode::Unauthenticated
        | ErrorCode::TokenExpired
        | ErrorCode::ProofRequired
        | ErrorCode::ChallengeRejected
        | ErrorCode::Forbidden
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable => Fate::AllWait,
        // A clock is set right, a mailbox is emptied, a relay is mended. What a later version says is not known to be final.
        _ => Fate::Waits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_message_itself_is_refused_for_is_final() {
        let refused = |code| RelayError::Refused { code, detail: String::new() };
        let is_unsent = |code: &&ErrorCode| is_final(&refused(**code).into());
        let unsent: Vec<_> = ErrorCode::ALL.iter().filter(is_unsent).map(|code| code.as_str()).collect();
        let expected = ["malformed", "too-large", "unknown-recipient", "conflict", "expired", "unsupported-scheme"];
        assert_eq!(unsent, expected);
        for waits in [ErrorCode::Internal, ErrorCode::ClockSkew, ErrorCode::MailboxFull] {
            assert_eq!(fate(&refused(waits).into()), Fate::Waits, "{waits}");
        }
        for (code, all) in [(ErrorCode::Forbidden, true), (ErrorCode::ChallengeRejected, true)] {
            assert_eq!(fate(&refused(code).into()) == Fate::AllWait, all, "{code}");
        }
        assert_eq!(fate(&RelayError::Unreachable(String::new()).into()), Fate::AllWait);
    }
}
