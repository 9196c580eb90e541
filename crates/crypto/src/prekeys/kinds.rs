//! The kinds of prekeys, as types.

use sealpost_protocol::{
    CurveKey, KemKey, PrekeyKind,
    encoding::{Decode, Encode},
};

use crate::{
    curve::CurvePrivateKey,
    kem::KemPrivateKey,
    primitives::{Primitives, PrimitivesError},
};

/// A kind of prekey. There are five.
pub trait Kind: sealed::Sealed {
    /// Its byte in signatures and stored forms.
    const KIND: PrekeyKind;

    /// What its private half is.
    type Private: PrivateKey;
}

/// The private half of a prekey. There are two: X25519 and ML-KEM-768.
pub trait PrivateKey: Encode + Decode + sealed::Sealed {
    /// The public half.
    type Public;

    /// Bytes of the stored form.
    const ENCODED: usize;

    /// A new key.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError>;

    /// The public half.
    fn public(&self) -> Self::Public;
}

impl PrivateKey for CurvePrivateKey {
    type Public = CurveKey;

    const ENCODED: usize = 32;

    fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        Self::generate(primitives)
    }

    fn public(&self) -> CurveKey {
        self.public_key()
    }
}

impl PrivateKey for KemPrivateKey {
    type Public = KemKey;

    const ENCODED: usize = Self::LENGTH;

    fn generate(primitives: &dyn Primitives) -> Result<Self, PrimitivesError> {
        primitives.generate_kem_key()
    }

    fn public(&self) -> KemKey {
        self.public_key().clone()
    }
}

/// Declares a kind.
macro_rules! kind {
    ($(#[$meta:meta])* $name:ident, $private:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl Kind for $name {
            const KIND: PrekeyKind = PrekeyKind::$name;
            type Private = $private;
        }

        impl sealed::Sealed for $name {}
    };
}

kind! {
    /// See [`SignedPrekey`](super::SignedPrekey).
    Signed, CurvePrivateKey
}

kind! {
    /// See [`OneTimeCurvePrekey`](super::OneTimeCurvePrekey).
    OneTimeCurve, CurvePrivateKey
}

kind! {
    /// See [`OneTimeKemPrekey`](super::OneTimeKemPrekey).
    OneTimeKem, KemPrivateKey
}

kind! {
    /// See [`LastResortKemPrekey`](super::LastResortKemPrekey).
    LastResortKem, KemPrivateKey
}

kind! {
    /// See [`SealingPrekey`](super::SealingPrekey).
    Sealing, CurvePrivateKey
}

impl sealed::Sealed for CurvePrivateKey {}
impl sealed::Sealed for KemPrivateKey {}

/// Kinds and private keys are closed sets.
mod sealed {
    pub trait Sealed {}
}
