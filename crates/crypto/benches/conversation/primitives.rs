//! What every step is made of, by the libraries that this crate uses: the rows of section 18 of `docs/protocol.md`.

use std::hint::black_box;

use aws_lc_rs::{aead, agreement, hkdf, kem, rand, signature};
use sealpost_protocol::{IdentityKey, Signature, encoding::Decode};
use sha2::{Digest, Sha256};

use crate::{
    Outcome,
    measuring::{Column, Columns, Measure, timed},
};

/// Bytes of the associated data of a message: session AD [234], envelope header [58], header hash [32], their lengths.
const ASSOCIATED_DATA: usize = 336;

/// Bytes of a padded payload of 1 KiB.
const PLAINTEXT: usize = 1_088;

/// The columns of the primitives.
#[derive(Clone, Copy)]
pub(crate) struct Primitives {
    /// An X25519 key pair from fresh randomness.
    pub(crate) key: Column,
    /// X25519 with a peer's key.
    pub(crate) dh: Column,
    pub(crate) kem_key: Column,
    pub(crate) encapsulate: Column,
    pub(crate) decapsulate: Column,
    /// Extraction, and expansion to 64 bytes.
    pub(crate) hkdf: Column,
    /// Sealing a padded payload of 1 KiB, and its nonce.
    pub(crate) seal: Column,
    pub(crate) open: Column,
    /// SHA-256 over a header: 126 bytes with its label.
    pub(crate) hash: Column,
    /// The same over an envelope of 1 KiB.
    pub(crate) hash_part: Column,
    /// The same over KEM key and ciphertext.
    pub(crate) hash_kem: Column,
    /// The same over a receipt: 140 bytes.
    pub(crate) hash_leaf: Column,
    /// The same over two nodes of a Merkle tree: 65 bytes.
    pub(crate) hash_node: Column,
    pub(crate) sign: Column,
    pub(crate) verify: Column,
    /// An identity key's decompression and subgroup check.
    pub(crate) identity: Column,
    /// An identity key's X25519 form: an inversion.
    pub(crate) form: Column,
}

impl Primitives {
    pub(crate) fn add_to(columns: &mut Columns) -> Outcome<Self> {
        Ok(Self {
            key: columns.add(12, x25519_key()),
            dh: columns.add(5, x25519_agreement()?),
            kem_key: columns.add(8, kem_key()),
            encapsulate: columns.add(8, encapsulate()?),
            decapsulate: columns.add(8, decapsulate()?),
            hkdf: columns.add(100, hkdf_to_64()),
            seal: columns.add(100, seal()),
            open: columns.add(100, open()?),
            hash: columns.add(300, sha_256(126)),
            hash_part: columns.add(100, sha_256(1_200)),
            hash_kem: columns.add(60, sha_256(2_272)),
            hash_leaf: columns.add(300, sha_256(140)),
            hash_node: columns.add(300, sha_256(65)),
            sign: columns.add(12, sign()?),
            verify: columns.add(4, verify()?),
            identity: columns.add(5, identity()?),
            form: columns.add(25, form()?),
        })
    }

    pub(crate) fn print(&self, columns: &Columns) {
        let rows = [
            ("KG: X25519 key", self.key),
            ("DH: X25519", self.dh),
            ("ML-KEM-768 key", self.kem_key),
            ("encapsulation", self.encapsulate),
            ("decapsulation", self.decapsulate),
            ("HKDF-SHA256 to 64 bytes", self.hkdf),
            ("AEAD: seal 1 KiB, padded, with its nonce", self.seal),
            ("AEAD: open 1 KiB, padded", self.open),
            ("SHA-256 of a header", self.hash),
            ("SHA-256 of an envelope of 1 KiB", self.hash_part),
            ("SHA-256 of a KEM key and ciphertext", self.hash_kem),
            ("SHA-256 of a receipt", self.hash_leaf),
            ("SHA-256 of two nodes", self.hash_node),
            ("Ed25519 sign", self.sign),
            ("Ed25519 verify", self.verify),
            ("identity key: decompression, subgroup check", self.identity),
            ("identity key: X25519 form", self.form),
        ];
        for (name, column) in rows {
            println!("{name:<44}{:>10.0}{:>10.0}", columns.best(column), columns.median(column));
        }
    }
}

fn x25519_key() -> Measure {
    Box::new(|operations| {
        timed(operations, || {
            black_box(agreement::PrivateKey::generate(&agreement::X25519)?.compute_public_key()?);
            Ok(())
        })
    })
}

fn x25519_agreement() -> Outcome<Measure> {
    let own = agreement::PrivateKey::generate(&agreement::X25519)?;
    let peer = agreement::PrivateKey::generate(&agreement::X25519)?.compute_public_key()?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer.as_ref());
            agreement::agree(&own, peer, "no agreement", |secret| {
                black_box(secret);
                Ok(())
            })?;
            Ok(())
        })
    }))
}

