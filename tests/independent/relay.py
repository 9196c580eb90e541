"""Sections 14 and 15: a relay as one identity uses it, over REST, or a delegate of its; events over a WebSocket.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import base64
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from .clock import now_ms
from .identifiers import decode_id, encode_id, uuid_text
from .keys import check_identity_key
from .primitives import sign, verify
from .tokens import access_claim, challenge_answer, make_proof

LONGEST_ANSWER = 30  # seconds; no call here waits for mail
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NewLedger(Exception):
    """The relay keeps another ledger than before (section 14)."""


class Unproven(Exception):
    """The relay's word does not hold under the node id that is known."""


class RelayRefused(Exception):
    def __init__(self, problem):
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.code = problem.get("code")


@dataclass
class Entry:
    """What a mailbox holds of one message."""
    place: int
    encoded_header: bytes
    part: bytes
    attempt: int


def to_base64(data):
    return base64.b64encode(data).decode()


def from_base64(text):
    return base64.b64decode(text, validate=True)


class Relay:
    def __init__(self, origin, identity):
        self.origin = origin
        self.identity = identity
        self.node_id = None  # pinned once it is known
        self.ledger_id = None
        self.token, self.token_expires = None, None
        self.clock = 0  # the node's clock less ours

    @property
    def identity_key(self):
        return self.identity.key

    def request(self, method, path, body=None, query=None, authorization=None):
        url = self.origin + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(authorization or {})}
        try:
            request = urllib.request.Request(url, data, headers, method=method)
            with WITHOUT_PROXY.open(request, timeout=LONGEST_ANSWER) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise RelayRefused(json.load(error)) from None

    def authenticate(self):
        """Section 14: from a challenge to a token."""
        known_ledger = self.ledger_id
        self.ask_for_token(*self.ask_for_challenge())
        if known_ledger not in (None, self.ledger_id):
            raise NewLedger

    def ask_for_challenge(self):
        """A challenge, and its end; the node that is known has signed both."""
        nonce = secrets.token_bytes(32)
        answer = self.request("POST", "/auth/challenge", {"nonce": to_base64(nonce)})
        node_id = decode_id("node", answer["node_id"])
        challenge, ledger_id = from_base64(answer["challenge"]), from_base64(answer["ledger_id"])
        signed = challenge_answer(node_id, ledger_id, nonce, challenge, answer["at_ms"], answer["expires_at_ms"])
        if self.node_id not in (None, node_id) or not verify(
                check_identity_key(node_id), "sealpost/v1/challenge", signed, from_base64(answer["signature"])):
            raise Unproven("another node, or a wrong signature")
        self.node_id, self.ledger_id, self.clock = node_id, ledger_id, answer["at_ms"] - now_ms()
        return challenge, answer["expires_at_ms"]

    def ask_for_token(self, challenge, expires):
        self.token_private = Ed25519PrivateKey.generate()
        token_key = self.token_private.public_key().public_bytes_raw()
        claim = access_claim(self.node_id, self.origin, self.identity_key, challenge, expires, token_key)
        answer = self.request("POST", "/auth/token", {
            "identity_key": to_base64(self.identity_key),
            "origin": self.origin,
            "challenge": to_base64(challenge),
            "expires_at_ms": expires,
            "token_key": to_base64(token_key),
            **self.credential(claim),
        })
        self.token, self.token_expires = answer["token"], answer["expires_at_ms"]

    def credential(self, claim):
        """By what right a token is asked for."""
        return {"signature": to_base64(sign(self.identity.signing, "sealpost/v1/access", claim))}

    def call(self, method, path, body=None, query=None):
        """A request with token and proof, and once more with another token if that one is good no more."""
        if self.token is None:
            self.authenticate()
        try:
            return self.call_once(method, path, body, query)
        except RelayRefused as refused:
            if refused.code not in ("token-expired", "unauthenticated"):
                raise
        self.authenticate()
        return self.call_once(method, path, body, query)

    def call_once(self, method, path, body=None, query=None):
        """A request with the token that is there. A proof comes with each, since the connection may be a new one."""
        return self.request(method, path, body, query, self.authorization(method, path))

    def authorization(self, method, path):
        proof = make_proof(self.token_private, self.token, method, self.origin + path, now_ms() + self.clock)
        return {"authorization": f"DPoP {self.token}", "dpop": proof}

    def upload_prekeys(self, manifest, one_time_curve, one_time_kem):
        return self.call("POST", "/messaging/upload-prekeys", {
            "manifest": to_base64(manifest),
            "one_time_curve": [to_base64(key) for key in one_time_curve],
            "one_time_kem": [to_base64(key) for key in one_time_kem],
        })["counts"]

    def claim_bundle(self, target, claim):
        answer = self.call("POST", f"/messaging/prekeys/{encode_id('agent', target)}", {"claim_id": to_base64(claim)})
        return tuple(from_base64(answer.get(name, "")) for name in ("manifest", "one_time_curve", "one_time_kem"))

    def get_manifest(self, target):
        return from_base64(self.call("GET", f"/messaging/prekeys/{encode_id('agent', target)}")["manifest"])

    def send(self, header, parts, body=None, upload=None):
        request = {"header": to_base64(header), "parts": [
            {"recipient": encode_id("agent", recipient), "attempt": attempt, "envelope": to_base64(envelope)}
            for recipient, attempt, envelope in parts]}
        if body is not None:
            request["body"] = to_base64(body)
        if upload is not None:
            request["upload_id"] = upload
        return self.call("POST", "/messaging/send", request)["accepted_at_ms"]

    def receive(self, after, control_taken):
        query = {"after": after, "control_taken": control_taken}
        entries = self.call("GET", "/messaging/receive", query=query)["entries"]
        return [Entry(entry["mailbox_seq"], from_base64(entry["header"]), from_base64(entry["envelope"]),
                      entry["attempt"]) for entry in entries]

    def acknowledge(self, batch):
        """The relay's countersignature, and what it did not take of the batch."""
        answer = self.call("POST", "/messaging/ack", {"receipts": to_base64(batch)})
        return from_base64(answer["countersignature"]), answer["refused"]

    def standing(self):
        """Our last head of receipts under both signatures; empty without one."""
        return from_base64(self.call("GET", "/messaging/standing")["receipt_head"])

    def get_status(self, message_id):
        return self.call("GET", f"/api/messages/{uuid_text(message_id)}")["deliveries"]

    def get_body(self, sender, message_id, offset):
        answer = self.call("GET", f"/api/messages/{uuid_text(message_id)}/content",
                           query={"sender": encode_id("agent", sender), "offset": offset})
        return from_base64(answer.get("body", ""))

    def begin_upload(self, upload, scheme, length, digest):
        return self.call("POST", "/api/uploads",
                         {"upload_id": upload, "scheme": scheme, "length": length, "hash": to_base64(digest)})

    def append(self, upload, offset, piece):
        return self.call("POST", f"/api/uploads/{upload}/pieces", {"offset": offset, "piece": to_base64(piece)})

    def upload_status(self, upload):
        return self.call("GET", f"/api/uploads/{upload}")

    def cancel_upload(self, upload):
        return self.call("DELETE", f"/api/uploads/{upload}")

    def events(self, after=0):
        return self.call("GET", "/api/events", query={"after": after})["events"]

    def follow_events(self, after=0):
        if self.token is None:
            self.authenticate()
        url = f"{self.origin.replace('http', 'ws', 1)}/events?after={after}"
        try:
            return EventStream(connect(url, additional_headers=self.authorization("GET", "/events"), proxy=None))
        except InvalidStatus as error:
            raise RelayRefused(json.loads(error.response.body)) from None

    def revoke(self, delegation_ids=(), certified_until=None):
        return self.call("POST", "/api/revocations", {
            "delegation_ids": [to_base64(delegation) for delegation in delegation_ids],
            "certified_until_ms": certified_until})


class EventStream:
    """Events as they come, over a WebSocket."""

    def __init__(self, socket):
        self.socket = socket

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def next(self, longest=5):
        try:
            return json.loads(self.socket.recv(longest))
        except ConnectionClosed as closed:
            raise RelayRefused({"code": closed.rcvd.reason, "detail": f"status {closed.rcvd.code}"}) from None


class DelegateRelay(Relay):
    """A relay as a delegate uses it, in the agent's name."""

    def __init__(self, origin, delegation, node_id=None):
        super().__init__(origin, identity=None)
        self.delegation, self.node_id = delegation, node_id

    @property
    def identity_key(self):
        return self.delegation.certificate.identity

    def credential(self, claim):
        return by_right_of(self.delegation, self.delegation.show(claim))


def by_right_of(delegation, token):
    """What is sent in place of a signature."""
    return {"delegation": {"certificate": to_base64(delegation.certificate.encode()), "token": to_base64(token)}}
