"""Scans: the iterator over a keyspace as it stood at one moment.

Guarantees: sees exactly the commits up to its sequence; holds memtables, tables and blocks only while it lives or until
it ends. In memory it never lets go of the GIL; for a cold block it does. One thread steps it at a time.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
cimport cython
from libc.stdlib cimport free, malloc

import operator

from lsm import errors

from lsm.cursors cimport (STEP_END, STEP_OK, merge_add_memtable, merge_add_run, merge_free, merge_new, merge_next,
                          source_t)
from lsm.core cimport (STATE_FORKED, STATE_OPEN, WORK_COMPACT, WORK_FLUSH, ask_for, core_leave, core_lock,
                       core_lock_quietly, core_t, core_unlock, partition_of, partition_t, raise_state)
from lsm.failure cimport fail
from lsm.keys cimport first8, key_compare
from lsm.keyspace cimport collection_prefix, key_object, key_t, release_key, take_key
from lsm.memtable cimport memtable_t, node_key, node_t, walk_next, walk_t
from lsm.order cimport mem_cursor_init, mem_cursor_seek, mem_cursor_t, memtable_catch_up, memtable_unordered
from lsm.pthreads cimport pthread_mutex_lock
from lsm.superversions cimport superversion_release
from lsm.table cimport READ_NOWAIT, READ_UNLESS_DISK, READ_WAIT, table_find_block, table_t
from lsm.types cimport KIND_DELETE, STATUS_OK, STATUS_WOULD_BLOCK, STATUS_WOULD_READ, error_t, get64_be, u8, u32, u64
from lsm.waiting cimport refuses_to_wait, would_wait

cdef enum:
    ORDER_WITHOUT_GIL = 4096           # keys to bring in order from which on the GIL is let go
    TELL_AFTER = 256                   # tombstones stepped over before the background hears of it
    SIGNALS_AFTER = 65536
    HELP_AFTER = 4096                  # tombstones stepped over in a partition before it is flushed or compacted
    SAMPLE = 256

cdef u64 MAX_SEGMENTS = <u64>1 << 32    # more would be no use: a segment of that many has a few keys of a billion

cdef bint making = False               # set while open_scan makes one: no other way leads to a scan


cdef object as_bytes(object value, str what):
    if value is None or type(value) is bytes:
        return value
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise TypeError(f"{what} is bytes or supports the buffer protocol, not {type(value).__name__}") from None


cdef bytes after_prefix(bytes prefix):
    """The least key above every key that begins with `prefix`; None where there is none."""
    cdef bytes stripped = prefix.rstrip(b"\xff")
    cdef Py_ssize_t last = len(stripped) - 1
    if last < 0:
        return None
    return stripped[:last] + bytes([stripped[last] + 1])


cdef bytes engine_key(Keyspace keyspace, object key, str what):
    """The engine key of a (partition key, sort key) bound."""
    cdef key_t k
    cdef bytes result
    if key is None:
        return None
    if not isinstance(key, tuple):
        raise TypeError(f"{what} of a scan over a whole composite keyspace is (partition key, sort key); "
                        "with partition= it is a sort key")
    take_key(keyspace.k, keyspace.engine.c.seed, key, &k)
    result = PyBytes_FromStringAndSize(<const char*>k.p, k.n)
    release_key(&k)
    return result


cdef bytes segment_begin(object index, object count):
    """The least engine key of a segment, which is a range of hashes; None behind the last."""
    cdef object first = -((index << 64) // -count)
    return first.to_bytes(8, "big") if first < 1 << 64 else None


cdef tuple segment_bounds(Keyspace keyspace, object segment, bytes low, bytes high):
    """(low, high) within the segment (index, count) of a composite keyspace."""
    cdef object index
    cdef object count
    cdef bytes begin
    cdef bytes end
    if not keyspace.k.composite:
        raise errors.InvalidArgumentError("segment= is for composite keyspaces, whose scans are in hash order")
    if not isinstance(segment, tuple) or len(segment) != 2:
        raise TypeError("segment is a tuple (index, count)")
    index = operator.index(segment[0])
    count = operator.index(segment[1])
    if not 0 <= index < count <= MAX_SEGMENTS:
        raise errors.InvalidArgumentError(
            f"segment is (index, count) with 0 <= index < count <= {MAX_SEGMENTS:,}, not ({index}, {count})")
    begin = segment_begin(index, count)
    end = segment_begin(index + 1, count)
    if low is None or begin > low:
        low = begin
    if end is not None and (high is None or end < high):
        high = end
    return low, high


cdef tuple bounds(Keyspace keyspace, object start, object stop, object prefix, object partition):
    """(low, high) as engine keys."""
    cdef bytes base = b""
    cdef bytes low
    cdef bytes high
    if keyspace.k.composite and partition is None:
        if prefix is not None:
            raise errors.InvalidArgumentError("a prefix of sort keys needs partition=")
        return engine_key(keyspace, start, "start"), engine_key(keyspace, stop, "stop")
    if partition is not None:
        if not keyspace.k.composite:
            raise errors.InvalidArgumentError("partition= is for composite keyspaces; this one has plain keys")
        base = collection_prefix(keyspace.engine.c.seed, partition)
    start = as_bytes(start, "start")
    stop = as_bytes(stop, "stop")
    prefix = as_bytes(prefix, "prefix")
    low = base if start is None else base + start
    if prefix is not None and base + prefix > low:
        low = base + prefix
    high = after_prefix(base + prefix) if prefix is not None else (after_prefix(base) if base else None)
    if stop is not None and (high is None or base + stop < high):
        high = base + stop
    return low or None, high


cdef Scan open_scan(Keyspace keyspace, object start, object stop, object prefix, bint reverse, object limit,
                    bint values, object partition, u64 seq, object segment=None):
    global making
    cdef Scan scan
    cdef bint before = making          # the collector may run a finalizer that makes another meanwhile
    making = True
    try:
        scan = Scan.__new__(Scan)
    finally:
        making = before
    cdef object count
    scan.engine = keyspace.engine
    scan.keyspace = keyspace
    scan.k = keyspace.k
    scan.reverse = reverse
    scan.values = values
    scan.composite = keyspace.k.composite
    scan.left = <u64>-1
    if limit is not None:
        count = operator.index(limit)
        if count < 0:
            raise errors.InvalidArgumentError(f"limit is a count of entries, 0 or more, not {count}")
        if count < 1 << 63:
            scan.left = count
    if start is not None or stop is not None or prefix is not None or partition is not None:
        scan.low, scan.high = bounds(keyspace, start, stop, prefix, partition)
    if segment is not None:
        if partition is not None:
            raise errors.InvalidArgumentError("segment= and partition= exclude each other")
        scan.low, scan.high = segment_bounds(keyspace, segment, scan.low, scan.high)
    scan.begin(seq, partition)
    return scan


@cython.no_gc_clear                    # __dealloc__ needs the engine
cdef class Scan:
    """An iterator over entries of a keyspace as they stood when it was made; a context manager; `close` ends it early."""

    def __cinit__(self):
        if not making:
            raise TypeError("scans are opened with keyspace.scan()")

    def __dealloc__(self):
        self.release()

    cdef int begin(self, u64 seq, object only_partition) except -1:
        cdef core_t* c = self.engine.c
        cdef keyspace_t* k = self.k
        cdef u32 first = 0
        cdef u32 count = k.partition_count
        cdef u32 i
        cdef bint empty = self.left == 0 or (self.low is not None and self.high is not None and self.low >= self.high)
        cdef bytes end = self.low if self.reverse else self.high
        if self.low is not None:
            self.low_p = <const u8*>PyBytes_AS_STRING(self.low)
            self.low_bytes = <u32>PyBytes_GET_SIZE(self.low)
        if self.high is not None:
            self.high_p = <const u8*>PyBytes_AS_STRING(self.high)
            self.high_bytes = <u32>PyBytes_GET_SIZE(self.high)
        self.origin = self.high_p if self.reverse else self.low_p
        self.origin_bytes = self.high_bytes if self.reverse else self.low_bytes
        if end is not None:
            self.bound = <const u8*>PyBytes_AS_STRING(end)
            self.bound_bytes = <u32>PyBytes_GET_SIZE(end)
            self.bound8 = first8(self.bound, self.bound_bytes)
        self.held = <superversion_t**>malloc(count * sizeof(superversion_t*))
        if self.held == NULL:
            raise MemoryError()
        core_lock(c)
        if k.dropped:
            core_unlock(c)
            raise errors.KeyspaceDroppedError("this keyspace was dropped; db.keyspace(name) makes a new one")
        self.seq = seq if seq < c.sequence else c.sequence
        if empty:
            self.finished = True
            core_unlock(c)
            return 0
        if only_partition is not None:
            first = partition_of(k, get64_be(<const u8*>PyBytes_AS_STRING(self.low))).number
            count = 1
        for i in range(count):
            self.held[i] = k.partitions[first + i].sv
            self.held[i].refs += 1
        self.held_count = count
        return self.open_sources(c)

    cdef int open_sources(self, core_t* c) except -1:
        """Under the lock on entry, free on return. Long ordering of a memtable is done without the GIL."""
        cdef u32 i, j
        cdef u32 sources = 0
        cdef u64 unordered = 0
        cdef int status
        for i in range(self.held_count):
            sources += 1 + self.held[i].frozen_count + self.held[i].start[1] + self.held[i].levels
            unordered += memtable_unordered(self.held[i].mem)
            for j in range(self.held[i].frozen_count):
                unordered += memtable_unordered(self.held[i].frozen[j])
        self.merge = merge_new(c, self.reverse, False, sources)
        if self.merge == NULL:
            core_unlock(c)
            raise MemoryError()
        if unordered >= ORDER_WITHOUT_GIL:
            if refuses_to_wait():
                core_unlock(c)
                would_wait("the keys of a memtable to be put in order")
            c.active += 1
            core_unlock(c)
            with nogil:
                pthread_mutex_lock(&c.lock)
                status = self.add_sources()
                core_leave(c)
                core_unlock(c)
        else:
            status = self.add_sources()
            core_unlock(c)
        if status != STATUS_OK:
            raise MemoryError()
        return 0

    cdef int add_sources(self) noexcept nogil:
        cdef u32 i
        cdef int status
        for i in range(self.held_count):
            status = self.add_partition(self.held[i])
            if status != STATUS_OK:
                return status
        return STATUS_OK

    cdef int add_partition(self, superversion_t* sv) noexcept nogil:
        """Newest first: memtable, frozen ones, level 0, deeper levels as one run each."""
        cdef u32 i
        cdef int status = self.add_memtable(sv.mem)
        cdef u32 level
        for i in range(sv.frozen_count):
            if status == STATUS_OK:
                status = self.add_memtable(sv.frozen[i])
        for i in range(sv.start[1]):
            if status == STATUS_OK:
                status = self.add_run(&sv.tables[i], 1)
        for level in range(1, sv.levels):
            if status == STATUS_OK and sv.start[level + 1] > sv.start[level]:
                status = self.add_run(&sv.tables[sv.start[level]], sv.start[level + 1] - sv.start[level])
        return status

    cdef int add_memtable(self, memtable_t* m) noexcept nogil:
        cdef mem_cursor_t* cursor
        cdef int status
        if m.nodes == 0:
            return STATUS_OK
        cursor = <mem_cursor_t*>malloc(sizeof(mem_cursor_t))
        if cursor == NULL:
            return -1
        mem_cursor_init(cursor, m, self.seq, self.reverse)
        if self.left < cursor.want:
            cursor.want = <u32>self.left + 1
        status = mem_cursor_seek(cursor, self.origin, self.origin_bytes)
        if status != STATUS_OK or cursor.count == 0:
            free(cursor)
            return status
        return merge_add_memtable(self.merge, cursor)

    cdef int add_run(self, table_t** tables, u32 count) noexcept nogil:
        """A run that lies outside the bounds is left out."""
        cdef table_t* first = tables[0]
        cdef table_t* last = tables[count - 1]
        if self.low_p != NULL and key_compare(last.info.largest, last.info.largest_bytes, self.low_p,
                                              self.low_bytes) < 0:
            return STATUS_OK
        if self.high_p != NULL and key_compare(first.info.smallest, first.info.smallest_bytes, self.high_p,
                                               self.high_bytes) >= 0:
            return STATUS_OK
        return merge_add_run(self.merge, tables, count, self.seq, self.origin, self.origin_bytes)

    def __iter__(self):
        return self

    def __next__(self):
        cdef core_t* c = self.engine.c
        cdef source_t* s
        cdef error_t error
        cdef int status
        cdef object key
        cdef object value
        if c.state != STATE_OPEN:
            raise_state(c)
        if self.closed:
            self.raise_closed()
        if self.finished:
            raise StopIteration
        if self.busy:
            raise errors.BusyError("another thread takes an entry of this scan now; give each thread a scan of its own")
        while True:
            status = merge_next(self.merge, READ_NOWAIT, &error)
            if status == STATUS_WOULD_BLOCK or status == STATUS_WOULD_READ:
                status = self.step_waiting(status)
            if status != STEP_OK:
                self.release()
                if status == STEP_END:
                    raise StopIteration
                fail(&error)
            s = &self.merge.sources[self.merge.current]
            if self.bound != NULL and self.past_bound(s):
                self.release()
                raise StopIteration
            if s.kind != KIND_DELETE:
                break
            self.skipped += 1
            if (self.skipped & (TELL_AFTER - 1)) == 0:
                self.busy = True       # the call may let the GIL go, or run a signal handler
                try:
                    self.tell_skipped()
                finally:
                    self.step_ends()
                if self.closed:
                    self.raise_closed()
        # The value first: a key of two parts is a tuple, whose making may run a finalizer that steps or ends this scan.
        value = PyBytes_FromStringAndSize(<const char*>s.value, s.value_bytes) if self.values else None
        if self.composite:
            key = key_object(s.key, s.key_bytes, True)
        else:
            key = PyBytes_FromStringAndSize(<const char*>s.key, s.key_bytes)
        self.count_down()
        return (key, value) if self.values else key

    cdef void count_down(self):
        if self.left:
            self.left -= 1
        if self.left == 0:
            self.release()

    cdef bint past_bound(self, const source_t* s) noexcept nogil:
        cdef int order
        if s.prefix != self.bound8:
            return (s.prefix > self.bound8) != self.reverse
        order = key_compare(s.key, s.key_bytes, self.bound, self.bound_bytes)
        return order < 0 if self.reverse else order >= 0

    cdef int step_waiting(self, int status) except -2:
        """The same step without the GIL, waiting for lock and disk. The step's status; errors are raised.

        `status`: why it is not done yet. A step that this thread refuses to wait for leaves the scan where it was.
        """
        cdef core_t* c = self.engine.c
        cdef error_t error
        cdef int how = READ_WAIT
        if refuses_to_wait():
            how = READ_UNLESS_DISK
            if status == STATUS_WOULD_READ:
                error.status = status
                fail(&error)
        # busy before the lock: waiting for it lets the GIL go, and another thread could step or close this scan
        self.busy = True
        try:
            core_lock(c)
        except BaseException:
            self.step_ends()
            raise
        c.active += 1
        core_unlock(c)
        with nogil:
            status = merge_next(self.merge, how, &error)
            pthread_mutex_lock(&c.lock)
            core_leave(c)
            core_unlock(c)
        self.step_ends()
        if c.state != STATE_OPEN:
            raise_state(c)
        if self.closed:
            self.raise_closed()
        if status == STATUS_WOULD_BLOCK or status == STATUS_WOULD_READ:
            error.status = status
            fail(&error)
        if status < 0:
            self.release()
            fail(&error)
        return status

    cdef int tell_skipped(self) except -1:
        """Piles of tombstones make reads slow: the background flushes or compacts where they lie."""
        cdef core_t* c = self.engine.c
        cdef u32 i
        cdef u32 work = 0
        core_lock(c)
        c.tombstones_skipped += TELL_AFTER
        for i in range(self.k.partition_count):
            if self.held_count == 1 and self.k.partitions[i].sv != self.held[0] and self.k.partition_count > 1:
                continue
            self.k.partitions[i].tombstones_skipped += TELL_AFTER
            if self.k.partitions[i].tombstones_skipped >= HELP_AFTER:
                work = WORK_FLUSH | WORK_COMPACT
        if work:
            ask_for(c, work)
        core_unlock(c)
        if (self.skipped & (SIGNALS_AFTER - 1)) == 0:
            PyErr_CheckSignals()
        return 0

    cdef void release(self) noexcept:
        """Lets go of everything held; a stepping thread that still needs it keeps it."""
        cdef core_t* c
        cdef u32 i
        if self.busy:
            return
        self.finished = True
        if self.merge == NULL and self.held == NULL:
            return
        c = self.engine.c
        if c.state != STATE_FORKED and core_lock_quietly(c):
            if self.merge != NULL:
                merge_free(self.merge)
            for i in range(self.held_count):
                superversion_release(c, self.held[i])
            core_unlock(c)
        self.merge = NULL
        self.held_count = 0
        free(self.held)
        self.held = NULL

    cdef void step_ends(self) noexcept:
        """`busy` ends, and what `close` could not let go of meanwhile goes."""
        self.busy = False
        if self.closed:
            self.release()

    cdef int raise_closed(self) except -1:
        raise errors.ClosedError("this scan was closed; start a new one")

    def close(self):
        """Ends the scan and lets go of files and memory. Harmless when repeated.

        Where another thread is taking an entry, that raises `ClosedError` there and lets go as soon as it is back.
        """
        self.closed = True
        self.release()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()


def approximate_bytes(Keyspace keyspace, start, stop):
    """Stored bytes of the blocks in the range, and the memtables' share of it."""
    cdef core_t* c = keyspace.engine.c
    cdef bytes low
    cdef bytes high
    cdef u32 i, j
    cdef superversion_t* sv
    cdef double total = 0
    low, high = bounds(keyspace, start, stop, None, None)
    core_lock(c)
    for i in range(keyspace.k.partition_count):
        sv = keyspace.k.partitions[i].sv
        total += memtable_share(sv.mem, low, high)
        for j in range(sv.frozen_count):
            total += memtable_share(sv.frozen[j], low, high)
        for j in range(sv.table_count):
            total += table_share(sv.tables[j], low, high)
    core_unlock(c)
    return int(total)


