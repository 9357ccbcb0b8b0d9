"""The picture of a database's tree: keyspaces, partitions, levels, tables, with ranges, sizes and tombstones, as text.

Guarantees: made of manifest and footers alone, no block is read; a damaged file is named and left out. One thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from lsm.report import amount, count
from lsm_tools.format_bytes import Faults, common_prefix
from lsm_tools.format_directory import Directory
from lsm_tools.format_edit import Table
from lsm_tools.format_manifest import Keyspace, Partition, State
from lsm_tools.format_table import TableFile
from lsm_tools.inspect_rows import key_text

__all__ = ["TABLES_SHOWN", "Axis", "TableFacts", "Tree", "read_tree", "tree_json", "tree_lines"]

AXIS_CELLS: Final = 40
SIZE_CELLS: Final = 12
TABLES_SHOWN: Final = 50


@dataclass(frozen=True)
class TableFacts:
    """A table as the picture shows it. low_hash, high_hash: None where its footer cannot be read."""

    table: Table
    low_hash: int | None
    high_hash: int | None

    @property
    def tombstone_share(self) -> float:
        return self.table.tombstones / self.table.entries if self.table.entries else 0.0


@dataclass
class Tree:
    path: str
    state: State
    tables: dict[int, TableFacts]
    log_bytes: int
    log_files: int
    faults: Faults

    def levels(self, partition: Partition) -> list[list[TableFacts]]:
        return [[self.tables[t.number] for t in level] for level in partition.levels()]


class Axis:
    """Keys as places from 0 to 1, by their value between the lowest and the highest of some tables."""

    def __init__(self, tables: Iterable[TableFacts]) -> None:
        keys = [key for facts in tables for key in (facts.table.smallest, facts.table.largest)]
        self.low, self.high = min(keys, default=b""), max(keys, default=b"")
        self._shared = len(common_prefix(self.low, self.high))
        self._base, self._top = self._number(self.low), self._number(self.high)

    def place(self, key: bytes) -> float:
        span = self._top - self._base
        return (self._number(key) - self._base) / span if span else 0.0

    def _number(self, key: bytes) -> int:
        """The first bytes in which keys differ, as a number."""
        return int.from_bytes(key[self._shared : self._shared + 8].ljust(8, b"\0"), "big")


def read_tree(path: str) -> Tree:
    """The tree; empty where no manifest can be read, and its faults say why."""
    faults = Faults()
    directory = Directory(path, faults)
    log = directory.of_kind("segment") + directory.of_kind("ring")
    state = directory.state or State()
    present = {f.number: f.path for f in directory.of_kind("table")}
    tables = {}
    for _, table in state.tables():
        tables[table.number] = _facts(table, present.get(table.number), os.path.join(path, table.file_name), faults)
    return Tree(path, state, tables, sum(f.size for f in log), len(log), faults)


def _facts(table: Table, path: str | None, name: str, faults: Faults) -> TableFacts:
    if path is None:
        faults.add(name, None, "missing; the manifest names it")
        return TableFacts(table, None, None)
    file = TableFile(path, faults, number=table.number)
    file.close()
    if file.footer is None:
        return TableFacts(table, None, None)
    return TableFacts(table, file.footer["lowest hash"], file.footer["highest hash"])


# ---- as text


def tree_lines(tree: Tree, limit: int = TABLES_SHOWN) -> Iterator[str]:
    """A drawing: on the left where a table's keys lie among those of its partition, on the right how large it is.

    At most `limit` tables of a level, and as many partitions that hold nothing.
    """
    every = list(tree.tables.values())
    yield f"{tree.path}: {count(len(tree.state.keyspaces), 'keyspace')}, {_total(every)}"
    yield f"log: {count(tree.log_files, 'file')}, {amount(tree.log_bytes)}"
    largest = max((facts.table.file_bytes for facts in every), default=1)
    for keyspace in tree.state.keyspaces.values():
        yield ""
        kind = "composite" if keyspace.composite else "plain"
        own = [facts for facts in every if facts.table.keyspace == keyspace.id]
        yield f"keyspace {keyspace.name!r} ({kind}, id {keyspace.id}): {_total(own)}"
        empty = 0
        for partition in keyspace.partitions:
            empty += not partition.tables
            if partition.tables or empty <= limit:
                yield from _partition_lines(tree, keyspace, partition, largest, limit)
        if empty > limit:
            yield f"  ... and {empty - limit} more partitions without tables"
    for fault in tree.faults:
        yield f"!! FAULT {fault}"


def _total(tables: list[TableFacts]) -> str:
    entries = sum(facts.table.entries for facts in tables)
    tombstones = sum(facts.table.tombstones for facts in tables)
    stored = sum(facts.table.file_bytes for facts in tables)
    text = f"{count(len(tables), 'table')}, {amount(stored)}, {count(entries, 'record')}"
    return text + (f", {_share(tombstones / entries)} tombstones" if entries else "")


def _share(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _partition_lines(tree: Tree, keyspace: Keyspace, partition: Partition, largest: int, limit: int) -> Iterator[str]:
    low, high = keyspace.hash_range(partition.index)
    yield f"  partition {partition.index}: hashes {low:016x} to {high - 1:016x}"
    levels = tree.levels(partition)
    axis = Axis(facts for level in levels for facts in level)
    if not any(levels):
        yield "    no tables: what it holds is in the log alone"
        return
    ends = f"{key_text(axis.low, keyspace.composite)} .. {key_text(axis.high, keyspace.composite)}"
    yield f"    keys {ends}"
    for number, level in enumerate(levels):
        if level:
            meaning = "newest first, may overlap" if number == 0 else "each key in one table"
            yield f"    level {number}: {_total(level)} ({meaning})"
        for facts in level[:limit]:
            yield f"      {_table_line(facts, axis, keyspace.composite, largest)}"
        if len(level) > limit:
            yield f"      ... and {len(level) - limit} more tables: --limit N shows more"


def _table_line(facts: TableFacts, axis: Axis, composite: bool, largest: int) -> str:
    t = facts.table
    first = min(int(axis.place(t.smallest) * AXIS_CELLS), AXIS_CELLS - 1)
    last = max(first, min(int(axis.place(t.largest) * AXIS_CELLS), AXIS_CELLS - 1))
    bar = "." * first + "#" * (last - first + 1) + "." * (AXIS_CELLS - 1 - last)
    size = "=" * max(1, round(SIZE_CELLS * t.file_bytes / largest))
    hashes = "hashes ?" if facts.low_hash is None else f"hashes {facts.low_hash:016x} to {facts.high_hash or 0:016x}"
    keys = f"{key_text(t.smallest, composite)} .. {key_text(t.largest, composite)}"
    return (
        f"{t.number:06d} [{bar}] {size:<{SIZE_CELLS}} {amount(t.file_bytes):>9} {t.entries:>9,} records "
        f"{_share(facts.tombstone_share):>5} tombstones  keys {keys}  {hashes}"
    )


def tree_json(tree: Tree) -> dict[str, Any]:
    """The same for programs; keys in hexadecimal, hashes as numbers."""
    return {
        "path": tree.path,
        "log": {"files": tree.log_files, "bytes": tree.log_bytes},
        "keyspaces": [_keyspace_json(tree, keyspace) for keyspace in tree.state.keyspaces.values()],
        "faults": [fault.as_dict() for fault in tree.faults],
    }


def _keyspace_json(tree: Tree, keyspace: Keyspace) -> dict[str, Any]:
    partitions = []
    for partition in keyspace.partitions:
        low, high = keyspace.hash_range(partition.index)
        levels = [[_table_json(facts) for facts in level] for level in tree.levels(partition)]
        flushed = partition.flushed
        partitions.append({"hash_low": low, "hash_high": high - 1, "flushed_sequence": flushed, "levels": levels})
    return {"id": keyspace.id, "name": keyspace.name, "composite": keyspace.composite, "partitions": partitions}


def _table_json(facts: TableFacts) -> dict[str, Any]:
    t = facts.table
    return {
        "number": t.number,
        "bytes": t.file_bytes,
        "raw_bytes": t.raw_bytes,
        "entries": t.entries,
        "tombstones": t.tombstones,
        "shadowed": t.shadowed,
        "smallest": t.smallest.hex(),
        "largest": t.largest.hex(),
        "lowest_sequence": t.min_seq,
        "highest_sequence": t.max_seq,
        "lowest_hash": facts.low_hash,
        "highest_hash": facts.high_hash,
    }
