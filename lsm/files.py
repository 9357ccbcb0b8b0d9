"""The directory of an open database: lock file, reserve, orphans. All through the FileSystem seam.

Guarantees: one writer at a time; nothing is removed that the manifest names. Called while a database opens or closes,
and by its background when the disk is full.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from lsm import directory as names
from lsm.errors import DiskFullError, FileError, LockedError, ReadOnlyError
from lsm.filesystem import CREATE, READ, WRITE, FileSystem

__all__ = ["DirectoryLock", "Reserve", "orphans", "remove_orphans", "writable"]


@contextlib.contextmanager
def writable(directory: str) -> Iterator[None]:
    """Turns the system's refusal to write here into a ReadOnlyError that says what to do."""
    try:
        yield
    except FileError as error:
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise ReadOnlyError(
                f"{directory} cannot be written ({error.strerror}); open it with read_only=True, or elsewhere"
            ) from error
        raise


class DirectoryLock:
    """Held from opening to closing; LOCK holds the pid of the holder as text."""

    def __init__(self, files: FileSystem, directory: str) -> None:
        """Raises LockedError, or ReadOnlyError where nothing can be written here."""
        self._files = files
        path = f"{directory}/{names.LOCK}"
        with writable(directory):
            self._handle: int | None = files.open(path, READ | WRITE | CREATE)
        if not files.lock(self._handle):
            holder = files.read(self._handle, 32, 0).split(b"\n")[0].strip()
            self.abandon()
            raise LockedError(directory, int(holder) if holder.isdigit() else None)
        # A full disk must not keep anybody from reading: the pid is only for the message of LockedError.
        with contextlib.suppress(FileError):
            holder = f"{os.getpid()}\n".encode()
            files.write(self._handle, holder, 0)
            if files.size(self._handle) > len(holder):
                files.truncate(self._handle, len(holder))

    def release(self) -> None:
        """The next opener may come, also while a forked child lives."""
        if self._handle is not None:
            self._files.unlock(self._handle)
        self.abandon()

    def abandon(self) -> None:
        """In a forked child: closes the handle, which leaves the lock to the parent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._files.close(handle)


class Reserve:
    """A file of real zeros that gives its space back on a full disk, so that deletes and compaction can go on."""

    def __init__(self, files: FileSystem, directory: str, size: int) -> None:
        self._files = files
        self._path = f"{directory}/{names.RESERVE}"
        self._size = size

    def fill(self) -> None:
        """Makes the file as large as it should be; where there is no room it stays away until there is."""
        if self._size == 0:
            self.release()
            return
        with contextlib.suppress(FileError):
            handle = self._files.open(self._path, READ | WRITE | CREATE)
            try:
                if self._files.size(handle) != self._size:
                    self._files.truncate(handle, 0)
                    self._files.write(handle, bytes(self._size), 0)
            except DiskFullError:
                self._files.truncate(handle, 0)
            finally:
                self._files.close(handle)

    def release(self) -> bool:
        """Gives the space back; False where there was none."""
        with contextlib.suppress(FileError):
            if self._files.exists(self._path):
                self._files.unlink(self._path)
                return True
        return False

    def refill(self) -> bool:
        """Takes the space again where it was given back and there is room for more than that. True where it did."""
        free = self._files.free_bytes(self._path.rpartition("/")[0])
        if free is None or free < 4 * self._size or self._files.exists(self._path):
            return False
        self.fill()
        return True


def orphans(files: FileSystem, directory: str, needed: set[int]) -> list[str]:
    """Names of tables that no version names and of spare files, left by a crash or kept for a reader that is gone."""
    kinds = {name: names.parse(name) for name in files.listdir(directory)}
    return [
        name
        for name, kind in kinds.items()
        if kind and (kind[0] == "spare" or (kind[0] == "table" and kind[1] not in needed))
    ]


def remove_orphans(files: FileSystem, directory: str, needed: set[int]) -> list[str]:
    """Removes tables that no version names and spare files; their names."""
    removed = orphans(files, directory, needed)
    for name in removed:
        files.unlink(f"{directory}/{name}", missing_ok=True)
    return removed
