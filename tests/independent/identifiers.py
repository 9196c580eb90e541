"""Section 3: ids as bytes and as text, and the fingerprint.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import hashlib
import secrets
import uuid

from .encoding import field, u16, u64
from .errors import Malformed
from .primitives import labelled_hash

BECH32_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M_CONSTANT = 0x2BC830A3


def bech32_polymod(values):
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i in range(5):
            checksum ^= generators[i] if top >> i & 1 else 0
    return checksum


def bech32_expand(prefix):
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def encode_id(prefix, id_bytes):
    """The text of an agent's or a node's id."""
    bits = int.from_bytes(id_bytes, "big") << 4
    groups = [bits >> shift & 31 for shift in range(255, -1, -5)]
    checksum = bech32_polymod(bech32_expand(prefix) + groups + [0] * 6) ^ BECH32M_CONSTANT
    groups += [checksum >> shift & 31 for shift in range(25, -1, -5)]
    return prefix + "1" + "".join(BECH32_ALPHABET[g] for g in groups)


def decode_id(prefix, text):
    if text.upper() == text:
        text = text.lower()
    if len(text) != len(prefix) + 59 or not text.startswith(prefix + "1"):
        raise Malformed("another prefix or length")
    groups = [BECH32_ALPHABET.find(c) for c in text[len(prefix) + 1:]]
    if -1 in groups or bech32_polymod(bech32_expand(prefix) + groups) != BECH32M_CONSTANT:
        raise Malformed("wrong checksum")
    bits = 0
    for group in groups[:-6]:
        bits = bits << 5 | group
    if bits & 15:
        raise Malformed("fill bits that are not zero")
    return (bits >> 4).to_bytes(32, "big")


def agent_id_of(identity_key):
    return labelled_hash("sealpost/v1/agent-id", identity_key)


def new_message_id(created, number):
    """UUIDv7: the time, a number that ascends within the millisecond, random bits."""
    return (created.to_bytes(6, "big") + u16(0x7000 | number)
            + u64(0x8000 << 48 | secrets.randbits(62)))


def message_id_time(message_id):
    if message_id[6] >> 4 != 7 or message_id[8] >> 6 != 2:
        raise Malformed("no UUIDv7")
    return int.from_bytes(message_id[:6], "big")


def read_message_id(reader):
    message_id = reader.take(16)
    message_id_time(message_id)
    return message_id


def read_reference(reader):
    """A message reference: a sender's agent id and a message id."""
    return reader.take(32) + read_message_id(reader)


def uuid_text(id_bytes):
    return str(uuid.UUID(bytes=id_bytes))


def fingerprint(one, other):
    """Sixty digits for two people to compare."""
    digits = ""
    for agent_id in sorted((one, other)):
        digest = hashlib.sha512(field("sealpost/v1/fingerprint") + agent_id).digest()
        for i in range(0, 30, 5):
            digits += f"{int.from_bytes(digest[i:i + 5], 'big') % 100_000:05}"
    return digits
