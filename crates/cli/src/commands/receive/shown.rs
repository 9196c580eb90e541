//! A received message as it is printed.

use base64::{Engine, engine::general_purpose::STANDARD};
use sealpost_agent::{
    ContentKind, InboxMessage, Received as Content, ReceivedScheme as Scheme, WaitingBody, WaitingReason, printable,
};
use sealpost_protocol::{MessageRef, Priority, Timestamp};
use serde::Serialize;

use crate::output::{named_agent, named_group, one_line};

/// Why a body stays at the relay that did not come as it was sent.
const DAMAGED: &str = "damaged";

#[derive(Default, Serialize)]
pub(super) struct Received {
    pub(super) id: String,
    pub(super) from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<String>,
    /// Bytes of a content that is no text; of one that stays at the relay, if it waits because they are so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) saved_as: Option<String>,
    /// Whether it stays in the inbox, since its content was not handed out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread: Option<String>,
    /// The message that it answers, and whose that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_to_from: Option<String>,
    /// How it was sealed, unless by a ratchet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme: Option<&'static str>,
    /// Whether the relay, and whoever has its store, can read it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) public: bool,
    /// Whose key it was sealed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_name: Option<String>,
    /// Bytes of a sealed body that stays at the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<u64>,
    /// Why it does: "stranger"; "no-room" here; "damaged" there, or on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting_reason: Option<&'static str>,
    /// Bytes that must be free for it to be fetched, where there is no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needed: Option<u64>,
    pub(super) priority: &'static str,
    pub(super) sent_at: String,
    pub(super) received_at: String,
}

impl Received {
    pub(super) fn new(message: &InboxMessage, from_name: Option<String>) -> Self {
        let (content, prelude) = match &message.content {
            Content::Payload(payload) => (Some(&payload.content), payload.prelude()),
            Content::Body(prelude) => (None, prelude.clone()),
        };
        let text = content.and_then(|content| content.as_text()).map(str::to_owned);
        let bytes = content.filter(|content| content.kind() == ContentKind::Bytes);
        Self {
            bytes: bytes.map(|bytes| STANDARD.encode(bytes.as_bytes())),
            length: text.is_none().then_some(prelude.content_length),
            text,
            file_name: prelude.file_name.map(|name| name.as_str().to_owned()),
            r#type: prelude.message_type.map(|name| name.as_str().to_owned()),
            thread: prelude.thread.map(|thread| thread.to_string()),
            reply_to: prelude.reply_to.map(|message| message.id.to_string()),
            reply_to_from: prelude.reply_to.map(|message| message.sender.to_string()),
            received_at: message.received.to_string(),
            ..Self::outside(message.message, from_name, message.scheme, message.priority, message.sent)
        }
    }

    /// One whose body stays at the relay.
    pub(super) fn waiting(waiting: &WaitingBody, from_name: Option<String>) -> Self {
        Self {
            waiting: Some(waiting.length),
            length: waiting.content_length,
            waiting_reason: Some(match waiting.reason {
                WaitingReason::Stranger => "stranger",
                WaitingReason::NoRoom => "no-room",
                WaitingReason::Damaged => DAMAGED,
            }),
            needed: (waiting.reason == WaitingReason::NoRoom).then_some(waiting.needed),
            received_at: waiting.received.to_string(),
            ..Self::outside(waiting.message, from_name, waiting.scheme, waiting.priority, waiting.sent)
        }
    }

    /// What is known of a message without its content.
    fn outside(
        MessageRef { id, sender }: MessageRef,
        from_name: Option<String>,
        scheme: Scheme,
        priority: Priority,
        sent: Timestamp,
    ) -> Self {
        Self {
            id: id.to_string(),
            from: sender.to_string(),
            from_name,
            scheme: named(scheme),
            public: scheme == Scheme::None,
            group: group_of(scheme),
            priority: priority.as_str(),
            sent_at: sent.to_string(),
            ..Self::default()
        }
    }

    pub(super) fn to_text(&self) -> String {
        let from = named_agent(self.from_name.as_deref(), &self.from);
        let from = match (self.public, &self.group) {
            (true, _) => format!("(public) {from}"),
            (false, Some(group)) => format!("[{}] {from}", named_group(self.group_name.as_deref(), group)),
            (false, None) => from,
        };
        if let Some(bytes) = self.waiting {
            let why = match self.needed {
                Some(needed) => format!("there is no room for it here: with {needed} bytes free,"),
                None if self.waiting_reason == Some(DAMAGED) => {
                    "what the relay handed out was not what was sent: to try again,".to_owned()
                }
                None => "its sender is no contact:".to_owned(),
            };
            let unpacked = self.length.map(|length| format!(", {length} when decompressed")).unwrap_or_default();
            let how = format!("{why} receive with --fetch {}", self.id);
            return format!("{from} at {}: waiting: body of {bytes} bytes{unpacked}; {how}", self.sent_at);
        }
        let answered = self.reply_to.as_ref().map(|id| format!(", in reply to {id}")).unwrap_or_default();
        let heading = format!("{from} at {}{answered}", self.sent_at);
        match &self.text {
            // Further lines are indented, so that none looks like another line of ours.
            Some(text) => {
                let text = printable(text);
                let lines = text.strip_suffix('\n').unwrap_or(&text).replace('\n', "\n    ");
                format!("{heading}: {lines}")
            }
            None => {
                let name = self.file_name.as_deref().map_or_else(|| "bytes".to_owned(), one_line);
                format!("{heading}: {name} ({} bytes)", self.length.unwrap_or_default())
            }
        }
    }
}

fn named(scheme: Scheme) -> Option<&'static str> {
    (scheme != Scheme::Ratchet).then(|| scheme.scheme().as_str())
}

fn group_of(scheme: Scheme) -> Option<String> {
    match scheme {
        Scheme::SharedKey { group, .. } => Some(group.to_string()),
        _ => None,
    }
}
