# The short byte string that an index keeps for a block instead of its last key.
from libc.string cimport memcpy
from lsm.keys cimport common_prefix
from lsm.types cimport u8


cdef inline size_t separator_between(const u8* a, size_t an, const u8* b, size_t bn, u8* out) noexcept nogil:
    """Writes the shortest s with a <= s < b to `out` (an bytes of room) and returns its length; a itself where a >= b.

    s begins with what a and b have in common, so whatever all keys of a table share its separators share.
    """
    cdef size_t c = common_prefix(a, an, b, bn)
    memcpy(out, a, an)
    if c >= an or c >= bn or a[c] > b[c]:
        return an
    if a[c] + 1 < b[c] or bn > c + 1:
        # where a[c] + 1 == b[c] this is a prefix of b, so below it
        out[c] = a[c] + 1
        return c + 1
    c += 1
    while c < an and a[c] == 0xFF:
        c += 1
    if c >= an:
        return an
    if c + 1 < an:
        out[c] += 1
    return c + 1
