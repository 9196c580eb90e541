//! Key agreement: what is refused before it reaches the store, and what the store's refusals are called.

use sealpost_core::{ClaimError, conformance::NOW, limits, ports::PrekeyUpload};
use sealpost_protocol::{ClaimId, ErrorCode, ManifestFields, Timestamp, limits as wire};

use super::*;

async fn refusal(relay: &Relay, caller: &Agent, upload: PrekeyUpload) -> ErrorCode {
    let code =
        relay.services.key_agreement.publish(&principal(caller), upload).await.expect_err("it was stored").code();
    let counts = relay.services.key_agreement.counts(&principal(caller)).await.unwrap();
    assert_eq!((counts.one_time_curve, counts.one_time_kem), (0, 0), "a refused upload leaves nothing behind");
    code
}

async fn claim(relay: &Relay, requester: &Agent, target: &Agent) -> Result<sealpost_protocol::Bundle, ClaimError> {
    relay.services.key_agreement.claim(&principal(requester), ClaimId([1; 16]), target.id()).await
}

#[tokio::test]
async fn a_published_agent_can_be_written_to() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let manifest = relay.services.key_agreement.manifest(bob.id()).await.unwrap();
    assert_eq!(manifest, bob.manifest(1));
    let bundle = claim(&relay, &alice, &bob).await.unwrap();
    assert_eq!(bundle.manifest, manifest);
    assert!(bundle.one_time_curve.is_some() && bundle.one_time_kem.is_some());
    let left = relay.services.key_agreement.counts(&principal(&bob)).await.unwrap();
    assert_eq!((left.one_time_curve, left.one_time_kem), (4, 4));
}

#[tokio::test]
async fn an_agent_that_published_nothing_is_an_unknown_recipient() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[]).await;
    let manifest = relay.services.key_agreement.manifest(bob.id()).await;
    assert!(manifest.is_err_and(|error| error.code() == ErrorCode::UnknownRecipient));
    let bundle = claim(&relay, &alice, &bob).await;
    assert!(bundle.is_err_and(|error| error.code() == ErrorCode::UnknownRecipient));
}

#[tokio::test]
async fn nobody_publishes_for_another() {
    let (bob, mallory) = (Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[]).await;
    assert_eq!(refusal(&relay, &mallory, bob.upload(1, 1..=2)).await, ErrorCode::Forbidden);
    assert!(relay.services.key_agreement.manifest(bob.id()).await.is_err());
}

#[tokio::test]
async fn a_one_time_key_of_another_agent_is_a_bad_signature() {
    let (bob, mallory) = (Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[]).await;
    let curve = PrekeyUpload { one_time_curve: vec![mallory.one_time_curve(1)], ..bob.upload(1, []) };
    assert_eq!(refusal(&relay, &bob, curve).await, ErrorCode::BadSignature);
    let kem = PrekeyUpload { one_time_kem: vec![bob.one_time_kem(1), mallory.one_time_kem(2)], ..bob.upload(1, []) };
    assert_eq!(refusal(&relay, &bob, kem).await, ErrorCode::BadSignature);
}

#[tokio::test]
async fn an_upload_carries_a_limited_number_of_keys() {
    let bob = Agent::bob();
    let relay = Relay::of(&[]).await;
    let one_too_many = wire::ONE_TIME_PREKEYS_PER_UPLOAD as u32 + 1;
    let curve = PrekeyUpload { one_time_kem: Vec::new(), ..bob.upload(1, 1..=one_too_many) };
    assert_eq!(refusal(&relay, &bob, curve).await, ErrorCode::TooLarge);
    let kem = PrekeyUpload { one_time_curve: Vec::new(), ..bob.upload(1, 1..=one_too_many) };
    assert_eq!(refusal(&relay, &bob, kem).await, ErrorCode::TooLarge);
}

#[tokio::test]
async fn every_key_must_be_alive_by_the_relay_s_clock() {
    let bob = Agent::bob();
    let relay = Relay::of(&[]).await;
    let signed = |change: fn(&mut ManifestFields, Timestamp), at| {
        let mut fields = bob.manifest_fields(1);
        change(&mut fields, at);
        PrekeyUpload { manifest: bob.sign_manifest(fields), ..bob.upload(1, []) }
    };
    let lives: [fn(&mut ManifestFields, Timestamp); 4] = [
        |fields, at| fields.expires = at,
        |fields, at| fields.signed_prekey.expires = at,
        |fields, at| fields.sealing_key.expires = at,
        |fields, at| fields.last_resort_kem.as_mut().unwrap().expires = at,
    ];
    let soon = NOW.saturating_add(Duration::from_secs(1));
    relay.clock.set(soon);
    for change in lives {
        assert_eq!(refusal(&relay, &bob, signed(change, soon)).await, ErrorCode::Expired);
    }
    let curve = PrekeyUpload { one_time_curve: vec![bob.one_time_curve_until(1, soon)], ..bob.upload(1, []) };
    assert_eq!(refusal(&relay, &bob, curve).await, ErrorCode::Expired);
    let kem = PrekeyUpload { one_time_kem: vec![bob.one_time_kem_until(1, soon)], ..bob.upload(1, []) };
    assert_eq!(refusal(&relay, &bob, kem).await, ErrorCode::Expired);
}

