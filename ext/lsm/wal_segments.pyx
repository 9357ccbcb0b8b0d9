"""The file side of the log: segment files, the frames' way from the ring into them. docs/format/wal.md has the bytes.

Guarantees: segments hold whole frames in stream order; a failed write is never counted as done. Under the drain lock,
which is held across writes, never across fsync.
"""
from libc.errno cimport EIO, ENOENT
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from lsm.failure cimport set_no_memory
from lsm.filesystem cimport (FS_CREATE, FS_EXCLUSIVE, FS_READ, FS_WRITE, fs_allocate, fs_close, fs_open, fs_size,
                             fs_sync, fs_truncate, fs_unlink, fs_write)
from lsm.types cimport STATUS_DISK_FULL, STATUS_IO, STATUS_NO_MEMORY, STATUS_OK, get32, i64, load64, load_int, store64, u32
from lsm.wal_format cimport (FRAME_PAYLOAD_BYTES, SEAL_PAYLOAD, header_t, seal_encode, segment_header_encode)
from lsm.wal_signals cimport log_poison, log_refuses
from lsm.wal_spares cimport spare_take, spares_give_up
from lsm.wal_state cimport FRAME_HEADER, WAL_HEADER, WAL_POISONED, used_up, wall_us

cdef enum:
    STRETCH = 1 << 20                  # bytes of zeros ahead of the frames of a log that is synced often
    STRETCH_BELOW = 1 << 14            # when fewer are left, there are more


# ---- the list

cdef segment_t* new_segment(wal_t* w, u64 number) noexcept nogil:
    cdef size_t room = strlen(w.directory) + 40
    cdef segment_t* s = <segment_t*>calloc(1, sizeof(segment_t))
    if s == NULL:
        return NULL
    s.handle = -1
    s.number = number
    s.path = <char*>malloc(room)
    if s.path == NULL:
        free(s)
        return NULL
    snprintf(s.path, room, b"%s/wal-%06llu.log", w.directory, <unsigned long long>number)
    return s


cdef void append_segment(wal_t* w, segment_t* s) noexcept nogil:
    if w.current == NULL:
        w.oldest = s
    else:
        w.current.next = s
    w.current = s


cdef void segment_free(segment_t* s) noexcept nogil:
    free(s.path)
    free(s)


cdef void segment_close(wal_t* w, segment_t* s) noexcept nogil:
    cdef error_t ignored
    if s.handle >= 0:
        fs_close(w.fs, s.handle, s.path, &ignored)
    s.handle = -1


cdef int log_inherit_segment(wal_t* w, u64 number, u64 first_seq, u64 last_seq, u64 bytes) noexcept nogil:
    cdef segment_t* s = new_segment(w, number)
    if s == NULL:
        return STATUS_NO_MEMORY
    s.first_seq = first_seq
    s.last_seq = last_seq
    s.bytes = bytes
    s.durable = s.sealed = True
    append_segment(w, s)
    return STATUS_OK


# ---- files

cdef int write_header(wal_t* w, segment_t* s, error_t* error) noexcept nogil:
    cdef header_t h
    cdef u8 bytes[WAL_HEADER]
    memset(&h, 0, sizeof(h))
    memcpy(h.database_id, w.database_id, 16)
    h.epoch = w.epoch
    h.salt = w.salt
    h.created = wall_us()
    h.opening_first = w.opening_first
    h.number = s.number
    h.base = s.base
    h.first_seq = s.first_seq
    segment_header_encode(bytes, &h)
    return fs_write(w.fs, s.handle, bytes, WAL_HEADER, 0, s.path, error)


cdef int measure(wal_t* w, segment_t* s, error_t* error) noexcept nogil:
    """How far the bytes reach that a spare file brings with it."""
    cdef i64 size = fs_size(w.fs, s.handle, s.path, error) if s.stretched else 0
    if size < 0:
        return error.status
    s.allocated = <u64>size
    return STATUS_OK


