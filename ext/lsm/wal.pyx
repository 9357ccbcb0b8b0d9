"""The write-ahead log as Python sees it: opening, waiting, segments, counters, closing. The engine commits natively.

Guarantees: waits let the GIL go and answer signals; a log that is poisoned, closed or of another process raises.
Any thread, no lock, but for `close`, during which nothing else may run in the log.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from posix.unistd cimport getpid

from lsm.failure cimport fail
from lsm.pthreads cimport pthread_mutex_lock, pthread_mutex_unlock
from lsm.types cimport COUNTER_BITS, STATUS_OK, STATUS_WOULD_BLOCK, load64, load_int, store_int
from lsm.wal_opening cimport log_abandon, log_begin, log_close, log_free, log_leave, log_list, log_new, log_release
from lsm.wal_segments cimport log_drain, log_inherit_segment, log_rotate
from lsm.wal_signals cimport log_event_open, log_refuses, log_wake
from lsm.wal_sync cimport log_seal
from lsm.wal_spares cimport spares_shrink
from lsm.wal_state cimport WAL_MIN_RING, WAL_POISONED, segment_t
from lsm.waiting cimport refuses_to_wait, would_wait

import os
import threading

from lsm import errors

cdef enum:
    SLICE_US = 50000                  # a wait looks for signals this often

cdef u64 ENOUGH_US = 1000000000000    # eleven days: any longer timeout is as good


cdef int append_one(wal_t* w, u8* frame, size_t n, u32 changes, u16 flags, u64* seq, error_t* error) noexcept nogil:
    cdef int status = STATUS_WOULD_BLOCK
    while status == STATUS_WOULD_BLOCK:
        status = wal_reserve(w, n)
        if status == STATUS_OK:
            seq[0] = wal_append(w, frame, n, changes, flags)
        elif status == WAL_LARGE:
            status = wal_append_large(w, frame, n, changes, flags, seq, error)
        elif status == STATUS_WOULD_BLOCK:
            if wal_make_room(w, n, error) != STATUS_OK:
                return error.status
        else:
            wal_error(w, error)
    return status


cdef u64 power_of_two(u64 at_least) noexcept nogil:
    cdef u64 n = WAL_MIN_RING
    while n < at_least and n < <u64>1 << 40:
        n <<= 1
    return n


@cython.no_gc_clear
cdef class Wal:
    """An open write-ahead log, made by `create`. The engine commits through `native`; `append` is for tools and tests.

    Every method but `append` may be called from any thread. A poisoned log raises PoisonedError.
    """

    def __init__(self):
        raise TypeError("a log is made by Wal.create")

    @staticmethod
    def create(FileSystem fs, directory, bytes database_id not None, u64 epoch, u64 last_sequence,
               u64 first_segment_number, *, u64 ring_bytes=1 << 20, u64 segment_bytes=64 << 20, bint durable=True,
               u64 last_time_us=0, inherited=()):
        """A new opening of the log in `directory`, after what recovery found there was repaired. Its files and its thread
        come with the first commit: an opening that commits nothing leaves nothing.

        `last_sequence` is the last that was ever given, `inherited` what RecoveredLog.segments says. durable=False:
        no files, commits count as durable at once. `ring_bytes` is rounded up to a power of two.
        """
        cdef Wal self = Wal.__new__(Wal)
        cdef bytes path = os.fsencode(directory)
        cdef u64 last = max(last_sequence, epoch << COUNTER_BITS)
        if len(database_id) != 16:
            raise errors.InvalidArgumentError(f"the database id has {len(database_id)} bytes; it has 16")
        if durable and fs is None:
            raise errors.InvalidArgumentError("a durable log needs a file system; give one, or durable=False")
        if durable and last >> COUNTER_BITS > epoch:
            raise errors.InvalidArgumentError(f"epoch {epoch} does not follow sequence {last_sequence:#x}")
        self.files = fs
        self.directory = directory
        self.pid = getpid()
        self.door = threading.Lock()
        self.native = log_new(&fs.ops if durable else NULL, path, epoch, last, last_time_us, power_of_two(ring_bytes))
        if self.native == NULL:
            raise MemoryError
        memcpy(self.native.database_id, <const u8*>database_id, 16)
        self.native.salt = int.from_bytes(os.urandom(8), "little") | 1
        self.native.segment_bytes = segment_bytes
        self.native.next_number = first_segment_number
        if durable:
            self.inherit(inherited)
        return self

    cdef int inherit(self, segments) except -1:
        for number, first, last, size, *_ in segments:
            if log_inherit_segment(self.native, number, first, last, size) != STATUS_OK:
                raise MemoryError
        return 0

    def __dealloc__(self):
        if self.native == NULL:
            return
        if getpid() != self.pid:
            log_abandon(self.native)
            log_free(self.native, False)
            return
        if not self.closed:
            log_leave(self.native)
        log_free(self.native, True)

    cdef int check_fork(self) except -1:
        if getpid() != self.pid:
            raise errors.ForkedError("this log was opened in the parent of this process; open the database anew")
        return 0

    cdef int check_process(self) except -1:
        self.check_fork()
        if self.closed:
            raise errors.ClosedError("the log is closed")
        return 0

    cdef int check(self, int status, const error_t* error) except -1:
        if status >= 0:
            return 0
        cause = self.poisoned
        if cause is not None:
            raise errors.PoisonedError(
                cause.errno, f"the log takes no more commits, reopen the database: {cause.strerror}", cause.filename
            ) from cause
        return fail(error)

    @property
    def last_sequence(self):
        return wal_last(self.native)

    @property
    def durable_sequence(self):
        return wal_durable(self.native)

    @property
    def last_time_us(self):
        """Commit time of the last commit, microseconds since 1970."""
        return wal_time(self.native)

    @property
    def live_bytes(self):
        """Bytes of all segment files, those of earlier openings included, and of the ring's frames."""
        undrained = self.native.head - load64(&self.native.drained) if self.native.durable_log else 0
        return sum(segment[3] for segment in self.segments()) + undrained

    @property
    def poisoned(self):
        """The exception that poisoned the log, or None."""
        cdef error_t error
        if load_int(&self.native.state) != WAL_POISONED:
            return None
        log_refuses(self.native, &error)
        try:
            fail(&error)
        except errors.FileError as cause:
            return cause
        except Exception as cause:
            poison = errors.FileError(error.os_error, str(cause), None)
            poison.__cause__ = cause
            return poison

    def begin(self):
        """Makes files and thread of this opening now, as the first commit does; nothing where they are there."""
        cdef error_t error
        cdef int status
        self.check_process()
        with nogil:
            status = STATUS_OK if load_int(&self.native.begun) else log_begin(self.native, &error)
        self.check(status, &error)

    def append(self, bytes payload not None, u32 changes=1, u16 flags=0):
        """Commits a frame with that payload; its sequence. Not for an engine's log: it takes no lock of the engine."""
        return self.append_many(payload, 1, changes, flags)

    def append_many(self, bytes payload not None, u64 count, u32 changes=1, u16 flags=0):
        """Commits `count` frames with the same payload, without the GIL; the last one's sequence."""
        cdef size_t n = FRAME_HEADER + len(payload)
        cdef error_t error
        cdef u64 seq = 0
        cdef u64 i
        cdef int status = STATUS_OK
        self.check_process()
        cdef u8* frame = <u8*>malloc(n)
        if frame == NULL:
            raise MemoryError
        memcpy(frame + FRAME_HEADER, PyBytes_AS_STRING(payload), n - FRAME_HEADER)
        with self.door, nogil:
            for i in range(count):
                status = append_one(self.native, frame, n, changes, flags, &seq, &error)
                if status != STATUS_OK:
                    break
        free(frame)
        self.check(status, &error)
        return seq

    def sync(self):
        """Every commit so far survives a power failure on return."""
        self.sync_through(wal_last(self.native))

    def seal(self):
        """Every finished segment is durable and has its trailer on return, so that `release_through` may remove it."""
        cdef error_t error
        cdef int status
        self.check_process()
        if not self.native.durable_log:
            return
        with nogil:
            status = log_seal(self.native, &error)
        self.check(status, &error)

    def sync_through(self, u64 seq):
        cdef error_t error
        cdef int status
        self.check_process()
        if wal_durable(self.native) < seq and refuses_to_wait():
            would_wait("commits to be durable")
        with nogil:
            status = wal_sync_through(self.native, seq, &error)
        self.check(status, &error)

    def wait_durable(self, seq, timeout=None):
        """Whether commits through `seq` survive a power failure, waiting at most `timeout` seconds (None: until so)."""
        cdef error_t error
        cdef u64 want = seq
        cdef u64 left, part
        cdef int status = 0
        self.check_process()
        if want > wal_last(self.native):
            raise errors.InvalidArgumentError(f"{seq} was not committed yet; the last is {self.last_sequence}")
        left = ENOUGH_US if timeout is None else <u64>int(min(max(timeout * 1_000_000, 0), ENOUGH_US))
        while status == 0:
            part = left if left < SLICE_US else SLICE_US
            if part and wal_durable(self.native) < want and refuses_to_wait():
                would_wait("commits to be durable")
            with nogil:
                status = wal_wait_durable(self.native, want, part, &error)
            PyErr_CheckSignals()
            if timeout is not None:
                left -= part
                if left == 0:
                    break
        self.check(status, &error)
        return status == 1

    def durable_fd(self):
        """A descriptor that is readable when more became durable since it was read: os.read(fd, 4096), then look.

        From the first call on the log makes commits durable on its own, as fast as the disk does.
        """
        cdef int status
        self.check_process()
        status = log_event_open(self.native)
        if status < 0:
            raise errors.FileError(-status, os.strerror(-status))
        store_int(&self.native.follow, 1)
        log_wake(self.native)
        return self.native.event_read

    def rotate(self):
        """Finishes the current segment now, unless it is empty; a later sync, or `seal`, seals it. Where this opening has
        committed nothing yet, those of earlier ones are what it finishes: the log begins."""
        cdef error_t error
        cdef int status
        self.check_process()
        if not self.native.durable_log:
            return
        if not load_int(&self.native.begun):
            if self.segments():
                self.begin()
            return
        with nogil:
            pthread_mutex_lock(&self.native.drain_lock)
            status = log_drain(self.native, &error)
            if status == STATUS_OK:
                status = log_rotate(self.native, &error)
            pthread_mutex_unlock(&self.native.drain_lock)
        self.check(status, &error)

    def segments(self):
        """Oldest first: (number, first sequence, last sequence, bytes, whether it is the current one)."""
        cdef u64 count = 0
        cdef segment_t* list
        self.check_fork()
        with nogil:
            list = log_list(self.native, &count)
        if list == NULL:
            raise MemoryError
        found = [(list[i].number, list[i].first_seq, list[i].last_seq, list[i].bytes, i + 1 == count)
                 for i in range(count)]
        free(list)
        return found

    def release_through(self, u64 seq, bint spares=False):
        """Removes finished segments with no sequence beyond `seq`, oldest first; how many. Unsynced ones stay.

        With `spares` a few files are kept for segments to come, until `shrink_spares` or `close`.
        """
        cdef error_t error
        cdef i64 removed
        self.check_process()
        if not self.native.durable_log:
            return 0
        with nogil:
            removed = log_release(self.native, seq, spares, &error)
        self.check(<int>min(removed, 0), &error)
        return removed

    def shrink_spares(self, bint everything=False):
        """Removes the spare files if no segment began since the last call, or in any case; how many are left."""
        cdef u32 left
        self.check_process()
        if not self.native.durable_log:
            return 0
        with nogil:
            left = spares_shrink(self.native, everything)
        return left

    def stats(self):
        """Counters since `create`: numbers and bytes, by name."""
        cdef wal_t* w = self.native
        segments = self.segments()
        return {
            "frames": w.frame_count,
            "bytes": load64(&w.head),
            "large_frames": w.large_frames,
            "fsyncs": w.fsyncs,
            "drains": w.drains,
            "drained_bytes": w.drained_bytes,
            "ring_stalls": w.stalls,
            "ring_bytes": w.ring_bytes if w.ring != NULL else 0,
            "segments": len(segments),
            "segment_bytes": sum(segment[3] for segment in segments),
            "segments_created": w.segments_created,
            "segments_released": w.segments_released,
        }

    def close(self):
        """Makes everything durable, seals the last segment, removes the ring. Nothing else may run in the log.

        Where that fails it raises, is closed nonetheless, and what was committed waits in the files for recovery.
        """
        cdef error_t error
        cdef int status
        if self.closed or getpid() != self.pid:
            return
        self.closed = True
        with nogil:
            status = log_close(self.native, &error)
        self.check(status, &error)

    def abandon_after_fork(self):
        """In a child: lets go of the mapping and the descriptors. The parent's log goes on."""
        if getpid() == self.pid:
            raise errors.InvalidArgumentError("this process opened the log; close it")
        if not self.closed:
            self.closed = True
            log_abandon(self.native)
