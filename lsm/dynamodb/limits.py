"""Every limit of the service, once. Sources: botocore's service model, the AWS developer guide, captured answers."""

from __future__ import annotations

from typing import Final

ITEM_BYTES: Final = 409_600
PARTITION_KEY_BYTES: Final = 2048
SORT_KEY_BYTES: Final = 1024
NUMBER_DIGITS: Final = 38
NESTING: Final = 32
"""Lists and maps around a value, from which on it is refused."""

EXPRESSION_BYTES: Final = 4096
EXPRESSION_OPERATORS: Final = 300
IN_OPERANDS: Final = 100
PATH_PARTS: Final = 32
LIST_INDEX: Final = (1 << 31) - 1
PLACEHOLDER_BYTES: Final = 255
VALUES_BYTES: Final = 2 << 20
"""Of all values of a request's expressions, together."""

PAGE_BYTES: Final = 1 << 20
"""Of items that one Query or Scan evaluates."""

BATCH_GET_KEYS: Final = 100
BATCH_GET_BYTES: Final = 16 << 20
BATCH_WRITE_REQUESTS: Final = 25
TRANSACTION_ACTIONS: Final = 100
TRANSACTION_BYTES: Final = 4 << 20
TOKEN_CHARACTERS: Final = 36
TOKEN_SECONDS: Final = 600

READ_UNIT_BYTES: Final = 4096
WRITE_UNIT_BYTES: Final = 1024

SEGMENTS: Final = 1_000_000
GLOBAL_INDEXES: Final = 20
LOCAL_INDEXES: Final = 5
INDEX_KEY_ATTRIBUTES: Final = 4
"""Of a kind, partition or sort, in a global index."""
PROJECTED_PER_TABLE: Final = 100
TAGS: Final = 50
TAG_KEY_CHARACTERS: Final = 128
TAG_VALUE_CHARACTERS: Final = 256

FREE_DECREASES: Final = 4
"""Of provisioned throughput, in a UTC day; each further one an hour after the last."""

SECONDS_BETWEEN_DECREASES: Final = 3600
SWITCHES_TO_ON_DEMAND: Final = 4
"""Within 24 hours."""

ATTRIBUTE_NAME_BYTES: Final = 65_535
