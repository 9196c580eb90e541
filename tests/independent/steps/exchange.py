"""Sections 5, 9, 12 and 13: publishing, a first message, its receipts, and an answer.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from ..checks import expect
from ..client import Client
from ..contents import Content
from ..envelopes import decode_envelope
from ..manifests import PQXDH
from ..outbox import Status
from ..receipts import check_proof
from ..relay import from_base64

PENDING = Status("pending")
STORED = Status("delivered", proven=True)
ACKNOWLEDGED = Status("delivered", acknowledged=True, proven=True)


def refused(reason):
    return Status("failed", f"refused-{reason}", proven=True)


def text(words):
    return Content(words.encode())


def new_client(reference, one_time_keys=10):
    client = Client(reference.origin)
    client.publish(one_time_keys)
    return client


def publish(reference):
    client = Client(reference.origin)
    expect("unused one-time keys at the relay", client.publish(10), {"one_time_curve": 10, "one_time_kem": 10})
    expect("with further ones", client.refill(3), {"one_time_curve": 13, "one_time_kem": 13})
    expect("version of the relay's manifest", client.manifest_of(client.id).version, 1)
    client.publish(0)
    expect("version of the next", client.manifest_of(client.id).version, 2)
    expect("the relay has no receipts of ours", client.inbox.check_standing(), True)


def receive(one_time_keys, reference):
    bob, client = reference.new_agent(f"receive-{one_time_keys}"), new_client(reference, one_time_keys)
    sent = bob.send(client, "first")
    expect("state before", bob.status(sent)[0], "pending")
    message, = client.inbox.receive()
    expect("content", message.text, "first")
    opening = decode_envelope(message.entry.part).opening
    expect("suite", opening.suite, PQXDH)
    expect("one-time keys", (opening.one_time_curve is not None, opening.kem[0] == 1), (one_time_keys > 0,) * 2)
    expect("status, stored", bob.status(sent), ("delivered", False, "verified"))
    client.inbox.acknowledge(message)
    expect("receipts that the relay refuses", client.inbox.give_receipts(), [])
    expect("status, acknowledged", bob.status(sent), ("delivered", True, "verified"))
    expect("the standing is ours", client.inbox.check_standing(), True)
    answer = client.outbox.send([bob.id], text("answer"))
    expect("opened there", bob.texts(), ["answer"])
    expect("status of the answer", client.outbox.status(answer, bob.id), ACKNOWLEDGED)
    expect("opening of the answer", decode_envelope(answer.parts[bob.id, 1]).opening, None)


def between_clients(reference):
    alice, bob = new_client(reference), new_client(reference)
    sent = alice.outbox.send([bob.id], text("between two clients"))
    expect("status before", alice.outbox.status(sent, bob.id), PENDING)
    message, = bob.inbox.receive()
    expect("content", message.text, "between two clients")
    expect("status, stored", alice.outbox.status(sent, bob.id), STORED)
    bob.inbox.acknowledge(message)
    bob.inbox.give_receipts()
    expect("status, acknowledged", alice.outbox.status(sent, bob.id), ACKNOWLEDGED)


def blinds(reference):
    bob, client = reference.new_agent("blinds"), new_client(reference)
    sent = [client.outbox.send([bob.id], text(words)) for words in ("one", "two")]
    expect("opened there", bob.texts(), ["one", "two"])
    proofs = [client.relay.get_status(message.header.id)[0]["receipt"] for message in sent]
    expect_blinded([check_proof(from_base64(proof), client.identities[bob.id]) for proof in proofs])
    bob.send(client, "three")
    entry, = client.inbox.fetch()
    client.inbox.take(entry)
    client.inbox.take(entry)
    expect_blinded(client.inbox.due)
    expect("receipts that the relay refuses", client.inbox.give_receipts(), [])


def expect_blinded(leaves):
    expect("other blinds, and none of zeros", len({bytes(16), *(leaf.blind for leaf in leaves)}), len(leaves) + 1)
