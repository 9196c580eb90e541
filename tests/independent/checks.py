"""What a check group expects, and the line that it ends with.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import traceback
from pathlib import Path

PACKAGE = f"{Path(__file__).parent}/"


class Unexpected(AssertionError):
    pass


def expect(what, came, expected):
    if came != expected:
        raise Unexpected(f"{what}: expected {shown(expected)}, came {shown(came)}")


def expect_raised(what, error, act, *arguments):
    """The `error` that `act` is to raise."""
    try:
        came = act(*arguments)
    except error as raised:
        return raised
    raise Unexpected(f"{what}: expected {error.__name__}, came {shown(came)}")


def expect_refusal(what, error, reason, act, *arguments):
    """`act` is to be refused for this reason, or with this code."""
    raised = expect_raised(what, error, act, *arguments)
    expect(what, getattr(raised, "reason", None) or getattr(raised, "code", None), reason)


def shown(value):
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def holds(title, group):
    """Runs a check group, and prints how it went."""
    try:
        group()
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__)
                  if frame.filename.startswith(PACKAGE) and frame.filename != __file__]
        place = f"{frames[-1].filename.removeprefix(PACKAGE)}, line {frames[-1].lineno}: " if frames else ""
        problem = error if isinstance(error, Unexpected) else f"{type(error).__name__}: {error}"
        print(f"FAILED {title}\n       {place}{problem}", flush=True)
        return False
    print(f"ok     {title}", flush=True)
    return True
