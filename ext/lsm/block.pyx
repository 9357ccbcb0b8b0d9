"""Reading blocks: decoding one into a single allocation, and finding keys in it. docs/format/table.md has the bytes.

Guarantees: no input makes it read or write out of bounds; a decoded block is never changed, but for the cache's fields.
Any thread may call, with or without the GIL; who counts `refs` holds the database's lock.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from lsm.columns cimport columns_parse, columns_t, read_width
from lsm.keys cimport bytes_equal, first8, key_compare
from lsm.types cimport KIND_PUT, STATUS_CORRUPT, STATUS_NO_MEMORY, get64_be, prefetch, u8, u32, u64
from lsm.xxh64 cimport xxh64

from lsm import errors

cdef enum:
    SLACK = 16                        # bytes behind keys and values, so that short copies and prefix loads need no care


cdef void fill_ends(u32* ends, const u8* lengths, u32 width, u32 count, u32 each, u32 extra) noexcept nogil:
    """Running sums of a column of lengths, `extra` added to each; the column was checked."""
    cdef u32 total = 0
    cdef u32 i
    ends[0] = 0
    if width == 0:
        each += extra
        for i in range(count):
            ends[i + 1] = (i + 1) * each
    elif width == 1:
        for i in range(count):
            total += lengths[i] + extra
            ends[i + 1] = total
    else:
        for i in range(count):
            total += <u32>read_width(lengths, width) + extra
            lengths += width
            ends[i + 1] = total


cdef inline void copy_short(u8* to, const u8* source, size_t n, const u8* limit) noexcept nogil:
    """memcpy, without the call for up to 16 bytes; may write up to 16 bytes where fewer are asked for."""
    if n <= 16 and limit - source >= 16:
        memcpy(to, source, 16)
    else:
        memcpy(to, source, n)


cdef void expand_keys(u8* to, const u32* ends, const columns_t* c) noexcept nogil:
    """Whole keys out of prefix and suffixes. Overshoots by up to 16 bytes, over what is written after it."""
    cdef const u8* suffix = c.suffixes
    cdef size_t prefix = c.prefix_bytes
    cdef size_t n
    cdef u32 i
    if prefix == 0:
        memcpy(to, suffix, c.suffixes_bytes)
        return
    for i in range(c.count):
        n = ends[i + 1] - ends[i] - prefix
        copy_short(to + ends[i], c.prefix, prefix, c.end)
        copy_short(to + ends[i] + prefix, suffix, n, c.end)
        suffix += n


cdef void fill_seqs(u64* to, const columns_t* c) noexcept nogil:
    cdef const u8* p = c.seqs
    cdef u64 delta
    cdef u32 i, j
    for i in range(c.count):
        delta = 0
        for j in range(c.seq_width):
            delta |= <u64>p[j] << (8 * j)
        to[i] = c.base_seq + delta
        p += c.seq_width


cdef void fill_buckets(block_t* b, u8* buckets, u64 seed) noexcept nogil:
    """Puts the first slot of every distinct key at the low bits of its hash, or behind where that is taken."""
    cdef u32 mask = b.bucket_mask
    cdef const u8* key
    cdef const u8* last = NULL
    cdef u32 n, at, i
    cdef u32 last_bytes = 0
    memset(buckets, 0xFF, mask + 1)
    for i in range(b.count):
        key = block_key(b, i, &n)
        if not b.unique:
            if last != NULL and n == last_bytes and bytes_equal(key, last, n):
                continue
            last = key
            last_bytes = n
        at = <u32>xxh64(key, n, seed) & mask
        while buckets[at] != 0xFF:
            at = (at + 1) & mask
        buckets[at] = <u8>i


cdef inline u32 buckets_for(u32 count) noexcept nogil:
    cdef u32 n = 8
    while n < 2 * count:
        n <<= 1
    return n


cdef block_t* block_decode(const u8* raw, size_t n, u64 seed, bint with_buckets, int* status) noexcept nogil:
    cdef columns_t c
    cdef block_t* b
    cdef size_t keys_bytes, total
    cdef u32 slots = 0
    cdef bint with_seqs
    cdef u8* p
    status[0] = STATUS_CORRUPT
    if n > <u64>0xFFFFFFFF or not columns_parse(raw, n, &c):
        return NULL
    if with_buckets:
        slots = buckets_for(c.count)
    with_seqs = c.seq_width != 0 or c.base_seq != 0
    keys_bytes = c.count * c.prefix_bytes + c.suffixes_bytes
    total = (sizeof(block_t) + (8 * c.count if with_seqs else 0) + 8 * (c.count + 1) + slots
             + (c.count if c.kinds != NULL else 0) + keys_bytes + c.values_bytes + SLACK)
    if total > <u64>0xFFFFFFFF:
        return NULL
    b = <block_t*>malloc(total)
    if b == NULL:
        status[0] = STATUS_NO_MEMORY
        return NULL
    memset(b, 0, sizeof(block_t))
    b.refs = 1
    b.count = c.count
    b.charge = block_charge(total)
    b.unique = c.unique
    b.prefix_bytes = <u32>c.prefix_bytes
    p = <u8*>b + sizeof(block_t)
    if with_seqs:
        b.seqs = <u64*>p
        fill_seqs(<u64*>p, &c)
        p += 8 * c.count
    b.key_ends = <u32*>p
    fill_ends(<u32*>p, c.key_lengths, c.key_width, c.count, <u32>c.key_suffix, <u32>c.prefix_bytes)
    p += 4 * (c.count + 1)
    b.value_ends = <u32*>p
    fill_ends(<u32*>p, c.value_lengths, c.value_width, c.count, <u32>c.value_bytes, 0)
    p += 4 * (c.count + 1)
    if with_buckets:
        b.buckets = p
        b.bucket_mask = slots - 1
        p += slots
    if c.kinds != NULL:
        b.kinds = p
        memcpy(p, c.kinds, c.count)
        p += c.count
    b.keys = p
    expand_keys(p, b.key_ends, &c)
    p += keys_bytes
    b.values = p
    memcpy(p, c.end - c.values_bytes, c.values_bytes)
    memset(p + c.values_bytes, 0, SLACK)
    if with_buckets:
        fill_buckets(b, b.buckets, seed)
    status[0] = 0
    return b


cdef void block_free(block_t* b) noexcept nogil:
    free(b)


cdef inline int visible_from(const block_t* b, u32 i, const u8* key, u32 key_bytes, u64 seq, bint* more) noexcept nogil:
    """The first version at or before `seq` among the versions of `key`, which begin at i."""
    cdef const u8* other
    cdef u32 n
    if b.seqs == NULL:
        return i
    while b.seqs[i] > seq:
        i += 1
        if i == b.count:
            more[0] = True
            return -1
        if b.unique:
            return -1
        other = block_key(b, i, &n)
        if n != key_bytes or not bytes_equal(other, key, n):
            return -1
    return i


cdef int find_by_order(const block_t* b, const u8* key, u32 key_bytes, u64 seq, bint* more) noexcept nogil:
    cdef u32 i = block_lower_bound(b, key, key_bytes)
    cdef const u8* other
    cdef u32 n
    if i == b.count:
        return -1
    other = block_key(b, i, &n)
    if n != key_bytes or not bytes_equal(other, key, n):
        return -1
    return visible_from(b, i, key, key_bytes, seq, more)


cdef int block_find(const block_t* b, const u8* key, u32 key_bytes, u64 h, u64 seq, bint* more) noexcept nogil:
    cdef u32 mask = b.bucket_mask
    cdef u32 at = <u32>h & mask
    cdef u32 i, start
    more[0] = False
    if b.buckets == NULL:
        return find_by_order(b, key, key_bytes, seq, more)
    while True:
        i = b.buckets[at]
        if i == 0xFF:
            return -1
        start = b.key_ends[i]
        # key and value are two misses; asked for together they cost one
        prefetch(b.values + b.value_ends[i])
        prefetch(b.values + b.value_ends[i] + 64)
        if b.key_ends[i + 1] - start == key_bytes and bytes_equal(b.keys + start, key, key_bytes):
            return visible_from(b, i, key, key_bytes, seq, more)
        at = (at + 1) & mask


cdef inline u64 load8(const u8* p, u32 n) noexcept nogil:
    """first8 for keys of a block, behind which eight bytes can always be read."""
    cdef u64 v = get64_be(p)
    if n >= 8:
        return v
    return v & ~(~<u64>0 >> (8 * n))


cdef u32 block_lower_bound(const block_t* b, const u8* key, u32 key_bytes) noexcept nogil:
    cdef u32 skip = b.prefix_bytes
    cdef u32 low = 0
    cdef u32 high = b.count
    cdef u32 middle, n
    cdef const u8* other
    cdef u64 wanted, v
    cdef int c
    if skip:
        c = memcmp(key, b.keys, skip if skip < key_bytes else key_bytes)
        if c != 0:
            return 0 if c < 0 else b.count
        if key_bytes < skip:
            return 0
        key += skip
        key_bytes -= skip
    wanted = first8(key, key_bytes)
    while low < high:
        middle = (low + high) >> 1
        other = b.keys + b.key_ends[middle] + skip
        n = b.key_ends[middle + 1] - b.key_ends[middle] - skip
        v = load8(other, n)
        if v < wanted or (v == wanted and key_compare(other, n, key, key_bytes) < 0):
            low = middle + 1
        else:
            high = middle
    return low


cdef class Block:
    """One decoded block, for tools and tests: `Block(raw, seed)` raises CorruptionError where `raw` is no block."""
    cdef block_t* b
    cdef u64 seed

    def __init__(self, bytes raw not None, u64 seed=0, bint with_buckets=True):
        cdef int status = 0
        cdef block_t* b = block_decode(raw, len(raw), seed, with_buckets, &status)
        if b == NULL:
            if status == STATUS_NO_MEMORY:
                raise MemoryError
            raise errors.CorruptionError(None, 0, "a block", f"{len(raw)} bytes", "columns of a block")
        block_free(self.b)
        self.b = b
        self.seed = seed

    def __dealloc__(self):
        block_free(self.b)

    def __len__(self):
        return self.b.count

    @property
    def charge(self):
        """Bytes of memory it takes."""
        return self.b.charge

    @property
    def unique(self):
        """Whether no key stands twice."""
        return bool(self.b.unique)

    def entry(self, Py_ssize_t i):
        """Entry i as (key, sequence, kind, value)."""
        cdef u32 kn, vn
        if not 0 <= i < self.b.count:
            raise IndexError(i)
        cdef const u8* k = block_key(self.b, <u32>i, &kn)
        cdef const u8* v = block_value(self.b, <u32>i, &vn)
        return k[:kn], block_seq(self.b, <u32>i), self.b.kinds[i] if self.b.kinds != NULL else KIND_PUT, v[:vn]

    def entries(self):
        """All entries in order."""
        return [self.entry(i) for i in range(self.b.count)]

    def find(self, bytes key not None, u64 seq=0xFFFFFFFFFFFFFFFF):
        """(slot or None, whether older versions may stand in the next block)."""
        cdef const u8* k = key
        cdef u32 n = <u32>len(key)
        cdef bint more = False
        cdef int i = block_find(self.b, k, n, xxh64(k, n, self.seed), seq, &more)
        return None if i < 0 else i, bool(more)

    def lower_bound(self, bytes key not None):
        """Slot of the first entry whose key is not below `key`."""
        return block_lower_bound(self.b, key, <u32>len(key))
