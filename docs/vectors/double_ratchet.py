"""The conversation, played by the package DoubleRatchet under Sealpost's parameters (docs/protocol.md, sections 2, 10).

The package makes its next ratchet key when it opens the peer's, Sealpost when it next seals: the same keys and roots
in the same order, but between the two the package is one root ahead. There `Party.stepped` has the root to compare.
"""

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from doubleratchet import AEAD, KDF, DiffieHellmanRatchet, DoubleRatchet, EncryptedMessage, Header

import specification as spec

SKIPPED_KEYS = 100


class ChainKdf(KDF):
    @staticmethod
    async def derive(key, data, length):
        return spec.hkdf(b"", key, data, length)


class Aead(AEAD):
    """The nonce stands before the ciphertext, and is not the package's affair: who seals puts it here. The key that the
    package used last can be looked up here too."""

    nonce = key = None

    @staticmethod
    async def encrypt(plaintext, key, associated_data):
        Aead.key = key
        return Aead.nonce + ChaCha20Poly1305(key).encrypt(Aead.nonce, plaintext, associated_data)

    @staticmethod
    async def decrypt(ciphertext, key, associated_data):
        Aead.key = key
        return ChaCha20Poly1305(key).decrypt(ciphertext[:12], ciphertext[12:], associated_data)


class Ratchet(DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data, header):
        """Of what the package hands over: `opens` ‖ header hash ‖ session AD."""
        opens, header_hash, session_ad = associated_data[0], associated_data[1:33], associated_data[33:]
        return spec.message_ad(session_ad, encoded(header, session_ad, opens), header_hash)


def encoded(header, session_ad, opens):
    session = spec.sha256(session_ad)[:16]
    return spec.envelope_header(
        session, header.ratchet_pub, header.sending_chain_length, header.previous_sending_chain_length, opens
    )


class Party:
    """One end, with the private ratchet keys that it will draw; keeps the roots, agreements and remote keys
    of its steps."""

    def __init__(self, root_key, signed_prekey, ratchet_keys):
        self.stepped, self.agreements, self.remotes, self.ratchet = [], [], [], None
        drawn = iter(ratchet_keys)

        class RootKdf(KDF):
            @staticmethod
            async def derive(key, data, length):
                output = spec.hkdf(key, data, b"sealpost/v1/ratchet", length)
                self.stepped.append(output[:32])
                return output

        class X25519(DiffieHellmanRatchet):
            @staticmethod
            def _generate_priv():
                return next(drawn, bytes(32))

            _derive_pub = staticmethod(spec.x25519_public)

            @staticmethod
            def _perform_diffie_hellman(own_priv, other_pub):
                self.agreements.append(spec.x25519(own_priv, other_pub))
                return self.agreements[-1]

        self.signed_prekey = signed_prekey
        self.parameters = {
            "diffie_hellman_ratchet_class": X25519, "root_chain_kdf": RootKdf, "message_chain_kdf": ChainKdf,
            "message_chain_constant": b"message_key", "dos_protection_threshold": SKIPPED_KEYS,
            "max_num_skipped_message_keys": SKIPPED_KEYS, "aead": Aead, "shared_secret": root_key,
        }  # fmt: skip

    async def seal(self, nonce, plaintext, associated_data):
        Aead.nonce = nonce
        if self.ratchet:
            return await self.ratchet.encrypt_message(plaintext, associated_data)
        self.ratchet, message = await Ratchet.encrypt_initial_message(
            recipient_ratchet_pub=spec.x25519_public(self.signed_prekey),
            message=plaintext, associated_data=associated_data, **self.parameters,
        )  # fmt: skip
        return message

    async def open(self, message, associated_data):
        if self.ratchet:
            return await self.ratchet.decrypt_message(message, associated_data)
        self.ratchet, plaintext = await Ratchet.decrypt_initial_message(
            own_ratchet_priv=self.signed_prekey, message=message, associated_data=associated_data, **self.parameters
        )
        return plaintext

    def differences(self, state):
        """Where the package's state is not that of the vector."""
        model = self.ratchet.model
        steps, chains = model.diffie_hellman_ratchet, model.diffie_hellman_ratchet.symmetric_key_ratchet
        ahead = state["sending"] is None
        if chains.receiving_chain and steps.other_ratchet_pub not in self.remotes:
            self.remotes.append(steps.other_ratchet_pub)
        ours = {
            "root key": self.stepped[-2] if ahead else steps.root_chain.key,
            "remote": steps.other_ratchet_pub,
            "receiving chain": chain(chains.receiving_chain),
            "sending chain": None if ahead else chain(chains.sending_chain),
            "ratchet key": None if ahead else steps.own_ratchet_priv,
            "previous counter": chains.previous_sending_chain_length or 0,
            "retired keys": self.remotes[:-1],
            "skipped keys": [(key.ratchet_pub, key.index, key.message_key) for key in model.skipped_message_keys],
        }
        skipped = [(key["ratchet_key"], key["number"], key["message_key"]) for key in state["skipped"]]
        theirs = [
            state["root_key"], state["remote"], pair(state["receiving"]), pair(state["sending"]),
            state["ratchet_private"], state["previous_counter"], state["retired"], skipped,
        ]  # fmt: skip
        return [name for (name, value), expected in zip(ours.items(), theirs) if value != expected]


def chain(model):
    return model and (model.key, model.length)


def pair(state):
    return state and (state["chain_key"], state["next"])


async def play(conversation, signed_prekey, check):
    """Seals and opens in the order of the vector, and checks header, ciphertext, plaintext and state each time."""
    acts, root, session_ad = conversation["acts"], conversation["root_key"], conversation["session_ad"]
    sealed = {act["message"]: act for act in acts if act["act"] == "seal"}
    drawn = {conversation["initiator"]: [], conversation["responder"]: []}
    for act in sealed.values():
        if act["agreement"]:
            drawn[act["by"]].append(act["agreement"]["ratchet_private"])
    parties = {by: Party(root, signed_prekey, keys) for by, keys in drawn.items()}
    for act in acts:
        vector, party = sealed[act["message"]], parties[act["by"]]
        opens = vector["envelope_header"][-1]
        associated_data = bytes([opens]) + vector["header_hash"] + session_ad
        ciphertext = vector["nonce"] + vector["ciphertext"] + vector["tag"]
        name = f"DoubleRatchet: {act['by']} {act['act']}s {act['message']}"
        if act["act"] == "seal":
            message = await party.seal(act["nonce"], act["plaintext"], associated_data)
            check(f"{name}: header", encoded(message.header, session_ad, opens) == act["envelope_header"])
            if act["agreement"]:
                check(f"{name}: agreement", party.agreements[-1] == act["agreement"]["dh"])
            check(f"{name}: message key", Aead.key == act["message_key"])
            check(f"{name}: ciphertext", message.ciphertext == ciphertext)
        else:
            assert act["act"] == "open"
            reader = spec.Reader(vector["envelope_header"])
            reader.take(17)
            ratchet_key, counter, previous = reader.take(32), reader.number(4), reader.number(4)
            message = EncryptedMessage(Header(ratchet_key, previous, counter), ciphertext)
            check(f"{name}: plaintext", await party.open(message, associated_data) == vector["plaintext"])
        differences = party.differences(act["after"])
        check(f"{name}: root, chains, counters, skipped keys {differences or ''}".rstrip(), not differences)
