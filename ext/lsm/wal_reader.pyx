"""Frames as recovery meets them: verified one by one, or searched for where bytes are damaged.

Guarantees: no length is used before the bytes that it speaks of are known to exist. No lock; one thread per reader.
"""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memmove, memset

from lsm.failure cimport set_no_memory
from lsm.filesystem cimport FS_READ, fs_close, fs_open, fs_read, fs_size
from lsm.types cimport STATUS_OK, get32, get64
from lsm.wal_format cimport (FLAG_SEAL, FRAME_CRC, FRAME_PAYLOAD_BYTES, FRAME_SEQUENCE, SEAL_FRAMES,
                             SEAL_LAST_SEQUENCE, SEAL_PAYLOAD, frame_crc, frame_decode, frame_plausible, salt_state)
from lsm.wal_state cimport FRAME_HEADER

cdef enum:
    CHUNK = 1 << 20                   # bytes read at a time

cdef u64 SEQUENCES_MOST = <u64>1 << 36 # of one opening behind a place in its log: frames of 48 bytes in 3 TiB


cdef int reader_open(reader_t* r, const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil:
    cdef i64 size
    memset(r, 0, sizeof(reader_t))
    r.fs = fs
    r.path = path
    r.handle = fs_open(fs, path, FS_READ, error)
    if r.handle < 0:
        r.handle = -1
        return error.status
    size = fs_size(fs, r.handle, path, error)
    r.room = CHUNK if size < 0 or size > CHUNK else <size_t>size + 1
    r.buffer = <u8*>malloc(r.room)
    if size < 0 or r.buffer == NULL:
        reader_close(r)
        return error.status if size < 0 else set_no_memory(error)
    r.size = <u64>size
    return STATUS_OK


cdef void reader_memory(reader_t* r, const u8* bytes, size_t n, u64 salt, u64 stream) noexcept nogil:
    memset(r, 0, sizeof(reader_t))
    r.handle = -1
    r.buffer = <u8*>bytes
    r.filled = r.room = r.size = n
    reader_place(r, salt, 0, stream)


cdef void reader_close(reader_t* r) noexcept nogil:
    cdef error_t ignored
    if r.handle >= 0:
        fs_close(r.fs, r.handle, r.path, &ignored)
        free(r.buffer)
    r.handle = -1
    r.buffer = NULL
    r.filled = r.start = 0
    r.size = r.offset


cdef void reader_place(reader_t* r, u64 salt, u64 offset, u64 stream) noexcept nogil:
    reader_skip(r, offset - r.offset)
    r.salt_crc = salt_state(salt)
    r.shift = stream - offset


cdef void reader_skip(reader_t* r, size_t n) noexcept nogil:
    r.offset += n
    if n <= r.filled - r.start:
        r.start += n
    else:
        r.start = r.filled = 0


cdef int fill(reader_t* r, size_t n, error_t* error) noexcept nogil:
    """At least n bytes from the place on into the buffer, n no more than the file has left."""
    cdef size_t have = r.filled - r.start
    cdef size_t want
    cdef void* grown
    cdef i64 got
    memmove(r.buffer, r.buffer + r.start, have)
    r.start = 0
    r.filled = have
    if n > r.room:
        grown = realloc(r.buffer, n)
        if grown == NULL:
            return set_no_memory(error)
        r.buffer = <u8*>grown
        r.room = n
    want = r.room - have
    if want > r.size - r.offset - have:
        want = r.size - r.offset - have
    got = fs_read(r.fs, r.handle, r.buffer + have, want, r.offset + have, r.path, error)
    if got < 0:
        return <int>got
    r.filled = have + <size_t>got
    if <size_t>got < want:
        r.size = r.offset + r.filled   # cut by somebody since it was opened
    return STATUS_OK


cdef const u8* reader_bytes(reader_t* r, size_t n, int* status, error_t* error) noexcept nogil:
    status[0] = STATUS_OK
    if n <= r.filled - r.start:
        return r.buffer + r.start
    if r.offset > r.size or n > r.size - r.offset or r.handle < 0:
        return NULL
    status[0] = fill(r, n, error)
    return r.buffer + r.start if status[0] == STATUS_OK and n <= r.filled - r.start else NULL


cdef int reader_frame(reader_t* r, frame_view_t* out, error_t* error) noexcept nogil:
    cdef int status
    cdef size_t n
    cdef const u8* p
    if r.offset >= r.size:
        return READ_END
    r.crc_stored = r.crc_computed = 0
    p = reader_bytes(r, FRAME_HEADER, &status, error)
    if p == NULL:
        return READ_INVALID if status == STATUS_OK else status
    if not frame_plausible(p, r.size - r.offset):
        return READ_INVALID
    n = FRAME_HEADER + <size_t>get32(p + FRAME_PAYLOAD_BYTES)
    p = reader_bytes(r, n, &status, error)
    if p == NULL:
        return READ_INVALID if status == STATUS_OK else status
    r.crc_stored = get32(p + FRAME_CRC)
    r.crc_computed = frame_crc(r.salt_crc, r.offset + r.shift, p, n)
    if r.crc_stored != r.crc_computed:
        return READ_INVALID
    frame_decode(p, out)
    return READ_FRAME


cdef bint seals(const reader_t* r, const frame_view_t* f, const run_t* run) noexcept nogil:
    """Whether `f` is the trailer that belongs here: at the very end, and counting what was walked."""
    return (f.bytes == SEAL_PAYLOAD and r.offset + FRAME_HEADER + SEAL_PAYLOAD == r.size
            and f.sequence == run.last_seq and get64(f.payload + SEAL_LAST_SEQUENCE) == run.last_seq
            and get64(f.payload + SEAL_FRAMES) == run.frames)


cdef int reader_walk(reader_t* r, u64 next_seq, run_t* out, error_t* error) noexcept nogil:
    cdef frame_view_t f
    cdef int what
    memset(out, 0, sizeof(run_t))
    out.last_seq = next_seq - 1
    while True:
        out.end = r.offset
        what = reader_frame(r, &f, error)
        if what < 0:
            return what
        if what == READ_FRAME and f.flags & FLAG_SEAL:
            out.sealed = seals(r, &f, out)
            out.stopped = not out.sealed
            return STATUS_OK
        if what != READ_FRAME or f.sequence != out.last_seq + 1:
            out.stopped = what != READ_END
            return STATUS_OK
        out.last_seq = f.sequence
        out.last_time = f.time
        out.frames += 1
        reader_skip(r, FRAME_HEADER + f.bytes)


cdef inline size_t barren(const u8* p, size_t n, u64 lost) noexcept nogil:
    """How many places of n bytes from p on cannot begin a frame: its sequence would be too low, or far too high."""
    cdef size_t i = 0
    while i + FRAME_HEADER <= n and get64(p + i + FRAME_SEQUENCE) - lost >= SEQUENCES_MOST:
        i += 1
    return i


cdef int reader_evidence(reader_t* r, u64 lost, error_t* error) noexcept nogil:
    cdef frame_view_t f
    cdef const u8* p
    cdef size_t n
    cdef int status
    while True:
        p = reader_bytes(r, FRAME_HEADER, &status, error)
        if p == NULL:
            return status
        n = barren(p, r.filled - r.start, lost)
        if n or not frame_plausible(p, r.size - r.offset):
            reader_skip(r, n if n else 1)
            continue
        status = reader_frame(r, &f, error)
        if status < 0:
            return status
        if status != READ_FRAME:
            reader_skip(r, 1)
            continue
        if f.flags & FLAG_SEAL or f.durable_through >= lost:
            return 1
        reader_skip(r, FRAME_HEADER + f.bytes)