#[tokio::test]
async fn keys_from_the_future_are_refused() {
    let bob = Agent::bob();
    let relay = Relay::of(&[]).await;
    let earliest = NOW.saturating_sub(wire::CLOCK_AHEAD);
    relay.clock.set(earliest.saturating_sub(Duration::from_millis(1)));
    assert_eq!(refusal(&relay, &bob, bob.upload(1, [])).await, ErrorCode::Expired);
    relay.clock.set(earliest);
    relay.services.key_agreement.publish(&principal(&bob), bob.upload(1, [])).await.unwrap();
}

#[tokio::test]
async fn the_store_s_refusals_have_names_of_their_own() {
    let bob = Agent::bob();
    let relay = Relay::of(&[]).await;
    let publish = async |upload| relay.services.key_agreement.publish(&principal(&bob), upload).await;
    publish(bob.upload(2, 1..=150)).await.unwrap();
    let code = async |upload| publish(upload).await.expect_err("it was stored").code();
    assert_eq!(code(bob.upload(1, [])).await, ErrorCode::StaleManifest);
    assert_eq!(code(bob.upload(2, 151..=300)).await, ErrorCode::TooLarge);
    let other = bob.one_time_curve_until(1, NOW.saturating_add(Duration::from_secs(60)));
    let reused = PrekeyUpload { one_time_curve: vec![other], ..bob.upload(2, []) };
    assert_eq!(code(reused).await, ErrorCode::Conflict);
}

#[tokio::test]
async fn a_repeated_claim_costs_no_second_key() {
    let (alice, bob) = (Agent::alice(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let first = claim(&relay, &alice, &bob).await.unwrap();
    relay.clock.advance(Duration::from_secs(3_600));
    assert_eq!(claim(&relay, &alice, &bob).await.unwrap(), first);
}

#[tokio::test]
async fn a_one_time_key_lives_no_longer_than_it_may() {
    let bob = Agent::bob();
    let relay = Relay::of(&[]).await;
    let longest = NOW.saturating_add(wire::ONE_TIME_PREKEY_LIFE);
    let upload =
        |expires| PrekeyUpload { one_time_curve: vec![bob.one_time_curve_until(1, expires)], ..bob.upload(1, []) };
    let too_long = upload(longest.saturating_add(Duration::from_millis(1)));
    assert_eq!(refusal(&relay, &bob, too_long).await, ErrorCode::Malformed);
    relay.services.key_agreement.publish(&principal(&bob), upload(longest)).await.unwrap();
}

#[tokio::test]
async fn whoever_claims_too_much_is_told_when_to_come_back() {
    let (mallory, bob) = (Agent::mallory(), Agent::bob());
    let relay = Relay::of(&[&bob]).await;
    let claim = async |number: usize| {
        let id = ClaimId((number as u128).to_be_bytes());
        relay.services.key_agreement.claim(&principal(&mallory), id, bob.id()).await
    };
    for number in 0..limits::CLAIMS_PER_PAIR {
        claim(number).await.unwrap();
    }
    let refused = claim(limits::CLAIMS_PER_PAIR).await.expect_err("one too many");
    assert_eq!((refused.code(), refused.code().is_retryable()), (ErrorCode::RateLimited, true));
    relay.clock.advance(limits::CLAIM_WINDOW);
    claim(limits::CLAIMS_PER_PAIR).await.unwrap();
}

#[tokio::test]
async fn of_an_upload_that_is_refused_the_first_wrong_part_is_named() {
    let (bob, mallory) = (Agent::bob(), Agent::mallory());
    let relay = Relay::of(&[]).await;
    let whole = || bob.upload(1, 1..=200);
    let day = Duration::from_secs(24 * 3_600);
    let manifest = |change: fn(&mut ManifestFields)| {
        let mut fields = bob.manifest_fields(1);
        change(&mut fields);
        PrekeyUpload { manifest: bob.sign_manifest(fields), ..whole() }
    };
    let curve = |place: usize, key| {
        let mut upload = whole();
        upload.one_time_curve[place] = key;
        upload
    };
    let kem = |place: usize, key| {
        let mut upload = whole();
        upload.one_time_kem[place] = key;
        upload
    };
    let late = NOW.saturating_add(wire::ONE_TIME_PREKEY_LIFE + day);
    let cases = [
        (
            manifest(|fields| fields.created = NOW.saturating_add(Duration::from_secs(3_600))),
            "the manifest is not valid",
        ),
        (manifest(|fields| fields.signed_prekey.created = NOW.saturating_add(Duration::from_secs(3_600))), "signed"),
        (manifest(|fields| fields.sealing_key.created = NOW.saturating_add(Duration::from_secs(3_600))), "sealing"),
        (curve(176, bob.one_time_curve_until(177, NOW)), "the one-time-curve prekey 177 is not valid"),
        (kem(9, bob.one_time_kem_until(10, NOW)), "the one-time-kem prekey 10 is not valid"),
        (curve(1, bob.one_time_curve_until(2, late)), "the one-time-curve prekey 2 lives longer"),
        (curve(41, mallory.one_time_curve(42)), "the signature of the one-time-curve prekey 42 does not"),
        (kem(199, mallory.one_time_kem(200)), "the signature of the one-time-kem prekey 200 does not"),
    ];
    for (upload, expected) in cases {
        let refused = relay.services.key_agreement.publish(&principal(&bob), upload).await.expect_err("it was stored");
        assert!(refused.to_string().contains(expected), "{expected}: {refused}");
    }
}
