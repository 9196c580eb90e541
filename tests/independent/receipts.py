"""Section 12: receipts.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .encoding import Reader, encode_list, u8, u16, u64
from .errors import REASONS, Malformed
from .identifiers import agent_id_of, read_message_id
from .limits import MOST_LEAVES, MOST_LEVELS
from .primitives import sha256, sign, verify

STORED, ACKNOWLEDGED, REFUSED = 1, 2, 3


@dataclass
class Leaf:
    sender: bytes
    id: bytes
    attempt: int
    header_hash: bytes
    part_hash: bytes
    verdict: int
    reason: str | None
    at: int
    blind: bytes

    def encode(self):
        reason = u8(REASONS.index(self.reason) + 1) if self.verdict == REFUSED else b""
        return (self.sender + self.id + u16(self.attempt) + self.header_hash + self.part_hash
                + u8(self.verdict) + reason + u64(self.at) + self.blind)


def read_leaf(reader):
    sender, message_id, attempt = reader.take(32), read_message_id(reader), reader.u16()
    if attempt == 0:
        raise Malformed("attempt 0")
    header, part, verdict = reader.take(32), reader.take(32), reader.one_of((1, 2, 3))
    reason = REASONS[reader.one_of(range(1, 7)) - 1] if verdict == REFUSED else None
    return Leaf(sender, message_id, attempt, header, part, verdict, reason, reader.u64(), reader.take(16))


def leaf_hash(leaf):
    return sha256(b"\x00" + leaf)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def split(count):
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def merkle_root(leaves):
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    half = split(len(leaves))
    return node_hash(merkle_root(leaves[:half]), merkle_root(leaves[half:]))


def follow_path(leaf, index, count, siblings):
    """The root that a path leads to (RFC 9162, 2.1.3.2); none if the path fails."""
    if index >= count:
        return None
    last, root = count - 1, leaf_hash(leaf)
    for sibling in siblings:
        if last == 0:
            return None
        if index & 1 or index == last:
            root = node_hash(sibling, root)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        index, last = index >> 1, last >> 1
    return root if last == 0 else None


@dataclass
class Head:
    recipient: bytes
    number: int
    previous_root: bytes
    root: bytes

    def encode(self):
        return self.recipient + u64(self.number) + self.previous_root + self.root


def read_head(reader):
    return Head(reader.take(32), reader.u64(), reader.take(32), reader.take(32))


def sign_batch(identity, last, leaves):
    """The next batch after the head `last`, or the first; and its head."""
    encoded = [leaf.encode() for leaf in leaves]
    head = Head(identity.id, last.number + 1 if last else 1, last.root if last else bytes(32), merkle_root(encoded))
    signature = sign(identity.signing, "sealpost/v1/receipt-head", head.encode())
    return head.encode() + signature + encode_list(encoded), head


def decode_batch(encoded):
    reader = Reader(encoded)
    head, signature = read_head(reader), reader.take(64)
    leaves = reader.list(lambda: read_leaf(reader), MOST_LEAVES, 1)
    reader.end()
    return head, signature, leaves


def check_proof(proof, identity_key):
    """The leaf of a proof that holds under the recipient's identity key; none else."""
    reader = Reader(proof)
    leaf = read_leaf(reader)
    index, count = reader.u16(), reader.u16()
    siblings = reader.list(lambda: reader.take(32), MOST_LEVELS)
    head, signature = read_head(reader), reader.take(64)
    reader.end()
    if follow_path(leaf.encode(), index, count, siblings) != head.root:
        return None
    if head.recipient != agent_id_of(identity_key):
        return None
    return leaf if verify(identity_key, "sealpost/v1/receipt-head", head.encode(), signature) else None
