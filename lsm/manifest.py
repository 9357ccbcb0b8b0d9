"""The manifest: the record log of version edits that says what a database consists of. docs/format/manifest.md.

Guarantees: `load` returns the version after every edit that `append` reported durable, or raises; what was changed on
disk since is CorruptionError, what a crash left half-written at the end is cut off. After a write of unknown effect
every further one raises PoisonedError. One caller at a time, under the manifest's own lock: `append` waits for a disk.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from lsm import directory as names
from lsm.checksum import crc32c
from lsm.errors import (
    CorruptionError,
    DiskFullError,
    NotADatabaseError,
    PoisonedError,
    ReadOnlyError,
    UnsupportedVersionError,
)
from lsm.filesystem import CREATE, READ, TRUNCATE, WRITE
from lsm.version import DatabaseVersion, VersionBuilder, VersionError
from lsm.version_edit import FORMAT_VERSION, EditFormatError, VersionEdit

if TYPE_CHECKING:
    from lsm.filesystem import FileSystem

__all__ = ["HEADER_BYTES", "MAGIC", "RECORD_HEADER_BYTES", "Manifest", "read_current"]

MAGIC: Final = b"LSMMANIF"
HEADER_BYTES: Final = 128
RECORD_HEADER_BYTES: Final = 16
ALIGNMENT: Final = 8
REWRITE_FLOOR_BYTES: Final = 1 << 20
REWRITE_GROWTH: Final = 4

# magic, format version, header bytes, database id, number, snapshot end, cipher id, tag bytes, key id, reserved; crc32c
_HEADER: Final = struct.Struct("<8sII16sQQIIQ60x")
_RECORD: Final = struct.Struct("<IIQ")  # crc32c, payload bytes, durable through
_BINDING: Final = struct.Struct("<16sQQ")  # what a record's checksum covers in front: database id, number, offset
_CRC_AT: Final = HEADER_BYTES - 4


class _Record(NamedTuple):
    payload: bytes
    durable: int
    next: int


@dataclass(slots=True)
class _File:
    """A manifest's bytes and what its header says."""

    path: str
    number: int
    data: bytes
    database_id: bytes
    snapshot_end: int


