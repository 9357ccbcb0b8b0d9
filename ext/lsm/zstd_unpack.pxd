# The zstd blocks of a stretch of a table, decoded by one call, and then taken one by one without the GIL.
from lsm.block cimport block_t
from lsm.table cimport table_t
from lsm.types cimport error_t, u8, u32, u64
from lsm.zstd cimport segment_t

cdef struct zstd_unpacked_t:
    const table_t* table              # NULL: nothing is held
    u32 first                         # blocks [first, first + count)
    u32 count
    u32 room
    u8* raw
    u64 raw_room
    segment_t* frames                 # where each lies in the stretch
    u64* sizes                        # raw bytes of each
    u64* ends                         # where each ends in `raw`

cdef zstd_unpacked_t* zstd_unpacked_new() noexcept nogil                          # NULL: no memory
cdef void zstd_unpacked_free(zstd_unpacked_t* u) noexcept nogil
cdef bint zstd_unpacked_has(const zstd_unpacked_t* u, const table_t* t, u32 i) noexcept nogil
# Block i, which it has, as a block of its own. NULL and `error` on failure.
cdef block_t* zstd_unpacked_block(const zstd_unpacked_t* u, const table_t* t, u32 i, bint with_buckets, error_t* error) noexcept nogil
# Verifies and decodes block i, a zstd one, and the zstd blocks right behind it, out of a stretch of n bytes that begins at
# file offset `start` and holds block i. 0, or a negative status and `error`, which speaks of block i. Takes the GIL: call without locks.
cdef int zstd_unpack_from(zstd_unpacked_t* u, const table_t* t, u32 i, const u8* stretch, size_t n, u64 start, error_t* error) noexcept nogil
