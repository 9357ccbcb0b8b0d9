"""One damaged directory: what the engine says of it, and whether that is right.

Guarantees: whatever the engine answers is compared with the states that prefixes of the commits left; an answer that
belongs to none, or to one that misses a durable commit, is a breach. Runs in a child that may die.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import Any

import lsm
from lsm import directory as names
from lsm.errors import CorruptionError, Error
from proof.rot_damage import Damage, apply
from proof.rot_subjects import State, Subject

__all__ = ["BREACH", "Outcome", "Trial", "lay_out", "run"]

BREACH = "BREACH"
ABSENT = (b"absent", b"zzz-absent", b"key-9999")


@dataclass
class Outcome:
    """`verdict`: "right", "refused" (CorruptionError on opening), "refused a read", "tail cut", BREACH, or the name of
    another exception. `detail` says more of it; `blamed` is the file that a CorruptionError named."""

    verdict: str
    detail: str = ""
    blamed: str = ""
    prefix: int | None = None


class Breach(Exception):
    """The engine answered what it must not; `prefix`: it is right, but for durable commits behind that one."""

    def __init__(self, what: str, prefix: int | None = None) -> None:
        super().__init__(what)
        self.prefix = prefix


@dataclass
class Trial:
    """One damage of one subject in one directory."""

    subject: Subject
    path: str
    read_only: bool = False
    compact: bool = False
    reopen: bool = False
    refused: list[CorruptionError] = field(default_factory=list)

    def run(self, damage: Damage) -> Outcome:
        """Lays the files out, opens, reads all, closes; what came of it."""
        lay_out(self.path, apply(damage, self.subject.files, self.subject.older))
        try:
            prefix = self._read_all()
            if self.reopen and not self.read_only:
                self._same_again(prefix)
        except CorruptionError as error:
            self._check_error(error)
            return Outcome("refused", blamed=os.path.basename(str(error.path)))
        if self.refused:
            return Outcome("refused a read", blamed=os.path.basename(str(self.refused[0].path)))
        if prefix == len(self.subject.states) - 1:
            return Outcome("right")
        return Outcome("tail cut")

    def _open(self) -> lsm.Database:
        return lsm.open(self.path, read_only=self.read_only, create=False, **self.subject.recipe.options)

    def _read_all(self) -> int:
        """The one prefix of the commits that everything read belongs to."""
        with self._open() as db:
            prefix = self._prefix_of(Reading(self, db))
            if self.compact and not self.read_only:
                try:
                    db.compact()
                except CorruptionError as error:
                    self._refuse(error)
                if self._prefix_of(Reading(self, db)) != prefix:
                    raise Breach("a compaction changed the answers")
        return prefix

    def _same_again(self, prefix: int) -> None:
        """Whatever was cut or removed by an open stays so: another open finds the same."""
        with self._open() as db:
            found = self._prefix_of(Reading(self, db))
        if not self.refused and found != prefix:
            raise Breach(f"the second open found prefix {found}, the first {prefix}")

    def _prefix_of(self, reading: Reading) -> int:
        states = self.subject.states
        prefix: int
        for prefix in (len(states) - 1, *range(len(states) - 2, -1, -1)):
            if reading.agrees(states[prefix]):
                break
        else:
            raise Breach(f"answers of no prefix: {reading.first_difference(states[-1])}")
        if prefix < self.subject.durable:
            raise Breach(f"durable commits are gone: prefix {prefix} of {self.subject.durable}", prefix)
        return prefix

    def _refuse(self, error: CorruptionError) -> None:
        self._check_error(error)
        self.refused.append(error)

    def _check_error(self, error: CorruptionError) -> None:
        if not isinstance(error.path, str) or os.path.dirname(error.path) != self.path:
            raise Breach(f"the error names no file of the directory: {error}")
        if names.parse(os.path.basename(error.path)) is None:
            raise Breach(f"the error names no file of the engine: {error}")
        if not isinstance(error.offset, int) or error.offset < 0:
            raise Breach(f"the error names no offset: {error}")


class Reading:
    """All that a database answers, by scans in both directions and point reads; what was refused is left out."""

    def __init__(self, trial: Trial, db: lsm.Database) -> None:
        self.trial = trial
        self.names = db.keyspaces()
        self.whole: dict[str, list[tuple[Any, bytes]]] = {}
        self.part: dict[str, list[tuple[Any, bytes]]] = {}
        self.points: dict[str, list[tuple[Any, bytes | None]]] = {}
        for name in self.names:
            keyspace = db.keyspace(name)
            self._scan(name, keyspace.scan(reverse=True))
            self._scan(name, keyspace.scan())
            self.points[name] = [*self._gets(name, keyspace)]

    def _scan(self, name: str, entries: Any) -> None:
        found: list[tuple[Any, bytes]] = []
        try:
            found.extend(entries)
        except CorruptionError as error:
            self.trial._refuse(error)
            self.part.setdefault(name, []).extend(found)
            return
        if name in self.whole and [*reversed(found)] != self.whole[name]:
            raise Breach(f"scans of {name} in two directions differ")
        self.whole[name] = found

    def _gets(self, name: str, keyspace: Any) -> Any:
        absent = [(key, b"") if keyspace.composite else key for key in ABSENT]
        for key in (*self.trial.subject.keys[name], *absent):
            try:
                yield key, keyspace.get(key)
            except CorruptionError as error:
                self.trial._refuse(error)

    def agrees(self, state: State) -> bool:
        """Whether all of it may be read from this state."""
        return self.first_difference(state) is None

    def first_difference(self, state: State) -> str | None:
        if sorted(state) != self.names:
            return f"keyspaces {self.names}"
        for name, keys in state.items():
            if name in self.whole and (dict(self.whole[name]) != keys or len(self.whole[name]) != len(keys)):
                return f"a scan of {name}"
            for key, value in self.part.get(name, ()):
                if keys.get(key) != value:
                    return f"a scan of {name} before its error: {key!r} {value[:20]!r}"
            for key, found in self.points[name]:
                if keys.get(key) != found:
                    return f"{name}.get({key!r}) is {found and found[:20]!r}, not {(keys.get(key) or b'')[:20]!r}"
        return None


def lay_out(path: str, files: dict[str, bytes]) -> None:
    """A directory that holds exactly these files."""
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    for name, content in files.items():
        with open(f"{path}/{name}", "wb", buffering=0) as stream:
            stream.write(content)


def run(trial: Trial, damage: Damage) -> Outcome:
    """`trial.run`, with everything it must not raise turned into a breach."""
    try:
        return trial.run(damage)
    except Breach as breach:
        return Outcome(BREACH, str(breach), prefix=breach.prefix)
    except (Error, OSError) as error:
        return Outcome(f"{type(error).__name__}", str(error))
    except Exception as error:
        return Outcome(BREACH, f"{type(error).__name__}: {error}")
