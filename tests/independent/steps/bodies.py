"""Section 22: bodies under each scheme, inline and in pieces.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

import os

from ..checks import expect
from ..contents import BYTES, Content
from ..headers import SCHEME_NAMES
from .exchange import ACKNOWLEDGED, new_client, text
from .refusals import flipped

LARGE = 2_500_000


def both_ways(scheme, reference):
    name = SCHEME_NAMES[scheme]
    grace, client = reference.new_agent(f"bodies-{name}"), new_client(reference)
    file, folder = reference.folder / "large.bin", reference.folder / f"saved-{name}"
    large = os.urandom(LARGE)
    file.write_bytes(large)
    sent = [grace.send(client, *content, "--scheme", name) for content in (["a short text"], ["--file", file])]
    short, long = client.inbox.receive()
    expect("opened here", short.text, "a short text")
    expect("the file", (long.content.file_name, long.content.data == large), ("large.bin", True))
    for message in (short, long):
        client.inbox.acknowledge(message)
    client.inbox.give_receipts()
    for message in sent:
        expect("status there", grace.status(message), ("delivered", True, "verified"))
    contents = [text("a short answer"), Content(large, BYTES, file_name="answer.bin")]
    sent = [client.outbox.send([grace.id], content, scheme=scheme) for content in contents]
    expect("opened there", grace.receive("--save", folder)[0]["text"], "a short answer")
    expect("the file there", (folder / "answer.bin").read_bytes() == large, True)
    for message in sent:
        expect("status here", client.outbox.status(message, grace.id), ACKNOWLEDGED)


def altered_at_the_relay(reference):
    """A body that is not the header's is neither taken nor receipted: the relay may yet give the true one."""
    grace, client = reference.new_agent("bodies-altered"), new_client(reference)
    file = reference.folder / "body.bin"
    file.write_bytes(bytes(LARGE // 2))
    grace.send(client, "--file", file)
    get_body = client.relay.get_body
    client.relay.get_body = lambda *arguments: flipped(get_body(*arguments))
    expect("taken", client.inbox.receive(), [])
    expect("receipts due", client.inbox.due, [])
    client.relay.get_body = get_body
    message, = client.inbox.receive()
    expect("the true one", message.content.data == bytes(LARGE // 2), True)


def compressed(reference):
    grace, client = reference.new_agent("bodies-compressed"), new_client(reference)
    words = "the same words again and again. " * 10_000
    file = reference.folder / "words.txt"
    file.write_text(words)
    grace.send(client, "--file", file, "--compress")
    message, = client.inbox.receive()
    expect("opened here", message.text == words, True)
    expect("the body is short", message.header.body[0] < 10_000, True)
