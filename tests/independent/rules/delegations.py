"""Section 14: what a reader refuses of delegations, and that the client's sealing is Biscuit's.

Written from docs/protocol.md alone, and must stay so.
"""

import base64
from dataclasses import replace

from biscuit_auth import Algorithm, Biscuit, BiscuitBuildError, BiscuitValidationError, BlockBuilder, PublicKey

from ..checks import expect, expect_raised
from ..clock import DAY, now_ms
from ..delegations import (
    READ,
    SEND,
    HandedOver,
    before,
    certify,
    new_delegation,
    only,
    read_certificate,
    read_handed_over,
    right,
    seal,
)
from ..encoding import Reader, field, u8
from ..limits import LIFE_OF_A_CERTIFICATE
from ..primitives import sha256
from ..tokens import base64url
from .identities import ALICE, BOB, malformed, mixed_order

TIME = 1_795_351_425_123
ORIGIN = "http://127.0.0.1:7117"


def sealing():
    """A token that is sealed here is one to the package: the same but for its end, which takes no block."""
    delegation = new_delegation(ALICE, right(READ), before(TIME)).narrow(only(READ))
    sealed, root = seal(delegation.token), PublicKey.from_bytes(delegation.certificate.key, Algorithm.Ed25519)
    token = Biscuit.from_bytes(sealed, root)
    expect("revocation identifiers", token.revocation_ids, delegation.token.revocation_ids)
    expect("blocks", token.block_count(), 2)
    expect_raised("a block after the seal", BiscuitBuildError, token.append, BlockBuilder(f"{only(READ)};"))
    altered = sealed[:-1] + u8(sealed[-1] ^ 1)
    expect_raised("an altered seal", BiscuitValidationError, Biscuit.from_bytes, altered, root)


def certificates():
    key, life = BOB.key, LIFE_OF_A_CERTIFICATE
    certificate = certify(ALICE, key, TIME, TIME + life)
    expect("a certificate", read_certificate(Reader(certificate.encode())), certificate)
    expect("its length", len(certificate.encode()), 32 + 32 + 8 + 8 + 64)
    for what, wrong in (
        ("with a life above 90 days", certify(ALICE, key, TIME, TIME + life + 1)),
        ("without a life", certify(ALICE, key, TIME, TIME)),
        ("with an end before its beginning", certify(ALICE, key, TIME, TIME - 1)),
        ("for a key of a mixed order", certify(ALICE, mixed_order(key), TIME, TIME + life)),
        ("of another identity than signed it", replace(certificate, identity=BOB.key)),
        ("for another key than was signed", replace(certificate, key=ALICE.key)),
        ("for another time than was signed", replace(certificate, created=TIME + 1)),
    ):
        malformed(f"a certificate {what}", read_certificate, Reader(wrong.encode()))


def grants():
    whole = new_delegation(ALICE, right(SEND), right(READ), before(TIME + 2), created=TIME - DAY)
    expect("all of it", whole.grants(), ({SEND, READ}, TIME + 2))
    expect("narrowed twice", whole.narrow(before(TIME + 3), only(READ)).narrow(before(TIME + 1)).grants(),
           ({READ}, TIME + 1))
    expect("nothing left", whole.narrow(only(READ)).narrow(only(SEND)).grants()[0], set())
    short = new_delegation(ALICE, right(READ), before(TIME), created=1, life=2)
    expect("no longer than its certificate", short.grants()[1], 3)
    for what, narrowed in (("widened", whole.narrow(right(READ))), ("of another word", whole.narrow("check if true")),
                           ("of another first block", new_delegation(ALICE, right(READ), before(TIME), only(READ)))):
        malformed(what, narrowed.grants)


def hand_overs():
    delegation = new_delegation(ALICE, right(READ), before(TIME), created=now_ms())
    text = HandedOver(delegation, BOB.key, ORIGIN).text()
    handed = read_handed_over(text)
    expect("what was handed over", (handed.delegation.certificate, handed.node_id, handed.origin),
           (delegation.certificate, BOB.key, ORIGIN))
    expect("written again", handed.text(), text)
    signature = bytes.fromhex(delegation.token.revocation_ids[0])
    expect("its id", handed.delegation.id, sha256(field("sealpost/v1/delegation-id") + field(signature))[:16])
    encoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for what, wrong in (
        ("with padding", text + "="),
        ("in the other alphabet", text[:40] + "+" + text[41:]),
        ("of another version", base64url(u8(2) + encoded[1:])),
        ("that ends too early", base64url(encoded[:-1])),
        ("that goes on", base64url(encoded + b"a")),
        ("with another's certificate", HandedOver(replace(
            delegation, certificate=new_delegation(ALICE, right(READ)).certificate), BOB.key, ORIGIN).text()),
        ("with too long an origin", HandedOver(delegation, BOB.key, "http://" + 294 * "a").text()),
    ):
        malformed(f"a hand-over {what}", read_handed_over, wrong)
