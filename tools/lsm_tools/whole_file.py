"""An output file that appears under its name only when it is whole: written beside, synced, renamed.

Guarantees: whenever the process dies, the name holds what it held before or all of the new content. Two writers of one
name do not mix: the second is refused. One object serves one thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["BusyError", "whole_file"]

SUFFIX = ".part"
"""Of the file while it is written. One that a killed process left is overwritten by the next."""


class BusyError(OSError):
    """Another process is writing this file."""


@contextlib.contextmanager
def whole_file(name: str) -> Iterator[BinaryIO]:
    """A stream into `name`, which replaces what was there at the end of the block; an exception leaves that alone.

    What is no regular file, such as a pipe or /dev/null, is written as it is.
    """
    path = os.path.realpath(name)
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as stream:
            yield stream
        return
    part = path + SUFFIX
    with _exclusively(part) as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            os.rename(part, path)
        except BaseException:
            os.unlink(part)
            raise
    _sync_directory(os.path.dirname(path))


def _exclusively(part: str) -> BinaryIO:
    """The file, empty and locked. The lock goes with the process, so that a killed one is in nobody's way."""
    stream = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "wb")
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.exists(part) or not os.path.samestat(os.fstat(stream.fileno()), os.stat(part)):
            raise BlockingIOError
        stream.truncate(0)
    except BlockingIOError:
        stream.close()
        raise BusyError(None, "another process is writing it at this moment", part) from None
    return stream


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
