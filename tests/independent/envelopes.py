"""Section 7: the envelope, and the opening of a session inside it.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .encoding import Reader, encode_option, field, u8, u32
from .errors import Malformed
from .keys import check_identity_key, check_x25519_key
from .limits import MOST_CIPHERTEXT, MOST_ENVELOPE
from .manifests import PQXDH, X3DH
from .primitives import labelled_hash


@dataclass
class Opening:
    suite: int
    initiator: bytes
    ephemeral: bytes
    signed_prekey: int
    one_time_curve: int | None
    kem: tuple | None  # kind, id, ciphertext

    def encode(self):
        kem = None if self.kem is None else u8(self.kem[0]) + u32(self.kem[1]) + self.kem[2]
        return (u8(self.suite) + self.initiator + self.ephemeral + u32(self.signed_prekey)
                + encode_option(None if self.one_time_curve is None else u32(self.one_time_curve))
                + encode_option(kem))


def read_opening(reader):
    opening = Opening(
        suite=reader.one_of((X3DH, PQXDH)),
        initiator=check_identity_key(reader.take(32)),
        ephemeral=check_x25519_key(reader.take(32)),
        signed_prekey=reader.u32(),
        one_time_curve=reader.option(reader.u32),
        kem=reader.option(lambda: (reader.one_of((1, 2)), reader.u32(), reader.take(1088))),
    )
    if (opening.suite == PQXDH) != (opening.kem is not None):
        raise Malformed("a KEM ciphertext that the suite does not need, or none")
    return opening


@dataclass
class Envelope:
    session: bytes
    ratchet_key: bytes
    counter: int
    previous_counter: int
    opening: Opening | None
    nonce: bytes = b""
    ciphertext: bytes = b""
    tag: bytes = b""

    def header(self):
        return (b"\x01" + self.session + self.ratchet_key + u32(self.counter) + u32(self.previous_counter)
                + u8(self.opening is not None))

    def encode(self):
        opening = self.opening.encode() if self.opening else b""
        return self.header() + opening + self.nonce + field(self.ciphertext) + self.tag


def decode_envelope(encoded):
    if len(encoded) > MOST_ENVELOPE:
        raise Malformed("an envelope above its limit")
    reader = Reader(encoded)
    reader.one_of((1,))
    session, ratchet_key = reader.take(16), check_x25519_key(reader.take(32))
    counter, previous_counter = reader.u32(), reader.u32()
    opening = reader.option(lambda: read_opening(reader))
    envelope = Envelope(session, ratchet_key, counter, previous_counter, opening,
                        reader.take(12), reader.bytes(MOST_CIPHERTEXT), reader.take(16))
    reader.end()
    return envelope


def part_hash(encoded):
    return labelled_hash("sealpost/v1/part", encoded)
