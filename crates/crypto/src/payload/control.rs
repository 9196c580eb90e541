//! What runtimes say to each other, under headers of the class `control`: each may be lost, and none is answered.

use sealpost_protocol::{
    MessageId,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use super::{CONTROLS_BEFORE, FORMAT, Plaintext, read_head};
use crate::{limits, secret::encode_secret};

/// The payload is a ratchet step.
const STEP: u8 = 1;

/// The payload is a mark.
const MARK: u8 = 3;

/// What one runtime says to another. All of it is of one length once it is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing but the sender's newest ratchet key, which is in the envelope: the answer to a request for a step.
    Step,
    /// How far the sender's agent has read, and whether it writes. It answers a request for a step as well.
    Mark(Mark),
}

/// What an agent shows its peer of its reading and writing: all of it, so that a later mark takes the place of an earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The peer's message up to which, by its id, all were read; none if nothing is said of that.
    pub read: Option<MessageId>,
    /// Whether the agent is writing now.
    pub typing: bool,
}

impl Control {
    /// The padded encoding, to be sealed.
    #[must_use]
    pub fn to_plaintext(self) -> Plaintext {
        let mut bytes = encode_secret(limits::SHORTEST_PADDED, |writer| {
            writer.value(&self);
        });
        bytes.pad_to(limits::SHORTEST_PADDED);
        Plaintext::new(bytes)
    }
}

impl Encode for Control {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Step => writer.u8(FORMAT).u8(STEP).u8(0),
            Self::Mark(mark) => writer.u8(FORMAT).u8(MARK).u8(0).value(mark),
        };
    }
}

impl Decode for Control {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match read_head(reader, &[STEP, MARK], CONTROLS_BEFORE)? {
            MARK => Mark::decode(reader).map(Self::Mark),
            _ => Ok(Self::Step),
        }
    }
}

impl Encode for Mark {
    fn encode(&self, writer: &mut Writer) {
        writer.option(self.read.as_ref()).u8(self.typing.into());
    }
}

impl Decode for Mark {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let read = reader.option("read mark")?;
        let typing = match reader.u8()? {
            0 => false,
            1 => true,
            found => return Err(DecodeError::UnknownValue { field: "typing mark", found }),
        };
        Ok(Self { read, typing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOW;

    fn read() -> Mark {
        Mark { read: Some(MessageId::new(NOW, [5; 10])), typing: false }
    }

    #[test]
    fn control_messages_read_back_and_cannot_be_told_apart_by_their_length() {
        let nothing = Mark::default();
        for control in [
            Control::Step,
            Control::Mark(nothing),
            Control::Mark(read()),
            Control::Mark(Mark { typing: true, ..read() }),
            Control::Mark(Mark { typing: true, ..nothing }),
        ] {
            let plaintext = control.to_plaintext();
            assert_eq!(plaintext.to_control(), Ok(control));
            assert_eq!(plaintext.padded_length(), limits::SHORTEST_PADDED);
            assert!(!plaintext.is_ordinary() && plaintext.to_ordinary().is_err());
        }
    }

    #[test]
    fn a_mark_says_yes_or_no_and_asks_for_nothing() {
        let bytes = Control::Mark(read()).to_bytes();
        assert!(Control::from_bytes(&bytes).is_ok());
        let mut unsure = bytes.clone();
        *unsure.last_mut().unwrap() = 2;
        assert_eq!(Control::from_bytes(&unsure), Err(DecodeError::UnknownValue { field: "typing mark", found: 2 }));
        let mut asking = bytes.clone();
        asking[2] = 1;
        assert!(Control::from_bytes(&asking).is_err());
        assert!(Control::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
}
