//! An identity in one sealed file: to be kept apart from the agent's store, and to be taken to another machine.
//!
//! It holds the identity and what its next store must go on from: a relay refuses a manifest whose version is not above the
//! last, and a prekey's id that was used before. Sessions, prekeys and messages stay behind: a second copy of a ratchet is
//! what no agent may have. The file says in the clear whose it is and how a passphrase is stretched.

use std::fmt;

use sealpost_protocol::{
    AgentId, IdentityKey, KeyId, Signer, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    aead::{self, NONCE, OpenFailure, TAG},
    hkdf,
    identity_keys::IdentityPrivateKey,
    master_key::PassphraseParameters,
    primitives::{Primitives, PrimitivesError, random},
    secret::{MasterKey, encode_secret, secret_array},
};

const LABEL: &[u8] = b"sealpost/v1/identity-file";

/// Bytes of what is sealed: seed, manifest version, prekey id, time.
const CONTENT: usize = 32 + 8 + 4 + 8;

/// What the file holds.
#[derive(Debug)]
pub struct ExportedIdentity {
    /// The identity.
    pub identity: IdentityPrivateKey,
    /// The version of its newest manifest: the next must exceed it.
    pub manifest_version: u64,
    /// The lowest id that none of its prekeys has had.
    pub next_prekey: KeyId,
    /// When it was exported.
    pub exported: Timestamp,
}

/// The file.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityFile {
    head: Head,
    /// Tells a wrong master key from a damaged file.
    commitment: [u8; 32],
    nonce: [u8; NONCE],
    ciphertext: [u8; CONTENT],
    tag: [u8; TAG],
}

/// What is readable, and authenticated.
#[derive(Clone, PartialEq, Eq)]
struct Head {
    identity: IdentityKey,
    passphrase: Option<PassphraseParameters>,
}

/// Why a file gives no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// It is sealed under another master key.
    #[error("the master key is another: a wrong passphrase or key file")]
    WrongMasterKey,
    /// It was altered.
    #[error("the identity file is damaged")]
    Damaged,
    /// Something below failed.
    #[error(transparent)]
    Primitives(#[from] PrimitivesError),
}

impl IdentityFile {
    /// Seals an identity under `master`. `passphrase` says how that was stretched, if it comes from one; take parameters of
    /// its own for each file.
    ///
    /// # Errors
    /// [`PrimitivesError`].
    pub fn seal(
        primitives: &dyn Primitives,
        exported: &ExportedIdentity,
        master: &MasterKey,
        passphrase: Option<PassphraseParameters>,
    ) -> Result<Self, PrimitivesError> {
        let head = Head { identity: exported.identity.identity_key(), passphrase };
        let content = encode_secret(CONTENT, |writer| {
            writer
                .array(&exported.identity.expose_seed())
                .u64(exported.manifest_version)
                .value(&exported.next_prekey)
                .value(&exported.exported);
        });
        let [key, commitment] = &*sealing_keys(master)?;
        let nonce = *random(primitives)?;
        let mut ciphertext = [0; CONTENT];
        let tag = aead::seal(key, nonce, &head.to_bytes(), &content, &mut ciphertext)?;
        Ok(Self { head, commitment: *commitment, nonce, ciphertext, tag })
    }

    /// Whose it is.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.head.identity.agent_id()
    }

    /// How to stretch the passphrase; `None` if the master key is no passphrase's.
    #[must_use]
    pub fn passphrase(&self) -> Option<&PassphraseParameters> {
        self.head.passphrase.as_ref()
    }

    /// The identity.
    ///
    /// # Errors
    /// [`IdentityFileError`].
    pub fn open(&self, master: &MasterKey) -> Result<ExportedIdentity, IdentityFileError> {
        let [key, commitment] = &*sealing_keys(master)?;
        if !bool::from(self.commitment.ct_eq(commitment)) {
            return Err(IdentityFileError::WrongMasterKey);
        }
        let content = aead::open(key, self.nonce, &self.head.to_bytes(), &self.ciphertext, &self.tag)?;
        let exported = read_content(&content).map_err(|_| IdentityFileError::Damaged)?;
        if exported.identity.identity_key() == self.head.identity {
            Ok(exported)
        } else {
            Err(IdentityFileError::Damaged)
        }
    }
}

fn read_content(content: &[u8]) -> Result<ExportedIdentity, DecodeError> {
    let mut reader = Reader::new(content);
    let identity = IdentityPrivateKey::from_seed(secret_array(&mut reader)?);
    Ok(ExportedIdentity {
        identity: identity.map_err(|_| DecodeError::Invalid { field: "seed", reason: "the library refuses it" })?,
        manifest_version: reader.u64()?,
        next_prekey: KeyId::decode(&mut reader)?,
        exported: Timestamp::decode(&mut reader)?,
    })
}

/// From a master key: the key that seals the file, and a commitment to it.
fn sealing_keys(master: &MasterKey) -> Result<Zeroizing<[[u8; 32]; 2]>, PrimitivesError> {
    hkdf::derive(&[], master.expose(), &[LABEL])
}

