"""Names of the files of a database directory: which there are, what a name says. docs/format/directory.md has the list.

Guarantees: `parse` inverts the functions that make names, and returns None for every file that is not the engine's.
Pure functions; any thread, no lock.
"""

from __future__ import annotations

import re
from typing import Final, Literal

CURRENT: Final = "CURRENT"
LOCK: Final = "LOCK"
RESERVE: Final = "RESERVE"
RING: Final = "wal.ring"

Kind = Literal["current", "lock", "reserve", "ring", "manifest", "segment", "spare", "table"]

_SINGLE: Final[dict[str, Kind]] = {CURRENT: "current", LOCK: "lock", RESERVE: "reserve", RING: "ring"}
_NUMBERED: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("manifest", re.compile(r"MANIFEST-([0-9]{6,20})", re.ASCII)),
    ("segment", re.compile(r"wal-([0-9]{6,20})\.log", re.ASCII)),
    ("spare", re.compile(r"wal-([0-9]{6,20})\.spare", re.ASCII)),
    ("table", re.compile(r"([0-9]{6,20})\.table", re.ASCII)),
)


def manifest_name(number: int) -> str:
    return f"MANIFEST-{number:06d}"


def segment_name(number: int) -> str:
    return f"wal-{number:06d}.log"


def table_name(number: int) -> str:
    return f"{number:06d}.table"


def parse(name: str) -> tuple[Kind, int] | None:
    """Kind and number of a file of the engine; number 0 where its kind has only one file. None: not ours."""
    if name in _SINGLE:
        return _SINGLE[name], 0
    for kind, pattern in _NUMBERED:
        if match := pattern.fullmatch(name):
            number = int(match[1])
            return (kind, number) if match[1] == f"{number:06d}" else None
    return None
