"""Sections 5, 12, 14 and 15: what a relay says is checked, here against one that alters its answers.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from ..checks import expect, expect_raised, expect_refusal
from ..errors import Malformed
from ..relay import RelayRefused, Unproven
from .exchange import ACKNOWLEDGED, Status, new_client, text
from .refusals import flipped


def bundles(reference):
    """A bundle in which one byte is altered opens no session."""
    trent, client = reference.new_agent("distrust-bundle"), new_client(reference)
    claim_bundle = client.relay.claim_bundle
    for place, what in enumerate(("manifest", "one-time curve key", "one-time KEM key")):
        def altered(*arguments, place=place):
            bundle = list(claim_bundle(*arguments))
            bundle[place] = flipped(bundle[place])
            return bundle
        client.relay.claim_bundle = altered
        expect_raised(f"{what}, altered", Malformed, client.outbox.prepare, [trent.id], text("to whom?"))
    client.relay.claim_bundle = claim_bundle
    client.outbox.send([trent.id], text("to Trent"))
    expect("opened there", trent.texts(), ["to Trent"])


def node(reference):
    """A challenge that another node has signed, and a countersignature that does not hold."""
    trent, client = reference.new_agent("distrust-node"), new_client(reference)
    request = client.relay.request

    def altered(*arguments):
        answer = request(*arguments)
        if "nonce" in (arguments[2] or {}):
            answer["at_ms"] += 1
        return answer
    client.relay.request, client.relay.token = altered, None
    expect_raised("challenge, altered", Unproven, client.relay.standing)
    client.relay.request, pinned = request, client.relay.node_id
    client.relay.node_id = new_client(reference).identity.key
    expect_raised("another node than the one that is known", Unproven, client.relay.standing)
    client.relay.node_id = pinned
    trent.send(client, "hello")
    entry, = client.inbox.fetch()
    message = client.inbox.take(entry)
    acknowledge = client.relay.acknowledge
    client.relay.acknowledge = lambda batch: (flipped(acknowledge(batch)[0]), [])
    expect_raised("countersignature, altered", Unproven, client.inbox.give_receipts)
    expect("head that is kept", client.inbox.last_head, None)
    expect("what came", message.text, "hello")


def proofs(reference):
    """A status is proven only for the very part, attempt and verdict that it tells of."""
    trent, client = reference.new_agent("distrust-proof"), new_client(reference)
    sent = [client.outbox.send([trent.id], text(words)) for words in ("one", "two")]
    trent.texts()
    one, two = sent
    expect("status", client.outbox.status(one, trent.id), ACKNOWLEDGED)
    get_status = client.relay.get_status
    other_receipt = get_status(two.header.id)[0]["receipt"]
    for what, changes in (("another message's receipt", dict(receipt=other_receipt)),
                          ("another verdict", dict(acknowledged_at_ms=None)),
                          ("no receipt", dict(receipt=None)),
                          ("another attempt", dict(attempt=2))):
        client.relay.get_status = lambda message_id, changes=changes: [{**get_status(message_id)[0], **changes}]
        expect(what, client.outbox.status(one, trent.id).proven, False)
    client.relay.get_status = lambda message_id: [
        {**get_status(message_id)[0], "state": "failed", "reason": "refused-policy"}]
    expect("a refusal that nobody signed", client.outbox.status(one, trent.id),
           Status("failed", "refused-policy", acknowledged=True))
    client.relay.get_status = get_status
    one.parts[trent.id, 1] = flipped(one.parts[trent.id, 1])
    expect("another part", client.outbox.status(one, trent.id).proven, False)


def tokens(reference):
    """The relay takes a proof of possession for the request that it was made for, and for no other."""
    client = new_client(reference)
    authorization = client.relay.authorization
    for what, altered in (
        ("another method", lambda method, path: authorization("POST", path)),
        ("another path", lambda method, path: authorization(method, path + "/")),
        ("no proof", lambda method, path: {"authorization": authorization(method, path)["authorization"]}),
    ):
        client.relay.authorization = altered
        expect_refusal(what, RelayRefused, "proof-required", client.relay.standing)
    client.relay.authorization = authorization
    client.relay.standing()
    made = authorization("GET", "/messaging/standing")
    client.relay.authorization = lambda *_: made
    client.relay.standing()
    expect_refusal("the same proof twice", RelayRefused, "proof-required", client.relay.standing)
