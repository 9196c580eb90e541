"""Section 21: the test vectors, recomputed.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import json
from dataclasses import replace
from pathlib import Path

from .bodies import decode_body, describe, encode_body, open_body, seal_body
from .checks import expect
from .contents import BYTES, Content, padme, read_options
from .encoding import Reader
from .envelopes import decode_envelope, part_hash
from .groups import GroupEnd, group_id
from .handshakes import handshake_root, respond
from .headers import CONTROL, NONE, ORDINARY, RATCHET, RECIPIENT_KEYS, SHARED_KEY, Header, decode_header, header_hash
from .identifiers import agent_id_of, decode_id, encode_id, fingerprint
from .keys import Identity, identity_to_x25519, x25519_public
from .manifests import (
    LAST_RESORT_KEM,
    ONE_TIME_CURVE,
    ONE_TIME_KEM,
    PQXDH,
    SEALING,
    SIGNED,
    X3DH,
    claim_id,
    decode_manifest,
    decode_one_time_key,
    sign_manifest,
    sign_one_time_key,
)
from .payloads import Mark, decode_payload, encode_payload
from .primitives import derive_chain, derive_root, sign, verify
from .ratchet import Ratchet
from .receipts import check_proof, decode_batch, merkle_root, sign_batch
from .schemes import decode_part, group_content_key, sign_part, unwrap
from .sessions import Session
from .tokens import access_claim, challenge_answer

VECTORS = Path(__file__).parents[2] / "docs" / "vectors"


def read(name):
    """The vectors of a file, with bytes for what is hexadecimal."""
    def convert(value):
        if isinstance(value, dict):
            return {key: item if key == "digits" else convert(item) for key, item in value.items()}
        if isinstance(value, list):
            return [convert(item) for item in value]
        try:
            return bytes.fromhex(value)
        except (ValueError, TypeError):
            return value
    return convert(json.loads((VECTORS / f"{name}.json").read_text()))


class Agent:
    """An agent of the vectors, whose encodings are made anew from its private keys."""

    def __init__(self, vector):
        self.identity = Identity(vector["identity_seed"])
        self.manifest = decode_manifest(vector["signed_manifest"])
        self.private_keys = {
            (SIGNED, self.manifest.signed_prekey.id): vector["signed_prekey_private"],
            (LAST_RESORT_KEM, self.manifest.last_resort_kem.id): vector["last_resort_kem_seed"],
            (SEALING, self.manifest.sealing_key.id): vector["sealing_key_private"],
        }
        for kind, name, private in ((ONE_TIME_CURVE, "one_time_curve", "one_time_curve_private"),
                                    (ONE_TIME_KEM, "one_time_kem", "one_time_kem_seed")):
            prekey = decode_one_time_key(vector[name], kind, self.identity.key)
            expect(name, sign_one_time_key(self.identity, kind, prekey), vector[name])
            self.private_keys[kind, prekey.id] = vector[private]


def both_agents():
    return [Agent(vector) for vector in map(read("prekeys").get, ("alice", "bob"))]


def prekeys():
    for vector in read("prekeys").values():
        agent = Agent(vector)
        identity, text = agent.identity, vector["agent_id_text"]
        expect("identity key", identity.key, vector["identity_key"])
        expect("agent id", identity.id, vector["agent_id"])
        expect("X25519 form of the public key", identity_to_x25519(identity.key), vector["identity_x25519"])
        expect("X25519 form of the private key", x25519_public(identity.x25519_private), vector["identity_x25519"])
        expect("agent id as text", encode_id("agent", identity.id), text)
        expect("text in upper case", decode_id("agent", text.upper()), identity.id)
        expect("node id as text", encode_id("node", identity.key), vector["node_id_text"])
        expect("manifest", sign_manifest(identity, agent.manifest), vector["signed_manifest"])


def names():
    alice, bob = (agent.identity.id for agent in both_agents())
    ids, vectors = {"alice": alice, "bob": bob}, read("names")
    expect("fingerprint", fingerprint(bob, alice), vectors["fingerprint"]["digits"])
    for claim in vectors["claims"]:
        made = claim_id(vectors["message"], ids[claim["target"]], claim["attempt"])
        expect(f"claim id of attempt {claim['attempt']}", made, claim["claim_id"])


def access():
    vector, alice = read("access"), both_agents()[0].identity
    node_id, challenge, expires = vector["node_id"], vector["challenge"], vector["expires"]
    answer = challenge_answer(node_id, vector["ledger"], vector["nonce"], challenge, vector["at"], expires)
    expect("challenge answer", answer, vector["answer"])
    expect("its signature", verify(node_id, "sealpost/v1/challenge", answer, vector["answer_signature"]), True)
    claim = access_claim(node_id, vector["origin"], alice.key, challenge, expires, vector["token_key"])
    expect("access claim", claim, vector["claim"])
    expect("its signature", sign(alice.signing, "sealpost/v1/access", claim), vector["claim_signature"])


def handshakes():
    """Opens each first envelope, and seals it again from the responder's view of the opening."""
    alice, bob = both_agents()
    for vector in read("handshakes"):
        header = decode_header(vector["header"])
        expect("header", header.encode(), vector["header"])
        expect("header hash", header_hash(vector["header"]), vector["header_hash"])
        envelope = decode_envelope(vector["envelope"])
        expect("envelope", envelope.encode(), vector["envelope"])
        expect("part hash", part_hash(vector["envelope"]), vector["part_hash"])
        session, plaintext = respond(bob.identity, bob.private_keys, header, vector["header"], envelope)
        expect("plaintext", plaintext, vector["plaintext"])
        expect("session AD", session.associated_data, vector["session_ad"])
        expect("session id", session.id, vector["session_id"])
        agreement = vector["agreement"]
        agreements = [agreement[name] for name in ("dh1", "dh2", "dh3", "dh4") if agreement[name]]
        root_key = handshake_root(envelope.opening.suite, agreements, agreement["kem_secret"])
        expect("root key", root_key, vector["root_key"])
        state = Ratchet(root_key, bob.manifest.signed_prekey.key)
        initiator = Session(alice.identity.id, bob.identity.id, session.associated_data, envelope.opening, True, state)
        sealed = initiator.seal(header, decode_payload(plaintext, header), vector["ratchet_private"], vector["nonce"])
        expect("envelope, sealed anew", sealed, vector["envelope"])


