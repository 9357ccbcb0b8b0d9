# What a file in memory holds: chunks that never move, so that a large one neither doubles nor is copied as it grows.
from lsm.types cimport u8, u32, u64

# Every byte of a chunk at or past `size` is zero, so a gap or a longer size reads as zeros. All zero: an empty file.
cdef struct content_t:
    u64 size
    u8** chunks                       # NULL: zeros
    u64 chunk_room
    u32 first_room                    # bytes that chunk 0 has room for; it alone grows, every other is whole

# all n bytes lie inside the size
cdef void content_read(const content_t* c, u8* to, u64 offset, size_t n) noexcept nogil
# bytes taken: fewer than n where memory ran out
cdef size_t content_write(content_t* c, const u8* source, u64 offset, size_t n) noexcept nogil
cdef void content_resize(content_t* c, u64 size) noexcept nogil
cdef void content_free(content_t* c) noexcept nogil
