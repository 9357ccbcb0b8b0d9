"""What readers see: superversions, the references that keep memtables and tables, and what happens when the last one goes.

Guarantees: a superversion is never changed after publication; whatever loses its last reference is freed later,
without the lock, by the background. Called under the core's lock, but for free_dead.
"""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from lsm.cache cimport cache_drop_table, cache_expect, cache_pin
from lsm.core cimport MAX_LEVELS, WORK_FLUSH, WORK_GARBAGE, ask_for, update_pressure
from lsm.filesystem cimport fs_unlink
from lsm.memtable cimport memtable_free, memtable_new, memtable_recycle, memtable_t, memtable_wipe
from lsm.pthreads cimport pthread_mutex_lock, pthread_mutex_unlock
from lsm.table cimport table_free, table_t
from lsm.types cimport error_t, i64, u8, u32


# ---- references

cdef void table_release(core_t* c, table_t* t) noexcept nogil:
    cdef table_t** grown
    t.refs -= 1
    if t.refs > 0:
        return
    cache_drop_table(c.cache, t)
    if c.dead_table_count == c.dead_table_room:
        grown = <table_t**>realloc(c.dead_tables, (c.dead_table_room * 2 + 16) * sizeof(table_t*))
        if grown == NULL:
            return                     # leaked: there is no memory to say so in
        c.dead_tables = grown
        c.dead_table_room = c.dead_table_room * 2 + 16
    c.dead_tables[c.dead_table_count] = t
    c.dead_table_count += 1
    ask_for(c, WORK_GARBAGE)


cdef void memtable_release(core_t* c, memtable_t* m) noexcept nogil:
    cdef memtable_t** grown
    m.refs -= 1
    if m.refs > 0:
        return
    c.memtables_used -= m.bytes
    if m.nodes == 0:
        memtable_free(m)
        return
    if c.dead_memtable_count == c.dead_memtable_room:
        grown = <memtable_t**>realloc(c.dead_memtables, (c.dead_memtable_room * 2 + 16) * sizeof(memtable_t*))
        if grown == NULL:
            memtable_free(m)
            return
        c.dead_memtables = grown
        c.dead_memtable_room = c.dead_memtable_room * 2 + 16
    c.dead_memtables[c.dead_memtable_count] = m
    c.dead_memtable_count += 1
    ask_for(c, WORK_GARBAGE)


cdef superversion_t* superversion_new(u32 frozen, u32 tables) noexcept nogil:
    """One allocation: the struct, then its arrays."""
    cdef size_t size = sizeof(superversion_t) + frozen * sizeof(memtable_t*) + tables * sizeof(table_t*)
    cdef superversion_t* sv = <superversion_t*>malloc(size)
    if sv == NULL:
        return NULL
    memset(sv, 0, sizeof(superversion_t))
    sv.refs = 1
    sv.frozen = <memtable_t**>(<u8*>sv + sizeof(superversion_t))
    sv.tables = <table_t**>(<u8*>sv.frozen + frozen * sizeof(memtable_t*))
    sv.frozen_count = frozen
    sv.table_count = tables
    return sv


cdef superversion_t* empty_version(core_t* c) noexcept nogil:
    """No tables, and a memtable of its own with one reference: the version's."""
    cdef superversion_t* sv = superversion_new(0, 0)
    if sv == NULL:
        return NULL
    sv.mem = memtable_new(c.multiplier, 0, &c.spares)
    if sv.mem == NULL:
        free(sv)
        return NULL
    return sv


cdef void superversion_release(core_t* c, superversion_t* sv) noexcept nogil:
    cdef u32 i
    sv.refs -= 1
    if sv.refs > 0:
        return
    memtable_release(c, sv.mem)
    for i in range(sv.frozen_count):
        memtable_release(c, sv.frozen[i])
    for i in range(sv.table_count):
        table_release(c, sv.tables[i])
    free(sv)


cdef void take_references(superversion_t* sv) noexcept nogil:
    cdef u32 i
    sv.mem.refs += 1
    for i in range(sv.frozen_count):
        sv.frozen[i].refs += 1
    for i in range(sv.table_count):
        sv.tables[i].refs += 1


cdef void publish_version(core_t* c, partition_t* p, superversion_t* sv) noexcept nogil:
    cdef superversion_t* old = p.sv
    take_references(sv)
    p.sv = sv
    superversion_release(c, old)


cdef int freeze(core_t* c, partition_t* p) noexcept nogil:
    """The memtable becomes the newest frozen one and an empty one takes its place. 1; 0: it was empty, or no memory."""
    cdef superversion_t* old = p.sv
    cdef superversion_t* sv
    cdef memtable_t* fresh
    cdef u32 i
    if old.mem.versions == 0:
        return 0
    sv = superversion_new(old.frozen_count + 1, old.table_count)
    if sv == NULL:
        return 0
    p.expected_nodes = old.mem.nodes
    fresh = memtable_new(c.multiplier, p.expected_nodes if old.mem.bytes >= c.memtable_bytes else 0, &c.spares)
    if fresh == NULL:
        free(sv)
        return 0
    sv.mem = fresh
    sv.frozen[0] = old.mem
    for i in range(old.frozen_count):
        sv.frozen[i + 1] = old.frozen[i]
    for i in range(old.table_count):
        sv.tables[i] = old.tables[i]
    for i in range(<u32>MAX_LEVELS + 1):
        sv.start[i] = old.start[i]
    sv.levels = old.levels
    publish_version(c, p, sv)
    fresh.refs -= 1                    # its maker's
    c.frozen += 1
    update_pressure(c)
    ask_for(c, WORK_FLUSH)
    return 1


# ---- garbage

cdef inline size_t spares_most(const core_t* c) noexcept nogil:
    """Together with the live memtables the budget, and half of it at most: more is not needed while one is flushed."""
    cdef size_t rest = c.memtables_budget - c.memtables_used if c.memtables_used < c.memtables_budget else 0
    return rest if rest < c.memtables_budget // 2 else c.memtables_budget // 2


cdef void free_dead(core_t* c, bint remove) noexcept nogil:
    """Takes the lists under the lock, frees without it."""
    cdef table_t** tables
    cdef memtable_t** memtables
    cdef u32 table_count, memtable_count, i
    cdef error_t error
    pthread_mutex_lock(&c.lock)
    tables = c.dead_tables
    table_count = c.dead_table_count
    memtables = c.dead_memtables
    memtable_count = c.dead_memtable_count
    c.dead_tables = NULL
    c.dead_table_count = c.dead_table_room = 0
    c.dead_memtables = NULL
    c.dead_memtable_count = c.dead_memtable_room = 0
    for i in range(table_count):
        cache_pin(c.cache, -<i64>tables[i].charge)
        cache_expect(c.cache, -<i64>tables[i].decoded_bytes)
        if tables[i].handle >= 0:
            c.open_handles -= 1
    pthread_mutex_unlock(&c.lock)
    for i in range(memtable_count):
        memtable_wipe(memtables[i])
        pthread_mutex_lock(&c.lock)
        memtable_recycle(memtables[i], &c.spares, spares_most(c))
        pthread_mutex_unlock(&c.lock)
        memtable_free(memtables[i])
    for i in range(table_count):
        if tables[i].obsolete and remove:
            fs_unlink(c.fs, tables[i].path, &error)
        table_free(tables[i])
    free(tables)
    free(memtables)
