"""Section 5: an agent's private prekeys.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import secrets

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

from .clock import now_ms
from .handshakes import names_of_keys
from .keys import x25519_public
from .limits import LIFE_OF_A_ONE_TIME_KEY
from .manifests import (
    LAST_RESORT_KEM,
    ONE_TIME_CURVE,
    ONE_TIME_KEM,
    SEALING,
    SIGNED,
    Prekey,
    sign_one_time_key,
)


class Prekeys:
    def __init__(self, identity):
        self.identity = identity
        self.private = {}  # (kind, id): private key, or the seed of a KEM key
        self.last_id = dict.fromkeys((SIGNED, ONE_TIME_CURVE, ONE_TIME_KEM, LAST_RESORT_KEM, SEALING), 0)

    def new(self, kind, life):
        self.last_id[kind] += 1
        if kind in (ONE_TIME_KEM, LAST_RESORT_KEM):
            private = secrets.token_bytes(64)
            public = MLKEM768PrivateKey.from_seed_bytes(private).public_key().public_bytes_raw()
        else:
            private = secrets.token_bytes(32)
            public = x25519_public(private)
        self.private[kind, self.last_id[kind]] = private
        created = now_ms()
        return Prekey(self.last_id[kind], created, created + life, public)

    def new_for_manifest(self, life, with_kem):
        """A signed prekey, a last-resort KEM key or none, and a sealing key."""
        return self.new(SIGNED, life), self.new(LAST_RESORT_KEM, life) if with_kem else None, self.new(SEALING, life)

    def new_one_time_keys(self, count):
        """Signed one-time keys: curve keys, and KEM keys."""
        return [[sign_one_time_key(self.identity, kind, self.new(kind, LIFE_OF_A_ONE_TIME_KEY)) for _ in range(count)]
                for kind in (ONE_TIME_CURVE, ONE_TIME_KEM)]

    def erase_one_time(self, opening):
        """Erases the one-time private keys that an opening names."""
        for name in names_of_keys(opening):
            if name and name[0] in (ONE_TIME_CURVE, ONE_TIME_KEM):
                del self.private[name]
