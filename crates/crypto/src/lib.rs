//! The agent's secrets, and everything that can open a message.
//!
//! Sans-I/O: no async, clock, store or network. Time is an argument, randomness comes through [`Primitives`], and what
//! is to be stored is handed over as bytes, secrets to be sealed by a [`Vault`] first.
//!
//! A message's way, and where its steps are:
//!
//! 1. The recipient leaves public keys at a relay: [`ManifestPrekeys`], [`PrivatePrekey`].
//! 2. The sender checks what the relay hands out ([`VerifiedBundle::check`]) and opens a [`Session`] ([`initiate`]).
//! 3. It seals a [`Payload`] with [`Session::seal`]; until the answer, every envelope carries the session's opening.
//! 4. The recipient opens the first envelope with [`respond`], the later ones with [`Session::open`].
//!
//! What holds throughout: a check returns the value that the next step needs; nothing changes before everything has
//! verified; a failure leaves the state byte for byte as it was; secrets are wiped when dropped, and their `Debug`
//! shows nothing.

pub mod limits;

mod aead;
mod body;
mod curve;
mod hkdf;
mod identity_keys;
mod kdf_chain;
mod kem;
mod lost_keys;
mod master_key;
mod message_key_cache;
mod padding;
mod payload;
mod pending;
mod prekeys;
mod primitives;
mod recipient_keys;
mod restored_copy;
mod secret;
mod session;
mod session_ad;
mod session_life;
mod shared_key;
mod state_machine;
mod vault;
mod x3dh;

#[cfg(test)]
mod bad_points;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wiping;

pub use body::{BodyError, BodyOpener, BodySeal, BodySealer, Prelude};
pub use curve::CurvePrivateKey;
pub use identity_keys::IdentityPrivateKey;
pub use kem::KemPrivateKey;
pub use master_key::{
    KeyFileProvider, MasterKey, MasterKeyError, MasterKeyProvider, PassphraseParameters, PassphraseProvider,
};
pub use payload::{
    BodyKey, Content, ContentKind, Control, EndedMembership, FileName, GroupName, GroupNotice, HandOver, Mark, Member,
    Ordinary, Payload, PayloadError, Plaintext, Roster, RosterError,
};
pub use prekeys::{
    Kind, LastResortKem, LastResortKemPrekey, ManifestPrekeys, OneTimeCurve, OneTimeCurvePrekey, OneTimeKem,
    OneTimeKemPrekey, PrivateKey, PrivatePrekey, Sealing, SealingPrekey, SignManifestError, Signed, SignedPrekey,
    Validity,
};
pub use primitives::{Primitives, PrimitivesError, SystemPrimitives};
pub use recipient_keys::{UnwrapError, unwrap_key, wrap_key};
pub use restored_copy::{Progress, RestoredCopy, check_progress};
pub use secret::{ContentKey, GroupSecret, SecretBytes, SharedSecret, encode_secret};
pub use session::{OpenError, Role, SealError, Session};
pub use session_ad::SessionId;
pub use session_life::{AfterRefusal, Refusal, SessionStanding, after_refusal, sessions_to_erase, takes_over};
pub use shared_key::GroupKey;
pub use vault::{Generation, RowAddress, SEALED_ROW_OVERHEAD, Vault, VaultError};
pub use x3dh::{
    BundleError, ExpectedBundle, RespondError, ResponderKemKey, ResponderKeys, SeenManifest, VerifiedBundle,
    VerifiedManifest, initiate, respond,
};
