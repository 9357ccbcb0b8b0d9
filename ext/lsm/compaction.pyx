"""Flush and compaction: native loops from memtable or tables to files, without the GIL from the first record to the last.

Guarantees: of each key exactly the versions that the newest state and the given snapshots need are written; tombstones
and old versions that nobody needs are left out. Python opens jobs, names files, and publishes results.
"""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

import os

from lsm.block cimport CODEC_ZSTD_DICTIONARY
from lsm.cursors cimport STEP_END, STEP_OK, merge_add_run, merge_free, merge_new, merge_next, merge_t, source_t
from lsm.engine cimport Engine, Memtable, Table
from lsm.failure cimport fail, set_no_memory
from lsm.filesystem cimport fs_ops_t, fs_unlink
from lsm.keys cimport key_compare
from lsm.large_memory cimport large_free
from lsm.memtable cimport (item_t, memtable_t, node_key, node_t, version_bytes, version_kind, version_older, version_t,
                           version_value)
from lsm.order cimport memtable_sorted
from lsm.pthreads cimport run_aside
from lsm.table cimport READ_WAIT, table_info_t, table_options_t, table_t
from lsm.table_writer cimport (table_writer_add, table_writer_bytes, table_writer_cover, table_writer_entries, table_writer_finish,
                               table_writer_free, table_writer_lend, table_writer_new, table_writer_set_times,
                               table_writer_t)
from lsm.types cimport (KIND_DELETE, STATUS_CANCELLED, STATUS_OK, error_t, load_int, prefetch, store_int, u8,
                        u32, u64)

cdef enum:
    TABLE_FULL = 2                     # a job's step: this table is done, more is to come
    LOOK_AHEAD = 12                    # nodes whose memory is asked for before it is needed


# ---- which versions stay

# Snapshots cut time into stripes; of a key, the newest version in each stripe is kept.
cdef struct retention_t:
    const u64* snapshots               # ascending
    u32 count
    bint bottom                        # nothing older lies below: tombstones can go, sequences are not needed


cdef inline u32 stripe_of(const retention_t* k, u64 seq) noexcept nogil:
    """How many snapshots are older than `seq`: versions in stripe 0 are seen by every snapshot."""
    cdef u32 low = 0
    cdef u32 high = k.count
    cdef u32 middle
    while low < high:
        middle = (low + high) >> 1
        if k.snapshots[middle] < seq:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline int write_version(table_writer_t* w, const retention_t* k, long long* last_stripe, const u8* key, u32 n,
                              u64 seq, u8 kind, const u8* value, u32 value_bytes, error_t* error) noexcept nogil:
    """Writes the version unless a newer one of the same stripe hides it, or it is a tombstone over nothing."""
    cdef u32 stripe = stripe_of(k, seq) if k.count else 0
    if last_stripe[0] == stripe:
        return STATUS_OK
    last_stripe[0] = stripe
    if k.bottom and stripe == 0:
        if kind == KIND_DELETE:
            return STATUS_OK
        return table_writer_add(w, key, n, 0, seq, kind, value, value_bytes, error)
    return table_writer_add(w, key, n, seq, seq, kind, value, value_bytes, error)


# ---- the file side of both jobs

cdef class Snapshots:
    """A snapshot list as native memory."""
    cdef u64* values
    cdef u32 count

    def __cinit__(self, snapshots):
        cdef list ordered = sorted(set(snapshots))
        self.values = <u64*>malloc((len(ordered) + 1) * sizeof(u64))
        if self.values == NULL:
            raise MemoryError()
        self.count = <u32>len(ordered)
        for i, seq in enumerate(ordered):
            self.values[<u32>i] = seq

    def __dealloc__(self):
        free(self.values)


