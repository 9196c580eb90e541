//! The node's own keys: the identity it is pinned by, the key that signs tokens, and the key that marks its challenges.
//!
//! They are made at the first start and kept in `node.key` in the data directory, readable by the owner only: a name of the
//! form, the three secrets, and the SHA-256 of both, so that a damaged file is told before anything is served. Files of the
//! first form have no hash; they are read, and written anew once the ledger has confirmed the node. The keys open no message.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sealpost_protocol::{IdentityKey, NodeId, Signature, Signer, SigningInput};
use sealpost_storage::{create_file, make_private};
use thiserror::Error;

const MAGIC: &[u8; 16] = b"sealpost node v2";
/// Of files without a hash.
const FIRST_MAGIC: &[u8; 16] = b"sealpost node v1";
const SEED: usize = 32;
const SEEDS: usize = 3 * SEED;
const HASH: usize = 32;

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
    /// The file is one, and not as it was written.
    #[error("{path} is damaged ({problem}): put the key back from its backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

impl NodeKeys {
    /// Their file, in the data directory.
    pub(crate) const FILE_NAME: &'static str = "node.key";

    /// What it is called until it is whole.
    pub(crate) const UNFINISHED: &'static str = "node.key.new";

    /// Reads the keys of `data_dir`; `None` if there are none.
    ///
    /// # Errors
    /// [`NodeKeysError`].
    pub fn read(data_dir: &Path) -> Result<Option<Self>, NodeKeysError> {
        let path = Self::path(data_dir);
        match make_private(&path).and_then(|()| fs::read(&path)) {
            Ok(bytes) => Self::from_file(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(NodeKeysError::Io { path, source }),
        }
    }

    /// Makes the keys of a new node and stores them in `data_dir`, whose lock the caller holds.
    ///
    /// # Errors
    /// [`NodeKeysError`].
    pub fn create(data_dir: &Path) -> Result<Self, NodeKeysError> {
        let mut seeds = [0; SEEDS];
        SystemRandom::new().fill(&mut seeds).map_err(|_| NodeKeysError::Randomness)?;
        let path = Self::path(data_dir);
        Self::from_file(&path, &store_seeds(&path, &seeds)?)
    }

    /// Gives a file of the first form its hash. Only for a node that the ledger has confirmed: a hash would vouch for
    /// another's key, too.
    ///
    /// # Errors
    /// [`NodeKeysError`]; the file is as it was then.
    pub(crate) fn add_hash(data_dir: &Path) -> Result<(), NodeKeysError> {
        let path = Self::path(data_dir);
        let bytes = fs::read(&path).map_err(|source| NodeKeysError::Io { path: path.clone(), source })?;
        match bytes.strip_prefix(FIRST_MAGIC) {
            Some(seeds) => store_seeds(&path, seeds).map(drop),
            None => Ok(()),
        }
    }

    /// Where they are kept.
    #[must_use]
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(Self::FILE_NAME)
    }

    fn from_file(path: &Path, bytes: &[u8]) -> Result<Self, NodeKeysError> {
        let damaged = |problem| NodeKeysError::Damaged { path: path.to_owned(), problem };
        let seeds = seeds_in(path, bytes)?;
        let unusable = || damaged("its keys cannot be used");
        let (identity_seed, rest) = seeds.split_at_checked(SEED).ok_or_else(unusable)?;
        let (token_seed, challenge_key) = rest.split_at_checked(SEED).ok_or_else(unusable)?;
        let identity = Ed25519KeyPair::from_seed_unchecked(identity_seed).map_err(|_| unusable())?;
        let public = identity.public_key().as_ref().try_into().ok();
        let public = public.and_then(|bytes| IdentityKey::from_array(bytes).ok()).ok_or_else(unusable)?;
        let token = Ed25519KeyPair::from_seed_unchecked(token_seed).map_err(|_| unusable())?;
        Ok(Self {
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

/// The secrets of a file that is as it was written.
fn seeds_in<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], NodeKeysError> {
    let damaged = |problem| NodeKeysError::Damaged { path: path.to_owned(), problem };
    let hashed = MAGIC.len() + SEEDS;
    let is_length =
        |length| if bytes.len() == length { Ok(()) } else { Err(damaged("its length is not that of a key")) };
    if let Some(seeds) = bytes.strip_prefix(FIRST_MAGIC) {
        return is_length(hashed).map(|()| seeds);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(NodeKeysError::NotAKeyFile { path: path.to_owned() });
    }
    is_length(hashed + HASH)?;
    let (content, hash) = bytes.split_at_checked(hashed).ok_or_else(|| damaged("it is cut"))?;
    if digest::digest(&digest::SHA256, content).as_ref() != hash {
        return Err(damaged("its hash is another"));
    }
    content.strip_prefix(MAGIC).ok_or_else(|| damaged("it is cut"))
}

/// Stores the secrets with their hash, whole and synced; returns the file's bytes. The data directory's lock keeps another
/// relay from doing the same.
fn store_seeds(path: &Path, seeds: &[u8]) -> Result<Vec<u8>, NodeKeysError> {
    let content = [MAGIC.as_slice(), seeds].concat();
    let hash = digest::digest(&digest::SHA256, &content);
    let bytes = [&content, hash.as_ref()].concat();
    store(path, &bytes).map_err(|source| NodeKeysError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_file_name(NodeKeys::UNFINISHED);
    create_file(&unfinished)?;
    let mut file = File::options().write(true).truncate(true).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
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
        for content in [b"".as_slice(), b"sealpost", &[0; MAGIC.len() + SEEDS + HASH]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(NodeKeys::read(folder.path()), Err(NodeKeysError::NotAKeyFile { .. })));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_file_that_was_cut_or_in_which_any_bit_has_turned_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        NodeKeys::create(folder.path()).unwrap();
        let path = folder.path().join(NodeKeys::FILE_NAME);
        let whole = fs::read(&path).unwrap();
        let is_refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            NodeKeys::read(folder.path()).is_err()
        };
        assert!((0..whole.len()).all(|length| is_refused(&whole[..length])));
        assert!(is_refused(&[whole.as_slice(), &[0]].concat()));
        for bit in 0..whole.len() * 8 {
            let mut turned = whole.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(is_refused(&turned), "bit {bit}");
        }
        assert!(!is_refused(&whole));
    }

    #[test]
    fn a_file_of_the_first_form_is_read_and_gets_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NodeKeys::FILE_NAME);
        let node = NodeKeys::create(folder.path()).unwrap().node_id();
        let written = fs::read(&path).unwrap();
        let first = [FIRST_MAGIC.as_slice(), &written[MAGIC.len()..MAGIC.len() + SEEDS]].concat();
        fs::write(&path, &first).unwrap();
        assert_eq!(NodeKeys::read(folder.path()).unwrap().unwrap().node_id(), node);
        NodeKeys::add_hash(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), written);
        NodeKeys::add_hash(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), written);
        fs::write(&path, &first[..first.len() - 1]).unwrap();
        assert!(matches!(NodeKeys::read(folder.path()), Err(NodeKeysError::Damaged { .. })));
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
