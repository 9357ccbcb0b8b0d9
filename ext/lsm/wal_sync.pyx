"""Durability: drain, fsync, publish, wake; one fsync serves everyone who waits. And the thread that does it unasked.

Guarantees: `durable` is published only after the fsync of every segment up to it and of the directory; a failed fsync
is final. Takes sync, then drain, then signal; the thread is native and never takes the GIL.
"""
from lsm.filesystem cimport fs_sync, fs_sync_dir
from lsm.pthreads cimport (cond_wait_us, now_us, pthread_cond_broadcast, pthread_cond_signal, pthread_cond_wait,
                           pthread_join, pthread_mutex_lock, pthread_mutex_unlock, thread_start)
from lsm.types cimport STATUS_DISK_FULL, STATUS_OK, load64, load_int, put64, store64, store_int
from lsm.wal_format cimport RING_MARK, RING_MARK_INVERTED
from lsm.wal_segments cimport log_drain, segment_close, segment_seal, segment_stretch
from lsm.wal_signals cimport log_notify, log_poison, log_refuses
from lsm.wal_state cimport WAL_POISONED, fence, segment_t

from libc.string cimport memcpy

cdef enum:                            # what the thread finds to do
    NOTHING = 0
    DRAIN = 1
    SYNC = 2

cdef enum:
    RETRY_US = 100000                 # how soon the thread tries a full disk again


# ---- one round

cdef int sync_segments(wal_t* w, segment_t* last, error_t* error) noexcept nogil:
    """Everything that `last` and the finished segments before it held when it was chosen. Under sync."""
    cdef segment_t* s = w.oldest
    cdef int status
    while s != NULL:
        if not s.durable:
            status = fs_sync(w.fs, s.handle, s.path, error)
            if status != STATUS_OK:
                return status
            w.fsyncs += 1
            s.durable = s != last
        if s == last:
            break
        s = s.next
    return STATUS_OK


cdef int seal_segments(wal_t* w, segment_t* last, error_t* error) noexcept nogil:
    """Trailers for the durable segments before `last`. Under sync. A full disk leaves them for the next time."""
    cdef segment_t* s = w.oldest
    cdef int status
    while s != last:
        if s.durable and not s.sealed:
            status = segment_seal(w, s, error)
            if status == STATUS_DISK_FULL:
                return STATUS_OK
            if status != STATUS_OK:
                return status
            segment_close(w, s)
        s = s.next
    return STATUS_OK


cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef enum:
    PATIENCE = 4                       # a share of the last fsync's time
    PATIENCE_MOST_US = 500
    SHARED_COMMITS_MOST = 256          # more than so many at once are not those of waiting threads
    SMALL_ROUNDS = 8                   # so many in a row: somebody syncs all the time


cdef void publish_durable(wal_t* w, u64 seq) noexcept nogil:
    """The mark first: no frame may carry a durable-through that the ring does not know."""
    if w.ring_page != NULL:
        put64(w.ring_page + RING_MARK, seq)
        put64(w.ring_page + RING_MARK_INVERTED, ~seq)
    store64(&w.durable, seq)
    log_notify(w)


cdef int sync_round(wal_t* w, error_t* error) noexcept nogil:
    """Under sync."""
    cdef segment_t* last
    cdef u64 seq, bytes
    cdef bint names
    cdef int status
    pthread_mutex_lock(&w.drain_lock)
    status = log_drain(w, error)
    seq = w.drained_seq
    last = w.current
    bytes = last.bytes
    names = w.names_dirty
    w.names_dirty = False
    pthread_mutex_unlock(&w.drain_lock)
    if status != STATUS_OK:
        if names:
            pthread_mutex_lock(&w.drain_lock)
            w.names_dirty = True
            pthread_mutex_unlock(&w.drain_lock)
        return status
    if w.small_rounds >= SMALL_ROUNDS:
        segment_stretch(w, last, bytes)
    status = sync_segments(w, last, error)
    if status == STATUS_OK and names:
        status = fs_sync_dir(w.fs, w.directory, error)
    if status == STATUS_OK:
        publish_durable(w, seq)
        status = seal_segments(w, last, error)
    return STATUS_OK if status == STATUS_OK else log_poison(w, error)


cdef int log_sync_through(wal_t* w, u64 seq, error_t* error) noexcept nogil:
    """One caller at a time leads a round; the others sleep until it is over, and wake all at once.

    Not by queueing on sync_lock: a mutex lets its waiters go one after the other, so late ones would miss the next round.
    """
    cdef int status = STATUS_OK
    if not w.durable_log or load64(&w.durable) >= seq:
        return STATUS_OK
    pthread_mutex_lock(&w.signal_lock)
    while load64(&w.durable) < seq and status == STATUS_OK:
        if w.led:
            pthread_cond_wait(&w.moved, &w.signal_lock)
            continue
        w.led = True
        pthread_mutex_unlock(&w.signal_lock)
        status = lead_round(w, seq, error)
        pthread_mutex_lock(&w.signal_lock)
        w.led = False
        pthread_cond_broadcast(&w.moved)
    pthread_mutex_unlock(&w.signal_lock)
    return status


cdef int lead_round(wal_t* w, u64 seq, error_t* error) noexcept nogil:
    cdef int status = STATUS_OK
    pthread_mutex_lock(&w.sync_lock)
    if load64(&w.durable) < seq:
        if load_int(&w.state) == WAL_POISONED:
            status = log_refuses(w, error)
        else:
            status = shared_round(w, error)
    pthread_mutex_unlock(&w.sync_lock)
    return status


