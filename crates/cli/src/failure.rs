//! How the command fails: a message for people, a code for programs, an exit code for scripts.

use std::error::Error;

use sealpost_agent::{
    CancelError, DelegationsError, GroupError, InvalidDelegation, Obstacle, OpenAgentError, PrekeysError, RelayError,
    SendError, StateError, StatusError, SyncError,
};
use serde::Serialize;
use serde_json::json;

use crate::output;

/// The exit codes, as the help prints them; the README has the same words.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done; also if whoever reads the output has had enough
  1  something else went wrong; with `--json` its `code` says what
  2  the command line, or the configuration, is not understood or asks for what cannot be
  3  the relay does not answer, or a message cannot go out now, whatever the cause: it is kept and goes out
     later
  4  the relay refused
  5  something on this machine cannot be used: an agent, its key or its store; for `serve` its data folder (in
     use, of another node, damaged, or another's), its certificate or its port (in use); for `blocks`,
     `backup` and `restore` a data folder or a backup that cannot be used, read or written (what a relay
     refuses under `--admin` is 1)
  6  mail was lost: what came is shown, and a message, or the content of one, will never come
  7  the relay's ledger contradicts itself: what came is shown, and the relay is given no receipts
  8  more mail waits at the relay, and a minute of it had nothing to show: `receive` again goes on
  9  done, but standard output takes no result, which standard error tells, or standard error does not take
     what else has happened, which a later command tells
  130  interrupted: standard error says what is left; a `send` whose message is kept by then prints its id";

/// What whoever runs a relay can do about a fork.
pub(crate) const FORK_ADVICE: &str =
    "if its data folder was put back from a copy, whoever runs it starts it once with `sealpost serve --restored`";

const KEY_REPLACED: &str = "key-replaced";

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    Done = 0,
    Other = 1,
    Usage = 2,
    Unreachable = 3,
    Refused = 4,
    LocalState = 5,
    Lost = 6,
    Forked = 7,
    More = 8,
    Unshown = 9,
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// The earlier message that another one waits behind.
#[derive(Debug, Serialize)]
pub(crate) struct Behind {
    pub(crate) id: String,
    /// Why that one waits.
    pub(crate) reason: String,
}

impl Behind {
    pub(crate) fn of(error: &SendError) -> Option<Self> {
        match error {
            SendError::Behind(obstacle) => Some(obstacle.into()),
            _ => None,
        }
    }
}

impl From<&Obstacle> for Behind {
    fn from(obstacle: &Obstacle) -> Self {
        Self { id: obstacle.message.to_string(), reason: obstacle.reason.clone() }
    }
}

/// A command that came to nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    exit: ExitCode,
    /// A stable name: the relay's own code, or one of this command's.
    code: String,
    message: String,
    /// The code of what lies behind it, where that is another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// What was done all the same, as it would have been printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<serde_json::Value>,
}

impl Failure {
    fn new(exit: ExitCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), cause: None, result: None }
    }

    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Other, "failed", message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, "usage", message)
    }

    pub(crate) fn local_state(message: impl Into<String>) -> Self {
        Self::new(ExitCode::LocalState, "local-state", message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unreachable, "unreachable", message)
    }

    /// The content of so many messages will never come.
    pub(crate) fn lost(messages: usize) -> Self {
        let what = if messages == 1 { "a message".to_owned() } else { format!("{messages} messages") };
        Self::new(ExitCode::Lost, "lost", format!("the relay no longer has the content of {what}: it will not come"))
    }

    /// The relay's ledger contradicts what it has countersigned.
    pub(crate) fn forked() -> Self {
        let message = format!("the relay's ledger contradicts itself, and is given no receipts; {FORK_ADVICE}");
        Self::new(ExitCode::Forked, "forked", message)
    }

    /// What was read for long could not be shown, and there is more.
    pub(crate) fn more() -> Self {
        let message =
            "nothing could be shown of what was read, and more mail waits at the relay; receive again to go on";
        Self::new(ExitCode::More, "more", message)
    }

    /// Standard output takes nothing.
    pub(crate) fn unwritten(error: impl std::fmt::Display) -> Self {
        Self::new(ExitCode::Unshown, "unshown", format!("standard output: {error}"))
    }

    /// Standard error takes nothing of what happened, which is not told so.
    pub(crate) fn untold(error: impl std::fmt::Display) -> Self {
        let message = format!("standard error: {error}; what else has happened is told by a later command");
        Self::new(ExitCode::Unshown, "untold", message)
    }

    /// What was asked is done, and its result could not be written.
    pub(crate) fn unshown(cause: &Self, text: &str, result: Option<serde_json::Value>) -> Self {
        let message = format!("{}; it is done all the same: {text}", cause.message);
        Self { result, ..Self::new(ExitCode::Unshown, "unshown", message) }
    }

    pub(crate) fn no_room(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Other, "no-room", message)
    }

    pub(crate) fn not_waiting(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Other, "not-waiting", message)
    }

    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Interrupted, "interrupted", message)
    }

    /// A message that is kept, for that reason.
    pub(crate) fn kept(cause: Self) -> Self {
        let message = format!("{}; the message is kept and goes out with a later command", cause.message);
        Self { cause: Some(cause.code), ..Self::new(ExitCode::Unreachable, "kept", message) }
    }

    /// Whoever reads the output has had enough of it: the command ends, and nothing went wrong.
    pub(crate) fn reader_left() -> Self {
        Self::new(ExitCode::Done, "reader-left", "")
    }

    pub(crate) fn name_changed(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Other, "name-changed", message)
    }

    fn key_replaced(message: impl Into<String>) -> Self {
        Self::new(ExitCode::LocalState, KEY_REPLACED, message)
    }

    /// Whether the agent's store key was replaced meanwhile: opened anew, it goes on.
    pub(crate) fn is_key_replaced(&self) -> bool {
        self.code == KEY_REPLACED
    }

    /// The relay has no such message, though one has accepted it.
    pub(crate) fn unknown_to_relay(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Refused, "not-found", message)
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Other, "fingerprint-mismatch", message)
    }

    /// The same, with more to say.
    pub(crate) fn with(self, more: &str) -> Self {
        Self { message: format!("{}; {more}", self.message), ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn code(&self) -> ExitCode {
        self.exit
    }

    /// Says on standard error what went wrong, if anything did.
    pub(crate) fn report(&self, json: bool) {
        match (self.exit, json) {
            (ExitCode::Done, _) => {}
            (_, true) => output::say_json(&json!({ "error": self })),
            (_, false) => output::say(&format!("error: {}", self.message)),
        }
    }
}

/// The message of an error and of what caused it, where that says more.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Self {
        let (exit, code) = match &error {
            RelayError::Unreachable(_) => (ExitCode::Unreachable, "unreachable".to_owned()),
            RelayError::Refused { code, .. } => (ExitCode::Refused, code.to_string()),
            RelayError::Address(_) | RelayError::NotConfigured => (ExitCode::Usage, "usage".to_owned()),
            RelayError::OtherNode { .. } => (ExitCode::Refused, "other-node".to_owned()),
            _ => (ExitCode::Other, "failed".to_owned()),
        };
        Self::new(exit, code, chain(&error))
    }
}

