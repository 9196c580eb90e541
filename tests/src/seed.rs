//! Randomness that can be had again.

use std::env;

use fastrand::Rng;

const VARIABLE: &str = "SEALPOST_TEST_SEED";

/// A generator whose seed is printed, so that it stands in the output of a test that fails; `SEALPOST_TEST_SEED` sets it.
///
/// # Panics
/// When the variable holds no number.
#[must_use]
pub fn seeded(test: &str) -> Rng {
    let seed = match env::var(VARIABLE) {
        Ok(text) => text.parse().expect("SEALPOST_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("{test}: to see this run again, set {VARIABLE}={seed}");
    Rng::with_seed(seed)
}
