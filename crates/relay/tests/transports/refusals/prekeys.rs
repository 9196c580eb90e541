//! What is published of prekeys, and who asks for them.

use std::time::Duration;

use sealpost_api::v1;
use sealpost_core::conformance::NOW;
use sealpost_protocol::{ManifestFields, encoding::Encode, limits};

use super::*;
use crate::test_relay::upload_request;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

fn manifest_of(fields: ManifestFields) -> v1::UploadPrekeysRequest {
    let manifest = Agent::alice().sign_manifest(fields).to_bytes();
    v1::UploadPrekeysRequest { manifest, ..Default::default() }
}

#[tokio::test]
async fn wrong_uploads_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let (alice, agent) = (&scene.alice, Agent::alice());
    let right = || upload_request(&agent.upload(2, 6..=7));
    let fields = || agent.manifest_fields(2);
    let forged = {
        let mut manifest = right().manifest;
        *manifest.last_mut().unwrap() ^= 1;
        v1::UploadPrekeysRequest { manifest, ..right() }
    };
    let others_key =
        v1::UploadPrekeysRequest { one_time_curve: vec![Agent::mallory().one_time_curve(6).to_bytes()], ..right() };
    let reused = agent.one_time_curve_until(1, NOW.saturating_add(WEEK / 2)).to_bytes();
    let past = ManifestFields { created: NOW.saturating_sub(2 * WEEK), expires: NOW, ..fields() };
    let ahead = ManifestFields { created: NOW.saturating_add(WEEK / 2), ..fields() };
    let other_version_1 = ManifestFields { expires: NOW.saturating_add(WEEK / 2), ..agent.manifest_fields(1) };
    let too_many = vec![agent.one_time_curve(6).to_bytes(); limits::ONE_TIME_PREKEYS_PER_UPLOAD + 1];
    let too_many_in_all = upload_request(&agent.upload(2, 6..=205));

    let mut cases = vec![
        case("a stranger's", &scene.mallory, right()),
        case("another member's", &scene.bob, right()),
        case("with a forged signature", alice, forged),
        case("another manifest of the same version", alice, manifest_of(other_version_1)),
        case("an expired manifest", alice, manifest_of(past)),
        case("a manifest from the future", alice, manifest_of(ahead)),
        case("a one-time key that another signed", alice, others_key),
        case(
            "a one-time key under a used id",
            alice,
            v1::UploadPrekeysRequest { one_time_curve: vec![reused], ..right() },
        ),
        case("too many keys", alice, v1::UploadPrekeysRequest { one_time_curve: too_many, ..right() }),
        case("too many unused keys", alice, too_many_in_all),
    ];
    for manifest in wrong_lengths(&right().manifest) {
        let name = format!("a manifest of {} bytes", manifest.len());
        cases.push(case(name, alice, v1::UploadPrekeysRequest { manifest, ..right() }));
    }
    for key in wrong_lengths(&right().one_time_curve[0]) {
        let name = format!("a curve key of {} bytes", key.len());
        cases.push(case(name, alice, v1::UploadPrekeysRequest { one_time_curve: vec![key], ..right() }));
    }
    for key in wrong_lengths(&right().one_time_kem[0]) {
        let name = format!("a KEM key of {} bytes", key.len());
        cases.push(case(name, alice, v1::UploadPrekeysRequest { one_time_kem: vec![key], ..right() }));
    }
    insta::assert_snapshot!(scene.refusals(cases).await);
}

#[tokio::test]
async fn wrong_claims_and_questions_for_manifests_are_refused_on_both_transports_and_change_nothing() {
    let scene = Scene::set().await;
    let bob = Agent::bob().id().to_string();
    let claim =
        |agent_id: &str, claim_id: Vec<u8>| v1::ClaimPrekeyBundleRequest { agent_id: agent_id.to_owned(), claim_id };
    let manifest = |agent_id: &str| v1::GetManifestRequest { agent_id: agent_id.to_owned() };
    let stranger = Agent::mallory().id().to_string();
    let damaged = bob.replace("agent1", "agent1q");
    let node = scene.relay.relay.node_id().to_string();

    let mut cases: Vec<_> = wrong_lengths(&[1; 16])
        .map(|id| case(format!("a claim id of {} bytes", id.len()), &scene.alice, claim(&bob, id)))
        .into();
    for (name, agent) in
        [("a stranger", stranger), ("a damaged id", damaged), ("a node", node), ("no id", "bob".into())]
    {
        cases.push(case(format!("claim of {name}"), &scene.alice, claim(&agent, vec![1; 16])));
        cases.push(case(format!("manifest of {name}"), &scene.alice, manifest(&agent)));
    }
    // The node's name differs in each run, and no detail repeats it.
    insta::assert_snapshot!(scene.refusals(cases).await);
}
