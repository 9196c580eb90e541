//! The store in memory under the suites that every file layer passes.

use std::sync::Arc;

use sealpost_blocks::{Files, MemoryFiles, conformance::Opener};

fn make() -> (Opener, ()) {
    let files: Arc<dyn Files> = Arc::new(MemoryFiles::default());
    (Box::new(move || Arc::clone(&files)), ())
}

mod files {
    sealpost_blocks::files_conformance!(super::make);
}

mod store {
    sealpost_blocks::store_conformance!(super::make);
}
