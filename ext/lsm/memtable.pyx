"""The memtable: arena and hash index. A put costs one index probe and one append; order is `lsm.order`'s, made on demand.

Guarantees: nodes and versions never move while the memtable lives. One writer at a time, under the database's lock.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from lsm.keys cimport bytes_equal
from lsm.large_memory cimport LARGE_HEAD, large_free, large_new, large_zeros
from lsm.order cimport order_free
from lsm.types cimport KIND_DELETE, STATUS_NO_MEMORY, STATUS_OK, clz64, prefetch, u8, u16, u32, u64

cdef enum:
    FIRST_CHUNK = 1024                 # bytes, LARGE_HEAD included
    LARGEST_CHUNK = 1 << 20            # but for records that are larger
    FIRST_SLOTS = 64
    RECYCLED_SLOTS = 1 << 15           # the least that are worth it: 256 KiB

cdef u64 POINTER_BITS = (<u64>1 << 48) - 1


# ---- what one memtable leaves to the next

cdef inline void spares_taken(spares_t* s, size_t size) noexcept nogil:
    s.bytes -= size
    if s.bytes < s.unused:
        s.unused = s.bytes


cdef void memtable_wipe(memtable_t* m) noexcept nogil:
    if m.slots != NULL and m.slot_count >= RECYCLED_SLOTS:
        memset(m.slots, 0, m.slot_count * sizeof(u64))


cdef void memtable_recycle(memtable_t* m, spares_t* spares, size_t most) noexcept nogil:
    cdef size_t size = m.slot_count * sizeof(u64)
    cdef chunk_t* c
    cdef chunk_t* others = NULL
    cdef u64* slots = m.slots
    # The index first: memtables differ more in it than in their chunks, and what is there may be of another size.
    if slots != NULL and m.slot_count >= RECYCLED_SLOTS and spares.bytes + size <= most:
        m.slots = spares.slots
        if m.slots != NULL:
            spares_taken(spares, spares.slot_count * sizeof(u64))
        m.slot_count, spares.slot_count = spares.slot_count, m.slot_count
        spares.slots = slots
        spares.slots_unused = False
        spares.bytes += size
    if m.spare != NULL:
        m.spare.next = m.chunks
        m.chunks = m.spare
        m.spare = NULL
    while m.chunks != NULL:
        c = m.chunks
        m.chunks = c.next
        if c.size == LARGEST_CHUNK - LARGE_HEAD and spares.bytes + LARGEST_CHUNK <= most:
            c.next = spares.chunks
            spares.chunks = c
            spares.bytes += LARGEST_CHUNK
        else:
            c.next = others
            others = c
    m.chunks = others


cdef spares_t spares_shrink(spares_t* spares, bint all) noexcept nogil:
    cdef spares_t out
    cdef size_t excess = spares.bytes if all else spares.unused
    cdef size_t size = spares.slot_count * sizeof(u64)
    cdef chunk_t* c
    memset(&out, 0, sizeof(spares_t))
    if spares.slots != NULL and (all or spares.slots_unused):
        out.slots, out.slot_count = spares.slots, spares.slot_count
        spares.slots = NULL
        spares.slot_count = 0
        spares.bytes -= size
        excess -= size if size < excess else excess
    while spares.chunks != NULL and excess >= LARGEST_CHUNK:
        c = spares.chunks
        spares.chunks = c.next
        c.next = out.chunks
        out.chunks = c
        spares.bytes -= LARGEST_CHUNK
        excess -= LARGEST_CHUNK
    spares.unused = spares.bytes
    spares.slots_unused = spares.slots != NULL
    return out


cdef void spares_free(spares_t* spares) noexcept nogil:
    chunks_free(spares.chunks)
    large_free(spares.slots)


# ---- memory

cdef void chunks_free(chunk_t* c) noexcept nogil:
    cdef chunk_t* following
    while c != NULL:
        following = c.next
        large_free(c)
        c = following


cdef chunk_t* chunk_new(size_t size, spares_t* spares) noexcept nogil:
    cdef chunk_t* c
    if size == LARGEST_CHUNK and spares.chunks != NULL:
        c = spares.chunks
        spares.chunks = c.next
        spares_taken(spares, LARGEST_CHUNK)
    else:
        c = <chunk_t*>large_new(size - LARGE_HEAD)
        if c == NULL:
            return NULL
        c.size = size - LARGE_HEAD
    c.next = NULL
    c.used = sizeof(chunk_t)
    return c


cdef u64* slots_new(u64 count, spares_t* spares) noexcept nogil:
    cdef u64* slots = spares.slots
    if slots == NULL or spares.slot_count != count:
        return <u64*>large_zeros(count * sizeof(u64))
    spares.slots = NULL
    spares.slot_count = 0
    spares_taken(spares, count * sizeof(u64))
    return slots


cdef int arena_spare(memtable_t* m, size_t n) noexcept nogil:
    """A spare chunk for n bytes: twice the last one's size up to LARGEST_CHUNK, or more where n asks for it."""
    cdef size_t size = FIRST_CHUNK
    if m.spare != NULL:
        if m.spare.size - m.spare.used >= n:
            return STATUS_OK
        large_free(m.spare)
        m.spare = NULL
    if m.current != NULL:
        size = (m.current.size + LARGE_HEAD) * 2
        if size > LARGEST_CHUNK:
            size = LARGEST_CHUNK
    while size < n + sizeof(chunk_t) + LARGE_HEAD:
        size *= 2
    m.spare = chunk_new(size, m.spares)
    return STATUS_OK if m.spare != NULL else STATUS_NO_MEMORY


