//! The corpora of the fuzz targets, replayed: what a fuzzer once found stays found, on any toolchain.

use std::{env, fs, path::Path};

#[path = "../../../fuzz/src/targets/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "the targets of a fuzzer use the rest")]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a target panics if something is wrong"
)]
mod targets;

#[test]
fn every_input_that_was_kept_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpora.join(name)).unwrap() {
            target(&fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}

/// Nothing of a seed is left to chance: a value that has got another form is noticed here, and the corpus keeps up with it.
#[test]
fn the_first_corpora_are_what_their_seeds_make() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (target, name, bytes) in targets::seeds::seeds().unwrap() {
        let file = corpora.join(target).join(name);
        if env::var_os("SEALPOST_WRITE_SEEDS").is_some() {
            fs::write(&file, &bytes).unwrap();
        }
        assert!(fs::read(&file).is_ok_and(|kept| kept == bytes), "{target}/{name} is another by now");
    }
}

#[test]
fn every_target_takes_short_inputs() {
    for (_, target) in targets::TARGETS {
        target(&[]);
        (0..=255_u8).for_each(|byte| target(&[byte]));
        (0..=16_u8).for_each(|byte| target(&[byte; 96]));
    }
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
    targets.sort_unstable();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
