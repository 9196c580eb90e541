"""Sections 10 and 11: what a ratchet and the sessions of a peer keep, and what they forget.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from ..checks import expect
from ..clock import DAY
from ..envelopes import Envelope
from ..keys import x25519_public
from ..ratchet import Ratchet
from ..sessions import Peer, Session
from .identities import ALICE, BOB


def new_ratchet():
    return Ratchet(root=b"\x01" * 32, remote=x25519_public(b"\x02" * 32), receiving=(b"\x03" * 32, 0))


def ratchets():
    state = new_ratchet()
    state.skip_to(150)
    state.forget_skipped()
    expect("skipped keys", [key.number for key in state.skipped], list(range(50, 150)))
    expect("lost ones", state.lost, [[state.remote, 0, 49]])
    state.skipped[0].time -= 31 * DAY
    state.forget_skipped()
    expect("lost ones with that of 31 days", state.lost, [[state.remote, 0, 50]])

    state = new_ratchet()
    for number in range(40):
        state.lose(state.remote, 2 * number)
    state.forget_skipped()
    expect("ranges", [lost[1:] for lost in state.lost], [[0, 16], *([number, number] for number in range(18, 80, 2))])

    state, keys = new_ratchet(), [x25519_public(bytes([number]) * 32) for number in range(3, 21)]
    for key in keys:
        state.step()
        state.key_of(Envelope(bytes(16), key, 0, 0, None))
    expect("retired keys", [key for key, _ in state.retired_keys], keys[1:-1])


def new_session(number, initiator=True):
    return Session(ALICE.id, BOB.id, bytes([number]), None, initiator, new_ratchet())


def sessions():
    peer, made = Peer(), [new_session(number) for number in range(7)]
    for number, session in enumerate(made):
        session.used += number
        peer.sends_next(session)
    expect("session that sends", peer.sending is made[6], True)
    expect("sessions that receive", [session.id for session in peer.receiving], [session.id for session in made[2:6]])
    for session in (made[2], made[6]):
        session.used -= 32 * DAY
    peer.forget()
    expect("sessions that were used", [session.id for session in peer.all()],
           [session.id for session in (made[6], made[3], made[4], made[5])])


def crossing():
    """Which session sends when the peer opens one."""
    lower, higher = sorted((new_session(1), new_session(2)), key=lambda session: session.id)

    def sending(mine, theirs, **changes):
        peer = Peer()
        peer.sends_next(mine)
        before = dict(vars(mine))
        vars(mine).update(changes)
        peer.opened_by_peer(theirs)
        vars(mine).update(before)
        expect("both are kept", len(peer.all()), 2)
        return peer.sending is mine
    expect("mine is lower", sending(lower, higher), True)
    expect("theirs is lower", sending(higher, lower), False)
    expect("mine has opened something", sending(lower, higher, opening_due=False), False)
    expect("mine was opened by the peer", sending(lower, higher, initiator=False), False)
    retired = new_ratchet()
    retired.retired = True
    expect("mine is retired", sending(lower, higher, state=retired), False)
