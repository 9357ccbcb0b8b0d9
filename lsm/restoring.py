"""Loads a dump into a database: its keyspaces with their options, then its records, chunk by chunk.

Guarantees: nothing is written before every keyspace was found fit to receive; each chunk is one atomic commit (but for
records that the engine refuses); `Outcome.place` tells how far it came. Runs on the main thread, where Ctrl-C arrives.
"""

from __future__ import annotations

import enum
import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import lsm
from lsm.dump_binary import MAGIC, BinaryReader
from lsm.dump_lines import BEGINNING, LinesReader
from lsm.dump_parts import Chunk, Damage, DumpHeaderError, DumpReader, Key, KeyspaceHead
from lsm.errors import InvalidArgumentError
from lsm.loading import Interrupts, Verdict

__all__ = ["Existing", "NotRestorable", "Restored", "Restorer", "dump_reader", "recognised"]

PREFIX_BYTES = max(len(MAGIC), len(BEGINNING))


class Existing(enum.StrEnum):
    """What to do with a keyspace that holds records already."""

    STOP = "stop"
    OVERWRITE = "overwrite"
    KEEP = "keep"


class NotRestorable(Exception):
    """The database cannot take the dump; nothing was written."""


@dataclass
class Restored:
    """How far a load came. kept: records that were there already and stayed as they were."""

    loaded: int = 0
    kept: int = 0
    skipped: int = 0
    keyspaces: int = 0
    place: str = ""
    seconds: float = 0.0
    verdict: Verdict = Verdict.COMPLETE


class _After(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            count = min(len(self._head), len(buffer))
            buffer[:count], self._head = self._head[:count], self._head[count:]
            return count
        # not `readinto`, which waits until all is there where the stream is a pipe
        data: bytes = self._stream.read1(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(data)] = data
        return len(data)


def recognised(stream: BinaryIO) -> tuple[bytes, BinaryIO]:
    """How the stream begins where that is how a dump begins (empty otherwise), and a stream of all of it."""
    head = stream.read(PREFIX_BYTES)
    whole = io.BufferedReader(_After(head, stream), 1 << 20)
    return next((start for start in (MAGIC, BEGINNING) if head.startswith(start)), b""), whole


def dump_reader(beginning: bytes, stream: BinaryIO, *, records: int) -> DumpReader:
    """The reader of the form that begins so; DumpHeaderError."""
    return BinaryReader(stream) if beginning == MAGIC else LinesReader(stream, records=records)


@dataclass
class Restorer:
    """`prepare`, then `run`; `outcome` tells how far it came, also after `run` raised.

    `only`: the one keyspace to load, None for all. `partitions` overrides the dump's where a keyspace is created.
    `on_damage` is told of everything that cannot be read and answers whether to go on.
    """

    db: lsm.Database
    reader: DumpReader
    on_damage: Callable[[Damage], bool]
    on_progress: Callable[[Restored], None]
    existing: Existing = Existing.STOP
    only: str | None = None
    partitions: int | None = None
    sync: bool = False
    outcome: Restored = field(default_factory=Restored)
    _targets: dict[int, lsm.Keyspace] = field(default_factory=dict)

    def prepare(self) -> list[str]:
        """Makes the keyspaces; names of those that held records. NotRestorable, before anything is written."""
        heads = {n: head for n, head in enumerate(self.reader.heads) if self.only in (None, head.name)}
        if self.only is not None and not heads:
            raise NotRestorable(f"the dump holds no keyspace {self.only!r}")
        there = set(self.db.keyspaces())
        known = {head.name: self.db.keyspace(head.name) for head in heads.values() if head.name in there}
        self._check(heads.values(), known)
        for number, head in heads.items():
            self._targets[number] = known.get(head.name) or self._create(head)
        self.outcome.keyspaces = len(heads)
        return [name for name, keyspace in known.items() if keyspace]

    def _check(self, heads: Iterable[KeyspaceHead], known: dict[str, lsm.Keyspace]) -> None:
        for head in heads:
            keyspace = known.get(head.name)
            if keyspace is None:
                continue
            if keyspace.composite != head.composite:
                raise NotRestorable(f"keyspace {head.name!r} is composite={keyspace.composite} here, not in the dump")
            if self.existing is Existing.STOP and keyspace:
                raise NotRestorable(
                    f"keyspace {head.name!r} holds records already; --existing overwrite adds the dump's to them, "
                    "--existing keep adds only those whose keys it lacks"
                )

    def _create(self, head: KeyspaceHead) -> lsm.Keyspace:
        partitions = head.partitions if self.partitions is None else self.partitions
        try:
            return self.db.keyspace(head.name, composite=head.composite, partitions=partitions)
        except InvalidArgumentError as error:
            raise DumpHeaderError(f"keyspace {head.name!r} of the dump: {error}") from None

    def run(self) -> Restored:
        """Loads every record. Raises what the engine raises; what was loaded before stays loaded."""
        begun = time.perf_counter()
        try:
            with Interrupts() as interrupts:
                self._run(interrupts)
        finally:
            self.outcome.seconds = time.perf_counter() - begun
        return self.outcome

    def _run(self, interrupts: Interrupts) -> None:
        try:
            for item in self.reader:
                with interrupts.held_back():
                    going_on = self._refuse(item) if isinstance(item, Damage) else self._load(item)
                self.on_progress(self.outcome)
                if not going_on:
                    self.outcome.verdict = Verdict.BAD_LINE
                    return
                if interrupts.asked:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            self.outcome.verdict = Verdict.INTERRUPTED

    def _load(self, chunk: Chunk) -> bool:
        keyspace = self._targets.get(chunk.keyspace)
        if keyspace is None:
            return True
        items: list[tuple[Key, bytes]] = list(zip(chunk.keys, chunk.values, strict=True))
        going_on = True
        try:
            self._put(keyspace, items)
        except InvalidArgumentError:
            going_on = self._put_one_by_one(keyspace, items, chunk.place)
        if going_on:
            self.outcome.place = chunk.place
        return going_on

    def _put(self, keyspace: lsm.Keyspace, items: list[tuple[Key, bytes]]) -> None:
        """One commit of all of them, or InvalidArgumentError."""
        missing = items
        if self.existing is Existing.KEEP:
            found = keyspace.get_many([key for key, _ in items])
            missing = [item for item, old in zip(items, found, strict=True) if old is None]
        if missing:
            keyspace.put_many(missing, sync=self.sync)
        self.outcome.loaded += len(missing)
        self.outcome.kept += len(items) - len(missing)

    def _put_one_by_one(self, keyspace: lsm.Keyspace, items: list[tuple[Key, bytes]], place: str) -> bool:
        """What is left of a chunk in which the engine refuses a record; `lsm dump` writes none."""
        for item in items:
            try:
                self._put(keyspace, [item])
            except InvalidArgumentError as error:
                if not self._refuse(Damage(place, str(error))):
                    return False
        return True

    def _refuse(self, damage: Damage) -> bool:
        going_on = self.on_damage(damage)
        self.outcome.skipped += going_on
        return going_on
