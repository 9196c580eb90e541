"""Runs the vectors, and every step against a relay of its own: `python -m independent BINARY`, from the folder `tests`.

Prints a line for each group of checks and at the end "N passed, N failed". BINARY is the reference program. Its relay
listens on a loopback port and keeps all it has in a temporary folder; both are gone at the end, however it comes.

Written from docs/protocol.md, docs/vectors/*.json and the program's own `--help` alone, and must stay so.
"""

import signal
import sys
import tempfile
from functools import partial

from . import rules, vectors
from .checks import holds
from .reference import Reference
from .steps import STEPS


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: python -m independent BINARY")
    # A plain termination would leave the relay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    outcomes = [holds(title, group) for title, group in {**vectors.GROUPS, **rules.GROUPS}.items()]
    with tempfile.TemporaryDirectory(prefix="sealpost-independent-") as folder:
        with Reference(arguments[0], folder) as reference:
            outcomes.append(holds("serve: the relay starts", reference.start))
            if outcomes[-1]:
                outcomes += [holds(title, partial(step, reference)) for title, step in STEPS.items()]
                if not all(outcomes):
                    print("The relay's warnings:", *reference.warnings(), sep="\n       ")
    failed = outcomes.count(False)
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
