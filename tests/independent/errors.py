"""Sections 1 and 12: what is wrong with bytes that come, and the word for it in a receipt.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""


class Malformed(ValueError):
    """Bytes that are no encoding of what they should be (section 1)."""


class Refused(Exception):
    """A message is refused with a reason of section 12."""

    def __init__(self, reason, why=""):
        super().__init__(f"{reason}: {why}")
        self.reason = reason


REASONS = ["undecryptable", "unknown-prekey", "unknown-session", "replay", "policy", "not-member"]
