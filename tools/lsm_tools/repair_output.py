"""The database that a repair makes: written through the public interface, in a directory renamed when it is whole.

Guarantees: nothing stands under the final name but a database that was read back and found equal to what was saved.
One thread.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import xxhash

import lsm
from lsm.command_line import Failure

__all__ = ["Output"]

BATCH_RECORDS = 4096
BATCH_BYTES = 1 << 20
MASK = (1 << 64) - 1

Key = bytes | tuple[bytes, bytes]


@dataclass
class _Sum:
    """Of the records of a keyspace, whatever their order."""

    records: int = 0
    hashes: int = 0

    def add(self, key: Key, value: bytes) -> None:
        parts = key if isinstance(key, tuple) else (key,)
        whole = b"".join([len(part).to_bytes(4, "little") + part for part in parts])
        self.records += 1
        self.hashes = (self.hashes + xxhash.xxh64_intdigest(value, xxhash.xxh64_intdigest(whole))) & MASK


class Output:
    """A context manager; with an exception, or without `finish`, nothing is left."""

    def __init__(self, new: str, *, dry_run: bool) -> None:
        self._new = new.rstrip("/") or new
        self._part = self._new + ".part"
        self._sums: dict[str, _Sum] = {}
        self._db: lsm.Database | None = None
        if os.path.lexists(self._new):
            raise Failure(f"{new} exists; a repair makes a directory of its own")
        if dry_run:
            return
        if os.path.lexists(self._part):
            raise Failure(f"{self._part} exists, the remains of a repair that was killed; remove it first")
        self._db = lsm.open(self._part)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()
            shutil.rmtree(self._part, ignore_errors=True)

    def keyspace(self, name: str, composite: bool, partitions: int) -> KeyspaceOutput:
        self._sums[name] = total = _Sum()
        if self._db is None:
            return KeyspaceOutput(None, total)
        return KeyspaceOutput(self._db.keyspace(name, composite=composite, partitions=partitions), total)

    def finish(self) -> bool | None:
        """Reads everything back; under its final name from here on. None: a dry run."""
        if self._db is None:
            return None
        self._db.flush()
        self._db.close()
        right = self._verify()
        self._db = None
        os.rename(self._part, self._new)
        handle = os.open(os.path.dirname(os.path.abspath(self._new)), os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        return right

    def _verify(self) -> bool:
        with lsm.open(self._part, read_only=True) as db:
            if set(db.keyspaces()) != self._sums.keys():
                return False
            for name, expected in self._sums.items():
                found = _Sum()
                for key, value in db.keyspace(name).scan():
                    found.add(key, value)
                if found != expected:
                    return False
        return True


class KeyspaceOutput:
    """`put` any number of records, then `flush`."""

    def __init__(self, keyspace: lsm.Keyspace | None, total: _Sum) -> None:
        self._keyspace = keyspace
        self._total = total
        self._pending: list[tuple[Key, bytes]] = []
        self._bytes = 0

    def put(self, key: Key, value: bytes) -> None:
        self._total.add(key, value)
        if self._keyspace is None:
            return
        self._pending.append((key, value))
        self._bytes += len(value)
        if len(self._pending) >= BATCH_RECORDS or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._keyspace is not None and self._pending:
            self._keyspace.put_many(self._pending)
        self._pending, self._bytes = [], 0
