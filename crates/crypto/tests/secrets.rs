//! Whatever holds a secret shows nothing of it, and no exported type is forgotten.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use sealpost_crypto::{
    BodyKey, Content, FileName, GroupKey, GroupName, IdentityPrivateKey, KemPrivateKey, KeyFileProvider,
    LastResortKemPrekey, ManifestPrekeys, MasterKeyProvider, OneTimeCurvePrekey, OneTimeKemPrekey, Ordinary,
    PassphraseParameters, PassphraseProvider, Payload, Prelude, Primitives, PrimitivesError, PrivatePrekey,
    SecretBytes, Session, SharedSecret, SystemPrimitives, Validity, Vault, VerifiedBundle, initiate,
};
use sealpost_protocol::{
    AgentId, BodyDescription, Bundle, GroupId, KemCiphertext, KemKey, KeyId, MessageId, MessageRef, Suite, Timestamp,
};

/// Each byte of every secret that these tests choose, and the text of those that are text.
const SECRET: u8 = 0x5e;
const SECRET_TEXT: &str = "a secret in words";

const NOW: Timestamp = Timestamp::from_millis(1_795_351_425_123);

/// Randomness that is one byte over and over.
struct Chosen(u8);

impl Primitives for Chosen {
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PrimitivesError> {
        bytes.fill(self.0);
        Ok(())
    }

    fn generate_kem_key(&self) -> Result<KemPrivateKey, PrimitivesError> {
        SystemPrimitives.generate_kem_key()
    }

    fn encapsulate(&self, key: &KemKey) -> Result<(KemCiphertext, SharedSecret), PrimitivesError> {
        SystemPrimitives.encapsulate(key)
    }
}

fn session(identity: &IdentityPrivateKey, validity: Validity) -> Session {
    let peer = IdentityPrivateKey::from_seed(&[2; 32]).unwrap();
    let suites = [Suite::X3dh25519];
    let prekeys = ManifestPrekeys::generate(&Chosen(3), suites.to_vec(), KeyId(1), validity).unwrap();
    let manifest = prekeys.publish(&peer, 1, validity).unwrap();
    let bundle = Bundle { manifest, one_time_curve: None, one_time_kem: None };
    let expected = sealpost_crypto::ExpectedBundle { agent: peer.agent_id(), seen: None, suites: &suites };
    let bundle = VerifiedBundle::check(bundle, &expected, NOW).unwrap();
    initiate(&Chosen(SECRET), identity, bundle, NOW).unwrap()
}

/// What each type that holds a secret shows of itself.
fn shown() -> BTreeMap<&'static str, String> {
    let primitives = &Chosen(SECRET);
    let validity = Validity::lasting(NOW, Duration::from_secs(7 * 24 * 3_600));
    let identity = IdentityPrivateKey::from_seed(&[SECRET; 32]).unwrap();
    let curve: OneTimeCurvePrekey = PrivatePrekey::generate(primitives, KeyId(1), validity).unwrap();
    let kem: OneTimeKemPrekey = PrivatePrekey::generate(primitives, KeyId(2), validity).unwrap();
    let last_resort: LastResortKemPrekey = PrivatePrekey::generate(primitives, KeyId(3), validity).unwrap();
    let suites = vec![Suite::Pqxdh25519MlKem768];
    let manifest = ManifestPrekeys::generate(primitives, suites, KeyId(4), validity).unwrap();
    let key_file = KeyFileProvider::from_contents(&[SECRET; 32]).unwrap();
    let parameters = PassphraseParameters::generate(&Chosen(0x11)).unwrap();
    let passphrase = PassphraseProvider::new(SECRET_TEXT.to_owned().into(), parameters).unwrap();
    let group = GroupKey::generate(primitives, GroupId([7; 16]), 0).unwrap();
    let message = MessageRef { sender: AgentId::from_array([8; 32]), id: MessageId::new(NOW, [9; 10]) };
    let (content_key, _) = group.new_content_key(primitives, &message).unwrap();
    let content = Content::text(SECRET_TEXT.to_owned()).unwrap();
    let payload = Payload { file_name: Some(FileName::new(SECRET_TEXT).unwrap()), ..Payload::new(content.clone()) };
    let (_, shared) = primitives.encapsulate(&kem.public().key).unwrap();
    let private_kem = primitives.generate_kem_key().unwrap();
    let show = |value: &dyn Debug| format!("{value:?}");
    BTreeMap::from([
        ("BodyKey", show(&BodyKey::new(&content_key, BodyDescription::of(b"body")).unwrap())),
        ("Content", show(&content)),
        ("ContentKey", show(&content_key)),
        ("FileName", show(&payload.file_name)),
        ("GroupKey", show(&group)),
        ("GroupName", show(&GroupName::new(SECRET_TEXT).unwrap())),
        ("IdentityPrivateKey", show(&identity)),
        ("KemPrivateKey", show(&private_kem)),
        ("KeyFileProvider", show(&key_file)),
        ("LastResortKemPrekey", show(&last_resort)),
        ("ManifestPrekeys", show(&manifest)),
        ("MasterKey", show(&key_file.master_key().unwrap())),
        ("OneTimeCurvePrekey", show(&curve)),
        ("OneTimeKemPrekey", show(&kem)),
        ("Ordinary", show(&Ordinary::Message(payload.clone()))),
        ("PassphraseProvider", show(&passphrase)),
        ("Payload", show(&payload)),
        ("Plaintext", show(&payload.to_plaintext())),
        ("SecretBytes", show(&SecretBytes::from(vec![SECRET; 32]))),
        ("Session", show(&session(&identity, validity))),
        ("SharedSecret", show(&shared)),
        ("Vault", show(&Vault::create(primitives, identity.agent_id()).unwrap())),
    ])
}

