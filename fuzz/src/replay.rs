//! Corpora, replayed by the tests of the crates whose targets these are.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A target's name, and what it does with its input.
type Target = (&'static str, fn(&[u8]));

/// A target, the name of an input, and its bytes.
type Seed = (&'static str, &'static str, Vec<u8>);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

/// What a fuzzer once found stays found, on any toolchain.
pub fn every_input_that_was_kept(targets: &[Target]) {
    for (name, target) in targets {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus(name)).unwrap() {
            target(&fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}

/// Nothing of a seed is left to chance: a value that has got another form is noticed here, and the corpus keeps up with it.
/// `SEALPOST_WRITE_SEEDS=1` writes the files.
pub fn the_first_corpora(seeds: &[Seed]) {
    for (target, name, bytes) in seeds {
        let file = corpus(target).join(name);
        if env::var_os("SEALPOST_WRITE_SEEDS").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(&file, bytes).unwrap();
        }
        assert!(fs::read(&file).is_ok_and(|kept| kept == *bytes), "{target}/{name} is another by now");
    }
}

/// What no fuzzer has to find.
pub fn short_inputs(targets: &[Target]) {
    for (_, target) in targets {
        target(&[]);
        (0..=255_u8).for_each(|byte| target(&[byte]));
        (0..=16_u8).for_each(|byte| target(&[byte; 96]));
    }
}

/// Each seed with one bit flipped, and cut off, at each of its first places.
pub fn altered_seeds(targets: &[Target], seeds: &[Seed]) {
    for (name, _, seed) in seeds {
        let (_, target) = targets.iter().find(|(target, _)| target == name).unwrap();
        for at in 0..seed.len().min(600) {
            let mut altered = seed.clone();
            altered[at] ^= 1 << (at % 8);
            target(&altered);
            target(&seed[..at]);
        }
    }
}
