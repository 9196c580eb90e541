//! What every adapter of a port must do, as checks that run against any of them, and what tests of the relay are made
//! of: agents of fixed seeds, their letters, their receipts, a clock that is turned by hand.
//!
//! An adapter's crate enables the feature `conformance` for its tests, writes an async function that makes an empty
//! adapter, and names it in one macro per port; each check then is a test of its own there:
//!
//! ```text
//! async fn make() -> (Arc<dyn Ledger>, TempDir) { … } // the second value is kept until the check is over
//! sealpost_core::ledger_conformance!(make);
//! ```
//!
//! A check knows the port's documentation and nothing of an adapter. Where the documentation leaves something open,
//! such as the order of released handles, a check does not look.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests: the first surprise ends them"
)]
#![expect(missing_docs, reason = "a check's name is its sentence")]

pub mod contents;
pub mod ledger;
pub mod prekeys;
pub mod revocations;

mod agents;
mod hand_clock;
mod letters;
mod receipt_book;

pub use agents::{Agent, NOW};
pub use hand_clock::HandClock;
pub use letters::Letter;
pub use receipt_book::{COUNTERSIGNATURE, ReceiptBook};

/// Makes each named check of a suite a test; the port's own macro calls it with the names.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path, $suite:ident: $($check:ident)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let (port, _kept) = $make().await;
            $crate::conformance::$suite::$check(port).await;
        }
    )+ };
}

#[cfg(test)]
mod tests {
    /// A check that no macro names would pass by never running.
    #[test]
    fn every_check_is_named_in_its_port_s_macro() {
        let suites: [(&str, &[&str]); 4] = [
            (include_str!("contents.rs"), &[include_str!("contents.rs")]),
            (
                include_str!("ledger.rs"),
                &[
                    include_str!("ledger/acceptance.rs"),
                    include_str!("ledger/attempts.rs"),
                    include_str!("ledger/changes.rs"),
                    include_str!("ledger/control_messages.rs"),
                    include_str!("ledger/expiry.rs"),
                    include_str!("ledger/fan_outs.rs"),
                    include_str!("ledger/giving_up.rs"),
                    include_str!("ledger/mailboxes.rs"),
                    include_str!("ledger/pages.rs"),
                    include_str!("ledger/queries.rs"),
                    include_str!("ledger/receipts.rs"),
                    include_str!("ledger/release.rs"),
                    include_str!("ledger/uploads.rs"),
                ],
            ),
            (
                include_str!("prekeys.rs"),
                &[
                    include_str!("prekeys/claiming.rs"),
                    include_str!("prekeys/forgetting.rs"),
                    include_str!("prekeys/publishing.rs"),
                    include_str!("prekeys/recalling.rs"),
                ],
            ),
            (include_str!("revocations.rs"), &[include_str!("revocations.rs")]),
        ];
        for (suite, files) in suites {
            let (_, named) = suite.split_once("macro_rules!").unwrap();
            let named: Vec<_> = named.split_whitespace().collect();
            let checks =
                files.iter().flat_map(|file| file.lines()).filter_map(|line| line.strip_prefix("pub async fn "));
            for check in checks.filter_map(|line| line.split('(').next()) {
                assert!(named.contains(&check), "{check} never runs");
            }
        }
    }
}
