"""Section 14: what a delegate may do at the relay, and how long.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

import secrets
import time
import uuid

from ..bodies import describe
from ..checks import expect, expect_refusal
from ..clock import MINUTE, now_ms
from ..contents import Content
from ..delegations import READ, SEND, before, new_delegation, right
from ..headers import NONE, SCHEME_NAMES
from ..receipts import ACKNOWLEDGED, sign_batch
from ..relay import DelegateRelay, RelayRefused
from .exchange import PENDING, new_client, text

BOTH, NOBODY = {SEND, READ}, set()


def soon():
    return before(now_ms() + 10 * MINUTE)


def delegate_to(client, *rights):
    """A delegation of a client's agent, with these rights."""
    return new_delegation(client.identity, *map(right, rights), soon())


def delegate_of(client, *rights):
    """A relay as one of its delegates uses it."""
    return DelegateRelay(client.relay.origin, delegate_to(client, *rights))


def reads(reference):
    """What a `read` delegate sees is what the agent sees, and the sender is told that it was handed over."""
    client, peer = new_client(reference), new_client(reference)
    waiting = peer.outbox.send([client.id], text("waits"))
    with_body = peer.outbox.send([client.id], text("as a body"), as_body=True)
    sent = client.outbox.send([peer.id], text("on its way"))
    expect("status before", peer.outbox.status(waiting, client.id), PENDING)
    delegate = delegate_of(client, READ)
    entries = delegate.receive(0, 0)
    expect("what waits", [entry.encoded_header for entry in entries],
           [message.encoded_header for message in (waiting, with_body)])
    expect("handed over", peer.outbox.status(waiting, client.id).state, "in-transit")
    expect("as the agent has it", client.relay.receive(0, 0), entries)
    expect("body", delegate.get_body(peer.id, with_body.header.id, 0), with_body.body)
    expect("status of what the agent sent", delegate.get_status(sent.header.id),
           client.relay.get_status(sent.header.id))
    expect("events", delegate.events(), client.relay.events())
    expect("how many", len(delegate.events()), 3)
    with delegate.follow_events() as stream:
        expect("as they come", [stream.next() for _ in range(3)], delegate.events())
    expect("standing", (delegate.standing(), client.inbox.check_standing()), (b"", True))
    expect("opened by the agent at last", [message.text for message in client.inbox.receive()], ["waits", "as a body"])
    expect("the standing after it", delegate.standing(), client.relay.standing())
    expect("nothing waits", delegate.receive(0, 0), [])


def sends(reference):
    """A `send` delegate hands over what the agent has sealed, with a body or without, and claims prekeys."""
    client, frank = new_client(reference), reference.new_agent("delegate-sends")
    delegate = delegate_of(client, SEND)
    agent_relay, client.relay = client.relay, delegate
    sent = client.outbox.send([frank.id], text("by another's hand"))
    large = client.outbox.send([frank.id], Content(secrets.token_bytes(3 << 20)))
    client.relay = agent_relay
    first, second = frank.receive()
    expect("opened there", (first["text"], second["length"]), ("by another's hand", 3 << 20))
    expect("whose", first["from"], client.name)
    for message in (sent, large):
        status = client.outbox.status(message, frank.id)
        expect("status, told to the agent", (status.state, status.proven), ("delivered", True))
    of_another = new_client(reference).outbox.prepare_without_ratchet([frank.id], text("not the agent's"), NONE)
    expect_refusal("what another has signed", RelayRefused, "forbidden", delegate.send, of_another.encoded_header,
                   [(frank.id, 1, of_another.parts[frank.id, 1])], of_another.body)


def rights(reference):
    """Each call, and whose delegates may make it."""
    client, peer = new_client(reference), new_client(reference)
    peer.outbox.send([client.id], text("waits"))
    message = client.inbox.take(client.inbox.fetch()[0])
    client.inbox.note(message.entry, peer.id, message.header.id, ACKNOWLEDGED)
    batch, _ = sign_batch(client.identity, None, client.inbox.due)
    sent, body = client.outbox.send([peer.id], text("sent"), as_body=True), secrets.token_bytes(100)
    sealed = client.outbox.prepare([peer.id], text("sealed"))
    for granted in ({SEND}, {READ}, BOTH):
        delegate, upload = delegate_of(client, *granted), str(uuid.uuid4())
        begin = upload, SCHEME_NAMES[NONE], *describe(body)
        for what, allowed, call, *arguments in (
            ("claim", {SEND}, delegate.claim_bundle, peer.id, secrets.token_bytes(16)),
            ("send", {SEND}, delegate.send, sealed.encoded_header, [(peer.id, 1, sealed.parts[peer.id, 1])]),
            ("begin an upload", {SEND}, delegate.begin_upload, *begin),
            ("get an upload", {SEND}, delegate.upload_status, upload),
            ("append to it", {SEND}, delegate.append, upload, 0, body),
            ("cancel it", {SEND}, delegate.cancel_upload, upload),
            ("receive", {READ}, delegate.receive, 0, 0),
            ("receive with control_taken", NOBODY, delegate.receive, 0, 1),
            ("standing", {READ}, delegate.standing),
            ("status", {READ}, delegate.get_status, sent.header.id),
            ("body", {READ}, delegate.get_body, client.id, sent.header.id, 0),
            ("events", {READ}, delegate.events),
            ("events as they come", {READ}, follow, delegate),
            ("manifest", BOTH, delegate.get_manifest, peer.id),
            ("upload prekeys", NOBODY, delegate.upload_prekeys, client.signed_manifest, [], []),
            ("acknowledge", NOBODY, delegate.acknowledge, batch),
            ("revoke", NOBODY, delegate.revoke, [bytes(16)]),
            ("revoke all", NOBODY, delegate.revoke, [], 1),
        ):
            expect(f"{' and '.join(sorted(granted))}: {what}", outcome(call, *arguments),
                   "done" if granted & allowed else "forbidden")
    expect("nothing was taken", client.relay.receive(0, 0)[0].encoded_header, message.entry.encoded_header)


def follow(relay):
    with relay.follow_events() as stream:
        stream.next()


def ends(reference):
    """A token ends with its delegation, at the earliest of its ends, and its stream with it; the agent's goes on."""
    client = new_client(reference)
    client.relay.standing()
    end = now_ms() + client.relay.clock + 3_000
    narrowed = delegate_to(client, READ).narrow(before(end)).narrow(before(end + MINUTE))
    delegate = DelegateRelay(reference.origin, narrowed)
    with delegate.follow_events() as stream:
        expect("token ends by then", end - 1_000 < delegate.token_expires <= end, True)
        expect_refusal("stream", RelayRefused, "token-expired", stream.next)
    expect_refusal("token", RelayRefused, "token-expired", delegate.call_once, "GET", "/messaging/standing")
    time.sleep(max(0, end - now_ms() - delegate.clock) / 1_000)
    expect_refusal("another token", RelayRefused, "expired", delegate.standing)
    client.relay.call_once("GET", "/messaging/standing")


def outcome(call, *arguments):
    """What becomes of a call: done, or the code that it is refused with."""
    try:
        call(*arguments)
        return "done"
    except RelayRefused as refused:
        return refused.code
