"""Checks the vectors beside it with other implementations than ours; `scripts/independent` installs them.

X3DH and the Double Ratchet are the packages `X3DH` and `DoubleRatchet`; ML-KEM is `kyber-py`; the rest is written from
docs/protocol.md over `cryptography`.
"""

import asyncio
import json
import pathlib
import sys
import time
import traceback
from types import SimpleNamespace

import x3dh
import x3dh.base_state
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from kyber_py.ml_kem import ML_KEM_768
from x3dh.models import BaseStateModel, IdentityKeyPairModel, SignedPreKeyPairModel
from x3dh.types import SecretType

import bodies
import double_ratchet
import payloads
import specification as spec

TEXT = {
    "suite", "act", "by", "initiator", "responder", "recipient", "agent_id_text", "node_id_text", "scheme", "group_name",
    "identity", "origin", "one", "other", "digits", "shown", "target",
}  # fmt: skip
outcomes = []


def check(name, holds):
    outcomes.append(bool(holds))
    print(f"{'ok    ' if holds else 'FAILED'} {name}", flush=True)


def vectors(name):
    def read(value):
        if isinstance(value, list):
            return [read(item) for item in value]
        return bytes.fromhex(value) if isinstance(value, str) else value

    def fields(pairs):
        return {key: value if key in TEXT else read(value) for key, value in pairs}

    path = pathlib.Path(__file__).with_name(f"{name}.json")
    return json.loads(path.read_text(), object_pairs_hook=fields)


def kem_keys(seed):
    """ML-KEM-768's encapsulation and decapsulation key from d ‖ z."""
    return ML_KEM_768._keygen_internal(seed[:32], seed[32:])


async def check_prekeys(agents):
    for name, agent in agents.items():
        check_agent(name, agent)


def check_agent(name, agent):
    identity = spec.ed25519_public(agent["identity_seed"])
    check(f"{name}: identity key", identity == agent["identity_key"])
    x25519 = spec.x25519_public(spec.scalar(agent["identity_seed"]))
    check(f"{name}: X25519 form, both ways", x25519 == spec.montgomery(identity) == agent["identity_x25519"])
    check(f"{name}: agent id", spec.agent_id(identity) == agent["agent_id"])
    check(f"{name}: agent id as text", spec.bech32m("agent", spec.agent_id(identity)) == agent["agent_id_text"])
    check(f"{name}: node id as text", spec.bech32m("node", identity) == agent["node_id_text"])

    fields, signed, signature = spec.manifest(agent["signed_manifest"])
    check(f"{name}: manifest's identity and suites", (fields["identity"], fields["suites"]) == (identity, [2, 1]))
    for field in ("signed_prekey", "sealing_key"):
        check(f"{name}: manifest's {field}", fields[field]["key"] == spec.x25519_public(agent[f"{field}_private"]))
    kem_key, _ = kem_keys(agent["last_resort_kem_seed"])
    check(f"{name}: manifest's last_resort_kem", fields["last_resort_kem"]["key"] == kem_key)
    check(f"{name}: manifest's signature", spec.verifies(identity, signature, "sealpost/v1/manifest", signed))
    altered = signed[:-1] + bytes([signed[-1] ^ 1])
    check(f"{name}: no other manifest's", not spec.verifies(identity, signature, "sealpost/v1/manifest", altered))

    curve_key, kem_key = spec.x25519_public(agent["one_time_curve_private"]), kem_keys(agent["one_time_kem_seed"])[0]
    for field, kind, other, key in (
        ("one_time_curve", spec.ONE_TIME_CURVE, spec.ONE_TIME_KEM, curve_key),
        ("one_time_kem", spec.ONE_TIME_KEM, spec.ONE_TIME_CURVE, kem_key),
    ):
        encoded, signature = agent[field][:-64], agent[field][-64:]
        reader = spec.Reader(encoded)
        check(f"{name}: {field}", spec.prekey(reader, len(key))["key"] == key and reader.at == len(encoded))
        for byte, expected in (kind, True), (other, False):
            verifies = spec.verifies(identity, signature, "sealpost/v1/one-time-prekey", bytes([byte]) + encoded)
            check(f"{name}: {field}'s signature as kind {byte}", verifies == expected)


