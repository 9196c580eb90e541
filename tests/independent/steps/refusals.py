"""Sections 9, 10, 12 and 13: what was altered on its way, or comes again, is refused for the right reason.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from dataclasses import replace

from ..checks import expect, expect_refusal
from ..envelopes import decode_envelope
from ..errors import Refused
from ..headers import NONE, decode_header
from ..keys import x25519_public
from ..relay import RelayRefused
from .exchange import new_client, refused, text

ANOTHER_KEY = x25519_public(b"\x07" * 32)


def flipped(data, place=-1):
    """`data` with one bit of the byte at `place` flipped."""
    place %= len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]


def with_opening(envelope, **changes):
    return replace(envelope, opening=replace(envelope.opening, **changes))


def with_kem(envelope, prekey, ciphertext):
    return with_opening(envelope, kem=(envelope.opening.kem[0], prekey, ciphertext))


# What is altered of a session's first envelope, how, and why it is refused then.
ALTERED = (
    ("tag", "undecryptable", lambda e: replace(e, tag=flipped(e.tag))),
    ("nonce", "undecryptable", lambda e: replace(e, nonce=flipped(e.nonce))),
    ("ciphertext", "undecryptable", lambda e: replace(e, ciphertext=flipped(e.ciphertext))),
    ("ratchet key", "undecryptable", lambda e: replace(e, ratchet_key=ANOTHER_KEY)),
    ("counter", "undecryptable", lambda e: replace(e, counter=e.counter + 1)),
    ("previous counter", "undecryptable", lambda e: replace(e, previous_counter=e.previous_counter + 1)),
    ("session", "unknown-session", lambda e: replace(e, session=flipped(e.session))),
    ("opening left out", "unknown-session", lambda e: replace(e, opening=None)),
    ("ephemeral key", "unknown-session", lambda e: with_opening(e, ephemeral=ANOTHER_KEY)),
    ("KEM ciphertext", "unknown-session", lambda e: with_kem(e, e.opening.kem[1], flipped(e.opening.kem[2]))),
    ("signed prekey's id", "unknown-prekey", lambda e: with_opening(e, signed_prekey=99)),
    ("one-time curve key's id", "unknown-prekey", lambda e: with_opening(e, one_time_curve=1 << 30)),
    ("KEM key's id", "unknown-prekey", lambda e: with_kem(e, 1 << 30, e.opening.kem[2])),
)
# The same of a later envelope, which bears the opening still. For another session the opening is read anew; but its
# one-time keys were erased with the first message.
ALTERED_LATER = [alteration for alteration in ALTERED
                 if alteration[0] in ("tag", "nonce", "ciphertext", "counter", "previous counter", "ephemeral key")]
ALTERED_LATER.append(("session", "unknown-prekey", lambda e: replace(e, session=flipped(e.session))))


def here(reference):
    ivan, client = reference.new_agent("refuse-here"), new_client(reference)
    ivan.send(client, "first")
    entry, = client.inbox.fetch()
    envelope, header = decode_envelope(entry.part), decode_header(entry.encoded_header)
    for what, reason, alter in ALTERED:
        forged = replace(entry, part=alter(envelope).encode())
        expect(f"{what}, altered", client.inbox.take(forged).refused, reason)
    undecodable = replace(entry, encoded_header=entry.encoded_header[:-1])
    expect("header that does not decode", client.inbox.take(undecodable).refused, "policy")
    expect("header that does not begin so", client.inbox.take(replace(entry, encoded_header=bytes(48))), None)
    other_header = replace(entry, encoded_header=replace(header, priority=3).encode())
    expect("header's priority, altered", client.inbox.take(other_header).refused, "undecryptable")
    client.inbox.due.clear()

    names = len(client.prekeys.private)
    message = client.inbox.take(entry)
    expect("the true one", message.text, "first")
    expect("one-time keys that are erased", names - len(client.prekeys.private), 2)
    client.inbox.acknowledge(message)
    client.inbox.give_receipts()
    expect("the same again is not shown", client.inbox.take(entry), None)
    expect("and gets the same verdict", client.inbox.due.pop().verdict, 2)
    expect("another header under its id", client.inbox.take(other_header).refused, "replay")
    client.inbox.due.clear()
    session = client.peer(ivan.id).find(envelope.session)
    expect_refusal("the envelope again in its session", Refused, "replay", session.open, header, entry.encoded_header,
                   envelope)

    ivan.send(client, "second")
    entry, = client.inbox.fetch()
    for what, reason, alter in ALTERED_LATER:
        forged = replace(entry, part=alter(decode_envelope(entry.part)).encode())
        expect(f"{what}, altered later", client.inbox.take(forged).refused, reason)
    expect("the true one", client.inbox.take(entry).text, "second")

    client.peers.clear()
    expect_refusal("the opening again without its session", Refused, "unknown-prekey", client.inbox.open_envelope,
                   header, header.encode(), envelope)


def there(reference):
    ivan, client = reference.new_agent("refuse-there"), new_client(reference)
    true = client.outbox.send([ivan.id], text("true"))
    expect("the true one is shown", ivan.texts(), ["true"])
    replayed = ("all of it", "replay", lambda _: decode_envelope(true.parts[ivan.id, 1]))
    expect_refused(ivan, [(client, alteration) for alteration in (*ALTERED_LATER, replayed)])
    client.outbox.send([ivan.id], text("true as well"))
    expect("the true one after them is shown", ivan.texts(), ["true as well"])


def openings(reference):
    """Each from a client of its own."""
    ivan = reference.new_agent("refuse-openings")
    expect_refused(ivan, [(new_client(reference, 0), alteration) for alteration in ALTERED])


def expect_refused(agent, alterations):
    """Each client sends with its alteration; the agent receives all at once, and is to show nothing."""
    forged = []
    for client, (what, reason, alter) in alterations:
        sent = client.outbox.prepare([agent.id], text("altered"))
        sent.parts[agent.id, 1] = alter(decode_envelope(sent.parts[agent.id, 1])).encode()
        client.outbox.submit(sent)
        forged.append((what, reason, client, sent))
    expect("shown", agent.receive(), [])
    for what, reason, client, sent in forged:
        expect(f"{what}, altered", client.outbox.status(sent, agent.id), refused(reason))


def by_the_relay(reference):
    ivan, client = reference.new_agent("refuse-relay"), new_client(reference)
    sent = client.outbox.prepare_without_ratchet([ivan.id], text("signed"), NONE)
    sent.parts[ivan.id, 1] = flipped(sent.parts[ivan.id, 1], 40)
    expect_refusal("signature of a part, altered", RelayRefused, "bad-signature", client.outbox.submit, sent)
