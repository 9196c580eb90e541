"""Sections 8 and 22: what an agent says, in a payload or in a body, and how its length is hidden.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .encoding import encode_option, field
from .errors import Malformed
from .headers import read_message_type
from .identifiers import read_reference
from .limits import MOST_FILE_NAME

TEXT, BYTES = 0, 1


@dataclass
class Content:
    """What an agent says: in a payload or in a body."""
    data: bytes
    kind: int = TEXT
    message_type: str | None = None
    thread: bytes | None = None
    reply_to: bytes | None = None
    file_name: str | None = None

    def encode_options(self):
        return (encode_option(None if self.message_type is None else field(self.message_type))
                + encode_option(self.thread) + encode_option(self.reply_to)
                + encode_option(None if self.file_name is None else field(self.file_name)))


def read_file_name(reader):
    name = reader.text(MOST_FILE_NAME)
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise Malformed("a file name that is refused")
    return name


def read_options(reader):
    return dict(
        message_type=reader.option(lambda: read_message_type(reader)),
        thread=reader.option(lambda: reader.take(16)),
        reply_to=reader.option(lambda: read_reference(reader)),
        file_name=reader.option(lambda: read_file_name(reader)),
    )


def check_text(data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("text is not UTF-8") from error


def padme(length):
    exponent = length.bit_length() - 1
    size = exponent.bit_length()
    multiple = 1 << exponent - size
    return (length + multiple - 1) // multiple * multiple


def pad(unpadded):
    return unpadded + bytes(max(32, padme(len(unpadded))) - len(unpadded))
