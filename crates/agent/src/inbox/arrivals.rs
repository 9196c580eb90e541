//! Places in the order of arrival, as they are given in one commit.

use sealpost_protocol::Timestamp;

use crate::{
    Agent, SyncError,
    records::ArrivalRecord,
    store::{Changes, Versioned},
};

/// The last place given, and those that are given now.
pub(crate) struct Arrivals {
    known: Option<Versioned<ArrivalRecord>>,
    last: Option<ArrivalRecord>,
}

impl Agent {
    /// Where the order of arrival stands.
    pub(crate) async fn arrivals(&self) -> Result<Arrivals, SyncError> {
        let known = self.store.find::<ArrivalRecord>(&[]).await?;
        Ok(Arrivals { known, last: None })
    }
}

impl Arrivals {
    /// The next place, of something that arrives at `at` with a number in the relay's order.
    pub(crate) fn next(&mut self, at: Timestamp, number: u64) -> Vec<u8> {
        let last = self.last.as_ref().or(self.known.as_ref().map(|known| &known.value));
        self.last.insert(ArrivalRecord::after(last, at, number)).key()
    }

    /// Notes what was given along with the `changes` that it was given for.
    pub(crate) fn save(self, changes: &mut Changes) {
        if let Some(last) = &self.last {
            changes.upsert(&[], self.known.as_ref(), last);
        }
    }
}
