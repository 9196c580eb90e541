//! What is kept of control messages, and of what the relay has of the agent's own doing.

use super::*;

record! {
    /// A control message that was sealed and not yet accepted; by its recipient. The next one takes its place.
    ControlRecord in Control {
        header: Vec<u8> => bytes,
        envelope: Vec<u8> => bytes,
    }
}

record! {
    /// The highest id of a control message that was sealed here: a relay that has a higher one has it from another copy.
    SealedControlRecord in SealedControl {
        last: MessageId => value,
    }
}

record! {
    /// Evidence that a ledger was forked or cut: heads of receipts that it has countersigned and that exclude each other; by
    /// node and ledger.
    ForkRecord in Fork {
        ours: CountersignedHead => value,
        /// What the relay showed; none if it had none.
        relays: Option<CountersignedHead> => option,
        at: Timestamp => value,
    }
}
