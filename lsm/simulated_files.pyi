from typing import Literal, TypeAlias

from lsm.filesystem import FileSystem

Mode: TypeAlias = Literal["nothing", "everything", "ext4", "strict", "killed"]
Call: TypeAlias = tuple[int, str, str, int, int, str]

KIND_NAMES: dict[str, int]
MODES: dict[str, int]

class Moment:
    """The disk and its cache as they were when a call that changes or syncs something began."""

    number: int
    note: int
    trace: list[Call]
    def __init__(self) -> None: ...
    def clone(self, seed: int, mode: str) -> SimulatedFileSystem:
        """A disk that may be found after a power failure at this moment; see SimulatedFileSystem.clone."""

class SimulatedFileSystem(FileSystem):
    """Files that go with this object, of which it knows what is durable. A directory is a prefix, durable unless made.

    Kinds of calls: open, create (an open that makes a file), close, read, write, sync, truncate, size, map, unlink,
    rename, mkdir, sync_dir, lock, kind, list, free_bytes; allocate is whatever takes room, change whatever changes or
    syncs something, any is all.
    """

    def drop_moments(self) -> None:
        """Forgets the moments kept so far."""

    def calls(self, kind: str = "change") -> int:
        """How often it was called, refused calls included."""

    def trace(self) -> list[Call]:
        """Calls that open, map, change or sync, oldest first: (number, kind, end of the path, offset, bytes, errno)."""

    def crash_at(self, number: int) -> None:
        """The power fails during this call of those that change or sync something, counted from the first; 0: never."""

    def crash(self) -> None:
        """The power fails now."""

    @property
    def off(self) -> bool:
        """Whether the power failed."""

    def clone(self, seed: int, mode: str) -> SimulatedFileSystem:
        """A disk that may be found if the power failed now, or was found when it did, as a new file system.

        Modes: "nothing" and "everything" of what was not synced; "ext4": one journal of names and lengths in order, a
        length only after the bytes below it, overwritten pieces in any order; "strict": any 512-byte or 4 KiB pieces,
        any length from old to new, zeros or bytes of gone files in what was never written, and of each directory any
        prefix of its changes. "killed": only the process died, so what is cached still is, and not more durable than
        it was. Same disk, seed and mode: same clone.
        """

    def record(self, every: int = 1, most: int = 100000) -> None:
        """From now on keeps the moment before every so-manieth change or sync, at most so many; 0: keeps none."""

    def moments(self) -> list[Moment]:
        """The moments kept so far, oldest first; they are handed over, and kept no longer."""

    note: int
    def fail(self, kind: str, nth: int, os_error: int, count: int | None = 1, *, halves: bool = False) -> None:
        """The nth call of that kind from now on, and count - 1 after it (None: all), answer `os_error`.

        0 is a lie: the call does nothing and says that it did. halves: a write that fails leaves half of its bytes.
        """

    def shorten(self, kind: str, nth: int, most: int, count: int | None = 1) -> None:
        """The nth read or write from now on, and count - 1 after it (None: all), transfer at most so many bytes."""

    def plan(self, kind: str, nth: int, count: int | None, os_error: int, halves: bool, most: int) -> None:
        """Adds one rule; `fail` and `shorten` say what each means."""

    def heal(self) -> None:
        """Nothing fails any more."""

    capacity: int | None
    @property
    def used_bytes(self) -> int:
        """Bytes that files take, in blocks of 4 KiB; removed ones that are still open included."""