def conversation():
    vector, (alice, bob) = read("conversation"), both_agents()
    first = decode_envelope(vector["acts"][0]["envelope"])
    state = Ratchet(vector["root_key"], bob.manifest.signed_prekey.key)
    sessions = {"alice": Session(alice.identity.id, bob.identity.id, vector["session_ad"], first.opening, True, state)}
    sealed = {}
    for act in vector["acts"]:
        name = f"message {act['message']}"
        if act["act"] == "seal":
            header, agreement = decode_header(act["header"]), act["agreement"] or {}
            made = sessions[act["by"]].seal(header, decode_payload(act["plaintext"], header),
                                            agreement.get("ratchet_private"), act["nonce"])
            expect(f"{name}, sealed", made, act["envelope"])
            sealed[act["message"]] = act
        else:
            message = sealed[act["message"]]
            header, envelope = decode_header(message["header"]), decode_envelope(message["envelope"])
            if act["by"] in sessions:
                plaintext = sessions[act["by"]].open(header, message["header"], envelope)
            else:
                sessions["bob"], plaintext = respond(bob.identity, bob.private_keys, header, message["header"],
                                                     envelope)
            expect(f"{name}, opened", plaintext, message["plaintext"])
        expect_state(name, sessions[act["by"]].state, act["after"])


def expect_state(name, state, after):
    receiving = after["receiving"] and (after["receiving"]["chain_key"], after["receiving"]["next"])
    sending = after["sending"] and (after["ratchet_private"], after["sending"]["chain_key"], after["sending"]["next"])
    expect(f"{name}: root, remote, previous counter", (state.root, state.remote, state.previous_counter),
           (after["root_key"], after["remote"], after["previous_counter"]))
    expect(f"{name}: chains", (state.receiving, state.sending), (receiving, sending))
    skipped = [(key.ratchet_key, key.number, key.message_key) for key in state.skipped]
    expect(f"{name}: skipped keys", skipped,
           [(key["ratchet_key"], key["number"], key["message_key"]) for key in after["skipped"]])
    expect(f"{name}: retired keys", [key for key, _ in state.retired_keys], after["retired"])


def receipts():
    vectors, last, bob = read("receipts"), None, both_agents()[1].identity
    for vector in vectors["batches"]:
        head, signature, leaves = decode_batch(vector["batch"])
        batch, last = sign_batch(bob, last, leaves)
        expect("batch", batch, vector["batch"])
        expect("head and signature", (head.encode(), signature), (vector["head"], vector["signature"]))
        countersigned = verify(vectors["node_id"], "sealpost/v1/receipt-countersignature", vector["head"],
                               vector["countersignature"])
        expect("countersignature", countersigned, True)
        for leaf, proof in zip(leaves, vector["proofs"], strict=True):
            expect("proof", check_proof(proof, bob.key), leaf)
            for place in (-1, len(leaf.encode()) - 1):
                altered = bytearray(proof)
                altered[place] ^= 1
                expect(f"proof altered at {place}", check_proof(altered, bob.key), None)


