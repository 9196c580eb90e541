//! The canonical encoding: one sequence of bytes per value, so that what is hashed or signed is never in doubt.
//!
//! Integers are big-endian and of fixed width; arrays of known length stand bare; byte strings and text carry a
//! `u32` length; lists carry a `u16` count; an option is one byte, 0 or 1, before its value. Decoding refuses
//! truncation, trailing bytes, unknown tags and lengths above the stated limit, and allocates nothing before the
//! length has been checked against the bytes that are there.

use thiserror::Error;

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside a field.
    #[error("the input ends inside a field")]
    Truncated,
    /// Bytes follow the last field.
    #[error("{0} bytes follow the last field")]
    Trailing(usize),
    /// A length or count exceeds its limit.
    #[error("{field} has length {found}, the limit is {limit}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The length found, in bytes or items.
        found: usize,
        /// The limit, in the same unit.
        limit: usize,
    },
    /// A tag, version or enumeration value that this version does not know.
    #[error("{field} has the unknown value {found}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// The value found.
        found: u8,
    },
    /// A field whose bytes are well-formed and whose value is not allowed.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value that carries its own signature, which does not verify.
    #[error("the signature of the {field} does not verify")]
    BadSignature {
        /// What is signed.
        field: &'static str,
    },
}

/// A value with a canonical encoding.
pub trait Encode {
    /// Appends the encoding to `writer`.
    fn encode(&self, writer: &mut Writer);

    /// The encoding on its own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.into_bytes()
    }
}

/// A value that can be read back from its canonical encoding.
pub trait Decode: Sized {
    /// Reads one value; what follows it stays in `reader`.
    ///
    /// # Errors
    /// A [`DecodeError`] that names the first field at fault.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads a value that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`Decode::decode`], and [`DecodeError::Trailing`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// Builds an encoding.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty encoding.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty encoding with room for `capacity` bytes: an encoding of secrets must not grow, for that would leave a copy
    /// behind in freed memory.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.array(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.array(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.array(&value.to_be_bytes())
    }

    /// Bytes whose number the format fixes: no length.
    pub fn array(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A byte string: `u32` length, then the bytes. Values that exceed `u32` cannot exist: every field has a limit.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).array(bytes)
    }

    /// A list: `u16` count, then each value.
    pub fn list<T: Encode>(&mut self, items: &[T]) -> &mut Self {
        self.u16(u16::try_from(items.len()).unwrap_or(u16::MAX));
        for item in items {
            item.encode(self);
        }
        self
    }

    /// An option: 0, or 1 and the value.
    pub fn option<T: Encode>(&mut self, value: Option<&T>) -> &mut Self {
        match value {
            None => self.u8(0),
            Some(value) => self.u8(1).value(value),
        }
    }

    /// A value with an encoding of its own.
    pub fn value<T: Encode>(&mut self, value: &T) -> &mut Self {
        value.encode(self);
        self
    }

    /// The finished encoding.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes an encoding apart.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A byte string of at most `limit` bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], [`DecodeError::Truncated`].
    pub fn bytes(&mut self, field: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let found = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if found > limit {
            return Err(DecodeError::TooLong { field, found, limit });
        }
        self.take(found)
    }

    /// UTF-8 text of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`], and [`DecodeError::Invalid`] for other than UTF-8.
    pub fn text(&mut self, field: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(field, limit)?).map_err(|_| DecodeError::Invalid { field, reason: "not UTF-8" })
    }

    /// A list of at most `limit` values.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], and what the values' own decoding reports.
    pub fn list<T: Decode>(&mut self, field: &'static str, limit: usize) -> Result<Vec<T>, DecodeError> {
        let found = usize::from(self.u16()?);
        if found > limit {
            return Err(DecodeError::TooLong { field, found, limit });
        }
        (0..found).map(|_| T::decode(self)).collect()
    }

    /// An option.
    ///
    /// # Errors
    /// [`DecodeError::UnknownValue`] for a tag above 1, and what the value's own decoding reports.
    pub fn option<T: Decode>(&mut self, field: &'static str) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => T::decode(self).map(Some),
            found => Err(DecodeError::UnknownValue { field, found }),
        }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Ends the reading with what is left, for a format that allows something to follow.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

/// Writes an enumeration's wire byte once and derives both directions from it.
macro_rules! byte_enum {
    ($(#[$meta:meta])* $name:ident, $field:literal { $($(#[$doc:meta])* $variant:ident = $byte:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// The byte that stands for it on the wire.
            #[must_use]
            pub fn to_byte(self) -> u8 {
                match self { $(Self::$variant => $byte,)+ }
            }

            /// The value that `byte` stands for.
            ///
            /// # Errors
            /// [`DecodeError::UnknownValue`](crate::encoding::DecodeError::UnknownValue).
            pub fn from_byte(byte: u8) -> Result<Self, $crate::encoding::DecodeError> {
                match byte {
                    $($byte => Ok(Self::$variant),)+
                    found => Err($crate::encoding::DecodeError::UnknownValue { field: $field, found }),
                }
            }

            /// Its name in text formats.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value whose name in text formats is `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl $crate::encoding::Encode for $name {
            fn encode(&self, writer: &mut $crate::encoding::Writer) {
                writer.u8(self.to_byte());
            }
        }

        impl $crate::encoding::Decode for $name {
            fn decode(reader: &mut $crate::encoding::Reader<'_>) -> Result<Self, $crate::encoding::DecodeError> {
                Self::from_byte(reader.u8()?)
            }
        }
    };
}
pub(crate) use byte_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(<[u8; 2]>::from_bytes(&[1, 2, 3]), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn a_length_beyond_the_input_is_truncation_and_allocates_nothing() {
        let mut reader = Reader::new(&[0, 0, 0, 9, 1]);
        assert_eq!(reader.bytes("field", 10), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_length_above_the_limit_names_field_and_limit() {
        let mut reader = Reader::new(&[0xff; 8]);
        assert_eq!(
            reader.bytes("field", 10),
            Err(DecodeError::TooLong { field: "field", found: 0xffff_ffff, limit: 10 })
        );
    }

    #[test]
    fn an_option_has_two_tags_only() {
        let mut reader = Reader::new(&[2, 0]);
        assert_eq!(reader.option::<[u8; 1]>("field"), Err(DecodeError::UnknownValue { field: "field", found: 2 }));
    }

    #[test]
    fn text_is_utf8() {
        let mut reader = Reader::new(&[0, 0, 0, 1, 0xff]);
        assert_eq!(reader.text("field", 10), Err(DecodeError::Invalid { field: "field", reason: "not UTF-8" }));
    }
}
