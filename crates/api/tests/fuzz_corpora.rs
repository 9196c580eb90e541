//! The corpora of the fuzz targets of what travels, replayed: what a fuzzer once found stays found, on any toolchain.

#[path = "../../../fuzz/src/api.rs"]
#[expect(unreachable_pub, reason = "it is included")]
#[expect(clippy::expect_used, reason = "a target panics if something is wrong")]
mod api;

#[path = "../../../fuzz/src/replay.rs"]
#[expect(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, reason = "it is included, by tests alone")]
mod replay;

#[test]
fn every_input_that_was_kept_passes_its_target() {
    replay::every_input_that_was_kept(&api::TARGETS);
}

#[test]
fn the_first_corpora_are_what_their_seeds_make() {
    replay::the_first_corpora(&api::seeds());
}

#[test]
fn every_target_takes_short_and_altered_inputs() {
    replay::short_inputs(&api::TARGETS);
    replay::altered_seeds(&api::TARGETS, &api::seeds());
}

#[test]
fn the_seeds_are_what_they_are_called() {
    use sealpost_api::v1;
    use sealpost_protocol::{Bundle, DeliveryStatus};

    let seeds = api::seeds();
    let seed = |name: &str| {
        let (_, _, bytes) = seeds.iter().find(|(target, found, _)| (*target, *found) == ("json_forms", name)).unwrap();
        std::str::from_utf8(bytes).unwrap()
    };
    assert!(Bundle::try_from(serde_json::from_str::<v1::PrekeyBundle>(seed("bundle")).unwrap()).is_ok());
    assert!(DeliveryStatus::try_from(serde_json::from_str::<v1::DeliveryStatus>(seed("status")).unwrap()).is_ok());
    let answer: v1::ChallengeResponse = serde_json::from_str(seed("challenge")).unwrap();
    assert!(answer.into_signed([2; 32]).is_ok());
    for (name, text) in [("upload", seed("upload")), ("send", seed("send")), ("claim", seed("claim"))] {
        let is_read = match name {
            "upload" => serde_json::from_str::<v1::UploadPrekeysRequest>(text).is_ok(),
            "send" => serde_json::from_str::<v1::SendRequest>(text).is_ok(),
            _ => serde_json::from_str::<v1::ClaimPrekeyBundleRequest>(text).is_ok(),
        };
        assert!(is_read, "{name}");
    }
}
