# Who waits for whom in the log: the thread's sleep, the waiters for durability, the descriptor, the poison.
# Every function takes the signal lock for a few instructions.
from lsm.types cimport error_t, u64
from lsm.wal_state cimport wal_t

# Calls the log's thread, if it sleeps.
cdef void log_wake(wal_t* w) noexcept nogil
# Durable advanced, or will not: wakes every waiter and the descriptor.
cdef void log_notify(wal_t* w) noexcept nogil
# Keeps the first failure for ever; returns its status.
cdef int log_poison(wal_t* w, const error_t* error) noexcept nogil
# Why the log takes no commits, STATUS_OK where it does.
cdef int log_refuses(wal_t* w, error_t* error) noexcept nogil
# Opens the descriptor; 0 or -errno.
cdef int log_event_open(wal_t* w) noexcept nogil
cdef void log_event_close(wal_t* w) noexcept nogil
