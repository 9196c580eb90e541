//! The manifest: one identity signature over everything others need to know before they write to an agent.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    AgentId, CurveKey, IdentityKey, KemKey, Prekey, Signature, SignatureMismatch, Signer, SigningInput, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer, byte_enum},
    limits,
};

const FORMAT: u8 = 1;
const MANIFEST_LABEL: &str = "sealpost/v1/manifest";

byte_enum! {
    /// A handshake: which primitives open a session.
    Suite, "suite" {
        /// Extended triple Diffie-Hellman on X25519.
        X3dh25519 = 1, "X3DH-25519";
        /// The same with an ML-KEM-768 secret mixed in: recorded traffic stays closed to a later quantum computer.
        Pqxdh25519MlKem768 = 2, "PQXDH-25519-MLKEM768";
    }
}

impl Suite {
    /// Whether the suite needs a KEM key.
    #[must_use]
    pub fn uses_kem(self) -> bool {
        self == Self::Pqxdh25519MlKem768
    }
}

/// A suite as a manifest lists it, known here or not: an agent may offer what only newer peers take part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SuiteId(pub u8);

impl SuiteId {
    /// The suite, if this version knows it.
    #[must_use]
    pub fn known(self) -> Option<Suite> {
        Suite::from_byte(self.0).ok()
    }
}

impl From<Suite> for SuiteId {
    fn from(suite: Suite) -> Self {
        Self(suite.to_byte())
    }
}

impl Encode for SuiteId {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.0);
    }
}

impl Decode for SuiteId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u8().map(Self)
    }
}

/// What a manifest says, before it is checked and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFields {
    /// Whose manifest it is.
    pub identity: IdentityKey,
    /// The suites it accepts, best first, none twice.
    pub suites: Vec<SuiteId>,
    /// The signed prekey: X25519, rotated weekly.
    pub signed_prekey: Prekey<CurveKey>,
    /// The last-resort KEM key; there if a suite needs one, and only then. What an unknown suite needs is not known.
    pub last_resort_kem: Option<Prekey<KemKey>>,
    /// The key for sealing without a session.
    pub sealing_key: Prekey<CurveKey>,
    /// Strictly increasing over the agent's manifests.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// From when on no one may use it; at most [`limits::MANIFEST_LIFE`] after `created`.
    pub expires: Timestamp,
}

/// A manifest whose parts agree with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest(ManifestFields);

/// What contradicts itself in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// No suite, or more than [`limits::SUITES`], or one twice.
    #[error("a manifest lists 1 to {} suites, none twice", limits::SUITES)]
    Suites,
    /// A suite needs a KEM key that is absent, or a KEM key is there without one.
    #[error("a last-resort KEM key is there if and only if a suite needs it")]
    KemKey,
    /// It ends before it begins, or lives longer than [`limits::MANIFEST_LIFE`].
    #[error("a manifest expires after its creation and within {} days of it", limits::MANIFEST_LIFE.as_secs() / 86_400)]
    Life,
}

impl Manifest {
    /// Checks that the parts agree.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn new(fields: ManifestFields) -> Result<Self, ManifestError> {
        let suites = &fields.suites;
        let distinct =
            suites.iter().enumerate().all(|(index, suite)| !suites.iter().skip(index + 1).any(|s| s == suite));
        if suites.is_empty() || suites.len() > limits::SUITES || !distinct {
            return Err(ManifestError::Suites);
        }
        let has_kem_key = fields.last_resort_kem.is_some();
        let is_needed = suites.iter().any(|suite| suite.known().is_some_and(Suite::uses_kem));
        let may_be_needed = suites.iter().any(|suite| suite.known().is_none_or(Suite::uses_kem));
        if (is_needed && !has_kem_key) || (has_kem_key && !may_be_needed) {
            return Err(ManifestError::KemKey);
        }
        if fields.expires <= fields.created || fields.expires.since(fields.created) > limits::MANIFEST_LIFE {
            return Err(ManifestError::Life);
        }
        Ok(Self(fields))
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &ManifestFields {
        &self.0
    }

    /// Whose it is.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.0.identity.agent_id()
    }

    /// Signs it with the identity it names.
    ///
    /// # Errors
    /// [`SignatureMismatch`] when `signer` holds another identity.
    pub fn sign(self, signer: &dyn Signer) -> Result<SignedManifest, SignatureMismatch> {
        if signer.identity_key() != self.0.identity {
            return Err(SignatureMismatch);
        }
        let signature = signer.sign(&SigningInput::new(MANIFEST_LABEL, &self));
        Ok(SignedManifest { manifest: self, signature })
    }
}

impl Encode for Manifest {
    fn encode(&self, writer: &mut Writer) {
        let fields = &self.0;
        writer
            .u8(FORMAT)
            .value(&fields.identity)
            .list(&fields.suites)
            .value(&fields.signed_prekey)
            .option(fields.last_resort_kem.as_ref())
            .value(&fields.sealing_key)
            .u64(fields.version)
            .value(&fields.created)
            .value(&fields.expires);
    }
}

impl Decode for Manifest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            FORMAT => {}
            found => return Err(DecodeError::UnknownValue { field: "manifest format", found }),
        }
        let fields = ManifestFields {
            identity: IdentityKey::decode(reader)?,
            suites: reader.list("suites", limits::SUITES)?,
            signed_prekey: Prekey::decode(reader)?,
            last_resort_kem: reader.option("last-resort KEM key")?,
            sealing_key: Prekey::decode(reader)?,
            version: reader.u64()?,
            created: Timestamp::decode(reader)?,
            expires: Timestamp::decode(reader)?,
        };
        Self::new(fields).map_err(|error| DecodeError::Invalid {
            field: "manifest",
            reason: match error {
                ManifestError::Suites => "its suites are none, too many or repeated",
                ManifestError::KemKey => "its KEM key does not match its suites",
                ManifestError::Life => "its life is empty or too long",
            },
        })
    }
}

/// A manifest and a signature that fits it: one that exists was signed by the identity it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedManifest {
    manifest: Manifest,
    signature: Signature,
}

impl SignedManifest {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &ManifestFields {
        self.manifest.fields()
    }

    /// Whose it is.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.manifest.agent_id()
    }

    /// What tells it from every other manifest: SHA-256 of what is signed.
    #[must_use]
    pub fn hash(&self) -> ManifestHash {
        let input = SigningInput::new(MANIFEST_LABEL, &self.manifest);
        ManifestHash(Sha256::digest(input.as_bytes()).into())
    }
}

/// The hash of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ManifestHash(pub [u8; 32]);

impl Encode for ManifestHash {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for ManifestHash {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

impl Encode for SignedManifest {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.manifest).value(&self.signature);
    }
}

impl Decode for SignedManifest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let manifest = Manifest::decode(reader)?;
        let signature = Signature::decode(reader)?;
        let input = SigningInput::new(MANIFEST_LABEL, &manifest);
        let verified = manifest.0.identity.verify(&input, &signature);
        verified.map_err(|SignatureMismatch| DecodeError::BadSignature { field: "manifest" })?;
        Ok(Self { manifest, signature })
    }
}

#[cfg(test)]
mod tests;
