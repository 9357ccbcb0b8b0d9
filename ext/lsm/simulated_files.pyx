"""A file system in memory that can lose power at any call, be told to fail, run full, and be lied about.

Guarantees: after the crash every call answers ESHUTDOWN and changes nothing; what was synced is on every disk that
survives. Any thread: one native mutex, never held across a wait. `fail`, `record` and the like while nothing runs.
"""
cimport cython
from cpython.bytes cimport PyBytes_FromString
from libc.stdlib cimport free
from libc.string cimport memset

from lsm.filesystem cimport FileSystem
from lsm.pthreads cimport pthread_mutex_destroy, pthread_mutex_init
from lsm.simulated_calls cimport (ALLOCATE, CHANGE, CLOSE, CREATE, FAULTS, FREE_BYTES, KIND, KINDS, LIST, LOCK, MAP,
                                  MKDIR, OPEN, READ, RENAME, SIZE, SYNC, SYNC_DIR, TRUNCATE, UNLINK, WRITE, fault_t,
                                  locked, moment_t, simulated_operations, simulation_t, unlocked)
from lsm.simulated_disk cimport disk_copy, disk_free, disk_look, disk_new, disk_t, disk_used
from lsm.simulated_survivors cimport (MODE_EVERYTHING, MODE_EXT4, MODE_KILLED, MODE_NOTHING, MODE_STRICT,
                                      disk_survivor)
from lsm.types cimport i64, u64

import errno

from lsm.errors import InvalidArgumentError

cdef u64 EACH_ONCE = ((<u64>1 << KINDS) - 1) & ~<u64>(1 << CREATE | 1 << ALLOCATE | 1 << CHANGE)

KIND_NAMES = {
    "open": 1 << OPEN, "create": 1 << CREATE, "close": 1 << CLOSE, "read": 1 << READ, "write": 1 << WRITE,
    "sync": 1 << SYNC, "truncate": 1 << TRUNCATE, "size": 1 << SIZE, "map": 1 << MAP, "unlink": 1 << UNLINK,
    "rename": 1 << RENAME, "mkdir": 1 << MKDIR, "sync_dir": 1 << SYNC_DIR, "lock": 1 << LOCK, "kind": 1 << KIND,
    "list": 1 << LIST, "free_bytes": 1 << FREE_BYTES, "allocate": 1 << ALLOCATE, "change": 1 << CHANGE,
}
MODES = {"nothing": MODE_NOTHING, "everything": MODE_EVERYTHING, "ext4": MODE_EXT4, "strict": MODE_STRICT,
         "killed": MODE_KILLED}


cdef u64 mask_of(kind) except 0:
    if kind == "any":
        return ~<u64>0
    if kind not in KIND_NAMES:
        raise InvalidArgumentError(f"no kind of call {kind!r}; there are {', '.join(KIND_NAMES)} and any")
    return KIND_NAMES[kind]


cdef int mode_of(mode) except -1:
    if mode not in MODES:
        raise InvalidArgumentError(f"no mode {mode!r}; there are {', '.join(MODES)}")
    return MODES[mode]


cdef SimulatedFileSystem survivor(disk_t* disk, int mode, u64 seed):
    cdef SimulatedFileSystem files = SimulatedFileSystem.__new__(SimulatedFileSystem)
    cdef disk_t* found
    with nogil:
        found = disk_survivor(disk, mode, seed)
    if found == NULL:
        raise MemoryError
    files.take(found)
    return files


@cython.final
@cython.no_gc_clear
cdef class Moment:
    """The disk and its cache as they were when a call that changes or syncs something began."""
    cdef disk_t* disk
    cdef readonly u64 number
    cdef readonly u64 note
    cdef readonly list trace

    def __init__(self):
        raise TypeError("a moment comes from SimulatedFileSystem.moments()")

    def __dealloc__(self):
        disk_free(self.disk)

    def clone(self, u64 seed, mode):
        """A disk that may be found after a power failure at this moment; see SimulatedFileSystem.clone."""
        return survivor(self.disk, mode_of(mode), seed)


