"""What a dump consists of, whichever its form: keyspaces, chunks of records, damage.

A reader of a dump gives its keyspaces first, then chunks in the order of the dump; damage is an item among them and
never an exception, once the keyspaces are known. Plain data; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

__all__ = ["Chunk", "Damage", "DumpHeaderError", "DumpReader", "DumpWriter", "Key", "KeyspaceHead", "Totals"]

Key = bytes | tuple[bytes, bytes]


class KeyspaceHead(NamedTuple):
    """A keyspace with all options that it was created with."""

    name: str
    composite: bool
    partitions: int


class Chunk(NamedTuple):
    """Records of one keyspace, few enough for one commit. `keyspace` counts from 0 in the order of the heads."""

    keyspace: int
    place: str
    keys: list[Key]
    values: list[bytes]


class Damage(NamedTuple):
    """Something in the dump that cannot be read; the reader goes on behind it where it can."""

    place: str
    reason: str


@dataclass
class Totals:
    """What was written or read so far: the end of a dump is compared with it."""

    records: int = 0
    blocks: int = 0
    key_bytes: int = 0
    value_bytes: int = 0
    damages: int = field(default=0, compare=False)


class DumpHeaderError(ValueError):
    """The dump does not tell its keyspaces: nothing of it can be loaded."""


class DumpReader(Protocol):
    """Iterating gives what follows the heads."""

    heads: list[KeyspaceHead]
    unit: str

    @property
    def bytes(self) -> int:
        """Read so far."""

    def __iter__(self) -> Iterator[Chunk | Damage]: ...


class DumpWriter(Protocol):
    """`write` any number of times, then `finish`."""

    totals: Totals

    def write(self, keyspace: int, keys: list[Key], values: list[bytes]) -> None: ...

    def finish(self) -> None: ...
