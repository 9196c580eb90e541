"""What runtimes say to each other inside the seal, from docs/protocol.md sections 8 and 22."""

import specification as spec
from bodies import padme


def checks(vectors):
    """A name and an outcome for each check."""
    group = spec.sha256(spec.labelled("sealpost/v1/group", vectors["founder"] + vectors["nonce"]))[:16]
    yield "group's id", group == vectors["group"]
    for number, notice in enumerate(vectors["hand_overs"]):
        yield f"hand-over {number}", notice["plaintext"] == hand_over(vectors, notice)
        for what, holds in read_hand_over(notice["plaintext"], vectors, notice):
            yield f"hand-over {number}: {what}", holds
    end = vectors["end"]
    yield "end of a membership", end["plaintext"] == padded(head(0x11, 0) + group + u64(end["since"]))
    for number, control in enumerate(vectors["controls"]):
        yield f"control message {number}", control["plaintext"] == of_control(control)
    yield "control messages are of one length", {len(control["plaintext"]) for control in vectors["controls"]} == {32}


def hand_over(vectors, notice):
    pairs = zip(notice["members"], notice["since"], strict=True)
    members = b"".join(agent + u64(since) for agent, since in pairs)
    roster = vectors["nonce"] + spec.field(vectors["group_name"].encode()) + u64(notice["revision"])
    roster += len(notice["members"]).to_bytes(2, "big") + members
    key = b"\1" + vectors["group"] + spec.u32(notice["epoch"]) + notice["secret"]
    return padded(head(0x10, 0) + roster + spec.field(key))


def read_hand_over(plaintext, vectors, notice):
    """The other way: what a receiver makes of it, and that the founder may say it."""
    reader = spec.Reader(plaintext)
    yield "format, kind and flags", reader.take(3) == head(0x10, 0)
    nonce, name, revision = reader.take(16), reader.bytes(), reader.number(8)
    members = reader.list(lambda: (reader.take(32), reader.number(8)))
    key = spec.Reader(reader.bytes())
    yield "padding", not any(plaintext[reader.at :])
    yield "name", name.decode() == vectors["group_name"]
    agents = [agent for agent, _ in members]
    yield "members", agents == sorted(set(agents)) and all(1 <= since <= revision for _, since in members)
    yield "key's format", key.number(1) == 1
    own = spec.sha256(spec.labelled("sealpost/v1/group", vectors["founder"] + nonce))[:16]
    yield "founder's group", key.take(16) == own and vectors["founder"] in agents
    yield "epoch and secret", (key.number(4), key.take(32)) == (notice["epoch"], notice["secret"])
    key.end()


def of_control(control):
    plaintext = head(control["kind"], control["before"])
    if control["kind"] == 3:
        read = control["read"]
        plaintext += b"\0" if read is None else b"\1" + read
        plaintext += bytes([control["typing"]])
    return padded(plaintext)


def head(kind, before):
    return bytes([1, kind, before << 1])


def padded(plaintext):
    return plaintext + bytes(max(32, padme(len(plaintext))) - len(plaintext))


def u64(value):
    return value.to_bytes(8, "big")
