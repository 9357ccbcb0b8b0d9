"""What `lsm verify` found: files and bytes checked, faults, notes, as an object, as text and as JSON.

Guarantees: faults are in the order in which they were met, none is left out. One thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lsm.report import count
from lsm_tools.format_bytes import Fault, Faults
from lsm_tools.format_log import Note

__all__ = ["FileChecked", "Report", "Step", "as_json", "as_lines"]

Step = Callable[[int, int], None]
"""Called with bytes and records that were checked since the last call."""

SHOWN_FAULTS = 100


@dataclass
class FileChecked:
    """records: entries of a table, commits of a log file, edits of a manifest."""

    name: str
    kind: str
    bytes: int
    records: int = 0


@dataclass
class Report:
    path: str
    quick: bool
    files: list[FileChecked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    notes: list[Note] = field(default_factory=list)
    tables: int = 0
    entries: int = 0
    commits: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        return not self.faults

    @property
    def bytes(self) -> int:
        return sum(f.bytes for f in self.files)


def as_json(report: Report) -> dict[str, Any]:
    """For programs: paths as they were given, offsets in bytes."""
    return {
        "path": report.path,
        "sound": report.sound,
        "quick": report.quick,
        "files": [{"name": f.name, "kind": f.kind, "bytes": f.bytes, "records": f.records} for f in report.files],
        "bytes": report.bytes,
        "tables": report.tables,
        "entries": report.entries,
        "commits": report.commits,
        "seconds": round(report.seconds, 3),
        "faults": [fault.as_dict() for fault in report.faults],
        "notes": [note._asdict() for note in report.notes],
    }


def as_lines(report: Report) -> list[str]:
    """For people: the verdict first, then each fault and note by file and offset."""
    verdict = "sound" if report.sound else count(len(report.faults), "fault")
    depth = "checksums and structure" if report.quick else "every record"
    lines = [
        f"{report.path}: {verdict}",
        f"  checked {count(len(report.files), 'file')}, {report.bytes:,} bytes, {depth}: "
        f"{count(report.entries, 'record')} in {count(report.tables, 'table')}, "
        f"{count(report.commits, 'commit')} in the log",
    ]
    lines += [f"  fault: {_fault(fault)}" for fault in report.faults[:SHOWN_FAULTS]]
    if len(report.faults) > SHOWN_FAULTS:
        lines.append(f"  and {count(len(report.faults) - SHOWN_FAULTS, 'more fault')}; --json has them all")
    lines += [f"  note: {_place(note.path, note.offset)}: {note.what}" for note in report.notes]
    return lines


def _fault(fault: Fault) -> str:
    return str(Fault(os.path.basename(fault.path), fault.offset, fault.what, fault.expected, fault.got))


def _place(path: str, offset: int | None) -> str:
    name = os.path.basename(path)
    return name if offset is None else f"{name} at {offset}"
