"""Point reads: which memtable or table holds the newest version that a reader may see.

Guarantees: memory-only lookups never let go of the GIL; a lookup that waits for a disk holds neither lock nor GIL.
Called under the database's lock.
"""
from lsm.block cimport block_find, block_prefetch, block_t
from lsm.bloom cimport bloom_may_contain
from lsm.cache cimport (block_release, cache_holds_all, cache_insert, cache_lookup, cache_prefers_decoded,
                        cache_unpack)
from lsm.core cimport STATE_OPEN, core_leave, core_lock_quietly, core_t, core_unlock, raise_state, superversion_t
from lsm.failure cimport fail
from lsm.keys cimport key_compare
from lsm.memtable cimport memtable_find, memtable_t, node_t, node_visible, version_bytes, version_kind, version_t, \
    version_value
from lsm.packed cimport PACKED_FOUND, PACKED_MALFORMED, packed_find, packed_found_t
from lsm.pthreads cimport pthread_mutex_lock
from lsm.superversions cimport superversion_release
from lsm.table cimport (READ_NOWAIT, READ_UNLESS_DISK, READ_WAIT, READ_WITH_GIL, table_find_block,
                        table_read_block, table_read_packed, table_t)
from lsm.types cimport KIND_DELETE, STATUS_WOULD_BLOCK, STATUS_WOULD_READ, error_t, u8, u32, u64
from lsm.waiting cimport refuses_to_wait

cdef enum:
    LARGE = 6144                      # stored bytes of a block that holds few values


cdef bint next_table(superversion_t* sv, const u8* key, u32 n, u64 h, lookup_t* s) noexcept nogil:
    """Moves to the next table whose range and filter allow the key."""
    cdef table_t* t
    cdef u32 low, high, middle
    while s.level == 0:
        if s.at == sv.start[1]:
            s.level = 1
            break
        t = sv.tables[s.at]
        s.at += 1
        if t.filter == NULL or bloom_may_contain(t.filter, t.filter_lines, h):
            s.table = t
            return True
    while s.level < sv.levels:
        low = sv.start[s.level]
        s.level += 1
        high = sv.start[s.level]
        if low == high:
            continue
        high -= 1
        while low < high:
            middle = (low + high) >> 1
            t = sv.tables[middle]
            if key_compare(t.info.largest, t.info.largest_bytes, key, n) < 0:
                low = middle + 1
            else:
                high = middle
        t = sv.tables[low]
        if t.filter == NULL or bloom_may_contain(t.filter, t.filter_lines, h):
            s.table = t
            return True
    return False


cdef inline int found_version(const version_t* v, lookup_t* s) noexcept nogil:
    if version_kind(v) == KIND_DELETE:
        return LOOKUP_ABSENT
    s.value = version_value(v)
    s.value_bytes = version_bytes(v)
    return LOOKUP_FOUND


cdef inline const version_t* in_memtable(memtable_t* m, const u8* key, u32 n, u64 h, u64 seq) noexcept nogil:
    cdef node_t* node = memtable_find(m, key, n, h)
    return node_visible(node, seq) if node != NULL else NULL


cdef block_t* cached_block(core_t* c, lookup_t* s) noexcept nogil:
    """The block that the lookup is at, if it is in the cache; one that is hit often is decoded there, if memory allows."""
    cdef block_t* b = cache_lookup(c.cache, s.table, s.number)
    cdef block_t* unpacked
    cdef error_t error
    if b == NULL:
        return NULL
    block_prefetch(b)
    if b.packed_bytes == 0:
        return b
    if s.decoded:
        return NULL
    if cache_prefers_decoded(c.cache, b):
        unpacked = cache_unpack(c.cache, s.table, b, &error)
        if unpacked != NULL:
            s.block = unpacked
            return unpacked
    return b


cdef inline int in_packed(core_t* c, const block_t* b, const u8* key, u32 n, u64 seq, lookup_t* s,
                          bint* more) noexcept nogil:
    cdef packed_found_t found
    cdef int result = packed_find(b, key, n, seq, c.cache.scratch, &found, more)
    if result == PACKED_MALFORMED:
        s.decoded = True
        return LOOKUP_NEEDS_BLOCK
    if result != PACKED_FOUND or found.kind == KIND_DELETE:
        s.gone = result == PACKED_FOUND
        return LOOKUP_ABSENT
    s.value = found.value
    s.value_bytes = found.value_bytes
    return LOOKUP_FOUND


