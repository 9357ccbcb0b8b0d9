"""Raw blocks of a table being written, kept until one call can compress some MiB of them.

Guarantees: blocks come out in the order in which they went in; the GIL is taken once per zstd_pack_compress. One owner,
no lock.
"""
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from lsm.large_memory cimport large_free, large_grow, large_new
from lsm.stored cimport stored_worth
from lsm.types cimport u8, u32, u64
from lsm.zstd cimport ZSTD_NO_MEMORY, segment_t, zstd_dictionary_t, zstd_encode_many

cdef enum:
    ENOUGH = 4194304


cdef zstd_pack_t* zstd_pack_new(int level, const zstd_dictionary_t* dictionary) noexcept nogil:
    cdef zstd_pack_t* p = <zstd_pack_t*>calloc(1, sizeof(zstd_pack_t))
    if p != NULL:
        p.level = level
        p.dictionary = dictionary
    return p


cdef void zstd_pack_free(zstd_pack_t* p) noexcept nogil:
    if p == NULL:
        return
    zstd_pack_clear(p)
    large_free(p.raw)
    free(p.blocks)
    free(p)


cdef bint zstd_pack_full(const zstd_pack_t* p) noexcept nogil:
    return p.raw_bytes >= ENOUGH


cdef int zstd_pack_add(zstd_pack_t* p, const u8* raw, size_t n) noexcept nogil:
    cdef u64 room = p.room
    cdef void* grown
    if p.raw_bytes + n > room:
        room = max(2 * room, p.raw_bytes + n + 65536)
        grown = large_grow(p.raw, room)
        if grown == NULL:
            return ZSTD_NO_MEMORY
        p.raw = <u8*>grown
        p.room = room
    if p.count == p.count_room:
        grown = realloc(p.blocks, (2 * p.count_room + 64) * sizeof(segment_t))
        if grown == NULL:
            return ZSTD_NO_MEMORY
        p.blocks = <segment_t*>grown
        p.count_room = 2 * p.count_room + 64
    memcpy(p.raw + p.raw_bytes, raw, n)
    p.blocks[p.count].offset = p.raw_bytes
    p.blocks[p.count].bytes = n
    p.count += 1
    p.raw_bytes += n
    return 0


cdef int zstd_pack_compress(zstd_pack_t* p) noexcept nogil:
    cdef u64* limits
    cdef u32 i
    cdef int status = ZSTD_NO_MEMORY
    if p.count == 0:
        return 0
    p.frames = <u8*>large_new(p.raw_bytes)
    p.sizes = <u64*>malloc(p.count * sizeof(u64))
    limits = <u64*>malloc(p.count * sizeof(u64))
    if p.frames != NULL and p.sizes != NULL and limits != NULL:
        for i in range(p.count):
            limits[i] = stored_worth(p.blocks[i].bytes) + 1
        status = zstd_encode_many(p.raw, p.raw_bytes, p.blocks, p.count, limits, p.level, p.dictionary, p.frames,
                                  p.sizes)
    free(limits)
    return status


cdef void zstd_pack_clear(zstd_pack_t* p) noexcept nogil:
    large_free(p.frames)
    free(p.sizes)
    p.frames = NULL
    p.sizes = NULL
    p.count = 0
    p.raw_bytes = 0
