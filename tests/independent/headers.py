"""Section 6: the message header.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .encoding import Reader, encode_list, encode_option, field, u8, u64
from .errors import Malformed
from .identifiers import message_id_time, read_message_id, read_reference
from .limits import LIFE_OF_A_MESSAGE, MOST_MESSAGE_TYPE, MOST_RECIPIENTS, MOST_SEALED_BODY
from .primitives import labelled_hash

NONE, SHARED_KEY, RECIPIENT_KEYS, RATCHET = 0, 1, 2, 3
SCHEME_NAMES = {NONE: "none", SHARED_KEY: "shared-key", RECIPIENT_KEYS: "recipient-keys", RATCHET: "ratchet"}
ORDINARY, CONTROL = 0, 1


def read_message_type(reader):
    text = reader.text(MOST_MESSAGE_TYPE)
    if not text or any(not "\x21" <= c <= "\x7e" for c in text):
        raise Malformed("a message type with other characters")
    return text


@dataclass
class Header:
    sender: bytes
    id: bytes
    recipients: list
    scheme: int
    created: int
    expires: int
    message_class: int = ORDINARY
    priority: int = 2
    message_type: str | None = None
    thread: bytes | None = None
    reply_to: bytes | None = None
    body: tuple | None = None  # sealed length, BLAKE3-256

    def encode(self):
        return (b"\x01" + self.sender + self.id + encode_list(self.recipients)
                + u8(self.scheme) + u8(self.message_class) + u8(self.priority)
                + encode_option(None if self.message_type is None else field(self.message_type))
                + encode_option(self.thread) + encode_option(self.reply_to)
                + u64(self.created) + u64(self.expires)
                + encode_option(self.body and u64(self.body[0]) + self.body[1]))


def decode_header(encoded):
    reader = Reader(encoded)
    reader.one_of((1,))
    header = Header(
        sender=reader.take(32),
        id=read_message_id(reader),
        recipients=reader.list(lambda: reader.take(32), MOST_RECIPIENTS, 1),
        scheme=reader.one_of((0, 1, 2, 3)),
        message_class=reader.one_of((0, 1)),
        priority=reader.one_of((1, 2, 3)),
        message_type=reader.option(lambda: read_message_type(reader)),
        thread=reader.option(lambda: reader.take(16)),
        reply_to=reader.option(lambda: read_reference(reader)),
        created=reader.u64(),
        expires=reader.u64(),
        body=reader.option(lambda: (reader.u64(), reader.take(32))),
    )
    reader.end()
    if any(a >= b for a, b in zip(header.recipients, header.recipients[1:], strict=False)):
        raise Malformed("recipients do not ascend")
    if message_id_time(header.id) != header.created:
        raise Malformed("the id has another time")
    if not header.created < header.expires <= header.created + LIFE_OF_A_MESSAGE:
        raise Malformed("the message's life")
    if header.message_class == CONTROL and header.scheme != RATCHET:
        raise Malformed("a control message outside the ratchet")
    if header.body and not 1 <= header.body[0] <= MOST_SEALED_BODY:
        raise Malformed("a body that is empty or too long")
    return header


def header_hash(encoded):
    return labelled_hash("sealpost/v1/header", encoded)
