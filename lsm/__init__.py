"""An embedded, durable storage engine: a log-structured merge tree with a compiled core.

`lsm.open(path)` gives a Database; README.md shows the rest. Everything public is in `__all__`.
"""

from lsm.database import Database, open
from lsm.errors import (
    BusyError,
    ClosedError,
    CorruptionError,
    DiskFullError,
    Error,
    FileError,
    ForkedError,
    InvalidArgumentError,
    KeyspaceDroppedError,
    KeyspaceOptionsError,
    LockedError,
    NotADatabaseError,
    PoisonedError,
    ReadOnlyError,
    ReentrantError,
    UnknownOptionError,
    UnsupportedVersionError,
    WouldWaitError,
    WrongOptionTypeError,
)
from lsm.keyspace import Batch, Keyspace, Snapshot
from lsm.options import Options
from lsm.scan import Scan
from lsm.waiting import refuse_to_wait

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "BusyError",
    "ClosedError",
    "CorruptionError",
    "Database",
    "DiskFullError",
    "Error",
    "FileError",
    "ForkedError",
    "InvalidArgumentError",
    "Keyspace",
    "KeyspaceDroppedError",
    "KeyspaceOptionsError",
    "LockedError",
    "NotADatabaseError",
    "Options",
    "PoisonedError",
    "ReadOnlyError",
    "ReentrantError",
    "Scan",
    "Snapshot",
    "UnknownOptionError",
    "UnsupportedVersionError",
    "WouldWaitError",
    "WrongOptionTypeError",
    "open",
    "refuse_to_wait",
]
