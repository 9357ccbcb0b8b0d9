# The raw bytes of a block, column by column: where each column lies. docs/format/table.md has the bytes.
from lsm.types cimport get16, get32, u8, u32, u64

cdef enum:
    BLOCK_MAX_ENTRIES = 254           # so that a slot of the lookup buckets is one byte

cdef enum:                            # second byte of a block; persisted. Bits 0-1: width of key lengths, 2-3: of value lengths
    FLAG_KINDS = 0x10
    FLAG_UNIQUE = 0x20
    FLAGS_UNKNOWN = 0xC0

cdef struct columns_t:
    u32 count
    u32 key_width                     # bytes of a key length; 0: all keys have `key_suffix`
    u32 value_width
    u32 seq_width
    u64 key_suffix
    u64 value_bytes
    u64 prefix_bytes
    u64 base_seq
    bint unique
    const u8* key_lengths
    const u8* value_lengths
    const u8* kinds                   # NULL: every entry is KIND_PUT
    const u8* seqs
    const u8* prefix
    const u8* suffixes
    const u8* end
    u64 suffixes_bytes
    u64 values_bytes

cdef enum:
    COLUMNS_HEADER_MOST = 43          # bytes before the first column: three and four varints

# In three steps, so that no more than needed has to be decompressed; each True only where all lengths so far fit n.
# The first reads at most COLUMNS_HEADER_MOST bytes and places everything up to `suffixes`; the second reads up to there
# and finds both sums, which with the rest must be exactly n bytes. What follows `suffixes` is not read.
cdef bint columns_place(const u8* raw, size_t n, columns_t* c) noexcept nogil
cdef bint columns_sum(columns_t* c) noexcept nogil
# Both, for raw bytes that are all there.
cdef bint columns_parse(const u8* raw, size_t n, columns_t* c) noexcept nogil


cdef inline u64 read_width(const u8* p, u32 width) noexcept nogil:
    if width == 1:
        return p[0]
    return get16(p) if width == 2 else get32(p)


cdef inline u64 column_seq(const columns_t* c, u32 i) noexcept nogil:
    """The sequence of entry i."""
    cdef const u8* p = c.seqs + i * c.seq_width
    cdef u64 delta = 0
    cdef u32 j
    for j in range(c.seq_width):
        delta |= <u64>p[j] << (8 * j)
    return c.base_seq + delta
