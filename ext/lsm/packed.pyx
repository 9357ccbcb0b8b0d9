"""Lookups in packed blocks: decompressing only up to the value that is asked for. docs/format/table.md has the bytes.

Guarantees: no input makes it read or write out of bounds; what is in front of the value was checked as in decoding.
Any thread, with or without the GIL; who counts the block's `refs` holds the database's lock.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset

from lsm.block cimport CODEC_LZ4, CODEC_NONE, block_charge
from lsm.columns cimport COLUMNS_HEADER_MOST, column_seq, columns_place, columns_sum, columns_t, read_width
from lsm.keys cimport bytes_equal
from lsm.lz4 cimport lz4_begin, lz4_decompress_to, lz4_reader_t
from lsm.stored cimport STORED_TRAILER, stored_codec, stored_encode
from lsm.types cimport KIND_PUT, get64

from lsm import errors


cdef block_t* packed_new(size_t n) noexcept nogil:
    cdef block_t* b
    if n > <u64>0xFFFFFFFF - sizeof(block_t):
        return NULL
    b = <block_t*>malloc(sizeof(block_t) + n)
    if b != NULL:
        memset(b, 0, sizeof(block_t))
        b.refs = 1
        b.charge = block_charge(sizeof(block_t) + n)
    return b


# Raw bytes that come as they are asked for.
cdef struct source_t:
    const u8* raw
    size_t bytes
    bint whole                        # stored without a codec: all are there
    lz4_reader_t reader


cdef void begin(source_t* s, const block_t* b, u8* scratch) noexcept nogil:
    s.bytes = b.raw_bytes
    s.whole = b.codec == CODEC_NONE
    if s.whole:
        s.raw = packed_bytes(b)
    else:
        s.raw = scratch
        lz4_begin(&s.reader, packed_bytes(b), b.packed_bytes - STORED_TRAILER, scratch, b.raw_bytes)


cdef inline bint have(source_t* s, const u8* end) noexcept nogil:
    """Whether the raw bytes before `end` are there now."""
    cdef size_t wanted = end - s.raw
    return s.whole or lz4_decompress_to(&s.reader, wanted if wanted < s.bytes else s.bytes) == 0


cdef u32 find_even(const columns_t* c, const u8* suffix, u32 n) noexcept nogil:
    """The first entry with this suffix, `count` where there is none; all suffixes are of n bytes."""
    cdef const u8* p = c.suffixes
    cdef u64 first
    cdef u32 i
    if n < 8:
        for i in range(c.count):
            if bytes_equal(p, suffix, n):
                return i
            p += n
        return c.count
    first = get64(suffix)
    for i in range(c.count):
        if get64(p) == first and bytes_equal(p, suffix, n):
            return i
        p += n
    return c.count


cdef u32 find_suffix(const columns_t* c, const u8* suffix, u32 n) noexcept nogil:
    cdef const u8* p = c.suffixes
    cdef const u8* length = c.key_lengths
    cdef u32 i, other
    if c.key_width == 0:
        return find_even(c, suffix, n) if n == c.key_suffix else c.count
    for i in range(c.count):
        other = <u32>read_width(length, c.key_width)
        if other == n and bytes_equal(p, suffix, n):
            return i
        length += c.key_width
        p += other
    return c.count


cdef inline bint repeats(const columns_t* c, u32 i, const u8* suffix, u32 n) noexcept nogil:
    """Whether entry i has this suffix; the entry before it has."""
    cdef const u8* p = c.suffixes
    cdef u32 j
    if c.key_width == 0:
        return bytes_equal(p + <u64>i * n, suffix, n)
    if read_width(c.key_lengths + i * c.key_width, c.key_width) != n:
        return False
    for j in range(i):
        p += read_width(c.key_lengths + j * c.key_width, c.key_width)
    return bytes_equal(p, suffix, n)


cdef u32 visible_from(const columns_t* c, u32 i, const u8* suffix, u32 n, u64 seq, bint* more) noexcept nogil:
    """The first version at or before `seq` among those of the key of entry i, its newest; `count`: none."""
    if c.seq_width == 0 and c.base_seq == 0:
        return i
    while column_seq(c, i) > seq:
        i += 1
        if i == c.count:
            more[0] = True
            return i
        if c.unique or not repeats(c, i, suffix, n):
            return c.count
    return i


cdef inline const u8* value_of(const columns_t* c, u32 i, u32* n) noexcept nogil:
    cdef const u8* p = c.suffixes + c.suffixes_bytes
    cdef u32 j
    if c.value_width == 0:
        n[0] = <u32>c.value_bytes
        return p + i * c.value_bytes
    for j in range(i):
        p += read_width(c.value_lengths + j * c.value_width, c.value_width)
    n[0] = <u32>read_width(c.value_lengths + i * c.value_width, c.value_width)
    return p


cdef int packed_find(const block_t* b, const u8* key, u32 key_bytes, u64 seq, u8* scratch, packed_found_t* found,
                     bint* more) noexcept nogil:
    cdef source_t s
    cdef columns_t c
    cdef u32 i
    more[0] = False
    begin(&s, b, scratch)
    if (not have(&s, s.raw + COLUMNS_HEADER_MOST) or not columns_place(s.raw, s.bytes, &c)
            or not have(&s, c.suffixes) or not columns_sum(&c) or not have(&s, c.suffixes + c.suffixes_bytes)):
        return PACKED_MALFORMED
    if key_bytes < c.prefix_bytes or memcmp(key, c.prefix, c.prefix_bytes) != 0:
        return PACKED_ABSENT
    key += c.prefix_bytes
    key_bytes -= <u32>c.prefix_bytes
    i = find_suffix(&c, key, key_bytes)
    if i < c.count:
        i = visible_from(&c, i, key, key_bytes, seq, more)
    if i == c.count:
        return PACKED_ABSENT
    found.kind = c.kinds[i] if c.kinds != NULL else KIND_PUT
    found.value = value_of(&c, i, &found.value_bytes)
    return PACKED_FOUND if have(&s, found.value + found.value_bytes) else PACKED_MALFORMED


cdef class PackedBlock:
    """One packed block, for tools and tests: made of the raw bytes of a block, with LZ4 where that saves enough.

    What stands in `raw` is not looked at before `find`. InvalidArgumentError above 128 KiB.
    """
    cdef block_t* b
    cdef u8* scratch

    def __init__(self, bytes raw not None, bint compressed=True):
        cdef block_t* b
        cdef size_t n
        if len(raw) > PACKED_MOST:
            raise errors.InvalidArgumentError(f"{len(raw)} bytes are more than the {PACKED_MOST} of a packed block")
        if self.scratch == NULL:
            self.scratch = <u8*>malloc(PACKED_SCRATCH)
        b = packed_new(len(raw) + STORED_TRAILER)
        if b == NULL or self.scratch == NULL:
            free(b)
            raise MemoryError
        n = stored_encode(CODEC_LZ4 if compressed else CODEC_NONE, raw, len(raw), 0, 0, packed_bytes(b))
        b.codec = stored_codec(packed_bytes(b), n)
        b.packed_bytes = <u32>n
        b.raw_bytes = <u32>len(raw)
        free(self.b)
        self.b = b

    def __dealloc__(self):
        free(self.b)
        free(self.scratch)

    @property
    def compressed(self):
        """Whether it is stored with LZ4."""
        return self.b.codec == CODEC_LZ4

    def find(self, bytes key not None, u64 seq=0xFFFFFFFFFFFFFFFF):
        """((kind, value) of the newest entry at or before `seq` or None, whether older ones may be in the next block).

        CorruptionError where the raw bytes are no block, as far as they had to be looked at.
        """
        cdef packed_found_t found
        cdef bint more = False
        cdef int result = packed_find(self.b, key, <u32>len(key), seq, self.scratch, &found, &more)
        if result == PACKED_MALFORMED:
            raise errors.CorruptionError(None, 0, "a block", f"{self.b.raw_bytes} bytes", "columns of a block")
        if result == PACKED_ABSENT:
            return None, bool(more)
        return (found.kind, <bytes>found.value[:found.value_bytes]), bool(more)