class Manifest:
    """An open manifest. `version` is the state after its last edit; `path` its file."""

    def __init__(self, fs: FileSystem, directory: str, number: int, version: DatabaseVersion) -> None:
        """Use `create` or `load`."""
        self.directory = directory
        self.number = number
        self.version = version
        self._fs = fs
        self._handle: int | None = None
        self._size = 0
        self._durable = 0
        self._resumed = False  # nothing was synced since it was loaded
        self._rewrite_at = 0
        self._cause: BaseException | None = None
        self._owed: list[VersionEdit] = []

    @staticmethod
    def exists(fs: FileSystem, directory: str) -> bool:
        """Whether the directory holds a database; False also for what an interrupted creation left.

        Raises NotADatabaseError where it holds something else, CorruptionError where a database has lost its CURRENT.
        """
        if not fs.exists(directory):
            return False
        if not fs.is_dir(directory):
            raise NotADatabaseError(f"{directory} is no directory; name another path")
        found = fs.listdir(directory)
        if names.CURRENT in found:
            return True
        kinds = {name: names.parse(name) for name in found}
        for name, kind in sorted(kinds.items()):
            if kind and kind[0] in ("table", "segment"):
                path = f"{directory}/{names.CURRENT}"
                raise CorruptionError(path, 0, "a line that names the manifest", None, f"no CURRENT beside {name}")
        strange = sorted(name for name, kind in kinds.items() if kind is None and not _is_temporary(name))
        if strange:
            raise NotADatabaseError(f"{directory} is no database and holds {strange[0]}; name another path")
        return False

    @classmethod
    def create(cls, fs: FileSystem, directory: str, snapshot: VersionEdit) -> Manifest:
        """Makes the manifest of a new database in an existing directory; durable on return."""
        manifest = cls(fs, directory, 0, DatabaseVersion().apply(snapshot))
        manifest._switch(1)
        return manifest

    @classmethod
    def load(cls, fs: FileSystem, directory: str, read_only: bool = False) -> tuple[DatabaseVersion, Manifest]:
        """Replays the manifest that CURRENT names. `read_only` writes nothing and makes a manifest that cannot append.

        Raises NotADatabaseError, CorruptionError, UnsupportedVersionError.
        """
        if not cls.exists(fs, directory):
            raise NotADatabaseError(f"{directory} holds no database; open it with create=True to make one")
        number = read_current(fs, directory)
        file = _open_file(fs, f"{directory}/{names.manifest_name(number)}", number)
        version, end, durable = _replay(file)
        manifest = cls(fs, directory, number, version)
        manifest._size = end
        manifest._durable = durable
        manifest._resumed = durable < end
        manifest._rewrite_at = _rewrite_size(file.snapshot_end)
        if not read_only:
            manifest._resume(torn=end < len(file.data))
        return version, manifest

    @property
    def path(self) -> str:
        return f"{self.directory}/{names.manifest_name(self.number)}"

    @property
    def size(self) -> int:
        """Bytes of the file that count."""
        return self._size

    @property
    def poisoned(self) -> bool:
        return self._cause is not None

    @property
    def owes(self) -> bool:
        """Whether `version` has edits that the file lacks."""
        return bool(self._owed)

    @property
    def settled(self) -> bool:
        """Whether it is certain that the file holds `version`, durably."""
        return not self._owed and self._cause is None and self._durable == self._size

    def append(self, edit: VersionEdit, sync: bool = True) -> DatabaseVersion:
        """Records the edit and returns the version after it; with `sync` it survives a power failure.

        An edit that names a table must not be appended before the WAL is durable through the table's `max_seq`: also
        without `sync` it may become durable at any time. Raises VersionError (nothing written), DiskFullError (nothing
        changed, usable again), PoisonedError (whether the edit will be there after a reopen is unknown).
        """
        self._check_usable()
        version = self.version.apply(edit)
        if edit.encode():
            self._write([*self._owed, edit])
            self._owed.clear()
            self.version = version
        if sync:
            self.sync()
            if self._size > self._rewrite_at:
                self._rewrite()
        return self.version

    def owe(self, edit: VersionEdit) -> None:
        """In place of `append`, for an edit that the WAL has, so that recovery makes it anew: `version` has it, and the
        file gets it with the next append or sync. The WAL must be durable through it by then. Raises VersionError."""
        self._check_usable()
        self.version = self.version.apply(edit)
        self._owed.append(edit)

    def sync(self) -> None:
        """Makes every edit appended so far survive a power failure. DiskFullError: it still owes some."""
        self._check_usable()
        if self._owed:
            self._write(self._owed)
            self._owed.clear()
        if self._durable != self._size:
            self._sync_file()

    def _sync_file(self) -> None:
        try:
            self._fs.sync(self._open_handle())
        except BaseException as error:
            self._poison(error)
        self._durable = self._size
        self._resumed = False

    def close(self) -> None:
        """Closes the file; syncs nothing. Closing twice is allowed."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._fs.close(handle)

    def _check_usable(self) -> None:
        if self._cause is not None:
            text = f"{self.path}: an earlier write failed ({self._cause}); reopen the database"
            raise PoisonedError(text) from self._cause
        if self._handle is None:
            raise ReadOnlyError(f"{self.path} was opened for reading or is closed; open the database for writing")

    def _open_handle(self) -> int:
        assert self._handle is not None
        return self._handle

    def _write(self, edits: Sequence[VersionEdit]) -> None:
        if self._resumed:
            # Behind edits that are not known to be durable none is written that could make damage to them look like a
            # write that was cut short.
            self._sync_file()
        records = bytearray()
        for edit in edits:
            offset = self._size + len(records)
            records += _record(self.version.database_id, self.number, offset, self._durable, edit.encode())
        try:
            self._fs.write(self._open_handle(), bytes(records), self._size)
        except DiskFullError as error:
            self._cut_back(error)
            raise
        except BaseException as error:
            self._poison(error)
        self._size += len(records)

    def _cut_back(self, error: BaseException) -> None:
        """Undoes a write that found no room."""
        try:
            self._fs.truncate(self._open_handle(), self._size)
        except BaseException:
            self._poison(error)

    def _poison(self, error: BaseException) -> None:
        self._cause = error
        if not isinstance(error, Exception):
            raise error
        text = f"{self.path}: a write failed with unknown effect ({error}); reopen the database"
        raise PoisonedError(text) from error

    def _resume(self, torn: bool) -> None:
        """Makes a loaded manifest writable: cuts a torn tail by writing the state anew, removes files left over."""
        if torn or self._size > self._rewrite_at:
            try:
                self._switch(self.number + 1)
            except DiskFullError:
                self._handle = self._fs.open(self.path, READ | WRITE)
                self._fs.truncate(self._handle, self._size)
                self._sync_file()
        else:
            # A process that was killed leaves edits in the cache: not durable before the first sync here.
            self._handle = self._fs.open(self.path, READ | WRITE)
            if not self._others():
                return
            # Nor may be what CURRENT names, and that it names it.
            self._sync_file()
            self._fs.sync_dir(self.directory)
        self._remove_others()

    def _rewrite(self) -> None:
        """Where there is no room for a new file, the old one goes on and the next attempt waits until it has grown."""
        try:
            self._switch(self.number + 1)
        except PoisonedError:
            raise
        except OSError:
            self._rewrite_at = self._size + max(REWRITE_FLOOR_BYTES, self._size // 4)
            return
        self._remove_others()

    def _switch(self, number: int) -> None:
        """Writes the state into manifest `number` and points CURRENT at it.

        The old file counts until CURRENT is written; any OSError but PoisonedError says that it still does.
        """
        path = f"{self.directory}/{names.manifest_name(number)}"
        image = _image(self.version, number)
        handle = self._write_new(path, image)
        try:
            self._fs.write_file_atomically(f"{self.directory}/{names.CURRENT}", _current_line(number))
        except BaseException as error:
            self._fs.close(handle)
            if isinstance(error, DiskFullError) and not self._is_current(number):
                self._try_unlink(path)
                raise
            self._poison(error)
        self.close()
        self.number = number
        self._handle = handle
        self._size = self._durable = len(image)
        self._resumed = False
        self._rewrite_at = _rewrite_size(len(image))
        self._owed.clear()

    def _write_new(self, path: str, image: bytes) -> int:
        handle = self._fs.open(path, READ | WRITE | CREATE | TRUNCATE)
        try:
            self._fs.write(handle, image, 0)
            self._fs.sync(handle)
            self._fs.sync_dir(self.directory)
        except BaseException:
            self._fs.close(handle)
            self._try_unlink(path)
            raise
        return handle

    def _is_current(self, number: int) -> bool:
        path = f"{self.directory}/{names.CURRENT}"
        return self._fs.exists(path) and self._fs.read_file(path) == _current_line(number)

    def _remove_others(self) -> None:
        for name in self._others():
            self._try_unlink(f"{self.directory}/{name}")

    def _others(self) -> list[str]:
        kinds = {name: names.parse(name) for name in self._fs.listdir(self.directory)}
        return [name for name, kind in kinds.items() if kind and kind[0] == "manifest" and kind[1] != self.number]

    def _try_unlink(self, path: str) -> None:
        """Removes a file that nothing needs; where that fails, the next load tries again."""
        with contextlib.suppress(OSError):
            self._fs.unlink(path, missing_ok=True)


def read_current(fs: FileSystem, directory: str) -> int:
    """Number of the manifest that CURRENT names. Raises CorruptionError where CURRENT is not as it was written."""
    path = f"{directory}/{names.CURRENT}"
    data = fs.read_file(path)
    kind = names.parse(data.split(b" ", 1)[0].decode("ascii", "replace"))
    if kind is None or kind[0] != "manifest":
        raise CorruptionError(path, 0, b"MANIFEST-nnnnnn crc32c=xxxxxxxx\n", data[:64], "no manifest's name")
    expected = _current_line(kind[1])
    if data != expected:
        raise CorruptionError(path, 0, expected, data[:64], "checksum of CURRENT")
    return kind[1]


def _current_line(number: int) -> bytes:
    name = names.manifest_name(number)
    return f"{name} crc32c={crc32c(name.encode()):08x}\n".encode()


def _is_temporary(name: str) -> bool:
    """Whether `write_file_atomically` left it when it was interrupted."""
    return name == f"{names.CURRENT}.tmp"


def _rewrite_size(snapshot_bytes: int) -> int:
    return max(REWRITE_FLOOR_BYTES, REWRITE_GROWTH * snapshot_bytes)


def _header(database_id: bytes, number: int, snapshot_end: int) -> bytes:
    head = _HEADER.pack(MAGIC, FORMAT_VERSION, HEADER_BYTES, database_id, number, snapshot_end, 0, 0, 0)
    return head + crc32c(head).to_bytes(4, "little")


def _checksum(database_id: bytes, number: int, offset: int, body: bytes) -> int:
    return crc32c(body, crc32c(_BINDING.pack(database_id, number, offset)))


def _record(database_id: bytes, number: int, offset: int, durable: int, payload: bytes) -> bytes:
    body = _RECORD.pack(0, len(payload), durable)[4:] + payload
    body += bytes(-(len(body) + 4) % ALIGNMENT)
    return _checksum(database_id, number, offset, body).to_bytes(4, "little") + body


def _image(version: DatabaseVersion, number: int) -> bytes:
    """A whole manifest file that holds nothing but `version`."""
    snapshot = _record(version.database_id, number, HEADER_BYTES, 0, version.snapshot().encode())
    return _header(version.database_id, number, HEADER_BYTES + len(snapshot)) + snapshot


def _open_file(fs: FileSystem, path: str, number: int) -> _File:
    if not fs.exists(path):
        raise CorruptionError(path, 0, "the manifest that CURRENT names", None, "file is missing")
    data = fs.read_file(path)
    if len(data) < HEADER_BYTES:
        raise CorruptionError(path, 0, HEADER_BYTES, len(data), "header length")
    magic, version, _, database_id, own, snapshot_end, cipher, tag_bytes, key = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise CorruptionError(path, 0, MAGIC, magic, "magic number")
    stored, computed = int.from_bytes(data[_CRC_AT:HEADER_BYTES], "little"), crc32c(data[:_CRC_AT])
    if stored != computed:
        raise CorruptionError(path, 0, stored, computed, "header checksum")
    if version > FORMAT_VERSION or cipher or tag_bytes or key:
        raise UnsupportedVersionError(path, max(version, FORMAT_VERSION + 1), FORMAT_VERSION)
    if own != number:
        raise CorruptionError(path, 32, number, own, "manifest number")
    return _File(path, number, data, database_id, snapshot_end)


def _replay(file: _File) -> tuple[DatabaseVersion, int, int]:
    """The version after all valid records, where they end, and up to where they say to be durable."""
    builder = VersionBuilder()
    offset = HEADER_BYTES
    durable = file.snapshot_end
    while offset < len(file.data):
        record = _record_at(file, offset)
        if record is None:
            break
        try:
            builder.apply(VersionEdit.decode(record.payload, file.path))
        except (EditFormatError, VersionError) as error:
            raise CorruptionError(file.path, offset, "a version edit", str(error), "version edit") from error
        offset = record.next
        durable = max(durable, record.durable)
    if offset < len(file.data) or offset < file.snapshot_end:
        _refuse_rot(file, offset)
    return _build(builder, file), offset, durable


def _build(builder: VersionBuilder, file: _File) -> DatabaseVersion:
    try:
        version = builder.build()
    except VersionError as error:
        raise CorruptionError(file.path, HEADER_BYTES, "a valid version", str(error), "version") from error
    if version.database_id != file.database_id:
        raise CorruptionError(file.path, 16, version.database_id.hex(), file.database_id.hex(), "database id")
    return version


def _record_at(file: _File, offset: int) -> _Record | None:
    """The record at `offset`, or None where there is no valid one."""
    data = file.data
    start = offset + RECORD_HEADER_BYTES
    if start > len(data):
        return None
    stored, length, durable = _RECORD.unpack_from(data, offset)
    end = start + length + -(start + length) % ALIGNMENT
    if length == 0 or end > len(data):
        return None
    if _checksum(file.database_id, file.number, offset, data[offset + 4 : end]) != stored:
        return None
    return _Record(data[start : start + length], durable, end)


def _refuse_rot(file: _File, offset: int) -> None:
    """Raises where the invalid record at `offset` was durable once: a later one, or the header, says so.

    Otherwise it is what a crash left of edits that were never reported durable.
    """
    durable = file.snapshot_end
    at = offset + ALIGNMENT
    while durable <= offset and at < len(file.data):
        later = _record_at(file, at)
        durable = later.durable if later else durable
        at = later.next if later else at + ALIGNMENT
    if durable > offset:
        raise CorruptionError(file.path, offset, *_comparison(file, offset))


def _comparison(file: _File, offset: int) -> tuple[int, int, str]:
    """expected, got and what, for an invalid record."""
    left = len(file.data) - offset
    if left < RECORD_HEADER_BYTES:
        return RECORD_HEADER_BYTES, left, "record header length"
    stored, length, _ = _RECORD.unpack_from(file.data, offset)
    padded = length + -length % ALIGNMENT
    if not 0 < padded <= left - RECORD_HEADER_BYTES:
        return left - RECORD_HEADER_BYTES, length, "record length (at most expected)"
    body = file.data[offset + 4 : offset + RECORD_HEADER_BYTES + padded]
    return stored, _checksum(file.database_id, file.number, offset, body), "record checksum"