@cython.no_gc_clear
cdef class SimulatedFileSystem(FileSystem):
    """Files that go with this object, of which it knows what is durable. A directory is a prefix, durable unless made.

    Kinds of calls: open, create (an open that makes a file), close, read, write, sync, truncate, size, map, unlink,
    rename, mkdir, sync_dir, lock, kind, list, free_bytes; allocate is whatever takes room, change whatever changes or
    syncs something, any is all.
    """

    def __cinit__(self):
        memset(&self.s, 0, sizeof(simulation_t))
        pthread_mutex_init(&self.s.lock, NULL)
        self.s.disk = disk_new()
        if self.s.disk == NULL:
            raise MemoryError
        simulated_operations(&self.ops, &self.s)

    def __dealloc__(self):
        self.drop_moments()
        disk_free(self.s.disk)
        free(self.s.handles)
        free(self.s.calls)
        pthread_mutex_destroy(&self.s.lock)

    cdef take(self, disk_t* disk):
        disk_free(self.s.disk)
        self.s.disk = disk

    def drop_moments(self):
        """Forgets the moments kept so far."""
        cdef u64 i
        for i in range(self.s.moment_count):
            disk_free(self.s.moments[i].disk)
        free(self.s.moments)
        self.s.moments = NULL
        self.s.moment_count = self.s.moment_room = 0

    # ---- counting and tracing

    def calls(self, kind="change"):
        """How often it was called, refused calls included."""
        cdef u64 mask = mask_of(kind) if kind != "any" else EACH_ONCE
        cdef u64 n = 0
        cdef int i
        for i in range(KINDS):
            n += self.s.counts[i] if (mask >> i) & 1 else 0
        return n

    def trace(self):
        """Calls that open, map, change or sync, oldest first: (number, kind, end of the path, offset, bytes, errno)."""
        cdef simulation_t* s = locked(&self.s)
        try:
            return traced(s, s.call_count, s.call_count)
        finally:
            unlocked(s, 0)

    # ---- the crash

    def crash_at(self, u64 number):
        """The power fails during this call of those that change or sync something, counted from the first; 0: never."""
        self.s.crash_at = number

    def crash(self):
        """The power fails now."""
        cdef simulation_t* s = locked(&self.s)
        if not s.off:
            disk_look(s.disk)
            s.off = True
        unlocked(s, 0)

    @property
    def off(self):
        """Whether the power failed."""
        return bool(self.s.off)

    def clone(self, u64 seed, mode):
        """A disk that may be found if the power failed now, or was found when it did, as a new file system.

        Modes: "nothing" and "everything" of what was not synced; "ext4": one journal of names and lengths in order, a
        length only after the bytes below it, overwritten pieces in any order; "strict": any 512-byte or 4 KiB pieces,
        any length from old to new, zeros or bytes of gone files in what was never written, and of each directory any
        prefix of its changes. "killed": only the process died, so what is cached still is, and not more durable than
        it was. Same disk, seed and mode: same clone.
        """
        cdef simulation_t* s = locked(&self.s)
        cdef disk_t* disk
        if not s.off:
            disk_look(s.disk)
        disk = disk_copy(s.disk)
        unlocked(s, 0)
        if disk == NULL:
            raise MemoryError
        try:
            return survivor(disk, mode_of(mode), seed)
        finally:
            disk_free(disk)

    def record(self, u64 every=1, u64 most=100000):
        """From now on keeps the moment before every so-manieth change or sync, at most so many; 0: keeps none."""
        self.s.every = every
        self.s.moments_most = most

    def moments(self):
        """The moments kept so far, oldest first; they are handed over, and kept no longer."""
        cdef simulation_t* s = locked(&self.s)
        cdef moment_t* kept = s.moments
        cdef u64 count = s.moment_count
        cdef Moment moment
        cdef u64 i
        s.moments = NULL
        s.moment_count = s.moment_room = 0
        unlocked(s, 0)
        found = []
        for i in range(count):
            moment = Moment.__new__(Moment)
            moment.disk = kept[i].disk
            moment.number = kept[i].number
            moment.note = kept[i].note
            moment.trace = traced(&self.s, kept[i].traced, 40)
            found.append(moment)
        free(kept)
        return found

    @property
    def note(self):
        """A number of the user's that every moment remembers."""
        return self.s.note

    @note.setter
    def note(self, u64 number):
        cdef simulation_t* s = locked(&self.s)
        s.note = number
        unlocked(s, 0)

    # ---- faults

    def fail(self, kind, u64 nth, int os_error, count=1, *, bint halves=False):
        """The nth call of that kind from now on, and count - 1 after it (None: all), answer `os_error`.

        0 is a lie: the call does nothing and says that it did. halves: a write that fails leaves half of its bytes.
        """
        self.plan(kind, nth, count, os_error, halves, 0)

    def shorten(self, kind, u64 nth, u64 most, count=1):
        """The nth read or write from now on, and count - 1 after it (None: all), transfer at most so many bytes."""
        if most == 0:
            raise InvalidArgumentError("most is 0; a transfer of nothing is the end of a file, or no progress")
        self.plan(kind, nth, count, 0, False, most)

    def plan(self, kind, u64 nth, count, int os_error, bint halves, u64 most):
        """Adds one rule; `fail` and `shorten` say what each means."""
        cdef int i
        cdef fault_t* f
        cdef u64 mask = mask_of(kind)
        if nth == 0:
            raise InvalidArgumentError("nth counts from 1")
        for i in range(FAULTS):
            f = &self.s.faults[i]
            if f.count == 0:
                f[0] = fault_t(mask=mask, skip=nth - 1, count=~<u64>0 if count is None else count, os_error=os_error,
                               halves=halves, most=most)
                return
        raise InvalidArgumentError(f"there are {FAULTS} rules already; heal() takes them back")

    def heal(self):
        """Nothing fails any more."""
        cdef simulation_t* s = locked(&self.s)
        memset(s.faults, 0, sizeof(s.faults))
        unlocked(s, 0)

    # ---- room

    @property
    def capacity(self):
        """Bytes that files may take, in blocks of 4 KiB; None: no end."""
        return self.s.disk.capacity or None

    @capacity.setter
    def capacity(self, bytes_or_none):
        cdef u64 room = 0 if bytes_or_none is None else max(1, bytes_or_none)
        cdef simulation_t* s = locked(&self.s)
        s.disk.capacity = room
        unlocked(s, 0)

    @property
    def used_bytes(self):
        """Bytes that files take, in blocks of 4 KiB; removed ones that are still open included."""
        cdef simulation_t* s = locked(&self.s)
        return unlocked(s, <i64>disk_used(s.disk))


cdef list traced(simulation_t* s, u64 upto, u64 most):
    cdef u64 i
    names = {bit: name for name, bit in KIND_NAMES.items()}
    found = []
    for i in range(upto - most if upto > most else 0, upto):
        c = &s.calls[i]
        code = errno.errorcode.get(-c.result, "") if c.result else ""
        found.append((c.number, names[1 << c.kind], PyBytes_FromString(c.name).decode("utf-8", "replace"),
                      c.offset, c.n, code))
    return found
