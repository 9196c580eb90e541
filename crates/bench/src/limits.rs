//! Every limit of the measurements' own, with its reason.

use std::time::Duration;

/// How often a folder is removed until it is gone: each time, what writes into it finds less to go on with.
pub(crate) const REMOVALS: usize = 100;

/// How often in a row it must be found gone: what is being opened may be made anew just after. With what lies between, as long as
/// it takes to open a relay's data folder.
pub(crate) const LOOKS: usize = 10;

/// What lies between two looks.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);
