"""Section 13: the sender's runtime, with renewal (section 11) and the checking of receipts (section 12).

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import secrets
import uuid
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from .bodies import derive_body, describe, encode_body, seal_body
from .clock import DAY, now_ms
from .envelopes import part_hash
from .errors import Malformed
from .headers import CONTROL, NONE, RATCHET, RECIPIENT_KEYS, SCHEME_NAMES, SHARED_KEY, Header, header_hash
from .identifiers import decode_id, new_message_id
from .limits import LIFE_OF_A_CONTROL_MESSAGE, MOST_ATTEMPTS, MOST_CONTENT, PIECE, YOUNGEST_RENEWED
from .payloads import BodyKey
from .receipts import ACKNOWLEDGED, REFUSED, STORED, check_proof
from .relay import from_base64
from .schemes import encode_group_access, encode_wrap, group_content_key, sign_part

RENEWED = ("refused-undecryptable", "refused-unknown-prekey", "refused-unknown-session")


@dataclass
class Sent:
    """What is remembered of a message that was sent."""
    header: Header
    encoded_header: bytes
    body: bytes | None
    what: object = None
    parts: dict = dataclass_field(default_factory=dict)  # (recipient, attempt): envelope
    sessions: dict = dataclass_field(default_factory=dict)  # recipient: session of the last attempt


@dataclass
class Status:
    """What the relay tells of a message and one recipient, and whether a receipt proves it."""
    state: str
    reason: str = ""
    acknowledged: bool = False
    proven: bool = False


class Outbox:
    def __init__(self, client):
        self.client = client
        self.last_id = (0, 0)  # time, number within the millisecond

    def compose(self, recipients, scheme, life=DAY, body=None, **more):
        created = max(now_ms(), self.last_id[0])
        number = self.last_id[1] + 1 if created == self.last_id[0] else 0
        self.last_id = (created, number)
        return Header(self.client.id, new_message_id(created, number), sorted(recipients), scheme, created,
                      created + life, body=body and describe(body), **more)

    def send(self, recipients, content, scheme=RATCHET, group=None, **options):
        """Sends a content; the message as it is remembered."""
        if scheme == RATCHET:
            sent = self.prepare(recipients, content, **options)
        else:
            sent = self.prepare_without_ratchet(recipients, content, scheme, group)
        self.submit(sent)
        return sent

    def prepare(self, recipients, content, as_body=False, suites=None):
        """Seals a content by the ratchet with each recipient. Nothing leaves."""
        body, what = None, content
        if as_body or len(content.data) > MOST_CONTENT:
            key = secrets.token_bytes(32)
            body = seal_body(key, encode_body(content))
            what = BodyKey(key, derive_body(key)[1], *describe(body))
        header = self.compose(recipients, RATCHET, body=body)
        sent = Sent(header, header.encode(), body, what)
        for recipient in header.recipients:
            session = self.client.sending_session(recipient, header.id, suites=suites)
            sent.parts[recipient, 1] = session.seal(header, what)
            sent.sessions[recipient] = session
        return sent

    def prepare_without_ratchet(self, recipients, content, scheme, group_id=None):
        """Seals a content as a body, and signs a part for each recipient (section 22). Nothing leaves."""
        plaintext, key = encode_body(content), secrets.token_bytes(32)
        manifests = {recipient: self.client.manifest_of(recipient) for recipient in recipients
                     if scheme == RECIPIENT_KEYS or recipient not in self.client.identities}
        header = self.compose(recipients, scheme)
        group, salt = self.client.groups.get(group_id), secrets.token_bytes(32)
        if scheme == SHARED_KEY:
            key = group_content_key(group.secrets[group.epoch], salt, group_id, group.epoch, header)
        body = plaintext if scheme == NONE else seal_body(key, plaintext)
        header.body = describe(body)
        sent = Sent(header, header.encode(), body)
        signed = sign_part(self.client.identity, scheme, sent.encoded_header)
        for recipient in header.recipients:
            access = b""
            if scheme == SHARED_KEY:
                access = encode_group_access(group_id, group.epoch, salt)
            elif scheme == RECIPIENT_KEYS:
                sealing_key = manifests[recipient].sealing_key
                if sealing_key.expires <= now_ms():
                    raise Malformed("the sealing key has expired")
                access = encode_wrap(sealing_key, recipient, sent.encoded_header, key)
            sent.parts[recipient, 1] = signed + access
        return sent

    def submit(self, sent, attempt=1):
        upload = self.upload(sent) if sent.body and len(sent.body) > PIECE else None
        parts = [(recipient, number, part) for (recipient, number), part in sent.parts.items() if number == attempt]
        return self.client.relay.send(sent.encoded_header, parts, None if upload else sent.body, upload)

    def upload(self, sent):
        """Uploads a body in pieces; the upload's name."""
        name, relay = str(uuid.uuid4()), self.client.relay
        status = relay.begin_upload(name, SCHEME_NAMES[sent.header.scheme], *sent.header.body)
        for missing in status["missing"]:
            for offset in range(missing["offset"], missing["offset"] + missing["length"], status["piece"]):
                relay.append(name, offset, sent.body[offset:offset + status["piece"]])
        return name

    def send_control(self, session, what):
        """Seals a step (`what` is none) or a mark, and sends it; nothing is remembered of it."""
        header = self.compose([session.peer], RATCHET, life=LIFE_OF_A_CONTROL_MESSAGE, message_class=CONTROL)
        self.client.relay.send(header.encode(), [(session.peer, 1, session.seal(header, what))])

    def status(self, sent, recipient):
        for delivery in self.client.relay.get_status(sent.header.id):
            if decode_id("agent", delivery["recipient"]) == recipient:
                status = Status(delivery["state"], delivery["reason"] or "",
                                delivery["acknowledged_at_ms"] is not None)
                status.proven = self.is_proven(sent, recipient, delivery, status)
                return status
        raise LookupError("the relay says nothing of this recipient")

    def is_proven(self, sent, recipient, delivery, status):
        attempt = delivery["attempt"]
        proof, part = delivery["receipt"], sent.parts.get((recipient, attempt))
        leaf = check_proof(from_base64(proof), self.client.identities[recipient]) if proof and part else None
        if leaf is None or (leaf.sender, leaf.id, leaf.attempt, leaf.header_hash, leaf.part_hash) != (
                self.client.id, sent.header.id, attempt, header_hash(sent.encoded_header), part_hash(part)):
            return False
        if status.state == "failed":
            return leaf.verdict == REFUSED and status.reason == f"refused-{leaf.reason}"
        return status.state == "delivered" and leaf.verdict == (ACKNOWLEDGED if status.acknowledged else STORED)

    def renew(self, sent, recipient):
        """Seals a message anew after a proven refusal; whether it was."""
        status = self.status(sent, recipient)
        attempt = max(number for to, number in sent.parts if to == recipient)
        if (status.state != "failed" or not status.proven or status.reason not in RENEWED
                or attempt >= MOST_ATTEMPTS or sent.header.scheme != RATCHET):
            return False
        session = sent.sessions[recipient]
        if session is self.client.peer(recipient).sending:
            if now_ms() - session.created < YOUNGEST_RENEWED:
                return False
            session.state.retired = True
        session = self.client.sending_session(recipient, sent.header.id, attempt + 1)
        sent.parts[recipient, attempt + 1] = session.seal(sent.header, sent.what)
        sent.sessions[recipient] = session
        self.submit(sent, attempt + 1)
        return True