cdef int shared_round(wal_t* w, error_t* error) noexcept nogil:
    """Those whom the last fsync let go are about to commit again: waiting a fraction of an fsync for them saves one."""
    cdef u64 before = load64(&w.durable)
    cdef u64 start = now_us()
    cdef u64 patience = w.round_us // PATIENCE if w.round_us // PATIENCE < PATIENCE_MOST_US else PATIENCE_MOST_US
    cdef int status
    if 1 < w.round_commits <= SHARED_COMMITS_MOST:
        while load64(&w.last) - before < w.round_commits and now_us() - start < patience:
            sched_yield()
    start = now_us()
    status = sync_round(w, error)
    w.round_us = now_us() - start
    w.round_commits = load64(&w.durable) - before
    w.small_rounds = w.small_rounds + 1 if w.round_commits <= SHARED_COMMITS_MOST else 0
    return status


cdef int log_seal(wal_t* w, error_t* error) noexcept nogil:
    cdef int status = STATUS_OK
    pthread_mutex_lock(&w.sync_lock)
    if load_int(&w.state) == WAL_POISONED:
        status = log_refuses(w, error)
    elif w.begun:
        status = sync_round(w, error)
    pthread_mutex_unlock(&w.sync_lock)
    return status


# ---- waiting

cdef int log_wait_durable(wal_t* w, u64 seq, u64 timeout_us, error_t* error) noexcept nogil:
    cdef u64 deadline = now_us() + timeout_us
    cdef u64 now, attempts
    cdef int result = 0
    if not w.durable_log or load64(&w.durable) >= seq:
        return 1
    pthread_mutex_lock(&w.signal_lock)
    attempts = w.attempts
    if w.wanted < seq:
        w.wanted = seq if seq < load64(&w.last) else load64(&w.last)
    store_int(&w.asleep, 0)
    pthread_cond_signal(&w.wake)
    while True:
        if load64(&w.durable) >= seq:
            result = 1
            break
        if w.failure.status != STATUS_OK:
            memcpy(error, &w.failure, sizeof(error_t))
            result = error.status
            break
        # who does not wait asks how it stands; who waits is told of an attempt that knew what is wanted
        if (timeout_us == 0 or w.attempts != attempts) and w.refusal.status != STATUS_OK:
            memcpy(error, &w.refusal, sizeof(error_t))
            result = error.status
            break
        now = now_us()
        if now >= deadline or w.stop:
            break
        cond_wait_us(&w.moved, &w.signal_lock, deadline - now)
    pthread_mutex_unlock(&w.signal_lock)
    return result


# ---- the thread

cdef int find_work(wal_t* w) noexcept nogil:
    cdef u64 durable = load64(&w.durable)
    if load_int(&w.state) == WAL_POISONED:
        return NOTHING
    if w.wanted > durable or (w.follow and load64(&w.last) > durable):
        return SYNC
    if load64(&w.head) - load64(&w.drained) >= w.wake_at:
        return DRAIN
    return NOTHING


cdef int wait_for_work(wal_t* w) noexcept nogil:
    """NOTHING: the log is being closed."""
    cdef int work = NOTHING
    pthread_mutex_lock(&w.signal_lock)
    while not w.stop:
        # Said before looking, so that a commit that the look misses finds the thread asleep.
        store_int(&w.asleep, 1)
        fence()
        if w.waits_for_room:
            cond_wait_us(&w.wake, &w.signal_lock, RETRY_US)
            w.waits_for_room = False
            continue
        work = find_work(w)
        if work != NOTHING:
            break
        pthread_cond_wait(&w.wake, &w.signal_lock)
    store_int(&w.asleep, 0)
    if w.stop:
        work = NOTHING
    pthread_mutex_unlock(&w.signal_lock)
    return work


cdef int do_work(wal_t* w, int work, error_t* error) noexcept nogil:
    cdef int status
    if work == SYNC:
        return log_sync_through(w, load64(&w.last), error)
    pthread_mutex_lock(&w.drain_lock)
    status = log_drain(w, error)
    pthread_mutex_unlock(&w.drain_lock)
    return status


cdef void* run(void* argument) noexcept nogil:
    cdef wal_t* w = <wal_t*>argument
    cdef error_t error
    cdef int work, status
    while True:
        work = wait_for_work(w)
        if work == NOTHING:
            return NULL
        status = do_work(w, work, &error)
        pthread_mutex_lock(&w.signal_lock)
        w.waits_for_room = status != STATUS_OK
        if work == SYNC:
            w.attempts += 1
            w.refusal.status = STATUS_OK
            if status != STATUS_OK:
                memcpy(&w.refusal, &error, sizeof(error_t))
                pthread_cond_broadcast(&w.moved)
        pthread_mutex_unlock(&w.signal_lock)


cdef int log_start_thread(wal_t* w) noexcept nogil:
    cdef int status = thread_start(&w.thread, run, w)
    w.thread_runs = status == 0
    return status


cdef void log_stop_thread(wal_t* w) noexcept nogil:
    pthread_mutex_lock(&w.signal_lock)
    w.stop = True
    store_int(&w.asleep, 0)
    pthread_cond_signal(&w.wake)
    pthread_cond_broadcast(&w.moved)
    pthread_mutex_unlock(&w.signal_lock)
    if w.thread_runs:
        pthread_join(w.thread, NULL)
    w.thread_runs = False
