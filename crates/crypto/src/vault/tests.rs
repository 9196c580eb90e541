//! Rows open at their place, in their version, for their agent; nowhere else.

use sealpost_protocol::encoding::DecodeError;

use super::*;
use crate::{
    SystemPrimitives,
    testing::{FailingPrimitives, SeededPrimitives},
};

const ROW: RowAddress<'_> = RowAddress { table: "sessions", row: b"bob", version: 3 };

fn agent(byte: u8) -> AgentId {
    AgentId::from_array([byte; 32])
}

fn master(byte: u8) -> MasterKey {
    MasterKey::copy_of(&[byte; 32])
}

fn vault() -> Vault {
    Vault::create(&SeededPrimitives::new(1), agent(1)).unwrap()
}

#[test]
fn a_row_opens_at_its_place_also_after_unlocking_again() {
    let vault = vault();
    let sealed = vault.seal(&SystemPrimitives, &ROW, b"state").unwrap();
    assert_eq!(sealed.len(), b"state".len() + SEALED_ROW_OVERHEAD);
    let stored = vault.sealed_store_key(&SystemPrimitives, &master(9)).unwrap();
    assert_eq!(stored.len(), 97);
    let unlocked = Vault::unlock(&stored, agent(1), &master(9)).unwrap();
    assert_eq!(*unlocked.open(&ROW, &sealed).unwrap(), *b"state");
    assert_eq!(unlocked.generation(), vault.generation());
}

#[test]
fn an_empty_row_is_a_row() {
    let vault = vault();
    let sealed = vault.seal(&SystemPrimitives, &ROW, b"").unwrap();
    assert!(vault.open(&ROW, &sealed).unwrap().is_empty());
}

#[test]
fn a_row_does_not_open_at_another_place_or_version() {
    let vault = vault();
    let sealed = vault.seal(&SystemPrimitives, &ROW, b"state").unwrap();
    let elsewhere = [
        RowAddress { table: "inbox", ..ROW },
        RowAddress { row: b"eve", ..ROW },
        RowAddress { version: 2, ..ROW },
        RowAddress { version: 4, ..ROW },
        RowAddress { table: "sessionsb", row: b"ob", ..ROW },
    ];
    for address in elsewhere {
        assert_eq!(vault.open(&address, &sealed), Err(VaultError::WrongRow), "{address:?}");
    }
}

#[test]
fn a_row_of_another_vault_does_not_open() {
    let other = Vault::create(&SeededPrimitives::new(2), agent(1)).unwrap();
    let sealed = other.seal(&SystemPrimitives, &ROW, b"state").unwrap();
    assert_eq!(vault().open(&ROW, &sealed), Err(VaultError::WrongRow));
}

#[test]
fn a_row_that_was_altered_or_cut_anywhere_does_not_open() {
    let vault = vault();
    let sealed = vault.seal(&SystemPrimitives, &ROW, b"state").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = vault.open(&ROW, &altered).unwrap_err();
        let told = match bit / 8 {
            0 => matches!(error, VaultError::Format(DecodeError::UnknownValue { .. })),
            1..HEAD => matches!(error, VaultError::OtherGeneration { ours: 1, .. }),
            _ => error == VaultError::WrongRow,
        };
        assert!(told, "bit {bit}: {error}");
    }
    for length in 0..sealed.len() {
        let expected = if length < SEALED_ROW_OVERHEAD {
            VaultError::Format(DecodeError::Truncated)
        } else {
            VaultError::WrongRow
        };
        assert_eq!(vault.open(&ROW, &sealed[..length]), Err(expected), "{length} bytes");
    }
}

#[test]
fn a_wrong_master_key_is_told_from_a_damaged_store_key() {
    let stored = vault().sealed_store_key(&SystemPrimitives, &master(9)).unwrap();
    let unlock = |stored: &[u8], agent, master| Vault::unlock(stored, agent, &master).map(drop);
    assert_eq!(unlock(&stored, agent(1), master(8)), Err(VaultError::WrongMasterKey));
    assert_eq!(unlock(&stored, agent(2), master(9)), Err(VaultError::StoreKeyDamaged), "another agent's");
    for byte in 0..stored.len() {
        let mut altered = stored.clone();
        altered[byte] ^= 1;
        let expected = match byte {
            0 => VaultError::Format(DecodeError::UnknownValue { field: "vault format", found: 0 }),
            HEAD..37 => VaultError::WrongMasterKey,
            _ => VaultError::StoreKeyDamaged,
        };
        assert_eq!(unlock(&altered, agent(1), master(9)), Err(expected), "byte {byte}");
        assert_eq!(unlock(&stored[..byte], agent(1), master(9)), Err(VaultError::Format(DecodeError::Truncated)));
    }
}

#[test]
fn a_new_master_key_opens_the_old_rows() {
    let vault = vault();
    let sealed = vault.seal(&SystemPrimitives, &ROW, b"state").unwrap();
    let stored = vault.sealed_store_key(&SystemPrimitives, &master(10)).unwrap();
    assert_eq!(*Vault::unlock(&stored, agent(1), &master(10)).unwrap().open(&ROW, &sealed).unwrap(), *b"state");
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let vault = vault();
    let seal = || vault.seal(&SystemPrimitives, &ROW, b"state").unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn without_randomness_nothing_is_sealed() {
    let broken = FailingPrimitives::after(0);
    assert_eq!(Vault::create(&broken, agent(1)).map(drop), Err(PrimitivesError::Randomness));
    assert_eq!(vault().seal(&broken, &ROW, b"state"), Err(PrimitivesError::Randomness));
    assert_eq!(vault().sealed_store_key(&broken, &master(9)), Err(PrimitivesError::Randomness));
}

#[test]
fn the_sealed_form_never_changes() {
    let sealed = vault().seal(&SeededPrimitives::new(2), &ROW, b"state").unwrap();
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(format!("{hex}\n{:?}", vault()), @"
    01000000011309ac3f4e41512820fbf25912b5b4a321a4619101c5641c2c4549e29a280a5692
    Vault { agent: agent1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqsy7ed9m, generation: Generation(1), .. }
    ");
}

#[test]
fn a_replacement_opens_nothing_of_the_vault_before_and_is_of_the_next_generation() {
    let primitives = &SystemPrimitives;
    let agent = AgentId::from_array([1; 32]);
    let vault = Vault::create(primitives, agent).unwrap();
    let replacement = vault.replacement(primitives).unwrap();
    assert_eq!(replacement.generation().number(), vault.generation().number() + 1);
    let address = RowAddress { table: "session", row: b"a", version: 1 };
    let sealed = vault.seal(primitives, &address, b"secret").unwrap();
    assert!(matches!(replacement.open(&address, &sealed), Err(VaultError::OtherGeneration { found: 1, ours: 2 })));
    let sealed = replacement.seal(primitives, &address, b"secret").unwrap();
    assert_eq!(&*replacement.open(&address, &sealed).unwrap(), b"secret");
}
