"""`lsm verify`: every byte of a database that nothing has open, checked against its checksums and against the rest.

Guarantees: changes nothing; reports every fault that it meets with file and offset, and goes on. One thread.

    report = verify(path, quick=False)      Report: .sound, .faults [Fault(path, offset, what, expected, got)], .notes
Raises NotADatabaseError, and LockedError where a process has the database open.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from lsm.command_line import Failure, one_line
from lsm.errors import LockedError, NotADatabaseError
from lsm.progress import Progress
from lsm_tools.format_directory import Directory, offline
from lsm_tools.verify_log import LogCheck
from lsm_tools.verify_report import FileChecked, Report, Step, as_json, as_lines
from lsm_tools.verify_tree import check_levels, check_references, check_tables

__all__ = ["add_verify", "verify"]

HELP = """\
Check every byte of a database that nothing has open.

Checksums of all files; order, ranges, hashes and counts of all records; the filters, computed anew; the levels of the
tree; that the manifest and the files agree; every commit in the log, and that log and tables leave no gap. It reads the
files by their published formats, without the engine, and changes nothing.

A fault is something that is not as it was written, or that the engine would refuse. A note is what a crash may leave:
the next open for writing clears it away.

Exit status: 0 sound, 1 there are faults, 2 it could not be checked (wrong usage, no database, open elsewhere).
"""
EXAMPLES = """\
examples:
  lsm verify shop.db
  lsm verify shop.db --quick          checksums and structure; decodes no record
  lsm verify shop.db --json           for programs: files, bytes, faults with path and offset
"""


def verify(path: str, *, quick: bool = False, step: Step | None = None) -> Report:
    """Checks the database at `path`; `step` is told of bytes and records as they are done."""
    begun = time.monotonic()
    report = Report(path, quick)
    with offline(path):
        _check(report, Directory(path, report.faults), step or (lambda *_: None))
    report.seconds = time.monotonic() - begun
    return report


def total_bytes(path: str) -> int:
    """What `verify` will read, about."""
    try:
        return sum(f.size for f in Directory(path, Report(path, True).faults).files if f.kind in ("table", "segment"))
    except NotADatabaseError:
        return 0


def _check(report: Report, directory: Directory, step: Step) -> None:
    for kind in ("current", "manifest"):
        for file in directory.of_kind(kind):
            report.files.append(FileChecked(file.name, kind, file.size))
    manifest, state = directory.manifest, directory.state
    LogCheck(report, directory, state, step).run()
    if manifest is None or state is None:
        return
    for checked in report.files:
        if manifest.path.endswith(checked.name):
            checked.records = len(manifest.records)
    database_id = manifest.header["database id"] if manifest.header is not None else None
    check_references(report, directory, state, manifest)
    for partition in state.partitions():
        check_levels(report, partition, state, manifest)
        check_tables(report, directory, state, partition, database_id, step)


def add_verify(subparsers: Any) -> None:
    """The subcommand."""
    summary, _, more = HELP.partition("\n\n")
    command = subparsers.add_parser("verify", help=summary, description=f"{summary}\n\n{more.strip()}", epilog=EXAMPLES)
    command.add_argument("path", metavar="PATH", help="the database directory")
    command.add_argument("--quick", action="store_true", help="checksums and structure only; decodes no record")
    command.add_argument("--json", action="store_true", help="print the report as one JSON object")
    command.add_argument(
        "--progress", action="store_true", default=None, help="show a progress bar, also where stderr is no terminal"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The command; its exit status."""
    try:
        report = _with_progress(options)
    except (NotADatabaseError, LockedError, OSError) as error:
        raise Failure(one_line(error), 2) from error
    if options.json:
        print(json.dumps(as_json(report)))
    else:
        print("\n".join(as_lines(report)))
    return 0 if report.sound else 1


def _with_progress(options: argparse.Namespace) -> Report:
    done = [0, 0]
    total = total_bytes(options.path)
    with Progress("verify", total=total, stream=sys.stderr, enabled=options.progress) as progress:

        def step(bytes: int, records: int) -> None:
            done[0] += bytes
            done[1] += records
            progress.update(*done)

        report = verify(options.path, quick=options.quick, step=step)
        progress.update(total, done[1])
        return report
