"""Section 22: what is said of a group, and what a member makes of it.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass
from dataclasses import field as dataclass_field

from .encoding import Reader
from .errors import Malformed, Refused
from .limits import GROUP_KEY, MOST_GROUP_NAME, MOST_RECIPIENTS
from .primitives import labelled_hash


@dataclass
class Group:
    """A membership, as its member knows it."""
    revision: int = 0
    epoch: int = -1
    members: dict = dataclass_field(default_factory=dict)  # agent id: since
    secrets: dict = dataclass_field(default_factory=dict)  # by epoch
    ended: bool = False


@dataclass
class HandOver:
    nonce: bytes
    name: str
    revision: int
    members: dict  # agent id: since
    group: bytes
    epoch: int
    secret: bytes


@dataclass
class GroupEnd:
    group: bytes
    since: int


def read_hand_over(reader):
    nonce, name, revision = reader.take(16), reader.text(MOST_GROUP_NAME), reader.u64()
    members = reader.list(lambda: (reader.take(32), reader.u64()), MOST_RECIPIENTS, 1)
    key = Reader(reader.bytes(GROUP_KEY))
    key.one_of((1,))
    hand_over = HandOver(nonce, name, revision, dict(members), key.take(16), key.u32(), key.take(32))
    key.end()
    ids = [member for member, _ in members]
    if (not name or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name) or revision == 0
            or any(a >= b for a, b in zip(ids, ids[1:], strict=False))
            or any(since > revision for _, since in members)):
        raise Malformed("a roster that is refused")
    return hand_over


def group_id(founder, nonce):
    return labelled_hash("sealpost/v1/group", founder + nonce)[:16]


def take_hand_over(groups, own, sender, said):
    """What a hand-over changes: the rows of section 22's table that one membership needs."""
    if said.group != group_id(sender, said.nonce) or not {sender, own} <= said.members.keys():
        raise Refused("policy", "not the sender's to say")
    group = groups.setdefault(said.group, Group())
    if group.secrets.get(said.epoch, said.secret) != said.secret:
        raise Refused("policy", "another secret of an epoch")
    if said.revision > group.revision and said.epoch < group.epoch:
        raise Refused("policy", "an earlier epoch under a greater revision")
    group.secrets[said.epoch] = said.secret
    if said.revision > group.revision:
        group.revision, group.epoch, group.members = said.revision, said.epoch, said.members


def take_end(groups, said):
    if said.group in groups:
        groups[said.group].ended = True
