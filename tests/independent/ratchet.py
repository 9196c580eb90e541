"""Section 10: the state of the Double Ratchet, and the keys that it gives.

A method may leave a state half moved when it refuses: sessions call it on a copy.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import secrets
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from .clock import now_ms
from .errors import Refused
from .headers import CONTROL, ORDINARY
from .keys import x25519
from .limits import (
    KEPT_UNUSED,
    LONGEST_WITHOUT_A_STEP,
    MOST_CONTROLS_COUNTED,
    MOST_IN_A_CHAIN,
    MOST_LOST_RANGES,
    MOST_RETIRED_KEYS,
    MOST_SKIPPED_AT_ONCE,
    MOST_SKIPPED_KEPT,
    MOST_WITHOUT_A_STEP,
)
from .payloads import BODY_KEY, END, HAND_OVER, MESSAGE
from .primitives import derive_chain, derive_root


@dataclass
class Skipped:
    ratchet_key: bytes
    number: int
    message_key: bytes
    time: int


@dataclass
class Ratchet:
    root: bytes
    remote: bytes
    receiving: tuple | None = None  # chain key, next number
    sending: tuple | None = None  # own private key, chain key, next number
    previous_counter: int = 0
    skipped: list = dataclass_field(default_factory=list)
    lost: list = dataclass_field(default_factory=list)  # [ratchet key, first, last]
    retired_keys: list = dataclass_field(default_factory=list)  # (ratchet key, end)
    last_step: int = dataclass_field(default_factory=now_ms)
    since_step: int = 0
    last_request: int | None = None
    since_request: int = 0
    owed: bool = False
    controls: int = 0
    retired: bool = False
    missing: int = 0

    @classmethod
    def after_first_message(cls, root_key, signed_prekey_private, ratchet_key):
        """The responder's state when a session's first message comes: a step of the peer's."""
        root, chain = derive_root(root_key, x25519(signed_prekey_private, ratchet_key))
        return cls(root=root, remote=ratchet_key, receiving=(chain, 0))

    # Sealing

    def can_seal(self):
        return not self.retired and not (self.sending and self.sending[2] >= MOST_IN_A_CHAIN)

    def step(self, ratchet_private=None):
        """Makes the next ratchet key if a step of the peer's is to be answered; whether it was."""
        if self.sending:
            return False
        own = ratchet_private or secrets.token_bytes(32)
        self.root, chain = derive_root(self.root, x25519(own, self.remote))
        self.sending = (own, chain, 0)
        return True

    def next_to_send(self):
        """Own ratchet private key, counter and message key of the next message."""
        own, chain, counter = self.sending
        chain, key = derive_chain(chain)
        self.sending = (own, chain, counter + 1)
        return own, counter, key

    def asks_for_step(self):
        """Whether a message that makes no step sets the flag; then it is a request."""
        now = now_ms()
        if self.since_step < MOST_WITHOUT_A_STEP and now - self.last_step < LONGEST_WITHOUT_A_STEP:
            return False
        if (self.last_request is not None and self.since_request < MOST_WITHOUT_A_STEP
                and now - self.last_request < LONGEST_WITHOUT_A_STEP):
            return False
        self.last_request, self.since_request = now, 0
        return True

    def note_sealed(self, stepped, message_class):
        self.controls = min(MOST_CONTROLS_COUNTED, self.controls + 1) if message_class == CONTROL else 0
        self.owed = False
        self.count(stepped)

    # Opening

    def key_of(self, envelope):
        """The message key of an envelope, how many messages stand between, and whether it makes a step."""
        ratchet_key, counter = envelope.ratchet_key, envelope.counter
        current = self.receiving is not None and ratchet_key == self.remote
        if current and counter >= self.receiving[1]:
            between = counter - self.receiving[1]
            if between > MOST_SKIPPED_AT_ONCE:
                raise Refused("undecryptable", "skips too far")
            return self.receive_at(counter), between, False
        for skipped in self.skipped:
            if (skipped.ratchet_key, skipped.number) == (ratchet_key, counter):
                self.skipped.remove(skipped)
                return skipped.message_key, 0, False
        end = self.receiving[1] if current else dict(self.retired_keys).get(ratchet_key)
        if end is None:
            return *self.peer_steps(envelope), True
        if counter >= end or self.is_lost(ratchet_key, counter):
            raise Refused("undecryptable", "behind the end of its chain, or lost")
        raise Refused("replay", "its key is used up")

    def peer_steps(self, envelope):
        """A step of the peer's: the message key, and how many messages stand between."""
        if self.sending is None:
            raise Refused("undecryptable", "a step that answers nothing")
        received = self.receiving[1] if self.receiving else 0
        left = max(0, envelope.previous_counter - received) if self.receiving else 0
        if left + envelope.counter > MOST_SKIPPED_AT_ONCE:
            raise Refused("undecryptable", "skips too far")
        if self.receiving:
            self.skip_to(envelope.previous_counter)
            self.retired_keys.append((self.remote, max(received, envelope.previous_counter)))
            del self.retired_keys[:-MOST_RETIRED_KEYS]
        own, _, sent = self.sending
        self.root, chain = derive_root(self.root, x25519(own, envelope.ratchet_key))
        self.previous_counter, self.sending = sent, None
        self.controls = min(self.controls, sent)
        self.remote, self.receiving = envelope.ratchet_key, (chain, 0)
        return self.receive_at(envelope.counter), left + envelope.counter

    def receive_at(self, counter):
        """The message key of `counter`, which is not behind the receiving chain."""
        self.skip_to(counter)
        chain, key = derive_chain(self.receiving[0])
        self.receiving = (chain, counter + 1)
        return key

    def skip_to(self, counter):
        """Skips the keys before `counter` in the receiving chain."""
        chain, number = self.receiving
        while number < counter:
            chain, key = derive_chain(chain)
            self.skipped.append(Skipped(self.remote, number, key, now_ms()))
            number += 1
        self.receiving = (chain, number)

    def note_opened(self, stepped, message_class, plaintext, between):
        """What a message that was opened tells, besides its content."""
        self.forget_skipped()
        self.count(stepped)
        flags = plaintext[2] if len(plaintext) > 2 else 0
        self.missing = max(0, between - (flags >> 1))
        if (message_class == ORDINARY and len(plaintext) > 2 and plaintext[0] == 1
                and plaintext[1] in (MESSAGE, BODY_KEY, HAND_OVER, END) and flags & 1):
            self.owed = True

    def count(self, stepped):
        """Counts a message that was sealed or opened."""
        if stepped:
            self.last_step, self.since_step = now_ms(), 0
            self.last_request, self.since_request = None, 0
        self.since_step += 1
        if self.last_request is not None:
            self.since_request += 1

    # Keys that are skipped, and lost

    def forget_skipped(self):
        """Notes the keys that are too many or too old as lost, in chains that are known."""
        chains = {self.remote, *(key for key, _ in self.retired_keys)}
        self.lost = [lost for lost in self.lost if lost[0] in chains]
        while self.skipped and (len(self.skipped) > MOST_SKIPPED_KEPT
                                or self.skipped[0].time + KEPT_UNUSED <= now_ms()):
            gone = self.skipped.pop(0)
            if gone.ratchet_key in chains:
                self.lose(gone.ratchet_key, gone.number)
        while len(self.lost) > MOST_LOST_RANGES and self.join_lost():
            pass

    def lose(self, ratchet_key, number):
        for lost in self.lost:
            if lost[0] == ratchet_key and lost[1] - 1 <= number <= lost[2] + 1:
                lost[1:] = min(lost[1], number), max(lost[2], number)
                return
        self.lost.append([ratchet_key, number, number])

    def join_lost(self):
        """Joins the two oldest neighbours of one chain; whether there were two."""
        for place, older in enumerate(self.lost):
            for newer in self.lost[place + 1:]:
                if newer[0] == older[0]:
                    older[1:] = min(older[1], newer[1]), max(older[2], newer[2])
                    self.lost.remove(newer)
                    return True
        return False

    def is_lost(self, ratchet_key, counter):
        return any(key == ratchet_key and first <= counter <= last for key, first, last in self.lost)
