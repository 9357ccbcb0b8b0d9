# The beginning and the end of an open log: its memory, its ring, its first segment; closing it, leaving it behind.
from lsm.filesystem cimport fs_ops_t
from lsm.types cimport error_t, i64, u64
from lsm.wal_state cimport segment_t, wal_t

# Zeroed but for locks, lists and identity; NULL: out of memory. `fs` NULL: a log without files.
cdef wal_t* log_new(const fs_ops_t* fs, const char* directory, u64 epoch, u64 last_seq, u64 last_time,
                    u64 ring_bytes) noexcept nogil
# Thread, ring and first segment, before the first commit; nothing where they are there. Not under the database's lock.
# On failure nothing of it counts, and another call tries anew, unless the log is poisoned.
cdef int log_begin(wal_t* w, error_t* error) noexcept nogil
# Everything durable, the last segment sealed, the ring gone. On failure the log is left as by log_leave.
cdef int log_close(wal_t* w, error_t* error) noexcept nogil
# As if the process had been killed: files stay as they are for recovery.
cdef void log_leave(wal_t* w) noexcept nogil
# In a forked child: lets go of mapping and descriptors, touches no lock, no thread and no file.
cdef void log_abandon(wal_t* w) noexcept nogil
cdef void log_free(wal_t* w, bint with_locks) noexcept nogil
# Removes finished, sealed segments up to `seq`, oldest first, each durably before the next; with `spares` the files of
# some are kept for segments to come. How many, or a status.
cdef i64 log_release(wal_t* w, u64 seq, bint spares, error_t* error) noexcept nogil
# A copy of the list for the caller to free; NULL: out of memory.
cdef segment_t* log_list(wal_t* w, u64* count) noexcept nogil
