"""Section 14: the relay comes back with another ledger; receipts and prekeys begin anew.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from ..checks import Unexpected, expect
from ..relay import NewLedger
from .exchange import ACKNOWLEDGED, new_client, text


def restored(reference):
    kim, client = reference.new_agent("ledger"), new_client(reference)
    kim.send(client, "before")
    expect("opened here", [message.text for message in client.inbox.receive()], ["before"])
    sent = kim.send(client, "waits")
    reference.stop()
    reference.start(reference.address, "--restored")
    try:
        client.inbox.receive()
    except NewLedger:
        pass
    else:
        raise Unexpected("the ledger is the same")
    expect("fresh one-time keys", client.begin_anew(3), {"one_time_curve": 3, "one_time_kem": 3})
    message, = client.inbox.receive()
    expect("what waited, and the first batch", (message.text, client.inbox.last_head.number), ("waits", 1))
    expect("its status there", kim.status(sent), ("delivered", False, "verified"))
    answer = client.outbox.send([kim.id], text("after"))
    expect("opened there", kim.texts(), ["after"])
    expect("status", client.outbox.status(answer, kim.id), ACKNOWLEDGED)
