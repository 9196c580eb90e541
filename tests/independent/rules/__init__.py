"""What the reference never shows: input that no honest writer makes, and state that takes months to come about.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from . import delegations, identities, messages, sessions

GROUPS = {f"rules: {group.__name__}": group for group in (
    identities.encoding, identities.keys, identities.manifests,
    messages.headers, messages.composing, messages.payloads, messages.bodies, messages.groups, messages.receipts,
    delegations.sealing, delegations.certificates, delegations.grants, delegations.hand_overs,
    sessions.ratchets, sessions.sessions, sessions.crossing)}