def bodies():
    vectors, (alice, bob) = read("bodies"), both_agents()
    group_key = Reader(vectors["group_key"][1:])
    group, epoch, secret = group_key.take(16), group_key.u32(), group_key.take(32)
    for vector in vectors["messages"]:
        header, key = body(vector), vector.get("content_key")
        part = decode_part(vector["part"], header.scheme)
        signed = sign_part(alice.identity, header.scheme, vector["header"])
        expect("signed part", vector["part"][:len(signed)], signed)
        if header.scheme == RECIPIENT_KEYS:
            private = bob.private_keys[SEALING, part.sealing_key]
            expect("wrapped key", unwrap(private, part, bob.identity.id, vector["header"]), key)
        if header.scheme == SHARED_KEY:
            expect("group and epoch", (part.group, part.epoch), (group, epoch))
            expect("group's content key", group_content_key(secret, part.salt, group, epoch, header), key)
    vector = vectors["ratchet"]
    expect("payload", encode_payload(decode_payload(vector["plaintext"], body(vector))), vector["plaintext"])


def body(vector):
    """Seals and opens a body; its header."""
    header, prelude, key = decode_header(vector["header"]), Reader(vector["prelude"]), vector.get("content_key")
    expect("header", header.encode(), vector["header"])
    prelude.one_of((1,))
    content = Content(vector.get("content") or (bytes(range(251)) * 300)[:vector["pattern"]], BYTES,
                      **read_options(prelude))
    plaintext = encode_body(content)
    if "frame" in vector:
        plaintext = vector["prelude"] + vector["frame"]
        plaintext += bytes(padme(len(plaintext)) - len(plaintext))
        content.kind = vector["prelude"][-17] & 1
    sealed = plaintext if header.scheme == NONE else seal_body(key, plaintext)
    expect("length and hash of the body", describe(sealed), header.body)
    expect("content", decode_body(sealed if header.scheme == NONE else open_body(key, sealed)), content)
    return header


def payloads():
    vectors, (alice, bob) = read("payloads"), both_agents()
    header = Header(alice.identity.id, bytes(16), [bob.identity.id], RATCHET, 0, 1, message_class=CONTROL)
    for control in vectors["controls"]:
        what = decode_payload(control["plaintext"], header)
        expect("control message", encode_payload(what, control["before"] << 1), control["plaintext"])
        expect("what it says", what, Mark(control["read"], control["typing"]) if control["kind"] == 3 else None)
    header = replace(header, message_class=ORDINARY)
    for vector in vectors["hand_overs"]:
        said = decode_payload(vector["plaintext"], header)
        expect("revision and epoch", (said.revision, said.epoch), (vector["revision"], vector["epoch"]))
        expect("secret and members", (said.secret, list(said.members)), (vector["secret"], vector["members"]))
        expect("group's id", (said.group, group_id(vectors["founder"], said.nonce)), (vectors["group"],) * 2)
    end = decode_payload(vectors["end"]["plaintext"], header)
    expect("end of a membership", end, GroupEnd(vectors["group"], vectors["end"]["since"]))


def page():
    """The results that section 21 itself gives, where no file has them."""
    identity = Identity(b"\x07" * 32)
    expect("X25519 form", identity_to_x25519(identity.key).hex(),
           "761d88ec830413919dfe9d4d1d56f17e653c8c994082df5b137b90a0ae6edf74")
    expect("agent id", encode_id("agent", agent_id_of(identity.key)),
           "agent1dv25tupzjs9fd6tvgpx96t8adlph020yd8d5shpwyrpgzyky0q3qx70avt")
    expect("ROOT", [key.hex() for key in derive_root(b"\x01" * 32, b"\x02" * 32)],
           ["a8623975cbc66861d406aa50e63d1d21915f6b20ab78bf56d43c0c498789bde4",
            "73394b605c6083ca6a0eebc852445b81185f7c815eca10e6111e752e2e556677"])
    expect("CHAIN", [key.hex() for key in derive_chain(b"\x03" * 32)],
           ["903c3596e5aa8d46248c8df7c6a2dc45ebd0ccd5298799e928a5167821e9c457",
            "5de1179c81a0cc7873119e185e2fb25c055a31a93c058e3f6690c2b3639b0204"])
    agreements = [bytes([number]) * 32 for number in (1, 2, 3, 4)]
    expect("X3DH without DH4", handshake_root(X3DH, agreements[:3], None).hex(),
           "1215ddab19df1c128c6f5342a3c3c3d79ab9e4615756f922b641bf38e34a35a2")
    expect("PQXDH with DH4", handshake_root(PQXDH, agreements, b"\x05" * 32).hex(),
           "19bdd49ce0bc08a5bff0b0c1f5dcb70639a19f505120342d7e93909fcddcb7db")
    expect("payload", encode_payload(Content(b"hi", thread=b"\x03" * 16)).hex(),
           "0100000001030303030303030303030303030303030000000000000268690000")
    leaves = [b"", b"\x00", b"\x10", b"\x20\x21"]
    expect("root of two leaves", merkle_root(leaves[:2]).hex(),
           "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")
    expect("root of four leaves", merkle_root(leaves).hex(),
           "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")


GROUPS = {f"vectors: {group.__name__}": group for group in (
    page, prekeys, names, access, handshakes, conversation, receipts, bodies, payloads)}
