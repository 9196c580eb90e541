//! Public keys for Diffie-Hellman and key encapsulation. A key that exists is canonical and of no small order.

use std::fmt;

use thiserror::Error;

use crate::encoding::{Decode, DecodeError, Encode, Reader, Writer};

/// The bytes are not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidKey(&'static str);

/// An X25519 public key: the 32-byte little-endian u-coordinate, below the field's prime, of no small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurveKey([u8; 32]);

/// The prime 2^255 − 19, little-endian.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// Every canonical u-coordinate of small order, on the curve and its twist: order 4 (0), order 2 or 1 on the ladder (1,
/// p − 1) and order 8. A shared secret with one of them is zero whatever the private key.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = FIELD_PRIME;
        minus_one[0] = 0xec;
        minus_one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

impl CurveKey {
    /// From the 32-byte encoding of RFC 7748.
    ///
    /// # Errors
    /// [`InvalidKey`] for a value at or above the prime, and for the five points of small order.
    pub fn from_array(bytes: [u8; 32]) -> Result<Self, InvalidKey> {
        if !bytes.iter().rev().lt(FIELD_PRIME.iter().rev()) {
            return Err(InvalidKey("the X25519 key is not canonical"));
        }
        if SMALL_ORDER.contains(&bytes) {
            return Err(InvalidKey("the X25519 key is of small order"));
        }
        Ok(Self(bytes))
    }

    /// The 32-byte encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CurveKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(formatter, "CurveKey({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

impl Encode for CurveKey {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for CurveKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_array(reader.array()?)
            .map_err(|InvalidKey(reason)| DecodeError::Invalid { field: "curve key", reason })
    }
}

/// An ML-KEM-768 encapsulation key: 1,184 bytes, every coefficient reduced (FIPS 203, section 7.2).
#[derive(Clone, PartialEq, Eq)]
pub struct KemKey(Box<[u8; Self::LENGTH]>);

impl KemKey {
    /// Bytes of an encapsulation key: three polynomials of 256 twelve-bit coefficients, and a 32-byte seed.
    pub const LENGTH: usize = 1_184;

    /// The coefficients' modulus.
    const MODULUS: u16 = 3_329;

    /// From the encoding of FIPS 203.
    ///
    /// # Errors
    /// [`InvalidKey`] when a coefficient is not reduced.
    pub fn from_array(bytes: [u8; Self::LENGTH]) -> Result<Self, InvalidKey> {
        let (pairs, _) = bytes.as_chunks::<3>();
        let reduced = pairs.iter().take((Self::LENGTH - 32) / 3).all(|&[low, middle, high]| {
            let first = u16::from(low) | (u16::from(middle & 0x0f) << 8);
            let second = u16::from(middle >> 4) | (u16::from(high) << 4);
            first < Self::MODULUS && second < Self::MODULUS
        });
        if reduced {
            Ok(Self(Box::new(bytes)))
        } else {
            Err(InvalidKey("the ML-KEM key has a coefficient that is not reduced"))
        }
    }

    /// The encoding of FIPS 203.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for KemKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KemKey(…)")
    }
}

impl Encode for KemKey {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.as_bytes());
    }
}

impl Decode for KemKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_array(reader.array()?)
            .map_err(|InvalidKey(reason)| DecodeError::Invalid { field: "KEM key", reason })
    }
}

/// An ML-KEM-768 ciphertext: 1,088 bytes; any value decapsulates to some secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KemCiphertext(Box<[u8; Self::LENGTH]>);

impl KemCiphertext {
    /// Bytes of a ciphertext.
    pub const LENGTH: usize = 1_088;

    /// From its bytes.
    #[must_use]
    pub fn from_array(bytes: [u8; Self::LENGTH]) -> Self {
        Self(Box::new(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for KemCiphertext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KemCiphertext(…)")
    }
}

impl Encode for KemCiphertext {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.as_bytes());
    }
}

impl Decode for KemCiphertext {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curve_keys_at_or_above_the_prime_are_refused() {
        assert!(CurveKey::from_array(FIELD_PRIME).is_err());
        let mut above = FIELD_PRIME;
        above[0] = 0xf0;
        assert!(CurveKey::from_array(above).is_err());
        let mut high_bit = [9; 32];
        high_bit[31] = 0x89;
        assert!(CurveKey::from_array(high_bit).is_err(), "the bit that X25519 ignores would give two names to one key");
    }

    #[test]
    fn curve_keys_of_small_order_are_refused() {
        for bytes in SMALL_ORDER {
            assert!(CurveKey::from_array(bytes).is_err());
        }
    }

    #[test]
    fn the_base_point_is_a_curve_key() {
        let mut base = [0; 32];
        base[0] = 9;
        assert_eq!(CurveKey::from_array(base).unwrap().as_bytes(), &base);
    }

    #[test]
    fn kem_keys_with_an_unreduced_coefficient_are_refused_at_every_position() {
        assert!(KemKey::from_array([0; KemKey::LENGTH]).is_ok());
        for position in (0..KemKey::LENGTH - 32).step_by(3) {
            let mut low = [0; KemKey::LENGTH];
            (low[position], low[position + 1]) = (0x01, 0x0d);
            assert!(KemKey::from_array(low).is_err(), "3,329 in the low half of {position}");
            let mut high = [0; KemKey::LENGTH];
            (high[position + 1], high[position + 2]) = (0x10, 0xd0);
            assert!(KemKey::from_array(high).is_err(), "3,329 in the high half of {position}");
        }
        let mut seed = [0; KemKey::LENGTH];
        seed[KemKey::LENGTH - 1] = 0xff;
        assert!(KemKey::from_array(seed).is_ok(), "the seed is any 32 bytes");
    }
}
