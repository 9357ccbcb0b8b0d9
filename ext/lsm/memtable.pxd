# The memtable of one partition: an arena of keys and versions, a hash index for point reads, and an order that is
# built only when a scan asks for it. A single writer at a time, under the database's lock; a frozen one is only read.
from lsm.types cimport i64, prefetch, u8, u16, u32, u64

cdef enum:
    NODE_HEADER = 16
    VERSION_HEADER = 12
    VERSION_LINK = 8                  # address of the version before, behind the header of all but a key's first
    VERSION_LINKED = 0x80000000

# In the arena everything is aligned to 4 only: padding to 8 would cost as much as a header.
cdef extern from *:
    """
    #ifndef LSM_MEMTABLE_RECORDS
    #define LSM_MEMTABLE_RECORDS
    #include <stdint.h>
    typedef struct {
        uint32_t meta;
        uint64_t seq;
    } __attribute__((packed, aligned(4))) lsm_version_t;
    typedef struct {
        uint32_t key_bytes;
        uint32_t hash;
        lsm_version_t* newest;
    } __attribute__((packed, aligned(4))) lsm_node_t;
    typedef struct {
        lsm_version_t* older;
    } __attribute__((packed, aligned(4))) lsm_link_t;
    #endif
    """
    # One value of a key; its link, if any, and its bytes follow the struct. `meta`: VERSION_LINKED for all but a key's
    # first version (which tells them from nodes on an arena walk), four bits of kind, 27 bits of value length.
    ctypedef struct version_t "lsm_version_t":
        u32 meta
        u64 seq

    # One distinct key; its bytes follow the struct, padded to 4, then its first version.
    ctypedef struct node_t "lsm_node_t":
        u32 key_bytes
        u32 hash                      # upper half of the mixed hash: a slot number at any table size
        version_t* newest

    ctypedef struct link_t "lsm_link_t":
        version_t* older

cdef struct chunk_t:
    chunk_t* next
    size_t size                       # of the whole chunk
    size_t used                       # from the chunk's start, header included

# What flushed memtables leave to the next ones, so that writers find memory that is there already. Under the database's
# lock; zeros are none.
cdef struct spares_t:
    chunk_t* chunks                   # of LARGEST_CHUNK bytes
    u64* slots                        # an index that is all zeros, or NULL
    u64 slot_count
    size_t bytes                      # of all that
    size_t unused                     # the least that `bytes` was since the last spares_shrink
    bint slots_unused                 # `slots` lay here all the time since then

cdef struct leaf_t:
    u32 count
    leaf_t* previous
    leaf_t* next
    u64 prefix[64]
    node_t* node[64]

cdef struct inner_t:
    u32 count                         # children
    u64 prefix[64]                    # of the first entry below child i; entry 0 is never compared
    node_t* node[64]
    void* child[64]

# The order of a memtable: a B+-tree of (eight bytes of the key, node).
cdef struct order_t:
    void* root
    u32 height                        # 0: the root is a leaf
    leaf_t* first
    leaf_t* last
    u64 count
    u64 stamp                         # changes with every insertion: a cursor whose stamp differs seeks again
    u32 skip                          # bytes that all keys share; prefixes start behind them
    node_t* sample                    # any key of the tree, for those bytes

cdef struct item_t:
    u64 prefix
    node_t* node

cdef struct memtable_t:
    i64 refs                          # under the database's lock
    u64 first_seq                     # of the first commit in it, 0 while empty
    u64 last_seq
    u64 first_time
    u64 last_time
    u64 nodes
    u64 versions
    u64 tombstones
    size_t bytes                      # arena in use and index
    u64 multiplier
    u64* slots                        # 16 bits of hash, 48 of pointer; 0 empty
    u32 shift
    u64 slot_count
    chunk_t* chunks                   # oldest first
    chunk_t* current
    chunk_t* spare                    # made beforehand, follows `current` when that is full; not yet one of `chunks`
    spares_t* spares                  # where large chunks and a large index may come from
    u64 wanted_nodes                  # sum of memtable_want
    size_t wanted_bytes
    order_t* order
    u64 order_stamp                   # of the last tree that was dropped
    chunk_t* indexed_chunk            # up to here the arena's nodes are in the order
    size_t indexed_used

