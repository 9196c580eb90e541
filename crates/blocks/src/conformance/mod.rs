//! What every file layer must do, and what a store over it must do, as checks that run against any of them.
//!
//! A file layer's tests write a function that makes an empty place, which can be opened again and again, and name it in
//! both macros; each check then is a test of its own there:
//!
//! ```text
//! fn make() -> (Opener, TempDir) { … } // the second value is kept until the check is over
//! sealpost_blocks::files_conformance!(make);
//! sealpost_blocks::store_conformance!(make);
//! ```

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests: the first surprise ends them")]
#![expect(missing_docs, reason = "a check's name is its sentence")]

pub mod files;
pub mod store;

use std::sync::Arc;

use crate::{
    BlockStore, CblSigner, CblVerifier, ContentOptions, Files, Keys, OpeningReport, Options, Recovery, Selection,
    TupleSize, WhiteningPolicy,
};

/// Opens a place once more; what was opened before is dropped.
pub type Opener = Box<dyn Fn() -> Arc<dyn Files>>;

/// Makes each named check of a suite a test; the suite's own macro calls it with the names.
#[macro_export]
macro_rules! block_conformance_tests {
    ($make:path, $suite:ident: $($check:ident)+) => { $(
        #[test]
        fn $check() {
            let (open, _kept) = $make();
            $crate::conformance::$suite::$check(&open);
        }
    )+ };
}

/// When the contents of tests are stored.
pub const NOW: u64 = 1_795_351_425_123;

/// A node whose signature anyone can check and nobody forges by accident: a keyed hash.
#[derive(Debug, Clone, Copy)]
pub struct TestNode(pub [u8; 32]);

impl CblSigner for TestNode {
    fn creator(&self) -> [u8; 32] {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(blake3::keyed_hash(&self.0, message).as_bytes());
        Some(signature)
    }
}

impl CblVerifier for TestNode {
    fn verify(&self, creator: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        *creator == self.0 && self.sign(message).as_ref() == Some(signature)
    }
}

/// The keys of a node of this seed.
#[must_use]
pub fn keys(seed: u8) -> Keys {
    let node = Arc::new(TestNode([seed; 32]));
    Keys { signer: node.clone(), verifier: node }
}

/// Opens a store of node 1.
#[must_use]
pub fn store(files: Arc<dyn Files>, recovery: Recovery) -> (BlockStore, OpeningReport) {
    BlockStore::open(files, Options::new(recovery, keys(1))).unwrap()
}

/// Contents of this policy, the rest as by default.
#[must_use]
pub fn options(policy: WhiteningPolicy) -> ContentOptions {
    ContentOptions::new(policy, NOW)
}

/// Every policy with every tuple size and selection.
pub fn all_options() -> impl Iterator<Item = ContentOptions> {
    let sizes = (2..=10).filter_map(TupleSize::new);
    sizes.flat_map(|tuple_size| {
        [WhiteningPolicy::Pooled, WhiteningPolicy::Fresh].into_iter().flat_map(move |policy| {
            [Selection::Compact, Selection::Fit].map(|selection| ContentOptions {
                tuple_size,
                selection,
                ..options(policy)
            })
        })
    })
}

/// Bytes that look random and are the same every time.
#[must_use]
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    /// A check that no macro names would pass by never running.
    #[test]
    fn every_check_is_named_in_its_suite_s_macro() {
        for suite in [include_str!("files.rs"), include_str!("store.rs")] {
            let (_, named) = suite.split_once("macro_rules!").unwrap();
            let named: Vec<_> = named.split_whitespace().collect();
            let checks = suite.lines().filter_map(|line| line.strip_prefix("pub fn "));
            for check in checks.filter_map(|line| line.split('(').next()) {
                assert!(named.contains(&check), "{check} never runs");
            }
        }
    }
}
