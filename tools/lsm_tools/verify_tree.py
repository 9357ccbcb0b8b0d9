"""The tree checked as a whole: levels, references between manifest and files, versions of a key through the levels.

Guarantees: what the engine's reads rely on holds where no fault is reported: one table per key and level from level 1
on, newer versions above older ones. One thread.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Iterable, Iterator
from itertools import pairwise

from lsm_tools.format_directory import Directory
from lsm_tools.format_edit import Table
from lsm_tools.format_log import Note
from lsm_tools.format_manifest import ManifestFile, Partition, State
from lsm_tools.verify_keys import KeyRules
from lsm_tools.verify_report import FileChecked, Report, Step
from lsm_tools.verify_table import KeyVersions, TableCheck

__all__ = ["check_levels", "check_references", "check_tables"]


def check_references(report: Report, directory: Directory, state: State, manifest: ManifestFile) -> None:
    """Named but missing, which is a fault; present but unnamed, which a crash leaves and an open removes."""
    present = {f.number: f for f in directory.of_kind("table")}
    named = set()
    for _, table in state.tables():
        named.add(table.number)
        if table.number not in present:
            what = f"missing; the manifest names it at {state.places.get(table.number)}"
            report.faults.add(os.path.join(directory.path, table.file_name), None, what)
    unnamed = [f for number, f in present.items() if number not in named]
    unnamed += [f for f in directory.of_kind("manifest") if f.path != manifest.path]
    unnamed += directory.of_kind("temporary")
    for file in unnamed:
        report.notes.append(Note(file.path, None, "nothing names it; the next open for writing removes it"))
    for name in directory.unknown:
        report.notes.append(Note(os.path.join(directory.path, name), None, "no file of the engine"))


def check_levels(report: Report, partition: Partition, state: State, manifest: ManifestFile) -> None:
    """What versions promise of their levels; places are those in the manifest."""

    def fault(table: Table, what: str, expected: object = None, got: object = None) -> None:
        where = f"keyspace {partition.keyspace} partition {partition.index}: "
        report.faults.add(manifest.path, state.places.get(table.number), where + what, expected, got)

    levels = partition.levels()
    for level, tables in enumerate(levels[1:], 1):
        for before, after in pairwise(tables):
            if before.end > after.first:
                fault(
                    after,
                    f"tables {before.number} and {after.number} of level {level} overlap",
                    before.end,
                    after.first,
                )
    for i, newer in enumerate(levels[0]):
        for older in levels[0][i + 1 :]:
            if older.max_seq >= newer.min_seq and newer.first < older.end and older.first < newer.end:
                fault(older, f"tables {newer.number} and {older.number} of level 0 overlap in keys and in sequences")
    for table in partition.tables.values():
        if table.max_seq > partition.flushed:
            what = f"table {table.number} holds commits beyond what the partition has flushed"
            fault(table, what, partition.flushed, table.max_seq)


def check_tables(
    report: Report, directory: Directory, state: State, partition: Partition, database_id: bytes | None, step: Step
) -> None:
    """Every table of a partition, and the versions of each key through all of them."""
    rules = KeyRules(state.keyspaces[partition.keyspace], partition.index, state.hash_seed)
    present = {f.number: f.path for f in directory.of_kind("table")}

    def keys(tables: list[Table], rank: int) -> Iterator[KeyVersions]:
        """The keys of tables that follow each other, one file open at a time."""
        for table in tables:
            if table.number not in present:
                continue
            check = TableCheck(present[table.number], table, database_id, report.faults, step)
            with contextlib.closing(check):
                if report.quick:
                    check.quick()
                else:
                    yield from check.keys(rules, rank)
            report.tables += 1
            report.entries += check.entries
            name = os.path.basename(check.path)
            report.files.append(FileChecked(name, "table", check.file.size, check.entries))

    levels = partition.levels()
    runs = [[table] for table in levels[0]] + levels[1:]
    _check_versions(report, [keys(tables, rank) for rank, tables in enumerate(runs)])


def _check_versions(report: Report, runs: list[Iterable[KeyVersions]]) -> None:
    """A read stops at the first version that it meets: what lies deeper has to be older."""
    last: KeyVersions | None = None
    for versions in heapq.merge(*runs) if len(runs) > 1 else runs[0] if runs else ():
        if last is not None and versions.key == last.key and versions.newest >= last.oldest:
            what = f"key {versions.key!r} has a version that is not older than the one in {os.path.basename(last.path)}"
            report.faults.add(versions.path, versions.offset, what, f"below {last.oldest}", versions.newest)
        last = versions
