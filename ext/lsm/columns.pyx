"""Finding the columns in the raw bytes of a block. docs/format/table.md has the bytes.

Guarantees: nothing is read outside the given bytes; columns that were placed and summed fill them exactly.
Pure functions: any thread, no lock, no GIL.
"""
from libc.string cimport memset

from lsm.keys cimport ENGINE_KEY_MAX
from lsm.types cimport MAX_VALUE_BYTES, get_varint, u8, u32, u64


cdef u64 sum_column(const u8* p, u32 width, u32 count, u64 largest) noexcept nogil:
    """The sum of a column of lengths, or 2**63 where one is above `largest`."""
    cdef u64 total = 0
    cdef u64 v
    cdef u32 i
    for i in range(count):
        v = read_width(p, width)
        if v > largest:
            return <u64>1 << 63
        total += v
        p += width
    return total


cdef inline u32 width_of(u32 code) noexcept nogil:
    return 4 if code == 3 else code


cdef const u8* parse_header(const u8* raw, const u8* end, columns_t* c, u8* flags) noexcept nogil:
    cdef const u8* p = raw + 3
    if end - raw < 3 or raw[0] == 0 or raw[0] > BLOCK_MAX_ENTRIES or raw[1] & FLAGS_UNKNOWN or raw[2] > 8:
        return NULL
    c.count = raw[0]
    flags[0] = raw[1]
    c.seq_width = raw[2]
    c.key_width = width_of(raw[1] & 3)
    c.value_width = width_of((raw[1] >> 2) & 3)
    c.unique = (raw[1] & FLAG_UNIQUE) != 0
    c.key_suffix = c.value_bytes = 0
    if c.key_width == 0:
        p = get_varint(p, end, &c.key_suffix)
    if p != NULL and c.value_width == 0:
        p = get_varint(p, end, &c.value_bytes)
    if p != NULL:
        p = get_varint(p, end, &c.prefix_bytes)
    if p != NULL:
        p = get_varint(p, end, &c.base_seq)
    if (c.prefix_bytes > ENGINE_KEY_MAX or c.key_suffix > ENGINE_KEY_MAX - c.prefix_bytes
            or c.value_bytes > MAX_VALUE_BYTES):
        return NULL
    return p


cdef bint columns_place(const u8* raw, size_t n, columns_t* c) noexcept nogil:
    cdef const u8* end = raw + n
    cdef u8 flags = 0
    cdef const u8* p
    cdef u64 columns
    memset(c, 0, sizeof(columns_t))
    p = parse_header(raw, end, c, &flags)
    if p == NULL:
        return False
    columns = <u64>c.count * (c.key_width + c.value_width + c.seq_width + (1 if flags & FLAG_KINDS else 0))
    columns += c.prefix_bytes
    if columns > <u64>(end - p):
        return False
    c.key_lengths = p
    p += c.count * c.key_width
    c.value_lengths = p
    p += c.count * c.value_width
    if flags & FLAG_KINDS:
        c.kinds = p
        p += c.count
    c.seqs = p
    p += c.count * c.seq_width
    c.prefix = p
    c.suffixes = p + c.prefix_bytes
    c.end = end
    return True


cdef bint columns_sum(columns_t* c) noexcept nogil:
    c.suffixes_bytes = c.count * c.key_suffix
    c.values_bytes = c.count * c.value_bytes
    if c.key_width:
        c.suffixes_bytes = sum_column(c.key_lengths, c.key_width, c.count, ENGINE_KEY_MAX - c.prefix_bytes)
    if c.value_width:
        c.values_bytes = sum_column(c.value_lengths, c.value_width, c.count, MAX_VALUE_BYTES)
    # one after the other: two sums that say "too long" would together be nothing
    return (c.suffixes_bytes <= <u64>(c.end - c.suffixes)
            and c.values_bytes == <u64>(c.end - c.suffixes) - c.suffixes_bytes)


cdef bint columns_parse(const u8* raw, size_t n, columns_t* c) noexcept nogil:
    return columns_place(raw, n, c) and columns_sum(c)
