"""Section 2: primitives and labels.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import hashlib

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .encoding import field
from .errors import Refused


def sha256(data):
    return hashlib.sha256(data).digest()


def labelled_hash(label, data):
    return sha256(field(label) + data)


def hkdf(salt, secret, info, length):
    return HKDF(hashes.SHA256(), length, salt or None, info).derive(secret)


def derive_root(root, agreement):
    """ROOT: next root key and chain key."""
    out = hkdf(root, agreement, b"sealpost/v1/ratchet", 64)
    return out[:32], out[32:]


def derive_chain(chain):
    """CHAIN: next chain key and message key."""
    out = hkdf(b"", chain, b"message_key", 64)
    return out[:32], out[32:]


def sign(private, label, data):
    return private.sign(field(label) + data)


def verify(public, label, data, signature):
    """Strict verification. `public` has passed section 4, so only the neutral element is left as an R of small order;
    OpenSSL checks S and compares encodings without the cofactor."""
    neutral = b"\x01" + bytes(31)
    if signature[:32] == neutral:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, field(label) + data)
        return True
    except InvalidSignature:
        return False


def seal_with(key, nonce, plaintext, associated_data):
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated_data)


def open_with(key, nonce, sealed, associated_data):
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, associated_data)
    except InvalidTag:
        raise Refused("undecryptable", "the tag is wrong") from None
