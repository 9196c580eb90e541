"""Sections 6 to 8, 12 and 22: headers, payloads, bodies, hand-overs and receipts.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import replace

import zstandard

from ..bodies import decode_body, derive_body, encode_body, open_body, seal_body
from ..checks import expect, expect_refusal
from ..client import Client
from ..clock import DAY, MINUTE, now_ms
from ..contents import BYTES, Content, padme, read_options
from ..encoding import Reader, encode_list, encode_option, field, u8, u16, u32, u64
from ..envelopes import Envelope, decode_envelope
from ..errors import Refused
from ..groups import HandOver, group_id, read_hand_over, take_hand_over
from ..headers import CONTROL, RATCHET, Header, decode_header
from ..identifiers import new_message_id
from ..keys import x25519_public
from ..payloads import BodyKey, Mark, decode_payload, encode_payload
from ..primitives import sign
from ..receipts import (
    REFUSED,
    STORED,
    Head,
    Leaf,
    check_proof,
    decode_batch,
    follow_path,
    leaf_hash,
    merkle_root,
    node_hash,
    sign_batch,
)
from .identities import ALICE, BOB, malformed

HEAD = "sealpost/v1/receipt-head"


def header(**changes):
    created = now_ms()
    return replace(Header(ALICE.id, new_message_id(created, 0), [BOB.id], RATCHET, created, created + DAY), **changes)


def headers():
    expect("a header", decode_header(header().encode()).recipients, [BOB.id])
    created = now_ms()
    for what, changes in (
        ("recipients that do not ascend", dict(recipients=sorted((ALICE.id, BOB.id), reverse=True))),
        ("a recipient twice", dict(recipients=[BOB.id, BOB.id])),
        ("no recipient", dict(recipients=[])),
        ("an unknown scheme", dict(scheme=4)),
        ("an unknown class", dict(message_class=2)),
        ("priority 0", dict(priority=0)),
        ("an id of another time", dict(id=new_message_id(created - 1_000, 0))),
        ("an id of another version", dict(id=bytes(16))),
        ("a reply to no message id", dict(reply_to=bytes(48))),
        ("a life above 30 days", dict(created=created, id=new_message_id(created, 0), expires=created + 30 * DAY + 1)),
        ("a control message outside the ratchet", dict(message_class=CONTROL, scheme=2)),
        ("an empty body", dict(body=(0, bytes(32)))),
        ("a body above 64 GiB", dict(body=((64 << 30) + 1, bytes(32)))),
        ("a message type with a space", dict(message_type="a b")),
        ("a message type of 65 bytes", dict(message_type="a" * 65)),
    ):
        malformed(f"a header with {what}", decode_header, header(**changes).encode())
    envelope = Envelope(bytes(16), x25519_public(b"\x01" * 32), 0, 0, None, bytes(12), b"", bytes(16))
    expect("an envelope", decode_envelope(envelope.encode()), envelope)
    malformed("an envelope whose ratchet key is of small order", decode_envelope,
              replace(envelope, ratchet_key=bytes(32)).encode())


def composing():
    """A sender's ids ascend, also when its clock has gone back."""
    outbox = Client("http://localhost").outbox
    ids = [outbox.compose([BOB.id], RATCHET).id for _ in range(3)]
    outbox.last_id = (now_ms() + MINUTE, 7)
    ids += [outbox.compose([BOB.id], RATCHET).id for _ in range(3)]
    expect("ids", sorted(set(ids)), ids)


def payloads():
    said, ordinary = encode_payload(Content(b"hello")), header()
    control = header(message_class=CONTROL)
    key = BodyKey(b"\x05" * 32, derive_body(b"\x05" * 32)[1], 100, bytes(32))
    with_body = header(body=(100, bytes(32)))
    expect("a payload", decode_payload(said, ordinary), Content(b"hello"))
    expect("a body's key", decode_payload(encode_payload(key), with_body), key)
    for what, plaintext, under in (
        ("longer padding", said + bytes(32), ordinary),
        ("shorter padding", said[:-1], ordinary),
        ("padding that is not zeros", said[:-1] + b"\1", ordinary),
        ("another format", b"\2" + said[1:], ordinary),
        ("an unknown kind", said[:1] + b"\4" + said[2:], ordinary),
        ("an unknown content kind", said.replace(b"\0\0\0\0\5", b"\2\0\0\0\5"), ordinary),
        ("text that is not UTF-8", encode_payload(Content(b"\xff")), ordinary),
        ("a file name with a slash", encode_payload(Content(b"", file_name="a/b")), ordinary),
        ("the file name `..`", encode_payload(Content(b"", file_name="..")), ordinary),
        ("a message in a control message", said, control),
        ("a step in a message", encode_payload(None), ordinary),
        ("a control message that asks for a step", encode_payload(None, 1), control),
        ("a mark of no message id", encode_payload(Mark(bytes(16), True)), control),
        ("a message beside a body", said, with_body),
        ("a body's key without a body", encode_payload(key), ordinary),
        ("the key of another body", encode_payload(replace(key, length=101)), with_body),
        ("another commitment", encode_payload(replace(key, commitment=bytes(32))), with_body),
    ):
        malformed(f"a payload with {what}", decode_payload, plaintext, under)


