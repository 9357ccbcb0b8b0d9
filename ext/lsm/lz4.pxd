from lsm.types cimport u8

# The published LZ4 block format. Neither function holds the GIL, allocates, or reads or writes outside its bounds.
cdef size_t lz4_bound(size_t n) noexcept nogil
# Compressed size, or 0 where it would not fit `capacity` (callers then store the bytes as they are).
cdef size_t lz4_compress(const u8* source, size_t n, u8* target, size_t capacity) noexcept nogil
# Exactly `n` decoded bytes (and `n` is returned), or -1: malformed input, or input that decodes to another length.
# Input is not trusted; after -1 the bytes of `target` are anything.
cdef int lz4_decompress(const u8* source, size_t source_bytes, u8* target, size_t n) noexcept nogil
