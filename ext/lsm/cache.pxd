# The block cache: one byte budget for decoded blocks and for the filters and indexes of open tables.
# Every function is called under the database's lock.
from lsm.block cimport block_t
from lsm.table cimport table_t
from lsm.types cimport i64, u32, u64

cdef struct cache_t:
    u64 budget                        # bytes
    u64 used                          # by blocks
    u64 pinned                        # by tables' filters and indexes: inside the budget, never evicted
    u64 hits
    u64 misses
    u64 evictions
    u64 blocks
    block_t* hand
    block_t* newest
    block_t* oldest

# Eviction is SIEVE (Zhang et al., NSDI 2024): a list in order of arrival, a hand that walks from the oldest to the newest,
# passes over (and unmarks) blocks visited since it last came by, and evicts the first that was not. A hit only sets `visited`.
# What the filters and indexes leave of the budget is for blocks, but never less than a sixteenth of it or 1 MiB
# (or all of a smaller budget): a cache without room for blocks would read from disk for every get.
cdef cache_t* cache_new(u64 budget) noexcept nogil
cdef void cache_free(cache_t* c) noexcept nogil                       # drops every block it still holds
# Takes one reference of its own to `b` (the caller keeps its), sets t.cached[b.number], evicts others to fit. A block larger than a quarter of the budget, or
# one whose place is taken, is not kept: returns False and changes nothing.
# likely_again False (a scan's block): goes where the hand looks next, so a scan through a full cache replaces its own blocks.
cdef bint cache_insert(cache_t* c, table_t* t, block_t* b, bint likely_again) noexcept nogil
cdef void cache_drop_table(cache_t* c, table_t* t) noexcept nogil     # forgets all blocks of a table
cdef void cache_pin(cache_t* c, i64 bytes) noexcept nogil             # a table's charge comes (or, negative, goes); evicts to fit


cdef inline block_t* cache_lookup(cache_t* c, table_t* t, u32 i) noexcept nogil:
    """The cached block or NULL; borrowed: valid until the lock is let go, unless the caller takes a reference."""
    cdef block_t* b = t.cached[i]
    if b != NULL:
        b.visited = 1
        c.hits += 1
    else:
        c.misses += 1
    return b


cdef inline void block_release(block_t* b) noexcept nogil:
    b.refs -= 1
    if b.refs == 0:
        block_free_unreferenced(b)

cdef void block_free_unreferenced(block_t* b) noexcept nogil
