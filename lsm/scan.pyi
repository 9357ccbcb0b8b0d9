from types import TracebackType
from typing import Any, Generic, Self

from typing_extensions import Buffer, TypeVar

from lsm.keyspace import Keyspace

Entry_co = TypeVar("Entry_co", covariant=True, default=Any)

# An iterator over entries of a keyspace as they stood when it was made; a context manager; `close` ends it early.
class Scan(Generic[Entry_co]):
    def __iter__(self) -> Self: ...
    def __next__(self) -> Entry_co: ...
    def close(self) -> None:
        """Ends the scan and lets go of files and memory. Harmless when repeated.

        Where another thread is taking an entry, that raises `ClosedError` there and lets go as soon as it is back.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def approximate_bytes(
    keyspace: Keyspace,
    start: Buffer | tuple[Buffer, Buffer] | None,
    stop: Buffer | tuple[Buffer, Buffer] | None,
) -> int: ...
