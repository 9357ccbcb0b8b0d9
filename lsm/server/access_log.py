"""The access log: one JSON object a line for every answer.

Guarantees: lines are whole and in the order of the answers; a log that cannot be written never keeps a request from its
answer. The event loop's thread; `flush` once a second.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from lsm.server.authentication import key_id
from lsm.server.requests import Request

if TYPE_CHECKING:
    from lsm.server.dispatch import Answer

__all__ = ["AccessLog"]

MOST_WAITING = 256 << 10
"""Bytes; more are written at once."""


class AccessLog:
    """path: a file, appended to, or `-` for stdout. Raises OSError where it cannot be opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._bytes = 0
        self._complained = False
        self._file = self._opened()

    def _opened(self) -> BinaryIO:
        if self._path == "-":
            return sys.stdout.buffer
        return open(self._path, "ab", buffering=0)

    def add(self, client: str, request: Request, answer: Answer, seconds: float, request_id: bytes) -> None:
        """A request that has been answered."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
            "client": client,
            "key": key_id(request),
            "request_id": request_id.decode(),
            "method": request.head.method,
            "path": request.head.path.decode("latin-1"),
            "operation": answer.operation,
            "table": answer.table,
            "status": answer.status,
            "code": answer.code,
            "request_bytes": len(request.body),
            "answer_bytes": len(answer.body),
            "milliseconds": round(seconds * 1000, 3),
        }
        line = orjson.dumps(facts, default=str, option=orjson.OPT_APPEND_NEWLINE)
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes > MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        if not self._lines:
            return
        data = b"".join(self._lines)
        self._lines.clear()
        self._bytes = 0
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            if not self._complained:
                print(f"lsm: the access log cannot be written: {error}", file=sys.stderr, flush=True)
            self._complained = True

    def reopen(self) -> None:
        """Goes on in a new file of the same name, after the old one was moved away."""
        self.flush()
        if self._path == "-":
            return
        try:
            fresh = self._opened()
        except OSError as error:
            print(f"lsm: the access log cannot be opened again: {error}", file=sys.stderr, flush=True)
            return
        self._file.close()
        self._file = fresh

    def close(self) -> None:
        """Writes what waits, and closes the file."""
        self.flush()
        if self._path != "-":
            self._file.close()
