"""Every exception the engine raises. All derive from `Error`; each message says what to do.

Each can be pickled, so that it crosses from a worker process whole.
"""

from __future__ import annotations

__all__ = [
    "BusyError",
    "ClosedError",
    "CorruptionError",
    "DiskFullError",
    "Error",
    "FileError",
    "ForkedError",
    "InvalidArgumentError",
    "KeyspaceDroppedError",
    "KeyspaceOptionsError",
    "LockedError",
    "NotADatabaseError",
    "PoisonedError",
    "ReadOnlyError",
    "ReentrantError",
    "UnknownOptionError",
    "UnsupportedVersionError",
    "WouldWaitError",
    "WrongOptionTypeError",
]


class Error(Exception):
    """Base of every exception that the engine raises on purpose."""


class InvalidArgumentError(Error, ValueError):
    """An argument of the right type with a value that is not allowed: an empty or oversized key, a negative limit."""


class UnknownOptionError(InvalidArgumentError, TypeError):
    """A keyword of `lsm.open` that is no option; the message names the nearest that is."""


class ClosedError(Error, ValueError):
    """The database, batch, snapshot or iterator was closed before this call."""


class BusyError(Error, ValueError):
    """Another thread is taking an entry of this scan at this moment; nothing was skipped, and it may be asked again."""


class ForkedError(Error, RuntimeError):
    """The database was opened in the parent of this process; open it anew in the child."""


class ReadOnlyError(Error, PermissionError):
    """A write to a database that was opened with `read_only=True`, or that lies where nothing can be written."""


class ReentrantError(Error, RuntimeError):
    """A finalizer or signal handler asked for maintenance in the middle of maintenance in the same thread."""


class WouldWaitError(Error):
    """This would wait, which the thread refuses (`lsm.refuse_to_wait`). Nothing has changed; repeat it elsewhere."""


class WrongOptionTypeError(InvalidArgumentError, TypeError):
    """An option of `lsm.open` has a value of the wrong type."""


class FileError(Error, OSError):
    """The operating system refused a file operation; `errno`, `strerror` and `filename` are OSError's."""


class DiskFullError(FileError):
    """No space left. Reads go on; nothing acknowledged is lost; writing resumes when there is room."""


class LockedError(Error, BlockingIOError):
    """Another opener holds the database. `pid` is the holder's, where it could be read."""

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{path} is open in {holder}; close it there, open here with read_only=True, "
            f"or share it through `lsm serve`"
        )
        self.path = path
        self.pid = pid

    def __reduce__(self) -> tuple[type[LockedError], tuple[str, int | None]]:
        return type(self), (self.path, self.pid)


class PoisonedError(Error, OSError):
    """A sync or write failed with unknown effect. Reads go on; writes raise until the database is reopened."""


class NotADatabaseError(Error, ValueError):
    """The path exists and holds something that is no database."""


class KeyspaceDroppedError(Error, LookupError):
    """The keyspace of this handle was dropped."""


class KeyspaceOptionsError(Error, ValueError):
    """The keyspace exists with other options than those asked for."""


class UnsupportedVersionError(Error):
    """A file was written by a newer version of the engine than this one can read."""

    def __init__(self, path: str | None, found: int, supported: int) -> None:
        super().__init__(
            f"{path}: format version {found} is newer than {supported}, the newest this release reads; "
            f"open it with a newer release of lsm-store"
        )
        self.path = path
        self.found = found
        self.supported = supported

    def __reduce__(self) -> tuple[type[UnsupportedVersionError], tuple[str | None, int, int]]:
        return type(self), (self.path, self.found, self.supported)


class CorruptionError(Error):
    """Bytes on disk are not what was written. Corrupt bytes are never returned.

    `path` and `offset` (bytes) say where, `expected` and `got` what was compared (a checksum, a length, a number).
    """

    def __init__(self, path: str | None, offset: int, expected: object, got: object, what: str = "") -> None:
        super().__init__(
            f"{path}: {what or 'corrupt bytes'} at offset {offset}: expected {expected!r}, got {got!r}; "
            f"restore this file from a backup"
        )
        self.path = path
        self.offset = offset
        self.expected = expected
        self.got = got
        self.what = what

    def __reduce__(self) -> tuple[type[CorruptionError], tuple[str | None, int, object, object, str]]:
        return type(self), (self.path, self.offset, self.expected, self.got, self.what)