cdef double table_share(const table_t* t, bytes low, bytes high):
    cdef u32 first = 0
    cdef u32 last = t.block_count
    if low is not None:
        first = table_find_block(t, <const u8*>PyBytes_AS_STRING(low), <u32>PyBytes_GET_SIZE(low))
    if high is not None:
        last = table_find_block(t, <const u8*>PyBytes_AS_STRING(high), <u32>PyBytes_GET_SIZE(high))
        if last < t.block_count and key_compare(
                t.info.smallest, t.info.smallest_bytes, <const u8*>PyBytes_AS_STRING(high),
                PyBytes_GET_SIZE(high)) < 0:
            last += 1
    if last <= first:
        return 0
    return <double>(t.offsets[last] - t.offsets[first])


cdef double memtable_share(const memtable_t* m, bytes low, bytes high):
    """By the first keys that came, which are as good as any."""
    cdef walk_t w
    cdef node_t* n
    cdef u32 seen = 0
    cdef u32 inside = 0
    if m.nodes == 0:
        return 0
    w.chunk = m.chunks
    w.used = 0
    while seen < SAMPLE:
        n = walk_next(&w)
        if n == NULL:
            break
        seen += 1
        if low is not None and key_compare(node_key(n), n.key_bytes, <const u8*>PyBytes_AS_STRING(low),
                                           PyBytes_GET_SIZE(low)) < 0:
            continue
        if high is not None and key_compare(node_key(n), n.key_bytes, <const u8*>PyBytes_AS_STRING(high),
                                            PyBytes_GET_SIZE(high)) >= 0:
            continue
        inside += 1
    return <double>m.bytes * inside / seen
