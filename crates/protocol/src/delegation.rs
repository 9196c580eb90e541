//! Delegation: an agent lets others act for it at its relay, without giving its identity away.
//!
//! The identity certifies a delegation key. That key signs tokens, and whoever holds one may narrow it and pass it on. The
//! tokens are Biscuits; what their blocks may say is here, word by word, and anything else in one makes it worthless: a
//! relay reads the blocks, and runs no program of a stranger's.

use std::{collections::BTreeSet, fmt, str::FromStr};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    IdentityKey, InvalidIdentityKey, Signature, Signer, SigningInput, Timestamp,
    encoding::{Decode, DecodeError, Encode, Reader, Writer, byte_enum},
    limits,
};

const CERTIFICATE_LABEL: &str = "sealpost/v1/delegation-key";
const ID_LABEL: &[u8] = b"sealpost/v1/delegation-id";

byte_enum! {
    /// What a delegate may do for its agent. Signing is not among it: receipts, prekeys and revocations are the identity's.
    Right, "right" {
        /// Claim prekeys, upload bodies, hand sealed messages over.
        Send = 1, "send";
        /// Read the mailbox, bodies, statuses and events.
        Read = 2, "read";
    }
}

/// Some of the rights, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    const EACH: [Right; 2] = [Right::Send, Right::Read];

    /// These; `None` if there is none among them.
    #[must_use]
    pub fn new(rights: impl IntoIterator<Item = Right>) -> Option<Self> {
        let bits = rights.into_iter().fold(0, |bits, right| bits | Self::bit(right));
        (bits != 0).then_some(Self(bits))
    }

    /// Whether `right` is one of them.
    #[must_use]
    pub fn contain(self, right: Right) -> bool {
        self.0 & Self::bit(right) != 0
    }

    /// Each of them, in the order of their bytes.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Self::EACH.into_iter().filter(move |right| self.contain(*right))
    }

    fn bit(right: Right) -> u8 {
        right.to_byte() // 1 and 2: a further right gets 4
    }
}

/// Their names, with blanks between them.
impl fmt::Display for Rights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Right::as_str).collect();
        formatter.write_str(&names.join(" "))
    }
}

impl FromStr for Rights {
    type Err = UnknownRights;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rights: Option<Vec<_>> = text.split(' ').map(Right::from_name).collect();
        rights.and_then(Self::new).ok_or(UnknownRights)
    }
}

/// The text names no rights.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not one or more of send and read")]
pub struct UnknownRights;

/// The identity's word that a key's delegations are its own. One that exists is signed, and lives no longer than the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationCertificate {
    fields: DelegationCertificateFields,
    signature: Signature,
}

/// What a delegation certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationCertificateFields {
    /// Whose delegations.
    pub identity: IdentityKey,
    /// The key that signs them.
    pub key: IdentityKey,
    /// When it was made.
    pub created: Timestamp,
    /// From when on no delegation under it is good.
    pub expires: Timestamp,
}

impl DelegationCertificate {
    /// Certifies `key` as `signer`'s for as long as a certificate lives.
    pub fn sign(key: IdentityKey, created: Timestamp, signer: &dyn Signer) -> Self {
        let expires = created.saturating_add(limits::DELEGATION_KEY_LIFE);
        let fields = DelegationCertificateFields { identity: signer.identity_key(), key, created, expires };
        let signature = signer.sign(&SigningInput::new(CERTIFICATE_LABEL, &fields));
        Self { fields, signature }
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &DelegationCertificateFields {
        &self.fields
    }
}

impl Encode for DelegationCertificateFields {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.identity).value(&self.key).value(&self.created).value(&self.expires);
    }
}

impl Encode for DelegationCertificate {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.fields).value(&self.signature);
    }
}

impl Decode for DelegationCertificate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let fields = DelegationCertificateFields {
            identity: IdentityKey::decode(reader)?,
            key: IdentityKey::from_array(reader.array()?).map_err(|InvalidIdentityKey| {
                let reason = "not a canonical Ed25519 key of the prime-order subgroup";
                DecodeError::Invalid { field: "delegation key", reason }
            })?,
            created: Timestamp::decode(reader)?,
            expires: Timestamp::decode(reader)?,
        };
        if fields.expires <= fields.created || fields.expires.since(fields.created) > limits::DELEGATION_KEY_LIFE {
            let reason = "not after its creation, or later than a certificate lives";
            return Err(DecodeError::Invalid { field: "certificate expiry", reason });
        }
        let signature = Signature::decode(reader)?;
        let verified = fields.identity.verify(&SigningInput::new(CERTIFICATE_LABEL, &fields), &signature);
        verified.map_err(|_| DecodeError::BadSignature { field: "delegation certificate" })?;
        Ok(Self { fields, signature })
    }
}

