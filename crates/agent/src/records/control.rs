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
    /// What a peer is shown of the agent's reading and writing, and what it shows; by its id.
    #[derive(Default, PartialEq, Eq)]
    MarkRecord in Mark {
        /// The peer's message up to which the agent has read all.
        read: Option<MessageId> => option,
        /// The one that the peer was last told of.
        told: Option<MessageId> => option,
        /// When the peer was last told that the agent is writing, unless it was told since that it is not.
        typing: Option<Timestamp> => option,
        /// The agent's message up to which the peer has read all.
        read_by_peer: Option<MessageId> => option,
        /// Where the event is that tells so; empty if there is none.
        read_event: Vec<u8> => bytes,
        /// Where the event is that tells that the peer is writing; empty if there is none.
        typing_event: Vec<u8> => bytes,
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
