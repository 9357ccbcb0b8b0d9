from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Literal, Self, SupportsIndex, TypeAlias, overload

from typing_extensions import Buffer, TypeVar

from lsm.engine import Engine
from lsm.scan import Scan

# What a keyspace takes as a key: bytes-like, or (partition key, sort key) where it is composite.
Key: TypeAlias = Buffer | tuple[Buffer, Buffer]

# What it gives back as a key: bytes, or tuple[bytes, bytes] where it is composite.
KeyT = TypeVar("KeyT", default=Any)
D = TypeVar("D")

class Keyspace(Generic[KeyT]):
    """A keyspace of an open database: a mapping from keys to values, both bytes.

    Keys have 1 to 65,536 bytes, values 0 to 67,108,864. In a composite keyspace a key is a tuple (partition key, sort
    key), 1 to 65,536 bytes together. Arguments may be anything with the buffer protocol; bytes come back.
    Writes survive the process being killed when they return; with `sync=True` also a power failure.
    """

    @property
    def name(self) -> str: ...
    @property
    def composite(self) -> bool:
        """Whether keys are (partition key, sort key) tuples."""
    @property
    def partitions(self) -> int:
        """How many hash partitions the keyspace has."""
    @property
    def id(self) -> int:
        """The number of the keyspace in log and manifest; never reused."""
    @overload
    def get(self, key: Key, default: None = None) -> bytes | None:
        """The value of `key`, or `default`."""
    @overload
    def get(self, key: Key, default: D) -> bytes | D: ...
    def __getitem__(self, key: Key) -> bytes: ...
    def __contains__(self, key: Key) -> bool: ...
    def put(self, key: Key, value: Buffer, sync: bool = False) -> int:
        """Sets `key` to `value`; returns the commit's sequence number."""
    def delete(self, key: Key, sync: bool = False) -> int:
        """Removes `key`, present or not; returns the commit's sequence number."""
    def __setitem__(self, key: Key, value: Buffer) -> None: ...
    def __delitem__(self, key: Key) -> None: ...
    def put_many(self, items: Mapping[Any, Buffer] | Iterable[tuple[Key, Buffer]], sync: bool = False) -> int:
        """Sets all (key, value) pairs in one atomic commit; returns its sequence number (the last one, if none)."""
    @overload
    def get_many(self, keys: Iterable[Key], default: None = None) -> list[bytes | None]:
        """Values of all keys, in their order, `default` for those absent; each read as by `get`."""
    @overload
    def get_many(self, keys: Iterable[Key], default: D) -> list[bytes | D]: ...
    @overload
    def scan(
        self,
        start: Key | None = None,
        stop: Key | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        limit: SupportsIndex | None = None,
        values: Literal[True] = True,
        *,
        partition: Buffer | None = None,
        segment: tuple[SupportsIndex, SupportsIndex] | None = None,
    ) -> Scan[tuple[KeyT, bytes]]:
        """An iterator of (key, value), or of keys with `values=False`, as they stand at this moment.

        `start` is included, `stop` is not, also in reverse. `prefix` and bounds may be combined. In a composite
        keyspace `partition` chooses one item collection, and start, stop and prefix are of sort keys; without it the
        scan is in hash order and start and stop are (partition key, sort key), and `segment=(index, count)` chooses one
        of `count` equal ranges of the hash. `limit` counts entries.
        """
    @overload
    def scan(
        self,
        start: Key | None = None,
        stop: Key | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        limit: SupportsIndex | None = None,
        *,
        values: Literal[False],
        partition: Buffer | None = None,
        segment: tuple[SupportsIndex, SupportsIndex] | None = None,
    ) -> Scan[KeyT]: ...
    @overload
    def scan(
        self,
        start: Key | None = None,
        stop: Key | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        limit: SupportsIndex | None = None,
        values: bool = True,
        *,
        partition: Buffer | None = None,
        segment: tuple[SupportsIndex, SupportsIndex] | None = None,
    ) -> Scan[Any]: ...
    def keys(self) -> Scan[KeyT]:
        """An iterator of all keys, in scan order."""
    def items(self) -> Scan[tuple[KeyT, bytes]]:
        """An iterator of all (key, value), in scan order."""
    def values(self) -> Iterator[bytes]:
        """An iterator of all values, in scan order."""
    def __iter__(self) -> Scan[KeyT]: ...
    def __reversed__(self) -> Scan[KeyT]: ...
    def __len__(self) -> int:
        """Counts by scanning every key: its cost grows with the keyspace. `approximate_count` is cheap."""
    def __bool__(self) -> bool:
        """Whether there is any key: costs one short scan."""
    def approximate_count(self) -> int:
        """About how many keys there are, without reading them: overwritten and deleted ones may still count."""
    def approximate_bytes(self, start: Key | None = None, stop: Key | None = None) -> int:
        """About how many bytes the keys from `start` to before `stop` take, in tables (stored) and in memory."""

