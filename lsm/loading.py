"""Loads records into one keyspace in atomic batches.

What was loaded is always every good line up to `Outcome.last_line`: a bad line, an error of the engine or Ctrl-C stop
between two records and keep those before. Runs on the main thread, where Ctrl-C arrives; elsewhere it is not handled.
"""

from __future__ import annotations

import enum
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import lsm
from lsm.errors import InvalidArgumentError
from lsm.records import BadLine, Record

__all__ = ["Loader", "Outcome", "Target", "Verdict"]

BATCH_BYTES = 4 << 20
"""A batch commits at this many bytes of keys and values, however few its records are."""


class Verdict(enum.Enum):
    """What ended a load."""

    COMPLETE = enum.auto()
    BAD_LINE = enum.auto()
    INTERRUPTED = enum.auto()


@dataclass
class Outcome:
    loaded: int = 0
    skipped: int = 0
    last_line: int = 0
    seconds: float = 0.0
    verdict: Verdict = Verdict.COMPLETE


@dataclass(frozen=True)
class Target:
    """Where the records go; the keyspace is created with the first of them."""

    db: lsm.Database
    keyspace: str
    partitions: int | None = None
    sync: bool = False
    batch_records: int = 1000


class Interrupts:
    """Holds Ctrl-C back while a batch commits; a second one is not held back."""

    def __init__(self) -> None:
        self.asked = False
        self._shielded = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        # a shell starts background jobs with SIGINT ignored: that stays
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first = not self.asked
        self.asked = True
        if not (first and self._shielded):
            raise KeyboardInterrupt


@dataclass
class Loader:
    """`run` loads; `outcome` tells how far it came, also after `run` raised.

    `on_bad` is told of every bad line and answers whether to go on. `on_progress` is called after every batch.
    """

    target: Target
    on_bad: Callable[[BadLine], bool]
    on_progress: Callable[[Outcome], None]
    outcome: Outcome = field(default_factory=Outcome)
    _keyspace: lsm.Keyspace | None = None
    _composite: bool = False
    _pending: list[Record] = field(default_factory=list)
    _pending_bytes: int = 0

    def run(self, records: Iterator[Record | BadLine]) -> Outcome:
        """Loads all of `records`. Raises what the engine raises; what was loaded before stays loaded."""
        begun = time.perf_counter()
        try:
            with Interrupts() as interrupts:
                self._run(records, interrupts)
        finally:
            self.outcome.seconds = time.perf_counter() - begun
        return self.outcome

    def _run(self, records: Iterator[Record | BadLine], interrupts: Interrupts) -> None:
        verdict = Verdict.COMPLETE
        try:
            for record in records:
                if not self._take(record, interrupts):
                    verdict = Verdict.BAD_LINE
                    break
                if interrupts.asked:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            verdict = Verdict.INTERRUPTED
        going_on = self._commit(interrupts)
        self.outcome.verdict = verdict if going_on else Verdict.BAD_LINE

    def _take(self, record: Record | BadLine, interrupts: Interrupts) -> bool:
        """Whether to go on."""
        if isinstance(record, BadLine):
            return self._refuse(record)
        self._pending.append(record)
        self._pending_bytes += len(record.key) + len(record.value)
        if len(self._pending) < self.target.batch_records and self._pending_bytes < BATCH_BYTES:
            return True
        return self._commit(interrupts)

    def _refuse(self, bad: BadLine) -> bool:
        going_on = self.on_bad(bad)
        self.outcome.skipped += going_on
        return going_on

    def _commit(self, interrupts: Interrupts) -> bool:
        """Writes what is pending; whether to go on."""
        if not self._pending:
            return True
        with interrupts.held_back():
            pending, self._pending, self._pending_bytes = self._pending, [], 0
            going_on = self._write(pending)
        self.on_progress(self.outcome)
        return going_on

    def _write(self, records: list[Record]) -> bool:
        """One atomic batch of all records that the engine accepts; stops before the first bad one where told to."""
        keyspace = self._keyspace or self._open(records[0])
        written, last_line, going_on = 0, self.outcome.last_line, True
        with self.target.db.batch(sync=self.target.sync) as batch:
            for record in records:
                try:
                    batch.put(keyspace, self._key(record), record.value)
                except InvalidArgumentError as error:
                    going_on = self._refuse(BadLine(record.line, str(error)))
                    if not going_on:
                        break
                else:
                    written += 1
                    last_line = record.line
        self.outcome.loaded += written
        self.outcome.last_line = last_line
        return going_on

    def _open(self, first: Record) -> lsm.Keyspace:
        target = self.target
        self._composite = first.sort_key is not None
        self._keyspace = target.db.keyspace(target.keyspace, composite=self._composite, partitions=target.partitions)
        return self._keyspace

    def _key(self, record: Record) -> bytes | tuple[bytes, bytes]:
        if self._composite != (record.sort_key is not None):
            reason = "there is no sort key" if self._composite else "there is a sort key, and the keyspace is plain"
            raise InvalidArgumentError(reason)
        return record.key if record.sort_key is None else (record.key, record.sort_key)
