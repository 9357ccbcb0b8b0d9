"""Bloom filters in 64-byte blocks: one cache line per probe; the probe itself stands in bloom.pxd.

Guarantees no false negatives, bytes that depend on nothing but the hashes and the size, no allocation in the kernels.
Any thread, no lock: a filter is built by its only owner and never changes after.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm.types cimport get64, prefetch_write, put64, u8, u64

from lsm import errors


cdef size_t bloom_bytes(u64 keys, int bits_per_key) noexcept nogil:
    cdef u64 lines = 0
    if bits_per_key > 0:
        lines = (keys * <u64>bits_per_key + 511) >> 9
    return <size_t>(lines << 6) if lines else 64


cdef inline void set_bits(u64* line, u64 h) noexcept nogil:
    cdef u64 g = h * BLOOM_MULTIPLIER
    cdef u64 word
    cdef int i
    for i in range(BLOOM_PROBES):
        word = get64(&line[g >> 61]) | (<u64>1 << ((g >> 55) & 63))
        put64(&line[g >> 61], word)
        g <<= 9


cdef void bloom_build(u8* bits, size_t nbytes, const u64* hashes, u64 keys) noexcept nogil:
    """Lines are fetched a few keys ahead: a filter is larger than the cache, and its keys fall anywhere."""
    cdef u64 lines = nbytes >> 6
    cdef u64 i
    memset(bits, 0, nbytes)
    for i in range(keys):
        if i + 16 < keys:
            prefetch_write(bits + (bloom_line(hashes[i + 16], lines) << 6))
        set_bits(<u64*>(bits + (bloom_line(hashes[i], lines) << 6)), hashes[i])


cdef class Filter:
    """A filter over 64-bit key hashes, as a table holds it; for tools and tests."""

    cdef bytes bits
    cdef u64 lines

    def __cinit__(self, hashes, int bits_per_key):
        cdef list numbers = list(hashes)
        cdef u64 keys = len(numbers)
        cdef u64* array
        cdef u64 i
        cdef size_t nbytes = bloom_bytes(keys, bits_per_key)
        if bits_per_key < 1:
            raise errors.InvalidArgumentError(f"bits_per_key is {bits_per_key}; a filter needs at least 1")
        self.bits = PyBytes_FromStringAndSize(NULL, nbytes)
        self.lines = nbytes >> 6
        array = <u64*>malloc(keys * sizeof(u64) + 1)
        if array == NULL:
            raise MemoryError
        try:
            for i in range(keys):
                array[i] = numbers[i]
            bloom_build(<u8*>PyBytes_AS_STRING(self.bits), nbytes, array, keys)
        finally:
            free(array)

    def may_contain(self, u64 h):
        """False: no key of this hash was put in. True: one was, or (about 1 % of the time at 10 bits a key) not."""
        return <bint>bloom_may_contain(<const u8*>PyBytes_AS_STRING(self.bits), self.lines, h)

    def to_bytes(self):
        """The filter as it stands in a table: a multiple of 64 bytes."""
        return self.bits
