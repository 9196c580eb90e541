"""Section 5: prekeys, the manifest that lists them, one-time keys, claims.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .encoding import Reader, encode_list, encode_option, u8, u16, u32, u64
from .errors import Malformed
from .keys import check_identity_key, check_kem_key, check_x25519_key
from .limits import LIFE_OF_A_MANIFEST, MOST_SUITES
from .primitives import labelled_hash, sign, verify

SIGNED, ONE_TIME_CURVE, ONE_TIME_KEM, LAST_RESORT_KEM, SEALING = 1, 2, 3, 4, 5
X3DH, PQXDH = 1, 2
SUITE_NAMES = {X3DH: "X3DH-25519", PQXDH: "PQXDH-25519-MLKEM768"}


@dataclass
class Prekey:
    id: int
    created: int
    expires: int
    key: bytes

    def encode(self):
        return u32(self.id) + u64(self.created) + u64(self.expires) + self.key


def read_prekey(reader, kem):
    prekey = Prekey(reader.u32(), reader.u64(), reader.u64(), reader.take(1184 if kem else 32))
    if prekey.expires <= prekey.created:
        raise Malformed("a prekey that expires before it was created")
    (check_kem_key if kem else check_x25519_key)(prekey.key)
    return prekey


@dataclass
class Manifest:
    identity: bytes
    suites: list
    signed_prekey: Prekey
    last_resort_kem: Prekey | None
    sealing_key: Prekey
    version: int
    created: int
    expires: int

    def encode(self):
        return (b"\x01" + self.identity + encode_list([u8(s) for s in self.suites]) + self.signed_prekey.encode()
                + encode_option(self.last_resort_kem and self.last_resort_kem.encode()) + self.sealing_key.encode()
                + u64(self.version) + u64(self.created) + u64(self.expires))

    def hash(self):
        """By which manifests of one version are told apart."""
        return labelled_hash("sealpost/v1/manifest", self.encode())


def sign_manifest(identity, manifest):
    return manifest.encode() + sign(identity.signing, "sealpost/v1/manifest", manifest.encode())


def decode_manifest(signed_manifest):
    """Decodes and verifies a signed manifest."""
    reader = Reader(signed_manifest)
    reader.one_of((1,))
    manifest = Manifest(
        identity=check_identity_key(reader.take(32)),
        suites=reader.list(reader.u8, MOST_SUITES, 1),
        signed_prekey=read_prekey(reader, kem=False),
        last_resort_kem=reader.option(lambda: read_prekey(reader, kem=True)),
        sealing_key=read_prekey(reader, kem=False),
        version=reader.u64(),
        created=reader.u64(),
        expires=reader.u64(),
    )
    signature = reader.take(64)
    reader.end()
    if len(set(manifest.suites)) != len(manifest.suites):
        raise Malformed("a suite twice")
    if PQXDH in manifest.suites and manifest.last_resort_kem is None:
        raise Malformed("a suite without its last-resort key")
    if manifest.suites == [X3DH] and manifest.last_resort_kem is not None:
        raise Malformed("a last-resort key without a suite")
    if not manifest.created < manifest.expires <= manifest.created + LIFE_OF_A_MANIFEST:
        raise Malformed("the manifest's times")
    if not verify(manifest.identity, "sealpost/v1/manifest", signed_manifest[:-64], signature):
        raise Malformed("the manifest's signature")
    return manifest


def sign_one_time_key(identity, kind, prekey):
    return prekey.encode() + sign(identity.signing, "sealpost/v1/one-time-prekey", u8(kind) + prekey.encode())


def decode_one_time_key(encoded, kind, identity_key):
    reader = Reader(encoded)
    prekey = read_prekey(reader, kem=kind == ONE_TIME_KEM)
    signature = reader.take(64)
    reader.end()
    if not verify(identity_key, "sealpost/v1/one-time-prekey", u8(kind) + prekey.encode(), signature):
        raise Malformed("the signature of a one-time key")
    return prekey


def claim_id(message_id, target, attempt=1):
    """A habit of the reference runtime, taken here."""
    number = u16(attempt) if attempt > 1 else b""
    return labelled_hash("sealpost/v1/claim-id", message_id + target + number)[:16]
