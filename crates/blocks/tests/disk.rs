//! The store in a directory under the suites that every file layer passes.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::sync::Arc;

use sealpost_blocks::{DiskFiles, conformance::Opener};
use tempfile::TempDir;

fn make() -> (Opener, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    (Box::new(move || Arc::new(DiskFiles::open(&path).unwrap())), directory)
}

mod files {
    sealpost_blocks::files_conformance!(super::make);
}

mod store {
    sealpost_blocks::store_conformance!(super::make);
}
