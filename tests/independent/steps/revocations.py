"""Section 14: an agent takes its delegations back, by their ids or all of a time.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

import http.client
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from ..checks import expect, expect_raised, expect_refusal
from ..clock import DAY, now_ms
from ..delegations import READ, SEND, new_delegation, only, read_handed_over, right
from ..relay import DelegateRelay, NewLedger, RelayRefused
from .delegates import delegate_to, outcome, soon
from .exchange import new_client

STANDING = "GET", "/messaging/standing"


def by_id(reference):
    """What is narrowed from a delegation ends with it, and what it was narrowed from does not."""
    client, other = new_client(reference), new_client(reference)
    parent = delegate_to(client, READ, SEND)
    child, sibling = parent.narrow(only(READ)), parent.narrow(only(READ))
    grandchild = child.narrow(soon())
    expect("ids", len({delegation.id for delegation in (parent, child, sibling, grandchild)}), 4)
    relays = [DelegateRelay(reference.origin, each) for each in (parent, child, sibling, grandchild)]
    of_parent, of_child, of_sibling, of_grandchild = relays
    for relay in (*relays, other.relay):
        relay.standing()
    client.relay.revoke([child.id])
    for relay in (*relays, client.relay):
        expect_refusal("a token of before", RelayRefused, "token-expired", relay.call_once, *STANDING)
    for what, relay, expected in (("the child", of_child, "forbidden"), ("the grandchild", of_grandchild, "forbidden"),
                                  ("the parent", of_parent, "done"), ("the sibling", of_sibling, "done"),
                                  ("the agent", client.relay, "done")):
        expect(f"another token, for {what}", outcome(relay.authenticate), expected)
    for relay in (of_parent, of_sibling, client.relay, other.relay):
        relay.call_once(*STANDING)
    client.relay.revoke([parent.id, child.id])
    for relay in relays:
        expect("another token, after the parent's end", outcome(relay.authenticate), "forbidden")
    expect("the agent's", outcome(client.relay.standing), "done")
    other.relay.call_once(*STANDING)
    own = delegate_to(other, READ)
    client.relay.revoke([own.id])
    expect("another agent's", outcome(DelegateRelay(reference.origin, own).standing), "done")


def by_time(reference):
    """All whose keys were certified until then, which may be as far ahead as a certificate may be dated."""
    client = new_client(reference)
    now = now_ms() + client.relay.clock

    def certified(created):
        return new_delegation(client.identity, right(READ), soon(), created=created)
    delegations = old, middle, new = [certified(now - age) for age in (2_000, 1_000, 999)]
    relays = [DelegateRelay(reference.origin, delegation) for delegation in delegations]
    for relay in relays:
        relay.standing()
    client.relay.revoke(certified_until=middle.certificate.created)
    for relay in (*relays, client.relay):
        expect_refusal("a token of before", RelayRefused, "token-expired", relay.call_once, *STANDING)
    for relay, expected in zip(relays, ("forbidden", "forbidden", "done"), strict=True):
        expect("another token", outcome(relay.authenticate), expected)
    expect("narrowed from one that has ended", outcome(DelegateRelay(reference.origin, old.narrow(soon())).standing),
           "forbidden")
    client.relay.revoke(certified_until=1)
    expect("an earlier time takes nothing back", outcome(relays[0].authenticate), "forbidden")
    ahead = now + 60_000
    client.relay.revoke(certified_until=ahead)
    for what, created, expected in (("of now", now, "forbidden"), ("dated ahead", ahead, "forbidden"),
                                    ("dated after it", ahead + 1, "done")):
        expect(what, outcome(DelegateRelay(reference.origin, certified(created)).standing), expected)
    client.relay.revoke(certified_until=now + 90 * DAY)
    latest = certified(now + 299_000)
    expect("dated as late as may be", outcome(DelegateRelay(reference.origin, latest).standing), "forbidden")
    expect("the agent's", outcome(client.relay.standing), "done")


def streams(reference):
    """What is open ends at once, also on connections that remember the token; what is another agent's stays."""
    client, other = new_client(reference), new_client(reference)
    ended, living = delegate_to(client, READ), delegate_to(client, READ)
    relays = [DelegateRelay(reference.origin, ended), DelegateRelay(reference.origin, living), client.relay]
    opened = [relay.follow_events() for relay in relays]
    others = other.relay.follow_events()
    kept = Kept(relays[0])
    expect("with a proof, and without", [kept.get(True), kept.get(False)], [None, None])
    with ThreadPoolExecutor() as threads:
        waits = [threads.submit(outcome, relay.call_once, "GET", "/messaging/receive", None, {"wait_ms": 20_000})
                 for relay in relays]
        time.sleep(0.5)
        expect("waiting", [wait.done() for wait in waits], [False] * 3)
        client.relay.revoke([ended.id])
        since = time.monotonic()
        expect("waits for mail", [wait.result() for wait in waits], ["token-expired"] * 3)
    for stream in opened:
        expect_refusal("stream of events", RelayRefused, "token-expired", stream.next)
        stream.socket.close()
    expect("at once", time.monotonic() - since < 5, True)
    expect("on a connection that remembers the token", kept.get(False), "token-expired")
    expect_refusal("the ended one's stream", RelayRefused, "forbidden", relays[0].authenticate)
    for relay in relays[1:]:
        relay.authenticate()
        with relay.follow_events() as stream:
            expect_open(stream)
    with others:
        expect_open(others)
    kept.close()


