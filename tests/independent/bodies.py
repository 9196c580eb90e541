"""Section 22: bodies.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import io
import secrets

import blake3
import zstandard

from .contents import Content, check_text, padme, read_options
from .encoding import Reader, u8, u64
from .errors import Malformed, Refused
from .limits import CHUNK, MOST_COMPRESSED_CONTENT, MOST_CONTENT_OF_A_BODY, MOST_WINDOW
from .primitives import hkdf, open_with, seal_with


def derive_body(content_key):
    """Chunk key and commitment."""
    out = hkdf(b"", content_key, b"sealpost/v1/body", 64)
    return out[:32], out[32:]


def encode_body(content):
    """Prelude, content and padding: the plaintext of a body."""
    plaintext = b"\x01" + content.encode_options() + u8(content.kind) + u64(len(content.data)) + content.data
    return plaintext + bytes(padme(len(plaintext)) - len(plaintext))


def decode_body(plaintext):
    reader = Reader(plaintext)
    reader.one_of((1,))
    options = read_options(reader)
    kind = reader.one_of((0, 1, 2, 3))
    length = reader.u64()
    if length > MOST_CONTENT_OF_A_BODY:
        raise Malformed("a content that is too long")
    if kind >= 2:
        compressed_length = reader.u64()
        if compressed_length >= length or length > MOST_COMPRESSED_CONTENT:
            raise Malformed("a compressed content that is not shorter, or too long")
        data = decompress(reader.take(compressed_length), length)
    else:
        data = reader.take(length)
    padding = plaintext[reader.at:]
    if len(plaintext) != padme(reader.at) or any(padding):
        raise Malformed("another padding")
    if kind in (0, 2):
        check_text(data)
    return Content(data, kind & 1, **options)


def decompress(frame, length):
    """One frame of zstd, of exactly `length` bytes."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).decompressobj()
    data = io.BytesIO()
    try:
        for start in range(0, len(frame), 1024):
            data.write(decompressor.decompress(frame[start:start + 1024]))
            if data.tell() > length or decompressor.eof:
                break
    except zstandard.ZstdError as error:
        raise Malformed("a frame that does not decompress") from error
    if not decompressor.eof or data.tell() != length or decompressor.unused_data or start + 1024 < len(frame):
        raise Malformed("a frame of another length")
    return data.getvalue()


def chunk_nonce(number, last):
    return number.to_bytes(11, "big") + u8(last)


def seal_body(content_key, plaintext):
    key, commitment = derive_body(content_key)
    chunks = [plaintext[i:i + CHUNK] for i in range(0, len(plaintext), CHUNK)]
    return b"\x01" + commitment + b"".join(
        seal_with(key, chunk_nonce(i, i == len(chunks) - 1), chunk, b"") for i, chunk in enumerate(chunks))


def open_body(content_key, body):
    key, commitment = derive_body(content_key)
    reader = Reader(body)
    reader.one_of((1,))
    if not secrets.compare_digest(reader.take(32), commitment):
        raise Refused("undecryptable", "the body has another key")
    sealed = body[reader.at:]
    if not sealed:
        raise Malformed("a body without chunks")
    chunks = [sealed[i:i + CHUNK + 16] for i in range(0, len(sealed), CHUNK + 16)]
    return b"".join(open_with(key, chunk_nonce(i, i == len(chunks) - 1), chunk, b"")
                    for i, chunk in enumerate(chunks))


def describe(body):
    """What a header says of a sealed body: its length and BLAKE3-256."""
    return len(body), blake3.blake3(body).digest()