cdef inline int in_decoded(const block_t* b, const u8* key, u32 n, u64 h, u64 seq, lookup_t* s,
                           bint* more) noexcept nogil:
    cdef int slot = block_find(b, key, n, h, seq, more)
    if slot < 0 or (b.kinds != NULL and b.kinds[slot] == KIND_DELETE):
        s.gone = slot >= 0
        return LOOKUP_ABSENT
    s.value = b.values + b.value_ends[slot]
    s.value_bytes = b.value_ends[slot + 1] - b.value_ends[slot]
    return LOOKUP_FOUND


cdef int in_memtables(superversion_t* sv, const u8* key, u32 n, u64 h, u64 seq, lookup_t* s) noexcept nogil:
    """As lookup_step, but NEEDS_BLOCK where no memtable has the key."""
    cdef const version_t* v = in_memtable(sv.mem, key, n, h, seq)
    cdef u32 i
    if v != NULL:
        return found_version(v, s)
    for i in range(sv.frozen_count):
        v = in_memtable(sv.frozen[i], key, n, h, seq)
        if v != NULL:
            return found_version(v, s)
    return LOOKUP_NEEDS_BLOCK


cdef int lookup_step(core_t* c, superversion_t* sv, const u8* key, u32 n, u64 h, u64 seq, lookup_t* s) noexcept nogil:
    cdef block_t* b
    cdef int result
    cdef bint more = False
    if not s.started:
        s.started = True
        s.decoded = False
        s.gone = False
        result = in_memtables(sv, key, n, h, seq, s)
        if result != LOOKUP_NEEDS_BLOCK:
            return result
    while True:
        if s.table == NULL:
            if not next_table(sv, key, n, h, s):
                return LOOKUP_ABSENT
            s.number = table_find_block(s.table, key, n)
        if s.number >= s.table.block_count:
            s.table = NULL
            continue
        b = s.block if s.block != NULL else cached_block(c, s)
        if b == NULL:
            return LOOKUP_NEEDS_BLOCK
        if b.packed_bytes:
            result = in_packed(c, b, key, n, seq, s, &more)
        else:
            result = in_decoded(b, key, n, h, seq, s, &more)
        if result == LOOKUP_FOUND or s.gone:
            return result
        if s.block != NULL:
            block_release(s.block)
            s.block = NULL
        if result == LOOKUP_NEEDS_BLOCK:
            return result
        s.decoded = False
        if more:
            s.number += 1
        else:
            s.table = NULL


cdef inline block_t* read(core_t* c, lookup_t* s, int how, error_t* error) noexcept nogil:
    """Packed where memory may not do for all; a large block in any case, since its first read is often its last."""
    if s.decoded or (cache_holds_all(c.cache)
                     and s.table.offsets[s.number + 1] - s.table.offsets[s.number] <= LARGE):
        return table_read_block(s.table, s.number, how, error)
    return table_read_packed(s.table, s.number, how, error)


cdef inline bint may_wait(const error_t* error, int how) noexcept nogil:
    """Whether a read that failed is to be repeated so."""
    return error.status == STATUS_WOULD_BLOCK or (error.status == STATUS_WOULD_READ and how == READ_WAIT)


cdef int lookup_fetch(core_t* c, superversion_t* sv, lookup_t* s) except -1:
    cdef error_t error
    cdef int how = READ_WAIT
    cdef block_t* b = read(c, s, READ_NOWAIT, &error)
    if b != NULL:
        cache_insert(c.cache, s.table, b, True)
        s.block = b
        return 0
    if error.status == STATUS_WOULD_BLOCK or error.status == STATUS_WOULD_READ:
        how = READ_UNLESS_DISK if refuses_to_wait() else READ_WAIT
    if not may_wait(&error, how):
        lookup_done(c, s)
        core_unlock(c)
        fail(&error)
    if s.held == NULL:
        sv.refs += 1
        s.held = sv
    c.active += 1
    core_unlock(c)
    if s.table.has_zstd:
        # zstd lets go of the GIL once; waiting for it anew on the way in and on the way out would cost three times that
        b = read(c, s, READ_WITH_GIL, &error)
    if b == NULL and may_wait(&error, how):
        with nogil:
            b = read(c, s, how, &error)
    core_lock_quietly(c)
    if b != NULL:
        cache_insert(c.cache, s.table, b, True)
        s.block = b
    core_leave(c)
    if b == NULL or c.state != STATE_OPEN:
        lookup_done(c, s)
        core_unlock(c)
        if b == NULL:
            fail(&error)
        raise_state(c)
    return 0


cdef void lookup_done(core_t* c, lookup_t* s) noexcept nogil:
    if s.block != NULL:
        block_release(s.block)
        s.block = NULL
    if s.held != NULL:
        superversion_release(c, s.held)
        s.held = NULL
