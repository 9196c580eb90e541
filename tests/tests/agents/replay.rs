//! First messages that come again when their session is gone, and when not even their names are known any more.

use std::time::Duration;

use sealpost_api::v1;
use sealpost_protocol::{
    CurveKey, Envelope, Header, KemKey, OneTimePrekey, RefusalReason, Verdict,
    encoding::{Decode, Encode},
};
use sealpost_tests::{HandClock, ScriptedRelay, SdkAgent, plain::PlainAgent, within};

use super::damage::{bundle, entry};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Areas of the store, as `crates/agent` numbers them, and kinds of prekeys.
const PREKEYS: u8 = 3;
const SESSIONS: u8 = 5;
const INBOX: u8 = 10;
const SIGNED: u8 = 1;
const ONE_TIME_CURVE: u8 = 2;
const ONE_TIME_KEM: u8 = 3;

/// A recipient, and somebody who writes to it.
struct Replay {
    relay: ScriptedRelay,
    clock: std::sync::Arc<HandClock>,
    alice: SdkAgent,
    carol: PlainAgent,
    delivered: u64,
}

impl Replay {
    async fn new() -> Self {
        let (relay, clock) = ScriptedRelay::with_clock().await;
        let alice = SdkAgent::by_clock(relay.origin(), &clock).await;
        Self { relay, clock, alice, carol: PlainAgent::new(), delivered: 0 }
    }

    /// Carol's first message in a session that she opens from `bundle`.
    fn first(&mut self, bundle: v1::PrekeyBundle) -> v1::MailboxEntry {
        self.carol.open_session(self.alice.id(), bundle);
        entry(1, &mut self.carol, &self.alice, "hello")
    }

    /// Hands an entry out. Returns what is shown of it, and what Alice signs.
    async fn deliver(&mut self, entry: &v1::MailboxEntry) -> (Vec<String>, Verdict) {
        self.delivered += 1;
        self.clock.advance(SECOND);
        let entry = v1::MailboxEntry { mailbox_seq: self.delivered, ..entry.clone() };
        self.relay.script().receipts.clear();
        self.relay.script().mailbox = vec![entry];
        let shown = self.alice.take_texts().await;
        let verdict = self.relay.script().receipts.first().expect("a receipt").verdict;
        (shown, verdict)
    }

    /// Further sessions of Carol's take the place of the first.
    async fn push_out(&mut self, first: &v1::MailboxEntry) {
        for _ in 0..5 {
            let next = self.first(bundle(&self.relay));
            assert_eq!(self.deliver(&next).await.0, ["hello"]);
        }
        assert!(!self.has_session_of(first), "it is gone");
    }

    /// Until nothing is known of messages of now.
    async fn forget(&mut self, first: &v1::MailboxEntry) {
        self.clock.advance(36 * DAY);
        for _ in 0..4 {
            within("a round", self.alice.sync(Duration::ZERO)).await.unwrap();
        }
        assert_eq!(self.alice.stored(INBOX, &name_of(first)), [], "its name is forgotten");
    }

    fn has_session_of(&self, entry: &v1::MailboxEntry) -> bool {
        let session = Envelope::from_bytes(&entry.envelope).unwrap().header.session;
        let key = [self.carol.id().as_bytes().as_slice(), &session].concat();
        !self.alice.stored(SESSIONS, &key).is_empty()
    }

    /// Whether the private half of such a prekey is there.
    fn has_prekey(&self, kind: u8, id: u32) -> bool {
        let key = [[kind].as_slice(), &id.to_be_bytes()].concat();
        !self.alice.stored(PREKEYS, &key).is_empty()
    }
}

fn name_of(entry: &v1::MailboxEntry) -> Vec<u8> {
    Header::from_bytes(&entry.header).unwrap().message().to_bytes()
}

#[tokio::test]
async fn a_first_message_without_one_time_keys_is_shown_once_though_its_session_and_its_name_are_gone() {
    let mut replay = Replay::new().await;
    let first = replay.first(bundle(&replay.relay));
    assert_eq!(replay.deliver(&first).await, (vec!["hello".to_owned()], Verdict::Stored));
    replay.push_out(&first).await;
    let (shown, verdict) = replay.deliver(&first).await;
    assert_eq!(shown, [""; 0]);
    assert!(!matches!(verdict, Verdict::Refused(_)), "answered as before: {verdict:?}");
    assert!(!replay.has_session_of(&first), "and not opened again");

    replay.forget(&first).await;
    let opening = Envelope::from_bytes(&first.envelope).unwrap().opening.unwrap();
    assert!(replay.has_prekey(SIGNED, opening.signed_prekey.0), "it could be opened again");
    let (shown, verdict) = replay.deliver(&first).await;
    assert_eq!((shown, verdict), (vec![], Verdict::Refused(RefusalReason::Policy)));
    assert!(!replay.has_session_of(&first));
}

#[tokio::test]
async fn what_opens_a_first_message_with_one_time_keys_is_erased_when_it_was_opened() {
    let mut replay = Replay::new().await;
    let uploaded = replay.relay.script().uploaded.clone().unwrap();
    let (curve, kem) = (uploaded.one_time_curve[3].clone(), uploaded.one_time_kem[5].clone());
    let curve_id = OneTimePrekey::<CurveKey>::from_bytes(&curve).unwrap().prekey.id.0;
    let kem_id = OneTimePrekey::<KemKey>::from_bytes(&kem).unwrap().prekey.id.0;
    let keys = |replay: &Replay| (replay.has_prekey(ONE_TIME_CURVE, curve_id), replay.has_prekey(ONE_TIME_KEM, kem_id));
    let claimed = v1::PrekeyBundle { manifest: uploaded.manifest, one_time_curve: curve, one_time_kem: kem };
    let first = replay.first(claimed);
    assert_eq!(keys(&replay), (true, true));
    assert_eq!(replay.deliver(&first).await, (vec!["hello".to_owned()], Verdict::Stored));
    assert_eq!(keys(&replay), (false, false), "both private halves are gone");
    assert_eq!(replay.alice.stored(PREKEYS, &[ONE_TIME_CURVE]).len(), 99, "and no other");

    replay.push_out(&first).await;
    let (shown, verdict) = replay.deliver(&first).await;
    assert_eq!((shown.len(), matches!(verdict, Verdict::Refused(_))), (0, false));
    // Even if its name were forgotten early, nothing is left that opens it.
    replay.alice.erase(INBOX, &name_of(&first));
    let (shown, verdict) = replay.deliver(&first).await;
    assert_eq!((shown, verdict), (vec![], Verdict::Refused(RefusalReason::UnknownPrekey)));
    replay.forget(&first).await;
    let (shown, verdict) = replay.deliver(&first).await;
    assert_eq!((shown, verdict), (vec![], Verdict::Refused(RefusalReason::Policy)));
    assert!(!replay.has_session_of(&first));
}
