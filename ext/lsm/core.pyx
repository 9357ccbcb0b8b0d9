"""The core of an open database: its lock, what the background is asked for, and pressure on writers.

Guarantees: whoever holds the lock waits for neither a disk nor the GIL; a thread that holds the GIL only tries the lock.
"""
from lsm import errors

from lsm.pthreads cimport (mutex_lock_within, pthread_cond_broadcast, pthread_mutex_lock, pthread_mutex_trylock,
                           pthread_mutex_unlock)
from lsm.types cimport u32, u64
from lsm.waiting cimport BRIEF_US, refuses_to_wait, would_wait


# ---- the lock

cdef int raise_state(core_t* c) except -1:
    if c.state == STATE_FORKED:
        raise errors.ForkedError("this database was opened in the parent process; open it anew in this one")
    raise errors.ClosedError("the database is closed; open it again to use it")


cdef int await_lock(core_t* c) except -1:
    """Without the GIL. A large commit, or the ordering of a large memtable, is no brief wait."""
    cdef bint brief = True
    with nogil:
        if refuses_to_wait():
            brief = mutex_lock_within(&c.lock, BRIEF_US)
        else:
            pthread_mutex_lock(&c.lock)
        if brief:
            pthread_mutex_unlock(&c.lock)
    if not brief:
        would_wait("a large commit, or other long work in memory")
    return 0


cdef int core_lock(core_t* c) except -1:
    while pthread_mutex_trylock(&c.lock) != 0:
        if c.state == STATE_FORKED:
            raise_state(c)
        await_lock(c)
    if c.state != STATE_OPEN:
        pthread_mutex_unlock(&c.lock)
        raise_state(c)
    return 0


cdef int core_lock_quietly(core_t* c) noexcept:
    while pthread_mutex_trylock(&c.lock) != 0:
        if c.state == STATE_FORKED:
            return 0
        with nogil:
            pthread_mutex_lock(&c.lock)
            pthread_mutex_unlock(&c.lock)
    return 1


cdef void core_unlock(core_t* c) noexcept nogil:
    pthread_mutex_unlock(&c.lock)


cdef void core_leave(core_t* c) noexcept nogil:
    c.active -= 1
    if c.active == 0:
        pthread_cond_broadcast(&c.idle)


cdef void ask_for(core_t* c, u32 work) noexcept nogil:
    if (c.work & work) != work:
        c.work |= work
        pthread_cond_broadcast(&c.work_ready)


# ---- pressure on writers

cdef void update_pressure(core_t* c) noexcept nogil:
    """0 to 1000 from the fuller of: memtables (three quarters of their budget to all of it), level 0."""
    cdef u64 soft = c.memtables_budget // 4 * 3
    cdef u64 pressure = 0
    cdef u64 tables
    c.pressure_reason = 0
    if c.memtables_used > soft and c.frozen > 0:
        pressure = (c.memtables_used - soft) * 1000 // (c.memtables_budget - soft)
        c.pressure_reason = 1
    if c.most_tables > c.slow_tables:
        tables = 1000
        if c.most_tables < c.stop_tables:
            tables = (c.most_tables - c.slow_tables) * 1000 // (c.stop_tables - c.slow_tables)
        if tables > pressure:
            pressure = tables
            c.pressure_reason = 2
    if pressure < 1000 <= c.pressure:
        pthread_cond_broadcast(&c.room)
    c.pressure = <u32>pressure if pressure < 1000 else 1000


cdef void count_tables(core_t* c) noexcept nogil:
    """The most level-0 tables any partition has; every reader of it looks into each of them."""
    cdef u32 i, j, n
    cdef u32 most = 0
    for i in range(c.keyspace_room):
        if c.keyspaces[i] == NULL or c.keyspaces[i].dropped:
            continue
        for j in range(c.keyspaces[i].partition_count):
            if c.keyspaces[i].partitions[j] == NULL:
                continue
            n = c.keyspaces[i].partitions[j].sv.start[1]
            most = n if n > most else most
    c.most_tables = most
