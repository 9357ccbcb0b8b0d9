"""Opening several tables at once, by several threads: most of it is copying filters and indexes from the page cache.

Guarantees: every opening has ended on return, one way or the other. No lock, no GIL.
"""
from lsm.failure cimport set_corruption
from lsm.pthreads cimport pthread_join, pthread_t, thread_start
from lsm.table cimport table_free, table_open

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint32_t lsm_next(uint32_t* p) { return __atomic_fetch_add(p, 1, __ATOMIC_RELAXED); }
    """
    u32 next_of "lsm_next"(u32* p) nogil

cdef enum:
    HELPERS_MOST = 7


cdef void open_one(openings_t* o, opening_t* one) noexcept nogil:
    one.table = table_open(o.fs, one.path, one.number, o.database_id, o.seed, &one.error)
    if one.table != NULL and one.table.block_count == 0:
        # nothing writes one into a database, and cursors stand in a block
        set_corruption(&one.error, "blocks of a table", one.path, 0, 1, 0)
        table_free(one.table)
        one.table = NULL
    if one.table != NULL and next_of(&o.kept) >= o.keep:
        o.fs.close(o.fs.ctx, one.table.handle)
        one.table.handle = -1


cdef void* work(void* argument) noexcept nogil:
    cdef openings_t* o = <openings_t*>argument
    cdef u32 i = next_of(&o.begun)
    while i < o.count:
        open_one(o, &o.each[i])
        i = next_of(&o.begun)
    return NULL


cdef void tables_open(openings_t* o, u32 threads) noexcept nogil:
    cdef pthread_t helpers[HELPERS_MOST]
    cdef u32 started = 0
    o.begun = o.kept = 0
    while started + 1 < threads and started < HELPERS_MOST and thread_start(&helpers[started], work, o) == 0:
        started += 1
    work(o)
    while started:
        started -= 1
        pthread_join(helpers[started], NULL)