fn kem_key() -> Measure {
    Box::new(|operations| {
        timed(operations, || {
            let key = kem::DecapsulationKey::generate(&kem::ML_KEM_768)?;
            black_box(key.encapsulation_key()?.key_bytes()?);
            Ok(())
        })
    })
}

fn encapsulate() -> Outcome<Measure> {
    let key = kem::DecapsulationKey::generate(&kem::ML_KEM_768)?.encapsulation_key()?;
    let bytes = key.key_bytes()?.as_ref().to_vec();
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(kem::EncapsulationKey::new(&kem::ML_KEM_768, &bytes)?.encapsulate()?);
            Ok(())
        })
    }))
}

fn decapsulate() -> Outcome<Measure> {
    let key = kem::DecapsulationKey::generate(&kem::ML_KEM_768)?;
    let (ciphertext, _) = key.encapsulation_key()?.encapsulate()?;
    let ciphertext = ciphertext.as_ref().to_vec();
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(key.decapsulate(ciphertext.as_slice().into())?);
            Ok(())
        })
    }))
}

fn hkdf_to_64() -> Measure {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            64
        }
    }
    Box::new(|operations| {
        timed(operations, || {
            let mut output = [0; 64];
            let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(black_box(&[0x5c; 32]));
            extracted.expand(&[b"message_key"], Length).and_then(|expanded| expanded.fill(&mut output))?;
            black_box(output);
            Ok(())
        })
    })
}

fn bind(key: &[u8; 32]) -> Outcome<aead::LessSafeKey> {
    Ok(aead::LessSafeKey::new(aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key)?))
}

fn seal() -> Measure {
    Box::new(|operations| {
        timed(operations, || {
            let (mut nonce, mut ciphertext, mut tag) = ([0; 12], vec![0; PLAINTEXT], [0; 16]);
            rand::fill(&mut nonce)?;
            bind(black_box(&[0x5c; 32]))?.seal_out_of_place_scatter(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(&[0x5b; ASSOCIATED_DATA]),
                &[0x5a; PLAINTEXT],
                &mut ciphertext,
                &[],
                &mut tag,
            )?;
            black_box((ciphertext, tag));
            Ok(())
        })
    })
}

fn open() -> Outcome<Measure> {
    let (mut ciphertext, mut tag) = (vec![0; PLAINTEXT], [0; 16]);
    let nonce = || aead::Nonce::assume_unique_for_key([7; 12]);
    let ad = [0x5b; ASSOCIATED_DATA];
    let plaintext = [0x5a; PLAINTEXT];
    let key = bind(&[0x5c; 32])?;
    key.seal_out_of_place_scatter(nonce(), aead::Aad::from(&ad), &plaintext, &mut ciphertext, &[], &mut tag)?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            let mut opened = vec![0; PLAINTEXT];
            let key = bind(black_box(&[0x5c; 32]))?;
            key.open_separate_gather(nonce(), aead::Aad::from(&ad), &ciphertext, &tag, &mut opened)?;
            black_box(opened);
            Ok(())
        })
    }))
}

fn sha_256(length: usize) -> Measure {
    let bytes = vec![0x5a; length];
    Box::new(move |operations| {
        timed(operations, || {
            black_box(Sha256::digest(black_box(&bytes)));
            Ok(())
        })
    })
}

/// Bytes of what a one-time prekey's signature covers.
const SIGNED: [u8; 83] = [0x5a; 83];

fn sign() -> Outcome<Measure> {
    let key = signature::Ed25519KeyPair::generate()?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(key.sign(black_box(&SIGNED)));
            Ok(())
        })
    }))
}

/// Strictly, as the protocol has it; the library is the one that `sealpost-protocol` uses.
fn verify() -> Outcome<Measure> {
    use signature::KeyPair;
    let pair = signature::Ed25519KeyPair::generate()?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(pair.public_key().as_ref().first_chunk().ok_or("32 bytes")?)?;
    let signature = Signature::from_bytes(pair.sign(&SIGNED).as_ref())?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
            Ok(key.verify_strict(black_box(&SIGNED), &signature)?)
        })
    }))
}

fn identity() -> Outcome<Measure> {
    let bytes = *some_identity()?.as_bytes();
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(IdentityKey::from_array(black_box(bytes))?);
            Ok(())
        })
    }))
}

fn form() -> Outcome<Measure> {
    let key = some_identity()?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            black_box(black_box(&key).to_montgomery());
            Ok(())
        })
    }))
}

fn some_identity() -> Outcome<IdentityKey> {
    use signature::KeyPair;
    let pair = signature::Ed25519KeyPair::generate()?;
    Ok(IdentityKey::from_array(*pair.public_key().as_ref().first_chunk().ok_or("32 bytes")?)?)
}
