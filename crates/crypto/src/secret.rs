//! Secret bytes: one type per purpose, so that none can be taken for another.
//!
//! A key lives on the heap: moving it moves a pointer and leaves no copy behind. It is wiped when dropped, its `Debug`
//! shows nothing, and it is neither `Clone` nor comparable. Wiping is best effort: what a library keeps on its own
//! stack is beyond reach.

use std::{fmt, mem, ops::Deref};

use sealpost_protocol::encoding::{Decode, DecodeError, Encode, Reader, Writer};
use zeroize::Zeroize;

/// Declares a secret of 32 bytes.
macro_rules! secret {
    ($(#[$meta:meta])* $visibility:vis $name:ident) => {
        $(#[$meta])*
        $visibility struct $name(Box<[u8; 32]>);

        impl $name {
            /// A copy of `bytes`; wiping the original is the caller's.
            #[must_use]
            $visibility fn copy_of(bytes: &[u8; 32]) -> Self {
                let mut secret = Self(Box::default());
                secret.0.copy_from_slice(bytes);
                secret
            }

            /// The bytes, for the one computation they are meant for.
            #[must_use]
            $visibility fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                wipe(self.0.as_mut_slice());
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

/// Gives a secret an encoding, for those that are stored. Store it only in a buffer from [`encode_secret`].
macro_rules! stored {
    ($name:ident) => {
        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.array(self.expose());
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                secret_array(reader).map(Self::copy_of)
            }
        }
    };
}

secret! {
    /// What two parties of a key agreement share, before any derivation.
    pub SharedSecret
}

secret! {
    /// The bytes behind an X25519 private key.
    pub(crate) CurveScalar
}

secret! {
    /// The seed of an Ed25519 identity.
    pub(crate) IdentitySeed
}

secret! {
    /// What the chains of a session derive from; replaced by every Diffie-Hellman step.
    pub(crate) RootKey
}

secret! {
    /// What the next message key of one chain derives from; replaced by every message.
    pub(crate) ChainKey
}

secret! {
    /// The key of one message.
    pub(crate) MessageKey
}

secret! {
    /// The key of one body, which seals nothing else.
    pub ContentKey
}

secret! {
    /// What the members of a group share for one epoch.
    pub GroupSecret
}

secret! {
    /// What everything at rest is sealed under, at one remove or two. Comes from the user: passphrase, file or device.
    pub MasterKey
}

secret! {
    /// What the rows of an agent's store are sealed under.
    pub(crate) StoreKey
}

stored!(RootKey);
stored!(ChainKey);
stored!(MessageKey);
stored!(ContentKey);
stored!(GroupSecret);

/// Overwrites a secret that goes: the one place where that is done, so that tests can look on.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.zeroize();
    #[cfg(test)]
    crate::testing::note_wiped(bytes);
}

/// The next `N` bytes of an encoding, where they are: an array by value would leave a copy.
pub(crate) fn secret_array<'a, const N: usize>(reader: &mut Reader<'a>) -> Result<&'a [u8; N], DecodeError> {
    reader.take(N)?.first_chunk().ok_or(DecodeError::Truncated)
}

/// Encodes what is or holds a secret into a buffer that is made once, with room for `capacity` bytes: one that grows leaves
/// copies in freed memory. The one place where that is done, for whoever stores secrets.
pub fn encode_secret(capacity: usize, encode: impl FnOnce(&mut Writer)) -> SecretBytes {
    let mut writer = Writer::with_capacity(capacity);
    encode(&mut writer);
    let bytes = SecretBytes(writer.into_bytes());
    debug_assert!(bytes.len() <= capacity, "{} bytes in room for {capacity}", bytes.len());
    bytes
}

/// Secret bytes of any number: a plaintext, or an encoding with keys in it.
///
/// Like `Zeroizing<Vec<u8>>`, which wipes byte by byte, at five times the cost.
#[derive(Clone, Default)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// `length` zeros, to be written over.
    pub(crate) fn zeros(length: usize) -> Self {
        Self(vec![0; length])
    }

    /// The bytes, to write over.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Adds zeros up to `length`, for which there must be room.
    pub(crate) fn pad_to(&mut self, length: usize) {
        debug_assert!(length <= self.0.capacity(), "a buffer that grows leaves a copy behind");
        self.0.resize(length.max(self.0.len()), 0);
    }

    /// The bytes; wiping them is the caller's from here on.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        mem::take(&mut self.0)
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What lies beyond the length was never written: nothing here shortens the vector.
impl Drop for SecretBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "33 bytes in room for 32")]
    #[cfg(debug_assertions)]
    fn an_encoding_that_outgrows_its_buffer_is_caught() {
        encode_secret(32, |writer| {
            writer.u8(1).array(&[7; 32]);
        });
    }

    #[test]
    fn debug_of_a_secret_shows_its_purpose_and_nothing_else() {
        let bytes = [0x5a; 32];
        insta::assert_debug_snapshot!(
            (
                SharedSecret::copy_of(&bytes),
                CurveScalar::copy_of(&bytes),
                IdentitySeed::copy_of(&bytes),
                RootKey::copy_of(&bytes),
                ChainKey::copy_of(&bytes),
                MessageKey::copy_of(&bytes),
                ContentKey::copy_of(&bytes),
                GroupSecret::copy_of(&bytes),
                MasterKey::copy_of(&bytes),
                StoreKey::copy_of(&bytes),
                SecretBytes::from(bytes.to_vec()),
            ),
            @"
        (
            SharedSecret(…),
            CurveScalar(…),
            IdentitySeed(…),
            RootKey(…),
            ChainKey(…),
            MessageKey(…),
            ContentKey(…),
            GroupSecret(…),
            MasterKey(…),
            StoreKey(…),
            SecretBytes(32 bytes),
        )
        "
        );
    }
}
