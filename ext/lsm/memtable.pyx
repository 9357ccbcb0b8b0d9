"""The memtable: arena and hash index. A put costs one index probe and one append; order is `lsm.order`'s, made on demand.

Guarantees: nodes and versions never move while the memtable lives. One writer at a time, under the database's lock.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

from lsm.keys cimport bytes_equal
from lsm.order cimport order_free
from lsm.types cimport KIND_DELETE, STATUS_NO_MEMORY, STATUS_OK, clz64, prefetch, u8, u16, u32, u64

cdef extern from *:
    """
    #include <sys/mman.h>
    static inline void lsm_advise_huge(void* p, size_t n) {
    #ifdef MADV_HUGEPAGE
        madvise(p, n, MADV_HUGEPAGE);
    #endif
        (void)p; (void)n;
    }
    """
    void advise_huge "lsm_advise_huge"(void* p, size_t n) nogil

cdef enum:
    FIRST_CHUNK = 1024
    MAPPED_FROM = 1 << 18              # chunks this large go back to the system when freed
    HUGE_CHUNK = 4 << 20
    FIRST_SLOTS = 64

cdef u64 POINTER_BITS = (<u64>1 << 48) - 1


cdef chunk_t* chunk_new(size_t size) noexcept nogil:
    cdef chunk_t* c
    cdef bint mapped = size >= MAPPED_FROM
    if mapped:
        c = <chunk_t*>mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if <void*>c == MAP_FAILED:
            return NULL
        if size >= HUGE_CHUNK:
            advise_huge(c, size)
    else:
        c = <chunk_t*>malloc(size)
        if c == NULL:
            return NULL
    c.next = NULL
    c.size = size
    c.used = sizeof(chunk_t)
    c.mapped = mapped
    return c


cdef u8* arena_more(memtable_t* m, size_t n) noexcept nogil:
    """A new chunk, twice the last one's size up to HUGE_CHUNK and large enough for n bytes."""
    cdef size_t size = FIRST_CHUNK
    cdef chunk_t* c
    if m.current != NULL:
        size = m.current.size * 2
        if size > HUGE_CHUNK:
            size = HUGE_CHUNK
    while size < n + sizeof(chunk_t):
        size *= 2
    c = chunk_new(size)
    if c == NULL:
        return NULL
    if m.current == NULL:
        m.chunks = c
    else:
        m.current.next = c
    m.current = c
    c.used += n
    return <u8*>c + sizeof(chunk_t)


cdef inline u8* arena_take(memtable_t* m, size_t n) noexcept nogil:
    """n bytes, a multiple of 8, aligned to 8; NULL: out of memory."""
    cdef chunk_t* c = m.current
    cdef u8* p
    if c == NULL or c.used + n > c.size:
        return arena_more(m, n)
    p = <u8*>c + c.used
    c.used += n
    return p


cdef memtable_t* memtable_new(u64 multiplier, u64 expected_nodes) noexcept nogil:
    """An empty memtable. `multiplier` is odd and secret to the process; the index starts with room for `expected_nodes`."""
    cdef memtable_t* m = <memtable_t*>calloc(1, sizeof(memtable_t))
    cdef u64 slots = FIRST_SLOTS
    if m == NULL:
        return NULL
    while slots * 4 < expected_nodes * 5:
        slots *= 2
    m.refs = 1
    m.multiplier = multiplier | 1
    m.slot_count = slots
    m.shift = clz64(slots) + 1
    m.slots = NULL                     # made with the first put, so that an empty memtable costs one small struct
    return m


cdef void memtable_free(memtable_t* m) noexcept nogil:
    cdef chunk_t* c = m.chunks
    cdef chunk_t* following
    while c != NULL:
        following = c.next
        if c.mapped:
            munmap(c, c.size)
        else:
            free(c)
        c = following
    slots_free(m.slots, m.slot_count)
    order_free(m.order)
    free(m)


cdef u64* slots_new(u64 count) noexcept nogil:
    cdef size_t size = count * sizeof(u64)
    cdef u64* slots
    if size < MAPPED_FROM:
        return <u64*>calloc(count, sizeof(u64))
    slots = <u64*>mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if <void*>slots == MAP_FAILED:
        return NULL
    if size >= HUGE_CHUNK:
        advise_huge(slots, size)
    return slots


cdef void slots_free(u64* slots, u64 count) noexcept nogil:
    if slots == NULL:
        return
    if count * sizeof(u64) < MAPPED_FROM:
        free(slots)
    else:
        munmap(slots, count * sizeof(u64))


cdef int index_grow(memtable_t* m) noexcept nogil:
    """Four times the slots while small (few, cheap rehashes), twice when large (no memory to waste)."""
    cdef u64 count = m.slot_count * (4 if m.slot_count < 65536 else 2)
    cdef u32 shift = clz64(count) + 1
    cdef u64 mask = count - 1
    cdef u64* slots = slots_new(count)
    cdef u64 i, s, at
    if slots == NULL:
        return STATUS_NO_MEMORY
    for i in range(m.slot_count):
        if i + 8 < m.slot_count and m.slots[i + 8]:
            prefetch(<void*>(m.slots[i + 8] & POINTER_BITS))
        s = m.slots[i]
        if s == 0:
            continue
        at = (<u64>(<node_t*>(s & POINTER_BITS)).hash << 32) >> shift
        while slots[at]:
            at = (at + 1) & mask
        slots[at] = s
    slots_free(m.slots, m.slot_count)
    m.bytes += (count - m.slot_count) * sizeof(u64)
    m.slots = slots
    m.slot_count = count
    m.shift = shift
    return STATUS_OK


