"""Section 14: delegations that the relay gives no token for.

Written from docs/protocol.md alone, and must stay so.
"""

import secrets
from dataclasses import replace

from biscuit_auth import BlockBuilder, KeyPair

from ..checks import expect
from ..clock import DAY, MINUTE, now_ms
from ..delegations import READ, SEND, before, certify, for_claim, new_delegation, only, right, seal, source
from ..keys import Identity
from ..limits import LIFE_OF_A_CERTIFICATE, MOST_BLOCKS, MOST_TOKEN
from ..primitives import sha256, sign
from ..relay import DelegateRelay, by_right_of, to_base64
from ..rules.identities import mixed_order
from .delegates import delegate_to, outcome, soon
from .exchange import new_client
from .refusals import flipped

OTHER_STATEMENTS = (
    'right("receive")',
    'right("read", 1)',
    'user("anybody")',
    'right("send") <- user($user)',
    "check if true",
    "reject if false",
    'check if operation("receive")',
    'check if operation("read") or operation("send")',
    'check if operation("read") trusting previous',
    "check if time($time), $time <= 2795351425123",
    "check if time($now), $now < 2795351425123",
    "check if time($time), $time < 2795351425123, $time < 2795351425124",
    "check if time($time), $time < 2059-03-25T14:00:00Z",
    "check all time($time), $time < 2795351425123",
)


