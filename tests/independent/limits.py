"""Section 17: the limits that a client keeps, with the sections that give their reasons.

Written from docs/protocol.md and docs/vectors/*.json alone, and must stay so.
"""

from .clock import DAY, MINUTE

# Sections 5 to 8: what a reader takes. Lengths are bytes, lives milliseconds.
MOST_SUITES = 8
MOST_RECIPIENTS = 1_000
MOST_MESSAGE_TYPE = 64
MOST_FILE_NAME = 255
MOST_CIPHERTEXT = 1_048_576
MOST_ENVELOPE = 1_050_624
MOST_CONTENT = 1_048_064
LIFE_OF_A_MANIFEST = 31 * DAY
LIFE_OF_A_ONE_TIME_KEY = 180 * DAY
LIFE_OF_A_MESSAGE = 30 * DAY

# Sections 10 and 11: ratchets and sessions.
MOST_IN_A_CHAIN = 2_000
MOST_SKIPPED_AT_ONCE = 4_000
MOST_SKIPPED_KEPT = 100
MOST_LOST_RANGES = 32
MOST_RETIRED_KEYS = 16
MOST_WITHOUT_A_STEP = 100
LONGEST_WITHOUT_A_STEP = 60 * MINUTE
MOST_CONTROLS_COUNTED = 127
MOST_RECEIVING_SESSIONS = 4
MOST_ATTEMPTS = 3
YOUNGEST_RENEWED = MINUTE
KEPT_UNUSED = 31 * DAY

# Sections 12 and 13: receipts, and what is remembered.
MOST_LEAVES = 200
MOST_LEVELS = 16
REMEMBERED = 35 * DAY
LIFE_OF_A_CONTROL_MESSAGE = 7 * DAY

# Section 14: delegations.
MOST_ORIGIN = 300
MOST_TOKEN = 4_096
MOST_BLOCKS = 10
LIFE_OF_A_CERTIFICATE = 90 * DAY

# Section 22: bodies and groups.
PIECE = 1_048_576
CHUNK = 65_536
MOST_SEALED_BODY = 64 << 30
MOST_COMPRESSED_CONTENT = 62 << 30
MOST_CONTENT_OF_A_BODY = 1 << 48
MOST_WINDOW = 8 << 20
MOST_GROUP_NAME = 64
GROUP_KEY = 53
