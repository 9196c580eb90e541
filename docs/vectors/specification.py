"""Sealpost's bytes, from docs/protocol.md alone; section numbers are that document's."""

import hashlib
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HANDSHAKE = b"sealpost/v1/handshake/"
SUITES = {"X3DH-25519": 1, "PQXDH-25519-MLKEM768": 2}
ONE_TIME_CURVE, ONE_TIME_KEM = 2, 3


class Reader:
    """Section 1: takes an encoding apart, and insists that nothing is left."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        taken = self.data[self.at : self.at + length]
        assert len(taken) == length, "the input ends inside a field"
        self.at += length
        return taken

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def option(self, read):
        tag = self.number(1)
        assert tag < 2, "an option has two tags"
        return read() if tag else None

    def list(self, read):
        return [read() for _ in range(self.number(2))]

    def bytes(self):
        return self.take(self.number(4))

    def end(self):
        assert self.at == len(self.data), "bytes follow the last field"


def u32(value):
    return struct.pack(">I", value)


def field(value):
    return u32(len(value)) + value


def labelled(label, value):
    return field(label.encode()) + value


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(salt, secret, info, length):
    return HKDF(SHA256(), length, salt, info).derive(secret)


def x25519_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def x25519(private, peer):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(peer))


def ed25519_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def verifies(key, signature, label, value):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, labelled(label, value))
        return True
    except InvalidSignature:
        return False


def agent_id(identity):
    return sha256(labelled("sealpost/v1/agent-id", identity))


def bech32m(prefix, data):
    """Section 3; BIP 350."""

    def checksum(values):
        state = 1
        for value in values:
            top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                state ^= generator if top >> bit & 1 else 0
        return state

    count = -(-len(data) * 8 // 5)
    bits = int.from_bytes(data, "big") << (count * 5 - len(data) * 8)
    values = [bits >> 5 * place & 31 for place in reversed(range(count))]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    rest = checksum(expanded + values + [0] * 6) ^ 0x2BC830A3
    values += [rest >> 5 * place & 31 for place in reversed(range(6))]
    return prefix + "1" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[value] for value in values)


def fingerprint(one, other):
    """Section 3: of two agent ids."""

    def digits(agent):
        hashed = hashlib.sha512(labelled("sealpost/v1/fingerprint", agent)).digest()
        groups = [hashed[place : place + 5] for place in range(0, 30, 5)]
        return "".join(f"{int.from_bytes(group, 'big') % 100_000:05}" for group in groups)

    return digits(min(one, other)) + digits(max(one, other))


def claim_id(message, target, attempt):
    """Section 5: what our runtime calls a claim."""
    later = attempt.to_bytes(2, "big") if attempt > 1 else b""
    return sha256(labelled("sealpost/v1/claim-id", message + target + later))[:16]


def challenge_answer(node, ledger, nonce, challenge, at, expires):
    """Section 14."""
    return node + ledger + nonce + field(challenge) + struct.pack(">QQ", at, expires)


def access_claim(node, origin, identity, challenge, expires, token_key):
    """Section 14."""
    named = node + field(origin.encode()) + agent_id(identity) + identity
    return named + field(challenge) + struct.pack(">Q", expires) + token_key


def scalar(seed):
    """Section 4: the X25519 form of an identity's private key; X25519 clamps it."""
    return hashlib.sha512(seed).digest()[:32]


def montgomery(identity):
    """Section 4: the X25519 form of an identity's public key."""
    prime = 2**255 - 19
    y = int.from_bytes(identity, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, prime) % prime).to_bytes(32, "little")


def prekey(reader, length):
    """Section 5."""
    key_id, created, expires = reader.number(4), reader.number(8), reader.number(8)
    assert created < expires, "a life"
    return {"id": key_id, "created": created, "expires": expires, "key": reader.take(length)}


def manifest(encoded):
    """Section 5: a signed manifest as its fields, what was signed, and the signature."""
    reader = Reader(encoded)
    assert reader.number(1) == 1, "the format"
    fields = {
        "identity": reader.take(32),
        "suites": reader.list(lambda: reader.number(1)),
        "signed_prekey": prekey(reader, 32),
        "last_resort_kem": reader.option(lambda: prekey(reader, 1184)),
        "sealing_key": prekey(reader, 32),
        "version": reader.number(8),
        "created": reader.number(8),
        "expires": reader.number(8),
    }
    signed, signature = encoded[: reader.at], reader.take(64)
    reader.end()
    return fields, signed, signature


