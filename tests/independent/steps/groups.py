"""Section 22: messages under a group's key.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from ..checks import expect
from ..headers import SHARED_KEY
from .exchange import ACKNOWLEDGED, new_client, refused, text


def both_ways(reference):
    """Under the group's first key, and under the next."""
    heidi, client = reference.new_agent("group"), new_client(reference)
    heidi.run("group new", "team", client.name)
    for epoch in (0, 1):
        client.inbox.receive()
        group, = client.groups
        expect("epoch", client.groups[group].epoch, epoch)
        heidi.run("send", "--group", "team", "to all")
        message, = client.inbox.receive()
        expect("opened here", (message.text, message.header.scheme), ("to all", SHARED_KEY))
        sent = client.outbox.send([heidi.id], text("to all of you"), scheme=SHARED_KEY, group=group)
        expect("opened there", heidi.texts(), ["to all of you"])
        expect("status", client.outbox.status(sent, heidi.id), ACKNOWLEDGED)
        heidi.run("group rotate", "team")


def removed(reference):
    heidi, client = reference.new_agent("group-removed"), new_client(reference)
    heidi.run("group new", "few", client.name)
    client.inbox.receive()
    group, = client.groups
    expect("a member", client.groups[group].ended, False)
    heidi.run("group remove", "few", client.name)
    client.inbox.receive()
    expect("a member no more", client.groups[group].ended, True)
    sent = client.outbox.send([heidi.id], text("to those who remain"), scheme=SHARED_KEY, group=group)
    expect("opened there", heidi.texts(), [])
    expect("status", client.outbox.status(sent, heidi.id), refused("not-member"))
