//! Messages without a ratchet, as an agent would send them that checks nothing.

use sealpost_agent::SystemClock;
use sealpost_api::v1;
use sealpost_crypto::{
    BodySeal, BodySealer, ContentKey, ContentKind, GroupKey, IdentityPrivateKey, Prelude, SystemPrimitives, wrap_key,
};
use sealpost_protocol::{
    AgentId, BodyAccess, BodyDescription, Clock, CurveKey, Header, HeaderFields, MessageClass, MessageId, MessageRef,
    MessageType, Prekey, Priority, Recipients, SenderSeal, SignedPart, Signer, encoding::Encode, limits,
};

use super::credentials::random;

/// How such a message is sealed.
#[derive(Debug, Clone, Copy)]
pub enum PlainScheme<'a> {
    /// Not at all.
    Open,
    /// Under a key of a group.
    Shared(&'a GroupKey),
    /// Under a key that is wrapped for each recipient, all of whom have this sealing key.
    Wrapped(&'a Prekey<CurveKey>),
}

/// A message for `recipients`, with its one body and a part for each.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn signed_message(
    sender: &IdentityPrivateKey,
    recipients: &[AgentId],
    message_type: Option<MessageType>,
    text: &str,
    scheme: PlainScheme<'_>,
) -> (MessageId, v1::SendRequest) {
    let primitives = &SystemPrimitives;
    let now = SystemClock.now();
    let message = MessageRef { sender: sender.agent_id(), id: MessageId::new(now, random()) };
    let (key, access) = match scheme {
        PlainScheme::Open => (None, BodyAccess::Open),
        PlainScheme::Shared(group_key) => {
            let (key, access) = group_key.new_content_key(primitives, &message).unwrap();
            (Some(key), BodyAccess::Shared(access))
        }
        PlainScheme::Wrapped(_) => (Some(ContentKey::generate(primitives).unwrap()), BodyAccess::Open),
    };
    let body = seal_body(key.as_ref(), message_type, text);
    let wrapped = matches!(scheme, PlainScheme::Wrapped(_));
    let header = Header::new(HeaderFields {
        message,
        recipients: Recipients::new(recipients.to_vec()).unwrap(),
        scheme: if wrapped { sealpost_protocol::Scheme::RecipientKeys } else { access.scheme() },
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: now,
        expires: now.saturating_add(limits::MESSAGE_LIFE),
        body: Some(BodyDescription::of(&body)),
    })
    .unwrap();
    let seal = SenderSeal::sign(sender as &dyn Signer, header.hash());
    let part = |recipient: &AgentId| {
        let access = match (scheme, &key) {
            (PlainScheme::Wrapped(to), Some(key)) => {
                BodyAccess::Wrapped(wrap_key(primitives, key, header.hash(), recipient, to).unwrap())
            }
            _ => access.clone(),
        };
        let envelope = SignedPart { seal, access }.to_bytes();
        v1::Part { recipient: recipient.to_string(), attempt: 1, envelope }
    };
    let parts = recipients.iter().map(part).collect();
    let header = header.as_bytes().to_vec();
    (message.id, v1::SendRequest { header, body: Some(body), upload_id: None, parts, retention: None })
}

fn seal_body(key: Option<&ContentKey>, message_type: Option<MessageType>, text: &str) -> Vec<u8> {
    let prelude = Prelude {
        message_type,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: ContentKind::Text,
        content_length: text.len() as u64,
        compressed_length: None,
    };
    let seal = key.map_or(BodySeal::Open, BodySeal::Sealed);
    let mut sealer = BodySealer::new(&seal, &prelude).unwrap();
    let (mut body, mut rest) = (Vec::new(), text.as_bytes());
    while let Some(room) = sealer.room() {
        let (now, later) = rest.split_at(room.len());
        room.copy_from_slice(now);
        rest = later;
        body.extend_from_slice(sealer.seal().unwrap());
    }
    body
}
