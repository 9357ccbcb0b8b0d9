# zstd, through the `zstandard` package: every call takes the GIL, and lets it go while zstd works.
# So: never call under a native lock, and rather once for many blocks than for each.
from lsm.types cimport u8, u32, u64

cdef enum:                            # results, besides 0
    ZSTD_MALFORMED = -1
    ZSTD_UNAVAILABLE = -2             # the package with its C backend cannot be imported
    ZSTD_NO_MEMORY = -3

# Where something lies in a stretch of bytes; the layout of zstandard's BufferWithSegments.
cdef struct segment_t:
    u64 offset
    u64 bytes

# What the frames of a table may refer back to, as if it stood before each of them. The bytes are the caller's.
cdef struct zstd_dictionary_t:
    const u8* p
    size_t bytes
    u64 hash                          # of the bytes, by zstd_dictionary_hash

cdef u64 zstd_dictionary_hash(const u8* p, size_t n) noexcept nogil

# In all of them `dictionary` is the one that the frames were, or are to be, made with; NULL: none.
# One frame into exactly n bytes. The input is not trusted: never more memory than n, never a byte past it.
cdef int zstd_decode(const u8* source, size_t source_bytes, const zstd_dictionary_t* dictionary, u8* target, size_t n) noexcept nogil
# Each of `count` frames, which lie in `stretch` (n bytes), into exactly sizes[i] bytes, one after the other at `target`.
cdef int zstd_decode_many(const u8* stretch, size_t n, const segment_t* frames, u32 count, const u64* sizes, const zstd_dictionary_t* dictionary, u8* target) noexcept nogil
# Compresses `count` pieces that fill `raw` (n bytes); frames follow each other at `target`, which has room for n bytes.
# sizes[i] is the frame's size, or 0 where it would not be smaller than limits[i]: then nothing of it is at `target`.
cdef int zstd_encode_many(const u8* raw, size_t n, const segment_t* pieces, u32 count, const u64* limits, int level, const zstd_dictionary_t* dictionary, u8* target, u64* sizes) noexcept nogil
