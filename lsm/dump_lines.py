"""The JSON Lines form of a dump: text that other programs read too. docs/format/dump.md has the lines.

Guarantees: bytes come back exactly, whatever they are; a dump that lost its end, or was changed, is told from a whole
one. One reader or writer serves one thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import xxhash

from lsm.byteforms import Form, from_json, reason, to_json
from lsm.dump_parts import Chunk, Damage, DumpHeaderError, Key, KeyspaceHead, Totals

__all__ = ["LinesReader", "LinesWriter"]

FORMAT_VERSION: Final = 1
BEGINNING: Final = b'{"lsm_dump":'

CHUNK_BYTES: Final = 4 << 20
"""A chunk ends at this many bytes of keys and values, however few its records are."""

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_DECODE = json.JSONDecoder().decode


def _json(data: bytes) -> str:
    return _ENCODE(to_json(data, Form.TEXT))


class LinesWriter:
    """Writes a dump to a stream. Equal content gives equal bytes."""

    def __init__(self, stream: BinaryIO, sequence: int, heads: Sequence[KeyspaceHead]) -> None:
        self.totals = Totals()
        self._stream = stream
        self._heads = heads
        self._keyspace: int | None = None
        self._hash = xxhash.xxh64()
        keyspaces = [head._asdict() for head in heads]
        self._put(_ENCODE({"lsm_dump": FORMAT_VERSION, "sequence": sequence, "keyspaces": keyspaces}) + "\n")

    def write(self, keyspace: int, keys: list[Key], values: list[bytes]) -> None:
        """A line for each record, after one that names the keyspace where it is another."""
        if keyspace != self._keyspace:
            self._keyspace = keyspace
            self._put(_ENCODE({"keyspace": self._heads[keyspace].name}) + "\n")
        for key, value in zip(keys, values, strict=True):
            if isinstance(key, tuple):
                start = f'{{"key": {_json(key[0])}, "sort_key": {_json(key[1])}'
            else:
                start = f'{{"key": {_json(key)}'
            self._put(f'{start}, "value": {_json(value)}}}\n')
        self.totals.records += len(keys)
        self.totals.value_bytes += sum(map(len, values))

    def finish(self) -> None:
        """The end: without it a dump counts as incomplete."""
        self._put(_ENCODE({"end": {"records": self.totals.records, "xxh64": self._hash.hexdigest()}}) + "\n")

    def _put(self, text: str) -> None:
        data = text.encode()
        self._hash.update(data)
        self._stream.write(data)


class LinesReader:
    """Reads a dump from a stream, in chunks of at most `records`. DumpHeaderError where the first line is none."""

    unit = "line"

    def __init__(self, stream: BinaryIO, *, records: int = 1000) -> None:
        self.bytes = 0
        self.totals = Totals()
        self._stream = stream
        self._limit = records
        self._line = 0
        self._hash = xxhash.xxh64()
        self._composite = False
        self.sequence, self.heads = self._read_header()
        self._numbers = {head.name: number for number, head in enumerate(self.heads)}

    def __iter__(self) -> Iterator[Chunk | Damage]:
        keyspace: int | None = None
        chunk = _Pending()
        while line := self._next_line():
            if line.isspace():
                continue
            try:
                members = _members(line)
                if "key" in members:
                    if keyspace is None:
                        raise ValueError("a record before any keyspace is named")
                    chunk.add(_key(members, self.heads[keyspace].composite), _bytes(members, "value"))
                    self.totals.records += 1
                    if len(chunk.keys) < self._limit and chunk.size < CHUNK_BYTES:
                        continue
            except (ValueError, RecursionError) as error:
                yield from chunk.taken(keyspace, self._line - 1)
                yield self._damaged(self._line, reason(error))
                continue
            yield from chunk.taken(keyspace, self._line)
            if "end" in members:
                yield from self._check_end(members["end"])
                return
            if "keyspace" in members:
                keyspace = self._numbers.get(str(members["keyspace"]))
                if keyspace is None:
                    yield self._damaged(self._line, f"keyspace {members['keyspace']!r} is not in the first line")
            elif "key" not in members:
                yield self._damaged(self._line, "neither a record nor a keyspace nor the end")
        yield from chunk.taken(keyspace, self._line)
        yield self._damaged(self._line, "the dump is incomplete: it ends here, without its last line")

    def _read_header(self) -> tuple[int, list[KeyspaceHead]]:
        try:
            members = _members(self._next_line())
            version = members.get("lsm_dump")
            if type(version) is not int:
                raise ValueError("it does not tell its format version")
            if version > FORMAT_VERSION:
                newest = f"{FORMAT_VERSION}, the newest this release reads"
                raise ValueError(f"format version {version} is newer than {newest}")
            keyspaces = members.get("keyspaces")
            if not isinstance(keyspaces, list):
                raise ValueError("it does not tell the keyspaces")
            sequence = members.get("sequence")
            return sequence if type(sequence) is int else 0, [_head(keyspace) for keyspace in keyspaces]
        except (ValueError, RecursionError) as error:
            raise DumpHeaderError(f"the first line of the dump cannot be read: {reason(error)}") from None

    def _check_end(self, end: object) -> Iterator[Damage]:
        digest = self._digest
        if self._stream.read(1):
            yield self._damaged(self._line + 1, "lines follow the end of the dump")
        if self.totals.damages:
            return
        if not isinstance(end, dict) or end.keys() - {"records", "xxh64"} or end.get("records") != self.totals.records:
            counted = end.get("records") if isinstance(end, dict) else None
            yield self._damaged(self._line, f"the end counts {counted} records, {self.totals.records} were read")
        elif end.get("xxh64", digest) != digest:
            yield self._damaged(self._line, "the dump was changed: the checksum in its last line is another")

    def _damaged(self, line: int, reason: str) -> Damage:
        self.totals.damages += 1
        return Damage(f"line {line:,}", reason)

    def _next_line(self) -> bytes:
        line = self._stream.readline()
        self._digest = self._hash.hexdigest()  # of everything before this line
        self._hash.update(line)
        self.bytes += len(line)
        self._line += bool(line)
        return line


class _Pending:
    """Records on their way into a chunk."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.values: list[bytes] = []
        self.size = 0

    def add(self, key: Key, value: bytes) -> None:
        self.keys.append(key)
        self.values.append(value)
        self.size += len(value) + (len(key) if isinstance(key, bytes) else len(key[0]) + len(key[1]))

    def taken(self, keyspace: int | None, line: int) -> Iterator[Chunk]:
        """What there is, as a chunk."""
        keys, values = self.keys, self.values
        self.keys, self.values, self.size = [], [], 0
        if keys and keyspace is not None:
            yield Chunk(keyspace, f"line {line:,}", keys, values)


def _members(line: bytes) -> dict[str, object]:
    members = _DECODE(line.decode().strip())
    if not isinstance(members, dict):
        raise ValueError("not an object")
    return members


def _head(members: object) -> KeyspaceHead:
    if isinstance(members, dict):
        name, composite, partitions = (members.get(member) for member in KeyspaceHead._fields)
        if isinstance(name, str) and isinstance(composite, bool) and type(partitions) is int:
            return KeyspaceHead(name, composite, partitions)
    raise ValueError("a keyspace has name, composite and partitions")


def _key(members: dict[str, object], composite: bool) -> Key:
    key = _bytes(members, "key")
    if composite:
        return key, _bytes(members, "sort_key")
    if "sort_key" in members:
        raise ValueError("there is a sort key, and the keyspace is plain")
    return key


def _bytes(members: dict[str, object], name: str) -> bytes:
    data = from_json(members.get(name), Form.TEXT)
    if data is None:
        raise ValueError(f"{name!r} is neither a string nor base64" if name in members else f"there is no {name!r}")
    return data