impl From<OpenFailure> for IdentityFileError {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Tag => Self::Damaged,
            OpenFailure::Primitives(error) => error.into(),
        }
    }
}

impl fmt::Debug for IdentityFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IdentityFile").field("agent", &self.agent_id()).finish_non_exhaustive()
    }
}

impl Encode for IdentityFile {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.head).array(&self.commitment).array(&self.nonce).array(&self.ciphertext).array(&self.tag);
    }
}

impl Decode for IdentityFile {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            head: Head::decode(reader)?,
            commitment: reader.array()?,
            nonce: reader.array()?,
            ciphertext: reader.array()?,
            tag: reader.array()?,
        })
    }
}

impl Encode for Head {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(LABEL).value(&self.identity).option(self.passphrase.as_ref());
    }
}

impl Decode for Head {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.bytes("identity file label", LABEL.len())? != LABEL {
            return Err(DecodeError::Invalid { field: "identity file label", reason: "not an identity file" });
        }
        Ok(Self { identity: IdentityKey::decode(reader)?, passphrase: reader.option("passphrase parameters")? })
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::{
        SystemPrimitives,
        testing::{FailingPrimitives, NOW, SeededPrimitives},
    };

    fn master(byte: u8) -> MasterKey {
        MasterKey::copy_of(&[byte; 32])
    }

    fn exported() -> ExportedIdentity {
        let identity = IdentityPrivateKey::generate(&SeededPrimitives::new(1)).unwrap();
        ExportedIdentity { identity, manifest_version: 9, next_prekey: KeyId(301), exported: NOW }
    }

    fn file() -> IdentityFile {
        let parameters = PassphraseParameters::generate(&SeededPrimitives::new(3)).unwrap();
        IdentityFile::seal(&SeededPrimitives::new(2), &exported(), &master(5), Some(parameters)).unwrap()
    }

    #[test]
    fn an_exported_identity_is_imported_with_all_that_its_next_store_must_know() {
        let stored = file().to_bytes();
        let file = IdentityFile::from_bytes(&stored).unwrap();
        assert_eq!(file.agent_id(), exported().identity.agent_id());
        assert!(file.passphrase().is_some());
        let imported = file.open(&master(5)).unwrap();
        assert_eq!(imported.identity.expose_seed(), exported().identity.expose_seed());
        let ExportedIdentity { manifest_version, next_prekey, exported, .. } = imported;
        assert_eq!((manifest_version, next_prekey, exported), (9, KeyId(301), NOW));
    }

    #[test]
    fn a_wrong_master_key_is_told_from_a_damaged_file_and_every_byte_counts() {
        let stored = file().to_bytes();
        assert_eq!(file().open(&master(6)).map(drop), Err(IdentityFileError::WrongMasterKey));
        for length in 0..stored.len() {
            assert!(IdentityFile::from_bytes(&stored[..length]).is_err(), "{length} bytes");
        }
        for byte in 0..stored.len() {
            let mut altered = stored.clone();
            altered[byte] ^= 1;
            if let Ok(file) = IdentityFile::from_bytes(&altered) {
                assert!(file.open(&master(5)).is_err(), "byte {byte}");
            }
        }
        let mut damaged = file();
        damaged.ciphertext[0] ^= 1;
        assert_eq!(damaged.open(&master(5)).map(drop), Err(IdentityFileError::Damaged));
    }

    #[test]
    fn a_file_that_names_another_agent_opens_nothing() {
        let mut other = file();
        other.head.identity = IdentityPrivateKey::generate(&SeededPrimitives::new(8)).unwrap().identity_key();
        assert_eq!(other.open(&master(5)).map(drop), Err(IdentityFileError::Damaged));
    }

    #[test]
    fn without_randomness_nothing_is_sealed_and_no_two_files_are_alike() {
        let seal = |primitives: &dyn Primitives| IdentityFile::seal(primitives, &exported(), &master(5), None);
        assert_eq!(seal(&FailingPrimitives::after(0)).map(drop), Err(PrimitivesError::Randomness));
        assert_ne!(seal(&SystemPrimitives).unwrap().to_bytes(), seal(&SystemPrimitives).unwrap().to_bytes());
    }

    #[test]
    fn the_form_never_changes_and_debug_shows_whose_it_is_and_no_secret() {
        let hex: String = Sha256::digest(file().to_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(format!("{} bytes, {hex}\n{:?}\n{:?}", file().to_bytes().len(), file(), exported()), @"
        203 bytes, 4042d64f76a9428c4d2974c585fe20b820159eda8e008544fcc67de455caf49c
        IdentityFile { agent: agent1r6sq30788z6hgy6qx8rv67deccaekkm6894xu2tx8m7k6vfrrjwsajjpwe, .. }
        ExportedIdentity { identity: IdentityPrivateKey(agent1r6sq30788z6hgy6qx8rv67deccaekkm6894xu2tx8m7k6vfrrjwsajjpwe), manifest_version: 9, next_prekey: KeyId(301), exported: Timestamp(1795351425123) }
        ");
    }
}
