//! Bars for those figures that do not hang on how busy the machine is: ratios of times that one run took in turn.

use serde_json::{Value, json};

/// The ratios, as the last line has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratios {
    pub(crate) chain: f64,
    pub(crate) pingpong: f64,
    pub(crate) open: f64,
    pub(crate) recipient_keys: f64,
}

/// What a ratio must be.
#[derive(Debug, Clone, Copy)]
enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// Those past their bars, each with its bar; what cannot be told is past it.
pub(crate) fn missed(ratios: &Ratios) -> Vec<Value> {
    let bars = [
        ("chain_ratio", ratios.chain, Bar::AtLeast(5.0)),
        ("pingpong_ratio", ratios.pingpong, Bar::AtLeast(2.0)),
        ("open_ratio", ratios.open, Bar::AtLeast(1.0)),
        ("recipient_keys_ratio", ratios.recipient_keys, Bar::AtMost(1.3)),
    ];
    let missed = bars.into_iter().filter(|(_, measured, bar)| !bar.holds(*measured));
    missed
        .map(|(figure, measured, bar)| match bar {
            Bar::AtLeast(bar) => json!({ "figure": figure, "measured": measured, "at_least": bar }),
            Bar::AtMost(bar) => json!({ "figure": figure, "measured": measured, "at_most": bar }),
        })
        .collect()
}

impl Bar {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bar) => measured >= bar,
            Self::AtMost(bar) => measured <= bar,
        }
    }
}
