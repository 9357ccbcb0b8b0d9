"""Ordered reading: cursors over runs of tables, and the merge of them with memtables, forward and in reverse.

Guarantees: of each key the newest version that the sequence sees, once, in key order; entries stay valid until the next
step. A merge belongs to one scan or one compaction and is stepped by one thread at a time.
"""
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from lsm.block cimport block_free, block_key, block_lower_bound, block_seq, block_value
from lsm.cache cimport block_release, cache_insert, cache_lookup, cache_unpack
from lsm.failure cimport set_no_memory
from lsm.filesystem cimport FS_READ, fs_open, fs_read, fs_read_nowait, fs_read_unless_waiting
from lsm.keys cimport first8, key_compare
from lsm.large_memory cimport large_free, large_grow
from lsm.memtable cimport node_key, version_bytes, version_kind, version_value
from lsm.order cimport mem_cursor_refill
from lsm.pthreads cimport mutex_lock_within, pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_unlock
from lsm.stored cimport codec_is_zstd, stored_codec
from lsm.table cimport READ_NOWAIT, READ_UNLESS_DISK, READ_WAIT, table_decode_block, table_find_block, table_read_block
from lsm.types cimport (KIND_PUT, STATUS_NO_MEMORY, STATUS_OK, STATUS_WOULD_BLOCK, STATUS_WOULD_READ, u8, u32, u64)
from lsm.waiting cimport BRIEF_US
from lsm.zstd_unpack cimport (zstd_unpack_from, zstd_unpacked_block, zstd_unpacked_free, zstd_unpacked_has,
                              zstd_unpacked_new)

cdef enum:
    AHEAD_FIRST = 32768
    AHEAD_MOST = 262144
    AHEAD_ZSTD = 1048576               # for compaction: the GIL is taken once for as much
    AHEAD_AFTER = 3                    # blocks in a row that had to be read
    TRIES = 1000                       # of a lock that is mostly held for less


# ---- blocks of a run

cdef long long read_stretch(run_cursor_t* r, table_t* t, size_t n, u64 start, int how, error_t* error) noexcept nogil:
    cdef int handle = t.handle
    cdef long long got
    if how == READ_NOWAIT:
        return fs_read_nowait(t.fs, handle, r.ahead, n, start, t.path, error)
    if how == READ_UNLESS_DISK:
        return fs_read_unless_waiting(t.fs, handle, r.ahead, n, start, t.path, error)
    if handle < 0:
        handle = fs_open(t.fs, t.path, FS_READ, error)
        if handle < 0:
            return error.status
    got = fs_read(t.fs, handle, r.ahead, n, start, t.path, error)
    if handle != t.handle:
        t.fs.close(t.fs.ctx, handle)
    return got


cdef block_t* held_block(run_cursor_t* r, table_t* t, u32 i, int how, error_t* error) noexcept nogil:
    """Block i out of `ahead`. What zstd made of a stretch is decoded together, since that takes the GIL."""
    cdef const u8* stored = r.ahead + (t.offsets[i] - r.ahead_offset)
    if not codec_is_zstd(stored_codec(stored, t.offsets[i + 1] - t.offsets[i])):
        return table_decode_block(t, i, stored, r.core != NULL, error)
    if not zstd_unpacked_has(r.unpacked, t, i):
        if how == READ_NOWAIT:
            error.status = STATUS_WOULD_BLOCK
            return NULL
        if r.unpacked == NULL:
            r.unpacked = zstd_unpacked_new()
            if r.unpacked == NULL:
                set_no_memory(error)
                return NULL
        if zstd_unpack_from(r.unpacked, t, i, r.ahead, r.ahead_bytes, r.ahead_offset, error) < 0:
            return NULL
    return zstd_unpacked_block(r.unpacked, t, i, r.core != NULL, error)


cdef int read_ahead(run_cursor_t* r, table_t* t, u32 i, int how, error_t* error) noexcept nogil:
    """Fills `ahead` with block i and those behind it. A negative status, or 0."""
    cdef size_t want = AHEAD_MOST if r.core == NULL else AHEAD_FIRST
    cdef long long got
    cdef u64 start = t.offsets[i]
    cdef u32 last = i + 1
    cdef u8* grown
    if r.core != NULL and r.loads > 16:
        want = AHEAD_MOST
    elif r.core == NULL and t.has_zstd:
        want = AHEAD_ZSTD
    while last < t.block_count and t.offsets[last + 1] - start <= want:
        last += 1
    want = t.offsets[last] - start
    if want > r.ahead_room:
        grown = <u8*>large_grow(r.ahead, want)
        if grown == NULL:
            return set_no_memory(error)
        r.ahead = grown
        r.ahead_room = want
    r.ahead_table = NULL
    got = read_stretch(r, t, want, start, how, error)
    if got < 0:
        return <int>got
    if <size_t>got < want:
        return STATUS_OK               # a short file: the block's own read reports it
    r.ahead_table = t
    r.ahead_offset = start
    r.ahead_bytes = want
    return STATUS_OK


