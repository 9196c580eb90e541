"""Section 14: delegations, by which others act for an agent at its relay.

Biscuits are made by the package `biscuit-python`, and sealed here, which it cannot.

Written from docs/protocol.md alone, and from Biscuit's own specification, and must stay so.
"""

import base64
import re
from dataclasses import dataclass, replace

from biscuit_auth import Algorithm, Biscuit, BiscuitBuilder, BiscuitValidationError, BlockBuilder, PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .clock import now_ms
from .encoding import Reader, field, u8, u64
from .errors import Malformed
from .identifiers import agent_id_of
from .keys import check_identity_key
from .limits import LIFE_OF_A_CERTIFICATE, MOST_ORIGIN, MOST_TOKEN
from .primitives import labelled_hash, sign, verify
from .tokens import base64url

SEND, READ = "send", "read"


@dataclass(frozen=True)
class Certificate:
    """An identity's word for a delegation key."""
    identity: bytes
    key: bytes
    created: int
    expires: int
    signature: bytes = b""

    def signed(self):
        return self.identity + self.key + u64(self.created) + u64(self.expires)

    def encode(self):
        return self.signed() + self.signature


def certify(identity, key, created, expires):
    certificate = Certificate(identity.key, key, created, expires)
    return replace(certificate, signature=sign(identity.signing, "sealpost/v1/delegation-key", certificate.signed()))


def read_certificate(reader):
    certificate = Certificate(check_identity_key(reader.take(32)), check_identity_key(reader.take(32)), reader.u64(),
                              reader.u64(), reader.take(64))
    if not 0 < certificate.expires - certificate.created <= LIFE_OF_A_CERTIFICATE:
        raise Malformed("no life, or one that is too long")
    if not verify(certificate.identity, "sealpost/v1/delegation-key", certificate.signed(), certificate.signature):
        raise Malformed("another's signature")
    return certificate


# The statements of a token's blocks.

def right(name):
    return f'right("{name}")'


def before(time):
    return f"check if time($time), $time < {time}"


def only(name):
    return f'check if operation("{name}")'


def for_claim(claim):
    return f"check if claim(hex:{labelled_hash('sealpost/v1/access', claim).hex()})"


def source(statements):
    return "".join(f"{statement};\n" for statement in statements)


@dataclass(frozen=True)
class Delegation:
    certificate: Certificate
    token: Biscuit

    @property
    def id(self):
        """Its own id; it is also ended by those of all that it was narrowed from."""
        return delegation_id(self.token.revocation_ids[-1])

    @property
    def agent_id(self):
        return agent_id_of(self.certificate.identity)

    def narrow(self, *statements):
        return replace(self, token=self.token.append(BlockBuilder(source(statements))))

    def show(self, claim):
        """The bytes of the token, bound to an access claim and sealed."""
        return seal(self.narrow(for_claim(claim)).token)

    def grants(self):
        """The rights that are left, and when the token ends; what is said in other words than ours is `Malformed`."""
        rights, left, end = set(), {SEND, READ}, self.certificate.expires
        for place in range(self.token.block_count()):
            for statement in self.token.block_source(place).splitlines():
                if said := re.fullmatch(r"check if time\(\$time\), \$time < (\d+);", statement):
                    end = min(end, int(said[1]))
                elif place == 0 and (said := re.fullmatch(r'right\("(send|read)"\);', statement)):
                    rights.add(said[1])
                elif place > 0 and (said := re.fullmatch(r'check if operation\("(send|read)"\);', statement)):
                    left &= {said[1]}
                else:
                    raise Malformed(f"an unknown statement: {statement}")
        return rights & left, end


def delegation_id(revocation_id):
    return labelled_hash("sealpost/v1/delegation-id", field(bytes.fromhex(revocation_id)))[:16]


def new_delegation(identity, *statements, created=None, life=LIFE_OF_A_CERTIFICATE):
    """A delegation under a new key, whose first block says these statements."""
    private = Ed25519PrivateKey.generate()
    created = now_ms() if created is None else created
    certificate = certify(identity, private.public_key().public_bytes_raw(), created, created + life)
    root = PrivateKey.from_bytes(private.private_bytes_raw(), Algorithm.Ed25519)
    return Delegation(certificate, BiscuitBuilder(source(statements)).build(root))


# Sealing: the proof, a secret that signs the next block, gives way to what that secret signs of the last one.

def seal(token):
    """The bytes of a token that nobody can append to."""
    *blocks, (_, proof) = read_message(bytes(token.to_bytes()))
    (_, secret), = read_message(proof)
    last = dict(read_message(blocks[-1][1]))
    next_key = dict(read_message(last[2]))
    signed = last[1] + next_key[1].to_bytes(4, "little") + next_key[2] + last[3]
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(signed)
    return write_message([*blocks, (4, write_message([(2, signature)]))])


def read_message(data):
    """The fields of a Protocol Buffers message: their numbers, with bytes or numbers."""
    fields, reader = [], Reader(data)
    while reader.at < len(reader.data):
        number, wire_type = divmod(read_varint(reader), 8)
        fields.append((number, reader.take(read_varint(reader)) if wire_type == 2 else read_varint(reader)))
    return fields


def read_varint(reader):
    value = shift = 0
    while (byte := reader.u8()) >= 128:
        value |= (byte & 127) << shift
        shift += 7
    return value | byte << shift


def write_message(fields):
    """Of fields that hold bytes, as all of a token's do."""
    return b"".join(write_varint(number << 3 | 2) + write_varint(len(value)) + value for number, value in fields)


def write_varint(value):
    encoded = b""
    while value >= 128:
        encoded += u8(value & 127 | 128)
        value >>= 7
    return encoded + u8(value)


@dataclass(frozen=True)
class HandedOver:
    """A delegation, and where its agent has its mail."""
    delegation: Delegation
    node_id: bytes
    origin: str

    def text(self):
        certificate, token = self.delegation.certificate.encode(), bytes(self.delegation.token.to_bytes())
        return base64url(u8(1) + certificate + field(token) + self.node_id + field(self.origin))


def read_handed_over(text):
    if re.fullmatch(r"[A-Za-z0-9_-]+", text) is None:
        raise Malformed("no base64url, or one with padding")
    try:
        reader = Reader(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise Malformed("no base64url") from error
    reader.one_of((1,))
    certificate, token = read_certificate(reader), reader.bytes(MOST_TOKEN)
    node_id, origin = reader.take(32), reader.text(MOST_ORIGIN)
    reader.end()
    root = PublicKey.from_bytes(certificate.key, Algorithm.Ed25519)
    try:
        return HandedOver(Delegation(certificate, Biscuit.from_bytes(token, root)), node_id, origin)
    except BiscuitValidationError as error:
        raise Malformed("no Biscuit under the certified key") from error