def ids(agent):
    """The ids of an agent's signed, last-resort, one-time curve and one-time KEM keys."""
    fields, _, _ = spec.manifest(agent["signed_manifest"])
    one_time = [spec.Reader(agent[field]).number(4) for field in ("one_time_curve", "one_time_kem")]
    return fields["signed_prekey"]["id"], fields["last_resort_kem"]["id"], *one_time


class State(x3dh.BaseState):
    """Sealpost signs the manifest, and binds names in the session AD: the package's own of both are not used."""

    @staticmethod
    def _encode_public_key(key_format, pub):
        return pub

    @classmethod
    def of(cls, agent, info):
        private = agent["signed_prekey_private"]
        signature = Ed25519PrivateKey.from_private_bytes(agent["identity_seed"]).sign(spec.x25519_public(private))
        model = BaseStateModel(
            identity_key=IdentityKeyPairModel(secret=agent["identity_seed"], secret_type=SecretType.SEED),
            signed_pre_key=SignedPreKeyPairModel(priv=private, sig=signature, timestamp=int(time.time())),
            old_signed_pre_key=None,
            pre_keys=frozenset([agent["one_time_curve_private"]]),
        )
        return cls.from_model(model, x3dh.IdentityKeyFormat.ED_25519, x3dh.HashFunction.SHA_256, info)


async def check_x3dh(name, vector, alice, bob):
    info = spec.HANDSHAKE + vector["suite"].encode()
    at_alice, at_bob = State.of(alice, info), State.of(bob, info)
    bundle = at_bob.bundle
    if not vector["one_time_keys"]:
        bundle = bundle._replace(pre_keys=frozenset())
    ephemeral = vector["agreement"]["ephemeral_private"]
    x3dh.base_state.secrets = SimpleNamespace(token_bytes=lambda _: ephemeral, choice=lambda keys: keys[0])
    secret, _, header = await at_alice.get_shared_secret_active(bundle, require_pre_key=False)
    check(f"{name}: X3DH's secret at the initiator", secret == vector["root_key"])
    secret, _, _ = await at_bob.get_shared_secret_passive(header, require_pre_key=False)
    check(f"{name}: X3DH's secret at the responder", secret == vector["root_key"])


def check_agreement(name, vector, alice, bob):
    """The secrets one by one, the root key, and of the KEM: kind, id, key and ciphertext."""
    agreement, there = vector["agreement"], vector["one_time_keys"]
    identity, ephemeral = spec.scalar(alice["identity_seed"]), agreement["ephemeral_private"]
    prekey = spec.x25519_public(bob["signed_prekey_private"])
    secrets = {
        "dh1": spec.x25519(identity, prekey),
        "dh2": spec.x25519(ephemeral, spec.montgomery(bob["identity_key"])),
        "dh3": spec.x25519(ephemeral, prekey),
    }
    if there:
        secrets["dh4"] = spec.x25519(ephemeral, spec.x25519_public(bob["one_time_curve_private"]))
    kem = None
    if vector["suite"].startswith("PQXDH"):
        key, private = kem_keys(bob["one_time_kem_seed" if there else "last_resort_kem_seed"])
        secrets["kem_secret"], ciphertext = ML_KEM_768._encaps_internal(key, agreement["encapsulation_randomness"])
        check(f"{name}: KEM ciphertext", ciphertext == agreement["kem_ciphertext"])
        check(f"{name}: decapsulation", ML_KEM_768.decaps(private, ciphertext) == secrets["kem_secret"])
        _, last_resort, _, one_time = ids(bob)
        kem = (1, one_time, key, ciphertext) if there else (2, last_resort, key, ciphertext)
    check(f"{name}: {', '.join(secrets)}", secrets.items() <= agreement.items())
    agreed, info = b"".join(secrets.values()), spec.HANDSHAKE + vector["suite"].encode()
    check(f"{name}: root key", spec.hkdf(bytes(32), b"\xff" * 32 + agreed, info, 32) == vector["root_key"])
    return kem


