"""Section 14: from a challenge to a token, and the proof that comes with it.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import base64
import json
import secrets

from .encoding import field, u64
from .identifiers import agent_id_of
from .primitives import sha256


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def challenge_answer(node_id, ledger_id, nonce, challenge, at, expires):
    return node_id + ledger_id + nonce + field(challenge) + u64(at) + u64(expires)


def access_claim(node_id, origin, identity_key, challenge, expires, token_key):
    return (node_id + field(origin) + agent_id_of(identity_key) + identity_key + field(challenge) + u64(expires)
            + token_key)


def make_proof(token_private, token, method, url, at):
    """A proof of possession (RFC 9449)."""
    public = token_private.public_key().public_bytes_raw()
    header = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": base64url(public)}}
    claims = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": at // 1000,
              "ath": base64url(sha256(token.encode()))}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + base64url(token_private.sign(signed.encode()))