/// Those that show nothing but what stands in the table: parts of what is there, aliases of it, or without `Debug`.
const BY_OTHERS: [&str; 15] = [
    "BodyOpener",
    "BodySeal",
    "BodySealer",
    "CurvePrivateKey",
    "GroupNotice",
    "GroupSecret",
    "HandOver",
    "Prelude",
    "PrivateKey",
    "PrivatePrekey",
    "ResponderKemKey",
    "ResponderKeys",
    "SealingPrekey",
    "SignedPrekey",
    "VerifiedBundle",
];

/// Those that hold no secret.
const OPEN: [&str; 42] = [
    "AfterRefusal",
    "BodyError",
    "BundleError",
    "ContentKind",
    "Control",
    "EndedMembership",
    "ExpectedBundle",
    "Generation",
    "Kind",
    "LastResortKem",
    "Mark",
    "MasterKeyError",
    "MasterKeyProvider",
    "Member",
    "OneTimeCurve",
    "OneTimeKem",
    "OpenError",
    "PassphraseParameters",
    "PayloadError",
    "Primitives",
    "PrimitivesError",
    "Progress",
    "Refusal",
    "RespondError",
    "RestoredCopy",
    "Role",
    "Roster",
    "RosterError",
    "RowAddress",
    "SEALED_ROW_OVERHEAD",
    "SealError",
    "Sealing",
    "SeenManifest",
    "SessionId",
    "SessionStanding",
    "SignManifestError",
    "Signed",
    "SystemPrimitives",
    "UnwrapError",
    "Validity",
    "VaultError",
    "VerifiedManifest",
];

#[test]
fn nothing_that_holds_a_secret_shows_it() {
    let shown = shown();
    let numbers = format!("{SECRET}, {SECRET}");
    let digits = format!("{SECRET:02x}{SECRET:02x}");
    for (name, text) in &shown {
        let lower = text.to_lowercase();
        assert!(!lower.contains(&numbers) && !lower.contains(&digits), "{name}: {text}");
        assert!(!lower.contains(SECRET_TEXT), "{name}: {text}");
    }
    let lines: Vec<_> = shown.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_exported_type_is_shown_in_the_table_or_holds_no_secret() {
    let library = include_str!("../src/lib.rs");
    let exports = library.split("pub use ").skip(1).filter_map(|export| export.split(';').next());
    let names =
        exports.flat_map(|export| export.split(|character: char| !character.is_alphanumeric() && character != '_'));
    let types: Vec<_> = names.filter(|name| name.starts_with(char::is_uppercase)).collect();
    let shown = shown();
    assert!(types.len() > shown.len());
    for name in &types {
        let places = usize::from(shown.contains_key(name))
            + usize::from(BY_OTHERS.contains(name))
            + usize::from(OPEN.contains(name));
        assert_eq!(places, 1, "{name}: a line in the table, if it holds a secret; else it is open");
    }
}

/// A prelude says what a body is called, and the name shows nothing of itself.
#[test]
fn a_prelude_shows_no_name() {
    let prelude = Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: Some(FileName::new(SECRET_TEXT).unwrap()),
        kind: sealpost_crypto::ContentKind::Bytes,
        content_length: 1,
        compressed_length: None,
    };
    assert!(!format!("{prelude:?}").contains(SECRET_TEXT));
}