cdef block_t* fetch(run_cursor_t* r, table_t* t, u32 i, int how, int* status, error_t* error) noexcept nogil:
    """Block i from the bytes read ahead or from the file; one reference, the caller's."""
    cdef block_t* b
    cdef u64 start = t.offsets[i]
    cdef bint held = (r.ahead_table == t and start >= r.ahead_offset
                      and t.offsets[i + 1] <= r.ahead_offset + r.ahead_bytes)
    status[0] = STATUS_OK
    if (not held and not r.reverse and (t.handle >= 0 or how == READ_WAIT)
            and (r.core == NULL or r.loads >= AHEAD_AFTER)):
        status[0] = read_ahead(r, t, i, how, error)
        if status[0] == STATUS_WOULD_READ and how == READ_NOWAIT:
            status[0] = STATUS_WOULD_BLOCK     # this block itself may be there
        if status[0] < 0 and status[0] != STATUS_WOULD_READ:
            return NULL
        held = r.ahead_table == t
        status[0] = STATUS_OK
    r.loads += 1
    if held:
        b = held_block(r, t, i, how, error)
    else:
        b = table_read_block(t, i, how, error)
    if b == NULL:
        status[0] = error.status
    return b


cdef inline bint take_lock(core_t* c, int how) noexcept nogil:
    if how == READ_WAIT:
        pthread_mutex_lock(&c.lock)
        return True
    if how == READ_NOWAIT:
        return pthread_mutex_trylock(&c.lock) == 0
    return mutex_lock_within(&c.lock, BRIEF_US)


cdef bint take_lock_again(core_t* c, int how) noexcept nogil:
    """Holding what was read, which it would be a pity to lose: tried for a while also with the GIL in hand."""
    cdef int i
    if how != READ_NOWAIT:
        return take_lock(c, how)
    for i in range(TRIES):
        if pthread_mutex_trylock(&c.lock) == 0:
            return True
    return False


cdef int load(run_cursor_t* r, table_t* t, u32 i, int how, error_t* error) noexcept nogil:
    """Makes block i of t the current one. Changes nothing where it fails or would block."""
    cdef block_t* b = NULL
    cdef int status = STATUS_OK
    cdef core_t* c = r.core
    if c == NULL:
        b = fetch(r, t, i, READ_WAIT, &status, error)
        if b == NULL:
            return status
        if r.block != NULL:
            block_free(r.block)
        r.block = b
        return STATUS_OK
    if not take_lock(c, how):
        return STATUS_WOULD_BLOCK
    b = cache_lookup(c.cache, t, i)
    if b != NULL:
        r.loads = 0
        if b.packed_bytes == 0:
            b.refs += 1
        else:
            b = cache_unpack(c.cache, t, b, error)
        if b != NULL:
            swap_block(r, b)
        pthread_mutex_unlock(&c.lock)
        return STATUS_OK if b != NULL else error.status
    pthread_mutex_unlock(&c.lock)
    b = fetch(r, t, i, how, &status, error)
    if b == NULL:
        return status
    if not take_lock_again(c, how):
        block_free(b)
        return STATUS_WOULD_BLOCK
    cache_insert(c.cache, t, b, False)
    swap_block(r, b)
    pthread_mutex_unlock(&c.lock)
    return STATUS_OK


cdef inline void swap_block(run_cursor_t* r, block_t* b) noexcept nogil:
    """Under the lock, which guards the reference counts."""
    if r.block != NULL:
        block_release(r.block)
    r.block = b


# ---- position

cdef void place_run(run_cursor_t* r, const u8* key, u32 n) noexcept nogil:
    """Chooses the table and block where reading begins; the place inside it is found when it is loaded."""
    cdef u32 low = 0
    cdef u32 high = r.table_count
    cdef u32 middle
    r.target = key
    r.target_bytes = n
    r.placed = False
    if key == NULL:
        r.table_at = r.table_count - 1 if r.reverse else 0
        r.block_at = r.tables[r.table_at].block_count - 1 if r.reverse else 0
        return
    while low < high:
        middle = (low + high) >> 1
        if key_compare(r.tables[middle].info.largest, r.tables[middle].info.largest_bytes, key, n) < 0:
            low = middle + 1
        else:
            high = middle
    r.table_at = low
    if low < r.table_count:
        r.block_at = table_find_block(r.tables[low], key, n)
        if r.block_at == r.tables[low].block_count:
            r.block_at -= 1            # the last block, where block_lower_bound answers its count
    elif r.reverse:
        r.table_at = r.table_count - 1
        r.block_at = r.tables[r.table_at].block_count - 1
        r.target = NULL


