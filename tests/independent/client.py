"""Sections 5 and 11: a client, which is one identity with its keys, its peers and its relay.

Its state lives in memory. Rules that ask for a commit before something leaves are kept by the order of the statements,
and restored copies of a store (section 11) cannot happen.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import secrets

from .bundles import check_bundle, check_manifest
from .clock import DAY, now_ms
from .handshakes import initiate
from .identifiers import encode_id
from .inbox import Inbox
from .keys import Identity
from .manifests import PQXDH, X3DH, Manifest, claim_id, sign_manifest
from .outbox import Outbox
from .prekeys import Prekeys
from .relay import Relay
from .sessions import Peer

LIFE_OF_KEYS = 30 * DAY


class Client:
    def __init__(self, origin, suites=(PQXDH, X3DH)):
        self.identity = Identity(secrets.token_bytes(32))
        self.relay = Relay(origin, self.identity)
        self.suites = suites
        self.prekeys = Prekeys(self.identity)
        self.version = 0
        self.signed_manifest = None
        self.seen_manifests = {}
        self.identities = {self.identity.id: self.identity.key}
        self.peers = {}
        self.groups = {}
        self.outbox = Outbox(self)
        self.inbox = Inbox(self)

    @property
    def id(self):
        return self.identity.id

    @property
    def name(self):
        return encode_id("agent", self.id)

    def peer(self, agent_id):
        return self.peers.setdefault(agent_id, Peer())

    def publish(self, one_time_keys=10):
        """Publishes a new manifest with new keys, and one-time keys of both kinds; how many are unused at the relay."""
        self.version += 1
        created = now_ms()
        signed_prekey, last_resort_kem, sealing_key = self.prekeys.new_for_manifest(LIFE_OF_KEYS, PQXDH in self.suites)
        manifest = Manifest(self.identity.key, list(self.suites), signed_prekey, last_resort_kem, sealing_key,
                            self.version, created, created + LIFE_OF_KEYS)
        self.signed_manifest = sign_manifest(self.identity, manifest)
        return self.refill(one_time_keys)

    def refill(self, one_time_keys):
        """Publishes the manifest with further one-time keys."""
        return self.relay.upload_prekeys(self.signed_manifest, *self.prekeys.new_one_time_keys(one_time_keys))

    def begin_anew(self, one_time_keys=10):
        """What is begun again under a new ledger (section 14)."""
        self.inbox.begin_anew()
        return self.refill(one_time_keys)

    def manifest_of(self, target):
        manifest = check_manifest(self.relay.get_manifest(target), target, self.seen_manifests)
        self.identities[target] = manifest.identity
        return manifest

    def claim(self, message_id, target, attempt=1, suites=None):
        claimed = self.relay.claim_bundle(target, claim_id(message_id, target, attempt))
        bundle = check_bundle(*claimed, target, self.seen_manifests, suites or self.suites)
        self.identities[target] = bundle.manifest.identity
        return bundle

    def sending_session(self, target, message_id, attempt=1, suites=None):
        """The session that sends to `target`; a new one if none does."""
        peer = self.peer(target)
        if peer.sending is None or not peer.sending.state.can_seal():
            peer.sends_next(initiate(self.identity, self.claim(message_id, target, attempt, suites)))
        return peer.sending
