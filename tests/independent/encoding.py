"""Section 1: encoding.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import struct

from .errors import Malformed


def u8(value):
    return struct.pack(">B", value)


def u16(value):
    return struct.pack(">H", value)


def u32(value):
    return struct.pack(">I", value)


def u64(value):
    return struct.pack(">Q", value)


def field(value):
    """`bytes` of section 1, and field(x): a length and the bytes."""
    if isinstance(value, str):
        value = value.encode()
    return u32(len(value)) + value


def encode_list(items):
    return u16(len(items)) + b"".join(items)


def encode_option(encoded):
    return b"\x00" if encoded is None else b"\x01" + encoded


class Reader:
    """Reads one encoding; refuses what section 1 says."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Malformed("input ends inside a field")
        self.at += length
        return self.data[self.at - length:self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.take(8))[0]

    def one_of(self, values):
        value = self.u8()
        if value not in values:
            raise Malformed(f"unknown byte {value}")
        return value

    def bytes(self, limit):
        length = self.u32()
        if length > limit:
            raise Malformed("length above the limit")
        return self.take(length)

    def text(self, limit):
        try:
            return self.bytes(limit).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("text is not UTF-8") from error

    def list(self, item, most, least=0):
        count = self.u16()
        if not least <= count <= most:
            raise Malformed("count outside the limits")
        return [item() for _ in range(count)]

    def option(self, item):
        return item() if self.one_of((0, 1)) else None

    def end(self):
        if self.at != len(self.data):
            raise Malformed("bytes after the last field")
