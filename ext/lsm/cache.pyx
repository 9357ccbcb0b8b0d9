"""The block cache: SIEVE over an intrusive list of decoded and packed blocks, with the tables' own memory inside the same budget.

Guarantees: used + pinned stays within the budget, but for the floor that cache.pxd states; a referenced block lives.
Every function is called under the database's lock; none waits, allocates (but for cache_new) or takes the GIL.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from lsm.block cimport block_free, block_t
from lsm.packed cimport PACKED_SCRATCH
from lsm.table cimport table_t, table_unpack
from lsm.types cimport error_t, i64, u8, u32, u64

from lsm import errors

cdef enum:
    FLOOR = 1048576                   # bytes that blocks get whatever tables pin
    FEW = 16                          # packed blocks whose average says nothing
    PREFERRED = 4                     # how much hotter than the average packed block one is decoded
    KEPT = 2                          # and how much hotter it stays


cdef cache_t* cache_new(u64 budget) noexcept nogil:
    cdef cache_t* c = <cache_t*>calloc(1, sizeof(cache_t))
    if c == NULL:
        return NULL
    c.budget = budget
    c.scratch = <u8*>malloc(PACKED_SCRATCH)
    if c.scratch == NULL:
        free(c)
        return NULL
    return c


cdef void cache_free(cache_t* c) noexcept nogil:
    if c == NULL:
        return
    while c.oldest != NULL:
        remove(c, c.oldest)
    free(c.scratch)
    free(c)


cdef void block_free_unreferenced(block_t* b) noexcept nogil:
    block_free(b)


cdef u64 room(const cache_t* c) noexcept nogil:
    """Bytes that blocks may take."""
    cdef u64 least = c.budget >> 4
    if least < FLOOR:
        least = FLOOR if FLOOR < c.budget else c.budget
    if c.pinned >= c.budget or c.budget - c.pinned < least:
        return least
    return c.budget - c.pinned


cdef void remove(cache_t* c, block_t* b) noexcept nogil:
    """Takes b out of the list and lets the cache's reference go."""
    if c.hand == b:
        c.hand = b.newer
    if b.older != NULL:
        b.older.newer = b.newer
    else:
        c.oldest = b.newer
    if b.newer != NULL:
        b.newer.older = b.older
    else:
        c.newest = b.older
    b.newer = NULL
    b.older = NULL
    (<table_t*>b.owner).cached[b.number] = NULL
    c.used -= b.charge
    c.blocks -= 1
    if b.packed_bytes:
        c.packed -= 1
        c.packed_visits -= b.visited
    block_release(b)


cdef inline bint above_average(const cache_t* c, const block_t* b, u32 times, u32 more) noexcept nogil:
    """Whether b was hit above `times` as often as packed blocks are on average and `more`; true where those are few."""
    return c.packed < FEW or b.visited * c.packed > times * (c.packed_visits + more * c.packed)


cdef inline bint survives(cache_t* c, block_t* b) noexcept nogil:
    """Whether the hand passes over b; it then has to be visited anew."""
    cdef bint stays = b.visited > 0
    if b.packed_bytes:
        c.packed_visits -= b.visited
    elif stays:
        stays = above_average(c, b, KEPT, 0)
    b.visited = 0
    return stays


cdef void evict_to(cache_t* c, u64 bytes) noexcept nogil:
    """Evicts until blocks take at most `bytes`."""
    cdef block_t* b
    while c.used > bytes:
        b = c.hand if c.hand != NULL else c.oldest
        while survives(c, b):
            b = b.newer if b.newer != NULL else c.oldest
        c.hand = b
        remove(c, b)
        c.evictions += 1


cdef void link_newest(cache_t* c, block_t* b) noexcept nogil:
    b.newer = NULL
    b.older = c.newest
    if c.newest != NULL:
        c.newest.newer = b
    else:
        c.oldest = b
    c.newest = b


cdef void link_at_hand(cache_t* c, block_t* b) noexcept nogil:
    """Where the hand looks next: right before what it points at."""
    cdef block_t* next_one = c.hand if c.hand != NULL else c.oldest
    if next_one == NULL:
        link_newest(c, b)
        return
    b.newer = next_one
    b.older = next_one.older
    if b.older != NULL:
        b.older.newer = b
    else:
        c.oldest = b
    next_one.older = b
    c.hand = b


cdef bint cache_insert(cache_t* c, table_t* t, block_t* b, bint likely_again) noexcept nogil:
    cdef u64 bytes = room(c)
    if b.charge > c.budget >> 2 or b.charge > bytes or t.cached[b.number] != NULL:
        return False
    evict_to(c, bytes - b.charge)
    b.refs += 1
    b.owner = t
    b.visited = 0
    if likely_again:
        link_newest(c, b)
    else:
        link_at_hand(c, b)
    t.cached[b.number] = b
    c.used += b.charge
    c.blocks += 1
    c.packed += b.packed_bytes != 0
    return True


