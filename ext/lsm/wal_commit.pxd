# Committing to the log and waiting until it is durable. Callers cimport these names from lsm.wal.
from lsm.types cimport error_t, load64, u8, u16, u32, u64
from lsm.wal_state cimport wal_t

# A commit under construction: `frame` has FRAME_HEADER bytes of room in front, then the changes (wal_changes.pxd).
#
# Call order, under the database's lock: wal_reserve, then wal_append, which cannot fail. wal_reserve answers
#   STATUS_OK           append it
#   STATUS_WOULD_BLOCK  the ring has no room now: let lock and GIL go, wal_make_room, take the lock, start over
#   WAL_LARGE           not through the ring: let the GIL go, keep the lock, wal_append_large
#   STATUS_CANCELLED    the log is closed
#   another negative    the log is poisoned: wal_error tells by what
cdef int wal_reserve(wal_t* w, size_t frame_bytes) noexcept nogil
# Fills in the header (sequence = last + 1, time, durable-through mark, checksum), copies the frame to the ring, unless
# it was built there, and publishes; returns the sequence, which with the time then stands in the frame. A log without
# files only fills it in.
cdef u64 wal_append(wal_t* w, u8* frame, size_t frame_bytes, u32 changes, u16 flags) noexcept nogil
# The same by a write of its own. On failure nothing has changed, STATUS_DISK_FULL included: nothing was committed.
cdef int wal_append_large(wal_t* w, u8* frame, size_t frame_bytes, u32 changes, u16 flags, u64* seq,
                          error_t* error) noexcept nogil
# Drains until a frame of that size fits; without the GIL or the lock. STATUS_DISK_FULL: nothing is lost, try later.
cdef int wal_make_room(wal_t* w, size_t frame_bytes, error_t* error) noexcept nogil
# Commits up to `seq` survive a power failure on return. Joins a running fsync where that serves. Without GIL or lock.
cdef int wal_sync_through(wal_t* w, u64 seq, error_t* error) noexcept nogil
# Lets the log's thread do that and waits at most `timeout_us`; 1: durable, 0: not yet, negative: STATUS_* with `error`.
cdef int wal_wait_durable(wal_t* w, u64 seq, u64 timeout_us, error_t* error) noexcept nogil
# Why the log takes no commits: fills `error` and returns its status, STATUS_OK where it does.
cdef int wal_error(wal_t* w, error_t* error) noexcept nogil


cdef inline u8* wal_place(const wal_t* w, size_t frame_bytes) noexcept nogil:
    """Where the frame that wal_reserve said OK to may be built, to be copied no more; NULL: it would wrap around."""
    cdef u64 at = w.head & w.ring_mask
    return w.ring + at if w.ring != NULL and at + frame_bytes <= w.ring_bytes else NULL


cdef inline u64 wal_last(wal_t* w) noexcept nogil:
    return load64(&w.last)


cdef inline u64 wal_durable(wal_t* w) noexcept nogil:
    return load64(&w.durable) if w.durable_log else load64(&w.last)


cdef inline u64 wal_time(wal_t* w) noexcept nogil:
    """Commit time of the last commit, microseconds since 1970. Under the database's lock."""
    return w.time
