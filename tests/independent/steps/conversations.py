"""Sections 9 to 11: sessions that the client opens, messages out of order, and sessions that cross.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

import random
import secrets

from ..checks import expect
from ..client import Client
from ..envelopes import decode_envelope
from ..manifests import PQXDH, X3DH
from .exchange import ACKNOWLEDGED, new_client, text

CLAIMS_OF_ONE_REQUESTER = 25
ACTS, STEPS = 3, 3  # the seed of the acts, and how often the reference answers in them


def initiate(reference):
    """Under both suites, with one-time keys and once the relay has none of the agent left; and ten messages."""
    carol = reference.new_agent("initiate")
    client = initiate_under_both_suites(reference, carol, True)
    exhaust(reference, carol.id)
    initiate_under_both_suites(reference, carol, False)
    nine_more(client, carol)


def initiate_under_both_suites(reference, agent, with_keys):
    """The client that did so under PQXDH."""
    sent = []
    for suite in (X3DH, PQXDH):
        client = new_client(reference, 2)
        sent.append((client, client.outbox.send([agent.id], text("one"), suites=[suite])))
        opening = client.peer(agent.id).sending.opening
        expect("suite", opening.suite, suite)
        expect("one-time curve key", opening.one_time_curve is not None, with_keys)
        expect("KEM key", opening.kem and opening.kem[0], (1 if with_keys else 2) if suite == PQXDH else None)
    expect("opened there", agent.texts(), ["one", "one"])
    for client, message in sent:
        expect("status", client.outbox.status(message, agent.id), ACKNOWLEDGED)
    return client


def exhaust(reference, target):
    """Claims all one-time keys of an agent, as many by each requester as it may."""
    while True:
        requester = Client(reference.origin)
        for _ in range(CLAIMS_OF_ONE_REQUESTER):
            _, curve, kem = requester.relay.claim_bundle(target, secrets.token_bytes(16))
            if not curve and not kem:
                return


def nine_more(client, carol):
    """Messages both ways, with steps, opened out of order at both ends."""
    carol.send(client, "two")
    expect("opened here", [message.text for message in client.inbox.receive()], ["two"])
    three, four, five = [client.outbox.prepare([carol.id], text(words)) for words in ("three", "four", "five")]
    client.outbox.submit(five)
    expect("opened there, before two others", carol.texts(), ["five"])
    carol.send(client, "six")
    expect("opened here", [message.text for message in client.inbox.receive()], ["six"])
    seven = client.outbox.prepare([carol.id], text("seven"))
    client.outbox.submit(seven)
    client.outbox.submit(four)
    expect("opened there, one of them across a step", sorted(carol.texts()), ["four", "seven"])
    for words in ("eight", "nine", "ten"):
        carol.send(client, words)
    eight, nine, ten = client.inbox.fetch()
    taken = [client.inbox.take(entry).text for entry in (ten, eight, nine)]
    expect("opened here, out of order", taken, ["ten", "eight", "nine"])
    client.inbox.give_receipts()
    client.outbox.submit(three)
    expect("opened there, across two steps", carol.texts(), ["three"])
    for sent in (three, four, five, seven):
        expect("status", client.outbox.status(sent, carol.id), ACKNOWLEDGED)


def shuffle(reference):
    lea, client = reference.new_agent("shuffle"), new_client(reference)
    # One session, so that which of them steps depends on the acts alone.
    lea.send(client, "hello")
    client.inbox.receive()
    client.outbox.send([lea.id], text("hello"))
    lea.texts()
    chance = random.Random(ACTS)
    under_way, sent_here, sent_there, opened_here, opened_there = [], [], [], [], []

    def take(entries):
        opened_here.extend(message.text for message in map(client.inbox.take, entries) if message)
        client.inbox.give_receipts()

    for number in range(32):
        act = chance.randrange(4)
        if act == 0:
            under_way.append(client.outbox.prepare([lea.id], text(f"{number}")))
            sent_here.append(f"{number}")
        elif act == 1:
            lea.send(client, f"{number}")
            sent_there.append(f"{number}")
        elif act == 2 and under_way:
            client.outbox.submit(under_way.pop(chance.randrange(len(under_way))))
            opened_there += lea.texts()
        elif act == 3:
            entries = client.inbox.fetch()
            take(chance.sample(entries, len(entries) // 2))
    chance.shuffle(under_way)
    for sent in under_way:
        client.outbox.submit(sent)
    opened_there += lea.texts()
    entries = client.inbox.fetch()
    take(chance.sample(entries, len(entries)))
    expect("opened there, each once", sorted(opened_there), sorted(sent_here))
    expect("opened here, each once", sorted(opened_here), sorted(sent_there))
    session, = client.peer(lea.id).all()
    expect("steps of the reference", len(session.state.retired_keys), STEPS)


def both_open(reference):
    """Both open a session before either has heard of the other's; then both send in the one with the lower id."""
    erin, client = reference.new_agent("both-open"), new_client(reference)
    client.outbox.send([erin.id], text("from here"))
    ours = client.peer(erin.id).sending.id
    erin.send(client, "from there")
    message, = client.inbox.receive()
    theirs = decode_envelope(message.entry.part).session
    expect("opened", (message.text, erin.texts()), ("from there", ["from here"]))
    erin.send(client, "again")
    message, = client.inbox.receive()
    expect("the reference's session", decode_envelope(message.entry.part).session, min(ours, theirs))
    expect("the client's session", client.peer(erin.id).sending.id, min(ours, theirs))
    client.outbox.send([erin.id], text("and again"))
    expect("opened there", erin.texts(), ["and again"])
