"""The beginning and the end of a log: ring, first segment and thread before the first commit; close, release, abandon.

Guarantees: the ring is mapped only after every byte of it was written, so touching it never fails for lack of space.
But for `log_begin`, which any committer calls, by the log's owner, one at a time; takes the log's locks in their order.
"""
from libc.errno cimport EMFILE, ENFILE, ENOENT
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strdup, strlen

from lsm.failure cimport set_io_error, set_no_memory
from lsm.filesystem cimport (FS_CREATE, FS_EXCLUSIVE, FS_READ, FS_WRITE, fs_close, fs_open, fs_sync, fs_sync_dir,
                             fs_unlink, fs_write)
from lsm.pthreads cimport (pthread_cond_destroy, pthread_cond_init, pthread_mutex_destroy, pthread_mutex_init,
                           pthread_mutex_lock, pthread_mutex_unlock)
from lsm.types cimport STATUS_DISK_FULL, STATUS_NO_MEMORY, STATUS_OK, load64, store64, store_int, u8
from lsm.wal_format cimport header_t, ring_header_encode, salt_state
from lsm.wal_segments cimport log_add_segment, log_drop_segment, segment_close, segment_free, segment_seal
from lsm.wal_signals cimport log_event_close, log_poison, log_refuses
from lsm.wal_spares cimport spare_add, spare_keep, spare_remove, spare_wanted, spares_shrink
from lsm.wal_state cimport RING_HEADER, WAL_CLOSED, WAL_OPEN, WAL_POISONED, wall_us
from lsm.wal_sync cimport log_start_thread, log_stop_thread, log_sync_through

cdef enum:
    ZEROS = 65536                     # written at a time


# ---- memory

cdef wal_t* log_new(const fs_ops_t* fs, const char* directory, u64 epoch, u64 last_seq, u64 last_time,
                    u64 ring_bytes) noexcept nogil:
    cdef wal_t* w = <wal_t*>calloc(1, sizeof(wal_t))
    cdef size_t room = strlen(directory) + 16
    if w == NULL:
        return NULL
    w.directory = strdup(directory)
    w.ring_path = <char*>malloc(room)
    if w.directory == NULL or w.ring_path == NULL:
        free(w.directory)
        free(w.ring_path)
        free(w)
        return NULL
    snprintf(w.ring_path, room, b"%s/wal.ring", directory)
    w.fs = fs
    w.durable_log = fs != NULL
    w.begun = not w.durable_log
    w.ring_handle = w.event_read = w.event_write = -1
    w.epoch = epoch
    w.last = w.durable = w.drained_seq = last_seq
    w.opening_first = last_seq + 1
    w.time = last_time
    w.largest = 0 if w.durable_log else ~<u64>0
    w.ring_bytes = ring_bytes
    w.ring_mask = ring_bytes - 1
    w.wake_at = ring_bytes // 4
    pthread_mutex_init(&w.drain_lock, NULL)
    pthread_mutex_init(&w.sync_lock, NULL)
    pthread_mutex_init(&w.release_lock, NULL)
    pthread_mutex_init(&w.signal_lock, NULL)
    pthread_cond_init(&w.wake, NULL)
    pthread_cond_init(&w.moved, NULL)
    return w


cdef void log_free(wal_t* w, bint with_locks) noexcept nogil:
    cdef segment_t* s
    if with_locks:
        pthread_mutex_destroy(&w.drain_lock)
        pthread_mutex_destroy(&w.sync_lock)
        pthread_mutex_destroy(&w.release_lock)
        pthread_mutex_destroy(&w.signal_lock)
        pthread_cond_destroy(&w.wake)
        pthread_cond_destroy(&w.moved)
    while w.oldest != NULL:
        s = w.oldest
        w.oldest = s.next
        segment_free(s)
    if w.leftover != NULL:
        segment_free(w.leftover)
    free(w.directory)
    free(w.ring_path)
    free(w)


# ---- the ring

cdef int write_ring_file(wal_t* w, error_t* error) noexcept nogil:
    """Real zeros, every one of them: a hole would be filled on first touch, and a full disk then is SIGBUS."""
    cdef u8* zeros = <u8*>calloc(1, ZEROS)
    cdef header_t h
    cdef u64 total = RING_HEADER + w.ring_bytes
    cdef u64 at = 0
    cdef u64 n
    cdef int status = STATUS_OK
    if zeros == NULL:
        return set_no_memory(error)
    while at < total and status == STATUS_OK:
        n = total - at if total - at < ZEROS else ZEROS
        status = fs_write(w.fs, w.ring_handle, zeros, n, at, w.ring_path, error)
        at += n
    if status == STATUS_OK:
        memset(&h, 0, sizeof(h))
        memcpy(h.database_id, w.database_id, 16)
        h.epoch = w.epoch
        h.salt = w.salt
        h.created = wall_us()
        h.opening_first = w.opening_first
        h.ring_bytes = w.ring_bytes
        ring_header_encode(zeros, &h)
        status = fs_write(w.fs, w.ring_handle, zeros, RING_HEADER, 0, w.ring_path, error)
    free(zeros)
    return status