cdef int enter(run_cursor_t* r, int how, error_t* error) noexcept nogil:
    """Loads the first block and finds the place in it."""
    cdef int status
    if r.table_at >= r.table_count:
        return STEP_END
    status = load(r, r.tables[r.table_at], r.block_at, how, error)
    if status != STATUS_OK:
        return status
    enter_table(r)
    if r.target != NULL:
        r.slot = block_lower_bound(r.block, r.target, r.target_bytes)
    else:
        r.slot = r.block.count if r.reverse else 0
    r.placed = True
    return STEP_OK


cdef inline void enter_table(run_cursor_t* r) noexcept nogil:
    cdef table_t* t = r.tables[r.table_at]
    r.plain = r.core == NULL or (t.unique and t.info.max_seq <= r.seq)


cdef int turn(run_cursor_t* r, int how, error_t* error) noexcept nogil:
    """The neighbouring block in reading direction."""
    cdef u32 table_at = r.table_at
    cdef u32 block_at = r.block_at
    cdef int status
    if r.reverse:
        if block_at > 0:
            block_at -= 1
        elif table_at > 0:
            table_at -= 1
            block_at = r.tables[table_at].block_count - 1
        else:
            return STEP_END
    elif block_at + 1 < r.tables[table_at].block_count:
        block_at += 1
    elif table_at + 1 < r.table_count:
        table_at += 1
        block_at = 0
    else:
        return STEP_END
    status = load(r, r.tables[table_at], block_at, how, error)
    if status != STATUS_OK:
        return status
    r.block_at = block_at
    if table_at != r.table_at:
        r.table_at = table_at
        enter_table(r)
    r.slot = r.block.count if r.reverse else 0
    return STEP_OK


# ---- steps of a run

cdef inline void give(source_t* s, const block_t* b, u32 i) noexcept nogil:
    s.key = block_key(b, i, &s.key_bytes)
    s.value = block_value(b, i, &s.value_bytes)
    s.kind = b.kinds[i] if b.kinds != NULL else <u8>KIND_PUT
    s.seq = block_seq(b, i)
    s.prefix = first8(s.key, s.key_bytes)


cdef int remember(run_cursor_t* r, const u8* key, u32 n, error_t* error) noexcept nogil:
    cdef u8* grown
    if n >= r.last_room:
        grown = <u8*>realloc(r.last, n + 64)
        if grown == NULL:
            return set_no_memory(error)
        r.last = grown
        r.last_room = n + 64
    memcpy(r.last, key, n)
    r.last_bytes = n
    r.has_last = True
    return STATUS_OK


cdef int run_forward(source_t* s, int how, error_t* error) noexcept nogil:
    cdef run_cursor_t* r = s.run
    cdef block_t* b
    cdef const u8* key
    cdef u32 i, n
    cdef int status
    while True:
        b = r.block
        if r.slot < b.count:
            i = r.slot
            if r.plain:
                r.slot = i + 1
                give(s, b, i)
                return STEP_OK
            if block_seq(b, i) > r.seq:
                r.slot = i + 1
                continue
            key = block_key(b, i, &n)
            if r.has_last and n == r.last_bytes and key_compare(key, n, r.last, n) == 0:
                r.slot = i + 1
                continue
            if not r.tables[r.table_at].unique and remember(r, key, n, error) != STATUS_OK:
                return error.status
            r.slot = i + 1
            give(s, b, i)
            return STEP_OK
        status = turn(r, how, error)
        if status != STEP_OK:
            return status


cdef int run_backward(source_t* s, int how, error_t* error) noexcept nogil:
    """Versions of a key pass oldest first; the last visible one of them is the newest."""
    cdef run_cursor_t* r = s.run
    cdef block_t* b
    cdef const u8* key
    cdef u32 i, n
    cdef int status
    while True:
        b = r.block
        if r.slot > 0:
            i = r.slot - 1
            if r.plain and not r.has_last:
                r.slot = i
                give(s, b, i)
                return STEP_OK
            key = block_key(b, i, &n)
            if r.has_last and (n != r.last_bytes or key_compare(key, n, r.last, n) != 0):
                give_kept(s, r)
                return STEP_OK
            if block_seq(b, i) <= r.seq:
                status = keep_version(r, b, i, error)
                if status != STATUS_OK:
                    return status
            r.slot = i
            continue
        status = turn(r, how, error)
        if status == STEP_END and r.has_last:
            give_kept(s, r)
            return STEP_OK
        if status != STEP_OK:
            return status


