# The order of a memtable's keys, made when somebody needs it: a sort for a flush, a B+-tree for scans of a live memtable.
from lsm.memtable cimport item_t, leaf_t, memtable_t, node_t, order_t, version_t
from lsm.types cimport u8, u32, u64

# All nodes in key order, in an array the caller frees; NULL: out of memory, or no nodes.
cdef item_t* memtable_sorted(const memtable_t* m) noexcept nogil
# How many nodes the tree does not know yet; long catch-ups are better done without the GIL.
cdef u64 memtable_unordered(const memtable_t* m) noexcept nogil
# Brings the tree up to date. Under the database's lock. 0 or STATUS_NO_MEMORY.
cdef int memtable_catch_up(memtable_t* m) noexcept nogil
cdef void order_free(order_t* o) noexcept nogil


# A scan's position in a memtable. Entries are gathered under the database's lock, then read without it: nodes and
# versions never move or change (but for a node's `newest`), and the cursor's owner holds a reference to the memtable.
cdef struct mem_cursor_t:
    memtable_t* mem
    u64 seq
    bint reverse
    bint exhausted
    u32 count
    u32 at
    u32 want
    leaf_t* leaf
    u32 slot
    u64 stamp
    const node_t* last
    const node_t* node[128]
    const version_t* version[128]

cdef void mem_cursor_init(mem_cursor_t* c, memtable_t* m, u64 seq, bint reverse) noexcept nogil
# Positions at the first key >= key (reverse: the last key < key), key NULL: at the end it starts from, and gathers.
# count == 0: nothing there. Under the database's lock. 0 or STATUS_NO_MEMORY.
cdef int mem_cursor_seek(mem_cursor_t* c, const u8* key, u32 key_bytes) noexcept nogil
# Gathers what follows. Under the database's lock. 0 or STATUS_NO_MEMORY, which changes nothing.
cdef int mem_cursor_refill(mem_cursor_t* c) noexcept nogil
