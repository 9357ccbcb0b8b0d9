# Raw blocks of a table being written, kept until there are enough of them to be compressed by one call.
from lsm.types cimport u8, u32, u64
from lsm.zstd cimport segment_t, zstd_dictionary_t

cdef struct zstd_pack_t:
    int level                         # of zstd
    const zstd_dictionary_t* dictionary   # the owner's; NULL: none
    u8* raw                           # the blocks, one after the other
    u64 raw_bytes
    u64 room
    segment_t* blocks                 # where each lies in `raw`
    u32 count
    u32 count_room
    # filled by zstd_pack_compress; where sizes[i] is not 0, the frames follow each other at `frames`
    u8* frames
    u64* sizes

cdef zstd_pack_t* zstd_pack_new(int level, const zstd_dictionary_t* dictionary) noexcept nogil   # NULL: no memory
cdef void zstd_pack_free(zstd_pack_t* p) noexcept nogil
cdef bint zstd_pack_full(const zstd_pack_t* p) noexcept nogil                     # worth a call
cdef int zstd_pack_add(zstd_pack_t* p, const u8* raw, size_t n) noexcept nogil    # copies; 0 or ZSTD_NO_MEMORY
# Compresses all of them; 0 or ZSTD_*. Takes the GIL: call without locks.
cdef int zstd_pack_compress(zstd_pack_t* p) noexcept nogil
cdef void zstd_pack_clear(zstd_pack_t* p) noexcept nogil                          # empty again
