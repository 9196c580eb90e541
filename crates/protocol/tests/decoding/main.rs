//! What is decoded: whatever was encoded comes back, and each field that is not what it should be is refused by name.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests: the first surprise ends them")]

mod access;
mod bodies;
mod refusals;
mod round_trips;
mod samples;

use std::fmt::Debug;

use sealpost_protocol::encoding::{Decode, DecodeError, Encode};

/// One field that is spoilt: from where on the bytes are others, which, and what is said of it.
type Spoilt = (usize, &'static [u8], DecodeError);

/// Checks that a value comes back from its encoding, that no beginning of it and nothing longer passes for one, and what
/// each spoilt field is refused with.
fn check<T: Encode + Decode + PartialEq + Debug>(sample: &T, refused: &[Spoilt]) {
    let bytes = sample.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(sample));
    for end in 0..bytes.len() {
        assert_eq!(T::from_bytes(&bytes[..end]), Err(DecodeError::Truncated), "the first {end} bytes of {sample:?}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(T::from_bytes(&longer), Err(DecodeError::Trailing(1)), "{sample:?}");
    for (place, others, error) in refused {
        let mut spoilt = bytes.clone();
        spoilt[*place..*place + others.len()].copy_from_slice(others);
        assert_eq!(T::from_bytes(&spoilt).as_ref(), Err(error), "{others:?} from byte {place} on of {sample:?}");
    }
}

fn unknown(field: &'static str, found: u8) -> DecodeError {
    DecodeError::UnknownValue { field, found }
}

fn invalid(field: &'static str, reason: &'static str) -> DecodeError {
    DecodeError::Invalid { field, reason }
}

fn too_long(field: &'static str, found: usize, limit: usize) -> DecodeError {
    DecodeError::TooLong { field, found, limit }
}
