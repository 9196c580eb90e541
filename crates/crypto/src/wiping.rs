//! Whatever holds a secret overwrites it when it goes.

use sealpost_protocol::{AgentId, BodyDescription, GroupId, KeyId, Suite};

use crate::{
    BodyKey, Content, GroupKey, IdentityPrivateKey, KeyFileProvider, LastResortKemPrekey, ManifestPrekeys,
    MasterKeyProvider, OneTimeCurvePrekey, OneTimeKemPrekey, Ordinary, Payload, PrivatePrekey, SecretBytes, Vault,
    curve::CurvePrivateKey,
    secret::{
        ChainKey, ContentKey, CurveScalar, GroupSecret, IdentitySeed, MasterKey, MessageKey, RootKey, SharedSecret,
        StoreKey,
    },
    testing::{OneTimeKeys, SeededPrimitives, TestAgent, plaintext, take_wiped, validity},
};

/// How many secrets go with a value.
fn wiped_with<T>(make: impl FnOnce() -> T) -> usize {
    let value = make();
    take_wiped();
    drop(value);
    take_wiped()
}

#[test]
fn each_secret_is_overwritten_when_it_is_dropped() {
    let bytes = [0x5a; 32];
    let each = [
        wiped_with(|| SharedSecret::copy_of(&bytes)),
        wiped_with(|| CurveScalar::copy_of(&bytes)),
        wiped_with(|| IdentitySeed::copy_of(&bytes)),
        wiped_with(|| RootKey::copy_of(&bytes)),
        wiped_with(|| ChainKey::copy_of(&bytes)),
        wiped_with(|| MessageKey::copy_of(&bytes)),
        wiped_with(|| ContentKey::copy_of(&bytes)),
        wiped_with(|| GroupSecret::copy_of(&bytes)),
        wiped_with(|| MasterKey::copy_of(&bytes)),
        wiped_with(|| StoreKey::copy_of(&bytes)),
        wiped_with(|| SecretBytes::from(bytes.to_vec())),
        wiped_with(|| TestAgent::new(1).one_time_kem),
    ];
    assert_eq!(each, [1; 12]);
}

/// The rest of what the table of `Debug` shows (`tests/secrets.rs`) is made of these, but for a passphrase and the names of
/// files and groups: a library wipes the one, and the others are shown.
#[test]
fn whatever_holds_secrets_takes_them_with_it() {
    let (primitives, agent) = (&SeededPrimitives::new(1), AgentId::from_array([8; 32]));
    let content = || Content::text("a secret in words".to_owned()).unwrap();
    let curve = || -> OneTimeCurvePrekey { PrivatePrekey::generate(primitives, KeyId(1), validity()).unwrap() };
    let kem = || -> OneTimeKemPrekey { PrivatePrekey::generate(primitives, KeyId(1), validity()).unwrap() };
    let last_resort = || -> LastResortKemPrekey { PrivatePrekey::generate(primitives, KeyId(1), validity()).unwrap() };
    let suites = || vec![Suite::Pqxdh25519MlKem768];
    let body_key = || {
        let key = ContentKey::generate(primitives).unwrap();
        BodyKey::new(&key, BodyDescription::of(b"body")).unwrap()
    };
    let session = || TestAgent::new(1).initiate(&TestAgent::new(2), Suite::X3dh25519, OneTimeKeys::There);
    let key_file = || KeyFileProvider::from_contents(&[9; 32]).unwrap();
    let holders = [
        ("BodyKey", wiped_with(body_key), 1),
        ("Content", wiped_with(content), 1),
        ("CurvePrivateKey", wiped_with(|| CurvePrivateKey::generate(primitives).unwrap()), 1),
        ("GroupKey", wiped_with(|| GroupKey::generate(primitives, GroupId([7; 16]), 0).unwrap()), 1),
        ("IdentityPrivateKey", wiped_with(|| IdentityPrivateKey::generate(primitives).unwrap()), 2),
        ("KeyFileProvider", wiped_with(key_file), 1),
        ("LastResortKemPrekey", wiped_with(last_resort), 1),
        ("ManifestPrekeys", wiped_with(|| ManifestPrekeys::generate(primitives, suites(), KeyId(4), validity())), 3),
        ("MasterKey", wiped_with(|| key_file().master_key().unwrap()), 1),
        ("OneTimeCurvePrekey", wiped_with(curve), 1),
        ("OneTimeKemPrekey", wiped_with(kem), 1),
        ("Ordinary", wiped_with(|| Ordinary::Message(Payload::new(content()))), 1),
        ("Payload", wiped_with(|| Payload::new(content())), 1),
        ("Plaintext", wiped_with(|| plaintext("x")), 1),
        ("Session: the root key", wiped_with(session), 1),
        ("Vault", wiped_with(|| Vault::create(primitives, agent).unwrap()), 1),
    ];
    for (name, wiped, expected) in holders {
        assert_eq!(wiped, expected, "{name}");
    }
}
