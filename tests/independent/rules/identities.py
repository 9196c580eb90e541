"""Sections 1 to 5: encodings, keys, manifests and bundles.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import replace

from ..bundles import check_bundle
from ..checks import expect, expect_raised, expect_refusal
from ..clock import DAY, now_ms
from ..encoding import Reader, encode_list, field, u8, u16
from ..errors import Malformed, Refused
from ..identifiers import decode_id, encode_id
from ..keys import Identity, check_identity_key, check_kem_key, check_x25519_key, x25519
from ..manifests import (
    ONE_TIME_CURVE,
    PQXDH,
    SEALING,
    SIGNED,
    X3DH,
    Manifest,
    decode_manifest,
    decode_one_time_key,
    sign_manifest,
    sign_one_time_key,
)
from ..prekeys import Prekeys
from ..primitives import sign, verify

ALICE, BOB = Identity(b"\x01" * 32), Identity(b"\x02" * 32)
FIELD_PRIME = 2**255 - 19


def malformed(what, read, *arguments):
    expect_raised(what, Malformed, read, *arguments)


def encoding():
    for what, encoded, read in (
        ("input that ends inside a field", b"\0\0", Reader.u32),
        ("a length above what is there", b"\0\0\0\2a", lambda reader: reader.bytes(9)),
        ("a length above the limit", field(b"abc"), lambda reader: reader.bytes(2)),
        ("an option's third tag", b"\2", lambda reader: reader.option(reader.u8)),
        ("text that is not UTF-8", field(b"\xff"), lambda reader: reader.text(9)),
        ("an empty list where one item is the least", u16(0), lambda reader: reader.list(reader.u8, 9, 1)),
        ("too many items", encode_list([b"a"] * 3), lambda reader: reader.list(reader.u8, 2)),
        ("bytes after the last field", b"a", Reader.end),
    ):
        malformed(what, read, Reader(encoded))
    text = encode_id("agent", ALICE.id)
    for what, altered in (
        ("mixed case", text.replace("agent", "Agent")),
        ("another prefix", "node" + text[5:]),
        ("another checksum", text[:-1] + ("q" if text[-1] != "q" else "p")),
        ("another length", text[:-1]),
    ):
        malformed(f"an id with {what}", decode_id, "agent", altered)


def keys():
    for key in (0, 1, FIELD_PRIME - 1, FIELD_PRIME, FIELD_PRIME + 9, 2**255 + 9,
                0xB8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
                0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F):
        malformed(f"X25519 key {key:x}", check_x25519_key, key.to_bytes(32, "little"))
    of_order_two = (FIELD_PRIME - 1).to_bytes(32, "little")
    for what, key in (("the neutral element", u8(1) + bytes(31)), ("order 2", of_order_two), ("order 4", bytes(32)),
                      ("a mixed order", mixed_order(ALICE.key)),
                      ("a non-canonical encoding", (FIELD_PRIME + 1).to_bytes(32, "little")),
                      ("no point", u8(2) + bytes(31)), ("another length", ALICE.key + b"\0")):
        malformed(f"an identity key: {what}", check_identity_key, key)
    malformed("a KEM key with a coefficient of 3,329", check_kem_key, b"\x01\x0d" + bytes(1182))
    expect_refusal("an agreement of zeros", Refused, "undecryptable", x25519, b"\x07" * 32, bytes(32))
    signature = sign(ALICE.signing, "label", b"signed")
    expect("a signature", verify(ALICE.key, "label", b"signed", signature), True)
    group_order = 2**252 + 27742317777372353535851937790883648493
    beyond = (int.from_bytes(signature[32:], "little") + group_order).to_bytes(32, "little")
    for what, key, label, data, made in (
        ("another key", BOB.key, "label", b"signed", signature),
        ("another label", ALICE.key, "labe", b"lsigned", signature),
        ("an S above the order", ALICE.key, "label", b"signed", signature[:32] + beyond),
    ):
        expect(f"a signature under {what}", verify(key, label, data, made), False)


def mixed_order(key):
    """The point of `key` plus the point of order two: both coordinates negated."""
    y = int.from_bytes(key, "little") & (1 << 255) - 1
    return (FIELD_PRIME - y | ((key[31] >> 7) ^ 1) << 255).to_bytes(32, "little")


def manifests():
    prekeys, created = Prekeys(ALICE), now_ms()
    signed_prekey, last_resort, sealing_key = prekeys.new_for_manifest(30 * DAY, True)
    manifest = Manifest(ALICE.key, [PQXDH, X3DH], signed_prekey, last_resort, sealing_key, 1, created,
                        created + 31 * DAY)
    expect("a manifest", decode_manifest(sign_manifest(ALICE, manifest)), manifest)
    expired = replace(signed_prekey, created=created - 2 * DAY, expires=created - DAY)
    for what, changes in (
        ("a suite twice", dict(suites=[PQXDH, PQXDH])),
        ("no suite", dict(suites=[])),
        ("PQXDH without a last-resort key", dict(last_resort_kem=None)),
        ("X3DH alone with a last-resort key", dict(suites=[X3DH])),
        ("a life above 31 days", dict(expires=created + 31 * DAY + 1)),
        ("no life", dict(expires=created)),
        ("a prekey without a life", dict(signed_prekey=replace(signed_prekey, expires=signed_prekey.created))),
        ("a sealing key of small order", dict(sealing_key=replace(sealing_key, key=bytes(32)))),
    ):
        malformed(f"a manifest with {what}", decode_manifest, sign_manifest(ALICE, replace(manifest, **changes)))
    malformed("a manifest of another signer", decode_manifest, sign_manifest(BOB, manifest))
    (curve,), (kem,) = prekeys.new_one_time_keys(1)
    malformed("a one-time key of another signer", decode_one_time_key, curve, ONE_TIME_CURVE, BOB.key)
    of_another_kind = sign_one_time_key(ALICE, SIGNED, prekeys.new(ONE_TIME_CURVE, DAY))
    malformed("a one-time key signed as another kind", decode_one_time_key, of_another_kind, ONE_TIME_CURVE, ALICE.key)

    encoded, seen = sign_manifest(ALICE, manifest), {}
    bundle = check_bundle(encoded, curve, kem, ALICE.id, seen, [PQXDH, X3DH])
    expect("a bundle's suite and KEM key", (bundle.suite, bundle.kem_kind), (PQXDH, 1))
    kem_of_another = Prekeys(BOB).new_one_time_keys(1)[1][0]
    gone = sign_one_time_key(ALICE, ONE_TIME_CURVE, replace(prekeys.new(SEALING, DAY), created=1, expires=2))
    for what, signed, curve_key, kem_key, wanted in (
        ("of another agent", encoded, curve, kem, BOB.id),
        ("with a one-time key of another", encoded, curve, kem_of_another, ALICE.id),
        ("with an expired one-time key", encoded, gone, kem, ALICE.id),
        ("with an expired signed prekey", sign_manifest(ALICE, replace(manifest, signed_prekey=expired, version=2)),
         curve, kem, ALICE.id),
        ("of an older version", sign_manifest(ALICE, replace(manifest, version=0)), curve, kem, ALICE.id),
        ("of another manifest of the version", sign_manifest(ALICE, replace(manifest, suites=[X3DH, PQXDH])), curve,
         kem, ALICE.id),
    ):
        malformed(f"a bundle {what}", check_bundle, signed, curve_key, kem_key, wanted, seen, [PQXDH, X3DH])
    malformed("a bundle without a common suite", check_bundle, encoded, curve, kem, ALICE.id, seen, [])
