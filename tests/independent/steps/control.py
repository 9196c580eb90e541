"""Sections 8 and 10: what runtimes say to each other, a step on request and a mark.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from ..checks import expect
from ..identifiers import uuid_text
from ..payloads import Mark
from .exchange import new_client, text


def step_of_the_reference(reference):
    frank, client = reference.new_agent("control"), new_client(reference)
    ask_for_step(client, frank.id, frank.texts)


def step_of_the_client(reference):
    peer, client = new_client(reference), new_client(reference)
    ask_for_step(client, peer.id, lambda: [message.text for message in peer.inbox.receive()])


def ask_for_step(client, target, texts):
    """After 100 messages without a step the next asks for one, and the peer's runtime answers."""
    for number in range(101):
        sent = client.outbox.prepare([target], text(f"{number}"))
        state = client.peer(target).sending.state
        expect(f"message {number} asks for a step", state.last_request is not None, number == 100)
    client.outbox.submit(sent)
    expect("opened there", texts(), ["100"])
    expect("our chain goes on", client.peer(target).sending.state.sending is not None, True)
    expect("the answer is no message", client.inbox.receive(), [])
    expect("it is a step", client.peer(target).sending.state.sending, None)


def mark(reference):
    """The reference's marks are counted, so that the message after two of them leaves none missing."""
    frank, client = reference.new_agent("mark"), new_client(reference)
    frank.send(client, "first")
    client.inbox.receive()
    sent = client.outbox.send([frank.id], text("read me"))
    frank.receive()
    read = "--read", uuid_text(sent.header.id)
    for typing in (["--typing"], []):
        frank.run("mark", client.name, *read, *typing)
        message, = client.inbox.receive()
        expect("mark", message.mark, Mark(sent.header.id, bool(typing)))
        expect("left in the mailbox", client.inbox.fetch(), [])
    # Two more, of which the relay keeps the later one alone.
    for typing in (["--typing"], []):
        frank.run("mark", client.name, *read, *typing)
    frank.send(client, "after four marks")
    for entry, words in zip(client.inbox.fetch(), (None, "after four marks"), strict=True):
        expect("opened here", client.inbox.take(entry).text, words)
        expect("missing before it", client.peer(frank.id).sending.state.missing, 0)


def missing(reference):
    """The other way: nothing is missing after two marks of ours with a step of the reference between them, of which the
    second displaces the first; one is where a message was kept back."""
    frank, client = reference.new_agent("missing"), new_client(reference)
    frank.send(client, "first")
    client.inbox.receive()
    client.outbox.send([frank.id], text("second"))
    frank.receive()
    frank.send(client, "a step")
    session = client.peer(frank.id).sending
    client.outbox.send_control(session, Mark(None, True))
    expect("opened here", [message.text for message in client.inbox.receive()], ["a step"])
    client.outbox.send_control(session, Mark(None, False))
    client.outbox.send([frank.id], text("after two marks"))
    expect("missing there", frank.missing(), [])
    client.outbox.prepare([frank.id], text("kept back"))
    client.outbox.send([frank.id], text("after one that was kept back"))
    expect("missing there", frank.missing(), [1])
