//! The node's own keys: the identity it is pinned by, the key that signs tokens, and the key that marks its challenges.
//!
//! They are made at the first start and kept in `node.key` in the data directory, readable by the owner only. They open
//! no message.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    hmac,
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sealpost_protocol::{IdentityKey, NodeId, Signature, Signer, SigningInput};
use thiserror::Error;

const MAGIC: &[u8; 16] = b"sealpost node v1";
const SEED: usize = 32;
const FILE_BYTES: usize = MAGIC.len() + 3 * SEED;

/// What PKCS #8 puts before an Ed25519 seed (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The node's private keys.
pub struct NodeKeys {
    identity: Ed25519KeyPair,
    public: IdentityKey,
    pub(crate) token_signing: EncodingKey,
    pub(crate) token_checking: DecodingKey,
    pub(crate) challenge_marking: hmac::Key,
}

/// Why there are no node keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeKeysError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a Sealpost node key")]
    NotAKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

impl NodeKeys {
    /// Their file, in the data directory.
    pub(crate) const FILE_NAME: &'static str = "node.key";

    /// Reads the keys of `data_dir`; `None` if there are none.
    ///
    /// # Errors
    /// [`NodeKeysError`].
    pub fn read(data_dir: &Path) -> Result<Option<Self>, NodeKeysError> {
        let path = Self::path(data_dir);
        match fs::read(&path) {
            Ok(bytes) => Self::from_file(&bytes).map(Some).ok_or(NodeKeysError::NotAKeyFile { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(NodeKeysError::Io { path, source }),
        }
    }

    /// Makes the keys of a new node and stores them in `data_dir`, whose lock the caller holds.
    ///
    /// # Errors
    /// [`NodeKeysError`].
    pub fn create(data_dir: &Path) -> Result<Self, NodeKeysError> {
        let path = Self::path(data_dir);
        Self::from_file(&create(&path)?).ok_or(NodeKeysError::NotAKeyFile { path })
    }

    /// Where they are kept.
    #[must_use]
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(Self::FILE_NAME)
    }

    fn from_file(bytes: &[u8]) -> Option<Self> {
        let seeds = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() == FILE_BYTES)?;
        let (identity_seed, rest) = seeds.split_at_checked(SEED)?;
        let (token_seed, challenge_key) = rest.split_at_checked(SEED)?;
        let identity = Ed25519KeyPair::from_seed_unchecked(identity_seed).ok()?;
        let public = IdentityKey::from_array(identity.public_key().as_ref().try_into().ok()?).ok()?;
        let token = Ed25519KeyPair::from_seed_unchecked(token_seed).ok()?;
        Some(Self {
            identity,
            public,
            token_signing: EncodingKey::from_ed_der(&[&PKCS8_PREFIX, token_seed].concat()),
            token_checking: DecodingKey::from_ed_der(token.public_key().as_ref()),
            challenge_marking: hmac::Key::new(hmac::HMAC_SHA256, challenge_key),
        })
    }

    /// The node's name.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::from(self.public)
    }
}

/// Makes the keys and stores them, whole and synced. The data directory's lock keeps another relay from doing the same.
fn create(path: &Path) -> Result<Vec<u8>, NodeKeysError> {
    let mut seeds = [0; 3 * SEED];
    SystemRandom::new().fill(&mut seeds).map_err(|_| NodeKeysError::Randomness)?;
    let bytes = [MAGIC.as_slice(), &seeds].concat();
    store(path, &bytes).map_err(|source| NodeKeysError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("key.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

impl Signer for NodeKeys {
    fn identity_key(&self) -> IdentityKey {
        self.public
    }

    fn sign(&self, input: &SigningInput) -> Signature {
        let signature = self.identity.sign(input.as_bytes());
        let mut bytes = [0; 64];
        for (byte, signed) in bytes.iter_mut().zip(signature.as_ref()) {
            *byte = *signed;
        }
        Signature(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_name_and_its_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        assert!(NodeKeys::read(folder.path()).unwrap().is_none());
        let first = NodeKeys::create(folder.path()).unwrap().node_id();
        assert_eq!(NodeKeys::read(folder.path()).unwrap().unwrap().node_id(), first);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(folder.path().join(NodeKeys::FILE_NAME)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NodeKeys::FILE_NAME);
        for content in [b"".as_slice(), b"sealpost node v1 but cut", &[0; FILE_BYTES]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(NodeKeys::read(folder.path()), Err(NodeKeysError::NotAKeyFile { .. })));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_signature_of_the_node_verifies_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let node = NodeKeys::create(folder.path()).unwrap();
        let head = sealpost_protocol::ReceiptHead {
            recipient: sealpost_protocol::AgentId::from_array([1; 32]),
            number: 1,
            previous_root: [0; 32],
            root: [1; 32],
        };
        let signature = head.countersign(&node);
        assert_eq!(head.verify_countersignature(&node.node_id(), &signature), Ok(()));
    }
}
