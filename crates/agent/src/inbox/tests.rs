use sealpost_crypto::{Content, FileName};
use sealpost_protocol::{AgentId, MessageId, MessageType, ThreadId};

use super::*;
use crate::Outgoing;

#[test]
fn debug_shows_nothing_of_what_is_sealed() {
    let (alice, bob) = (AgentId::from_array([1; 32]), AgentId::from_array([2; 32]));
    let message = MessageRef { sender: alice, id: MessageId::new(Timestamp::from_millis(1), [3; 10]) };
    let answered = MessageRef { sender: bob, id: MessageId::new(Timestamp::from_millis(2), [4; 10]) };
    let payload = Payload {
        message_type: Some(MessageType::new("secret.type").unwrap()),
        thread: Some(ThreadId([0x5a; 16])),
        reply_to: Some(answered),
        file_name: Some(FileName::new("secret.txt").unwrap()),
        content: Content::text("the secret".to_owned()).unwrap(),
    };
    let received = InboxMessage {
        message,
        content: Received::Payload(payload.clone()),
        sent: Timestamp::from_millis(1),
        received: Timestamp::from_millis(2),
        priority: Priority::Normal,
        scheme: ReceivedScheme::Ratchet,
        arrival: Arrival(Vec::new()),
    };
    let thread = payload.thread.map(|thread| thread.to_string()).unwrap();
    for shown in [format!("{received:?}"), format!("{:?}", Outgoing::to([alice], payload))] {
        for sealed in ["secret", thread.as_str(), &answered.id.to_string(), &bob.to_string()] {
            assert!(!shown.contains(sealed), "{sealed} in {shown}");
        }
        assert!(shown.contains("10 bytes"), "{shown}");
    }
}
