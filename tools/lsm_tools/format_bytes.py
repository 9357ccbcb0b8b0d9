"""What all readers of our files share: bytes of a file, layouts of fixed fields, varints, faults that are collected.

Guarantees: nothing is read beyond a file's end, no length is trusted, no damage raises: it becomes a Fault. Needs
nothing compiled of ours. One thread per object; the files must not change meanwhile (see format_directory.offline).

    faults = Faults()                             a list of Fault(path, offset, what, expected, got)
    source = Source(path, faults)                 source.size; source.read(offset, n): what there is, perhaps less
    HEADER.decode(data, at) -> {"field": value}   HEADER.fields: Field(offset, size, name, meaning, text)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from crc32c import crc32c

__all__ = ["Fault", "Faults", "Field", "Layout", "Source", "common_prefix", "placed_crc", "shown", "varint"]

SHOWN_BYTES: Final = 32


def shown(value: object) -> object:
    """A value as a report shows it: bytes in hexadecimal, long ones shortened."""
    if isinstance(value, bytes):
        return value.hex() if len(value) <= SHOWN_BYTES else f"{value[:SHOWN_BYTES].hex()}... ({len(value)} bytes)"
    return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written, or does not fit the rest. `offset` is a place in the file, if any."""

    path: str
    offset: int | None
    what: str
    expected: object = None
    got: object = None

    def __str__(self) -> str:
        place = self.path if self.offset is None else f"{self.path} at {self.offset}"
        parts = [f"{name} {shown(v)}" for name, v in (("expected", self.expected), ("got", self.got)) if v is not None]
        return f"{place}: {self.what}" + (f" ({', '.join(parts)})" if parts else "")

    def as_dict(self) -> dict[str, object]:
        """For JSON; numbers stay numbers."""
        return {
            "path": self.path,
            "offset": self.offset,
            "what": self.what,
            "expected": shown(self.expected),
            "got": shown(self.got),
        }


class Faults(list[Fault]):
    """Faults in the order in which they were met."""

    def add(self, path: str, offset: int | None, what: str, expected: object = None, got: object = None) -> None:
        self.append(Fault(path, offset, what, expected, got))


class Source:
    """A file's bytes. What the system cannot read, or what is not there, is a fault and reads as nothing."""

    WINDOW: Final = 1 << 18

    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self.size = 0
        self._at = 0
        self._window = b""
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._fd).st_size
        except OSError as error:
            faults.add(path, None, f"cannot be opened: {error.strerror}")

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def read(self, offset: int, n: int) -> bytes:
        """The n bytes from there on; fewer at the end of the file, or where the system fails."""
        start = offset - self._at
        if start >= 0 and start + n <= len(self._window):
            return self._window[start : start + n]
        n = min(n, self.size - offset)
        if n <= 0 or offset < 0 or self._fd < 0:
            return b""
        if n >= self.WINDOW:
            return self._load(offset, n)
        self._window, self._at = self._load(offset, min(self.WINDOW, self.size - offset)), offset
        return self._window[:n]

    def _load(self, offset: int, n: int) -> bytes:
        parts = []
        while n > 0:
            try:
                part = os.pread(self._fd, n, offset)
            except OSError as error:
                self.faults.add(self.path, offset, f"cannot be read: {error.strerror}")
                break
            if not part:
                break
            parts.append(part)
            offset += len(part)
            n -= len(part)
        return b"".join(parts)

    def chunks(self, start: int, stop: int, size: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) one after the other."""
        while start < stop and (data := self.read(start, min(size, stop - start))):
            yield start, data
            start += len(data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class Field(NamedTuple):
    """One field of a layout; `text`: bytes and no number."""

    offset: int
    size: int
    name: str
    meaning: str
    text: bool


_NUMBER: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Layout:
    """A structure of fields at fixed places, as a table of docs/format/ has it; tests compare the two."""

    def __init__(self, name: str, *rows: tuple[int, str, str], start: int = 0) -> None:
        """Rows are (bytes, field, meaning), without gaps, from `start` on; bytes < 0: bytes and no number."""
        self.name = name
        self.start = start
        self.fields: list[Field] = []
        at = start
        for size, field, meaning in rows:
            text = size < 0 or size not in _NUMBER
            self.fields.append(Field(at, abs(size), field, meaning, text))
            at += abs(size)
        self.size = at
        self._names = [f.name for f in self.fields]
        self._struct = struct.Struct("<" + "".join(f"{f.size}s" if f.text else _NUMBER[f.size] for f in self.fields))

    def decode(self, data: bytes, at: int = 0) -> dict[str, Any]:
        """Values by name. The caller has made sure that `size` bytes are there."""
        return dict(zip(self._names, self._struct.unpack_from(data, at + self.start), strict=True))

    def offset_of(self, name: str) -> int:
        return self.fields[self._names.index(name)].offset

    def end_of(self, name: str) -> int:
        field = self.fields[self._names.index(name)]
        return field.offset + field.size


def varint(data: bytes, at: int, end: int | None = None) -> tuple[int, int]:
    """A base-128 number and the place after it; raises ValueError where it does not end, or has more than ten bytes."""
    value = shift = 0
    stop = min(len(data) if end is None else end, at + 10)
    while at < stop:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number that does not end")


_PLACE: Final = struct.Struct("<QQ")


def placed_crc(salt: int, offset: int, data: bytes | memoryview) -> int:
    """The placed checksum of docs/format/table.md; frames of the log have theirs alike, over stream offsets."""
    return crc32c(data, crc32c(_PLACE.pack(salt, offset)))


def common_prefix(a: bytes, b: bytes) -> bytes:
    """What both begin with."""
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]
