"""Section 11: a message that was refused is sealed anew, at either end.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from ..checks import expect
from ..clock import MINUTE
from ..envelopes import decode_envelope
from ..handshakes import initiate
from ..receipts import REFUSED
from .exchange import ACKNOWLEDGED, new_client, refused, text
from .refusals import flipped


def sealed_anew(reference):
    """In a new session, once the old one is 60 s old. The age is the client's own to tell, so nobody waits for it."""
    judy, client = reference.new_agent("renew"), new_client(reference)
    sent = client.outbox.prepare([judy.id], text("at last"))
    sent.parts[judy.id, 1] = flipped(sent.parts[judy.id, 1])
    client.outbox.submit(sent)
    expect("shown at first", judy.receive(), [])
    expect("status at first", client.outbox.status(sent, judy.id), refused("undecryptable"))
    session = sent.sessions[judy.id]
    session.created -= MINUTE - 20_000
    expect("a young session is renewed", client.outbox.renew(sent, judy.id), False)
    session.created -= 20_000
    expect("an older one is renewed", client.outbox.renew(sent, judy.id), True)
    expect("in another session", sent.sessions[judy.id] is session, False)
    expect("opened there", judy.texts(), ["at last"])
    expect("status", client.outbox.status(sent, judy.id), ACKNOWLEDGED)


def given_up(reference):
    """After a third refusal, and after one for which nothing is sealed anew."""
    judy, client = reference.new_agent("renew-never"), new_client(reference)
    send = client.relay.send

    def altered(header, parts, *body):
        return send(header, [(recipient, attempt, flipped(part)) for recipient, attempt, part in parts], *body)
    client.relay.send = altered
    sent = client.outbox.prepare([judy.id], text("never"))
    client.outbox.submit(sent)
    for attempt in (1, 2, 3):
        expect("shown", judy.receive(), [])
        sent.parts[judy.id, attempt] = flipped(sent.parts[judy.id, attempt])
        expect(f"attempt {attempt}", client.outbox.status(sent, judy.id), refused("undecryptable"))
        sent.sessions[judy.id].created -= MINUTE
        expect(f"renewed after attempt {attempt}", client.outbox.renew(sent, judy.id), attempt < 3)
    client.relay.send = send
    first, again = [client.outbox.prepare([judy.id], text(words)) for words in ("first", "again")]
    again.parts = first.parts
    for sent in (first, again):
        client.outbox.submit(sent)
    expect("opened there", judy.texts(), ["first"])
    expect("status of the second", client.outbox.status(again, judy.id), refused("replay"))
    again.sessions[judy.id].created -= MINUTE
    expect("renewed after a replay", client.outbox.renew(again, judy.id), False)


def by_the_reference(reference):
    """In the session that sends since, which needs no age."""
    judy, client = reference.new_agent("renew-there"), new_client(reference)
    client.outbox.send([judy.id], text("hello"))
    judy.texts()
    judy.send(client, "a first word")
    client.inbox.receive()
    sent = judy.send(client, "and another")
    entry, = client.inbox.fetch()
    client.inbox.note(entry, judy.id, entry.encoded_header[33:49], REFUSED, "undecryptable")
    client.inbox.give_receipts()
    peer = client.peer(judy.id)
    peer.sends_next(initiate(client.identity, client.claim(entry.encoded_header[33:49], judy.id)))
    client.outbox.send([judy.id], text("in a new session"))
    expect("opened there", judy.texts(), ["in a new session"])
    message, = client.inbox.receive()
    expect("sealed anew", (message.text, message.entry.attempt), ("and another", 2))
    expect("in the new session", decode_envelope(message.entry.part).session, peer.sending.id)
    expect("status there", judy.status(sent)[::2], ("delivered", "verified"))