cdef bint cache_holds_all(const cache_t* c) noexcept nogil:
    return c.decoded_bytes <= room(c)


cdef bint cache_prefers_decoded(const cache_t* c, const block_t* packed) noexcept nogil:
    if cache_holds_all(c):
        return packed.visited >= PREFERRED
    return packed.visited >= PREFERRED and above_average(c, packed, PREFERRED, 1)


cdef block_t* cache_unpack(cache_t* c, table_t* t, block_t* packed, error_t* error) noexcept nogil:
    cdef block_t* b = table_unpack(t, packed, True, error)
    cdef u32 visited = packed.visited
    if b != NULL and cache_prefers_decoded(c, packed):
        remove(c, packed)
        if cache_insert(c, t, b, True):
            b.visited = visited        # the hand may come by before the next hit
    return b


cdef void cache_drop_table(cache_t* c, table_t* t) noexcept nogil:
    cdef u32 i
    if t.cached == NULL:
        return
    for i in range(t.block_count):
        if t.cached[i] != NULL:
            remove(c, t.cached[i])


cdef void cache_expect(cache_t* c, i64 bytes) noexcept nogil:
    c.decoded_bytes = <u64>(<i64>c.decoded_bytes + bytes)


cdef void cache_pin(cache_t* c, i64 bytes) noexcept nogil:
    c.pinned = <u64>(<i64>c.pinned + bytes)
    evict_to(c, room(c))


cdef class CacheModel:
    """The cache with empty blocks in it, to replay accesses against a budget. For tools and tests; one thread.

    Tables and blocks are numbers; each table has `blocks_per_table` blocks.
    """
    cdef cache_t* c
    cdef dict tables
    cdef u32 blocks_per_table

    def __init__(self, u64 budget, u32 blocks_per_table=1024):
        if self.c != NULL:
            raise errors.InvalidArgumentError("a model is initialized once")
        self.tables = {}
        self.blocks_per_table = blocks_per_table
        self.c = cache_new(budget)
        if self.c == NULL:
            raise MemoryError

    def __dealloc__(self):
        cache_free(self.c)
        for address in (self.tables or {}).values():
            free((<table_t*><size_t>address).cached)
            free(<void*><size_t>address)

    cdef table_t* table(self, number, u32 block) except NULL:
        cdef table_t* t
        if block >= self.blocks_per_table:
            raise errors.InvalidArgumentError(f"block {block} of {self.blocks_per_table}")
        if number not in self.tables:
            t = <table_t*>calloc(1, sizeof(table_t))
            if t == NULL:
                raise MemoryError
            t.block_count = self.blocks_per_table
            t.cached = <block_t**>calloc(self.blocks_per_table, sizeof(void*))
            if t.cached == NULL:
                free(t)
                raise MemoryError
            self.tables[number] = <size_t>t
        return <table_t*><size_t>self.tables[number]

    def lookup(self, table, u32 block):
        """Whether the block is held; counts as a hit or a miss."""
        return cache_lookup(self.c, self.table(table, block), block) != NULL

    def insert(self, table, u32 block, u32 charge, bint likely_again=True, bint packed=False):
        """Offers a block that takes `charge` bytes; whether it was kept."""
        cdef table_t* t = self.table(table, block)
        cdef block_t* b = <block_t*>malloc(sizeof(block_t))
        cdef bint kept
        if b == NULL:
            raise MemoryError
        memset(b, 0, sizeof(block_t))
        b.refs = 1
        b.charge = charge
        b.number = block
        b.packed_bytes = packed
        kept = cache_insert(self.c, t, b, likely_again)
        block_release(b)
        return bool(kept)

    def prefers_decoded(self, table, u32 block):
        """Whether a packed block that is held should be decoded."""
        cdef block_t* b = self.table(table, block).cached[block]
        return b != NULL and b.packed_bytes != 0 and bool(cache_prefers_decoded(self.c, b))

    def expect(self, i64 decoded):
        """Counts `decoded` bytes (negative: fewer) that blocks of open tables would take."""
        cache_expect(self.c, decoded)

    def drop_table(self, table):
        """Forgets every block of a table."""
        cache_drop_table(self.c, self.table(table, 0))

    def pin(self, i64 charge):
        """Counts `charge` bytes (negative: fewer) of filters and indexes."""
        if charge < 0 and <u64>(-charge) > self.c.pinned:
            raise errors.InvalidArgumentError(f"{-charge} bytes are more than the {self.c.pinned} that are pinned")
        cache_pin(self.c, charge)

    def stats(self):
        """budget, used, pinned in bytes; hits, misses, evictions, blocks as counts."""
        cdef cache_t* c = self.c
        return {
            "budget": c.budget, "used": c.used, "pinned": c.pinned, "hits": c.hits, "misses": c.misses,
            "evictions": c.evictions, "blocks": c.blocks, "packed": c.packed,
        }