def expect_open(stream):
    """A stream on which nothing comes, not even its end."""
    try:
        expect("stream", stream.next(0.3), None)
    except TimeoutError:
        pass


class Kept:
    """A connection that is kept, on which the relay remembers the token."""

    def __init__(self, relay):
        self.relay, self.connection = relay, http.client.HTTPConnection(urlsplit(relay.origin).netloc, timeout=10)

    def get(self, proof):
        """The code of the standing's refusal, if it is refused."""
        headers = self.relay.authorization(*STANDING)
        if not proof:
            del headers["dpop"]
        self.connection.request(*STANDING, headers=headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.headers["sealpost-code"]

    def close(self):
        self.connection.close()


def durable(reference):
    """What was revoked is so after the relay was stopped and started again."""
    client = new_client(reference)
    ended, living = delegate_to(client, READ), delegate_to(client, READ)
    client.relay.revoke([ended.id])
    reference.stop()
    reference.start(reference.address)
    for delegation, expected in ((ended, "forbidden"), (ended.narrow(soon()), "forbidden"), (living, "done")):
        expect("another token", outcome(DelegateRelay(reference.origin, delegation).standing), expected)
    expect("the agent's", outcome(client.relay.standing), "done")


def told_again(reference):
    """A ledger that was put back has forgotten what was revoked since; the reference tells it again."""
    olaf, client = reference.new_agent("told-again"), new_client(reference)
    own = delegate_to(client, READ)
    file, backup = reference.folder / "told-again.delegation", reference.folder / "backup"
    reference.run("agent", "delegate", olaf.name, "--may", "read", "--for", "1d", "--file", file)
    of_olaf = read_handed_over(file.read_text().strip()).delegation
    reference.stop()
    reference.run("backup", "--data-dir", reference.data, "--to", backup)
    reference.start(reference.address)
    reference.run("agent", "revoke", olaf.name, of_olaf.id.hex())
    client.relay.revoke([own.id])
    reference.stop()
    reference.data.rename(reference.folder / "lost")
    reference.run("restore", "--from", backup, "--data-dir", reference.data)
    reference.start(reference.address)

    def outcomes():
        return [outcome(DelegateRelay(reference.origin, delegation).standing) for delegation in (of_olaf, own)]
    expect("at first", outcomes(), ["done", "done"])
    olaf.receive()
    expect("once the reference was there", outcomes(), ["forbidden", "done"])
    expect_raised("another ledger", NewLedger, client.relay.standing)
    client.relay.revoke([own.id])
    expect("once both were there", outcomes(), ["forbidden", "forbidden"])


def requests(reference):
    """What the call itself takes."""
    client = new_client(reference)

    def revoke(count, until=None, length=16):
        return outcome(client.relay.revoke, [secrets.token_bytes(length) for _ in range(count)], until)
    for what, expected, came in (
        ("nothing", "malformed", revoke(0)),
        ("a short id", "malformed", revoke(1, length=15)),
        ("a long id", "malformed", revoke(1, length=17)),
        ("a time before 1970", "malformed", revoke(0, -1)),
        ("101 ids", "too-large", revoke(101)),
        ("100 ids, and a time", "done", revoke(100, 0)),
    ):
        expect(what, came, expected)
    known = [secrets.token_bytes(16) for _ in range(100)]
    for _ in range(8):
        expect("further ids", revoke(100), "done")
    expect("the thousandth", outcome(client.relay.revoke, known), "done")
    expect("one more", revoke(1), "quota-exceeded")
    expect("known ones again", outcome(client.relay.revoke, known), "done")
    expect("all, which makes room", outcome(client.relay.revoke, [], now_ms()), "done")
    expect("one more after it", revoke(1), "done")
