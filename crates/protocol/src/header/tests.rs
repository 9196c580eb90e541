//! What decodes is what was encoded, and what no header may say does not decode.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::MessageId;

const CREATED: Timestamp = Timestamp::from_millis(1_795_351_425_123);

fn agent(byte: u8) -> AgentId {
    AgentId::from_array([byte; 32])
}

fn fields() -> HeaderFields {
    HeaderFields {
        message: MessageRef { sender: agent(1), id: MessageId::new(CREATED, [7; 10]) },
        recipients: Recipients(vec![agent(2), agent(3)]),
        scheme: Scheme::Ratchet,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: CREATED,
        expires: CREATED.saturating_add(limits::MESSAGE_LIFE),
        body: None,
    }
}

/// The encoding of fields, whether or not they make a header.
fn encoded(fields: &HeaderFields) -> Vec<u8> {
    let mut writer = Writer::new();
    encode_fields(fields, &mut writer);
    writer.into_bytes()
}

fn any_fields() -> impl Strategy<Value = HeaderFields> {
    let enums = (
        prop::sample::select(vec![Scheme::None, Scheme::SharedKey, Scheme::RecipientKeys, Scheme::Ratchet]),
        prop::sample::select(vec![MessageClass::Ordinary, MessageClass::Control]),
        prop::sample::select(vec![Priority::Low, Priority::Normal, Priority::High]),
    );
    let times = (0..1_u64 << 47, 1..=u64::try_from(limits::MESSAGE_LIFE.as_millis()).unwrap());
    let optional = (
        option::of("[!-~]{1,64}"),
        option::of((any::<[u8; 32]>(), any::<[u8; 10]>())),
        option::of((1..=limits::BODY, any::<[u8; 32]>())),
    );
    let names = (any::<[u8; 32]>(), any::<[u8; 10]>(), vec(any::<[u8; 32]>(), 1..20));
    (enums, times, optional, names).prop_map(|((scheme, class, priority), (created, life), optional, names)| {
        let (created, (sender, random, recipients)) = (Timestamp::from_millis(created), names);
        let (message_type, reply_to, body) = optional;
        HeaderFields {
            message: MessageRef { sender: AgentId::from_array(sender), id: MessageId::new(created, random) },
            recipients: Recipients::new(recipients.into_iter().map(AgentId::from_array).collect()).unwrap(),
            scheme,
            class,
            priority,
            message_type: message_type.map(|name| MessageType::new(&name).unwrap()),
            thread: None,
            reply_to: reply_to.map(|(sender, random)| MessageRef {
                sender: AgentId::from_array(sender),
                id: MessageId::new(created, random),
            }),
            created,
            expires: Timestamp::from_millis(created.as_millis() + life),
            body: body.map(|(sealed_length, hash)| BodyDescription { sealed_length, hash }),
        }
    })
}

proptest! {
    #[test]
    fn a_header_reads_back_whole_and_neither_shorter_nor_longer(fields in any_fields(), cut in any::<prop::sample::Index>()) {
        let header = Header::new(fields).unwrap();
        let bytes = header.to_bytes();
        prop_assert_eq!(Header::from_bytes(&bytes), Ok(header));
        prop_assert!(Header::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(Header::from_bytes(&[&bytes, [0].as_slice()].concat()).is_err());
    }
}

#[test]
fn what_no_header_may_say_does_not_decode() {
    let right = fields();
    assert!(Header::from_bytes(&encoded(&right)).is_ok());
    let wrong = [
        ("created", HeaderFields { created: CREATED.saturating_sub(limits::MESSAGE_LIFE / 2), ..right.clone() }),
        ("expires", HeaderFields { expires: CREATED, ..right.clone() }),
        ("expires", HeaderFields { expires: Timestamp::default(), ..right.clone() }),
        (
            "expires",
            HeaderFields {
                expires: right.expires.saturating_add(std::time::Duration::from_millis(1)),
                ..right.clone()
            },
        ),
        ("recipients", HeaderFields { recipients: Recipients(Vec::new()), ..right.clone() }),
        ("recipients", HeaderFields { recipients: Recipients(vec![agent(3), agent(2)]), ..right.clone() }),
        ("recipients", HeaderFields { recipients: Recipients(vec![agent(2), agent(2)]), ..right.clone() }),
        ("message type", HeaderFields { message_type: Some(MessageType("a b".to_owned())), ..right.clone() }),
        ("message type", HeaderFields { message_type: Some(MessageType(String::new())), ..right }),
    ];
    for (place, wrong) in wrong {
        match Header::from_bytes(&encoded(&wrong)) {
            Err(DecodeError::Invalid { field, .. }) => assert_eq!(field, place, "{wrong:?}"),
            other => panic!("{wrong:?}: {other:?}"),
        }
    }
}

#[test]
fn a_header_has_one_to_a_thousand_recipients() {
    let agents = |count: usize| (0..count).map(agent_number).collect::<Vec<_>>();
    assert_eq!(Recipients::new(Vec::new()), Err(HeaderError::Recipients));
    assert_eq!(Recipients::new(agents(limits::RECIPIENTS + 1)), Err(HeaderError::Recipients));
    let most = HeaderFields { recipients: Recipients::new(agents(limits::RECIPIENTS)).unwrap(), ..fields() };
    assert!(encoded(&most).len() <= limits::HEADER);
    assert!(Header::from_bytes(&encoded(&most)).is_ok());
    let too_many = HeaderFields { recipients: Recipients(agents(limits::RECIPIENTS + 1)), ..fields() };
    assert!(Header::from_bytes(&encoded(&too_many)).is_err());
}

#[test]
fn unknown_formats_and_values_are_refused() {
    let bytes = encoded(&fields());
    for format in (0..=u8::MAX).filter(|format| *format != FORMAT) {
        let other = [&[format], &bytes[1..]].concat();
        assert_eq!(
            Header::from_bytes(&other),
            Err(DecodeError::UnknownValue { field: "header format", found: format })
        );
    }
}

fn agent_number(number: usize) -> AgentId {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(number as u64).to_be_bytes());
    AgentId::from_array(bytes)
}
