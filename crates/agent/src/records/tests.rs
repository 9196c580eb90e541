use sealpost_crypto::{ContentKey, SystemPrimitives};
use sealpost_protocol::{BodyDescription, UploadId};

use super::*;

#[test]
fn a_record_knows_its_length_so_that_its_secrets_are_written_once() {
    fn check(record: &impl Record) {
        assert_eq!(record.length(), record.to_bytes().len());
    }
    let at = Timestamp::from_millis(5);
    let secret = || SecretBytes::from(vec![7; 100]);
    check(&IdentityRecord::of(&IdentityPrivateKey::generate(&SystemPrimitives).unwrap()));
    check(&PrekeyRecord { key: secret(), retired: Some(at), published: true });
    check(&SessionRecord { session: secret(), sends: true, used: at });
    let recipient = AgentId::from_array([1; 32]);
    let description = BodyDescription { sealed_length: 5, hash: [6; 32] };
    let sealed = BodyKeyRecord::Sealed(ContentKey::copy_of(&[7; 32]));
    for content in [
        ContentRecord::Erased,
        ContentRecord::Payload(secret()),
        ContentRecord::Body(BodyRecord { description, key: BodyKeyRecord::Open }),
        ContentRecord::Body(BodyRecord { description, key: sealed }),
    ] {
        check(&DraftRecord {
            recipients: vec![recipient; 3],
            priority: Priority::High,
            created: at,
            expires: at,
            scheme: DraftScheme::Ratchet,
            retention: Some(Retention::UntilExpiry),
            content,
        });
    }
    let parts = vec![PartRecord { recipient, attempt: Attempt::FIRST, envelope: vec![1; 50] }];
    let upload = Some(UploadRecord { id: UploadId([3; 16]), is_complete: true });
    let (content, retention) = (ContentRecord::Payload(secret()), Some(Retention::UntilDelivered));
    check(&OutgoingRecord { header: vec![2; 70], parts, content, upload, retention });
}

#[test]
fn rows_of_before_a_number_came_are_read_without_it() {
    let message =
        MessageRef { sender: AgentId::from_array([1; 32]), id: MessageId::new(Timestamp::from_millis(5), [2; 10]) };
    let row = DownloadRecord { message, failures: 3, failed_at: 4 }.to_bytes();
    let before = DownloadRecord::from_bytes(&row[..row.len() - 16]).unwrap();
    assert!(before.message == message && (before.failures, before.failed_at) == (0, 0));
    let now = DownloadRecord::from_bytes(&row).unwrap();
    assert_eq!((now.failures, now.failed_at), (3, 4));
    assert!(DownloadRecord::from_bytes(&row[..row.len() - 1]).is_err());
    let waiting = WaitingBodyRecord { message, content_length: 5 }.to_bytes();
    assert_eq!(WaitingBodyRecord::from_bytes(&waiting[..waiting.len() - 8]).unwrap().content_length, 0);
}

#[test]
fn the_order_of_arrival_goes_on_when_the_clock_or_the_relays_numbers_go_back() {
    let millis = Timestamp::from_millis;
    let mut last: Option<ArrivalRecord> = None;
    let mut keys = Vec::new();
    for (at, number) in [(10, 1), (10, 2), (3, 3), (10, 1), (11, 1), (11, u64::MAX), (2, 1), (13, 1)] {
        let next = ArrivalRecord::after(last.as_ref(), millis(at), number);
        keys.push(next.key());
        last = Some(next);
    }
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
}