cdef dict info_dict(table_info_t* i, u64 shadowed, int codec):
    """What the manifest keeps of a table; takes the two keys over."""
    cdef dict info = {
        "number": i.number, "file_bytes": i.file_bytes, "entries": i.entries, "tombstones": i.tombstones,
        "min_seq": i.min_seq, "max_seq": i.max_seq, "min_time": i.min_time, "max_time": i.max_time,
        "raw_bytes": i.raw_bytes, "salt": i.salt, "shadowed": shadowed, "codec": codec,
        "smallest": (<const char*>i.smallest)[:i.smallest_bytes],
        "largest": (<const char*>i.largest)[:i.largest_bytes],
    }
    free(i.smallest)
    free(i.largest)
    return info


cdef class TableFormat:
    """How tables are written: block size in bytes, filter bits per key, codec number, and for zstd its level and
    dictionary (not empty exactly with the codec that needs one)."""
    cdef readonly unsigned int block_bytes
    cdef readonly int bits_per_key
    cdef readonly int codec
    cdef readonly int zstd_level
    cdef readonly bytes dictionary

    def __init__(self, unsigned int block_bytes, int bits_per_key, int codec, int zstd_level=3,
                 bytes dictionary not None=b""):
        if (codec == CODEC_ZSTD_DICTIONARY) != bool(dictionary):
            raise ValueError(f"codec {codec} and a dictionary of {len(dictionary)} bytes")
        self.block_bytes = block_bytes
        self.bits_per_key = bits_per_key
        self.codec = codec
        self.zstd_level = zstd_level
        self.dictionary = dictionary


cdef void fill_options(table_options_t* o, Engine engine, TableFormat form, u64 number):
    o.database_id = engine.database_id
    o.seed = engine.c.seed
    o.number = number
    o.salt = int.from_bytes(os.urandom(8), "little")
    o.block_bytes = form.block_bytes
    o.bits_per_key = form.bits_per_key
    o.codec = form.codec
    o.zstd_level = form.zstd_level
    o.dictionary = <const u8*><const char*>form.dictionary
    o.dictionary_bytes = len(form.dictionary)


# ---- flush

def write_memtable(Engine engine not None, Memtable memtable not None, str path not None, unsigned long long number,
                   TableFormat form not None, snapshots, bint bottom):
    """Writes a frozen memtable as one durable table at `path`; the info of the table, or None where nothing was left.

    `bottom`: no table of the partition overlaps it. Raises FileError, DiskFullError; the half file is the caller's.
    """
    cdef Snapshots kept = Snapshots(snapshots)
    cdef table_options_t options
    cdef table_info_t info
    cdef error_t error
    cdef retention_t k
    cdef bytes name = os.fsencode(path)
    cdef const char* p = name
    cdef int status
    cdef u64 entries = 0
    cdef u64 shadowed = 0
    k.snapshots = kept.values
    k.count = kept.count
    k.bottom = bottom
    fill_options(&options, engine, form, number)
    with nogil:
        status = flush_loop(engine.c.fs, p, &options, memtable.m, &k, &info, &entries, &shadowed, &error)
    if status != STATUS_OK:
        fail(&error)
    return info_dict(&info, shadowed, form.codec) if entries else None


