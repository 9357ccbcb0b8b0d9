"""The exceptions: what they are, what they carry, and that they cross process borders."""

from __future__ import annotations

import errno
import inspect
import os
import pickle

import pytest

from lsm import errors

EXAMPLES: list[errors.Error] = [
    errors.InvalidArgumentError("the key is empty; give at least one byte"),
    errors.UnknownOptionError("unknown option 'cache'; did you mean cache_bytes?"),
    errors.WrongOptionTypeError("cache_bytes must be an int, not str '1'"),
    errors.ReentrantError("a flush is under way in this thread"),
    errors.BusyError("another thread takes an entry of this scan now"),
    errors.ClosedError("the database is closed; open it again"),
    errors.ForkedError("opened in the parent; open it anew here"),
    errors.ReadOnlyError("opened read-only"),
    errors.FileError(errno.EIO, "cannot sync: Input/output error", "db/wal-000001.log"),
    errors.DiskFullError(errno.ENOSPC, "cannot write: No space left on device", "db/wal-000001.log"),
    errors.LockedError("db", 4711),
    errors.LockedError("db", None),
    errors.PoisonedError("a sync failed; reopen the database"),
    errors.WouldWaitError("this would wait for a read from the disk; repeat the call in a thread that may wait"),
    errors.NotADatabaseError("no database"),
    errors.KeyspaceDroppedError("dropped"),
    errors.KeyspaceOptionsError("partitions differ"),
    errors.UnsupportedVersionError("db/000007.table", 9, 1),
    errors.CorruptionError("db/000007.table", 4096, 1, 2, "block checksum"),
]


def test_every_public_name_is_an_error_and_has_an_example() -> None:
    classes = {name: getattr(errors, name) for name in errors.__all__}
    assert all(issubclass(each, errors.Error) and each.__doc__ for each in classes.values())
    defined = {name for name, each in vars(errors).items() if inspect.isclass(each) and each.__module__ == "lsm.errors"}
    assert set(classes) == defined
    assert {type(example) for example in EXAMPLES} == set(classes.values()) - {errors.Error}


@pytest.mark.parametrize(
    ("raised", "also"),
    [
        (errors.InvalidArgumentError, ValueError),
        (errors.ClosedError, ValueError),
        (errors.ForkedError, RuntimeError),
        (errors.ReadOnlyError, PermissionError),
        (errors.FileError, OSError),
        (errors.DiskFullError, errors.FileError),
        (errors.LockedError, BlockingIOError),
        (errors.PoisonedError, OSError),
        (errors.NotADatabaseError, ValueError),
        (errors.KeyspaceDroppedError, LookupError),
        (errors.KeyspaceOptionsError, ValueError),
    ],
)
def test_an_error_is_also_what_python_would_raise(raised: type[BaseException], also: type[BaseException]) -> None:
    assert issubclass(raised, also)


@pytest.mark.parametrize("kind", [errors.FileError, errors.DiskFullError])
@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EEXIST])
def test_file_errors_carry_what_oserror_carries(kind: type[errors.FileError], number: int) -> None:
    text = f"cannot open: {os.strerror(number)}"
    error = kind(number, text, "db/LOCK")
    assert type(error) is kind
    assert (error.errno, error.strerror, error.filename) == (number, text, "db/LOCK")
    assert str(error) == f"[Errno {number}] {text}: 'db/LOCK'"


def test_a_file_error_without_a_path_has_none() -> None:
    error = errors.FileError(errno.EIO, "cannot read", None)
    assert (error.errno, error.filename) == (errno.EIO, None)
    assert str(error) == f"[Errno {errno.EIO}] cannot read"


def test_a_lock_conflict_names_the_holder_and_the_ways_out() -> None:
    error = errors.LockedError("db", 4711)
    assert (error.path, error.pid) == ("db", 4711)
    assert "process 4711" in str(error)
    assert "read_only=True" in str(error)
    assert "lsm serve" in str(error)
    assert "another process" in str(errors.LockedError("db", None))


def test_corruption_says_where_and_what() -> None:
    error = errors.CorruptionError("db/000007.table", 4096, 0xAB, 0xCD, "block checksum")
    assert (error.path, error.offset, error.expected, error.got) == ("db/000007.table", 4096, 0xAB, 0xCD)
    assert str(error).startswith("db/000007.table: block checksum at offset 4096: expected 171, got 205")


def test_a_newer_format_says_both_versions() -> None:
    error = errors.UnsupportedVersionError("db/000007.table", 9, 1)
    assert (error.path, error.found, error.supported) == ("db/000007.table", 9, 1)
    assert "format version 9 is newer than 1" in str(error)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_an_error_comes_through_pickle_whole(example: errors.Error) -> None:
    copy = pickle.loads(pickle.dumps(example))
    assert type(copy) is type(example)
    assert str(copy) == str(example)
    assert vars(copy) == vars(example)
    if isinstance(example, OSError):
        assert isinstance(copy, OSError)
        assert (copy.errno, copy.strerror, copy.filename) == (example.errno, example.strerror, example.filename)
