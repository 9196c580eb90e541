//! What is kept of received messages, of their bodies, and of the order in which they came.

use std::time::Duration;

use super::*;

record! {
    /// A message received, refused, or on its way.
    InboxRecord in Inbox {
        header: HeaderHash => value,
        part: PartHash => value,
        attempt: Attempt => value,
        /// What its receipt says; none is due while its body is at the relay.
        verdict: Option<Verdict> => option,
        sent: Timestamp => value,
        received: Timestamp => value,
        /// Where it is among the unread, until the agent takes it.
        arrival: Vec<u8> => bytes,
        priority: Priority => value,
        scheme: ReceivedScheme => value,
        /// Erased once the agent has taken it, or if it was refused. A body is in the spool, all of it once there is a
        /// verdict.
        content: ContentRecord => content,
    }
}

impl InboxRecord {
    /// Whether the message is here, or was, until the agent took it.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Stored | Verdict::Acknowledged))
    }
}

record! {
    /// A received message that the agent has not taken.
    UnreadRecord in Unread {
        message: MessageRef => value,
    }
}

record! {
    /// A received message that waits for a body, its own or that of an earlier message of its sender.
    HeldRecord in Held {
        message: MessageRef => value,
    }
}

record! {
    /// A message whose body is at the relay still.
    DownloadRecord in Download {
        message: MessageRef => value,
        /// How often what came was not what the header describes.
        failures: u64 => later_number,
        /// Where that was found last.
        failed_at: u64 => later_number,
    }
}

impl DownloadRecord {
    pub(crate) fn new(message: MessageRef) -> Self {
        Self { message, failures: 0, failed_at: 0 }
    }
}

record! {
    /// A received message whose body stays at the relay.
    WaitingBodyRecord in WaitingBody {
        message: MessageRef => value,
        /// Bytes of the content in it, if it waits because they are so many; else 0.
        content_length: u64 => later_number,
    }
}

record! {
    /// That this agent has written to another.
    WrittenToRecord in WrittenTo {
        first: Timestamp => value,
    }
}

record! {
    /// The last place given in the order of arrival.
    ArrivalRecord in Arrival {
        at: Timestamp => value,
        number: u64 => number,
    }
}

impl ArrivalRecord {
    /// The next place, if something arrives at `at` with a number in the relay's order. The order of arrival does not go
    /// back with the clock, nor where another relay begins to count anew.
    pub(crate) fn after(last: Option<&Self>, at: Timestamp, number: u64) -> Self {
        match last {
            Some(last) if (last.at, last.number) >= (at, number) => match last.number.checked_add(1) {
                Some(number) => Self { at: last.at, number },
                None => Self { at: last.at.saturating_add(Duration::from_millis(1)), number: 0 },
            },
            _ => Self { at, number },
        }
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        arrival_key(self.at, self.number)
    }
}

/// A place in the order of arrival: the local clock, which does not go back here, then the relay's order.
pub(crate) fn arrival_key(at: Timestamp, mailbox_seq: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.value(&at).u64(mailbox_seq);
    writer.into_bytes()
}