cdef node_t* memtable_find(const memtable_t* m, const u8* key, u32 key_bytes, u64 h) noexcept nogil:
    """The node of `key` or NULL; `h` is the key's XXH64 with the database's seed."""
    cdef u64 mask = m.slot_count - 1
    cdef u64 at, s
    cdef node_t* n
    if m.nodes == 0:
        return NULL
    # 32 bits of the mixed hash choose the slot, as in the node, so that growing needs no rehash of keys
    at = (((h * m.multiplier) >> 32) << 32) >> m.shift
    while True:
        s = m.slots[at]
        if s == 0:
            return NULL
        if (s >> 48) == (h & 0xFFFF):
            n = <node_t*>(s & POINTER_BITS)
            if n.key_bytes == key_bytes and bytes_equal(<u8*>n + NODE_HEADER, key, key_bytes):
                return n
        at = (at + 1) & mask


cdef inline void fill_version(version_t* v, u64 seq, u8 kind, const u8* value, u32 value_bytes,
                              version_t* older) noexcept nogil:
    v.meta = <u32>0x80000000u | (<u32>kind << 27) | value_bytes
    v.reserved = 0
    v.seq = seq
    v.older = older
    if value_bytes:                    # else `value` may be NULL
        memcpy(<u8*>v + VERSION_HEADER, value, value_bytes)


cdef int index_room(memtable_t* m) noexcept nogil:
    """Room in the index for one more key."""
    if m.slots == NULL:
        m.slots = slots_new(m.slot_count)
        if m.slots == NULL:
            return STATUS_NO_MEMORY
        m.bytes += m.slot_count * sizeof(u64)
    if (m.nodes + 1) * 5 > m.slot_count * 4:
        return index_grow(m)
    return STATUS_OK


cdef int memtable_prepare(memtable_t* m, size_t key_bytes, size_t value_bytes) noexcept nogil:
    cdef size_t most = NODE_HEADER + VERSION_HEADER + key_bytes + value_bytes + 14
    cdef chunk_t* c = m.current
    if (m.slots == NULL or (m.nodes + 1) * 5 > m.slot_count * 4) and index_room(m) != STATUS_OK:
        return STATUS_NO_MEMORY
    if c == NULL or c.used + most > c.size:
        if arena_more(m, most) == NULL:
            return STATUS_NO_MEMORY
        m.current.used -= most
    return STATUS_OK


cdef inline bint replace_version(memtable_t* m, version_t* v, u64 seq, u8 kind, const u8* value,
                                 u32 value_bytes) noexcept nogil:
    """Overwrites a version that nobody sees any more, where the new value takes the same room."""
    if (value_bytes + VERSION_HEADER + 7) & ~<u32>7 != (version_bytes(v) + VERSION_HEADER + 7) & ~<u32>7:
        return False
    m.tombstones -= version_kind(v) == KIND_DELETE
    m.tombstones += kind == KIND_DELETE
    fill_version(v, seq, kind, value, value_bytes, v.older)
    return True


cdef int memtable_add(memtable_t* m, const u8* key, u32 key_bytes, u64 h, u64 seq, u8 kind,
                      const u8* value, u32 value_bytes, u64 seen) noexcept nogil:
    """Adds one version. STATUS_OK or STATUS_NO_MEMORY; then nothing has changed.

    `seen`: versions above it are seen by no snapshot and no scan, so a newer one may take their place.
    """
    cdef size_t version_size = (VERSION_HEADER + <size_t>value_bytes + 7) & ~<size_t>7
    cdef size_t node_size
    cdef u64 mask, at, s, g
    cdef node_t* n
    cdef version_t* v
    if (m.slots == NULL or (m.nodes + 1) * 5 > m.slot_count * 4) and index_room(m) != STATUS_OK:
        return STATUS_NO_MEMORY
    mask = m.slot_count - 1
    g = (h * m.multiplier) >> 32
    at = (g << 32) >> m.shift
    while True:
        s = m.slots[at]
        if s == 0:
            break
        if (s >> 48) == (h & 0xFFFF):
            n = <node_t*>(s & POINTER_BITS)
            if n.key_bytes == key_bytes and bytes_equal(<u8*>n + NODE_HEADER, key, key_bytes):
                if n.newest.seq > seen and replace_version(m, n.newest, seq, kind, value, value_bytes):
                    return STATUS_OK
                v = <version_t*>arena_take(m, version_size)
                if v == NULL:
                    return STATUS_NO_MEMORY
                fill_version(v, seq, kind, value, value_bytes, n.newest)
                n.newest = v
                m.bytes += version_size
                m.versions += 1
                m.tombstones += kind == KIND_DELETE
                return STATUS_OK
        at = (at + 1) & mask
    node_size = (NODE_HEADER + <size_t>key_bytes + 7) & ~<size_t>7
    n = <node_t*>arena_take(m, node_size + version_size)
    if n == NULL:
        return STATUS_NO_MEMORY
    n.key_bytes = key_bytes
    n.hash = <u32>g
    memcpy(<u8*>n + NODE_HEADER, key, key_bytes)
    v = <version_t*>(<u8*>n + node_size)
    fill_version(v, seq, kind, value, value_bytes, NULL)
    n.newest = v
    m.slots[at] = (<u64>(h & 0xFFFF) << 48) | <u64>n
    m.nodes += 1
    m.versions += 1
    m.bytes += node_size + version_size
    m.tombstones += kind == KIND_DELETE
    return STATUS_OK