def check_first_envelope(name, vector, alice, bob, kem):
    suite, prekey = spec.SUITES[vector["suite"]], spec.x25519_public(bob["signed_prekey_private"])
    signed, _, one_time, _ = ids(bob)
    one_time = one_time if vector["one_time_keys"] else None
    ephemeral = spec.x25519_public(vector["agreement"]["ephemeral_private"])
    ad = spec.session_ad(suite, alice["identity_key"], bob["identity_key"], (signed, one_time), ephemeral, kem)
    check(f"{name}: session AD", ad == vector["session_ad"])
    check(f"{name}: session id", spec.sha256(ad)[:16] == vector["session_id"])
    header_hash = check_message(name, vector, alice, bob, "first")

    agreed = spec.x25519(vector["ratchet_private"], prekey)
    chain_key = spec.hkdf(vector["root_key"], agreed, b"sealpost/v1/ratchet", 64)[32:]
    message_key = spec.hkdf(b"", chain_key, b"message_key", 64)[32:]
    header = spec.envelope_header(spec.sha256(ad)[:16], spec.x25519_public(vector["ratchet_private"]), 0, 0, True)
    associated_data = spec.message_ad(ad, header, header_hash)
    sealed = ChaCha20Poly1305(message_key).encrypt(vector["nonce"], vector["plaintext"], associated_data)
    envelope = header + opening(suite, alice, ephemeral, signed, one_time, kem)
    envelope += vector["nonce"] + spec.field(sealed[:-16]) + sealed[-16:]
    check(f"{name}: envelope", envelope == vector["envelope"])
    part_hash = spec.sha256(spec.labelled("sealpost/v1/part", envelope))
    check(f"{name}: part hash", part_hash == vector["part_hash"])


def check_message(name, vector, sender, recipient, text):
    """The message header, its hash, and the payload."""
    header = spec.header(vector["header"])
    between = header["sender"], header["recipients"]
    check(f"{name}: header's parties", between == (sender["agent_id"], [recipient["agent_id"]]))
    header_hash = spec.sha256(spec.labelled("sealpost/v1/header", vector["header"]))
    check(f"{name}: header hash", header_hash == vector["header_hash"])
    check(f"{name}: payload", spec.payload(vector["plaintext"]) == text)
    return header_hash


def opening(suite, alice, ephemeral, signed, one_time, kem):
    encoded = bytes([suite]) + alice["identity_key"] + ephemeral + spec.u32(signed)
    encoded += b"\0" if one_time is None else b"\1" + spec.u32(one_time)
    return encoded + (b"\1" + bytes([kem[0]]) + spec.u32(kem[1]) + kem[3] if kem else b"\0")


async def check_handshakes(agents):
    for vector in vectors("handshakes"):
        alice, bob = agents[vector["initiator"]], agents[vector["responder"]]
        name = f"{vector['suite']} {'with' if vector['one_time_keys'] else 'without'} one-time keys"
        kem = check_agreement(name, vector, alice, bob)
        if kem is None:
            await check_x3dh(name, vector, alice, bob)
        check_first_envelope(name, vector, alice, bob, kem)


async def check_conversation(agents):
    conversation = vectors("conversation")
    names = conversation["initiator"], conversation["responder"]
    initiator, responder = (agents[name] for name in names)
    await double_ratchet.play(conversation, responder["signed_prekey_private"], check)
    opened = next(vector for vector in vectors("handshakes") if vector["root_key"] == conversation["root_key"])
    handshake = {key: opened[key] for key in ("suite", "one_time_keys")}
    check("conversation: handshake", handshake == conversation["handshake"])
    signed, _, one_time, _ = ids(responder)
    ephemeral = spec.x25519_public(opened["agreement"]["ephemeral_private"])
    first = opening(spec.SUITES[opened["suite"]], initiator, ephemeral, signed, one_time, None)
    for act in (act for act in conversation["acts"] if act["act"] == "seal"):
        header, name = act["envelope_header"], f"conversation: message {act['message']}"
        sender, recipient = (initiator, responder) if act["by"] == names[0] else (responder, initiator)
        header_hash = check_message(name, act, sender, recipient, str(act["message"]))
        associated_data = spec.message_ad(conversation["session_ad"], header, header_hash)
        check(f"{name}: associated data", associated_data == act["associated_data"])
        envelope = header + (first if header[-1] else b"") + act["nonce"] + spec.field(act["ciphertext"]) + act["tag"]
        check(f"{name}: envelope", envelope == act["envelope"])