cdef void discard(wal_t* w, segment_t* s) noexcept nogil:
    """A segment that did not come to be."""
    cdef error_t error
    segment_close(w, s)
    w.leftover = s
    clear_leftover(w, &error)


cdef int clear_leftover(wal_t* w, error_t* error) noexcept nogil:
    """Behind a file that is no segment the next would read as one of another log."""
    if w.leftover == NULL:
        return STATUS_OK
    if fs_unlink(w.fs, w.leftover.path, error) != STATUS_OK and error.os_error != ENOENT:
        return error.status
    segment_free(w.leftover)
    w.leftover = NULL
    return STATUS_OK


cdef segment_t* log_add_segment(wal_t* w, u64 base, u64 first_seq, error_t* error) noexcept nogil:
    cdef segment_t* s
    if clear_leftover(w, error) != STATUS_OK:
        return NULL
    s = new_segment(w, w.next_number)
    if s == NULL:
        set_no_memory(error)
        return NULL
    w.next_number += 1                 # also when it fails: a number names one attempt
    s.base = base
    s.first_seq = first_seq
    s.last_seq = first_seq - 1
    s.bytes = WAL_HEADER
    s.stretched = spare_take(w, s.path)
    s.handle = fs_open(w.fs, s.path, FS_READ | FS_WRITE | (0 if s.stretched else FS_CREATE | FS_EXCLUSIVE), error)
    if s.handle < 0:
        if s.stretched:
            discard(w, s)
        else:
            segment_free(s)
        return NULL
    w.names_dirty = True
    if measure(w, s, error) != STATUS_OK or write_header(w, s, error) != STATUS_OK:
        discard(w, s)
        return NULL
    append_segment(w, s)
    w.segments_created += 1
    return s


cdef void log_drop_segment(wal_t* w) noexcept nogil:
    cdef segment_t* s = w.current
    cdef segment_t* before = w.oldest
    if before == s:
        w.oldest = before = NULL
    while before != NULL and before.next != s:
        before = before.next
    w.current = before
    if before != NULL:
        before.next = NULL
    discard(w, s)


cdef int log_rotate(wal_t* w, error_t* error) noexcept nogil:
    if w.current.frames == 0:
        return STATUS_OK
    return STATUS_OK if log_add_segment(w, w.drained, w.drained_seq + 1, error) != NULL else error.status


cdef void segment_stretch(wal_t* w, segment_t* s, u64 bytes) noexcept nogil:
    """Zeros ahead of the frames: a sync that changes neither size nor room of a file writes no journal."""
    cdef error_t ignored
    cdef u64 size = bytes + STRETCH if bytes + STRETCH < w.segment_bytes else w.segment_bytes
    if bytes + STRETCH_BELOW <= s.allocated or size <= s.allocated or size <= bytes:
        return
    s.stretched = True                 # also when it fails half-way
    s.allocated = size if fs_allocate(w.fs, s.handle, size, s.path, &ignored) == STATUS_OK else ~<u64>0


cdef int cut_zeros(wal_t* w, segment_t* s, error_t* error) noexcept nogil:
    """Durably: wherever there is a trailer, nothing follows it."""
    cdef int status
    if not s.stretched or s.allocated <= s.bytes:
        return STATUS_OK
    status = fs_truncate(w.fs, s.handle, s.bytes, s.path, error)
    if status == STATUS_OK:
        status = fs_sync(w.fs, s.handle, s.path, error)
    if status == STATUS_OK:
        s.stretched = False
    return status


cdef int segment_seal(wal_t* w, segment_t* s, error_t* error) noexcept nogil:
    cdef u8 trailer[FRAME_HEADER + SEAL_PAYLOAD]
    cdef size_t n = seal_encode(trailer, w.salt_crc, s.base + s.bytes - WAL_HEADER, s.last_seq, s.frames, wall_us(),
                                s.last_seq)
    cdef int status = cut_zeros(w, s, error)
    if status == STATUS_OK:
        status = fs_write(w.fs, s.handle, trailer, n, s.bytes, s.path, error)
    if status == STATUS_OK:
        s.sealed = True
    return status


# ---- from the ring into the segments

