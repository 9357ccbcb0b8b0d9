"""A dict: the floor of the loop. It keeps nothing on disk and has no order, so it takes part in few workloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bench.data import Pair
from bench.engines.protocol import DurablePut, puts_in_threads


class Dictionary:
    def __init__(self, path: Path) -> None:
        self._records: dict[bytes, bytes] = {}
        self.put = self._records.__setitem__
        self.put_sync = self.put
        self.get: Callable[[bytes], bytes | None] = self._records.get
        self.delete = self._records.__delitem__
        self.put_batch = self._records.update

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return list(map(self.get, keys))

    def scan(self) -> Iterable[Pair]:
        return self._records.items()

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        raise NotImplementedError("a dict has no order")

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        return puts_in_threads(self.put, clients)

    def settle(self) -> None:
        pass

    def write_amplification(self) -> None:
        return None

    def close(self) -> None:
        pass
