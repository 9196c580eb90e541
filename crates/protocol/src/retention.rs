//! How long a relay keeps what a message is made of.

use crate::{Scheme, encoding::byte_enum};

byte_enum! {
    /// Until when a relay keeps a message's parts and body, as its sender asks. No header says it: recipients need not know.
    Retention, "retention" {
        /// Until a part's recipient, and for the body the last of them, waits no more.
        UntilDelivered = 1, "until-delivered";
        /// Until the message's life ends, delivered or not.
        UntilExpiry = 2, "until-expiry";
    }
}

impl Retention {
    /// What holds where the sender says nothing: only the keys of a ratchet go with the message, so nothing under them can
    /// be read again.
    #[must_use]
    pub fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ratchet => Self::UntilDelivered,
            Scheme::None | Scheme::SharedKey | Scheme::RecipientKeys => Self::UntilExpiry,
        }
    }
}
