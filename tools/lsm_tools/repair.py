"""`lsm repair`: saves what can be saved of a damaged database into a new one, and says what was lost.

Guarantees: the damaged directory is only read, under its lock; nothing is made up: every record saved stood in a block
or frame whose checksum holds. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from lsm.command_line import Failure
from lsm.progress import Progress
from lsm_tools.format_bytes import Faults
from lsm_tools.format_directory import Directory, offline
from lsm_tools.repair_log import Log, read_log
from lsm_tools.repair_manifest import Known, KnownKeyspace, read_manifests
from lsm_tools.repair_merge import LogChange, Merge, composite_key, looks_composite
from lsm_tools.repair_output import Output
from lsm_tools.repair_report import KeyspaceReport, LostCommits, Report
from lsm_tools.repair_tables import Salvage, find_tables

__all__ = ["add_repair", "repair"]

SOMETHING_LOST = 3
SMALLEST_CHANGE = 7
"""Kinds from here on are of keyspaces, not of records."""

HELP = """\
Save what can be saved of a damaged database into a new one.

PATH is only read, never changed, and must not be open. NEW must not exist; it gets a new database id, and is read back
before it appears under its name. Every block of a table and every commit of the log whose checksum holds is used, also
behind damage; of each key the newest version counts. The report says what is lost: blocks with their byte and key
ranges, commits with their sequences, and records that may be older than they were because something newer is lost.

Exit status: 0 nothing is lost; 3 NEW is made, and something is lost; 1 it could not be done.
"""

EXAMPLES = """\
examples:
  lsm repair broken.db saved.db
  lsm repair broken.db saved.db --dry-run       what would be saved, without writing
  lsm repair broken.db saved.db --json > report.json