cdef u32 payload_at(const wal_t* w, u64 stream) noexcept nogil:
    """Payload bytes of the frame at `stream`; its header may wrap around the ring's end."""
    cdef u64 at = (stream + FRAME_PAYLOAD_BYTES) & w.ring_mask
    cdef u8 bytes[4]
    cdef int i
    if at + 4 <= w.ring_bytes:
        return get32(w.ring + at)
    for i in range(4):
        bytes[i] = w.ring[(at + i) & w.ring_mask]
    return get32(bytes)


cdef u64 whole_frames(const wal_t* w, u64 head, u64 limit, u64* frames) noexcept nogil:
    """Where the frames from `drained` on end that bring the segment to `limit` more bytes, or head."""
    cdef u64 at = w.drained
    frames[0] = 0
    while at < head and at - w.drained < limit:
        at += FRAME_HEADER + payload_at(w, at)
        frames[0] += 1
    return at


cdef int write_ring(wal_t* w, u64 upto, error_t* error) noexcept nogil:
    cdef segment_t* s = w.current
    cdef u64 at = w.drained & w.ring_mask
    cdef u64 n = upto - w.drained
    cdef u64 first = w.ring_bytes - at
    cdef int status
    if n <= first:
        return fs_write(w.fs, s.handle, w.ring + at, n, s.bytes, s.path, error)
    status = fs_write(w.fs, s.handle, w.ring + at, first, s.bytes, s.path, error)
    if status != STATUS_OK:
        return status
    return fs_write(w.fs, s.handle, w.ring, n - first, s.bytes + first, s.path, error)


cdef void count_written(wal_t* w, u64 n, u64 frames) noexcept nogil:
    w.current.bytes += n
    w.current.frames += frames
    w.drained_seq += frames
    w.current.last_seq = w.drained_seq
    w.drains += 1
    w.drained_bytes += n


cdef int go_on(wal_t* w, error_t* error) noexcept nogil:
    """Starts the next segment where the current one is full; goes on in it where the next cannot be had now."""
    if w.current.bytes >= w.segment_bytes and log_rotate(w, error) < 0 and error.os_error == EIO:
        return log_poison(w, error)
    return STATUS_OK


cdef int log_drain(wal_t* w, error_t* error) noexcept nogil:
    cdef u64 head = load64(&w.head)
    cdef u64 upto, limit
    cdef u64 frames = 0
    cdef int status
    if load_int(&w.state) == WAL_POISONED:
        return log_refuses(w, error)
    while w.drained < head:
        status = go_on(w, error)
        if status != STATUS_OK:
            return status
        limit = w.segment_bytes - w.current.bytes if w.segment_bytes > w.current.bytes else ~<u64>0
        upto = whole_frames(w, head, limit, &frames)
        status = write_ring(w, upto, error)
        if status == STATUS_DISK_FULL and spares_give_up(w):
            continue
        if status == STATUS_DISK_FULL:
            return status
        if status != STATUS_OK:
            return log_poison(w, error)
        count_written(w, upto - w.drained, frames)
        store64(&w.drained, upto)
    if used_up(w.drained_seq):
        store64(&w.largest, 0)         # from here on every commit is looked at, and refused
    return STATUS_OK


cdef int log_write_through(wal_t* w, const u8* frame, size_t n, error_t* error) noexcept nogil:
    cdef error_t ignored
    cdef int status = go_on(w, error)
    if status != STATUS_OK:
        return status
    status = fs_write(w.fs, w.current.handle, frame, n, w.current.bytes, w.current.path, error)
    if status == STATUS_DISK_FULL and spares_give_up(w):
        status = fs_write(w.fs, w.current.handle, frame, n, w.current.bytes, w.current.path, error)
    if status == STATUS_DISK_FULL:
        # what fitted would keep the ring from being drained
        fs_truncate(w.fs, w.current.handle, w.current.bytes, w.current.path, &ignored)
        return status
    if status != STATUS_OK:
        return log_poison(w, error)
    count_written(w, n, 1)
    return STATUS_OK
