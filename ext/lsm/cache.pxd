# The block cache: one byte budget for blocks, decoded or packed, and for the filters and indexes of open tables.
# Every function is called under the database's lock.
from lsm.block cimport block_t
from lsm.table cimport table_t
from lsm.types cimport error_t, i64, u8, u32, u64

cdef struct cache_t:
    u64 budget                        # bytes
    u64 used                          # by blocks
    u64 pinned                        # by tables' filters and indexes: inside the budget, never evicted
    u64 hits
    u64 misses
    u64 evictions
    u64 blocks                        # packed ones too
    u64 packed
    u64 packed_visits                 # sum of `visited` over the packed blocks
    u64 decoded_bytes                 # what all blocks of all open tables would take, decoded
    u8* scratch                       # PACKED_SCRATCH bytes for lookups in packed blocks
    block_t* hand
    block_t* newest
    block_t* oldest

# Eviction is SIEVE (Zhang et al., NSDI 2024): a list in order of arrival, a hand that walks from the oldest to the
# newest, passes over (and unmarks) blocks visited since it last came by, and evicts the first that was not. A hit only
# counts in `visited`. A decoded block has to earn its size: beside packed ones it survives only where it was hit more
# than twice as often as they are on average.
# What the filters and indexes leave of the budget is for blocks, but never less than a sixteenth of it or 1 MiB
# (or all of a smaller budget): a cache without room for blocks would read from disk for every get.
cdef cache_t* cache_new(u64 budget) noexcept nogil
cdef void cache_free(cache_t* c) noexcept nogil                       # drops every block it still holds
# Takes one reference of its own to `b` (the caller keeps its), sets t.cached[b.number], evicts others to fit. A block larger than a quarter of the budget, or
# one whose place is taken, is not kept: returns False and changes nothing.
# likely_again False (a scan's block): goes where the hand looks next, so a scan through a full cache replaces its own blocks.
cdef bint cache_insert(cache_t* c, table_t* t, block_t* b, bint likely_again) noexcept nogil
cdef void cache_drop_table(cache_t* c, table_t* t) noexcept nogil     # forgets all blocks of a table
# What a packed block of t that the cache holds is when decoded, one reference for the caller. The cache keeps it in its
# place where `cache_prefers_decoded` says so; `packed` is gone then. NULL and `error` on failure.
cdef block_t* cache_unpack(cache_t* c, table_t* t, block_t* packed, error_t* error) noexcept nogil
# Whether the budget does for all blocks of all open tables, decoded.
cdef bint cache_holds_all(const cache_t* c) noexcept nogil
# Whether a packed block that was just hit is worth its memory decoded: at the fourth hit where the budget does for all,
# else where it is hit four times as often as packed blocks are on average.
cdef bint cache_prefers_decoded(const cache_t* c, const block_t* packed) noexcept nogil
cdef void cache_expect(cache_t* c, i64 bytes) noexcept nogil          # a table's decoded_bytes come (or, negative, go)
cdef void cache_pin(cache_t* c, i64 bytes) noexcept nogil             # a table's charge comes (or, negative, goes); evicts to fit


cdef inline block_t* cache_lookup(cache_t* c, table_t* t, u32 i) noexcept nogil:
    """The cached block or NULL; borrowed: valid until the lock is let go, unless the caller takes a reference."""
    cdef block_t* b = t.cached[i]
    if b != NULL:
        b.visited += b.visited < <u32>0xFFFFFFFFu
        c.packed_visits += b.packed_bytes != 0
        c.hits += 1
    else:
        c.misses += 1
    return b


cdef inline void block_release(block_t* b) noexcept nogil:
    b.refs -= 1
    if b.refs == 0:
        block_free_unreferenced(b)

cdef void block_free_unreferenced(block_t* b) noexcept nogil