"""


def add_repair(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "repair", help="Save what can be saved of a damaged database.", description=HELP, epilog=EXAMPLES
    )
    command.set_defaults(run=_run)
    command.add_argument("path", metavar="PATH", help="the damaged database directory")
    command.add_argument("new", metavar="NEW", help="the directory to make")
    command.add_argument("--dry-run", action="store_true", help="read and report everything, make nothing")
    command.add_argument(
        "--progress", action="store_true", default=None, help="show a progress bar, also where stderr is no terminal"
    )
    command.add_argument("--json", action="store_true", help="print the whole report as one JSON object")


def _run(options: argparse.Namespace) -> int:
    report = repair(options.path, options.new, dry_run=options.dry_run, progress=options.progress)
    if options.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False, indent=2))
    else:
        print("\n".join(report.lines()))
    if report.verified is False:
        raise Failure(f"{options.new} does not read back as it was written")
    return 0 if report.lossless else SOMETHING_LOST


def repair(path: str, new: str, *, dry_run: bool = False, progress: bool | None = False) -> Report:
    """Makes `new` of what is sound in `path`. LockedError, NotADatabaseError or Failure where it cannot be done."""
    begun = time.perf_counter()
    if os.path.realpath(new).startswith(os.path.realpath(path) + os.sep):
        raise Failure(f"{new} lies in {path}, which a repair does not change; name another place")
    report = Report(path, new, dry_run)
    with offline(path), Output(new, dry_run=dry_run) as output:
        work = _Work(Directory(path, report.faults), report, output)
        work.run(progress)
        report.verified = output.finish()
    report.seconds = time.perf_counter() - begun
    return report


@dataclass
class _Owned:
    """What belongs to one keyspace."""

    tables: list[Salvage] = field(default_factory=list)
    changes: list[LogChange] = field(default_factory=list)


class _Work:
    """One repair, step by step."""

    def __init__(self, directory: Directory, report: Report, output: Output) -> None:
        self._directory = directory
        self._report = report
        self._output = output
        faults: Faults = report.faults
        self._known: Known = read_manifests(directory, faults)
        self._log: Log = read_log(directory, faults, self._known)
        salvages, report.ignored_files = find_tables(directory, self._known, faults)
        self._salvages: list[Salvage] = salvages
        self._owned: dict[int | str, _Owned] = defaultdict(_Owned)
        self._names: dict[int, KnownKeyspace] = {}

    def run(self, progress: bool | None) -> None:
        report, known = self._report, self._known
        report.manifest, report.exact, report.log = known.text, known.exact, self._log.report
        report.notes += known.notes
        self._find_keyspaces()
        self._share_out()
        for salvage in self._salvages:
            salvage.begin()
        total = sum(salvage.known_entries or 0 for salvage in self._salvages) or None
        with Progress("repairing", total=total, stream=sys.stderr, enabled=progress) as self._bar:
            for owner in sorted(self._owned, key=lambda o: (isinstance(o, str), o)):
                self._save(owner, self._owned[owner])
        report.tables = [salvage.report for salvage in self._salvages]
        self._judge_log()
        report.torn_batches += self._log.torn + self._torn_by_tables()

    # ---- keyspaces

    def _find_keyspaces(self) -> None:
        """Those that were there last: ids are never reused, and one that was dropped stays so."""
        known, log = self._known, self._log
        self._names = dict(known.keyspaces)
        for id, keyspace in log.created.items():
            if id not in self._names and not (known.exact and id < known.next_keyspace_id):
                self._names[id] = keyspace
        for id in sorted(log.dropped | known.dropped.keys()):
            keyspace_dropped = self._names.pop(id, None)
            name = keyspace_dropped.name if keyspace_dropped else known.dropped.get(id, f"keyspace {id}")
            self._report.dropped.append(name)
        for id in self._names:
            self._owned[id]

    def _gone(self, id: int) -> bool:
        known = self._known
        if id in self._log.dropped or id in known.dropped:
            return True
        return known.exact and id not in self._names and id < known.next_keyspace_id

    def _share_out(self) -> None:
        """Every change and table to its keyspace."""
        by_key: dict[tuple[bytes, int], int] = {}
        for order, (sequence, change) in enumerate(self._log.changes()):
            if change.kind >= SMALLEST_CHANGE or self._gone(change.keyspace):
                continue
            self._owned[change.keyspace].changes.append(
                LogChange(sequence, order, change.kind, change.key, change.value)
            )
            by_key[change.key, sequence] = change.keyspace
        kept = []
        for salvage in self._salvages:
            if salvage.keyspace is None and salvage.path is not None:
                salvage.keyspace = self._owner_by_log(salvage, by_key)
            salvage.report.keyspace = salvage.keyspace
            if salvage.keyspace is not None and self._gone(salvage.keyspace):
                self._report.ignored_files.append(f"{salvage.name}: of a keyspace that was dropped")
                continue
            kept.append(salvage)
            owner = salvage.keyspace if salvage.keyspace is not None else f"recovered-table-{salvage.number:06d}"
            self._owned[owner].tables.append(salvage)
        self._salvages = kept

    def _owner_by_log(self, salvage: Salvage, by_key: dict[tuple[bytes, int], int]) -> int | None:
        """The log may still have a commit of which the table has a record: that names the keyspace."""
        if not by_key:
            return None
        look = Salvage(salvage.number, salvage.name, salvage.path, salvage.reference, Faults())
        look.begin()
        owners = (by_key.get((entry.key, entry.sequence)) for entry in look.entries() if entry.sequence)
        return next((owner for owner in owners if owner is not None), None)

    # ---- saving

    def _save(self, owner: int | str, owned: _Owned) -> None:
        report = self._keyspace_report(owner, owned)
        if report is None:
            return
        self._report.keyspaces.append(report)
        target = self._output.keyspace(report.name, report.composite, report.partitions)
        malformed = 0
        for key, value in Merge(self._known, report, owned.tables, owned.changes, self._progress):
            if not report.composite:
                target.put(key, value)
                continue
            try:
                target.put(composite_key(key), value)
            except ValueError:
                malformed += 1
        target.flush()
        report.records -= malformed
        report.not_understood += malformed

    _read = 0

    def _progress(self, entries: int) -> None:
        self._read += entries
        self._bar.update(self._read, self._read)

    def _keyspace_report(self, owner: int | str, owned: _Owned) -> KeyspaceReport | None:
        """None where there is nothing to save and nothing is known."""
        keyspace = self._names.get(owner) if isinstance(owner, int) else None
        if keyspace is not None:
            return KeyspaceReport(keyspace.id, keyspace.name, True, keyspace.composite, keyspace.partitions)
        if not owned.tables and not owned.changes:
            return None
        id = owner if isinstance(owner, int) else None
        name = f"recovered-keyspace-{owner}" if isinstance(owner, int) else owner
        taken = {known.name for known in self._names.values()}
        while name in taken:
            name += "-"
        composite = self._guess_composite(owned)
        note = "" if id is not None else "which keyspace the table was of is lost"
        return KeyspaceReport(id, name, False, composite, 1, note=note)

    def _guess_composite(self, owned: _Owned) -> bool:
        """From how the keys are built; reads everything once more."""
        seed = self._known.seed
        found = []
        for salvage in owned.tables:
            look = Salvage(salvage.number, salvage.name, salvage.path, salvage.reference, Faults())
            look.begin()
            keys = (entry.key for entry in look.entries())
            first = next(keys, None)
            if first is not None:
                found.append(looks_composite(chain([first], keys), seed))
        if owned.changes:
            found.append(looks_composite((change.key for change in owned.changes), seed))
        return bool(found) and all(found)

    # ---- what is lost

    def _judge_log(self) -> None:
        """Commits that the log lost count only where the tables have not taken them over."""
        log, known = self._log.report, self._known
        flushed = min(known.flushed.values(), default=0) if known.exact else 0
        lost = [one for one in log.lost if one.last > flushed]
        log.lost = [
            LostCommits(max(one.first, flushed + 1), one.last, one.certain, one.note) if one.first <= flushed else one
            for one in lost
        ]

    def _torn_by_tables(self) -> list[str]:
        """A batch over keyspaces or keys of which one part is lost is there in part."""
        return [
            f"batches of sequences {table.lowest_sequence} to {table.highest_sequence}: {table.name} lost records"
            for table in self._report.tables
            if table.records_lost != 0
        ]