cdef memtable_t* memtable_new(u64 multiplier, u64 expected_nodes, spares_t* spares) noexcept nogil
cdef void memtable_free(memtable_t* m) noexcept nogil
# Without the lock, before memtable_recycle: what may take a while of it.
cdef void memtable_wipe(memtable_t* m) noexcept nogil
# Moves what others can use to `spares`, while these are below `most` bytes. What is left is memtable_free's.
cdef void memtable_recycle(memtable_t* m, spares_t* spares, size_t most) noexcept nogil
# Takes out of `spares` what nobody took since the last call, or all of it: to be freed without the lock.
cdef spares_t spares_shrink(spares_t* spares, bint all) noexcept nogil
cdef void spares_free(spares_t* spares) noexcept nogil
# Makes sure that one version of these sizes can be added without asking for memory. STATUS_OK or STATUS_NO_MEMORY.
cdef int memtable_prepare(memtable_t* m, size_t key_bytes, size_t value_bytes) noexcept nogil
# The same for many: memtable_want for each, then memtable_make_room once.
cdef int memtable_make_room(memtable_t* m) noexcept nogil
cdef int memtable_add(memtable_t* m, const u8* key, u32 key_bytes, u64 h, u64 seq, u8 kind,
                      const u8* value, u32 value_bytes, u64 seen) noexcept nogil


cdef inline u32 version_bytes(const version_t* v) noexcept nogil:
    return v.meta & 0x7FFFFFF


cdef inline u8 version_kind(const version_t* v) noexcept nogil:
    return <u8>((v.meta >> 27) & 15)


cdef inline bint version_linked(const version_t* v) noexcept nogil:
    return v.meta >> 31


cdef inline version_t* version_older(const version_t* v) noexcept nogil:
    """NULL: the key's first version."""
    return (<link_t*>(<u8*>v + VERSION_HEADER)).older if version_linked(v) else NULL


cdef inline const u8* version_value(const version_t* v) noexcept nogil:
    return <const u8*>v + VERSION_HEADER + (version_linked(v) << 3)


cdef inline size_t node_room(size_t key_bytes) noexcept nogil:
    """Of a node in the arena, its key included."""
    return (NODE_HEADER + key_bytes + 3) & ~<size_t>3


cdef inline size_t version_room(bint linked, size_t value_bytes) noexcept nogil:
    return (VERSION_HEADER + (<size_t>linked << 3) + value_bytes + 3) & ~<size_t>3


cdef inline const u8* node_key(const node_t* n) noexcept nogil:
    return <const u8*>n + NODE_HEADER


cdef inline const version_t* node_visible(const node_t* n, u64 seq) noexcept nogil:
    """The newest version at `seq`, or NULL."""
    cdef const version_t* v = n.newest
    while v != NULL and v.seq > seq:
        v = version_older(v)
    return v


cdef inline void memtable_want(memtable_t* m, size_t key_bytes, size_t value_bytes) noexcept nogil:
    m.wanted_nodes += 1
    m.wanted_bytes += node_room(key_bytes) + version_room(True, value_bytes)


cdef node_t* memtable_find(const memtable_t* m, const u8* key, u32 key_bytes, u64 h) noexcept nogil


cdef inline void memtable_prefetch(const memtable_t* m, u64 h) noexcept nogil:
    if m.slots != NULL:
        prefetch(&m.slots[(((h * m.multiplier) >> 32) << 32) >> m.shift])


# A walk over the arena in the order of insertion. Start with chunk = m.chunks, used = 0; NULL at the end.
cdef struct walk_t:
    chunk_t* chunk
    size_t used


cdef inline node_t* walk_next(walk_t* w) noexcept nogil:
    """The next distinct key; lone versions of older keys are stepped over."""
    cdef u8* p
    cdef node_t* n
    cdef size_t size
    while w.chunk != NULL:
        if w.used == 0:
            w.used = sizeof(chunk_t)
        while w.used < w.chunk.used:
            p = <u8*>w.chunk + w.used
            n = <node_t*>p
            if n.key_bytes & <u32>0x80000000u:
                w.used += version_room(True, version_bytes(<version_t*>p))
                continue
            size = node_room(n.key_bytes)
            w.used += size + version_room(False, version_bytes(<version_t*>(p + size)))
            return n
        if w.chunk.next == NULL:
            return NULL
        w.chunk = w.chunk.next
        w.used = 0
    return NULL
