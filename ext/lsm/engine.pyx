"""An open database as Python drives it: keyspaces, tables and memtables come and go, work is waited for, state is told.

Guarantees: whatever loses its last reference is freed later, without the lock, by the background. Driven by
lsm/store.py, lsm/database.py and lsm/scheduler.py only.
"""
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset
cimport cython

import os

from lsm import errors

from lsm.cache cimport cache_expect, cache_free, cache_new, cache_pin
from lsm.core cimport (MAX_LEVELS, STATE_CLOSED, STATE_FORKED, STATE_OPEN, WORK_COMPACT, WORK_STOP, ask_for,
                       core_leave, core_lock, core_lock_quietly, core_unlock, count_tables, keyspace_t, partition_t,
                       superversion_t, update_pressure)
from lsm.failure cimport fail
from lsm.memtable cimport spares_free, spares_shrink, spares_t
from lsm.pthreads cimport (cond_wait_us, pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init,
                           pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
                           pthread_mutex_unlock)
from lsm.superversions cimport (empty_version, free_dead, freeze, memtable_release, publish_version, superversion_new,
                                superversion_release, table_release)
from lsm.table cimport table_free, table_t
from lsm.table_openings cimport opening_t, openings_t, tables_open
from lsm.types cimport error_t, u8, u32, u64

cdef enum:
    SCRATCH_BYTES = 1 << 16


@cython.no_gc_clear                    # its end needs the engine, which may be part of the same garbage
cdef class Table:
    def __init__(self):
        raise TypeError("open tables come from Engine.open_tables")

    def __dealloc__(self):
        if self.t != NULL and core_lock_quietly(self.engine.c):
            table_release(self.engine.c, self.t)
            core_unlock(self.engine.c)

    def retire(self):
        """No version names it any more: the file goes when the last reader has."""
        core_lock(self.engine.c)
        self.t.obsolete = 1
        core_unlock(self.engine.c)


cdef Table table_of(Engine engine, str path, table_t* t):
    """Takes over what was opened."""
    cdef core_t* c = engine.c
    cdef Table table
    try:
        table = Table.__new__(Table)
        core_lock(c)
    except BaseException:
        table_free(t)
        raise
    t.refs = 1
    cache_pin(c.cache, t.charge)
    cache_expect(c.cache, t.decoded_bytes)
    if t.handle >= 0 and c.open_handles >= c.max_handles:
        # what others opened meanwhile was not known when this began
        c.fs.close(c.fs.ctx, t.handle)
        t.handle = -1
    c.open_handles += t.handle >= 0
    core_unlock(c)
    table.engine = engine
    table.number = t.info.number
    table.path = path
    table.t = t
    return table


@cython.no_gc_clear
cdef class Memtable:
    def __init__(self):
        raise TypeError("frozen memtables come from Engine.frozen")

    def __dealloc__(self):
        if self.m != NULL and core_lock_quietly(self.engine.c):
            memtable_release(self.engine.c, self.m)
            core_unlock(self.engine.c)

    @property
    def bytes(self):
        return self.m.bytes

    @property
    def first_sequence(self):
        return self.m.first_seq

    @property
    def last_sequence(self):
        return self.m.last_seq

    @property
    def first_time(self):
        return self.m.first_time

    @property
    def last_time(self):
        return self.m.last_time


