"""Section 13: the recipient's runtime, which gives receipts (section 12) and opens what comes (sections 9 to 11, 22).

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import secrets
from dataclasses import dataclass

from .bodies import decode_body, describe, open_body
from .clock import now_ms
from .encoding import Reader
from .envelopes import decode_envelope, part_hash
from .errors import Malformed, Refused
from .groups import GroupEnd, HandOver, take_end, take_hand_over
from .handshakes import respond
from .headers import CONTROL, NONE, RATCHET, RECIPIENT_KEYS, SHARED_KEY, Header, decode_header, header_hash
from .identifiers import agent_id_of
from .limits import MOST_LEAVES, REMEMBERED
from .manifests import SEALING
from .payloads import BodyKey, Content, Mark, decode_payload
from .primitives import verify
from .receipts import ACKNOWLEDGED, REFUSED, STORED, Leaf, read_head, sign_batch
from .relay import Entry, RelayRefused, Unproven
from .schemes import decode_part, group_content_key, unwrap


@dataclass
class Received:
    """A message that was opened, or what was refused of it."""
    entry: Entry
    header: Header | None
    refused: str | None = None
    content: Content | None = None
    mark: Mark | None = None
    lost: bool = False

    @property
    def text(self):
        return self.content and self.content.data.decode()


@dataclass
class Known:
    """What is remembered of a message that came."""
    header_hash: bytes
    part_hash: bytes
    attempt: int
    verdict: int | None = None  # none while its body is still to come
    reason: str | None = None
    body_key: bytes | None = None

    def is_of(self, entry):
        return (self.header_hash, self.part_hash, self.attempt) == (
            header_hash(entry.encoded_header), part_hash(entry.part), entry.attempt)


class BodyNotHere(Exception):
    """The relay has the body no more, or gives another one, and may give the right one later (`ever`)."""

    def __init__(self, ever):
        super().__init__("later" if ever else "never")
        self.ever = ever


class Inbox:
    def __init__(self, client):
        self.client = client
        self.known = {}  # by (sender, message id)
        self.due = []  # leaves
        self.last_head = None
        self.control_taken = 0

    def begin_anew(self):
        self.last_head, self.control_taken = None, 0

    def receive(self):
        """Takes what the mailbox holds, gives receipts, and answers requests for steps."""
        received = [self.take(entry) for entry in self.fetch()]
        self.give_receipts()
        self.answer_requests()
        return [message for message in received if message]

    def fetch(self):
        """All entries of the mailbox. Control messages that were taken in before leave it."""
        entries, after = [], 0
        while page := self.client.relay.receive(after, self.control_taken):
            entries += page
            after = page[-1].place
        return entries

    def take(self, entry):
        """One entry of the mailbox: the table of section 13, in its order."""
        encoded = entry.encoded_header
        try:
            header = decode_header(encoded)
        except Malformed:
            return self.refuse(entry, None, encoded[1:33], encoded[33:49], "policy") if len(encoded) >= 49 else None
        if header.message_class == CONTROL:
            return self.take_control(entry, header)
        known = self.known.get((header.sender, header.id))
        if known and known.verdict != REFUSED:
            if known.header_hash != header_hash(encoded):
                self.note(entry, header.sender, header.id, REFUSED, "replay", remember=False)
                return Received(entry, header, "replay")
            return self.take_again(entry, header, known)
        if known and known.is_of(entry):
            return self.take_again(entry, header, known)
        try:
            if header.created < now_ms() - REMEMBERED:
                raise Refused("policy", "its name may have been forgotten")
            what = self.open(header, entry)
        except (Refused, Malformed) as error:
            return self.refuse(entry, header, header.sender, header.id, reason_of(error))
        except BodyNotHere:
            return None
        if isinstance(what, BodyKey):
            known = Known(header_hash(encoded), part_hash(entry.part), entry.attempt, body_key=what.key)
            self.known[header.sender, header.id] = known
            return self.take_body(entry, header, known)
        self.note(entry, header.sender, header.id, STORED)
        return Received(entry, header, content=what)

    def take_again(self, entry, header, known):
        """What is known gets its old verdict in a new leaf, or its body at last."""
        if known.body_key:
            return self.take_body(entry, header, known)
        if known.verdict:
            self.note(entry, header.sender, header.id, known.verdict, known.reason)
        return None

    def take_body(self, entry, header, known):
        """The body of a message whose envelope was opened. What the relay does not give now is asked for again with
        the next look at the entry, and what it has no more never again; neither is receipted."""
        try:
            content = decode_body(open_body(known.body_key, self.fetch_body(header)))
        except BodyNotHere as error:
            if error.ever:
                return None
            known.body_key = None
            return Received(entry, header, lost=True)
        except (Refused, Malformed):
            return self.refuse(entry, header, header.sender, header.id, "undecryptable")
        self.note(entry, header.sender, header.id, STORED)
        return Received(entry, header, content=content)

    def fetch_body(self, header):
        """The sealed body of a message, compared with its header."""
        body = b""
        try:
            while len(body) < header.body[0]:
                piece = self.client.relay.get_body(header.sender, header.id, len(body))
                if not piece:
                    break
                body += piece
        except RelayRefused as refused:
            if refused.code in ("not-found", "lost"):
                raise BodyNotHere(ever=False) from None
            raise
        if describe(body) != header.body:
            raise BodyNotHere(ever=True)
        return body

    # Opening

    def open(self, header, entry):
        """The content of an ordinary message, or the key of its body; none if it brings what is said of a group."""
        if header.scheme != RATCHET:
            return self.open_without_ratchet(header, entry)
        plaintext = self.open_envelope(header, entry.encoded_header, decode_envelope(entry.part))
        what = decode_payload(plaintext, header)
        if isinstance(what, HandOver):
            return take_hand_over(self.client.groups, self.client.id, header.sender, what)
        if isinstance(what, GroupEnd):
            return take_end(self.client.groups, what)
        return what

    def open_envelope(self, header, encoded_header, envelope):
        """Opens an envelope in the session that it names, or the session that it opens."""
        client, peer = self.client, self.client.peer(header.sender)
        session = peer.find(envelope.session)
        if session:
            return session.open(header, encoded_header, envelope)
        session, plaintext = respond(client.identity, client.prekeys.private, header, encoded_header, envelope)
        client.identities[header.sender] = session.opening.initiator
        client.prekeys.erase_one_time(session.opening)
        peer.opened_by_peer(session)
        return plaintext

    def open_without_ratchet(self, header, entry):
        """The content of a message under another scheme: the table of section 22, in its order."""
        part = decode_part(entry.part, header.scheme)
        if (agent_id_of(part.sender) != header.sender or self.client.id not in header.recipients
                or header.body is None
                or not verify(part.sender, "sealpost/v1/message", header_hash(entry.encoded_header), part.signature)):
            raise Refused("undecryptable", "the part is of another sender, or not signed by it")
        self.client.identities[header.sender] = part.sender
        if header.scheme == NONE:
            return decode_body(self.fetch_body(header))
        if header.scheme == RECIPIENT_KEYS:
            private = self.client.prekeys.private.get((SEALING, part.sealing_key))
            if private is None:
                raise Refused("unknown-prekey", "the sealing key")
            key = unwrap(private, part, self.client.id, entry.encoded_header)
        elif header.scheme == SHARED_KEY:
            secret = self.find_group_secret(header, part)
            key = group_content_key(secret, part.salt, part.group, part.epoch, header)
        return decode_body(open_body(key, self.fetch_body(header)))

    def find_group_secret(self, header, part):
        group = self.client.groups.get(part.group)
        if group is None or part.epoch not in group.secrets:
            raise Refused("unknown-prekey", "the group's key")
        if group.ended:
            raise Refused("not-member", "left the group")
        if header.sender not in group.members:
            raise Refused("unknown-prekey" if part.epoch == group.epoch else "not-member", "the sender")
        return group.secrets[part.epoch]

    def take_control(self, entry, header):
        """A control message: opened in a session that is there, or passed over. Never a receipt."""
        self.control_taken = max(self.control_taken, entry.place)
        try:
            envelope = decode_envelope(entry.part)
            session = self.client.peer(header.sender).find(envelope.session)
            if session is None:
                return None
            what = decode_payload(session.open(header, entry.encoded_header, envelope), header)
            return Received(entry, header, mark=what) if isinstance(what, Mark) else None
        except (Refused, Malformed):
            return None

    def answer_requests(self):
        for peer in self.client.peers.values():
            for session in peer.all():
                if session.state.owed and session.state.can_seal():
                    self.client.outbox.send_control(session, None)

    # Receipts

    def note(self, entry, sender, message_id, verdict, reason=None, remember=True):
        """Notes a verdict, and makes a receipt due."""
        hashes = header_hash(entry.encoded_header), part_hash(entry.part)
        if remember:
            self.known[sender, message_id] = Known(*hashes, entry.attempt, verdict, reason)
        blind = secrets.token_bytes(16)
        self.due.append(Leaf(sender, message_id, entry.attempt, *hashes, verdict, reason, now_ms(), blind))

    def refuse(self, entry, header, sender, message_id, reason):
        self.note(entry, sender, message_id, REFUSED, reason)
        return Received(entry, header, reason)

    def acknowledge(self, message):
        """The agent has taken a stored message."""
        self.note(message.entry, message.header.sender, message.header.id, ACKNOWLEDGED)

    def give_receipts(self):
        """Signs and gives what is due; the receipts that the relay did not take."""
        refused = []
        while self.due:
            leaves, self.due = self.due[:MOST_LEAVES], self.due[MOST_LEAVES:]
            batch, head = sign_batch(self.client.identity, self.last_head, leaves)
            countersignature, refused_of_it = self.client.relay.acknowledge(batch)
            if not self.is_countersigned(head, countersignature):
                raise Unproven("the relay's countersignature")
            self.last_head = head
            refused += refused_of_it
        return refused

    def is_countersigned(self, head, countersignature):
        return verify(self.client.relay.node_id, "sealpost/v1/receipt-countersignature", head.encode(),
                      countersignature)

    def check_standing(self):
        """Whether the relay's head of receipts is our own last (*Going on*)."""
        encoded = self.client.relay.standing()
        if not encoded:
            return self.last_head is None
        reader = Reader(encoded)
        head, signature, countersignature = read_head(reader), reader.take(64), reader.take(64)
        reader.end()
        return (head == self.last_head and self.is_countersigned(head, countersignature)
                and verify(self.client.identity.key, "sealpost/v1/receipt-head", head.encode(), signature))


def reason_of(error):
    return error.reason if isinstance(error, Refused) else "undecryptable"
