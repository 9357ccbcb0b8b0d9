from lsm.types cimport get64, prefetch, put64, u8, u32, u64

# A Bloom filter in 64-byte blocks: one cache line per probe. Built from the 64-bit key hashes (XXH64, database seed).
# `bits` should be aligned to 64 bytes, so that a block is one line; any alignment works.
cdef size_t bloom_bytes(u64 keys, int bits_per_key) noexcept nogil          # a multiple of 64, at least 64
cdef void bloom_build(u8* bits, size_t nbytes, const u64* hashes, u64 keys) noexcept nogil   # zeroes `bits` first

# Persisted in every table: never to change.
cdef enum:
    BLOOM_PROBES = 6

cdef extern from *:
    """
    #define LSM_BLOOM_MULTIPLIER 0x9E3779B97F4A7C15ULL
    """
    const u64 BLOOM_MULTIPLIER "LSM_BLOOM_MULTIPLIER"


cdef inline u64 bloom_line(u64 h, u64 lines) noexcept nogil:
    """Which of the `lines` 64-byte blocks (fewer than 2**32): the lower half of the hash scaled, so any count works.

    Not the upper one: that chooses the partition, so the keys of one partition share it.
    """
    return ((h & <u64>0xFFFFFFFFu) * lines) >> 32


cdef inline u64 bloom_bit(const u64* line, u64 nine) noexcept nogil:
    """Bit 0 of the answer: nine bits choose one of 512, three say which word, six which bit of it."""
    return get64(&line[(nine >> 6) & 7]) >> (nine & 63)


cdef inline bint bloom_may_contain(const u8* bits, u64 lines, u64 h) noexcept nogil:
    """Three probes at a time without a branch between them: an absent key nearly always ends after the first three,
    so the one branch is foreseen, where a branch per probe is a coin toss each."""
    cdef const u64* line = <const u64*>(bits + (bloom_line(h, lines) << 6))
    cdef u64 g = h * BLOOM_MULTIPLIER
    if not (bloom_bit(line, g >> 55) & bloom_bit(line, g >> 46) & bloom_bit(line, g >> 37) & 1):
        return False
    return bloom_bit(line, g >> 28) & bloom_bit(line, g >> 19) & bloom_bit(line, g >> 10) & 1
