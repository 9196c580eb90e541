"""Section 4: keys, and which points are refused.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import hashlib

import nacl.bindings
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from .errors import Malformed, Refused
from .identifiers import agent_id_of

SMALL_ORDER_X25519 = {
    bytes(32),
    b"\x01" + bytes(31),
    (2**255 - 20).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
}


def check_identity_key(key):
    """For identity keys, node keys and token keys."""
    if len(key) != 32 or not nacl.bindings.crypto_core_ed25519_is_valid_point(key):
        raise Malformed("no key of the prime-order subgroup")
    return key


def check_x25519_key(key):
    if int.from_bytes(key, "little") >= 2**255 - 19 or key in SMALL_ORDER_X25519:
        raise Malformed("an X25519 key that is refused")
    return key


def check_kem_key(key):
    try:
        MLKEM768PublicKey.from_public_bytes(key)
    except ValueError as error:
        raise Malformed("an ML-KEM key that is refused") from error
    return key


def identity_to_x25519(identity_key):
    """The X25519 form of an identity key."""
    return nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(identity_key)


def x25519_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def x25519(private, public):
    """A Diffie-Hellman agreement; an output of zeros is refused."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("undecryptable", "the agreement is all zeros") from None


class Identity:
    def __init__(self, seed):
        self.signing = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = self.signing.public_key().public_bytes_raw()
        self.id = agent_id_of(self.key)
        # X25519 clamps the scalar itself.
        self.x25519_private = hashlib.sha512(seed).digest()[:32]
