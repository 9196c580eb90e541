"""Section 14: delegations handed over as text, between the reference and the client, and the ids of both.

Written from docs/protocol.md, docs/json.md, README.md and the program's own `--help` alone, and must stay so.
"""

import datetime
from dataclasses import replace

from ..checks import expect, expect_raised
from ..clock import DAY, MINUTE, now_ms
from ..delegations import READ, SEND, HandedOver, before, only, read_handed_over
from ..identifiers import decode_id, uuid_text
from ..keys import Identity
from ..reference import CommandFailed
from ..relay import DelegateRelay
from .delegates import delegate_to, outcome
from .exchange import new_client, text

HOUR = 60 * MINUTE


def of_the_reference(reference):
    """What `agent delegate` and `delegation narrow` write is read and used here; `agent revoke` ends it."""
    dora, client = reference.new_agent("hand-over"), new_client(reference)
    sent = client.outbox.send([dora.id], text("waits for Dora"))
    whole, narrowed = (reference.folder / f"{name}.delegation" for name in ("whole", "narrowed"))
    asked = now_ms()
    printed, = reference.run("agent", "delegate", dora.name, "--may", "send,read", "--for", "7d", "--file", whole)
    handed = expect_as_printed(reference, whole, printed)
    expect("for whom", handed.delegation.agent_id, dora.id)
    expect("rights", handed.delegation.grants()[0], {SEND, READ})
    expect("end", asked <= handed.delegation.grants()[1] - 7 * DAY <= now_ms(), True)
    parent = delegate_by(handed)
    expect("what waits", [entry.encoded_header for entry in parent.receive(0, 0)], [sent.encoded_header])
    expect("may send", len(parent.claim_bundle(client.id, bytes(16))[0]) > 0, True)

    printed, = reference.run("delegation", "narrow", whole, "--only", "read", "--for", "1h", "--into", narrowed)
    handed = expect_as_printed(reference, narrowed, printed)
    expect("rights, narrowed", handed.delegation.grants()[0], {READ})
    expect("end, narrowed", asked <= handed.delegation.grants()[1] - HOUR <= now_ms(), True)
    child = delegate_by(handed)
    expect("may still read", len(child.receive(0, 0)), 1)
    expect("may not send", outcome(child.claim_bundle, client.id, bytes(16)), "forbidden")

    reference.run("agent", "revoke", dora.name, handed.delegation.id.hex())
    expect("after its end", (outcome(child.standing), outcome(parent.standing)), ("forbidden", "done"))
    reference.run("agent", "revoke", dora.name, "--all")
    expect("after the end of all", outcome(parent.standing), "forbidden")


def expect_as_printed(reference, file, printed):
    """What stands in a file, which is what the command prints of it."""
    handed = read_handed_over(file.read_text().strip())
    delegation = handed.delegation
    allowed, end = delegation.grants()
    shown, = reference.run("delegation", "show", file)
    for where, said in (("printed", printed), ("shown", shown)):
        expect(f"id, {where}", bytes.fromhex(said["id"]), delegation.id)
        expect(f"agent, {where}", decode_id("agent", said["agent"]), delegation.agent_id)
        expect(f"rights, {where}", set(said["rights"]), allowed)
        expect(f"end, {where}", milliseconds(said["until"]), end)
        expect(f"relay, {where}", (said["relay"], decode_id("node", said["node_id"])), (handed.origin, handed.node_id))
    expect("origin", handed.origin, reference.origin)
    return handed


def milliseconds(said):
    since = datetime.datetime.fromisoformat(said.replace("Z", "+00:00")) - datetime.datetime.fromtimestamp(
        0, datetime.timezone.utc)
    return since // datetime.timedelta(milliseconds=1)


def delegate_by(handed):
    return DelegateRelay(handed.origin, handed.delegation, handed.node_id)


def of_the_client(reference):
    """What the client writes is read and used by the reference, until it is revoked here."""
    client, peer = new_client(reference), new_client(reference)
    sent = peer.outbox.send([client.id], text("waits"))
    client.relay.standing()

    def written(name, delegation, node_id=client.relay.node_id):
        handed = HandedOver(delegation, node_id, reference.origin)
        file = reference.folder / name
        file.write_text(handed.text() + "\n")
        return file
    end = now_ms() + HOUR
    parent = delegate_to(client, SEND, READ).narrow(before(end))
    whole = written("client.delegation", parent)
    expect_as_printed(reference, whole, reference.run("delegation", "show", whole)[0])
    waiting, = reference.run("delegation", "waiting", whole)
    expect("what waits", (waiting["id"], waiting["from"], waiting["attempt"], waiting["scheme"]),
           (uuid_text(sent.header.id), peer.name, 1, "ratchet"))
    event, = reference.run("delegation", "events", whole)
    expect("what became of it", [event], client.relay.events())

    narrowed = reference.folder / "client-narrowed.delegation"
    printed, = reference.run("delegation", "narrow", whole, "--only", "read", "--into", narrowed)
    handed = expect_as_printed(reference, narrowed, printed)
    expect("narrowed there", handed.delegation.grants(), ({READ}, parent.grants()[1]))
    sending = written("client-sends.delegation", parent.narrow(only(SEND)))
    expect_failure("one that may not read", reference, 4, "forbidden", "waiting", sending)
    of_another_node = written("another-node.delegation", parent, Identity(b"\x07" * 32).key)
    expect_failure("another node than answers", reference, 4, "other-node", "waiting", of_another_node)
    client.relay.revoke([handed.delegation.id])
    expect_failure("the narrowed one, revoked", reference, 4, "forbidden", "waiting", narrowed)
    expect("the whole one", reference.run("delegation", "waiting", whole), [waiting])
    client.relay.revoke([parent.id])
    expect_failure("the whole one, revoked", reference, 4, "forbidden", "waiting", whole)

    foreign = replace(parent, certificate=delegate_to(peer, READ).certificate)
    for what, file in (("another certificate", written("foreign.delegation", foreign)),
                       ("another statement", written("other.delegation", parent.narrow("check if true"))),
                       ("one that is damaged", damaged(whole))):
        expect_failure(what, reference, 2, "usage", "show", file)


def damaged(file):
    """A delegation with one character altered in its certificate's signature."""
    text, place = file.read_text(), 160
    altered = file.with_name("damaged.delegation")
    altered.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1:])
    return altered


def expect_failure(what, reference, exit_code, code, *arguments):
    """How a command of `delegation` fails."""
    failed = expect_raised(what, CommandFailed, reference.run, "delegation", *arguments)
    expect(what, (failed.exit_code, failed.code), (exit_code, code))
