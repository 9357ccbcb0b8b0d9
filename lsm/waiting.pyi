def refuse_to_wait(refuse: bool = True) -> bool:
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

def about_to_wait(what: str) -> None:
    """Raises WouldWaitError where this thread refuses to wait. For Python that is about to."""
