"""The setting of threads that nothing may keep waiting, such as one that runs an event loop.

Guarantees: it is the calling thread's alone, and off where it was never set. Asked by whatever is about to wait, and
only there. Any thread; `refuses_to_wait` with or without GIL and locks.
"""
from lsm import errors

cdef extern from *:
    """
    static _Thread_local int lsm_refuses;
    static inline int lsm_get_refuses(void) { return lsm_refuses; }
    static inline void lsm_set_refuses(int refuse) { lsm_refuses = refuse; }
    """
    bint get_refuses "lsm_get_refuses"() nogil
    void set_refuses "lsm_set_refuses"(bint refuse) nogil


cdef bint refuses_to_wait() noexcept nogil:
    return get_refuses()


cdef int would_wait(str what) except -1:
    raise errors.WouldWaitError(f"this would wait for {what}; repeat the call in a thread that may wait")


def refuse_to_wait(bint refuse=True):
    """From here on whatever would keep this thread waiting raises WouldWaitError instead; False: it waits again.

    For a thread that runs an event loop: it tries a call, and where that raises repeats it in another thread. Returns
    what the setting was; it is of the calling thread alone.

    A read raises where a block is not in memory, neither in the cache nor in the operating system's; a scan also where
    it would have to order many keys first; a write where writers are slowed or stopped, where the log has no room, with
    `sync=True`, and where it has more than 1 MiB or half of wal_ring_bytes; the rest of the database where it reads or
    writes files: opening, closing, creating and dropping keyspaces, flush, compact, settle, sync, stats, and
    wait_durable of what is not durable yet (with a timeout of 0 it answers False). Nothing has changed then: no part of
    a batch was committed, and a scan goes on where it was, in whatever thread steps it next. (What was used up is an
    argument that is an iterator: give put_many and get_many lists.)

    Locks that other threads hold for microseconds are waited for. Where kernel or file system cannot tell whether a
    read would wait for the disk, it is read. A database that is forgotten is closed, and that waits.
    """
    cdef bint before = get_refuses()
    set_refuses(refuse)
    return before


def about_to_wait(str what not None):
    """Raises WouldWaitError where this thread refuses to wait. For Python that is about to."""
    if get_refuses():
        would_wait(what)
