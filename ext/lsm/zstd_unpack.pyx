"""Reading a stretch of zstd blocks: verified and decoded together, then taken one by one.

Guarantees: no byte is decoded before its checksum was checked; what is wrong with one block is reported when that block
is asked for, not with those before it. One owner, no lock; the GIL is taken once per zstd_unpack_from.
"""
from libc.stdlib cimport calloc, free, malloc, realloc

from lsm.block cimport CODEC_ZSTD_DICTIONARY, block_decode, block_t
from lsm.failure cimport set_corruption, set_no_memory
from lsm.large_memory cimport large_free, large_grow
from lsm.stored cimport STORED_TRAILER, codec_is_zstd, stored_codec, stored_verify_block
from lsm.table cimport set_unpack_error, table_dictionary, table_t
from lsm.types cimport STATUS_NO_MEMORY, error_t, u8, u32, u64
from lsm.zstd cimport ZSTD_MALFORMED, segment_t, zstd_decode_many, zstd_dictionary_t

cdef enum:
    RAW_MOST = 8388608                # decoded together; a single block may be larger


cdef zstd_unpacked_t* zstd_unpacked_new() noexcept nogil:
    return <zstd_unpacked_t*>calloc(1, sizeof(zstd_unpacked_t))


cdef void zstd_unpacked_free(zstd_unpacked_t* u) noexcept nogil:
    if u == NULL:
        return
    large_free(u.raw)
    free(u.frames)
    free(u.sizes)
    free(u.ends)
    free(u)


cdef bint zstd_unpacked_has(const zstd_unpacked_t* u, const table_t* t, u32 i) noexcept nogil:
    return u != NULL and u.table == t and i >= u.first and i - u.first < u.count


cdef block_t* zstd_unpacked_block(const zstd_unpacked_t* u, const table_t* t, u32 i, bint with_buckets,
                                  error_t* error) noexcept nogil:
    cdef u32 at = i - u.first
    cdef int status = 0
    cdef block_t* b = block_decode(u.raw + u.ends[at] - u.sizes[at], u.sizes[at], t.seed, with_buckets, &status)
    if b == NULL:
        if status == STATUS_NO_MEMORY:
            set_no_memory(error)
        else:
            set_corruption(error, "columns of a block", t.path, t.offsets[i], u.sizes[at], 0)
        return NULL
    b.owner = <void*>t
    b.number = i
    return b


cdef bint make_room(zstd_unpacked_t* u, u32 count) noexcept nogil:
    if count <= u.room:
        return True
    free(u.frames)
    free(u.sizes)
    free(u.ends)
    u.frames = <segment_t*>malloc(count * sizeof(segment_t))
    u.sizes = <u64*>malloc(count * sizeof(u64))
    u.ends = <u64*>malloc(count * sizeof(u64))
    u.room = count if u.frames != NULL and u.sizes != NULL and u.ends != NULL else 0
    return u.room != 0


cdef u32 verify_from(zstd_unpacked_t* u, const table_t* t, u32 i, u32 stop, const u8* stretch, u64 start,
                     u32* expected, u32* got) noexcept nogil:
    """How many blocks from i on are sound ones of one zstd codec and together not too much; checksums of the one after."""
    cdef u32 count = 0
    cdef int first = stored_codec(stretch + (t.offsets[i] - start), t.offsets[i + 1] - t.offsets[i])
    cdef u32 raw_bytes = 0
    cdef int codec = 0
    cdef u64 total = 0
    cdef u64 offset, n
    while i + count < stop:
        offset = t.offsets[i + count]
        n = t.offsets[i + count + 1] - offset
        if not stored_verify_block(stretch + (offset - start), n, t.info.salt, offset, &codec, &raw_bytes, expected,
                                   got):
            break
        if codec != first or not codec_is_zstd(codec) or (count and total + raw_bytes > RAW_MOST):
            break
        total += raw_bytes
        u.frames[count].offset = offset - start
        u.frames[count].bytes = n - STORED_TRAILER
        u.sizes[count] = raw_bytes
        u.ends[count] = total
        count += 1
    return count


cdef int decode(zstd_unpacked_t* u, const table_t* t, u32 count, const u8* stretch, size_t n) noexcept nogil:
    cdef size_t first = u.frames[0].offset
    cdef int codec = stored_codec(stretch + first, u.frames[0].bytes + STORED_TRAILER)
    cdef const zstd_dictionary_t* dictionary = table_dictionary(t, codec)
    if (codec == CODEC_ZSTD_DICTIONARY) != (dictionary != NULL):
        return ZSTD_MALFORMED
    return zstd_decode_many(stretch, n, u.frames, count, u.sizes, dictionary, u.raw)


cdef int zstd_unpack_from(zstd_unpacked_t* u, const table_t* t, u32 i, const u8* stretch, size_t n, u64 start,
                          error_t* error) noexcept nogil:
    cdef u32 stop = i + 1
    cdef u32 count
    cdef u32 expected = 0
    cdef u32 got = 0
    cdef int result
    cdef u8* grown
    u.table = NULL
    while stop < t.block_count and t.offsets[stop + 1] <= start + n:
        stop += 1
    if not make_room(u, stop - i):
        return set_no_memory(error)
    count = verify_from(u, t, i, stop, stretch, start, &expected, &got)
    if count == 0:
        return set_corruption(error, "checksum of a block", t.path, t.offsets[i], expected, got)
    if u.ends[count - 1] > u.raw_room:
        grown = <u8*>large_grow(u.raw, u.ends[count - 1])
        if grown == NULL:
            return set_no_memory(error)
        u.raw = grown
        u.raw_room = u.ends[count - 1]
    result = decode(u, t, count, stretch, n)
    if result < 0 and count > 1:
        count = 1                      # one of them is malformed: that is reported when it is its turn
        result = decode(u, t, count, stretch, n)
    if result < 0:
        return set_unpack_error(error, result, t.path, t.offsets[i], <u32>u.sizes[0])
    u.table = t
    u.first = i
    u.count = count
    return 0
