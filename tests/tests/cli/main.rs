//! The command's shape that scripts rely on: JSON forms, exit codes, what goes where, and what a terminal is
//! spared.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "these are tests: the first surprise ends them"
)]

mod contents;
mod copied_back;
mod delegations;
mod example;
mod exit_codes;
mod groups;
mod identity;
mod interrupted;
mod json_forms;
mod keeping;
mod logs;
mod lost;
mod marks;
mod measuring;
mod operators;
mod outbox;
mod passphrases;
mod progress;
mod receiving;
mod schemes;
mod telling;
mod terminals;
mod unshown;
mod waiting;

use sealpost_tests::{Home, TestRelay};
use serde_json::Value;

/// A relay, and a home with the agents `alice` and `bob`.
async fn relay_and_home() -> (TestRelay, Home) {
    let relay = TestRelay::start().await;
    let home = Home::new(relay.origin());
    home.agent("alice").await;
    home.agent("bob").await;
    (relay, home)
}

/// What the command's documents hold, for those who write programs.
const DESCRIBED: &str = include_str!("../../../docs/json.md");

/// Checks that a document has these fields and no others, and that each is described.
fn assert_fields(document: &Value, expected: &[&str]) {
    let mut found: Vec<_> = document.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{document}");
    let is_described = |field: &&str| DESCRIBED.contains(&format!("`{field}`"));
    assert_eq!(found.into_iter().find(|field| !is_described(field)), None, "not in docs/json.md");
}

/// The texts in the output of `receive --json`.
fn texts(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| document["text"].as_str().expect("a text")).collect()
}
