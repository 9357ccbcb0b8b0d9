"""The Unicode character database that comes with Python, as records for `lsm demo`.

Pure functions of `unicodedata`; any thread.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import NamedTuple

__all__ = ["Character", "assigned", "character_of", "point_key"]

UNNAMED = frozenset({"Cn", "Co", "Cs"})
"""Categories of code points without a character: unassigned, private use, surrogates."""


class Character(NamedTuple):
    """One character as the three keyspaces hold it: `key` is its code point, six hexadecimal digits."""

    key: bytes
    name: bytes
    category: bytes
    record: bytes


def assigned(last: int = sys.maxunicode) -> list[int]:
    """The code points up to `last` that are characters, in order."""
    return [point for point in range(last + 1) if unicodedata.category(chr(point)) not in UNNAMED]


def character_of(point: int) -> Character:
    """The records of one code point."""
    character = chr(point)
    category = unicodedata.category(character)
    # control characters have no name; the standard's charts label them so
    name = unicodedata.name(character, f"<control-{point:04X}>")
    record = {
        "name": name,
        "category": category,
        "numeric": unicodedata.numeric(character, None),
        "bidirectional": unicodedata.bidirectional(character),
        "decomposition": unicodedata.decomposition(character),
        "combining": unicodedata.combining(character),
        "east_asian_width": unicodedata.east_asian_width(character),
        "mirrored": bool(unicodedata.mirrored(character)),
    }
    text = json.dumps(record, separators=(",", ":"))
    return Character(point_key(point), name.encode("ascii"), category.encode("ascii"), text.encode("ascii"))


def point_key(point: int) -> bytes:
    """Six hexadecimal digits: their byte order is the order of the code points."""
    return b"%06X" % point