cdef void give_kept(source_t* s, run_cursor_t* r) noexcept nogil:
    r.has_last = False
    s.key = r.last
    s.key_bytes = r.last_bytes
    s.value = r.last + r.last_bytes
    s.value_bytes = r.kept_value_bytes
    s.kind = r.kept_kind
    s.seq = r.kept_seq
    s.prefix = first8(s.key, s.key_bytes)


cdef int keep_version(run_cursor_t* r, const block_t* b, u32 i, error_t* error) noexcept nogil:
    """Copies key and value: the run may turn to another block before the key's versions end."""
    cdef u32 n, vn
    cdef const u8* key = block_key(b, i, &n)
    cdef const u8* value = block_value(b, i, &vn)
    cdef u8* grown
    if n + vn >= r.last_room:
        grown = <u8*>realloc(r.last, <size_t>n + vn + 64)
        if grown == NULL:
            return set_no_memory(error)
        r.last = grown
        r.last_room = n + vn + 64
    memcpy(r.last, key, n)
    memcpy(r.last + n, value, vn)
    r.last_bytes = n
    r.has_last = True
    r.kept_value_bytes = vn
    r.kept_kind = b.kinds[i] if b.kinds != NULL else <u8>KIND_PUT
    r.kept_seq = block_seq(b, i)
    return STATUS_OK


cdef int run_step(source_t* s, int how, error_t* error) noexcept nogil:
    cdef int status
    if not s.run.placed:
        status = enter(s.run, how, error)
        if status != STEP_OK:
            return status
    if s.run.reverse:
        return run_backward(s, how, error)
    return run_forward(s, how, error)


cdef int memory_step(source_t* s, core_t* c, int how, error_t* error) noexcept nogil:
    cdef mem_cursor_t* m = s.mem
    cdef int status
    if m.at == m.count:
        if m.exhausted:
            return STEP_END
        if not take_lock(c, how):
            return STATUS_WOULD_BLOCK
        status = mem_cursor_refill(m)
        pthread_mutex_unlock(&c.lock)
        if status != STATUS_OK:
            return set_no_memory(error)
        if m.count == 0:
            return STEP_END
    s.key = node_key(m.node[m.at])
    s.key_bytes = m.node[m.at].key_bytes
    s.value = version_value(m.version[m.at])
    s.value_bytes = version_bytes(m.version[m.at])
    s.kind = version_kind(m.version[m.at])
    s.seq = m.version[m.at].seq
    s.prefix = first8(s.key, s.key_bytes)
    m.at += 1
    return STEP_OK


cdef inline int source_step(merge_t* m, source_t* s, int how, error_t* error) noexcept nogil:
    if s.in_memory:
        return memory_step(s, m.core, how, error)
    return run_step(s, how, error)


# ---- the merge

cdef merge_t* merge_new(core_t* core, bint reverse, bint every_version, u32 sources) noexcept nogil:
    """Room for `sources` sources, in one allocation."""
    cdef size_t size = sizeof(merge_t) + sources * (sizeof(source_t) + sizeof(u32))
    cdef merge_t* m = <merge_t*>malloc(size)
    if m == NULL:
        return NULL
    m.core = core
    m.reverse = reverse
    m.every_version = every_version
    m.sources = <source_t*>(<u8*>m + sizeof(merge_t))
    m.heap = <u32*>(<u8*>m.sources + sources * sizeof(source_t))
    m.count = 0
    m.room = sources
    m.heap_count = 0
    m.started = 0
    m.current = -1
    m.winner = -1
    m.midway = False
    return m


cdef void merge_free(merge_t* m) noexcept nogil:
    cdef u32 i
    cdef run_cursor_t* r
    for i in range(m.count):
        if m.sources[i].in_memory:
            free(m.sources[i].mem)
            continue
        r = m.sources[i].run
        if r.block != NULL:
            if m.core != NULL:
                block_release(r.block)
            else:
                block_free(r.block)
        free(r.last)
        large_free(r.ahead)
        zstd_unpacked_free(r.unpacked)
        free(r)
    free(m)


cdef source_t* new_source(merge_t* m) noexcept nogil:
    cdef source_t* s = &m.sources[m.count]
    s.rank = m.count
    s.mem = NULL
    s.run = NULL
    s.in_memory = False
    m.count += 1
    return s


