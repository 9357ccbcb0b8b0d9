"""What the log says of a keyspace when it is created: the value of a KEYSPACE_CREATED change; its key is the name.

Guarantees: decode(encode) is the same record; a newer version is refused with its number. Pure; any thread.
docs/format/wal.md has the bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lsm.errors import CorruptionError, UnsupportedVersionError

__all__ = ["KEYSPACE_CREATED", "KEYSPACE_DROPPED", "RECORD_VERSION", "KeyspaceRecord"]

# Kinds of changes in the log, as ext/lsm/types.pxd numbers them. Never to change.
KEYSPACE_CREATED = 7
KEYSPACE_DROPPED = 8

RECORD_VERSION = 1
_FIXED = struct.Struct("<HHI")  # version, flags, partitions
_COMPOSITE = 1


@dataclass(frozen=True, slots=True)
class KeyspaceRecord:
    name: str
    partitions: int
    composite: bool

    def encode(self) -> bytes:
        return _FIXED.pack(RECORD_VERSION, _COMPOSITE if self.composite else 0, self.partitions)

    @staticmethod
    def decode(key: bytes, value: bytes, path: str) -> KeyspaceRecord:
        if len(value) < _FIXED.size:
            raise CorruptionError(path, 0, _FIXED.size, len(value), "length of a keyspace record")
        version, flags, partitions = _FIXED.unpack_from(value)
        if version > RECORD_VERSION:
            raise UnsupportedVersionError(path, version, RECORD_VERSION)
        try:
            name = key.decode()
        except UnicodeDecodeError:
            raise CorruptionError(path, 0, "UTF-8", key[:64], "name in a keyspace record") from None
        return KeyspaceRecord(name, partitions, bool(flags & _COMPOSITE))
