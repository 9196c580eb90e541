//! How fields of records are written and read, and how long they are.

use super::*;
use crate::limits;
use sealpost_protocol::limits as wire;

pub(super) mod value {
    use super::*;

    pub(in super::super) fn length<T: Encode>(value: &T) -> usize {
        value.to_bytes().len()
    }

    pub(in super::super) fn write<T: Encode>(writer: &mut Writer, value: &T) {
        writer.value(value);
    }

    pub(in super::super) fn read<T: Decode>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
        T::decode(reader)
    }
}

pub(super) mod option {
    use super::*;

    pub(in super::super) fn length<T: Encode>(value: &Option<T>) -> usize {
        1 + value.as_ref().map_or(0, value::length)
    }

    pub(in super::super) fn write<T: Encode>(writer: &mut Writer, value: &Option<T>) {
        writer.option(value.as_ref());
    }

    pub(in super::super) fn read<T: Decode>(reader: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        reader.option("an optional field")
    }
}

pub(super) mod flag {
    use super::*;

    pub(in super::super) fn length(_: &bool) -> usize {
        1
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &bool) {
        writer.u8(u8::from(*value));
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(DecodeError::UnknownValue { field: "a flag", found }),
        }
    }
}

pub(super) mod number {
    use super::*;

    pub(in super::super) fn length(_: &u64) -> usize {
        8
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &u64) {
        writer.u64(*value);
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        reader.u64()
    }
}

/// A number at the end of a row, which rows of before end without: 0 there.
pub(super) mod later_number {
    use super::*;

    pub(in super::super) use super::number::{length, write};

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
        if reader.left() == 0 { Ok(0) } else { reader.u64() }
    }
}

pub(super) mod text {
    use super::*;

    pub(in super::super) fn length(value: &str) -> usize {
        bytes::length(value.as_bytes())
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &str) {
        writer.bytes(value.as_bytes());
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
        reader.text("a text", limits::RECORD_BYTES).map(str::to_owned)
    }
}

pub(super) mod bytes {
    use super::*;

    pub(in super::super) fn length(value: &[u8]) -> usize {
        4 + value.len()
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &[u8]) {
        writer.bytes(value);
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
        reader.bytes("a byte string", limits::RECORD_BYTES).map(<[u8]>::to_vec)
    }
}

/// What may hold a secret, and is therefore measured before it is written.
pub(super) mod content {
    use super::*;

    pub(in super::super) fn length(value: &ContentRecord) -> usize {
        const DESCRIPTION: usize = 8 + 32;
        1 + match value {
            ContentRecord::Erased => 0,
            ContentRecord::Payload(payload) => bytes::length(payload),
            ContentRecord::Body(BodyRecord { key: BodyKeyRecord::Open, .. }) => DESCRIPTION,
            ContentRecord::Body(BodyRecord { key: BodyKeyRecord::Sealed(_), .. }) => DESCRIPTION + 32,
        }
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &ContentRecord) {
        writer.value(value);
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<ContentRecord, DecodeError> {
        ContentRecord::decode(reader)
    }
}

/// Bytes that are wiped when dropped.
pub(super) mod secret {
    use super::*;

    pub(in super::super) fn length(value: &[u8]) -> usize {
        bytes::length(value)
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &[u8]) {
        writer.bytes(value);
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<SecretBytes, DecodeError> {
        bytes::read(reader).map(SecretBytes::from)
    }
}

/// The 32 bytes of an identity, wiped when dropped.
pub(super) mod seed {
    use super::*;

    pub(in super::super) fn length(value: &[u8]) -> usize {
        value.len()
    }

    pub(in super::super) fn write(writer: &mut Writer, value: &[u8]) {
        writer.array(value);
    }

    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<SecretBytes, DecodeError> {
        reader.take(32).map(|seed| SecretBytes::from(seed.to_vec()))
    }
}

/// Declares a form of lists with a limit.
macro_rules! list_form {
    ($name:ident, $type:ty, $limit:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn length(value: &[$type]) -> usize {
                2 + value.iter().map(value::length).sum::<usize>()
            }

            pub(in super::super) fn write(writer: &mut Writer, value: &[$type]) {
                writer.list(value);
            }

            pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<Vec<$type>, DecodeError> {
                reader.list(stringify!($name), $limit)
            }
        }
    };
}

list_form!(recipients, AgentId, wire::RECIPIENTS);
list_form!(parts, PartRecord, wire::RECIPIENTS);
list_form!(sent_parts, SentPartRecord, wire::RECIPIENTS);
list_form!(renewed_parts, RenewedPartRecord, wire::RECIPIENTS);
list_form!(deliveries, DeliveryRecord, wire::RECIPIENTS);
