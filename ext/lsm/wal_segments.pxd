# The file side of the log: whole frames move from the ring into segment files. Everything under the drain lock.
from lsm.types cimport error_t, u8, u64
from lsm.wal_state cimport segment_t, wal_t

# Every published frame into the segments. STATUS_DISK_FULL: frames stay in the ring, nothing is lost, try again;
# any other failure has poisoned the log.
cdef int log_drain(wal_t* w, error_t* error) noexcept nogil
# One frame at the head of the stream, past the ring; also under the database's lock. On failure nothing has changed.
cdef int log_write_through(wal_t* w, const u8* frame, size_t n, error_t* error) noexcept nogil
# Finishes the current segment by creating the next, unless it is empty. Failures leave the current one in use.
cdef int log_rotate(wal_t* w, error_t* error) noexcept nogil
# A segment at the end of the list; NULL and `error` where it cannot be created.
cdef segment_t* log_add_segment(wal_t* w, u64 base, u64 first_seq, error_t* error) noexcept nogil
# The newest one goes again, file and all, before it holds a frame.
cdef void log_drop_segment(wal_t* w) noexcept nogil
# One of an earlier opening: only counted and removed. STATUS_OK or STATUS_NO_MEMORY.
cdef int log_inherit_segment(wal_t* w, u64 number, u64 first_seq, u64 last_seq, u64 bytes) noexcept nogil
# The trailer of a segment all of whose frames are durable.
cdef int segment_seal(wal_t* w, segment_t* s, error_t* error) noexcept nogil
# Room ahead of `bytes`, for a log that is synced all the time; under sync, without drain. Failing is no harm.
cdef void segment_stretch(wal_t* w, segment_t* s, u64 bytes) noexcept nogil
cdef void segment_close(wal_t* w, segment_t* s) noexcept nogil
cdef void segment_free(segment_t* s) noexcept nogil
