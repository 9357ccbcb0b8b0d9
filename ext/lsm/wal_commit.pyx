"""Committing to the log: a frame is copied into a shared-mapped ring and is done; files and disks are others' work.

Guarantees: sequences and times in commit order, a frame is visible to the drainer whole or not at all, no system call
and no waiting on the way (but for frames larger than half the ring). Committing: under the database's lock.
"""
from libc.errno cimport EFBIG, EOVERFLOW
from libc.string cimport memcpy

from lsm.failure cimport set_io_error
from lsm.pthreads cimport pthread_mutex_lock, pthread_mutex_unlock
from lsm.types cimport STATUS_OK, STATUS_WOULD_BLOCK, load64, load_int, put32, store64
from lsm.wal_format cimport FRAME_CRC, frame_crc, frame_header_encode
from lsm.wal_opening cimport log_begin
from lsm.wal_segments cimport log_drain, log_write_through
from lsm.wal_signals cimport log_refuses, log_wake
from lsm.wal_state cimport WAL_LARGE, WAL_MAX_FRAME, WAL_OPEN, fence, used_up, wall_us
from lsm.wal_sync cimport log_sync_through, log_wait_durable

cdef int wal_reserve(wal_t* w, size_t frame_bytes) noexcept nogil:
    cdef error_t error
    if load_int(&w.state) != WAL_OPEN:
        return log_refuses(w, &error)
    if frame_bytes > load64(&w.largest):
        return WAL_LARGE if load_int(&w.begun) else STATUS_WOULD_BLOCK
    if w.ring != NULL and w.head + frame_bytes - load64(&w.drained) > w.ring_bytes:
        return STATUS_WOULD_BLOCK
    return STATUS_OK


cdef inline u64 commit_time(const wal_t* w) noexcept nogil:
    cdef u64 now = wall_us()
    return now if now > w.time else w.time


cdef inline void copy_to_ring(wal_t* w, const u8* frame, size_t n) noexcept nogil:
    cdef u64 at = w.head & w.ring_mask
    cdef u64 first = w.ring_bytes - at
    if frame == w.ring + at:
        return
    if n <= first:
        memcpy(w.ring + at, frame, n)
    else:
        memcpy(w.ring + at, frame, first)
        memcpy(w.ring, frame + first, n - first)


cdef u64 wal_append(wal_t* w, u8* frame, size_t frame_bytes, u32 changes, u16 flags) noexcept nogil:
    cdef u64 seq = w.last + 1
    cdef u64 head = w.head + frame_bytes
    w.time = commit_time(w)
    w.frame_count += 1
    frame_header_encode(frame, frame_bytes, seq, w.time, load64(&w.durable), w.origin, flags, changes)
    if w.ring == NULL:
        store64(&w.head, head)
        store64(&w.last, seq)
        if used_up(seq):
            w.largest = 0
        return seq
    put32(frame + FRAME_CRC, frame_crc(w.salt_crc, w.head, frame, frame_bytes))
    copy_to_ring(w, frame, frame_bytes)
    store64(&w.head, head)
    store64(&w.last, seq)
    if w.follow:
        # The thread says that it sleeps and then looks; with the fence one of the two sees the other.
        fence()
        if load_int(&w.asleep):
            log_wake(w)
    elif head - load64(&w.drained) >= w.wake_at and load_int(&w.asleep):
        log_wake(w)
    return seq


cdef int wal_append_large(wal_t* w, u8* frame, size_t frame_bytes, u32 changes, u16 flags, u64* seq,
                          error_t* error) noexcept nogil:
    cdef u64 time = commit_time(w)
    cdef int status
    if used_up(w.last):
        return set_io_error(error, EOVERFLOW, b"the sequence numbers of this epoch are used up; open the database anew",
                            w.directory)
    if frame_bytes > WAL_MAX_FRAME:
        return set_io_error(error, EFBIG, b"a commit of more than 1 GiB", w.directory)
    pthread_mutex_lock(&w.drain_lock)
    status = log_refuses(w, error)
    if status == STATUS_OK:
        status = log_drain(w, error)
    if status == STATUS_OK:
        frame_header_encode(frame, frame_bytes, w.last + 1, time, load64(&w.durable), w.origin, flags, changes)
        put32(frame + FRAME_CRC, frame_crc(w.salt_crc, w.head, frame, frame_bytes))
        status = log_write_through(w, frame, frame_bytes, error)
    if status == STATUS_OK:
        w.time = time
        w.frame_count += 1
        w.large_frames += 1
        seq[0] = w.last + 1
        store64(&w.head, w.head + frame_bytes)
        store64(&w.drained, w.head)
        store64(&w.last, seq[0])
    pthread_mutex_unlock(&w.drain_lock)
    if status == STATUS_OK and w.follow:
        fence()
        if load_int(&w.asleep):
            log_wake(w)
    return status


cdef int wal_make_room(wal_t* w, size_t frame_bytes, error_t* error) noexcept nogil:
    cdef int status = STATUS_OK
    if not load_int(&w.begun):
        return log_begin(w, error)
    if w.ring == NULL:
        return STATUS_OK
    pthread_mutex_lock(&w.drain_lock)
    w.stalls += 1
    # Somebody may have drained while this waited for the lock.
    if load64(&w.head) + frame_bytes - w.drained > w.ring_bytes:
        status = log_drain(w, error)
    pthread_mutex_unlock(&w.drain_lock)
    return status


cdef int wal_error(wal_t* w, error_t* error) noexcept nogil:
    return log_refuses(w, error)


cdef int wal_sync_through(wal_t* w, u64 seq, error_t* error) noexcept nogil:
    cdef int status
    if wal_durable(w) >= seq:
        return STATUS_OK
    status = log_refuses(w, error)
    return status if status != STATUS_OK else log_sync_through(w, seq, error)


cdef int wal_wait_durable(wal_t* w, u64 seq, u64 timeout_us, error_t* error) noexcept nogil:
    cdef int status
    if wal_durable(w) >= seq:
        return 1
    status = log_refuses(w, error)
    return status if status != STATUS_OK else log_wait_durable(w, seq, timeout_us, error)