cdef int merge_add_memtable(merge_t* m, mem_cursor_t* c) noexcept nogil:
    cdef source_t* s = new_source(m)
    s.in_memory = True
    s.mem = c
    return STATUS_OK


cdef int merge_add_run(merge_t* m, table_t** tables, u32 count, u64 seq, const u8* key, u32 key_bytes) noexcept nogil:
    cdef run_cursor_t* r = <run_cursor_t*>calloc(1, sizeof(run_cursor_t))
    if r == NULL:
        return STATUS_NO_MEMORY
    r.core = m.core
    r.tables = tables
    r.table_count = count
    r.seq = seq
    r.reverse = m.reverse
    place_run(r, key, key_bytes)
    new_source(m).run = r
    return STATUS_OK


cdef inline bint before(const merge_t* m, u32 a, u32 b) noexcept nogil:
    """Does source a come first? By key in reading direction, then newest first."""
    cdef const source_t* x = &m.sources[a]
    cdef const source_t* y = &m.sources[b]
    cdef int order
    if x.prefix != y.prefix:
        return (x.prefix < y.prefix) != m.reverse
    order = key_compare(x.key, x.key_bytes, y.key, y.key_bytes)
    if order != 0:
        return (order < 0) != m.reverse
    return x.rank < y.rank


cdef inline bint same_key(const source_t* x, const source_t* y) noexcept nogil:
    return (x.prefix == y.prefix and x.key_bytes == y.key_bytes
            and key_compare(x.key, x.key_bytes, y.key, y.key_bytes) == 0)


cdef void heap_push(merge_t* m, u32 source) noexcept nogil:
    cdef u32 i = m.heap_count
    cdef u32 parent
    m.heap_count += 1
    while i > 0:
        parent = (i - 1) >> 1
        if not before(m, source, m.heap[parent]):
            break
        m.heap[i] = m.heap[parent]
        i = parent
    m.heap[i] = source


cdef void heap_settle(merge_t* m) noexcept nogil:
    """The root has changed: down to its place."""
    cdef u32 i = 0
    cdef u32 child
    cdef u32 source
    if m.heap_count == 0:
        return
    source = m.heap[0]
    while True:
        child = 2 * i + 1
        if child >= m.heap_count:
            break
        if child + 1 < m.heap_count and before(m, m.heap[child + 1], m.heap[child]):
            child += 1
        if not before(m, m.heap[child], source):
            break
        m.heap[i] = m.heap[child]
        i = child
    m.heap[i] = source


cdef void heap_drop(merge_t* m) noexcept nogil:
    m.heap_count -= 1
    m.heap[0] = m.heap[m.heap_count]
    heap_settle(m)


cdef int start_sources(merge_t* m, int how, error_t* error) noexcept nogil:
    cdef int status
    while m.started < m.count:
        status = source_step(m, &m.sources[m.started], how, error)
        if status < 0:
            return status
        if status == STEP_OK:
            heap_push(m, m.started)
        m.started += 1
    return STEP_OK


cdef int merge_next(merge_t* m, int how, error_t* error) noexcept nogil:
    cdef int status
    cdef int moved
    if m.started < m.count:
        status = start_sources(m, how, error)
        if status != STEP_OK:
            return status
    if m.current >= 0:
        status = source_step(m, &m.sources[m.current], how, error)
        if status < 0:
            return status
        moved = m.current
        m.current = -1
        if status == STEP_OK:
            if m.heap_count == 0 or before_strictly(m, moved, m.heap[0]):
                m.current = moved
                return STEP_OK
            heap_push(m, moved)
    if m.winner < 0:
        if m.heap_count == 0:
            return STEP_END
        m.winner = <int>m.heap[0]
        heap_drop(m)
    while m.midway or (not m.every_version and m.heap_count > 0
                       and same_key(&m.sources[m.heap[0]], &m.sources[m.winner])):
        # a step that would block may have overwritten the entry it leaves: the repeated call must not look at it
        m.midway = True
        status = source_step(m, &m.sources[m.heap[0]], how, error)
        if status < 0:
            return status
        m.midway = False
        if status == STEP_OK:
            heap_settle(m)
        else:
            heap_drop(m)
    m.current = m.winner
    m.winner = -1
    return STEP_OK


cdef inline bint before_strictly(const merge_t* m, u32 a, u32 b) noexcept nogil:
    """Before, and by another key: nothing older of the same key has to be stepped over."""
    if m.every_version:
        return before(m, a, b)
    return before(m, a, b) and not same_key(&m.sources[a], &m.sources[b])