@cython.no_gc_clear                    # its end needs the file system
cdef class Engine:
    def __cinit__(self, FileSystem files not None, path, bytes database_id not None, unsigned long long hash_seed, *,
                  size_t memtable_bytes, size_t memtables_bytes, unsigned long long cache_bytes,
                  unsigned int slow_tables, unsigned int stop_tables, unsigned int max_open_files, bint read_only):
        """`files` is the seam, `path` a name for messages; the log comes later, with `attach`."""
        cdef core_t* c = <core_t*>calloc(1, sizeof(core_t))
        if c == NULL:
            raise MemoryError()
        self.c = c
        pthread_mutex_init(&c.lock, NULL)
        pthread_cond_init(&c.idle, NULL)
        pthread_cond_init(&c.work_ready, NULL)
        pthread_cond_init(&c.room, NULL)
        self.files = files
        self.path = path
        self.exempt = ()
        self.spare = bool              # nothing in reserve
        self.database_id = database_id
        c.fs = &files.ops
        c.seed = hash_seed
        c.multiplier = int.from_bytes(os.urandom(8), "little") | 1
        c.memtable_bytes = memtable_bytes
        c.memtables_budget = memtables_bytes
        c.slow_tables = slow_tables
        c.stop_tables = stop_tables
        c.max_handles = max_open_files
        c.read_only = read_only
        c.cache = cache_new(cache_bytes)
        c.scratch_room = SCRATCH_BYTES
        c.scratch = <u8*>malloc(SCRATCH_BYTES)
        if c.cache == NULL or c.scratch == NULL:
            raise MemoryError()

    def __dealloc__(self):
        cdef core_t* c = self.c
        cdef u32 i, j
        if c == NULL or c.state == STATE_FORKED:
            return
        for i in range(c.keyspace_room):
            if c.keyspaces[i] != NULL:
                for j in range(c.keyspaces[i].partition_count):
                    if c.keyspaces[i].partitions[j] != NULL:
                        superversion_release(c, c.keyspaces[i].partitions[j].sv)
                        free(c.keyspaces[i].partitions[j])
                free(c.keyspaces[i].partitions)
                free(c.keyspaces[i])
        free(c.keyspaces)
        free_dead(c, False)
        spares_free(&c.spares)
        free(c.dead_tables)
        free(c.dead_memtables)
        if c.cache != NULL:
            cache_free(c.cache)
        free(c.scratch)
        free(c.snapshots)
        pthread_cond_destroy(&c.idle)
        pthread_cond_destroy(&c.work_ready)
        pthread_cond_destroy(&c.room)
        pthread_mutex_destroy(&c.lock)
        free(c)

    def attach(self, Wal log not None):
        """Commits go to this log from here on; readers see what it holds."""
        self.log = log
        self.c.wal = log.native
        self.c.sequence = log.last_sequence

    # ---- tables

    def open_tables(self, paths, numbers, unsigned int threads=1):
        """Open tables, in order: filters and indexes are read, blocks later. All or none: raises what the first of them
        that cannot be opened says, CorruptionError or FileError."""
        cdef openings_t o
        cdef list names = [os.fsencode(path) for path in paths]
        cdef list tables = []
        cdef table_t* t
        cdef u32 i
        memset(&o, 0, sizeof(o))
        o.fs = self.c.fs
        o.database_id = self.database_id
        o.seed = self.c.seed
        o.keep = self.c.max_handles - self.c.open_handles if self.c.open_handles < self.c.max_handles else 0
        o.count = <u32>len(names)
        o.each = <opening_t*>calloc(o.count + 1, sizeof(opening_t))
        if o.each == NULL:
            raise MemoryError()
        try:
            for i in range(o.count):
                o.each[i].path = <bytes>names[i]
                o.each[i].number = numbers[i]
            with nogil:
                tables_open(&o, threads)
            for i in range(o.count):
                if o.each[i].table == NULL:
                    fail(&o.each[i].error)
            for i in range(o.count):
                t = o.each[i].table
                o.each[i].table = NULL
                tables.append(table_of(self, paths[i], t))
            return tables
        finally:
            for i in range(o.count):
                if o.each[i].table != NULL:
                    table_free(o.each[i].table)
            free(o.each)

    # ---- keyspaces and partitions

    def add_keyspace(self, unsigned int id, unsigned int partitions, bint composite):
        """A keyspace with empty partitions. Ids are never reused."""
        cdef core_t* c = self.c
        cdef keyspace_t* k
        cdef keyspace_t** grown
        cdef u32 i
        cdef u64 room
        core_lock(c)
        try:
            if id >= c.keyspace_room:
                room = <u64>id + id // 2 + 16
                grown = <keyspace_t**>calloc(room, sizeof(keyspace_t*))
                if grown == NULL or room > <u64>0xFFFFFFFF:
                    free(grown)
                    raise MemoryError()
                if c.keyspace_room:
                    memcpy(grown, c.keyspaces, c.keyspace_room * sizeof(keyspace_t*))
                free(c.keyspaces)
                c.keyspaces = grown
                c.keyspace_room = <u32>room
            k = <keyspace_t*>calloc(1, sizeof(keyspace_t))
            if k != NULL:
                k.partitions = <partition_t**>calloc(partitions, sizeof(partition_t*))
            if k == NULL or k.partitions == NULL:
                free(k)
                raise MemoryError()
            k.id = id
            k.partition_count = partitions
            k.composite = composite
            for i in range(partitions):
                k.partitions[i] = <partition_t*>calloc(1, sizeof(partition_t))
                if k.partitions[i] == NULL:
                    raise MemoryError()
                k.partitions[i].keyspace = id
                k.partitions[i].number = i
                k.partitions[i].sv = empty_version(c)
                if k.partitions[i].sv == NULL:
                    raise MemoryError()        # what was made so far is leaked: there is no memory to be tidy with
            c.keyspaces[id] = k
        finally:
            core_unlock(c)

    def drop_keyspace(self, unsigned int id):
        """Its handles raise from here on; memory and tables go with their last reader. The id stays taken."""
        cdef core_t* c = self.c
        cdef keyspace_t* k
        cdef superversion_t* empty
        cdef u32 i
        core_lock(c)
        try:
            k = c.keyspaces[id]
            k.dropped = True
            for i in range(k.partition_count):
                k.partitions[i].dropped = True
                empty = empty_version(c)
                if empty == NULL:
                    raise MemoryError()
                c.frozen -= k.partitions[i].sv.frozen_count
                empty.mem.refs -= 1
                publish_version(c, k.partitions[i], empty)
            count_tables(c)
            update_pressure(c)
        finally:
            core_unlock(c)

    def install(self, unsigned int keyspace, unsigned int partition, list levels not None, unsigned int flushed=0):
        """Publishes new tables (a list of Table per level) and drops the `flushed` oldest frozen memtables."""
        cdef core_t* c = self.c
        cdef partition_t* p
        cdef superversion_t* sv
        cdef superversion_t* old
        cdef u32 i, n = 0
        cdef u32 count = sum(len(level) for level in levels)
        cdef Table table
        core_lock(c)
        try:
            p = c.keyspaces[keyspace].partitions[partition]
            if p.dropped:
                return
            old = p.sv
            sv = superversion_new(old.frozen_count - flushed, count)
            if sv == NULL:
                raise MemoryError()
            sv.mem = old.mem
            for i in range(sv.frozen_count):
                sv.frozen[i] = old.frozen[i]
            for i in range(<u32>MAX_LEVELS):
                sv.start[i] = n
                if i < <u32>len(levels):
                    for table in levels[i]:
                        sv.tables[n] = table.t
                        n += 1
            sv.start[MAX_LEVELS] = n
            sv.levels = <u32>len(levels)
            publish_version(c, p, sv)
            c.frozen -= flushed
            count_tables(c)
            update_pressure(c)
            pthread_cond_broadcast(&c.room)
        finally:
            core_unlock(c)

    def freeze(self, unsigned int keyspace, unsigned int partition):
        """True where there was something to freeze."""
        cdef core_t* c = self.c
        core_lock(c)
        try:
            return freeze(c, c.keyspaces[keyspace].partitions[partition]) == 1
        finally:
            core_unlock(c)

    def frozen(self, unsigned int keyspace, unsigned int partition):
        """The partition's frozen memtables, oldest first."""
        cdef core_t* c = self.c
        cdef superversion_t* sv
        cdef list wrappers = [Memtable.__new__(Memtable) for _ in range(64)]
        cdef Memtable w
        cdef u32 i, n
        core_lock(c)
        sv = c.keyspaces[keyspace].partitions[partition].sv
        n = sv.frozen_count if sv.frozen_count < 64 else 64
        for i in range(n):
            w = <Memtable>wrappers[i]
            w.m = sv.frozen[sv.frozen_count - 1 - i]
            w.m.refs += 1
            w.engine = self
        core_unlock(c)
        return wrappers[:n]

    def partition_state(self, unsigned int keyspace, unsigned int partition):
        """(memtable bytes, entries, tombstones, first unflushed sequence or 0, frozen count, skipped tombstones)."""
        cdef core_t* c = self.c
        cdef superversion_t* sv
        cdef u64 size, entries, tombstones, first, skipped
        cdef u32 i, frozen
        core_lock(c)
        sv = c.keyspaces[keyspace].partitions[partition].sv
        size = sv.mem.bytes
        entries = sv.mem.nodes
        tombstones = sv.mem.tombstones
        first = sv.mem.first_seq
        frozen = sv.frozen_count
        skipped = c.keyspaces[keyspace].partitions[partition].tombstones_skipped
        for i in range(frozen):
            size += sv.frozen[i].bytes
            entries += sv.frozen[i].nodes
            tombstones += sv.frozen[i].tombstones
            first = sv.frozen[i].first_seq
        core_unlock(c)
        return size, entries, tombstones, first, frozen, skipped

    def pending(self, unsigned long long skips):
        """Partitions the background should look at: (keyspace, partition, first unflushed sequence or 0, frozen
        memtables, memtable bytes, whether scans stepped over at least `skips` tombstones)."""
        cdef core_t* c = self.c
        cdef keyspace_t* k
        cdef partition_t* p
        cdef u32 i, j
        cdef u32 n = 0
        cdef u32 room = 0
        cdef u64* found = NULL
        cdef u64* grown
        core_lock(c)
        for i in range(c.keyspace_room):
            k = c.keyspaces[i]
            if k == NULL or k.dropped:
                continue
            for j in range(k.partition_count):
                p = k.partitions[j]
                if p.sv.mem.versions == 0 and p.sv.frozen_count == 0 and p.tombstones_skipped < skips:
                    continue
                if n == room:
                    room = room * 2 + 16
                    grown = <u64*>realloc(found, room * 6 * sizeof(u64))
                    if grown == NULL:
                        break
                    found = grown
                found[n * 6] = i
                found[n * 6 + 1] = j
                found[n * 6 + 2] = p.sv.mem.first_seq
                if p.sv.frozen_count:
                    found[n * 6 + 2] = p.sv.frozen[p.sv.frozen_count - 1].first_seq
                found[n * 6 + 3] = p.sv.frozen_count
                found[n * 6 + 4] = p.sv.mem.bytes
                found[n * 6 + 5] = p.tombstones_skipped >= skips
                n += 1
        core_unlock(c)
        try:
            return [(found[i * 6], found[i * 6 + 1], found[i * 6 + 2], found[i * 6 + 3], found[i * 6 + 4],
                     bool(found[i * 6 + 5])) for i in range(n)]
        finally:
            free(found)

    def unflushed_from(self, unsigned int but_keyspace, unsigned int but_partition, unsigned int but_frozen):
        """The lowest sequence that only the log holds (one above the newest commit where there is none), not counting
        the `but_frozen` oldest frozen memtables of one partition, which are in a table by now."""
        cdef core_t* c = self.c
        cdef keyspace_t* k
        cdef superversion_t* sv
        cdef u64 lowest, first
        cdef u32 i, j, frozen
        core_lock(c)
        lowest = c.sequence + 1
        for i in range(c.keyspace_room):
            k = c.keyspaces[i]
            if k == NULL or k.dropped:
                continue
            for j in range(k.partition_count):
                sv = k.partitions[j].sv
                frozen = sv.frozen_count
                if i == but_keyspace and j == but_partition:
                    frozen -= but_frozen
                first = sv.frozen[frozen - 1].first_seq if frozen else sv.mem.first_seq
                if first and first < lowest:
                    lowest = first
        core_unlock(c)
        return lowest

    def set_flushed(self, unsigned int keyspace, unsigned int partition, unsigned long long seq):
        """Replay leaves out what tables hold: everything up to `seq`."""
        core_lock(self.c)
        self.c.keyspaces[keyspace].partitions[partition].flushed_seq = seq
        core_unlock(self.c)

    def watch_log(self, unsigned long long bytes):
        """Asks for a flush whenever the log has grown by so many bytes."""
        self.c.log_step = bytes
        self.c.log_mark = self.c.wal.head + bytes if bytes else 0

    def forget_skips(self, unsigned int keyspace, unsigned int partition):
        core_lock(self.c)
        self.c.keyspaces[keyspace].partitions[partition].tombstones_skipped = 0
        core_unlock(self.c)

    # ---- background

    def wait_for_work(self, double seconds, unsigned int wanted):
        """Waits without the GIL for any of the `wanted` bits, takes them, and returns what it took (0: time is over)."""
        cdef core_t* c = self.c
        cdef u64 us = <u64>(seconds * 1e6)
        cdef u32 work
        with nogil:
            pthread_mutex_lock(&c.lock)
            if not (c.work & (wanted | WORK_STOP)):
                cond_wait_us(&c.work_ready, &c.lock, us)
            work = c.work & (wanted | WORK_STOP)
            c.work &= ~(wanted & ~<u32>WORK_STOP)
            pthread_mutex_unlock(&c.lock)
        return work

    def ask(self, unsigned int work):
        core_lock(self.c)
        ask_for(self.c, work)
        core_unlock(self.c)

    def collect_garbage(self):
        """Frees what nobody refers to any more and removes the files of retired tables."""
        cdef core_t* c = self.c
        with nogil:
            free_dead(c, True)

    def shrink_spares(self, bint all=False):
        """Gives back what writers had no use for since the last call, or all; how many bytes are kept for them."""
        cdef core_t* c = self.c
        cdef spares_t unused
        cdef size_t kept
        with nogil:
            pthread_mutex_lock(&c.lock)
            unused = spares_shrink(&c.spares, all)
            kept = c.spares.bytes
            pthread_mutex_unlock(&c.lock)
            spares_free(&unused)
        return kept

    def set_disk_full(self, bint full):
        core_lock(self.c)
        self.c.disk_full = full
        pthread_cond_broadcast(&self.c.room)
        core_unlock(self.c)

    def set_disk_low(self, bint low):
        """While the reserve is in use, a commit with sync=True is refused whole or made whole: it is written first."""
        self.c.disk_low = low

    def stop(self):
        """Tells waiting background threads to end."""
        core_lock(self.c)
        ask_for(self.c, WORK_STOP)
        core_unlock(self.c)

    def shut(self):
        """Every later call raises ClosedError; returns when no thread is inside. The files stay open until then."""
        cdef core_t* c = self.c
        with nogil:
            pthread_mutex_lock(&c.lock)
            c.state = STATE_CLOSED
            c.work |= WORK_STOP
            pthread_cond_broadcast(&c.room)
            pthread_cond_broadcast(&c.work_ready)
            while c.active > 0:
                pthread_cond_wait(&c.idle, &c.lock)
            pthread_mutex_unlock(&c.lock)

    def close_files(self):
        """After `shut`: closes the handles of all tables, also of those that open iterators still refer to."""
        cdef core_t* c = self.c
        cdef u32 i, j, t
        cdef superversion_t* sv
        pthread_mutex_lock(&c.lock)
        for i in range(c.keyspace_room):
            if c.keyspaces[i] == NULL:
                continue
            for j in range(c.keyspaces[i].partition_count):
                sv = c.keyspaces[i].partitions[j].sv
                for t in range(sv.table_count):
                    if sv.tables[t].handle >= 0:
                        c.fs.close(c.fs.ctx, sv.tables[t].handle)
                        sv.tables[t].handle = -1
        pthread_mutex_unlock(&c.lock)

    def forked(self):
        """In the child of a fork: nothing of this database may be used or freed here."""
        self.c.state = STATE_FORKED

    @property
    def closed(self):
        return self.c.state != STATE_OPEN

    def enter(self):
        """`shut` waits until as many `leave` as `enter`. Raises where the database is closed."""
        core_lock(self.c)
        self.c.active += 1
        core_unlock(self.c)

    def leave(self):
        if core_lock_quietly(self.c):
            core_leave(self.c)
            core_unlock(self.c)

    def refuse_writes(self):
        """Raises what a write of a read-only database raises."""
        raise errors.ReadOnlyError(f"{self.path} was opened with read_only=True; open it without to write")

    def show_through(self, unsigned long long sequence):
        """At recovery: readers see commits up to here."""
        self.c.sequence = sequence

    # ---- snapshots

    def snapshot_add(self):
        """Registers a snapshot at the newest commit; versions that it sees are kept. Returns its sequence."""
        cdef core_t* c = self.c
        cdef u64* grown
        cdef u64 seq
        core_lock(c)
        try:
            if c.snapshot_count == c.snapshot_room:
                grown = <u64*>realloc(c.snapshots, (c.snapshot_room * 2 + 16) * sizeof(u64))
                if grown == NULL:
                    raise MemoryError()
                c.snapshots = grown
                c.snapshot_room = c.snapshot_room * 2 + 16
            seq = c.sequence
            c.snapshots[c.snapshot_count] = seq
            c.snapshot_count += 1
        finally:
            core_unlock(c)
        return seq

    def snapshot_remove(self, unsigned long long seq):
        cdef core_t* c = self.c
        cdef u32 i
        if not core_lock_quietly(c):
            return
        for i in range(c.snapshot_count):
            if c.snapshots[i] == seq:
                memmove(&c.snapshots[i], &c.snapshots[i + 1], (c.snapshot_count - i - 1) * sizeof(u64))
                c.snapshot_count -= 1
                break
        if c.state == STATE_OPEN:
            ask_for(c, WORK_COMPACT)
        core_unlock(c)

    def snapshots(self):
        """Sequences of the open snapshots, ascending."""
        core_lock(self.c)
        n = self.c.snapshot_count
        core_unlock(self.c)
        return [self.c.snapshots[i] for i in range(n) if i < self.c.snapshot_count]

    @property
    def sequence(self):
        return self.c.sequence

    @property
    def last_time(self):
        return self.c.time

    def counters(self):
        """Cache, memtables and stalls, for stats()."""
        cdef core_t* c = self.c
        # Read without the lock: making a dict may run a garbage collection, and what that ends takes the lock.
        core_lock(c)
        core_unlock(c)
        return {
            "cache": {"budget_bytes": c.cache.budget, "used_bytes": c.cache.used, "pinned_bytes": c.cache.pinned,
                      "hits": c.cache.hits, "misses": c.cache.misses, "evictions": c.cache.evictions,
                      "blocks": c.cache.blocks},
            "memtables": {"bytes": c.memtables_used, "budget_bytes": c.memtables_budget, "frozen": c.frozen,
                          "spare_bytes": c.spares.bytes},
            "stalls": {"slowdowns": c.slowdowns, "stops": c.stops, "seconds": c.stalled_us / 1e6,
                       "pressure": c.pressure / 1e3,
                       "reason": ("none", "memtables", "level 0")[c.pressure_reason if c.pressure else 0]},
            "user_bytes": c.user_bytes, "snapshots": c.snapshot_count, "open_handles": c.open_handles,
            "tombstones_skipped": c.tombstones_skipped,
        }
