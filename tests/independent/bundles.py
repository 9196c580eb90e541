"""Section 5: what is checked of a claimed bundle before it is used.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from dataclasses import dataclass

from .clock import now_ms
from .errors import Malformed
from .identifiers import agent_id_of
from .manifests import ONE_TIME_CURVE, ONE_TIME_KEM, X3DH, Manifest, Prekey, decode_manifest, decode_one_time_key


@dataclass
class Bundle:
    """A claimed bundle that was checked."""
    manifest: Manifest
    suite: int
    curve: Prekey | None
    kem_kind: int | None  # of section 7: 1 one-time, 2 last-resort
    kem: Prekey | None


def check_manifest(signed_manifest, wanted, seen):
    """Checks 1 to 3 before a bundle is used. `seen` remembers version and hash of each agent's newest manifest."""
    manifest = decode_manifest(signed_manifest)
    if agent_id_of(manifest.identity) != wanted:
        raise Malformed("the manifest of another agent")
    version, digest = seen.get(wanted, (manifest.version, manifest.hash()))
    if manifest.version < version or manifest.version == version and manifest.hash() != digest:
        raise Malformed("an older manifest, or another of this version")
    if is_expired(manifest, manifest.signed_prekey, manifest.last_resort_kem):
        raise Malformed("a manifest or a key of it has expired")
    seen[wanted] = (manifest.version, manifest.hash())
    return manifest


def is_expired(*items):
    return any(item is not None and item.expires <= now_ms() for item in items)


def check_bundle(signed_manifest, one_time_curve, one_time_kem, wanted, seen, own_suites):
    manifest = check_manifest(signed_manifest, wanted, seen)
    curve = decode_one_time_key(one_time_curve, ONE_TIME_CURVE, manifest.identity) if one_time_curve else None
    kem = decode_one_time_key(one_time_kem, ONE_TIME_KEM, manifest.identity) if one_time_kem else None
    if is_expired(curve, kem):
        raise Malformed("a one-time key has expired")
    suite = next((suite for suite in own_suites if suite in manifest.suites), None)
    if suite is None:
        raise Malformed("no common suite")
    if suite == X3DH:
        return Bundle(manifest, suite, curve, None, None)
    return Bundle(manifest, suite, curve, 1 if kem else 2, kem or manifest.last_resort_kem)