class Batch:
    """Collects writes to any keyspaces of one database and commits them as one: all or nothing, visible at once.

    Use as a context manager: leaving the block commits, an exception inside discards. `sequence` is the commit's
    number afterwards. Of several writes to one key the last wins. At most 1 GiB. Where this thread refuses to wait and
    leaving the block raises WouldWaitError, the batch is discarded; `commit` leaves it to be committed elsewhere.
    """

    def __new__(cls, engine: Engine, sync: bool = False, owner: object = None) -> Batch: ...
    @property
    def sequence(self) -> int | None: ...
    def __len__(self) -> int: ...
    def put(self, keyspace: Keyspace, key: Key, value: Buffer) -> None:
        """Adds a put."""
    def delete(self, keyspace: Keyspace, key: Key) -> None:
        """Adds a delete."""
    def commit(self) -> int:
        """Commits what was added and returns the sequence number; the newest one where nothing was."""
    def discard(self) -> None:
        """Forgets what was added; the batch cannot be used any more."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class Snapshot:
    """The database at one moment: reads see every commit up to `sequence` and none after it.

    Versions it sees are kept on disk until it is closed. A context manager.
    """

    def __new__(cls, engine: Engine, owner: object = None) -> Snapshot: ...
    @property
    def sequence(self) -> int: ...
    @overload
    def get(self, keyspace: Keyspace, key: Key, default: None = None) -> bytes | None:
        """The value of `key` at the snapshot, or `default`."""
    @overload
    def get(self, keyspace: Keyspace, key: Key, default: D) -> bytes | D: ...
    @overload
    def get_many(self, keyspace: Keyspace, keys: Iterable[Key], default: None = None) -> list[bytes | None]:
        """Values of all keys at the snapshot, in their order."""
    @overload
    def get_many(self, keyspace: Keyspace, keys: Iterable[Key], default: D) -> list[bytes | D]: ...
    @overload
    def scan(
        self,
        keyspace: Keyspace[KeyT],
        start: Key | None = None,
        stop: Key | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        limit: SupportsIndex | None = None,
        values: Literal[True] = True,
        *,
        partition: Buffer | None = None,
        segment: tuple[SupportsIndex, SupportsIndex] | None = None,
    ) -> Scan[tuple[KeyT, bytes]]:
        """As Keyspace.scan, at the snapshot."""
    @overload
    def scan(
        self,
        keyspace: Keyspace[KeyT],
        start: Key | None = None,
        stop: Key | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        limit: SupportsIndex | None = None,
        *,
        values: Literal[False],
        partition: Buffer | None = None,
        segment: tuple[SupportsIndex, SupportsIndex] | None = None,
    ) -> Scan[KeyT]: ...
    @overload
    def scan(
        self,
        keyspace: Keyspace[KeyT],
        start: Key | None = None,
        stop: Key | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        limit: SupportsIndex | None = None,
        values: bool = True,
        *,
        partition: Buffer | None = None,
        segment: tuple[SupportsIndex, SupportsIndex] | None = None,
    ) -> Scan[Any]: ...
    def close(self) -> None:
        """Lets go of the versions that only this snapshot needs."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def open_keyspace(engine: Engine, name: str, id: int, owner: object) -> Keyspace: ...
