from lsm.types cimport u8

# The published LZ4 block format. Neither function holds the GIL, allocates, or reads or writes outside its bounds.
cdef size_t lz4_bound(size_t n) noexcept nogil
# Compressed size, or 0 where it would not fit `capacity` (callers then store the bytes as they are).
cdef size_t lz4_compress(const u8* source, size_t n, u8* target, size_t capacity) noexcept nogil
# Exactly `n` decoded bytes (and `n` is returned), or -1: malformed input, or input that decodes to another length.
# Input is not trusted; after -1 the bytes of `target` are anything.
cdef int lz4_decompress(const u8* source, size_t source_bytes, u8* target, size_t n) noexcept nogil

# The same, no further than needed: begin, then as often as wanted. At least the first `wanted` bytes of the target are
# decoded after 0; -1 where the input is malformed up to there, or, once all n are wanted, anywhere.
cdef struct lz4_reader_t:
    const u8* p
    const u8* end
    u8* target
    u8* out
    u8* out_end
    bint ended

cdef void lz4_begin(lz4_reader_t* r, const u8* source, size_t source_bytes, u8* target, size_t n) noexcept nogil
cdef int lz4_decompress_to(lz4_reader_t* r, size_t wanted) noexcept nogil