cdef void close_ring(wal_t* w) noexcept nogil:
    cdef error_t ignored
    if w.ring_page != NULL:
        w.fs.unmap(w.fs.ctx, w.ring_page, RING_HEADER + w.ring_bytes)
    if w.ring_handle >= 0:
        fs_close(w.fs, w.ring_handle, w.ring_path, &ignored)
    w.ring = w.ring_page = NULL
    store64(&w.largest, 0)
    w.ring_handle = -1


cdef int open_ring(wal_t* w, error_t* error) noexcept nogil:
    """Where no mapping is to be had, or no room, the log works without: each frame is written as it is committed."""
    cdef error_t ignored
    cdef int status
    fs_unlink(w.fs, w.ring_path, &ignored)         # of an attempt before this one
    w.ring_handle = fs_open(w.fs, w.ring_path, FS_READ | FS_WRITE | FS_CREATE | FS_EXCLUSIVE, error)
    if w.ring_handle < 0:
        return STATUS_OK if error.status == STATUS_DISK_FULL else error.status
    w.names_dirty = True
    status = write_ring_file(w, error)
    if status == STATUS_OK:
        w.ring_page = <u8*>w.fs.map(w.fs.ctx, w.ring_handle, RING_HEADER + w.ring_bytes)
    if w.ring_page != NULL:
        w.ring = w.ring_page + RING_HEADER
        return STATUS_OK
    close_ring(w)
    if status == STATUS_OK or status == STATUS_DISK_FULL:
        return fs_unlink(w.fs, w.ring_path, error)
    fs_unlink(w.fs, w.ring_path, &ignored)
    return status


# ---- the beginning

cdef int sync_inherited(wal_t* w, error_t* error) noexcept nogil:
    """The trailer of the opening before: a killed process leaves it in the cache, and ours is read as what follows it."""
    cdef error_t ignored
    cdef int status = STATUS_OK
    cdef int handle
    if w.current == NULL:
        return STATUS_OK
    handle = fs_open(w.fs, w.current.path, FS_READ | FS_WRITE, error)
    if handle < 0:
        return error.status
    if fs_sync(w.fs, handle, w.current.path, error) != STATUS_OK:
        status = log_poison(w, error)
    fs_close(w.fs, handle, w.current.path, &ignored)
    return status


cdef int make_files(wal_t* w, error_t* error) noexcept nogil:
    cdef int status = open_ring(w, error)
    if status == STATUS_OK and log_add_segment(w, 0, w.opening_first, error) == NULL:
        status = error.status
        drop_ring(w)
    return status


cdef void drop_ring(wal_t* w) noexcept nogil:
    cdef error_t ignored
    if w.ring != NULL:
        close_ring(w)
        fs_unlink(w.fs, w.ring_path, &ignored)


cdef int sync_names(wal_t* w, error_t* error) noexcept nogil:
    """Without a descriptor for the directory nothing was synced, and nothing is in doubt: the files go again."""
    if fs_sync_dir(w.fs, w.directory, error) == STATUS_OK:
        w.names_dirty = False
        return STATUS_OK
    if error.os_error != EMFILE and error.os_error != ENFILE:
        return log_poison(w, error)
    pthread_mutex_lock(&w.drain_lock)
    log_drop_segment(w)
    drop_ring(w)
    pthread_mutex_unlock(&w.drain_lock)
    return error.status


