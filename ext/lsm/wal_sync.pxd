# Making the log durable, by the caller or by the log's own thread.
from lsm.types cimport error_t, u64
from lsm.wal_state cimport wal_t

# As wal_sync_through, also while the log is being closed.
cdef int log_sync_through(wal_t* w, u64 seq, error_t* error) noexcept nogil
cdef int log_wait_durable(wal_t* w, u64 seq, u64 timeout_us, error_t* error) noexcept nogil
# 0 or an errno.
cdef int log_start_thread(wal_t* w) noexcept nogil
cdef void log_stop_thread(wal_t* w) noexcept nogil
# A round of syncing whether commits ask for one or not: finished segments are sealed on return.
cdef int log_seal(wal_t* w, error_t* error) noexcept nogil