cdef int flush_loop(const fs_ops_t* fs, const char* path, const table_options_t* options, const memtable_t* m,
                    const retention_t* k, table_info_t* info, u64* entries, u64* shadowed,
                    error_t* error) noexcept nogil:
    cdef item_t* items = memtable_sorted(m)
    cdef table_writer_t* w
    cdef u64 i
    cdef u64 n = m.nodes
    cdef node_t* node
    cdef const version_t* v
    cdef long long stripe
    cdef int status = STATUS_OK
    cdef error_t ignored
    if items == NULL:
        return set_no_memory(error)
    w = table_writer_new(fs, path, options, error)
    if w == NULL:
        large_free(items)
        return error.status
    table_writer_set_times(w, m.first_time, m.last_time)
    # Hashes are half as large as items, and there are never more of them than items that were read.
    table_writer_lend(w, <u64*>items, n)
    for i in range(n):
        if i + LOOK_AHEAD < n:
            node = items[i + LOOK_AHEAD].node
            prefetch(node)
            prefetch(<u8*>node + 64)
            prefetch(<u8*>node + 128)
        node = items[i].node
        stripe = -1
        v = node.newest
        while v != NULL and status == STATUS_OK:
            status = write_version(w, k, &stripe, node_key(node), node.key_bytes, v.seq, version_kind(v),
                                   version_value(v), version_bytes(v), error)
            v = version_older(v)
        if status != STATUS_OK:
            break
    entries[0] = table_writer_entries(w)
    shadowed[0] = w.repeats
    if status == STATUS_OK and entries[0] > 0:
        status = table_writer_finish(w, info, error)
    table_writer_free(w)
    large_free(items)
    if entries[0] == 0:
        fs_unlink(fs, path, &ignored)
    return status


# ---- compaction

# What the loop below needs: no Python object, so that any thread can run it.
cdef struct job_t:
    const fs_ops_t* fs
    merge_t* merge
    retention_t retention
    u64 table_bytes
    int cancelled
    bint done
    bint pending                       # the merge stands on an entry that belongs into the next table
    u8* key                            # of the entry before
    u32 key_bytes
    u32 key_room
    bint has_key
    long long stripe
    u64 min_time
    u64 max_time
    u64 entries_read

# One table of it.
cdef struct task_t:
    job_t* job
    const char* path
    table_options_t options
    table_info_t info
    u64 entries
    u64 shadowed
    int status
    error_t error


cdef class Compaction:
    """Merges runs of tables into new ones. `runs` are newest first, each a list of disjoint tables in key order."""
    cdef Engine engine
    cdef list inputs
    cdef Snapshots kept
    cdef job_t job
    cdef table_t*** arrays
    cdef u32 array_count

    def __cinit__(self, Engine engine not None, list runs not None, snapshots, bint bottom, unsigned long long table_bytes):
        """`bottom`: no table outside of `runs` holds older versions of their keys. `table_bytes`: target file size."""
        cdef list run
        cdef Table table
        cdef u32 i, j
        self.engine = engine
        self.inputs = runs
        self.kept = Snapshots(snapshots)
        self.job.fs = engine.c.fs
        self.job.retention.snapshots = self.kept.values
        self.job.retention.count = self.kept.count
        self.job.retention.bottom = bottom
        self.job.table_bytes = table_bytes
        self.job.stripe = -1
        self.job.merge = merge_new(NULL, False, True, <u32>len(runs))
        self.arrays = <table_t***>malloc((len(runs) + 1) * sizeof(table_t**))
        if self.job.merge == NULL or self.arrays == NULL:
            raise MemoryError()
        for i in range(<u32>len(runs)):
            run = runs[i]
            self.arrays[i] = <table_t**>malloc((len(run) + 1) * sizeof(table_t*))
            if self.arrays[i] == NULL:
                raise MemoryError()
            self.array_count = i + 1
            for j in range(<u32>len(run)):
                table = run[j]
                self.arrays[i][j] = table.t
                note_times(&self.job, table.t)
            if run and merge_add_run(self.job.merge, self.arrays[i], <u32>len(run), <u64>-1, NULL, 0) != STATUS_OK:
                raise MemoryError()

    def __dealloc__(self):
        cdef u32 i
        if self.job.merge != NULL:
            merge_free(self.job.merge)
        for i in range(self.array_count):
            free(self.arrays[i])
        free(self.arrays)
        free(self.job.key)

    @property
    def entries_read(self):
        return self.job.entries_read

    def cancel(self):
        """The running write_table ends soon and raises ClosedError. From any thread."""
        store_int(&self.job.cancelled, 1)

    def write_table(self, str path, unsigned long long number, TableFormat form, int niceness=0):
        """Writes the next table, durable, and returns its info; None when nothing is left to write.

        With a `niceness` the work is done by a native thread that is so nice, where the system has that; not for zstd,
        which takes the GIL. Raises CorruptionError for bad input, FileError, DiskFullError; a half file is the caller's to
        remove.
        """
        cdef task_t task
        cdef bytes name = os.fsencode(path)
        if self.job.done:
            return None
        memset(&task, 0, sizeof(task_t))
        task.job = &self.job
        task.path = name
        fill_options(&task.options, self.engine, form, number)
        with nogil:
            if niceness:
                run_aside(niceness, run_task, &task)
            else:
                run_task(&task)
        if task.status < 0:
            fail(&task.error)
        return info_dict(&task.info, task.shadowed, form.codec) if task.entries else None


