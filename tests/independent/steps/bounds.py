"""Section 10: how far an envelope may skip, which skipped keys are kept, and how long a chain is.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

import copy

from ..checks import expect
from ..primitives import derive_chain
from ..ratchet import Ratchet
from .exchange import ACKNOWLEDGED, new_client, refused, text


class Overlong(Ratchet):
    """A ratchet that goes on beyond a chain's end."""

    def can_seal(self):
        return True


class Sealer:
    """Seals each message as if the numbers before it in its chain had been used, and no others."""

    def __init__(self, client, target):
        self.client, self.target = client, target
        self.session = client.sending_session(target, bytes(16))
        self.beginning = Overlong(**vars(self.session.state))
        self.beginning.step()
        self.chain_keys = [self.beginning.sending[1]]

    def send(self, number):
        """Sends message `number` of the chain."""
        while len(self.chain_keys) <= number:
            self.chain_keys.append(derive_chain(self.chain_keys[-1])[0])
        self.session.state = copy.deepcopy(self.beginning)
        self.session.state.sending = (self.beginning.sending[0], self.chain_keys[number], number)
        return self.client.outbox.send([self.target], text(f"number {number}"))


def at_the_reference(reference):
    peer, client = reference.new_agent("bounds"), new_client(reference)
    skip(client, peer.id, peer.texts)


def at_the_client(reference):
    peer, client = new_client(reference), new_client(reference)

    def texts():
        messages = [message for message in peer.inbox.receive() if not message.refused]
        for message in messages:
            peer.inbox.acknowledge(message)
        peer.inbox.give_receipts()
        return [message.text for message in messages]
    skip(client, peer.id, texts)


def skip(client, target, texts):
    """All of it is received at once, in this order."""
    sealer, expected, outcomes = Sealer(client, target), [], []
    for what, number, reason in (
        ("a first message that skips 4,001", 4_001, "undecryptable"),
        ("a first message that skips 4,000", 4_000, None),
        ("a message that skips 4,001", 8_002, "undecryptable"),
        ("a message that skips 4,000", 8_001, None),
        ("the oldest of 100 skipped keys", 7_901, None),
        ("the key before it, which is lost", 7_900, "undecryptable"),
        ("a key that is used up", 7_901, "replay"),
        ("the newest of the skipped keys", 8_000, None),
    ):
        outcomes.append((what, sealer.send(number), refused(reason) if reason else ACKNOWLEDGED))
        expected += [] if reason else [f"number {number}"]
    expect("opened", texts(), expected)
    for what, sent, status in outcomes:
        expect(what, client.outbox.status(sent, target), status)


def chain(reference):
    """A chain ends after 2,000 messages; what follows goes in a new session."""
    peer, client = reference.new_agent("chain"), new_client(reference)
    sealer = Sealer(client, peer.id)
    sealer.send(1_998)
    sealer.session.state = Ratchet(**vars(sealer.session.state))
    for words, session in (("the last", True), ("in a new session", False)):
        sent = client.outbox.send([peer.id], text(words))
        expect(f"{words}: in the session", sent.sessions[peer.id] is sealer.session, session)
    expect("opened there", peer.texts(), ["number 1998", "the last", "in a new session"])
