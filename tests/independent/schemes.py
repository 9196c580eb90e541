"""Section 22: the schemes without a ratchet: the signed part, and the way to the content key.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from .encoding import Reader, field, u8, u32
from .errors import Refused
from .headers import RECIPIENT_KEYS, SHARED_KEY, header_hash
from .keys import check_identity_key, check_x25519_key
from .primitives import hkdf, sign


HPKE_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def sign_part(identity, scheme, encoded_header):
    """What begins every signed part of a message."""
    return b"\x01" + u8(scheme) + identity.key + sign(identity.signing, "sealpost/v1/message",
                                                      header_hash(encoded_header))


@dataclass
class SignedPart:
    sender: bytes
    signature: bytes
    group: bytes = b""
    epoch: int = 0
    salt: bytes = b""
    sealing_key: int = 0
    encapsulated: bytes = b""
    wrapped: bytes = b""


def decode_part(encoded, scheme):
    reader = Reader(encoded)
    reader.one_of((1,))
    reader.one_of((scheme,))
    part = SignedPart(check_identity_key(reader.take(32)), reader.take(64))
    if scheme == SHARED_KEY:
        part.group, part.epoch, part.salt = reader.take(16), reader.u32(), reader.take(32)
    elif scheme == RECIPIENT_KEYS:
        part.sealing_key, part.encapsulated, part.wrapped = reader.u32(), reader.take(32), reader.take(48)
        check_x25519_key(part.encapsulated)
    reader.end()
    return part


def wrap_info(recipient, sealing_key_id, encoded_header):
    return field("sealpost/v1/recipient-keys") + recipient + u32(sealing_key_id) + header_hash(encoded_header)


def encode_wrap(sealing_key, recipient, encoded_header, content_key):
    """What a part under `recipient-keys` adds: the sealing key's id, the encapsulated key and the wrap."""
    sealed = HPKE_SUITE.encrypt(content_key, X25519PublicKey.from_public_bytes(sealing_key.key),
                                wrap_info(recipient, sealing_key.id, encoded_header))
    return u32(sealing_key.id) + sealed


def unwrap(private, part, recipient, encoded_header):
    try:
        return HPKE_SUITE.decrypt(part.encapsulated + part.wrapped, X25519PrivateKey.from_private_bytes(private),
                                  wrap_info(recipient, part.sealing_key, encoded_header))
    except (InvalidTag, ValueError):
        raise Refused("undecryptable", "the wrap") from None


def encode_group_access(group, epoch, salt):
    """What a part under `shared-key` adds."""
    return group + u32(epoch) + salt


def group_content_key(secret, salt, group, epoch, header):
    info = field("sealpost/v1/shared-key") + group + u32(epoch) + header.sender + header.id
    return hkdf(salt, secret, info, 32)
