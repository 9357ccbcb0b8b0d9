# The order of keys: bytes as unsigned numbers, a prefix before what it begins. Inline, for every kernel that compares.
# Nothing here reads outside the lengths it is given.
from libc.string cimport memcmp
from lsm.types cimport ctz64, get32, get64, get64_be, u8, u32, u64

cdef enum:
    ENGINE_KEY_MAX = 163840           # an escaped partition key, a sort key and their hash; what a table accepts


cdef inline int key_compare(const u8* a, size_t an, const u8* b, size_t bn) noexcept nogil:
    """Negative, 0 or positive as a sorts before, with or after b."""
    cdef int c = memcmp(a, b, an if an < bn else bn)
    if c != 0:
        return c
    return (an > bn) - (an < bn)


cdef inline bint bytes_equal(const u8* a, const u8* b, size_t n) noexcept nogil:
    """Whether n bytes are the same; without a call for the short keys that are common."""
    cdef size_t i = 0
    if n >= 8:
        while i + 8 <= n:
            if get64(a + i) != get64(b + i):
                return False
            i += 8
        return get64(a + n - 8) == get64(b + n - 8)
    if n >= 4:
        return get32(a) == get32(b) and get32(a + n - 4) == get32(b + n - 4)
    while i < n:
        if a[i] != b[i]:
            return False
        i += 1
    return True


cdef inline size_t common_prefix(const u8* a, size_t an, const u8* b, size_t bn) noexcept nogil:
    cdef size_t n = an if an < bn else bn
    cdef size_t i = 0
    while i + 8 <= n:
        if get64(a + i) != get64(b + i):
            break
        i += 8
    while i < n and a[i] == b[i]:
        i += 1
    return i


cdef inline u64 first8(const u8* p, size_t n) noexcept nogil:
    """The first eight bytes as a big-endian number, zeros behind fewer: compares as the bytes do, but for ties."""
    cdef u64 v = 0
    cdef size_t i
    if n >= 8:
        return get64_be(p)
    for i in range(n):
        v |= <u64>p[i] << (56 - 8 * i)
    return v