cdef void note_times(job_t* j, const table_t* t) noexcept:
    if t.info.min_time and (j.min_time == 0 or t.info.min_time < j.min_time):
        j.min_time = t.info.min_time
    if t.info.max_time > j.max_time:
        j.max_time = t.info.max_time


cdef void run_task(void* argument) noexcept nogil:
    cdef task_t* task = <task_t*>argument
    cdef job_t* j = task.job
    cdef table_writer_t* w = table_writer_new(j.fs, task.path, &task.options, &task.error)
    cdef error_t ignored
    if w == NULL:
        task.status = task.error.status
        return
    table_writer_set_times(w, j.min_time, j.max_time)
    task.status = fill(j, w, &task.error)
    task.entries = table_writer_entries(w)
    task.shadowed = w.repeats
    if task.status >= 0 and task.entries > 0:
        task.status = table_writer_finish(w, &task.info, &task.error)
    table_writer_free(w)
    if task.status >= 0 and task.entries == 0:
        fs_unlink(j.fs, task.path, &ignored)


cdef int fill(job_t* j, table_writer_t* w, error_t* error) noexcept nogil:
    """Entry by entry until the table is full at the end of a key, or the input is."""
    cdef merge_t* m = j.merge
    cdef source_t* s
    cdef const table_t* from_table
    cdef int status
    cdef u32 ticks = 0
    while True:
        if not j.pending:
            status = merge_next(m, READ_WAIT, error)
            if status == STEP_END:
                j.done = True
                return STATUS_OK
            if status != STEP_OK:
                return status
            j.entries_read += 1
        s = &m.sources[m.current]
        if j.pending or not j.has_key or s.key_bytes != j.key_bytes or key_compare(
                s.key, s.key_bytes, j.key, j.key_bytes) != 0:
            if not j.pending and table_writer_bytes(w) >= j.table_bytes:
                j.pending = True
                return TABLE_FULL
            j.pending = False
            if take_key(j, s) != STATUS_OK:
                return set_no_memory(error)
        status = write_version(w, &j.retention, &j.stripe, s.key, s.key_bytes, s.seq, s.kind, s.value,
                               s.value_bytes, error)
        if status != STATUS_OK:
            return status
        if s.seq == 0:
            from_table = <const table_t*>s.run.block.owner
            table_writer_cover(w, from_table.info.min_seq, from_table.info.max_seq)
        ticks += 1
        if (ticks & 1023) == 0 and load_int(&j.cancelled):
            memset(error, 0, sizeof(error_t))
            error.status = STATUS_CANCELLED
            return STATUS_CANCELLED


cdef int take_key(job_t* j, const source_t* s) noexcept nogil:
    cdef u8* grown
    if s.key_bytes >= j.key_room:
        grown = <u8*>realloc(j.key, s.key_bytes + 64)
        if grown == NULL:
            return -1
        j.key = grown
        j.key_room = s.key_bytes + 64
    memcpy(j.key, s.key, s.key_bytes)
    j.key_bytes = s.key_bytes
    j.has_key = True
    j.stripe = -1
    return STATUS_OK