def bodies():
    key, other = b"\x05" * 32, b"\x06" * 32
    plaintext = encode_body(Content(bytes(150_000), BYTES))
    sealed = seal_body(key, plaintext)
    expect("a body", decode_body(open_body(key, sealed)).data, bytes(150_000))
    first, second = sealed[33:33 + 65_552], sealed[33 + 65_552:33 + 2 * 65_552]
    for what, altered, under in (
        ("another key", sealed, other),
        ("another commitment", sealed[:1] + bytes(32) + sealed[33:], key),
        ("a chunk left out", sealed[:33] + sealed[33 + 65_552:], key),
        ("the last chunk left out", sealed[:33] + first + second, key),
        ("chunks in another order", sealed[:33] + second + first + sealed[33 + 2 * 65_552:], key),
    ):
        expect_refusal(f"a body with {what}", Refused, "undecryptable", open_body, under, altered)
    malformed("a body without chunks", open_body, key, sealed[:33])
    words = b"again and again " * 1_000
    frame = zstandard.ZstdCompressor().compress(words)
    expect("a compressed body", decode_body(compressed(words, len(words), frame)).data, words)
    for what, altered in (
        ("padding that is not zeros", encode_body(Content(b"x" * 37))[:-1] + b"\1"),
        ("longer padding", encode_body(Content(b"hello")) + bytes(64)),
        ("text that is not UTF-8", encode_body(Content(b"\xff"))),
        ("a frame of fewer bytes", compressed(words, len(words) + 1, frame)),
        ("a frame of more bytes", compressed(words, len(words) - 1, frame)),
        ("bytes after the frame", compressed(words, len(words), frame + b"\0")),
        ("a frame that is longer than its content", compressed(b"hi", 2, zstandard.ZstdCompressor().compress(b"hi"))),
    ):
        malformed(f"a body with {what}", decode_body, altered)
    malformed("file name `.`", read_options, Reader(bytes(3) + encode_option(field("."))))


def compressed(content, length, frame):
    plaintext = b"\1" + Content(content).encode_options() + u8(3) + u64(length) + u64(len(frame)) + frame
    return plaintext + bytes(padme(len(plaintext)) - len(plaintext))


def groups():
    nonce, secret = b"\x08" * 16, b"\x05" * 32
    group = group_id(ALICE.id, nonce)
    said = HandOver(nonce, "team", 2, {ALICE.id: 1, BOB.id: 2}, group, 1, secret)
    expect("a hand-over", read_hand_over(Reader(hand_over(said))), said)
    for what, changes in (
        ("no name", dict(name="")), ("a control character in the name", dict(name="te\u0085am")),
        ("a name of 65 bytes", dict(name="a" * 65)), ("revision 0", dict(revision=0, members={ALICE.id: 0})),
        ("no members", dict(members={})), ("a later `since`", dict(members={ALICE.id: 1, BOB.id: 3})),
    ):
        malformed(f"a hand-over with {what}", read_hand_over, Reader(hand_over(replace(said, **changes))))
    descending = hand_over(said, sorted(said.members.items(), reverse=True))
    malformed("a hand-over whose members do not ascend", read_hand_over, Reader(descending))
    known = {}
    take_hand_over(known, BOB.id, ALICE.id, said)
    for what, sender, changes in (
        ("another's group", BOB.id, {}),
        ("a roster without the sender", ALICE.id, dict(members={BOB.id: 1})),
        ("a roster without the receiver", ALICE.id, dict(members={ALICE.id: 1})),
        ("another secret of an epoch", ALICE.id, dict(secret=bytes(32))),
        ("an earlier epoch under a greater revision", ALICE.id, dict(revision=3, epoch=0)),
    ):
        expect_refusal(what, Refused, "policy", take_hand_over, known, BOB.id, sender, replace(said, **changes))
    take_hand_over(known, BOB.id, ALICE.id, replace(said, revision=1, epoch=0, secret=bytes(32)))
    expect("epoch after an earlier revision", (known[group].revision, known[group].epoch), (2, 1))
    expect("its key is kept", known[group].secrets, {1: secret, 0: bytes(32)})


def hand_over(said, members=None):
    key = u8(1) + said.group + u32(said.epoch) + said.secret
    members = [member + u64(since) for member, since in members or sorted(said.members.items())]
    return said.nonce + field(said.name) + u64(said.revision) + encode_list(members) + field(key)


def receipts():
    leaves = [Leaf(ALICE.id, new_message_id(now_ms(), number), 1, bytes(32), bytes(32), STORED, None, 1, bytes(16))
              for number in range(201)]
    batch, _ = sign_batch(BOB, None, leaves[:3])
    expect("a batch", decode_batch(batch)[2], leaves[:3])
    for what, changed in (("201 leaves", leaves), ("no reason", [replace(leaves[0], verdict=REFUSED, reason="policy")]),
                          ("attempt 0", [replace(leaves[0], attempt=0)])):
        encoded = sign_batch(BOB, None, changed)[0]
        if what == "no reason":
            encoded = encoded.replace(b"\x03\x05", b"\x03\x00")
        malformed(f"a batch with {what}", decode_batch, encoded)
    for what, recipient, signer, expected in (
        ("", BOB.id, BOB, leaves[0]), (" whose head names another", ALICE.id, BOB, None),
        (" that another has signed", BOB.id, ALICE, None),
    ):
        head = Head(recipient, 1, bytes(32), leaf_hash(leaves[0].encode())).encode()
        proof = leaves[0].encode() + u16(0) + u16(1) + u16(0) + head + sign(signer.signing, HEAD, head)
        expect(f"a proof{what}", check_proof(proof, BOB.key), expected)
    # RFC 9162, 2.1.3: the path of the third of three leaves is one node long.
    inputs = [leaf.encode() for leaf in leaves[:3]]
    path = [node_hash(leaf_hash(inputs[0]), leaf_hash(inputs[1]))]
    expect("root of three leaves by a path", follow_path(inputs[2], 2, 3, path), merkle_root(inputs))
    for what, index, siblings in (("a path that is too long", 2, path * 2), ("a path that is too short", 2, []),
                                  ("an index outside the tree", 3, path)):
        expect(what, follow_path(inputs[2], index, 3, siblings), None)
