# The bytes of the write-ahead log's files, as docs/format/wal.md has them. Pure functions on memory.
from lsm.crc32c cimport crc32c_extend
from lsm.types cimport get16, get32, get64, put16, put32, put64, u8, u16, u32, u64
from lsm.wal_state cimport FRAME_HEADER

cdef enum:
    WAL_VERSION = 1

cdef enum:                            # frame flags; persisted, never renumber
    FLAG_SEAL = 1                     # the trailer of a finished segment

cdef enum:                            # a frame
    FRAME_CRC = 0
    FRAME_PAYLOAD_BYTES = 4
    FRAME_SEQUENCE = 8
    FRAME_TIME = 16
    FRAME_DURABLE_THROUGH = 24
    FRAME_ORIGIN = 32
    FRAME_FLAGS = 36
    FRAME_TAG_BYTES = 38
    FRAME_CHANGES = 40
    FRAME_RESERVED = 44

cdef enum:                            # payload of a trailer
    SEAL_LAST_SEQUENCE = 0
    SEAL_FRAMES = 8
    SEAL_PAYLOAD = 16

cdef enum:                            # header of a segment and of the ring: the common front
    HEADER_MAGIC = 0
    HEADER_VERSION = 8
    HEADER_CRC = 12
    HEADER_DATABASE_ID = 16
    HEADER_EPOCH = 32
    HEADER_CIPHER = 40
    HEADER_KEY = 44
    HEADER_TAG_BYTES = 48
    HEADER_ZEROS = 50
    HEADER_SALT = 56
    HEADER_CREATED = 64
    HEADER_OPENING_FIRST = 72

cdef enum:                            # a segment goes on with
    SEGMENT_NUMBER = 80
    SEGMENT_BASE = 88
    SEGMENT_FIRST_SEQUENCE = 96

cdef enum:                            # and the ring with
    RING_BYTES = 80
    RING_MARK = 1024
    RING_MARK_INVERTED = 1032

cdef enum:
    HEADER_BYTES = 128                # of the ring's header too; the rest of its page is apart

cdef struct header_t:
    u8 database_id[16]
    u64 epoch
    u64 salt
    u64 created
    u64 opening_first
    u64 number
    u64 base
    u64 first_seq
    u64 ring_bytes

cdef enum:                            # what header_decode says
    HEADER_OK = 0
    HEADER_INVALID = 1
    HEADER_NEWER = 2                  # version_found[0] says which

cdef void segment_header_encode(u8* p, const header_t* h) noexcept nogil      # 128 bytes
cdef void ring_header_encode(u8* p, const header_t* h) noexcept nogil
cdef int segment_header_decode(const u8* p, header_t* h, u32* version_found) noexcept nogil
cdef int ring_header_decode(const u8* p, header_t* h, u32* version_found) noexcept nogil
# The sequence through which the log was durable, 0 where the two copies disagree.
cdef u64 ring_mark(const u8* page) noexcept nogil
# A trailer: FRAME_HEADER + SEAL_PAYLOAD bytes for stream offset `stream`.
cdef size_t seal_encode(u8* p, u32 salt_crc, u64 stream, u64 last_seq, u64 frames, u64 time, u64 durable) noexcept nogil


cdef inline u32 salt_state(u64 salt) noexcept nogil:
    cdef u8 bytes[8]
    put64(bytes, salt)
    return crc32c_extend(0, bytes, 8)


cdef inline u32 frame_crc(u32 salt_crc, u64 stream, const u8* frame, size_t n) noexcept nogil:
    """Over salt, stream offset, and the frame but for its checksum."""
    cdef u8 bytes[8]
    put64(bytes, stream)
    return crc32c_extend(crc32c_extend(salt_crc, bytes, 8), frame + FRAME_PAYLOAD_BYTES, n - FRAME_PAYLOAD_BYTES)


cdef inline void frame_header_encode(u8* frame, size_t n, u64 seq, u64 time, u64 durable, u32 origin, u16 flags,
                                     u32 changes) noexcept nogil:
    put32(frame + FRAME_PAYLOAD_BYTES, <u32>(n - FRAME_HEADER))
    put64(frame + FRAME_SEQUENCE, seq)
    put64(frame + FRAME_TIME, time)
    put64(frame + FRAME_DURABLE_THROUGH, durable)
    put32(frame + FRAME_ORIGIN, origin)
    put16(frame + FRAME_FLAGS, flags)
    put16(frame + FRAME_TAG_BYTES, 0)
    put32(frame + FRAME_CHANGES, changes)
    put32(frame + FRAME_RESERVED, 0)


# A frame in memory that belongs to somebody else.
cdef struct frame_view_t:
    u64 sequence
    u64 time
    u64 durable_through
    u32 origin
    u16 flags
    u32 changes
    const u8* payload
    size_t bytes                      # of the payload


cdef inline bint frame_plausible(const u8* p, u64 available) noexcept nogil:
    """Whether a frame header could stand here, with `available` bytes from p to the end; nothing is verified."""
    return (get32(p + FRAME_RESERVED) == 0 and get16(p + FRAME_TAG_BYTES) == 0
            and get64(p + FRAME_SEQUENCE) >= get64(p + FRAME_DURABLE_THROUGH)
            and <u64>get32(p + FRAME_PAYLOAD_BYTES) + FRAME_HEADER <= available)


cdef inline void frame_decode(const u8* p, frame_view_t* out) noexcept nogil:
    out.sequence = get64(p + FRAME_SEQUENCE)
    out.time = get64(p + FRAME_TIME)
    out.durable_through = get64(p + FRAME_DURABLE_THROUGH)
    out.origin = get32(p + FRAME_ORIGIN)
    out.flags = get16(p + FRAME_FLAGS)
    out.changes = get32(p + FRAME_CHANGES)
    out.payload = p + FRAME_HEADER
    out.bytes = get32(p + FRAME_PAYLOAD_BYTES)
