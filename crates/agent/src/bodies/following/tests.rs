use std::os::unix::fs::FileExt;

use sealpost_crypto::{BodySeal, BodySealer, ContentKey, ContentKind, Prelude, SystemPrimitives};
use sealpost_protocol::{AgentId, BodyDescription, MessageId, Timestamp};

use super::*;
use crate::records::BodyKeyRecord;

const CHUNK: usize = 65_552;

fn sealed(length: usize) -> (BodyRecord, Vec<u8>) {
    let key = ContentKey::generate(&SystemPrimitives).unwrap();
    let prelude = Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: ContentKind::Bytes,
        content_length: length as u64,
        compressed_length: None,
    };
    let mut sealer = BodySealer::new(&BodySeal::Sealed(&key), &prelude).unwrap();
    let mut sealed = Vec::new();
    while sealer.room().is_some() {
        sealed.extend_from_slice(sealer.seal().unwrap());
    }
    (BodyRecord { description: BodyDescription::of(&sealed), key: BodyKeyRecord::Sealed(key) }, sealed)
}

fn message(number: u8) -> MessageRef {
    MessageRef {
        sender: AgentId::from_array([number; 32]),
        id: MessageId::new(Timestamp::from_millis(5), [number; 10]),
    }
}

#[test]
fn what_was_followed_is_not_read_again_as_long_as_nobody_else_was_at_the_file() {
    let (body, sealed) = sealed(1 << 20);
    let file = tempfile::tempfile().unwrap();
    let mut following = Following::new(&body, u64::MAX).unwrap();
    assert!(following.fits(&file.metadata().unwrap()), "it has not begun");
    let (first, second) = sealed.split_at(500_000);
    assert_eq!(following.write(&file, 0, first).unwrap(), Advanced::Opened);
    let followed = following.followed();
    assert!(followed <= 500_000 && followed > 500_000 - CHUNK as u64, "{followed}");
    assert!(following.fits(&file.metadata().unwrap()));
    // Behind the back of what follows it: only who reads it again would see.
    file.write_all_at(&[!sealed[9_000]], 9_000).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(!following.fits(&file.metadata().unwrap()), "another was at it, and it is followed anew");
    assert_eq!(following.write(&file, 500_000, second).unwrap(), Advanced::Opened);
    assert!(matches!(following.finish(&body), Checked::Opens(None)));
    let mut anew = Following::new(&body, u64::MAX).unwrap();
    assert_eq!(anew.open_up_to(&file, sealed.len() as u64).unwrap(), Advanced::Damaged(0..33 + CHUNK as u64));
}

#[test]
fn what_opened_is_gone_on_from_where_the_hash_says_that_the_rest_was_the_relays() {
    let (body, sealed) = sealed(1 << 20);
    let file = tempfile::tempfile().unwrap();
    let mut following = Following::new(&body, u64::MAX).unwrap();
    let mut damaged = sealed.clone();
    damaged[300_000] ^= 1;
    let Advanced::Damaged(bad) = following.write(&file, 0, &damaged).unwrap() else { panic!("it opened") };
    assert!(bad.contains(&300_000) && bad.start == following.followed());
    let end = sealed.len() as u64;
    assert_eq!(following.replace(&file, &bad, (0, &damaged), end).unwrap(), None, "the same bytes");
    following.leave_to_the_hash();
    assert_eq!(following.open_up_to(&file, end).unwrap(), Advanced::Opened);
    assert!(matches!(following.finish(&body), Checked::Other(good) if good == bad.start));
    following.cut(&file).unwrap();
    assert_eq!(file.metadata().unwrap().len(), bad.start);
    let rest = &sealed[usize::try_from(bad.start).unwrap()..];
    assert_eq!(following.write(&file, bad.start, rest).unwrap(), Advanced::Opened);
    assert!(matches!(following.finish(&body), Checked::Opens(None)));
}

#[test]
fn a_few_bodies_are_at_hand_those_of_last() {
    let (body, _) = sealed(9);
    let followings = Followings::default();
    let made = || Followed::new(Following::new(&body, 0).unwrap().into());
    for number in 0..2 * u8::try_from(limits::FOLLOWED_BODIES).unwrap() {
        followings.keep(message(number), made());
        followings.keep(message(0), made());
    }
    assert_eq!(followings.lock().len(), limits::FOLLOWED_BODIES);
    assert!(followings.of(message(0)).is_some() && followings.of(message(1)).is_none());
    followings.remove(message(0));
    assert!(followings.of(message(0)).is_none());
}
