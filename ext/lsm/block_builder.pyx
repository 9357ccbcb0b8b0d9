"""Building blocks, column by column, so that what is constant costs nothing. docs/format/table.md has the bytes.

Guarantees: block_decode gives back what was added. A builder belongs to one thread; none of it needs the GIL.
"""
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

from lsm.columns cimport BLOCK_MAX_ENTRIES, FLAG_KINDS, FLAG_UNIQUE
from lsm.keys cimport ENGINE_KEY_MAX, bytes_equal, common_prefix
from lsm.types cimport (KIND_PUT, MAX_VALUE_BYTES, STATUS_NO_MEMORY, put16, put32, put_varint, u8, u32, u64,
                        varint_size)

from lsm import errors

cdef enum:
    FRONT = 16384                     # room kept for the columns before the values; moved apart where it is not enough
    KEEP = 1048576                    # buffers above this are given back after the block that needed them


cdef block_builder_t* block_builder_new() noexcept nogil:
    cdef block_builder_t* b = <block_builder_t*>calloc(1, sizeof(block_builder_t))
    if b != NULL:
        block_builder_reset(b)
    return b


cdef void block_builder_free(block_builder_t* b) noexcept nogil:
    if b != NULL:
        free(b.keys)
        free(b.buffer)
        free(b)


cdef void block_builder_reset(block_builder_t* b) noexcept nogil:
    b.count = 0
    b.repeats = 0
    b.min_seq = ~<u64>0
    b.max_seq = 0
    b.all_puts = True
    b.values_at = FRONT
    if b.capacity > KEEP:
        free(b.buffer)
        b.buffer = NULL
        b.capacity = 0
    if b.keys_capacity > KEEP:
        free(b.keys)
        b.keys = NULL
        b.keys_capacity = 0


cdef bint reserve(u8** p, size_t* capacity, size_t needed) noexcept nogil:
    cdef size_t n = 2 * capacity[0] if 2 * capacity[0] > needed else needed + 4096
    cdef u8* grown = <u8*>realloc(p[0], n)
    if grown == NULL:
        return False
    p[0] = grown
    capacity[0] = n
    return True


cdef int block_builder_add(block_builder_t* b, const u8* key, u32 key_bytes, u64 seq, u8 kind,
                           const u8* value, u32 value_bytes) noexcept nogil:
    """The caller keeps the order, at most BLOCK_MAX_ENTRIES entries and 4 GiB of values and keys."""
    cdef u32 i = b.count
    cdef size_t key_at = b.key_ends[i]
    cdef size_t value_at = b.values_at + b.value_ends[i]
    if key_at + key_bytes >= b.keys_capacity and not reserve(&b.keys, &b.keys_capacity, key_at + key_bytes):
        return STATUS_NO_MEMORY
    if value_at + value_bytes > b.capacity and not reserve(&b.buffer, &b.capacity, value_at + value_bytes):
        return STATUS_NO_MEMORY
    if i > 0 and key_at - b.key_ends[i - 1] == key_bytes and bytes_equal(b.keys + b.key_ends[i - 1], key, key_bytes):
        b.repeats += 1
    if key_bytes:
        memcpy(b.keys + key_at, key, key_bytes)
    if value_bytes:
        memcpy(b.buffer + value_at, value, value_bytes)
    b.key_ends[i + 1] = <u32>(key_at + key_bytes)
    b.value_ends[i + 1] = b.value_ends[i] + value_bytes
    b.kinds[i] = kind
    b.seqs[i] = seq
    if kind != KIND_PUT:
        b.all_puts = False
    if seq < b.min_seq:
        b.min_seq = seq
    if seq > b.max_seq:
        b.max_seq = seq
    b.count = i + 1
    return 0


# How the lengths of one column are stored.
cdef struct lengths_t:
    u32 code                          # 0: all the same, 1, 2, 3: one, two, four bytes each
    u32 width
    u32 each                          # where they are all the same


cdef lengths_t lengths_of(const u32* ends, u32 count, u32 less) noexcept nogil:
    cdef lengths_t r
    cdef u32 lowest = 0xFFFFFFFF
    cdef u32 highest = 0
    cdef u32 i, n
    for i in range(count):
        n = ends[i + 1] - ends[i]
        lowest = n if n < lowest else lowest
        highest = n if n > highest else highest
    lowest -= less
    highest -= less
    r.each = lowest
    r.code = 0
    if lowest != highest:
        r.code = 1 if highest < 256 else (2 if highest < 65536 else 3)
    r.width = 4 if r.code == 3 else r.code
    return r


cdef u8* put_lengths(u8* p, const u32* ends, u32 count, u32 less, u32 width) noexcept nogil:
    cdef u32 i, n
    if width == 0:
        return p
    for i in range(count):
        n = ends[i + 1] - ends[i] - less
        if width == 1:
            p[0] = <u8>n
        elif width == 2:
            put16(p, n)
        else:
            put32(p, n)
        p += width
    return p


