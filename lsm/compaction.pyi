from collections.abc import Iterable
from typing import Any

from lsm.engine import Engine, Memtable, Table

class Snapshots:
    def __new__(cls, snapshots: Iterable[int]) -> Snapshots: ...

class TableFormat:
    """How tables are written: block size in bytes, filter bits per key, codec number, and for zstd its level and
    dictionary (not empty exactly with the codec that needs one)."""

    def __init__(
        self, block_bytes: int, bits_per_key: int, codec: int, zstd_level: int = 3, dictionary: bytes = b""
    ) -> None: ...
    @property
    def block_bytes(self) -> int: ...
    @property
    def bits_per_key(self) -> int: ...
    @property
    def codec(self) -> int: ...
    @property
    def zstd_level(self) -> int: ...
    @property
    def dictionary(self) -> bytes: ...

# The dicts hold the arguments of lsm.version.TableMeta.
def write_memtable(
    engine: Engine,
    memtable: Memtable,
    path: str,
    number: int,
    form: TableFormat,
    snapshots: Iterable[int],
    bottom: bool,
) -> dict[str, Any] | None: ...

class Compaction:
    """Merges runs of tables into new ones. `runs` are newest first, each a list of disjoint tables in key order."""

    def __new__(
        cls, engine: Engine, runs: list[list[Table]], snapshots: Iterable[int], bottom: bool, table_bytes: int
    ) -> Compaction: ...
    @property
    def entries_read(self) -> int: ...
    def cancel(self) -> None: ...
    def write_table(self, path: str, number: int, form: TableFormat, niceness: int = 0) -> dict[str, Any] | None: ...
