//! The suites that every adapter passes.

use sealpost_storage::Embedded;
use tempfile::TempDir;

fn open() -> (Embedded, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Embedded::open(directory.path()).unwrap(), directory)
}

mod contents {
    use std::sync::Arc;

    use sealpost_core::{
        conformance::{Agent, HandClock},
        ports::Contents,
    };
    use tempfile::TempDir;

    async fn make() -> (Arc<dyn Contents>, TempDir) {
        let (embedded, directory) = super::open();
        let node = Arc::new(Agent::new(0x0d));
        (embedded.open_contents(node, Arc::<HandClock>::default()).await.unwrap(), directory)
    }

    sealpost_core::contents_conformance!(make);
}

mod ledger {
    use std::sync::Arc;

    use sealpost_core::ports::Ledger;
    use tempfile::TempDir;

    async fn make() -> (Arc<dyn Ledger>, TempDir) {
        let (embedded, directory) = super::open();
        (embedded.ledger(), directory)
    }

    sealpost_core::ledger_conformance!(make);
}

mod revocations {
    use std::sync::Arc;

    use sealpost_core::ports::Revocations;
    use tempfile::TempDir;

    async fn make() -> (Arc<dyn Revocations>, TempDir) {
        let (embedded, directory) = super::open();
        (embedded.revocations(), directory)
    }

    sealpost_core::revocations_conformance!(make);
}

mod prekeys {
    use std::sync::Arc;

    use sealpost_core::ports::Prekeys;
    use tempfile::TempDir;

    async fn make() -> (Arc<dyn Prekeys>, TempDir) {
        let (embedded, directory) = super::open();
        (embedded.prekeys(), directory)
    }

    sealpost_core::prekeys_conformance!(make);
}