cdef int begin(wal_t* w, error_t* error) noexcept nogil:
    """A power failure may take all commits of an opening. That it began must stay: their sequences were given."""
    cdef int status = STATUS_OK
    w.salt_crc = salt_state(w.salt)
    if not w.thread_runs:
        status = log_start_thread(w)
        if status != 0:
            return set_io_error(error, status, b"cannot start the log's thread", w.directory)
    status = sync_inherited(w, error)
    if status != STATUS_OK:
        return status
    pthread_mutex_lock(&w.drain_lock)
    status = make_files(w, error)
    pthread_mutex_unlock(&w.drain_lock)
    if status == STATUS_OK:
        status = sync_names(w, error)
    if status != STATUS_OK:
        return status
    store_int(&w.begun, 1)
    if w.ring != NULL:
        store64(&w.largest, w.ring_bytes // 2)
    return STATUS_OK


cdef int log_begin(wal_t* w, error_t* error) noexcept nogil:
    cdef int status
    pthread_mutex_lock(&w.sync_lock)
    status = log_refuses(w, error)
    if status == STATUS_OK and not w.begun:
        status = begin(w, error)
    pthread_mutex_unlock(&w.sync_lock)
    return status


# ---- the end

cdef void let_go(wal_t* w) noexcept nogil:
    cdef segment_t* s = w.oldest
    close_ring(w)
    while s != NULL:
        segment_close(w, s)
        s = s.next
    log_event_close(w)


cdef void log_leave(wal_t* w) noexcept nogil:
    log_stop_thread(w)
    if w.state == WAL_OPEN:
        store_int(&w.state, WAL_CLOSED)
    let_go(w)


cdef void log_abandon(wal_t* w) noexcept nogil:
    w.state = WAL_CLOSED
    w.thread_runs = False
    let_go(w)


cdef int finish(wal_t* w, error_t* error) noexcept nogil:
    """The trailer says that all before it is durable, and must itself be so before a later opening relies on it."""
    cdef segment_t* s = w.current
    cdef int status = segment_seal(w, s, error)
    if status == STATUS_OK:
        status = fs_sync(w.fs, s.handle, s.path, error)
    if status == STATUS_OK and w.ring != NULL:
        status = fs_unlink(w.fs, w.ring_path, error)
    if status == STATUS_OK:
        status = fs_sync_dir(w.fs, w.directory, error)
    return status


cdef int log_close(wal_t* w, error_t* error) noexcept nogil:
    cdef int status = STATUS_OK
    log_stop_thread(w)
    spares_shrink(w, True)
    if w.durable_log and w.begun and w.state == WAL_OPEN:
        status = log_sync_through(w, load64(&w.last), error)
        if status == STATUS_OK:
            status = finish(w, error)
    log_leave(w)
    return status


# ---- segments as others see them

cdef segment_t* log_list(wal_t* w, u64* count) noexcept nogil:
    cdef segment_t* s
    cdef segment_t* out
    cdef u64 n = 0
    pthread_mutex_lock(&w.drain_lock)
    s = w.oldest
    while s != NULL:
        n += 1
        s = s.next
    out = <segment_t*>calloc(n + 1, sizeof(segment_t))
    count[0] = n
    s = w.oldest
    n = 0
    while s != NULL and out != NULL:
        out[n] = s[0]
        n += 1
        s = s.next
    pthread_mutex_unlock(&w.drain_lock)
    return out


cdef segment_t* releasable(wal_t* w, u64 seq) noexcept nogil:
    cdef segment_t* s
    pthread_mutex_lock(&w.drain_lock)
    s = w.oldest
    if s == NULL or s == w.current or not s.sealed or s.last_seq > seq:
        s = NULL
    pthread_mutex_unlock(&w.drain_lock)
    return s


cdef int give_up(wal_t* w, const segment_t* s, bint* kept, error_t* error) noexcept nogil:
    """The segment's name goes, durably; its file too, or it is kept as a spare."""
    cdef int status
    kept[0] = kept[0] and spare_keep(w, s, error) == STATUS_OK
    status = STATUS_OK if kept[0] else fs_unlink(w.fs, s.path, error)
    # it went in an attempt whose sync failed
    if status == STATUS_OK or error.os_error == ENOENT:
        status = fs_sync_dir(w.fs, w.directory, error)
    if kept[0] and status != STATUS_OK:
        spare_remove(w, s.number)
    return status


cdef i64 log_release(wal_t* w, u64 seq, bint spares, error_t* error) noexcept nogil:
    """A hole in the row of segments would read as lost commits, so no file goes before the one in front is gone."""
    cdef segment_t* s
    cdef i64 removed = 0
    cdef bint kept
    cdef int status = STATUS_OK
    pthread_mutex_lock(&w.release_lock)
    while True:
        s = releasable(w, seq)
        if s == NULL:
            break
        kept = spares and spare_wanted(w, s)
        status = give_up(w, s, &kept, error)
        if status != STATUS_OK:
            break
        pthread_mutex_lock(&w.sync_lock)
        pthread_mutex_lock(&w.drain_lock)
        w.oldest = s.next
        if kept:
            spare_add(w, s.number)
        pthread_mutex_unlock(&w.drain_lock)
        pthread_mutex_unlock(&w.sync_lock)
        segment_close(w, s)
        segment_free(s)
        w.segments_released += 1
        removed += 1
    pthread_mutex_unlock(&w.release_lock)
    return removed if status == STATUS_OK else status