async def check_receipts(agents):
    receipts = vectors("receipts")
    recipient, node = agents[receipts["recipient"]], spec.ed25519_public(receipts["node_seed"])
    check("receipts: node id", node == receipts["node_id"])
    previous_root = bytes(32)
    for number, batch in enumerate(receipts["batches"], 1):
        name, leaves, head, signature = f"receipts {number}", batch["leaves"], batch["head"], batch["signature"]
        root = spec.merkle_root(leaves)
        expected = recipient["agent_id"] + number.to_bytes(8, "big") + previous_root + root
        check(f"{name}: head", head == expected)
        signed, countersigned = "sealpost/v1/receipt-head", "sealpost/v1/receipt-countersignature"
        check(f"{name}: signature", spec.verifies(recipient["identity_key"], signature, signed, head))
        check(f"{name}: countersignature", spec.verifies(node, batch["countersignature"], countersigned, head))
        listed = len(leaves).to_bytes(2, "big") + b"".join(leaves)
        check(f"{name}: batch", head + signature + listed == batch["batch"])
        for index, proof in enumerate(batch["proofs"]):
            reader = spec.Reader(proof)
            leaf, _ = spec.leaf(reader)
            path = spec.path(reader)
            signed_head = reader.take(168)
            reader.end()
            named = (leaf, path[:2], signed_head) == (leaves[index], (index, len(leaves)), head + signature)
            check(f"{name}: proof {index}", named and spec.path_root(leaf, *path) == root)
        previous_root = root


async def check_access(agents):
    access = vectors("access")
    agent, node = agents[access["identity"]], spec.ed25519_public(access["node_seed"])
    check("access: node id", node == access["node_id"])
    common = access["challenge"], access["expires"]
    answer = spec.challenge_answer(node, access["ledger"], access["nonce"], common[0], access["at"], common[1])
    check("access: challenge answer", answer == access["answer"])
    token_key = spec.ed25519_public(access["token_key_seed"])
    check("access: token key", token_key == access["token_key"])
    claim = spec.access_claim(node, access["origin"], agent["identity_key"], *common, token_key)
    check("access: claim", claim == access["claim"])
    for what, key, other, label, signed in (
        ("answer", node, agent["identity_key"], "sealpost/v1/challenge", answer),
        ("claim", agent["identity_key"], node, "sealpost/v1/access", claim),
    ):
        signature = access[f"{what}_signature"]
        check(f"access: signature of the {what}", spec.verifies(key, signature, label, signed))
        check(f"access: no other's signature of the {what}", not spec.verifies(other, signature, label, signed))
        altered = signed[:-1] + bytes([signed[-1] ^ 1])
        check(f"access: no signature of another {what}", not spec.verifies(key, signature, label, altered))


async def check_names(agents):
    names = vectors("names")
    one, other = (agents[names["fingerprint"][end]]["agent_id"] for end in ("one", "other"))
    digits = spec.fingerprint(one, other)
    check("names: fingerprint", digits == spec.fingerprint(other, one) == names["fingerprint"]["digits"])
    shown = " ".join(digits[place : place + 5] for place in range(0, 60, 5))
    check("names: fingerprint as it is shown", shown == names["fingerprint"]["shown"])
    for claim in names["claims"]:
        expected = spec.claim_id(names["message"], agents[claim["target"]]["agent_id"], claim["attempt"])
        check(f"names: claim id of {claim['target']}, attempt {claim['attempt']}", expected == claim["claim_id"])


async def check_bodies(agents):
    for name, holds in bodies.checks(vectors("bodies"), agents):
        check(name, holds)


async def check_payloads(_agents):
    for name, holds in payloads.checks(vectors("payloads")):
        check(name, holds)


async def main():
    agents = vectors("prekeys")
    for part in (
        check_prekeys, check_names, check_access, check_handshakes, check_conversation, check_receipts, check_bodies,
        check_payloads,
    ):  # fmt: skip
        try:
            await part(agents)
        except Exception:
            traceback.print_exc()
            check(f"{part.__name__} came to its end", False)
    failed = outcomes.count(False)
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
