//! Where this process stands in its mailbox. In memory alone: a page that is read again costs a look.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits;

/// Where it reads on, and for how long that bears fruit.
#[derive(Debug, Default)]
pub(crate) struct MailboxPlace {
    /// Up to where the mailbox holds nothing that could still be answered.
    passed: AtomicU64,
    /// Where the last page ended, while there are more.
    reached: AtomicU64,
    /// Pages in a row that brought nothing.
    fruitless: AtomicUsize,
}

impl MailboxPlace {
    /// The next page begins behind this.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// The next page is the mailbox's first: whoever answers next may count otherwise.
    pub(crate) fn begin_anew(&self) {
        self.passed.store(0, Ordering::Relaxed);
        self.reached.store(0, Ordering::Relaxed);
    }

    /// Notes where a page ended, if it had entries, and whether any of them was answered. Says whether it ended further on
    /// than those before it.
    pub(crate) fn note_page(&self, end: Option<u64>, is_answered: bool) -> bool {
        let Some(end) = end else {
            // What was passed over may be another by now, if something on the way had altered it.
            self.passed.store(0, Ordering::Relaxed);
            return false;
        };
        // What was refused has left the mailbox: a page that ends further on is another one.
        let mut is_further = self.reached.swap(end, Ordering::Relaxed) < end;
        if !is_answered {
            // Nothing of it could be answered: it must not stand before what comes after.
            is_further |= self.passed.swap(end, Ordering::Relaxed) < end;
        }
        is_further
    }

    /// Whether a round reads on behind a page.
    pub(crate) fn reads_on(&self, is_full: bool, bears_fruit: bool) -> bool {
        let fruitless = if bears_fruit { 0 } else { self.fruitless.load(Ordering::Relaxed) + 1 };
        let reads_on = is_full && fruitless < limits::FRUITLESS_PAGES;
        self.fruitless.store(if reads_on { fruitless } else { 0 }, Ordering::Relaxed);
        if !reads_on {
            self.reached.store(0, Ordering::Relaxed);
        }
        reads_on
    }
}
