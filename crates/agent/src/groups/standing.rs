//! Whether an agent belongs to a group.

use sealpost_protocol::encoding::{Decode, DecodeError, Encode, Reader, Writer};

/// Whether an agent belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupStanding {
    /// It does.
    Member,
    /// It has left; the founder has dissolved the group if it is the one.
    Left,
    /// It was removed, or the group was dissolved.
    Removed,
}

impl GroupStanding {
    /// Its name in text formats.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }
}

impl Encode for GroupStanding {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Member => 0,
            Self::Left => 1,
            Self::Removed => 2,
        });
    }
}

impl Decode for GroupStanding {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(Self::Member),
            1 => Ok(Self::Left),
            2 => Ok(Self::Removed),
            found => Err(DecodeError::UnknownValue { field: "a standing", found }),
        }
    }
}