cdef u8* arena_more(memtable_t* m, size_t n) noexcept nogil:
    """n bytes of the spare chunk, which becomes the current one."""
    if arena_spare(m, n) != STATUS_OK:
        return NULL
    if m.current == NULL:
        m.chunks = m.spare
    else:
        m.current.next = m.spare
    m.current = m.spare
    m.spare = NULL
    m.current.used += n
    return <u8*>m.current + sizeof(chunk_t)


cdef inline u8* arena_take(memtable_t* m, size_t n) noexcept nogil:
    """n bytes, a multiple of 4, aligned to 4; NULL: out of memory."""
    cdef chunk_t* c = m.current
    cdef u8* p
    if c == NULL or c.used + n > c.size:
        return arena_more(m, n)
    p = <u8*>c + c.used
    c.used += n
    return p


cdef memtable_t* memtable_new(u64 multiplier, u64 expected_nodes, spares_t* spares) noexcept nogil:
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
    m.spares = spares
    m.slots = NULL                     # made with the first put, so that an empty memtable costs one small struct
    return m


cdef void memtable_free(memtable_t* m) noexcept nogil:
    chunks_free(m.chunks)
    large_free(m.spare)
    large_free(m.slots)
    order_free(m.order)
    free(m)


cdef int index_grow(memtable_t* m) noexcept nogil:
    """Four times the slots while small (few, cheap rehashes), twice when large (no memory to waste)."""
    cdef u64 count = m.slot_count * (4 if m.slot_count < 65536 else 2)
    cdef u32 shift = clz64(count) + 1
    cdef u64 mask = count - 1
    cdef u64* slots = slots_new(count, m.spares)
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
    large_free(m.slots)
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
    v.meta = (<u32>VERSION_LINKED if older != NULL else 0) | (<u32>kind << 27) | value_bytes
    v.seq = seq
    if older != NULL:
        (<link_t*>(<u8*>v + VERSION_HEADER)).older = older
    if value_bytes:                    # else `value` may be NULL
        memcpy(<u8*>version_value(v), value, value_bytes)


cdef int index_room(memtable_t* m, u64 nodes) noexcept nogil:
    """Room in the index for so many more keys."""
    if m.slots == NULL:
        m.slots = slots_new(m.slot_count, m.spares)
        if m.slots == NULL:
            return STATUS_NO_MEMORY
        m.bytes += m.slot_count * sizeof(u64)
    while (m.nodes + nodes) * 5 > m.slot_count * 4:
        if index_grow(m) != STATUS_OK:
            return STATUS_NO_MEMORY
    return STATUS_OK


cdef inline bint index_has_room(const memtable_t* m) noexcept nogil:
    """For one more key."""
    return m.slots != NULL and (m.nodes + 1) * 5 <= m.slot_count * 4


cdef int memtable_prepare(memtable_t* m, size_t key_bytes, size_t value_bytes) noexcept nogil:
    cdef size_t most = node_room(key_bytes) + version_room(True, value_bytes)
    cdef chunk_t* c = m.current
    if not index_has_room(m) and index_room(m, 1) != STATUS_OK:
        return STATUS_NO_MEMORY
    if c == NULL or c.used + most > c.size:
        return arena_spare(m, most)
    return STATUS_OK


cdef int memtable_make_room(memtable_t* m) noexcept nogil:
    cdef u64 nodes = m.wanted_nodes
    cdef size_t most = m.wanted_bytes
    cdef chunk_t* c = m.current
    m.wanted_nodes = 0
    m.wanted_bytes = 0
    if index_room(m, nodes) != STATUS_OK:
        return STATUS_NO_MEMORY
    if c == NULL or c.used + most > c.size:
        return arena_spare(m, most)
    return STATUS_OK


cdef inline bint replace_version(memtable_t* m, version_t* v, u64 seq, u8 kind, const u8* value,
                                 u32 value_bytes) noexcept nogil:
    """Overwrites a version that nobody sees any more, where the new value takes the same room."""
    if version_room(False, value_bytes) != version_room(False, version_bytes(v)):
        return False
    m.tombstones -= version_kind(v) == KIND_DELETE
    m.tombstones += kind == KIND_DELETE
    fill_version(v, seq, kind, value, value_bytes, version_older(v))
    return True


cdef int memtable_add(memtable_t* m, const u8* key, u32 key_bytes, u64 h, u64 seq, u8 kind,
                      const u8* value, u32 value_bytes, u64 seen) noexcept nogil:
    """Adds one version. STATUS_OK or STATUS_NO_MEMORY; then nothing has changed.

    `seen`: versions above it are seen by no snapshot and no scan, so a newer one may take their place.
    """
    cdef size_t version_size, node_size
    cdef u64 mask, at, s, g
    cdef node_t* n
    cdef version_t* v
    if not index_has_room(m) and index_room(m, 1) != STATUS_OK:
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
                version_size = version_room(True, value_bytes)
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
    node_size = node_room(key_bytes)
    version_size = version_room(False, value_bytes)
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
