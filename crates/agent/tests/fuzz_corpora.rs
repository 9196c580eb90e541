//! The corpora of the fuzz targets of what an agent alone reads, replayed: what a fuzzer once found stays found, on any toolchain.

#![cfg(feature = "fuzzing")]

use sealpost_agent::fuzzing::{FUZZ_TARGETS, fuzz_seeds};

#[path = "../../../fuzz/src/replay.rs"]
#[expect(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, reason = "it is included, by tests alone")]
mod replay;

#[test]
fn every_input_that_was_kept_passes_its_target() {
    replay::every_input_that_was_kept(&FUZZ_TARGETS);
}

#[test]
fn the_first_corpora_are_what_their_seeds_make() {
    replay::the_first_corpora(&fuzz_seeds().unwrap());
}

#[test]
fn every_target_takes_short_and_altered_inputs() {
    replay::short_inputs(&FUZZ_TARGETS);
    replay::altered_seeds(&FUZZ_TARGETS, &fuzz_seeds().unwrap());
}
