"""The bytes of the write-ahead log's files: headers of segments and of the ring, frames, trailers.

`LAYOUTS` names every field with its offset and size; a test holds docs/format/wal.md against it.
"""
from libc.string cimport memcmp, memcpy, memset

cdef bytes SEGMENT_MAGIC_BYTES = b"lsmwal\r\n"
cdef bytes RING_MAGIC_BYTES = b"lsmrng\r\n"
cdef const u8* SEGMENT_MAGIC = SEGMENT_MAGIC_BYTES
cdef const u8* RING_MAGIC = RING_MAGIC_BYTES


cdef u32 header_crc(const u8* p) noexcept nogil:
    """Over the header but for the checksum itself."""
    return crc32c_extend(crc32c_extend(0, p, HEADER_CRC), p + HEADER_DATABASE_ID, HEADER_BYTES - HEADER_DATABASE_ID)


cdef void encode_front(u8* p, const u8* magic, const header_t* h) noexcept nogil:
    memset(p, 0, HEADER_BYTES)
    memcpy(p + HEADER_MAGIC, magic, 8)
    put32(p + HEADER_VERSION, WAL_VERSION)
    memcpy(p + HEADER_DATABASE_ID, h.database_id, 16)
    put64(p + HEADER_EPOCH, h.epoch)
    put64(p + HEADER_SALT, h.salt)
    put64(p + HEADER_CREATED, h.created)
    put64(p + HEADER_OPENING_FIRST, h.opening_first)


cdef void segment_header_encode(u8* p, const header_t* h) noexcept nogil:
    encode_front(p, SEGMENT_MAGIC, h)
    put64(p + SEGMENT_NUMBER, h.number)
    put64(p + SEGMENT_BASE, h.base)
    put64(p + SEGMENT_FIRST_SEQUENCE, h.first_seq)
    put32(p + HEADER_CRC, header_crc(p))


cdef void ring_header_encode(u8* p, const header_t* h) noexcept nogil:
    encode_front(p, RING_MAGIC, h)
    put64(p + RING_BYTES, h.ring_bytes)
    put32(p + HEADER_CRC, header_crc(p))


cdef int decode_front(const u8* p, const u8* magic, header_t* h, u32* version_found) noexcept nogil:
    memset(h, 0, sizeof(header_t))
    version_found[0] = get32(p + HEADER_VERSION)
    if memcmp(p + HEADER_MAGIC, magic, 8) != 0:
        return HEADER_INVALID
    if get32(p + HEADER_CRC) != header_crc(p):
        return HEADER_INVALID          # magic, version and checksum stay where they are in every version
    if version_found[0] > WAL_VERSION or get32(p + HEADER_CIPHER) != 0 or get16(p + HEADER_TAG_BYTES) != 0:
        return HEADER_NEWER
    memcpy(h.database_id, p + HEADER_DATABASE_ID, 16)
    h.epoch = get64(p + HEADER_EPOCH)
    h.salt = get64(p + HEADER_SALT)
    h.created = get64(p + HEADER_CREATED)
    h.opening_first = get64(p + HEADER_OPENING_FIRST)
    return HEADER_OK


cdef int segment_header_decode(const u8* p, header_t* h, u32* version_found) noexcept nogil:
    cdef int verdict = decode_front(p, SEGMENT_MAGIC, h, version_found)
    if verdict == HEADER_OK:
        h.number = get64(p + SEGMENT_NUMBER)
        h.base = get64(p + SEGMENT_BASE)
        h.first_seq = get64(p + SEGMENT_FIRST_SEQUENCE)
    return verdict


cdef int ring_header_decode(const u8* p, header_t* h, u32* version_found) noexcept nogil:
    cdef int verdict = decode_front(p, RING_MAGIC, h, version_found)
    if verdict == HEADER_OK:
        h.ring_bytes = get64(p + RING_BYTES)
    return verdict


cdef u64 ring_mark(const u8* page) noexcept nogil:
    cdef u64 mark = get64(page + RING_MARK)
    return mark if mark == ~get64(page + RING_MARK_INVERTED) else 0


cdef size_t seal_encode(u8* p, u32 salt_crc, u64 stream, u64 last_seq, u64 frames, u64 time,
                        u64 durable) noexcept nogil:
    cdef size_t n = FRAME_HEADER + SEAL_PAYLOAD
    frame_header_encode(p, n, last_seq, time, durable, 0, FLAG_SEAL, 0)
    put64(p + FRAME_HEADER + SEAL_LAST_SEQUENCE, last_seq)
    put64(p + FRAME_HEADER + SEAL_FRAMES, frames)
    put32(p + FRAME_CRC, frame_crc(salt_crc, stream, p, n))
    return n


VERSION = WAL_VERSION
SEGMENT_HEADER_BYTES = HEADER_BYTES
SEGMENT_MAGIC_VALUE = SEGMENT_MAGIC_BYTES
RING_MAGIC_VALUE = RING_MAGIC_BYTES
SEAL_FLAG = FLAG_SEAL

FRONT = {
    "magic": (HEADER_MAGIC, 8),
    "format version": (HEADER_VERSION, 4),
    "header checksum": (HEADER_CRC, 4),
    "database id": (HEADER_DATABASE_ID, 16),
    "epoch": (HEADER_EPOCH, 8),
    "cipher id": (HEADER_CIPHER, 4),
    "key id": (HEADER_KEY, 4),
    "tag bytes": (HEADER_TAG_BYTES, 2),
    "zeros": (HEADER_ZEROS, HEADER_SALT - HEADER_ZEROS),
    "salt": (HEADER_SALT, 8),
    "created": (HEADER_CREATED, 8),
    "opening's first sequence": (HEADER_OPENING_FIRST, 8),
}

LAYOUTS = {
    "segment header": FRONT | {
        "segment number": (SEGMENT_NUMBER, 8),
        "base": (SEGMENT_BASE, 8),
        "first sequence": (SEGMENT_FIRST_SEQUENCE, 8),
        "room": (SEGMENT_FIRST_SEQUENCE + 8, HEADER_BYTES - SEGMENT_FIRST_SEQUENCE - 8),
    },
    "ring header": FRONT | {
        "ring bytes": (RING_BYTES, 8),
        "room": (RING_BYTES + 8, HEADER_BYTES - RING_BYTES - 8),
        "durable through": (RING_MARK, 8),
        "durable through, inverted": (RING_MARK_INVERTED, 8),
    },
    "frame": {
        "checksum": (FRAME_CRC, 4),
        "payload bytes": (FRAME_PAYLOAD_BYTES, 4),
        "sequence": (FRAME_SEQUENCE, 8),
        "commit time": (FRAME_TIME, 8),
        "durable through": (FRAME_DURABLE_THROUGH, 8),
        "origin id": (FRAME_ORIGIN, 4),
        "flags": (FRAME_FLAGS, 2),
        "tag bytes": (FRAME_TAG_BYTES, 2),
        "change count": (FRAME_CHANGES, 4),
        "reserved": (FRAME_RESERVED, 4),
    },
    "trailer payload": {
        "last sequence": (SEAL_LAST_SEQUENCE, 8),
        "frames": (SEAL_FRAMES, 8),
    },
}