def tokens(reference):
    """Blocks that say what they may not, or too little, or come too late."""
    client = new_client(reference)

    def first(*statements):
        return new_delegation(client.identity, *statements)
    read, send = right(READ), right(SEND)
    both = first(read, send, soon())

    def length(ends):
        return len(first(read, *[soon()] * ends).show(b"any claim"))
    most_ends = max(ends for ends in range(1, MOST_TOKEN // 24) if length(ends) <= MOST_TOKEN)
    expect("lengths around the limit", length(most_ends) <= MOST_TOKEN < length(most_ends + 1), True)
    expect_outcomes(reference, "forbidden", [
        *((f"first block: {other}", first(read, soon(), other)) for other in OTHER_STATEMENTS),
        *((f"a later block: {other}", both.narrow(other)) for other in OTHER_STATEMENTS),
        ("no right", first(soon())),
        ("no end", first(read)),
        ("an end in a later block alone", first(read).narrow(soon())),
        ("a right alone, in the first block", first(read, send, soon(), only(READ))),
        ("widened", first(read, soon()).narrow(send)),
        ("a right that is there, again", both.narrow(read)),
        ("no right is left", both.narrow(only(SEND)).narrow(only(READ))),
        ("another right alone", first(read, soon()).narrow(only(SEND))),
        ("too many blocks", with_blocks(both, MOST_BLOCKS)),
        ("too many bytes", first(read, *[soon()] * (most_ends + 1))),
        ("a block of a third party", with_third_party(both)),
    ])
    expect_outcomes(reference, "expired", [
        ("its end has come", first(read, before(now_ms() - 1))),
        ("the earlier of two ends has come", first(read, soon(), before(now_ms() - 1))),
        ("a later block's end has come", both.narrow(before(now_ms() - 1))),
    ])
    expect_outcomes(reference, "done", [
        ("as many bytes as may be", first(read, *[soon()] * most_ends)),
        ("as many blocks as may be, with the one that binds", with_blocks(both, MOST_BLOCKS - 1)),
        ("ends in several blocks", both.narrow(soon(), only(READ)).narrow(soon())),
        ("a later end, which widens nothing", first(read, soon()).narrow(before(now_ms() + DAY))),
    ])


def certificates(reference):
    """Section 14 does not name the codes of a certificate that does not decode or verify: 16 has them of manifests."""
    client, other = new_client(reference), Identity(secrets.token_bytes(32))
    good, now = delegate_to(client, READ), now_ms()

    def with_life(created, life):
        return new_delegation(client.identity, right(READ), soon(), created=created, life=life)

    def with_certificate(certificate):
        return replace(good, certificate=certificate)
    signed = good.certificate.signed()
    expect_outcomes(reference, "forbidden", [
        ("of another key", with_certificate(delegate_to(client, READ).certificate)),
        ("from the future", with_life(now + 6 * MINUTE, DAY)),
    ])
    expect_outcomes(reference, "malformed", [
        ("a life above 90 days", with_life(now, LIFE_OF_A_CERTIFICATE + 1)),
        ("no life", with_life(now, 0)),
        ("a key of a mixed order", with_certificate(
            certify(client.identity, mixed_order(good.certificate.key), now, now + DAY))),
    ])
    expect_outcomes(reference, "bad-signature", [
        ("signed by another", with_certificate(replace(
            good.certificate, signature=sign(other.signing, "sealpost/v1/delegation-key", signed)))),
        ("signed under another label", with_certificate(replace(
            good.certificate, signature=sign(client.identity.signing, "sealpost/v1/access", signed)))),
        ("of another time than was signed", with_certificate(replace(
            good.certificate, expires=good.certificate.expires - 1))),
    ])
    expect_outcomes(reference, "expired", [("its end has come", with_life(now - DAY, DAY - 1))])
    expect_outcomes(reference, "done", [
        ("a life of 90 days", with_life(now, LIFE_OF_A_CERTIFICATE)),
        ("nearly from the future", with_life(now + 4 * MINUTE, DAY)),
    ])


def shown(reference):
    """What is shown is bound to one claim, sealed, and of the identity that the claim names."""
    client, other = new_client(reference), Identity(secrets.token_bytes(32))
    good, foreign = delegate_to(client, READ), new_delegation(other, right(READ), soon())
    for_another = good.narrow(for_claim(b"another claim"))
    for what, show in (
        ("for another claim", lambda _: seal(for_another.token)),
        ("for no claim", lambda _: seal(good.token)),
        ("for the claim without its label", lambda claim: seal(good.narrow(without_label(claim)).token)),
        ("for the claim, as text", lambda claim: seal(good.narrow(as_text(claim)).token)),
        ("not sealed", lambda claim: bytes(good.narrow(for_claim(claim)).token.to_bytes())),
        ("an altered seal", lambda claim: flipped(good.show(claim))),
        ("bound, and a statement beside it", lambda claim: seal(good.narrow(for_claim(claim), only(READ)).token)),
        ("bound, and a block after it", lambda claim: seal(good.narrow(for_claim(claim)).narrow(only(READ)).token)),
        ("bound twice", lambda claim: good.narrow(for_claim(claim)).show(claim)),
        ("bound to this claim after another", for_another.show),
        ("no token", lambda _: b"no token"),
    ):
        expect(what, outcome_of(reference, good, lambda claim: by_right_of(good, show(claim))), "forbidden")
    expect("another identity's", outcome_of(reference, good, lambda claim: by_right_of(foreign, foreign.show(claim))),
           "forbidden")
    expect("a signature beside it", outcome_of(reference, good, lambda claim: {
        "signature": to_base64(sign(client.identity.signing, "sealpost/v1/access", claim)),
        **by_right_of(good, good.show(claim))}), "malformed")
    expect("neither", outcome_of(reference, good, lambda _: {}), "malformed")
    expect("as it should be", outcome_of(reference, good, lambda claim: by_right_of(good, good.show(claim))), "done")


def challenges(reference):
    """A claim that passes uses its challenge up, and no other does; which check comes first."""
    client = new_client(reference)
    good = delegate_to(client, READ)
    relay = DelegateRelay(reference.origin, good)
    challenge, expires = relay.ask_for_challenge()
    for what, delegation, shown, expected in (
        ("refused", good.narrow("check if true"), challenge, "forbidden"),
        ("the same challenge", good, challenge, "done"),
        ("once more", good, challenge, "challenge-rejected"),
        ("another node's challenge, before the delegation", good.narrow("check if true"), flipped(challenge),
         "challenge-rejected"),
        ("its end, after its blocks", good.narrow(before(1), "check if true"), challenge, "forbidden"),
    ):
        relay.delegation = delegation
        expect(what, outcome(relay.ask_for_token, shown, expires), expected)
    client.relay.revoke([good.id])
    for what, delegation, expected in (("revoked, before the challenge", good, "forbidden"),
                                       ("its end, before it is revoked", good.narrow(before(1)), "expired")):
        relay.delegation = delegation
        expect(what, outcome(relay.ask_for_token, challenge, expires), expected)


def without_label(claim):
    return f"check if claim(hex:{sha256(claim).hex()})"


def as_text(claim):
    return for_claim(claim).replace("hex:", '"').replace(")", '")')


def with_blocks(delegation, count):
    """`delegation` with blocks that change nothing, so that there are so many."""
    while delegation.token.block_count() < count:
        delegation = delegation.narrow(soon())
    return delegation


def with_third_party(delegation):
    third_party = KeyPair().private_key
    block = delegation.token.third_party_request().create_block(third_party, BlockBuilder(source([only(READ)])))
    token = delegation.token.append_third_party(KeyPair.from_private_key(third_party).public_key, block)
    return replace(delegation, token=token)


def expect_outcomes(reference, expected, delegations):
    """What becomes of asking for a token by each."""
    for what, delegation in delegations:
        expect(what, outcome(DelegateRelay(reference.origin, delegation).authenticate), expected)


def outcome_of(reference, delegation, credential):
    relay = DelegateRelay(reference.origin, delegation)
    relay.credential = credential
    return outcome(relay.authenticate)
