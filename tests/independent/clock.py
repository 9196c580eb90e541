"""Section 1: times are milliseconds since 1970.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

import time

MINUTE = 60_000
DAY = 86_400_000


def now_ms():
    return time.time_ns() // 1_000_000
