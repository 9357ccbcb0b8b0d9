"""The published LZ4 block format: a greedy compressor and a decoder that trusts nothing.

Guarantees: no allocation, no global state, no byte read or written outside the given bounds; equal input gives equal
bytes. Any thread, no lock. docs/format/checksums-and-codecs.md has the format.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from lsm.types cimport ctz64, get16, get32, get64, put16, u8, u16, u32, u64

from lsm import errors

cdef enum:
    MIN_MATCH = 4
    LAST_LITERALS = 5                 # a block ends with at least so many literals
    MATCH_MARGIN = 12                 # and its last match starts at least so many bytes before the end
    MAX_DISTANCE = 65535
    MAX_INPUT = 0x7E000000
    SMALL_INPUT = 65536               # positions fit 16 bits
    SMALL_TABLE_BITS = 13
    LARGE_TABLE_BITS = 12
    SKIP_STRENGTH = 4                 # after 2**4 misses in a row every second position is tried, and so on

ctypedef fused position_t:
    u16
    u32


cdef inline void copy8(u8* target, const u8* source) noexcept nogil:
    memcpy(target, source, 8)


cdef inline void copy16(u8* target, const u8* source) noexcept nogil:
    """Through registers, so source and target may overlap by any amount."""
    cdef u64 a
    cdef u64 b
    memcpy(&a, source, 8)
    memcpy(&b, source + 8, 8)
    memcpy(target, &a, 8)
    memcpy(target + 8, &b, 8)


cdef inline void copy_wild(u8* target, const u8* source, size_t n) noexcept nogil:
    """Copies n bytes in steps of 16: up to 15 more are read and written behind them."""
    cdef u8* end = target + n
    while target < end:
        copy16(target, source)
        target += 16
        source += 16


# Compression

cdef inline u32 hash_of(const u8* p, int bits) noexcept nogil:
    return (get32(p) * <u32>2654435761u) >> (32 - bits)


cdef inline size_t common_bytes(const u8* p, const u8* q, const u8* end) noexcept nogil:
    """How many bytes from p (below `end`) equal those from q (before p)."""
    cdef const u8* start = p
    cdef u64 difference
    while end - p >= 8:
        difference = get64(p) ^ get64(q)
        if difference:
            return (p - start) + (ctz64(difference) >> 3)
        p += 8
        q += 8
    while p < end and p[0] == q[0]:
        p += 1
        q += 1
    return p - start


cdef inline size_t length_bytes(size_t n) noexcept nogil:
    """How many bytes put_length takes for a length of n: none below 15."""
    return (n + 240) // 255


cdef inline u8* put_length(u8* out, size_t n) noexcept nogil:
    """What of a length does not fit its four bits: bytes that add up, the last below 255."""
    while n >= 255:
        out[0] = 255
        out += 1
        n -= 255
    out[0] = <u8>n
    return out + 1


cdef inline u8* put_literals(u8* out, const u8* literals, size_t n, bint wild) noexcept nogil:
    """A token with its literal length, the literals; `wild`: 15 bytes behind both may be touched."""
    cdef u8* token = out
    out += 1
    if n < 15:
        token[0] = <u8>(n << 4)
    else:
        token[0] = 15 << 4
        out = put_length(out, n - 15)
    if wild:
        copy_wild(out, literals, n)
    else:
        memcpy(out, literals, n)
    return out + n


cdef inline size_t finish(u8* target, u8* out, const u8* out_end, const u8* anchor, const u8* end) noexcept nogil:
    """The last sequence, literals alone; what lz4_compress returns."""
    cdef size_t literals = end - anchor
    if <size_t>(out_end - out) < 1 + literals + length_bytes(literals):
        return 0
    return put_literals(out, anchor, literals, False) - target


cdef inline size_t compress_with(position_t* table, int bits, const u8* source, size_t n,
                                 u8* target, size_t capacity) noexcept nogil:
    cdef const u8* end = source + n
    cdef const u8* match_end = end - LAST_LITERALS
    cdef const u8* search_end = end - MATCH_MARGIN       # the last place where a match may start
    cdef const u8* anchor = source                       # what was not written yet starts here
    cdef const u8* p = source
    cdef const u8* next_p
    cdef const u8* candidate
    cdef u8* out = target
    cdef u8* out_end = target + capacity
    cdef u8* token
    cdef u32 h
    cdef u32 next_h
    cdef u32 tries
    cdef size_t literals
    cdef size_t length
    cdef size_t room
    cdef size_t needed
    cdef bint again = False

    if n > MATCH_MARGIN:
        table[hash_of(source, bits)] = 0
        while True:
            if not again:
                tries = 1 << SKIP_STRENGTH
                next_p = p + 1
                next_h = hash_of(next_p, bits)
                while True:
                    p = next_p
                    h = next_h
                    next_p += tries >> SKIP_STRENGTH
                    tries += 1
                    if next_p > search_end:
                        return finish(target, out, out_end, anchor, end)
                    next_h = hash_of(next_p, bits)
                    candidate = source + table[h]
                    table[h] = <position_t>(p - source)
                    if get32(candidate) == get32(p):
                        if position_t is u16 or p - candidate <= MAX_DISTANCE:
                            break
                while p > anchor and candidate > source and (p - 1)[0] == (candidate - 1)[0]:
                    p -= 1
                    candidate -= 1
            literals = p - anchor
            room = out_end - out
            needed = literals + length_bytes(literals)
            # token, literals, distance, and what must follow: a token and five literals
            if room < needed + 3 + 1 + LAST_LITERALS:
                return 0
            token = out
            out = put_literals(out, anchor, literals, end - p >= 15 and room >= needed + 16)
            put16(out, <u16>(p - candidate))
            out += 2
            length = common_bytes(p + MIN_MATCH, candidate + MIN_MATCH, match_end)
            p += MIN_MATCH + length
            if length < 15:
                token[0] |= <u8>length
            else:
                token[0] |= 15
                if <size_t>(out_end - out) < length_bytes(length) + 1 + LAST_LITERALS:
                    return 0
                out = put_length(out, length - 15)
            anchor = p
            if p > search_end:
                break
            table[hash_of(p - 2, bits)] = <position_t>(p - 2 - source)
            h = hash_of(p, bits)
            candidate = source + table[h]
            table[h] = <position_t>(p - source)
            again = get32(candidate) == get32(p)
            if position_t is u32:
                again = again and p - candidate <= MAX_DISTANCE

    return finish(target, out, out_end, anchor, end)


cdef size_t compress_small(const u8* source, size_t n, u8* target, size_t capacity) noexcept nogil:
    """The table has a slot for every second to fourth byte, so that clearing it costs little beside the search."""
    cdef u16[1 << SMALL_TABLE_BITS] table
    cdef int bits = 8
    while bits < SMALL_TABLE_BITS and (<size_t>4 << bits) <= n:
        bits += 1
    memset(table, 0, sizeof(u16) << bits)
    return compress_with[u16](table, bits, source, n, target, capacity)


cdef size_t compress_large(const u8* source, size_t n, u8* target, size_t capacity) noexcept nogil:
    cdef u32[1 << LARGE_TABLE_BITS] table
    memset(table, 0, sizeof(table))
    return compress_with[u32](table, LARGE_TABLE_BITS, source, n, target, capacity)


cdef size_t lz4_bound(size_t n) noexcept nogil:
    return n + n // 255 + 16


cdef size_t lz4_compress(const u8* source, size_t n, u8* target, size_t capacity) noexcept nogil:
    if n > MAX_INPUT or capacity == 0:
        return 0
    if n <= SMALL_INPUT:
        return compress_small(source, n, target, capacity)
    return compress_large(source, n, target, capacity)


# Decompression

cdef inline const u8* get_length(const u8* p, const u8* end, size_t* length) noexcept nogil:
    """Adds the bytes that follow a full four bits; NULL where they do not end before `end`."""
    cdef u8 byte = 255
    while byte == 255:
        if p >= end:
            return NULL
        byte = p[0]
        p += 1
        length[0] += byte
    return p


cdef inline void copy_match(u8* out, size_t distance, size_t n, size_t room) noexcept nogil:
    """Repeats what stands `distance` bytes before; `room` (at least n) bytes from `out` on may be written."""
    cdef u8* end = out + n
    cdef u8* wild_end
    if room > 15:
        wild_end = end if room - n >= 15 else out + (room - 15)
        # a near pattern is doubled until it is wide enough for whole steps
        while distance < 16 and out < wild_end:
            copy16(out, out - distance)
            out += distance
            distance *= 2
        while out < wild_end:
            copy16(out, out - distance)
            out += 16
    while out < end:
        out[0] = (out - distance)[0]
        out += 1


cdef void lz4_begin(lz4_reader_t* r, const u8* source, size_t source_bytes, u8* target, size_t n) noexcept nogil:
    r.p = source
    r.end = source + source_bytes
    r.target = r.out = target
    r.out_end = target + n
    r.ended = False


cdef int lz4_decompress_to(lz4_reader_t* r, size_t wanted) noexcept nogil:
    cdef const u8* p = r.p
    cdef const u8* end = r.end
    cdef u8* target = r.target
    cdef u8* out = r.out
    cdef u8* out_end = r.out_end
    # all of them: to where the input ends, not where the output is full
    cdef u8* enough = target + wanted if wanted < <size_t>(out_end - target) else out_end + 1
    cdef size_t length
    cdef size_t distance
    cdef u8 token
    if r.ended:
        return 0
    while out < enough and p < end:
        token = p[0]
        p += 1
        length = token >> 4
        if length < 15 and end - p >= 18 and out_end - out >= 16:
            copy16(out, p)
        else:
            if length == 15:
                p = get_length(p, end, &length)
                if p == NULL:
                    return -1
            if length > <size_t>(end - p) or length > <size_t>(out_end - out):
                return -1
            if <size_t>(end - p) - length >= 15 and <size_t>(out_end - out) - length >= 15:
                copy_wild(out, p, length)
            else:
                memcpy(out, p, length)
        p += length
        out += length
        if end - p < 2:
            r.ended = True
            return 0 if p == end and out == out_end else -1
        distance = get16(p)
        p += 2
        length = token & 15
        if length < 15 and distance >= 8 and distance <= <size_t>(out - target) and out_end - out >= 18:
            # nearly every match: at most 18 bytes, in steps that a distance of 8 allows
            copy8(out, out - distance)
            copy8(out + 8, out + 8 - distance)
            put16(out + 16, get16(out + 16 - distance))
            out += length + MIN_MATCH
            continue
        if length == 15:
            p = get_length(p, end, &length)
            if p == NULL:
                return -1
        length += MIN_MATCH
        if distance == 0 or distance > <size_t>(out - target) or length > <size_t>(out_end - out):
            return -1
        copy_match(out, distance, length, out_end - out)
        out += length
    r.p = p
    r.out = out
    return 0 if out >= enough else -1


cdef int lz4_decompress(const u8* source, size_t source_bytes, u8* target, size_t n) noexcept nogil:
    cdef lz4_reader_t r
    if n > MAX_INPUT:
        return -1
    lz4_begin(&r, source, source_bytes, target, n)
    return <int>n if lz4_decompress_to(&r, n) == 0 else -1


# For tools and tests

def compress(bytes data not None):
    """One LZ4 block that holds `data`; at most `len(data) * 256 // 255 + 16` bytes.

    InvalidArgumentError above 2,113,929,216 bytes, the format's limit.
    """
    if <size_t>len(data) > MAX_INPUT:
        raise errors.InvalidArgumentError(f"{len(data)} bytes are more than the {MAX_INPUT} that one LZ4 block holds")
    return compress_within(data, lz4_bound(len(data)))


def compress_within(bytes data not None, size_t capacity):
    """As `compress`, but None where the block would be larger than `capacity` bytes."""
    cdef size_t n = len(data)
    cdef const u8* source = <const u8*>PyBytes_AS_STRING(data)
    cdef bytes block = PyBytes_FromStringAndSize(NULL, capacity)
    cdef u8* target = <u8*>PyBytes_AS_STRING(block)
    with nogil:
        n = lz4_compress(source, n, target, capacity)
    return PyBytes_FromStringAndSize(<char*>target, n) if n else None


def decompress(bytes data not None, Py_ssize_t size):
    """The `size` bytes that the LZ4 block `data` holds; InvalidArgumentError (a ValueError) where it holds none."""
    cdef size_t stored = len(data)
    cdef const u8* source = <const u8*>PyBytes_AS_STRING(data)
    cdef bytes result
    cdef u8* target
    cdef int got = -1
    # a byte decodes to 255 at the most, so a wrong size is found before memory is asked for
    if 0 <= size <= MAX_INPUT and <size_t>size <= stored * 255:
        result = PyBytes_FromStringAndSize(NULL, size)
        target = <u8*>PyBytes_AS_STRING(result)
        with nogil:
            got = lz4_decompress(source, stored, target, size)
    if got < 0:
        raise errors.InvalidArgumentError(f"these {stored} bytes are no LZ4 block of {size} bytes")
    return result


def decompress_in_steps(bytes data not None, Py_ssize_t size, list steps not None):
    """What of `size` bytes stands there after each step, an ascending count of bytes wanted; as `decompress` raises."""
    cdef lz4_reader_t r
    cdef bytearray target = bytearray(size)
    cdef list fronts = []
    lz4_begin(&r, data, len(data), target, size)
    for wanted in steps:
        if not 0 <= wanted <= size:
            raise errors.InvalidArgumentError(f"{wanted} of {size} bytes")
        if lz4_decompress_to(&r, wanted) < 0:
            raise errors.InvalidArgumentError(f"these {len(data)} bytes are no LZ4 block of {size} bytes")
        fronts.append(bytes(target[:wanted]))
    return fronts
