"""The files of a database directory, by docs/format/directory.md alone: which is which, and what they make together.

Guarantees: changes nothing, not even LOCK; a file that is missing or damaged becomes a Fault. One thread; `offline`
keeps the engine out for as long as it is held.

    with offline(path): ...                          LockedError where a process has the database open
    d = Directory(path, faults)
    d.files: [DatabaseFile(kind, number, name, path, size)]; d.of_kind("table"); d.unknown: [name]
    d.manifest, d.state                              of the manifest that CURRENT names, or None
    kind: "current" "lock" "reserve" "ring" "manifest" "segment" "spare" "table" "temporary"
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from lsm.errors import LockedError, NotADatabaseError
from lsm_tools.format_bytes import Faults
from lsm_tools.format_manifest import ManifestFile, State, read_current

__all__ = ["DatabaseFile", "Directory", "kind_of", "offline"]

SINGLE: Final = {
    "CURRENT": "current",
    "CURRENT.tmp": "temporary",
    "LOCK": "lock",
    "RESERVE": "reserve",
    "wal.ring": "ring",
}
NUMBERED: Final = (
    ("manifest", re.compile(r"MANIFEST-([0-9]{6,20})", re.ASCII)),
    ("segment", re.compile(r"wal-([0-9]{6,20})\.log", re.ASCII)),
    ("spare", re.compile(r"wal-([0-9]{6,20})\.spare", re.ASCII)),
    ("table", re.compile(r"([0-9]{6,20})\.table", re.ASCII)),
)


class DatabaseFile(NamedTuple):
    kind: str
    number: int
    name: str
    path: str
    size: int


def kind_of(name: str) -> tuple[str, int] | None:
    """Kind and number of a file by its name; None: not the engine's."""
    if name in SINGLE:
        return SINGLE[name], 0
    for kind, pattern in NUMBERED:
        match = pattern.fullmatch(name)
        if match and match[1] == f"{int(match[1]):06d}":
            return kind, int(match[1])
    return None


@contextlib.contextmanager
def offline(path: str) -> Iterator[None]:
    """Holds the lock of the database that lies in `path`, without changing a byte; LockedError where it is open.

    Where LOCK is missing, or may not be read, nobody can have it open for writing, or nobody can tell.
    """
    try:
        fd = os.open(os.path.join(path, "LOCK"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).split(b"\n")[0].strip()
            raise LockedError(path, int(holder) if holder.isdigit() else None) from None
        yield
    finally:
        os.close(fd)


class Directory:
    """What lies in a database directory. Raises NotADatabaseError where that is no database at all."""

    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self.files: list[DatabaseFile] = []
        self.unknown: list[str] = []
        if not os.path.isdir(path):
            raise NotADatabaseError(f"{path} is no directory" if os.path.exists(path) else f"there is no {path}")
        for name in sorted(os.listdir(path)):
            self._add(name)
        kinds = {f.kind for f in self.files}
        if not kinds & {"current", "manifest", "segment", "table"}:
            raise NotADatabaseError(f"{path} holds no database")
        self.manifest = self._manifest()

    @property
    def state(self) -> State | None:
        return self.manifest.state if self.manifest is not None and self.manifest.records else None

    def of_kind(self, kind: str) -> list[DatabaseFile]:
        """In the order of their numbers."""
        return sorted((f for f in self.files if f.kind == kind), key=lambda f: f.number)

    def file(self, kind: str, number: int = 0) -> DatabaseFile | None:
        return next((f for f in self.files if f.kind == kind and f.number == number), None)

    def _add(self, name: str) -> None:
        full = os.path.join(self.path, name)
        kind = kind_of(name)
        if kind is None or not os.path.isfile(full):
            self.unknown.append(name)
        else:
            self.files.append(DatabaseFile(*kind, name, full, os.path.getsize(full)))

    def _manifest(self) -> ManifestFile | None:
        current = self.file("current")
        if current is None:
            self.faults.add(os.path.join(self.path, "CURRENT"), None, "missing; no manifest is in force")
            return None
        number = read_current(current.path, self.faults)
        if number is None:
            return None
        file = self.file("manifest", number)
        if file is None:
            name = f"MANIFEST-{number:06d}"
            self.faults.add(os.path.join(self.path, name), None, "missing; CURRENT names it")
            return None
        return ManifestFile(file.path, self.faults, number=number)
