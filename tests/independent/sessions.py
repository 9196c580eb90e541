"""Sections 10 and 11: sealing and opening in a session, and the sessions of a peer.

A session's state moves on a copy, which takes its place only when the tag has verified.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import copy
import secrets

from .clock import now_ms
from .encoding import field
from .envelopes import Envelope
from .errors import Refused
from .headers import ORDINARY, header_hash
from .keys import x25519_public
from .limits import KEPT_UNUSED, MOST_RECEIVING_SESSIONS
from .payloads import encode_payload
from .primitives import open_with, seal_with, sha256


def session_id(associated_data):
    return sha256(associated_data)[:16]


class Session:
    """A session with a peer."""

    def __init__(self, own, peer, associated_data, opening, initiator, state):
        self.id = session_id(associated_data)
        self.own, self.peer = own, peer
        self.associated_data = associated_data
        self.opening = opening
        self.initiator = initiator
        self.opening_due = initiator
        self.state = state
        self.created = self.used = now_ms()

    def message_associated_data(self, encoded_header, envelope):
        return field(self.associated_data) + field(envelope.header()) + field(header_hash(encoded_header))

    def seal(self, header, what, ratchet_private=None, nonce=None):
        """The encoded envelope of a message."""
        if header.sender != self.own or self.peer not in header.recipients or not self.state.can_seal():
            raise ValueError("this session does not seal this message")
        state = copy.deepcopy(self.state)
        stepped = state.step(ratchet_private)
        own, counter, key = state.next_to_send()
        asks = not stepped and header.message_class == ORDINARY and state.asks_for_step()
        plaintext = encode_payload(what, state.controls << 1 | asks)
        state.note_sealed(stepped, header.message_class)
        envelope = Envelope(self.id, x25519_public(own), counter, state.previous_counter,
                            self.opening if self.opening_due else None, nonce or secrets.token_bytes(12))
        sealed = seal_with(key, envelope.nonce, plaintext, self.message_associated_data(header.encode(), envelope))
        envelope.ciphertext, envelope.tag = sealed[:-16], sealed[-16:]
        self.state, self.used = state, now_ms()
        return envelope.encode()

    def open(self, header, encoded_header, envelope):
        """The plaintext of an envelope."""
        if header.sender != self.peer or self.own not in header.recipients:
            raise Refused("undecryptable", "another sender or recipient")
        if envelope.session != self.id or envelope.opening and (
                self.initiator or envelope.opening.encode() != self.opening.encode()):
            raise Refused("unknown-session", "another session or opening")
        state = copy.deepcopy(self.state)
        key, between, stepped = state.key_of(envelope)
        plaintext = self.open_with_key(key, encoded_header, envelope)
        state.note_opened(stepped, header.message_class, plaintext, between)
        self.state, self.used, self.opening_due = state, now_ms(), False
        return plaintext

    def open_with_key(self, key, encoded_header, envelope):
        return open_with(key, envelope.nonce, envelope.ciphertext + envelope.tag,
                         self.message_associated_data(encoded_header, envelope))


class Peer:
    """The sessions with one peer: at most one sends, and a few more receive."""

    def __init__(self):
        self.sending = None
        self.receiving = []

    def all(self):
        return [self.sending, *self.receiving] if self.sending else self.receiving

    def find(self, session):
        return next((known for known in self.all() if known.id == session), None)

    def sends_next(self, session):
        """`session` sends from now on."""
        if self.sending:
            self.receiving.append(self.sending)
        self.sending = session
        self.forget()

    def opened_by_peer(self, session):
        """The peer has opened `session`."""
        mine = self.sending
        keeps = (mine and mine.state.can_seal() and mine.initiator and mine.opening_due
                 and now_ms() - mine.used < KEPT_UNUSED)
        if keeps and mine.id < session.id:
            self.receiving.append(session)
            self.forget()
        else:
            self.sends_next(session)

    def forget(self):
        """Erases receiving sessions: those unused for long, and the least recently used of too many."""
        used = [session for session in self.receiving if now_ms() - session.used < KEPT_UNUSED]
        self.receiving = sorted(used, key=lambda session: session.used)[-MOST_RECEIVING_SESSIONS:]