cdef u8* put_seqs(u8* p, const block_builder_t* b, u32 width) noexcept nogil:
    cdef u64 delta
    cdef u32 i, j
    if width == 0:
        return p
    for i in range(b.count):
        delta = b.seqs[i] - b.min_seq
        for j in range(width):
            p[j] = <u8>(delta >> (8 * j))
        p += width
    return p


cdef u8* put_suffixes(u8* p, const block_builder_t* b, u32 prefix) noexcept nogil:
    cdef u32 i, n
    memcpy(p, b.keys, prefix)
    p += prefix
    if prefix == 0:
        memcpy(p, b.keys, b.key_ends[b.count])
        return p + b.key_ends[b.count]
    for i in range(b.count):
        n = b.key_ends[i + 1] - b.key_ends[i] - prefix
        memcpy(p, b.keys + b.key_ends[i] + prefix, n)
        p += n
    return p


cdef bint make_front(block_builder_t* b, size_t front) noexcept nogil:
    """Room for `front` bytes right before the values."""
    cdef size_t values = b.value_ends[b.count]
    if b.capacity < front + values and not reserve(&b.buffer, &b.capacity, front + values):
        return False
    if front > b.values_at:
        memmove(b.buffer + front, b.buffer + b.values_at, values)
        b.values_at = front
    return True


cdef const u8* block_builder_finish(block_builder_t* b, size_t* n) noexcept nogil:
    cdef u32 count = b.count
    cdef u32 last_at = b.key_ends[count - 1]
    cdef u32 prefix = <u32>common_prefix(b.keys, b.key_ends[1], b.keys + last_at, b.key_ends[count] - last_at)
    cdef lengths_t keys = lengths_of(b.key_ends, count, prefix)
    cdef lengths_t values = lengths_of(b.value_ends, count, 0)
    cdef u32 width = 0
    cdef u64 spread = b.max_seq - b.min_seq
    cdef size_t front
    cdef u8* start
    cdef u8* p
    while width < 8 and spread >> (8 * width) != 0:
        width += 1
    front = 3 + varint_size(prefix) + varint_size(b.min_seq)
    front += varint_size(keys.each) if keys.width == 0 else 0
    front += varint_size(values.each) if values.width == 0 else 0
    front += count * (keys.width + values.width + width + (0 if b.all_puts else 1))
    front += prefix + b.key_ends[count] - <size_t>count * prefix
    if not make_front(b, front):
        return NULL
    start = b.buffer + b.values_at - front
    start[0] = <u8>count
    start[1] = <u8>(keys.code | values.code << 2 | (0 if b.all_puts else FLAG_KINDS)
                    | (0 if b.repeats else FLAG_UNIQUE))
    start[2] = <u8>width
    p = start + 3
    if keys.width == 0:
        p = put_varint(p, keys.each)
    if values.width == 0:
        p = put_varint(p, values.each)
    p = put_varint(p, prefix)
    p = put_varint(p, b.min_seq)
    p = put_lengths(p, b.key_ends, count, prefix, keys.width)
    p = put_lengths(p, b.value_ends, count, 0, values.width)
    if not b.all_puts:
        memcpy(p, b.kinds, count)
        p += count
    p = put_seqs(p, b, width)
    p = put_suffixes(p, b, prefix)
    n[0] = front + b.value_ends[count]
    return start


def encode_block(entries):
    """The raw bytes of one block of (key, sequence, kind, value) entries, which are in order. For tools and tests."""
    cdef block_builder_t* b
    cdef size_t n = 0
    cdef const u8* raw
    rows = list(entries)
    if not 1 <= len(rows) <= BLOCK_MAX_ENTRIES:
        raise errors.InvalidArgumentError(f"a block has 1 to {BLOCK_MAX_ENTRIES} entries, not {len(rows)}")
    if sum(len(key) + len(value) for key, _, _, value in rows) >= 1 << 32:
        raise errors.InvalidArgumentError("a block holds less than 4 GiB")
    for key, _, _, value in rows:
        if len(key) > ENGINE_KEY_MAX or len(value) > MAX_VALUE_BYTES:
            raise errors.InvalidArgumentError(f"a key of {len(key)} bytes or a value of {len(value)} is too long")
    b = block_builder_new()
    if b == NULL:
        raise MemoryError
    try:
        for key, seq, kind, value in rows:
            if block_builder_add(b, <bytes?>key, <u32>len(key), seq, kind, <bytes?>value, <u32>len(value)) < 0:
                raise MemoryError
        raw = block_builder_finish(b, &n)
        if raw == NULL:
            raise MemoryError
        return raw[:n]
    finally:
        block_builder_free(b)
