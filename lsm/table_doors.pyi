import os
from collections.abc import Iterator
from typing import TypedDict

from lsm.filesystem import FileSystem

class TableInfo(TypedDict):
    """What a table's footer says; times are of commit, in microseconds, 0 where not known."""

    number: int
    file_bytes: int
    entries: int
    tombstones: int
    min_seq: int
    max_seq: int
    min_time: int
    max_time: int
    raw_bytes: int
    salt: int
    min_hash: int
    max_hash: int
    smallest: bytes
    largest: bytes

Entry = tuple[bytes, int, int, bytes]

CODECS: dict[str, int]
LAYOUT: dict[str, dict[str, tuple[int, int]]]
NUMBERS: dict[str, int | bytes]

def separator(a: bytes, b: bytes) -> bytes: ...

class TableWriter:
    """Writes one table file: `add` in order, then `finish`. Dropped without finish, the half file stays.

    Raises what the file system raises, and CorruptionError where entries are not in order (key ascending, sequence
    of equal keys descending). `block_bytes` counts a block before compression; `codec` is "none", "lz4", "zstd", or
    "zstd-dictionary" where a `dictionary` is given.
    """

    def __init__(
        self,
        fs: FileSystem,
        path: str | bytes | os.PathLike[str],
        *,
        database_id: bytes,
        seed: int = 0,
        number: int = 1,
        salt: int = 0,
        block_bytes: int = 4096,
        bits_per_key: int = 10,
        codec: str = "lz4",
        zstd_level: int = 3,
        dictionary: bytes = b"",
    ) -> None: ...
    def add(self, key: bytes, seq: int, kind: int, value: bytes) -> None: ...
    @property
    def file_bytes(self) -> int: ...
    def finish(self, min_time: int = 0, max_time: int = 0) -> TableInfo: ...

class TableReader:
    """One open table. Raises CorruptionError or UnsupportedVersionError where the file is not what it should be.

    `database_id` None: whichever it is of. `seed` must be the database's for `get` to find keys.
    """

    def __init__(
        self,
        fs: FileSystem,
        path: str | bytes | os.PathLike[str],
        number: int,
        database_id: bytes | None = None,
        seed: int = 0,
    ) -> None: ...
    @property
    def info(self) -> TableInfo: ...
    @property
    def unique(self) -> bool: ...
    @property
    def dictionary(self) -> bytes: ...
    @property
    def charge(self) -> int: ...
    def may_contain(self, key: bytes) -> bool: ...
    def find_block(self, key: bytes) -> int: ...
    def separators(self) -> list[bytes]: ...
    def get(self, key: bytes, seq: int = ...) -> tuple[int, int, bytes] | None: ...
    def entries(self, start: bytes = b"") -> Iterator[Entry]: ...
    def block_entries(self, number: int, start: bytes = b"") -> list[Entry]: ...
    def blocks(self) -> list[tuple[int, int, int, str]]: ...
