//! The memory adapters under the suites that every adapter passes.

mod contents {
    use std::sync::Arc;

    use sealpost_core::{memory::MemoryContents, ports::Contents};

    async fn make() -> (Arc<dyn Contents>, ()) {
        (Arc::new(MemoryContents::default()), ())
    }

    sealpost_core::contents_conformance!(make);
}

mod ledger {
    use std::sync::Arc;

    use sealpost_core::{memory::MemoryLedger, ports::Ledger};

    async fn make() -> (Arc<dyn Ledger>, ()) {
        (Arc::new(MemoryLedger::default()), ())
    }

    sealpost_core::ledger_conformance!(make);
}

mod revocations {
    use std::sync::Arc;

    use sealpost_core::{memory::MemoryRevocations, ports::Revocations};

    async fn make() -> (Arc<dyn Revocations>, ()) {
        (Arc::new(MemoryRevocations::default()), ())
    }

    sealpost_core::revocations_conformance!(make);
}

mod prekeys {
    use std::sync::Arc;

    use sealpost_core::{memory::MemoryPrekeys, ports::Prekeys};

    async fn make() -> (Arc<dyn Prekeys>, ()) {
        (Arc::new(MemoryPrekeys::default()), ())
    }

    sealpost_core::prekeys_conformance!(make);
}
