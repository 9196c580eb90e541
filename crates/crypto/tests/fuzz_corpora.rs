//! The corpora of the fuzz targets, replayed: what a fuzzer once found stays found, on any toolchain.

use std::{fs, path::Path};

#[path = "../../../fuzz/src/targets/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "the targets of a fuzzer use the rest")]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a target panics if something is wrong"
)]
mod targets;

#[path = "../../../fuzz/src/replay.rs"]
#[expect(dead_code, unreachable_pub, reason = "these targets take altered seeds elsewhere, or cost too much")]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is included by tests alone")]
mod replay;

#[test]
fn every_input_that_was_kept_passes_its_target() {
    replay::every_input_that_was_kept(&targets::TARGETS);
}

#[test]
fn the_first_corpora_are_what_their_seeds_make() {
    replay::the_first_corpora(&targets::seeds::seeds().unwrap());
}

#[test]
fn every_target_takes_short_inputs() {
    replay::short_inputs(&targets::TARGETS);
}

#[test]
fn every_target_has_a_program_and_every_corpus_a_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(fuzz.join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let mut targets: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    targets.extend(targets::TARGETS_ELSEWHERE);
    targets.sort_unstable();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
