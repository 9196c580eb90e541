"""Bodies and the ways to their keys, from docs/protocol.md section 22 over other libraries than ours."""

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from zstandard import ZstdDecompressor

import specification as spec

CHUNK = 65_536
SCHEMES = {"none": 0, "shared-key": 1, "recipient-keys": 2}


def checks(vectors, agents):
    """A name and an outcome for each check."""
    group_key = vectors["group_key"]
    for number, message in enumerate(vectors["messages"]):
        name = f"body {number}, {message['scheme']}"
        for what, holds in check_message(message, group_key, agents["alice"], agents["bob"]):
            yield f"{name}: {what}", holds
    for what, holds in check_ratchet(vectors["ratchet"]):
        yield f"body under the ratchet: {what}", holds


def check_ratchet(message):
    yield from check_body(message)
    keys = spec.hkdf(None, message["content_key"], b"sealpost/v1/body", 64)
    described = message["body_length"].to_bytes(8, "big") + message["body_hash"]
    plaintext = b"\1\2\0" + message["content_key"] + keys[32:] + described
    plaintext += bytes(padme(len(plaintext)) - len(plaintext))
    yield "plaintext of the envelope", plaintext == message["plaintext"]


def check_message(message, group_key, alice, bob):
    header_hash = yield from check_body(message)
    part = spec.Reader(message["part"])
    beginning = bytes([1, SCHEMES[message["scheme"]]]) + alice["identity_key"]
    yield "part", part.take(34) == beginning
    signature = part.take(64)
    yield "signature", spec.verifies(alice["identity_key"], signature, "sealpost/v1/message", header_hash)
    yield "no other header's", not spec.verifies(alice["identity_key"], signature, "sealpost/v1/message", bytes(32))
    if message["scheme"] == "shared-key":
        yield "key of the group", derive(group_key, part, message["header"], alice) == message["content_key"]
    if message["scheme"] == "recipient-keys":
        yield "wrapped key", unwrap(part, header_hash, bob) == message["content_key"]
    part.end()


def check_body(message):
    content = message.get("content") or (bytes(range(251)) * 1_000)[: message["pattern"]]
    body = seal(message.get("content_key"), message["prelude"], message.get("frame", content))
    if "frame" in message:
        lengths = len(content).to_bytes(8, "big") + len(message["frame"]).to_bytes(8, "big")
        yield "prelude names both lengths", message["prelude"].endswith(b"\3" + lengths)
        yield "frame", decompress(message["frame"]) == content
    yield "body", len(body) == message["body_length"] and message.get("body", body) == body
    yield "body's hash", blake3(body).digest() == message["body_hash"]
    described = b"\1" + len(body).to_bytes(8, "big") + message["body_hash"]
    yield "header names the body", message["header"].endswith(described)
    header_hash = spec.sha256(spec.labelled("sealpost/v1/header", message["header"]))
    yield "header's hash", header_hash == message["header_hash"]
    return header_hash


def seal(key, prelude, content):
    plaintext = prelude + content
    plaintext += bytes(padme(len(plaintext)) - len(plaintext))
    if key is None:
        return plaintext
    keys = spec.hkdf(None, key, b"sealpost/v1/body", 64)
    body, cipher = b"\1" + keys[32:], ChaCha20Poly1305(keys[:32])
    for at in range(0, len(plaintext), CHUNK):
        nonce = (at // CHUNK).to_bytes(11, "big") + bytes([at + CHUNK >= len(plaintext)])
        body += cipher.encrypt(nonce, plaintext[at : at + CHUNK], b"")
    return body


def decompress(frame):
    decompressor = ZstdDecompressor(max_window_size=1 << 23).decompressobj()
    content = decompressor.decompress(frame)
    return content if decompressor.eof and not decompressor.unused_data else None


def padme(length):
    exponent = length.bit_length() - 1
    zeros = exponent - exponent.bit_length()
    return -(-length >> zeros) << zeros


def derive(group_key, part, header, alice):
    access, salt = part.take(20), part.take(32)
    assert access == group_key[1:21], "another group or epoch"
    message_id = header[header.index(alice["agent_id"]) + 32 :][:16]
    info = spec.labelled("sealpost/v1/shared-key", access + alice["agent_id"] + message_id)
    return spec.hkdf(salt, group_key[21:], info, 32)


def unwrap(part, header_hash, bob):
    sealing_key, sealed = part.take(4), part.take(32 + 48)
    info = spec.labelled("sealpost/v1/recipient-keys", bob["agent_id"] + sealing_key + header_hash)
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    return suite.decrypt(sealed, X25519PrivateKey.from_private_bytes(bob["sealing_key_private"]), info)
