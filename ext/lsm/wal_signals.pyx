"""Sleeping, waking and refusing: what committers, the log's thread and those who wait for durability tell each other.

Guarantees: no wake-up is lost, a poisoned log stays so. Any thread, GIL or not; takes only the signal lock.
"""
from libc.string cimport memcpy, memset

from lsm.pthreads cimport pthread_cond_broadcast, pthread_cond_signal, pthread_mutex_lock, pthread_mutex_unlock
from lsm.types cimport STATUS_CANCELLED, STATUS_OK, load_int, store_int
from lsm.wal_state cimport WAL_CLOSED, WAL_OPEN, WAL_POISONED

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <sys/eventfd.h>
    static inline int lsm_event_open(int* reader, int* writer) {
        *reader = *writer = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return *reader < 0 ? -errno : 0;
    }
    #else
    static inline int lsm_event_open(int* reader, int* writer) {
        int ends[2], i;
        if (pipe(ends) < 0) return -errno;
        for (i = 0; i < 2; i++) {
            fcntl(ends[i], F_SETFD, FD_CLOEXEC);
            fcntl(ends[i], F_SETFL, fcntl(ends[i], F_GETFL) | O_NONBLOCK);
        }
        *reader = ends[0];
        *writer = ends[1];
        return 0;
    }
    #endif
    /* A full pipe or counter is readable already. */
    static inline void lsm_event_raise(int writer, int same) {
        unsigned long long one = 1;
        ssize_t n;
        do n = write(writer, &one, same ? 8 : 1); while (n < 0 && errno == EINTR);
    }
    """
    int event_open "lsm_event_open"(int* reader, int* writer) nogil
    void event_raise "lsm_event_raise"(int writer, int same) nogil
    int os_close "close"(int fd) nogil


cdef void log_wake(wal_t* w) noexcept nogil:
    pthread_mutex_lock(&w.signal_lock)
    if w.asleep:
        store_int(&w.asleep, 0)
        pthread_cond_signal(&w.wake)
    pthread_mutex_unlock(&w.signal_lock)


cdef void log_notify(wal_t* w) noexcept nogil:
    pthread_mutex_lock(&w.signal_lock)
    pthread_cond_broadcast(&w.moved)
    if w.event_write >= 0:
        event_raise(w.event_write, w.event_write == w.event_read)
    pthread_mutex_unlock(&w.signal_lock)


cdef int log_poison(wal_t* w, const error_t* error) noexcept nogil:
    cdef int status
    pthread_mutex_lock(&w.signal_lock)
    if w.failure.status == STATUS_OK:
        memcpy(&w.failure, error, sizeof(error_t))
    status = w.failure.status
    store_int(&w.state, WAL_POISONED)
    pthread_mutex_unlock(&w.signal_lock)
    log_notify(w)
    return status


cdef int log_refuses(wal_t* w, error_t* error) noexcept nogil:
    if load_int(&w.state) == WAL_OPEN:
        return STATUS_OK
    pthread_mutex_lock(&w.signal_lock)
    if w.failure.status != STATUS_OK:
        memcpy(error, &w.failure, sizeof(error_t))
    else:
        memset(error, 0, sizeof(error_t))
        error.status = STATUS_CANCELLED
    pthread_mutex_unlock(&w.signal_lock)
    return error.status


cdef int log_event_open(wal_t* w) noexcept nogil:
    cdef int status = 0
    pthread_mutex_lock(&w.signal_lock)
    if w.event_read < 0:
        status = event_open(&w.event_read, &w.event_write)
    pthread_mutex_unlock(&w.signal_lock)
    return status


cdef void log_event_close(wal_t* w) noexcept nogil:
    """Without the lock: only its owner, when no thread of the log runs (a forked child has no other)."""
    if w.event_read >= 0:
        os_close(w.event_read)
        if w.event_write != w.event_read:
            os_close(w.event_write)
    w.event_read = w.event_write = -1
