"""What the database consists of at one moment: keyspaces, their partitions, and the tables of each level.

Guarantees: versions are immutable and valid (level 0 newest first, deeper levels sorted and without overlap); an edit
that contradicts its version raises VersionError and changes nothing. Any thread, no lock; a builder has one owner.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from lsm.errors import Error
from lsm.version_edit import (
    KeyspaceCreated,
    KeyspaceOptions,
    OptionValue,
    PartitionFlushed,
    TableAdded,
    TableMeta,
    TableRemoved,
    VersionEdit,
)

__all__ = [
    "MAX_LEVELS",
    "DatabaseVersion",
    "KeyspaceCreated",
    "KeyspaceOptions",
    "KeyspaceVersion",
    "PartitionFlushed",
    "PartitionVersion",
    "TableAdded",
    "TableMeta",
    "TableRemoved",
    "VersionBuilder",
    "VersionEdit",
    "VersionError",
    "hash_bounds",
    "overlapping",
    "partition_of",
]

MAX_LEVELS: Final = 7
MAX_PARTITIONS: Final = 4096
MAX_KEYSPACE_ID: Final = (1 << 24) - 1
"""The engine finds keyspaces in an array by their id: a damaged one must not ask for gigabytes."""

_end = attrgetter("end")
_first = attrgetter("first")


class VersionError(Error):
    """A version edit contradicts the version it is applied to; nothing was changed."""


def hash_bounds(index: int, count: int) -> tuple[int, int]:
    """Hashes of partition `index` of `count`: [low, high), real multiples of 2^64 / count rounded up."""
    return -((-index << 64) // count), -((-(index + 1) << 64) // count)


def partition_of(hash: int, count: int) -> int:
    """The partition of `count` whose bounds hold a 64-bit hash: the high half of their product."""
    return hash * count >> 64


def overlapping(tables: tuple[TableMeta, ...], first: bytes, end: bytes) -> tuple[TableMeta, ...]:
    """Tables of a sorted level that may hold keys in [first, end)."""
    low = bisect_right(tables, first, key=_end)
    return tables[low : bisect_left(tables, end, low, key=_first)]


@dataclass(frozen=True, slots=True)
class PartitionVersion:
    """One LSM tree. Every commit up to `flushed_seq` that concerns it is in `levels`.

    levels[0] is newest first and its tables may overlap; deeper levels are in key order and do not. There is always a
    level 0; the deepest of several is never empty.
    """

    keyspace: int
    index: int
    flushed_seq: int = 0
    levels: tuple[tuple[TableMeta, ...], ...] = ((),)
    hash_low: int = 0
    hash_high: int = 2**64  # excluded

    def tables(self, level: int) -> tuple[TableMeta, ...]:
        return self.levels[level] if level < len(self.levels) else ()

    def all_tables(self) -> Iterator[TableMeta]:
        for tables in self.levels:
            yield from tables

    def level_bytes(self, level: int) -> int:
        return sum(t.file_bytes for t in self.tables(level))

    @property
    def table_count(self) -> int:
        return sum(map(len, self.levels))

    def apply(self, edit: VersionEdit) -> PartitionVersion:
        """The version after what `edit` says of this partition. Raises VersionError where they contradict."""
        key = (self.keyspace, self.index)
        thawed = _Partition(self)
        for removed in edit.removed:
            if (removed.keyspace, removed.partition) == key:
                thawed.remove(removed.number)
        for added in edit.added:
            if (added.keyspace, added.partition) == key:
                thawed.add(added.level, added.table)
        for flushed in edit.flushed:
            if (flushed.keyspace, flushed.partition) == key:
                thawed.flush(flushed.seq)
        return thawed.freeze()


@dataclass(frozen=True, slots=True)
class KeyspaceVersion:
    id: int
    name: str
    composite: bool
    created_seq: int
    options: Mapping[str, OptionValue]
    partitions: tuple[PartitionVersion, ...]


@dataclass(frozen=True, slots=True)
class DatabaseVersion:
    """`last_sequence` is a hint: at least this was given out when the edit was written. `closed`: nothing followed a
    clean close, the log was durable through it. `wal_start`: the first WAL segment that recovery needs;
    `wal_start_sequence`: what was committed before it is in tables, 0 where that is not known."""

    database_id: bytes = bytes(16)
    hash_seed: int = 0
    epoch: int = 0
    next_file_number: int = 1
    next_keyspace_id: int = 1
    wal_start: int = 0
    last_sequence: int = 0
    wal_start_sequence: int = 0
    closed: bool = False
    keyspaces: Mapping[int, KeyspaceVersion] = field(default_factory=lambda: MappingProxyType({}))

    def apply(self, edit: VersionEdit) -> DatabaseVersion:
        """The version after `edit`; shares every untouched partition. Raises VersionError where they contradict."""
        builder = VersionBuilder(self)
        builder.apply(edit)
        return builder.build()

    def partitions(self) -> Iterator[PartitionVersion]:
        for keyspace in self.keyspaces.values():
            yield from keyspace.partitions

    def durable_sequence(self) -> int:
        """Commits up to here were durable in the log when the manifest last said something."""
        flushed = (p.flushed_seq for p in self.partitions())
        created = (k.created_seq for k in self.keyspaces.values())
        return max((*flushed, *created, self.last_sequence if self.closed else 0))

    def table_numbers(self) -> set[int]:
        """Numbers of all table files that the version needs; any other table file may go."""
        return {t.number for p in self.partitions() for t in p.all_tables()}

    def snapshot(self) -> VersionEdit:
        """One edit that makes this version out of nothing."""
        keyspaces = self.keyspaces.values()
        partitions = list(self.partitions())
        return VersionEdit(
            database_id=self.database_id,
            hash_seed=self.hash_seed,
            epoch=self.epoch,
            next_file_number=self.next_file_number,
            next_keyspace_id=self.next_keyspace_id,
            wal_start=self.wal_start,
            last_sequence=self.last_sequence,
            wal_start_sequence=self.wal_start_sequence or None,
            closed=self.closed,
            created=tuple(
                KeyspaceCreated(k.id, k.name, k.composite, len(k.partitions), k.created_seq, k.options)
                for k in keyspaces
            ),
            added=tuple(
                TableAdded(p.keyspace, p.index, level, table)
                for p in partitions
                for level, tables in enumerate(p.levels)
                for table in tables
            ),
            flushed=tuple(PartitionFlushed(p.keyspace, p.index, p.flushed_seq) for p in partitions if p.flushed_seq),
        )


# Edits of threads that took their numbers at once may come in any order: the lower number is old news.
_RISING: Final = ("epoch", "wal_start", "next_file_number", "next_keyspace_id", "last_sequence", "wal_start_sequence")


class VersionBuilder:
    """Takes any number of edits, then makes one version. Tables are sorted and validated once, in `build`.

    After a VersionError the builder is of no further use; the version it started from is unharmed.
    """

    def __init__(self, base: DatabaseVersion | None = None) -> None:
        self._base = base or DatabaseVersion()
        self._numbers: dict[str, int] = {}
        self._database_id = self._base.database_id
        self._closed = self._base.closed
        self._keyspaces = dict(self._base.keyspaces)
        self._names: set[str] | None = None
        self._thawed: dict[tuple[int, int], _Partition] = {}

    def apply(self, edit: VersionEdit) -> None:
        self._apply_numbers(edit)
        for created in edit.created:
            self._create(created)
        for options in edit.options:
            keyspace = self._keyspace(options.id)
            self._keyspaces[options.id] = replace(keyspace, options=MappingProxyType(dict(options.options)))
        for removed in edit.removed:
            self._partition(removed.keyspace, removed.partition).remove(removed.number)
        for added in edit.added:
            self._partition(added.keyspace, added.partition).add(added.level, added.table)
            self._raise_to("next_file_number", added.table.number + 1)
        for flushed in edit.flushed:
            self._partition(flushed.keyspace, flushed.partition).flush(flushed.seq)
        for dropped in edit.dropped:
            self._drop(dropped)

    def build(self) -> DatabaseVersion:
        changed: dict[int, dict[int, PartitionVersion]] = {}
        for (keyspace, index), thawed in self._thawed.items():
            changed.setdefault(keyspace, {})[index] = thawed.freeze()
        for id, partitions in changed.items():
            keyspace_version = self._keyspaces[id]
            merged = tuple(partitions.get(p.index, p) for p in keyspace_version.partitions)
            self._keyspaces[id] = replace(keyspace_version, partitions=merged)
        self._thawed = {}
        base = self._base
        return DatabaseVersion(
            database_id=self._database_id,
            hash_seed=self._number("hash_seed"),
            epoch=self._number("epoch"),
            next_file_number=self._number("next_file_number"),
            next_keyspace_id=self._number("next_keyspace_id"),
            wal_start=self._number("wal_start"),
            last_sequence=self._number("last_sequence"),
            wal_start_sequence=self._number("wal_start_sequence"),
            closed=self._closed,
            keyspaces=base.keyspaces if self._keyspaces == base.keyspaces else MappingProxyType(dict(self._keyspaces)),
        )

    def _apply_numbers(self, edit: VersionEdit) -> None:
        if edit.database_id is not None:
            if len(edit.database_id) != 16:
                raise VersionError(f"a database id has 16 bytes, not {len(edit.database_id)}")
            self._database_id = edit.database_id
        if edit.hash_seed is not None:
            self._numbers["hash_seed"] = edit.hash_seed
        for name in ("epoch", "wal_start"):
            value: int | None = getattr(edit, name)
            if value is not None and value < self._number(name):
                raise VersionError(f"{name} goes back from {self._number(name)} to {value}")
        for name in _RISING:
            self._raise_to(name, getattr(edit, name) or 0)
        self._closed = edit.closed

    def _number(self, name: str) -> int:
        value: int = self._numbers[name] if name in self._numbers else getattr(self._base, name)
        return value

    def _raise_to(self, name: str, value: int) -> None:
        if value > self._number(name):
            self._numbers[name] = value

    def _keyspace(self, id: int) -> KeyspaceVersion:
        try:
            return self._keyspaces[id]
        except KeyError:
            raise VersionError(f"there is no keyspace {id}") from None

    def _create(self, created: KeyspaceCreated) -> None:
        if self._names is None:
            self._names = {k.name for k in self._keyspaces.values()}
        if created.id in self._keyspaces or created.name in self._names:
            raise VersionError(f"keyspace {created.id} {created.name!r} exists already")
        count = created.partitions
        if created.id > MAX_KEYSPACE_ID:
            raise VersionError(f"keyspace {created.id} is beyond {MAX_KEYSPACE_ID}, the last that may be made")
        if not 1 <= count <= MAX_PARTITIONS:
            raise VersionError(f"keyspace {created.id} has {count} partitions; 1 to {MAX_PARTITIONS} are allowed")
        partitions = tuple(
            PartitionVersion(created.id, i, hash_low=low, hash_high=high)
            for i in range(count)
            for low, high in [hash_bounds(i, count)]
        )
        options = MappingProxyType(dict(created.options))
        self._keyspaces[created.id] = KeyspaceVersion(
            created.id, created.name, created.composite, created.created_seq, options, partitions
        )
        self._names.add(created.name)
        self._raise_to("next_keyspace_id", created.id + 1)

    def _drop(self, id: int) -> None:
        keyspace = self._keyspace(id)
        del self._keyspaces[id]
        if self._names is not None:
            self._names.discard(keyspace.name)
        for index in range(len(keyspace.partitions)):
            self._thawed.pop((id, index), None)

    def _partition(self, keyspace: int, index: int) -> _Partition:
        thawed = self._thawed.get((keyspace, index))
        if thawed is None:
            partitions = self._keyspace(keyspace).partitions
            if index >= len(partitions):
                raise VersionError(f"keyspace {keyspace} has {len(partitions)} partitions, none is number {index}")
            thawed = self._thawed[keyspace, index] = _Partition(partitions[index])
        return thawed


class _Partition:
    """A partition's tables while edits are applied: by number, in no order."""

    __slots__ = ("base", "flushed_seq", "level_of", "levels")

    def __init__(self, base: PartitionVersion) -> None:
        self.base = base
        self.flushed_seq = base.flushed_seq
        self.levels: dict[int, dict[int, TableMeta]] = {
            level: {t.number: t for t in tables} for level, tables in enumerate(base.levels)
        }
        self.level_of = {number: level for level, tables in self.levels.items() for number in tables}

    def remove(self, number: int) -> None:
        level = self.level_of.pop(number, None)
        if level is None:
            raise VersionError(f"{self._where()} has no table {number} to remove")
        del self.levels[level][number]

    def add(self, level: int, table: TableMeta) -> None:
        if not 0 <= level < MAX_LEVELS:
            raise VersionError(f"{self._where()}: table {table.number} at level {level}; there are {MAX_LEVELS} levels")
        if table.number in self.level_of:
            raise VersionError(f"{self._where()} has table {table.number} already")
        if table.first >= table.end:
            raise VersionError(f"{self._where()}: table {table.number} holds no key between its bounds")
        self.level_of[table.number] = level
        self.levels.setdefault(level, {})[table.number] = table

    def flush(self, seq: int) -> None:
        if seq < self.flushed_seq:
            raise VersionError(f"{self._where()}: flushed through {self.flushed_seq}, not back to {seq}")
        self.flushed_seq = seq

    def freeze(self) -> PartitionVersion:
        depth = max((level for level, tables in self.levels.items() if tables), default=0)
        levels = [_newest_first(self.levels.get(0, {}).values(), self._where())]
        levels += [_in_key_order(self.levels.get(n, {}).values(), self._where(), n) for n in range(1, depth + 1)]
        return replace(self.base, flushed_seq=self.flushed_seq, levels=tuple(levels))

    def _where(self) -> str:
        return f"keyspace {self.base.keyspace} partition {self.base.index}"


def _newest_first(tables: Iterable[TableMeta], where: str) -> tuple[TableMeta, ...]:
    ordered = sorted(tables, key=lambda t: (t.max_seq, t.number), reverse=True)
    for i, newer in enumerate(ordered):
        for older in ordered[i + 1 :]:
            if older.max_seq < newer.min_seq:
                break
            if newer.first < older.end and older.first < newer.end:
                raise VersionError(
                    f"{where}: tables {newer.number} and {older.number} of level 0 overlap in keys and in sequences"
                )
    return tuple(ordered)


def _in_key_order(tables: Iterable[TableMeta], where: str, level: int) -> tuple[TableMeta, ...]:
    ordered = sorted(tables, key=_first)
    for before, after in pairwise(ordered):
        if before.end > after.first:
            raise VersionError(f"{where}: tables {before.number} and {after.number} of level {level} overlap")
    return tuple(ordered)
