# XXH64 from its specification; `inline` so that a hot path hashes without a call. Equal to
# xxhash.xxh64_intdigest(data, seed). Reads exactly the n bytes given, at any alignment; any thread, no lock.
# docs/format/checksums-and-codecs.md has the vectors.
from lsm.types cimport get32, get64, u8, u32, u64

cdef extern from *:
    """
    #define LSM_XXH_PRIME_1 0x9E3779B185EBCA87ULL
    #define LSM_XXH_PRIME_2 0xC2B2AE3D27D4EB4FULL
    #define LSM_XXH_PRIME_3 0x165667B19E3779F9ULL
    #define LSM_XXH_PRIME_4 0x85EBCA77C2B2AE63ULL
    #define LSM_XXH_PRIME_5 0x27D4EB2F165667C5ULL
    """
    const u64 XXH_PRIME_1 "LSM_XXH_PRIME_1"
    const u64 XXH_PRIME_2 "LSM_XXH_PRIME_2"
    const u64 XXH_PRIME_3 "LSM_XXH_PRIME_3"
    const u64 XXH_PRIME_4 "LSM_XXH_PRIME_4"
    const u64 XXH_PRIME_5 "LSM_XXH_PRIME_5"


cdef inline u64 xxh64_rotate(u64 v, int bits) noexcept nogil:
    return (v << bits) | (v >> (64 - bits))


cdef inline u64 xxh64_round(u64 lane, u64 word) noexcept nogil:
    return xxh64_rotate(lane + word * XXH_PRIME_2, 31) * XXH_PRIME_1


cdef inline u64 xxh64_merge(u64 h, u64 lane) noexcept nogil:
    return (h ^ xxh64_round(0, lane)) * XXH_PRIME_1 + XXH_PRIME_4


cdef inline u64 xxh64_stripes(const u8* p, size_t n, u64 seed) noexcept nogil:
    """The state after all whole stripes of 32 bytes; n >= 32."""
    cdef u64 a = seed + XXH_PRIME_1 + XXH_PRIME_2
    cdef u64 b = seed + XXH_PRIME_2
    cdef u64 c = seed
    cdef u64 d = seed - XXH_PRIME_1
    cdef u64 h
    cdef const u8* end = p + (n & ~<size_t>31)
    while p < end:
        a = xxh64_round(a, get64(p))
        b = xxh64_round(b, get64(p + 8))
        c = xxh64_round(c, get64(p + 16))
        d = xxh64_round(d, get64(p + 24))
        p += 32
    h = xxh64_rotate(a, 1) + xxh64_rotate(b, 7) + xxh64_rotate(c, 12) + xxh64_rotate(d, 18)
    return xxh64_merge(xxh64_merge(xxh64_merge(xxh64_merge(h, a), b), c), d)


cdef inline u64 xxh64(const void* data, size_t n, u64 seed) noexcept nogil:
    cdef const u8* p = <const u8*>data
    cdef const u8* end = p + n
    cdef u64 h
    if n >= 32:
        h = xxh64_stripes(p, n, seed)
        p += n & ~<size_t>31
    else:
        h = seed + XXH_PRIME_5
    h += n
    while end - p >= 8:
        h = xxh64_rotate(h ^ xxh64_round(0, get64(p)), 27) * XXH_PRIME_1 + XXH_PRIME_4
        p += 8
    if end - p >= 4:
        h = xxh64_rotate(h ^ (<u64>get32(p) * XXH_PRIME_1), 23) * XXH_PRIME_2 + XXH_PRIME_3
        p += 4
    while p < end:
        h = xxh64_rotate(h ^ (<u64>p[0] * XXH_PRIME_5), 11) * XXH_PRIME_1
        p += 1
    h = (h ^ (h >> 33)) * XXH_PRIME_2
    h = (h ^ (h >> 29)) * XXH_PRIME_3
    return h ^ (h >> 32)
