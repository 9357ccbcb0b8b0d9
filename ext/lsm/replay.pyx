"""Replay: what the log holds and tables do not goes back into memtables, in commit order.

Guarantees: changes that tables hold already (up to the partition's flushed sequence) and those of dropped keyspaces are
left out. One thread, while the database opens; without the GIL from one keyspace record or full memtable to the next.
"""
from lsm.core cimport core_t, keyspace_t, partition_of, partition_t
from lsm.engine cimport Engine
from lsm.failure cimport fail, set_corruption, set_newer_format, set_no_memory
from lsm.keys cimport ENGINE_KEY_MAX
from lsm.memtable cimport memtable_add, memtable_prepare, memtable_t
from lsm.pthreads cimport pthread_mutex_lock, pthread_mutex_unlock
from lsm.superversions cimport freeze
from lsm.types cimport (KIND_DELETE, KIND_KEYSPACE_CREATED, KIND_KEYSPACE_DROPPED, KIND_KEYSPACE_OPTIONS, KIND_PUT,
                        MAX_VALUE_BYTES, STATUS_OK, error_t, get64_be, u8, u32, u64)
from lsm.wal_changes cimport change_view_t, wal_next_change
from lsm.wal_format cimport frame_view_t
from lsm.wal_recovery cimport RecoveredLog
from lsm.xxh64 cimport xxh64

import os

cdef enum:
    REPLAY_END = 0
    REPLAY_RECORD = 1                  # a keyspace record stands in `change`
    REPLAY_FULL = 2                    # memtables are full: flush, then go on


cdef class Replay:
    """One pass over a recovered log. `step` until it returns None."""
    cdef Engine engine
    cdef RecoveredLog log
    cdef frame_view_t frame
    cdef change_view_t change
    cdef u64 known_ids                 # ids below were given at some time: unknown ones among them were dropped
    cdef public bint keep_in_memory    # full memtables are not reported: nothing can be flushed
    cdef readonly unsigned long long frames
    cdef readonly unsigned long long changes
    cdef readonly unsigned long long sequence
    cdef readonly unsigned long long time

    def __init__(self, Engine engine, RecoveredLog log, unsigned long long from_sequence, unsigned long long known_ids):
        self.engine = engine
        self.log = log
        self.known_ids = known_ids
        log.rewind_native(from_sequence)

    def step(self):
        """("record", kind, keyspace id, key, value, sequence) where Python has to apply a keyspace record,
        ("full",) where memtables have to be flushed before it goes on, None at the end."""
        cdef error_t error
        cdef int status
        with nogil:
            status = self.run(&error)
        if status < 0:
            fail(&error)
        if status == REPLAY_FULL:
            return ("full",)
        if status == REPLAY_RECORD:
            if self.change.keyspace >= self.known_ids:
                self.known_ids = <u64>self.change.keyspace + 1
            return ("record", self.change.kind, self.change.keyspace,
                    (<const char*>self.change.key)[:self.change.key_bytes],
                    (<const char*>self.change.value)[:self.change.value_bytes], self.frame.sequence)
        return None

    @property
    def place(self):
        """(path, offset) of the frame that the last step was at."""
        return os.fsdecode(self.log.frame_path()), self.log.frame_offset

    cdef int run(self, error_t* error) noexcept nogil:
        cdef core_t* c = self.engine.c
        cdef int status
        while True:
            status = self.log.next_frame(&self.frame)
            if status <= 0:
                if status < 0:
                    error[0] = self.log.error
                return status
            self.frames += 1
            pthread_mutex_lock(&c.lock)
            status = self.apply(c, error)
            c.sequence = self.frame.sequence
            c.time = self.frame.time
            self.sequence = self.frame.sequence
            self.time = self.frame.time
            # between frames only: a batch lies in one memtable generation per partition
            if status == REPLAY_END and c.memtables_used >= c.memtable_bytes and not self.keep_in_memory:
                freeze_large(c)
                if c.frozen > 0:
                    status = REPLAY_FULL
            pthread_mutex_unlock(&c.lock)
            if status != REPLAY_END:
                return status

    cdef int apply(self, core_t* c, error_t* error) noexcept nogil:
        """The changes of one frame; a keyspace record stands alone in its frame."""
        cdef const u8* p = self.frame.payload
        cdef const u8* end = p + self.frame.bytes
        cdef keyspace_t* k
        cdef change_view_t* x = &self.change
        while p < end:
            p = wal_next_change(p, end, x)
            if p == NULL:
                return set_corruption(error, "a change in a log frame", self.log.frame_path(), self.log.frame_offset,
                                      self.frame.sequence, 0)
            if x.kind == KIND_KEYSPACE_CREATED or x.kind == KIND_KEYSPACE_DROPPED or x.kind == KIND_KEYSPACE_OPTIONS:
                return REPLAY_RECORD
            if x.kind != KIND_PUT and x.kind != KIND_DELETE:
                return set_newer_format(error, self.log.frame_path(), x.kind, KIND_DELETE)
            if x.key_bytes > ENGINE_KEY_MAX or x.value_bytes > MAX_VALUE_BYTES:
                return set_corruption(error, "length of a key or value in a log frame", self.log.frame_path(),
                                      self.log.frame_offset, ENGINE_KEY_MAX, x.key_bytes)
            self.changes += 1
            k = c.keyspaces[x.keyspace] if x.keyspace < c.keyspace_room else NULL
            if k == NULL or k.dropped:
                if x.keyspace >= self.known_ids:
                    return set_corruption(error, "a log frame names a keyspace that was never made",
                                          self.log.frame_path(), self.log.frame_offset, self.known_ids, x.keyspace)
                continue
            if put_back(c, k, x, self.frame.sequence, self.frame.time) != STATUS_OK:
                return set_no_memory(error)
        return REPLAY_END


cdef void freeze_large(core_t* c) noexcept nogil:
    """Memtables that are full; all of them where they are many small ones that fill the budget together."""
    cdef u32 i, j
    cdef keyspace_t* k
    cdef size_t most = c.memtable_bytes if c.memtables_used * 4 < c.memtables_budget * 3 else 0
    for i in range(c.keyspace_room):
        k = c.keyspaces[i]
        if k == NULL or k.dropped:
            continue
        for j in range(k.partition_count):
            if k.partitions[j].sv.mem.bytes >= most:
                freeze(c, k.partitions[j])


cdef int put_back(core_t* c, keyspace_t* k, const change_view_t* x, u64 seq, u64 time) noexcept nogil:
    cdef u64 h = xxh64(x.key, x.key_bytes, c.seed)
    cdef u64 partition_hash = h
    cdef partition_t* p
    cdef memtable_t* m
    cdef size_t before
    if k.composite and x.key_bytes >= 8:
        partition_hash = get64_be(x.key)
    p = partition_of(k, partition_hash)
    if seq <= p.flushed_seq:
        return STATUS_OK
    m = p.sv.mem
    before = m.bytes
    if memtable_prepare(m, x.key_bytes, x.value_bytes) != STATUS_OK:
        return -1
    memtable_add(m, x.key, x.key_bytes, h, seq, x.kind, x.value, x.value_bytes, 0)
    if m.first_seq == 0:
        m.first_seq = seq
        m.first_time = time
    m.last_seq = seq
    m.last_time = time
    c.memtables_used += m.bytes - before
    return STATUS_OK
