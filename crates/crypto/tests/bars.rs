//! The bars of `scripts/bench-crypto`, which as a benchmark has no tests of its own.

#[path = "../benches/conversation/bars.rs"]
mod bars;

use bars::{Ratios, missed};
use serde_json::json;

#[test]
fn a_ratio_past_its_bar_is_told_and_one_at_it_is_not() {
    let at_the_bars = Ratios { chain: 5.0, pingpong: 2.0, open: 1.0, recipient_keys: 1.3 };
    assert!(missed(&at_the_bars).is_empty());
    let past = Ratios { open: 0.99, recipient_keys: 1.31, ..at_the_bars };
    let open = json!({ "figure": "open_ratio", "measured": 0.99, "at_least": 1.0 });
    assert_eq!(missed(&past), [open, json!({ "figure": "recipient_keys_ratio", "measured": 1.31, "at_most": 1.3 })]);
    let unknown = Ratios { chain: f64::NAN, pingpong: f64::NAN, open: f64::NAN, recipient_keys: f64::NAN };
    assert_eq!(missed(&unknown).len(), 4);
}