impl From<OpenAgentError> for Failure {
    fn from(error: OpenAgentError) -> Self {
        match error {
            OpenAgentError::Relay(error) => error.into(),
            error => Self::local_state(chain(&error)),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error.is_key_replaced() {
            true => Self::key_replaced(chain(&error)),
            false => Self::local_state(chain(&error)),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Relay(error) => error.into(),
            SendError::Prekeys(error) => error.into(),
            SendError::State(_) | SendError::Damaged(_) | SendError::Spool(_) => Self::local_state(chain(&error)),
            SendError::Content(_)
            | SendError::Header(_)
            | SendError::ToItself
            | SendError::NotReceived { .. }
            | SendError::Input(_)
            | SendError::ContentChanged
            | SendError::ContentTooLong => Self::usage(chain(&error)),
            SendError::Bundle { .. } => Self::new(ExitCode::Other, "unusable-bundle", chain(&error)),
            SendError::Group(error) => error.into(),
            SendError::GroupHasRecipients => Self::usage(chain(&error)),
            SendError::BelowMinimum { .. } => Self::new(ExitCode::Other, "policy", chain(&error)),
            SendError::Misdated { .. } | SendError::ClocksDiffer { .. } | SendError::RecipientForgotten(_) => {
                Self::new(ExitCode::Refused, error.code(), chain(&error))
            }
            SendError::Behind(_) => Self::new(ExitCode::Other, "behind", chain(&error)),
            error => Self::other(chain(&error)),
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Relay(error) => error.into(),
            SyncError::Prekeys(error) => error.into(),
            SyncError::Status(error) => error.into(),
            error if error.is_key_replaced() => Self::key_replaced(chain(&error)),
            SyncError::State(_) | SyncError::Damaged(_) => Self::local_state(chain(&error)),
            error => Self::other(chain(&error)),
        }
    }
}

impl From<PrekeysError> for Failure {
    fn from(error: PrekeysError) -> Self {
        match error {
            PrekeysError::Relay(error) => error.into(),
            PrekeysError::State(_) | PrekeysError::Damaged(_) => Self::local_state(chain(&error)),
            error => Self::other(chain(&error)),
        }
    }
}

impl From<DelegationsError> for Failure {
    fn from(error: DelegationsError) -> Self {
        match error {
            DelegationsError::Relay(error) => error.into(),
            DelegationsError::State(error) => error.into(),
            DelegationsError::Life | DelegationsError::Label | DelegationsError::OtherRelay(_) => {
                Self::usage(chain(&error))
            }
            error => Self::other(chain(&error)),
        }
    }
}

impl From<InvalidDelegation> for Failure {
    fn from(error: InvalidDelegation) -> Self {
        Self::usage(chain(&error))
    }
}

impl From<StatusError> for Failure {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Relay(error) => error.into(),
            StatusError::Unknown(_) => Self::new(ExitCode::Other, "not-found", chain(&error)),
            error => Self::local_state(chain(&error)),
        }
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        let message = chain(&error);
        match error {
            GroupError::Unknown(_) => Self::new(ExitCode::Other, "not-found", message),
            GroupError::NameTaken { .. } => Self::new(ExitCode::Other, "name-taken", message),
            GroupError::NotFounder => Self::new(ExitCode::Other, "not-founder", message),
            GroupError::Ended => Self::new(ExitCode::Other, "not-member", message),
            GroupError::State(_) | GroupError::Damaged(_) => Self::local_state(message),
            GroupError::Roster(_)
            | GroupError::UnclearName(_)
            | GroupError::NotMember(_)
            | GroupError::FounderStays => Self::usage(message),
            _ => Self::other(message),
        }
    }
}

impl From<CancelError> for Failure {
    fn from(error: CancelError) -> Self {
        let message = chain(&error);
        match error {
            CancelError::Relay(error) => Self { message, ..error.into() },
            CancelError::NotWaiting(_) => Self::new(ExitCode::Other, "not-waiting", message),
            CancelError::Accepted(_) => Self::new(ExitCode::Other, "accepted", message),
            CancelError::State(_) | CancelError::Damaged(_) => Self::local_state(message),
            _ => Self::other(message),
        }
    }
}