def header(encoded):
    """Section 6."""
    reader = Reader(encoded)
    assert reader.number(1) == 1, "the format"
    fields = {"sender": reader.take(32), "id": reader.take(16), "recipients": reader.list(lambda: reader.take(32))}
    assert fields["id"][6] >> 4 == 7 and fields["id"][8] >> 6 == 2, "a UUIDv7"
    assert (reader.number(1), reader.number(1)) == (3, 0), "scheme ratchet, class ordinary"
    assert 1 <= reader.number(1) <= 3, "a priority"
    fields["message_type"] = reader.option(reader.bytes)
    fields["thread"] = reader.option(lambda: reader.take(16))
    fields["reply_to"] = reader.option(lambda: reader.take(48))
    fields |= {"created": reader.number(8), "expires": reader.number(8)}
    assert fields["created"] == int.from_bytes(fields["id"][:6], "big") < fields["expires"], "the times"
    fields["body"] = reader.option(lambda: reader.take(40))
    reader.end()
    return fields


def payload(plaintext):
    """Section 8: the content of a text without metadata."""
    reader = Reader(plaintext)
    assert reader.take(8) == b"\1" + bytes(7), "format, kind, flags, four absent options, and text"
    content = reader.bytes()
    exponent = reader.at.bit_length() - 1
    step = 1 << exponent - exponent.bit_length()
    assert len(plaintext) == max(32, -(-reader.at // step) * step), "padmé"
    assert not any(reader.take(len(plaintext) - reader.at)), "zeros"
    return content.decode()


def session_ad(suite, initiator, responder, ids, ephemeral, kem):
    """Section 9. `ids`: those of the signed prekey and the one-time curve key or None. `kem`: kind, id, key and
    ciphertext, or None."""
    signed, one_time = ids
    return b"".join(map(field, [
        b"sealpost/v1/session", bytes([suite]), agent_id(initiator), agent_id(responder), initiator, responder,
        u32(signed), b"\0" if one_time is None else b"\1" + u32(one_time),
        b"\1" + bytes([kem[0]]) + u32(kem[1]) if kem else b"\0", ephemeral, sha256(*kem[2:]) if kem else b"",
    ]))  # fmt: skip


def envelope_header(session, ratchet_key, counter, previous_counter, opens):
    """Section 7."""
    return b"\1" + session + ratchet_key + u32(counter) + u32(previous_counter) + bytes([opens])


def message_ad(session_ad, envelope_header, header_hash):
    """Section 10."""
    return field(session_ad) + field(envelope_header) + field(header_hash)


def merkle_root(leaves):
    """Section 12; RFC 9162, 2.1.1."""
    if len(leaves) == 1:
        return sha256(b"\0", leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def path(reader):
    """Section 12: index, count, siblings."""
    return reader.number(2), reader.number(2), reader.list(lambda: reader.take(32))


def path_root(leaf, index, count, siblings):
    """Section 12; RFC 9162, 2.1.3.2."""
    assert index < count, "no such leaf"
    last, node = count - 1, sha256(b"\0", leaf)
    for sibling in siblings:
        assert last, "siblings are left over"
        if index & 1 or index == last:
            node = sha256(b"\1", sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\1", node, sibling)
        index, last = index >> 1, last >> 1
    assert last == 0, "siblings are lacking"
    return node


def leaf(reader):
    """Section 12: a leaf, as its bytes and its fields."""
    start = reader.at
    fields = {
        "sender": reader.take(32), "message": reader.take(16), "attempt": reader.number(2), "header": reader.take(32),
        "part": reader.take(32), "verdict": reader.number(1),
    }  # fmt: skip
    assert 1 <= fields["verdict"] <= 3, "a verdict"
    fields["reason"] = reader.number(1) if fields["verdict"] == 3 else None
    fields |= {"at": reader.number(8), "blind": reader.take(16)}
    return reader.data[start : reader.at], fields
