"""Section 9: the handshakes, X3DH and PQXDH, at both ends.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import secrets

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from .encoding import encode_option, field, u8, u32
from .envelopes import Opening
from .errors import Refused
from .identifiers import agent_id_of
from .keys import identity_to_x25519, x25519, x25519_public
from .limits import MOST_SKIPPED_AT_ONCE
from .manifests import LAST_RESORT_KEM, ONE_TIME_CURVE, ONE_TIME_KEM, PQXDH, SIGNED, SUITE_NAMES, X3DH
from .primitives import hkdf, sha256
from .ratchet import Ratchet
from .sessions import Session, session_id

KEM_KINDS = {1: ONE_TIME_KEM, 2: LAST_RESORT_KEM}  # of an opening, to those of section 5


def handshake_root(suite, agreements, kem_secret):
    secret = b"\xff" * 32 + b"".join(agreements) + (kem_secret or b"")
    return hkdf(bytes(32), secret, f"sealpost/v1/handshake/{SUITE_NAMES[suite]}".encode(), 32)


def session_associated_data(opening, responder_key, encapsulation_key):
    kem_name = None if opening.kem is None else u8(opening.kem[0]) + u32(opening.kem[1])
    fields = [
        b"sealpost/v1/session",
        u8(opening.suite),
        agent_id_of(opening.initiator),
        agent_id_of(responder_key),
        opening.initiator,
        responder_key,
        u32(opening.signed_prekey),
        encode_option(None if opening.one_time_curve is None else u32(opening.one_time_curve)),
        encode_option(kem_name),
        opening.ephemeral,
        b"" if opening.kem is None else sha256(encapsulation_key + opening.kem[2]),
    ]
    return b"".join(field(f) for f in fields)


def initiate(identity, bundle):
    """The initiator's session from a checked bundle."""
    ephemeral, manifest = secrets.token_bytes(32), bundle.manifest
    agreements = [
        x25519(identity.x25519_private, manifest.signed_prekey.key),
        x25519(ephemeral, identity_to_x25519(manifest.identity)),
        x25519(ephemeral, manifest.signed_prekey.key),
    ]
    if bundle.curve:
        agreements.append(x25519(ephemeral, bundle.curve.key))
    kem_secret, kem = None, None
    if bundle.kem:
        kem_secret, ciphertext = MLKEM768PublicKey.from_public_bytes(bundle.kem.key).encapsulate()
        kem = (bundle.kem_kind, bundle.kem.id, ciphertext)
    opening = Opening(bundle.suite, identity.key, x25519_public(ephemeral), manifest.signed_prekey.id,
                      bundle.curve and bundle.curve.id, kem)
    associated_data = session_associated_data(opening, manifest.identity, bundle.kem and bundle.kem.key)
    state = Ratchet(root=handshake_root(bundle.suite, agreements, kem_secret), remote=manifest.signed_prekey.key)
    return Session(identity.id, agent_id_of(manifest.identity), associated_data, opening, True, state)


def respond(identity, private_keys, header, encoded_header, envelope, suites=(X3DH, PQXDH)):
    """The responder's session from an envelope that opens one, and the plaintext of that envelope. `private_keys` are
    found by (kind, id); the caller erases the one-time keys that the opening names."""
    opening = envelope.opening
    if opening is None:
        raise Refused("unknown-session", "no opening")
    signed_prekey, one_time_curve, kem_seed = [find_private_key(private_keys, name) for name in names_of_keys(opening)]
    if header.sender != agent_id_of(opening.initiator) or identity.id not in header.recipients:
        raise Refused("undecryptable", "another sender or recipient")
    if opening.suite not in suites:
        raise Refused("policy", "the suite")
    kem = MLKEM768PrivateKey.from_seed_bytes(kem_seed) if kem_seed else None
    encapsulation_key = kem.public_key().public_bytes_raw() if kem else None
    associated_data = session_associated_data(opening, identity.key, encapsulation_key)
    if session_id(associated_data) != envelope.session:
        raise Refused("unknown-session", "the opening makes another session")
    agreements = [
        x25519(signed_prekey, identity_to_x25519(opening.initiator)),
        x25519(identity.x25519_private, opening.ephemeral),
        x25519(signed_prekey, opening.ephemeral),
    ]
    if one_time_curve:
        agreements.append(x25519(one_time_curve, opening.ephemeral))
    root_key = handshake_root(opening.suite, agreements, kem.decapsulate(opening.kem[2]) if kem else None)
    if envelope.counter > MOST_SKIPPED_AT_ONCE:
        raise Refused("undecryptable", "skips too far")
    state = Ratchet.after_first_message(root_key, signed_prekey, envelope.ratchet_key)
    session = Session(identity.id, header.sender, associated_data, opening, False, state)
    plaintext = session.open_with_key(state.receive_at(envelope.counter), encoded_header, envelope)
    state.note_opened(True, header.message_class, plaintext, envelope.counter)
    return session, plaintext


def names_of_keys(opening):
    """Kind and id of the signed prekey, the one-time curve key and the KEM key that an opening names."""
    curve, kem = opening.one_time_curve, opening.kem
    return [
        (SIGNED, opening.signed_prekey),
        None if curve is None else (ONE_TIME_CURVE, curve),
        None if kem is None else (KEM_KINDS[kem[0]], kem[1]),
    ]


def find_private_key(private_keys, name):
    if name is not None and name not in private_keys:
        raise Refused("unknown-prekey", f"no private key {name}")
    return private_keys.get(name)
