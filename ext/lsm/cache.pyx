"""The block cache: SIEVE over an intrusive list of decoded blocks, with the tables' own memory inside the same budget.

Guarantees: used + pinned stays within the budget, but for the floor that cache.pxd states; a referenced block lives.
Every function is called under the database's lock; none waits, allocates (but for cache_new) or takes the GIL.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from lsm.block cimport block_free, block_t
from lsm.table cimport table_t
from lsm.types cimport i64, u32, u64

from lsm import errors

cdef enum:
    FLOOR = 1048576                   # bytes that blocks get whatever tables pin


cdef cache_t* cache_new(u64 budget) noexcept nogil:
    cdef cache_t* c = <cache_t*>calloc(1, sizeof(cache_t))
    if c != NULL:
        c.budget = budget
    return c


cdef void cache_free(cache_t* c) noexcept nogil:
    if c == NULL:
        return
    while c.oldest != NULL:
        remove(c, c.oldest)
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
    block_release(b)


cdef void evict_to(cache_t* c, u64 bytes) noexcept nogil:
    """Evicts until blocks take at most `bytes`."""
    cdef block_t* b
    while c.used > bytes:
        b = c.hand if c.hand != NULL else c.oldest
        while b.visited:
            b.visited = 0
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
    return True


cdef void cache_drop_table(cache_t* c, table_t* t) noexcept nogil:
    cdef u32 i
    if t.cached == NULL:
        return
    for i in range(t.block_count):
        if t.cached[i] != NULL:
            remove(c, t.cached[i])


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

    def insert(self, table, u32 block, u32 charge, bint likely_again=True):
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
        kept = cache_insert(self.c, t, b, likely_again)
        block_release(b)
        return bool(kept)

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
            "evictions": c.evictions, "blocks": c.blocks,
        }