/// Names one block of a delegation token, and by that a delegation with everything that was narrowed from it: half a hash
/// over the block's signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelegationId(pub [u8; 16]);

impl DelegationId {
    /// That of the block under this signature, which the Biscuit format calls the block's revocation identifier.
    #[must_use]
    pub fn of_block(signature: &[u8]) -> Self {
        let mut input = Writer::new();
        input.bytes(ID_LABEL).bytes(signature);
        let hash: [u8; 32] = Sha256::digest(input.into_bytes()).into();
        let mut id = [0; 16];
        id.copy_from_slice(hash.split_at(16).0);
        Self(id)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for DelegationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for DelegationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is no delegation id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not 32 hexadecimal digits in lower case")]
pub struct InvalidDelegationId;

impl FromStr for DelegationId {
    type Err = InvalidDelegationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unhex(text).map(Self).ok_or(InvalidDelegationId)
    }
}

impl Encode for DelegationId {
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
}

impl Decode for DelegationId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// One statement in a block of a delegation token. Its text is Datalog, and the only text that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegationStatement {
    /// In the first block: this is granted.
    Grant(Right),
    /// In any block: not from this time on.
    Until(Timestamp),
    /// In a later block: of what is granted, this alone.
    Only(Right),
    /// In the last block of a token that is shown: for this access claim alone, by its hash.
    Claim([u8; 32]),
}

impl fmt::Display for DelegationStatement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(right) => write!(formatter, r#"right("{right}")"#),
            Self::Until(time) => write!(formatter, "check if time($time), $time < {}", time.as_millis()),
            Self::Only(right) => write!(formatter, r#"check if operation("{right}")"#),
            Self::Claim(hash) => write!(formatter, "check if claim(hex:{})", hex(hash)),
        }
    }
}

