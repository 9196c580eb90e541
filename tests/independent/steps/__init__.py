"""What is done with the reference program: each step with agents of its own, so that none needs another.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

from functools import partial

from ..headers import NONE, RATCHET, RECIPIENT_KEYS
from . import (
    bodies,
    bounds,
    control,
    conversations,
    delegates,
    delegations,
    distrust,
    exchange,
    groups,
    ledger,
    refusals,
    renewal,
    revocations,
)

STEPS = {
    "publish: identity, token, manifest, one-time keys": exchange.publish,
    "receive: a first message under one-time keys, its receipts, an answer": partial(exchange.receive, 5),
    "receive: a first message under the last-resort key": partial(exchange.receive, 0),
    "receive: between two clients": exchange.between_clients,
    "receive: receipts of both ends are blinded": exchange.blinds,
    "initiate: both suites, with one-time keys and without; ten messages": conversations.initiate,
    "shuffle: messages late and out of order at both ends, each opened once": conversations.shuffle,
    "both open: sessions that cross, and the lower id goes on": conversations.both_open,
    "bounds: skipped keys at the reference": bounds.at_the_reference,
    "bounds: skipped keys at the client": bounds.at_the_client,
    "bounds: the last message of a chain": bounds.chain,
    "control: a step on request, by the reference": control.step_of_the_reference,
    "control: a step on request, by the client": control.step_of_the_client,
    "control: marks, and nothing missing after them": control.mark,
    "control: what the reference finds missing": control.missing,
    "bodies: none": partial(bodies.both_ways, NONE),
    "bodies: recipient-keys": partial(bodies.both_ways, RECIPIENT_KEYS),
    "bodies: ratchet": partial(bodies.both_ways, RATCHET),
    "bodies: an altered body is asked for again": bodies.altered_at_the_relay,
    "bodies: compressed": bodies.compressed,
    "groups: a message under the group's key, both ways": groups.both_ways,
    "groups: a member that is removed": groups.removed,
    "refuse: altered envelopes and headers here": refusals.here,
    "refuse: altered and replayed envelopes there": refusals.there,
    "refuse: altered openings there": refusals.openings,
    "refuse: a signed part that is altered, by the relay": refusals.by_the_relay,
    "distrust: altered bundles": distrust.bundles,
    "distrust: another node's challenge and countersignature": distrust.node,
    "distrust: receipts that prove something else": distrust.proofs,
    "distrust: proofs of possession, by the relay": distrust.tokens,
    "renew: sealed anew in a new session": renewal.sealed_anew,
    "renew: given up": renewal.given_up,
    "renew: the reference seals anew for the client": renewal.by_the_reference,
    "delegates: read what waits, and what became of messages": delegates.reads,
    "delegates: send what the agent has sealed": delegates.sends,
    "delegates: each call, by each right": delegates.rights,
    "delegates: tokens and streams end with the delegation": delegates.ends,
    "delegations: blocks, by the relay": delegations.tokens,
    "delegations: certificates, by the relay": delegations.certificates,
    "delegations: bound and sealed, by the relay": delegations.shown,
    "revocations: by ids": revocations.by_id,
    "revocations: by the time of certificates": revocations.by_time,
    "revocations: streams, waits and connections that are open": revocations.streams,
    "revocations: what a request may hold": revocations.requests,
    # Last: they take the relay away and bring it back.
    "revocations: the relay is started again": revocations.durable,
    "ledger: the relay comes back with another one": ledger.restored,
}
