"""Section 8: the payload, which an envelope seals.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .bodies import derive_body
from .contents import BYTES, TEXT, Content, check_text, pad, read_options
from .encoding import Reader, encode_option, field, u8, u64
from .errors import Malformed
from .groups import GroupEnd, read_hand_over
from .headers import CONTROL, ORDINARY
from .identifiers import read_message_id
from .limits import MOST_CONTENT

MESSAGE, STEP, BODY_KEY, MARK, HAND_OVER, END = 0x00, 0x01, 0x02, 0x03, 0x10, 0x11


@dataclass
class BodyKey:
    key: bytes
    commitment: bytes
    length: int
    hash: bytes


@dataclass
class Mark:
    read_up_to: bytes | None
    writing: bool


def encode_payload(what, flags=0):
    """The padded plaintext. `what` is a Content, BodyKey, Mark, or None for a step."""
    if what is None:
        kind, fields = STEP, b""
    elif isinstance(what, Content):
        kind, fields = MESSAGE, what.encode_options() + u8(what.kind) + field(what.data)
    elif isinstance(what, BodyKey):
        kind, fields = BODY_KEY, what.key + what.commitment + u64(what.length) + what.hash
    elif isinstance(what, Mark):
        kind, fields = MARK, encode_option(what.read_up_to) + u8(what.writing)
    else:
        raise TypeError(what)
    return pad(b"\x01" + u8(kind) + u8(flags) + fields)


def decode_payload(plaintext, header):
    reader = Reader(plaintext)
    reader.one_of((1,))
    kind = reader.one_of((MESSAGE, STEP, BODY_KEY, MARK, HAND_OVER, END))
    flags = reader.u8()
    what = read_fields(reader, kind)
    if plaintext != pad(plaintext[:reader.at]):
        raise Malformed("another padding")
    if (kind in (STEP, MARK)) != (header.message_class == CONTROL):
        raise Malformed("a kind that is not of the header's class")
    if header.message_class == CONTROL and flags & 1:
        raise Malformed("a control message that asks for a step")
    if header.message_class == ORDINARY and (kind == BODY_KEY) != (header.body is not None):
        raise Malformed("a body without its key, or a key without a body")
    if kind == BODY_KEY and ((what.length, what.hash) != header.body or derive_body(what.key)[1] != what.commitment):
        raise Malformed("a key of another body")
    return what


def read_fields(reader, kind):
    """What follows format, kind and flags."""
    if kind == STEP:
        return None
    if kind == BODY_KEY:
        return BodyKey(reader.take(32), reader.take(32), reader.u64(), reader.take(32))
    if kind == MARK:
        return Mark(reader.option(lambda: read_message_id(reader)), bool(reader.one_of((0, 1))))
    if kind == HAND_OVER:
        return read_hand_over(reader)
    if kind == END:
        return GroupEnd(reader.take(16), reader.u64())
    options = read_options(reader)
    content = Content(kind=reader.one_of((TEXT, BYTES)), data=reader.bytes(MOST_CONTENT), **options)
    if content.kind == TEXT:
        check_text(content.data)
    return content