impl FromStr for DelegationStatement {
    type Err = DelegationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let quoted = |before: &str| Right::from_name(text.strip_prefix(before)?.strip_suffix(r#"")"#)?);
        let until = || text.strip_prefix("check if time($time), $time < ")?.parse().ok().map(Timestamp::from_millis);
        let claim = || unhex(text.strip_prefix("check if claim(hex:")?.strip_suffix(')')?);
        let statement = quoted(r#"right(""#)
            .map(Self::Grant)
            .or_else(|| quoted(r#"check if operation(""#).map(Self::Only))
            .or_else(|| until().map(Self::Until))
            .or_else(|| claim().map(Self::Claim))
            .filter(|statement| statement.to_string() == text);
        statement.ok_or_else(|| DelegationError::Statement(text.chars().take(limits::QUOTED).collect()))
    }
}

/// What the blocks of a token say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationTerms {
    /// What is granted, and was left by every holder.
    pub rights: Rights,
    /// From when on it is not.
    pub until: Timestamp,
    /// The hash of the access claim that it is shown with; none in a token that is kept.
    pub claim: Option<[u8; 32]>,
}

/// Why a delegation token is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DelegationError {
    /// A statement that this version does not know, or one in other words.
    #[error("a block says what is not understood here: {0}")]
    Statement(String),
    /// A statement in a block where it means nothing.
    #[error("a block says what has no place in it: {0}")]
    Misplaced(DelegationStatement),
    /// The first block does not say until when.
    #[error("the first block does not say until when")]
    Endless,
    /// Nothing is granted, or each holder has left another right.
    #[error("no right is left")]
    NoRight,
    /// More blocks than a token may have.
    #[error("at most {} blocks", limits::DELEGATION_BLOCKS)]
    TooManyBlocks,
}

impl DelegationTerms {
    /// Of blocks in the form of Datalog text, each a statement per line with a semicolon at its end.
    ///
    /// # Errors
    /// [`DelegationError`].
    pub fn read<'a>(blocks: impl IntoIterator<Item = &'a str>) -> Result<Self, DelegationError> {
        let (mut rights, mut until, mut claim) = (BTreeSet::new(), None::<Timestamp>, None);
        for (place, block) in blocks.into_iter().enumerate() {
            if place >= limits::DELEGATION_BLOCKS {
                return Err(DelegationError::TooManyBlocks);
            }
            for line in block.lines() {
                let statement: DelegationStatement = line.strip_suffix(';').unwrap_or(line).parse()?;
                let is_bound = claim.is_some(); // nothing follows the block that binds a token to a claim
                match statement {
                    DelegationStatement::Grant(right) if place == 0 => {
                        rights.insert(right);
                    }
                    DelegationStatement::Until(time) if !is_bound => {
                        until = Some(until.map_or(time, |known| known.min(time)));
                    }
                    DelegationStatement::Only(right) if place > 0 && !is_bound => rights.retain(|held| *held == right),
                    DelegationStatement::Claim(hash) if place > 0 && !is_bound => claim = Some(hash),
                    misplaced => return Err(DelegationError::Misplaced(misplaced)),
                }
            }
            if place == 0 && until.is_none() {
                return Err(DelegationError::Endless);
            }
        }
        let until = until.ok_or(DelegationError::Endless)?;
        Ok(Self { rights: Rights::new(rights).ok_or(DelegationError::NoRight)?, until, claim })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let is_plain = text.len() == 2 * LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)).filter(|_| is_plain) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    is_plain.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_statement_reads_back_and_no_other_text_says_it() {
        let statements = [
            (DelegationStatement::Grant(Right::Send), r#"right("send")"#),
            (DelegationStatement::Only(Right::Read), r#"check if operation("read")"#),
            (DelegationStatement::Until(at(1_795_351_425_123)), "check if time($time), $time < 1795351425123"),
            (
                DelegationStatement::Claim([0xab; 32]),
                "check if claim(hex:abababababababababababababababababababababababababababababababab)",
            ),
        ];
        for (statement, text) in statements {
            assert_eq!(statement.to_string(), text);
            assert_eq!(text.parse(), Ok(statement));
        }
        let others = [
            "",
            r#"right("sign")"#,
            r#"right("send") "#,
            r#"right("send", "read")"#,
            r#"right("send") <- f($x)"#,
            "check if time($time), $time < 01795351425123",
            "check if time($time), $time < +1795351425123",
            "check if time($time), $time <= 1795351425123",
            "check if time($other), $other < 1795351425123",
            "check if claim(hex:AB)",
            "check if f($a), f($b), f($c)",
            "reject if operation(\"read\")",
        ];
        for other in others {
            assert!(matches!(other.parse::<DelegationStatement>(), Err(DelegationError::Statement(_))), "{other}");
        }
    }

    #[test]
    fn blocks_narrow_and_nothing_widens() {
        let all = "right(\"send\");\nright(\"read\");\ncheck if time($time), $time < 100;\n";
        let read = "check if operation(\"read\");\n";
        let send = "check if operation(\"send\");\n";
        let soon = "check if time($time), $time < 50;\n";
        let late = "check if time($time), $time < 500;\n";
        let claim = &format!("{};\n", DelegationStatement::Claim([1; 32]));
        let terms = |rights: &[Right], until, claim| {
            let rights = Rights::new(rights.iter().copied()).unwrap();
            Ok(DelegationTerms { rights, until: at(until), claim })
        };
        let both = [Right::Send, Right::Read];
        assert_eq!(DelegationTerms::read([all]), terms(&both, 100, None));
        assert_eq!(DelegationTerms::read([all, late]), terms(&both, 100, None));
        assert_eq!(DelegationTerms::read([all, read, soon]), terms(&[Right::Read], 50, None));
        assert_eq!(DelegationTerms::read([all, read, claim]), terms(&[Right::Read], 100, Some([1; 32])));
        assert_eq!(DelegationTerms::read([all, read, send]), Err(DelegationError::NoRight));
        let misplaced = |text: &str| Err(DelegationError::Misplaced(text.trim_end_matches(";\n").parse().unwrap()));
        let grant = "right(\"send\");\n";
        for (blocks, statement) in [
            ([all, grant, ""], grant),
            ([all, claim, read], read),
            ([all, claim, soon], soon),
            ([all, claim, claim], claim.as_str()),
            ([claim, all, ""], claim),
            ([read, all, ""], read),
        ] {
            assert_eq!(DelegationTerms::read(blocks), misplaced(statement), "{blocks:?}");
        }
        assert_eq!(DelegationTerms::read([grant]), Err(DelegationError::Endless));
        assert_eq!(DelegationTerms::read([grant, soon]), Err(DelegationError::Endless));
        assert_eq!(DelegationTerms::read([soon]), Err(DelegationError::NoRight));
        assert_eq!(DelegationTerms::read([]), Err(DelegationError::Endless));
        let many = std::iter::once(all).chain(std::iter::repeat_n(read, limits::DELEGATION_BLOCKS));
        assert_eq!(DelegationTerms::read(many), Err(DelegationError::TooManyBlocks));
    }

    #[test]
    fn a_delegation_id_reads_back() {
        let id = DelegationId::of_block(&[7; 64]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, DelegationId::of_block(&[8; 64]));
        for text in ["", "00", &id.to_string().to_uppercase(), &format!("{id}0")] {
            assert_eq!(text.parse::<DelegationId>(), Err(InvalidDelegationId), "{text}");
        }
    }

    #[test]
    fn rights_read_back() {
        for text in ["send", "read", "send read"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        for text in ["", "sign", "send  read", "send,read"] {
            assert_eq!(text.parse::<Rights>(), Err(UnknownRights), "{text}");
        }
    }
}
