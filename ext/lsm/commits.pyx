"""The commit path: room in the log, room in the memtable, log frame, memtable, publication.

Guarantees: a commit is whole in the log before readers see it; a call that raises has changed nothing. One commit at a
time, under the database's lock; with the GIL unless the commit is large or has to wait for room.
"""
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm import errors

from lsm.core cimport (STATE_OPEN, WORK_FLUSH, ask_for, core_leave, core_lock, core_t, core_unlock, keyspace_t,
                       partition_of, partition_t, raise_state, update_pressure)
from lsm.engine cimport Engine
from lsm.failure cimport fail, set_no_memory
from lsm.memtable cimport (memtable_add, memtable_make_room, memtable_prefetch, memtable_prepare, memtable_t,
                           memtable_want)
from lsm.pthreads cimport cond_wait_us, now_us, pthread_mutex_lock
from lsm.superversions cimport freeze
from lsm.types cimport (KIND_DELETE, KIND_KEYSPACE_DROPPED, STATUS_CANCELLED, STATUS_DISK_FULL, STATUS_NO_MEMORY, STATUS_OK, STATUS_WOULD_BLOCK, error_t, get64,
                        u8, u16, u32, u64)
from lsm.waiting cimport refuses_to_wait, would_wait
from lsm.wal cimport (FRAME_HEADER, WAL_LARGE, wal_append, wal_append_large, wal_durable, wal_error, wal_make_room,
                      wal_place, wal_reserve, wal_sync_through)
from lsm.wal_changes cimport wal_change_size, wal_put_change

cdef enum:
    TIME_OFFSET = 16                   # of the commit time in a frame's header
    HOLD_GIL_BELOW = 1 << 20           # bytes of a batch that is applied without letting go of the GIL
    NANOSECONDS_AT_FULL = 60           # delay per byte just below a full stop: about 16 MB a second
    NAP_FROM_NS = 1000000
    NAP_MOST_NS = 20000000


cdef int refuse(Engine engine) except -1:
    """Raises what keeps this database from being written."""
    if engine.c.read_only:
        raise errors.ReadOnlyError(f"{engine.path} was opened with read_only=True; open it without to write")
    if isinstance(engine.failure, errors.DiskFullError):
        raise errors.DiskFullError(engine.failure.errno, "the database was opened on a full disk, for reading only; "
                                   "free some space and open it again", str(engine.path)) from engine.failure
    raise errors.PoisonedError(f"{engine.path}: writes are refused since {engine.failure!r}; reads go on; "
                               "close the database and open it again") from engine.failure


cdef int dropped() except -1:
    raise errors.KeyspaceDroppedError("this keyspace was dropped; db.keyspace(name) makes a new one")


cdef int refuse_log(Engine engine, const error_t* error) except -1:
    """The log cannot take a commit: out of space passes by itself, anything else poisons."""
    if error.status == STATUS_DISK_FULL or error.status == STATUS_NO_MEMORY or error.status == STATUS_CANCELLED:
        fail(error)
    try:
        fail(error)
    except errors.Error as cause:
        if engine.failure is None and engine.c.state == STATE_OPEN:
            engine.failure = cause
    refuse(engine)


cdef int wait_for_room(Engine engine) except -1:
    """Waits while writers are stopped, without lock or GIL, in slices so that signals are answered; the lock is free on
    return. 1: this thread is exempt, because it is the one that makes room."""
    cdef core_t* c = engine.c
    core_unlock(c)
    if any([work.owned for work in engine.exempt]):
        return 1
    core_lock(c)
    if refuses_to_wait():
        return look_for_room(c)
    return wait_stopped(engine, c)


cdef int look_for_room(core_t* c) except -1:
    """In place of waiting; under the lock on entry, free on return."""
    cdef bint stopped
    update_pressure(c)
    stopped = c.pressure >= 1000
    core_unlock(c)
    if stopped:
        would_wait("the background, which is behind with its writing")
    return 0


cdef int look_ahead(core_t* c, size_t frame_bytes, size_t user_bytes, bint sync) except -1:
    """For threads that refuse to wait, when nothing of the commit is there yet. Under the lock, free where it raises."""
    cdef str what = None
    if sync and c.wal.durable_log:
        what = "the commit to be durable"
    elif frame_bytes > c.wal.largest:
        what = "a log file to be written to"
    elif frame_bytes > HOLD_GIL_BELOW:
        what = "a large commit"
    elif c.pressure < 1000 and c.stall_debt_ns + debt_of(c, user_bytes) >= NAP_FROM_NS:
        what = "the background, which slows writers down"
    if what is not None:
        core_unlock(c)
        would_wait(what)
    return 0


cdef int wait_stopped(Engine engine, core_t* c) except -1:
    """Under the lock on entry, free on return. Signals are answered between slices, when this thread is not inside."""
    cdef u64 start
    cdef bint stopped = True
    c.stops += 1
    while True:
        start = now_us()
        c.active += 1
        if c.pressure >= 1000 and c.state == STATE_OPEN:
            with nogil:
                cond_wait_us(&c.room, &c.lock, 20000)
                update_pressure(c)
                stopped = c.pressure >= 1000
                c.stalled_us += now_us() - start
                core_leave(c)
                core_unlock(c)
        else:
            stopped = False
            core_leave(c)
            core_unlock(c)
        PyErr_CheckSignals()
        if not stopped:
            return 0
        if c.disk_full:
            raise errors.DiskFullError(28, "no space left to flush memtables; free some: writing then goes on",
                                       str(engine.path))
        if engine.failure is not None:
            refuse(engine)
        core_lock(c)


cdef int nap(core_t* c) except -1:
    """Pays back what slowed writers owe; under the lock on entry, free on return."""
    cdef u64 owed = c.stall_debt_ns
    if refuses_to_wait():              # the commit is made by now: the next one pays
        core_unlock(c)
        return 0
    if owed > NAP_MOST_NS:
        owed = NAP_MOST_NS
    c.stall_debt_ns = 0
    c.slowdowns += 1
    c.active += 1
    with nogil:
        cond_wait_us(&c.room, &c.lock, owed // 1000)
        c.stalled_us += owed // 1000
        update_pressure(c)
        core_leave(c)
        core_unlock(c)
    return 0


cdef inline u64 debt_of(const core_t* c, size_t user_bytes) noexcept nogil:
    """By the cube: a flush that ends in time costs writers little, one that does not has slowed them before it stops them."""
    return user_bytes * NANOSECONDS_AT_FULL * c.pressure // 1000 * c.pressure // 1000 * c.pressure // 1000


cdef inline bint publish(core_t* c, u64 seq, u64 time, size_t user_bytes) noexcept nogil:
    """Readers see the commit from here on. True: the writer owes a nap."""
    c.sequence = seq
    c.time = time
    c.user_bytes += user_bytes
    if c.log_step and c.wal.head > c.log_mark:
        c.log_mark = c.wal.head + c.log_step
        ask_for(c, WORK_FLUSH)
    if c.pressure == 0 and c.memtables_used * 4 < c.memtables_budget * 3:
        return False
    update_pressure(c)
    if c.frozen == 0 and c.memtables_used * 4 >= c.memtables_budget * 3:
        ask_for(c, WORK_FLUSH)
    if c.pressure == 0 or c.pressure >= 1000:
        return False
    c.stall_debt_ns += debt_of(c, user_bytes)
    return c.stall_debt_ns >= NAP_FROM_NS


cdef inline void apply_one(core_t* c, partition_t* p, u8 kind, const u8* key, u32 n, u64 h, u64 seq, u64 time,
                           const u8* value, u32 value_bytes, size_t before) noexcept nogil:
    """`before`: bytes of the memtable before room was made in it."""
    cdef memtable_t* m = p.sv.mem
    cdef u64 seen = <u64>-1
    if p.sv.refs == 1 and m.refs == 1:
        # nobody reads this memtable but by the newest state and by snapshots
        seen = c.snapshots[c.snapshot_count - 1] if c.snapshot_count else 0
    memtable_add(m, key, n, h, seq, kind, value, value_bytes, seen)
    if m.first_seq == 0:
        m.first_seq = seq
        m.first_time = time
    m.last_seq = seq
    m.last_time = time
    c.memtables_used += m.bytes - before


cdef u64 commit_one(Engine engine, keyspace_t* k, u8 kind, const u8* key, u32 n, u64 h, u64 partition_hash,
                    const u8* value, u32 value_bytes, bint sync) except 0:
    cdef core_t* c = engine.c
    cdef partition_t* p
    cdef memtable_t* m
    cdef error_t error
    cdef int status
    cdef u64 seq
    cdef u8* frame
    cdef u8* end
    cdef bint tired
    cdef size_t before
    cdef bint exempt = False
    cdef size_t size = FRAME_HEADER + wal_change_size(k.id, n, value_bytes)
    if size > c.scratch_room or (sync and c.disk_low):
        return commit_large(engine, k, kind, key, n, h, partition_hash, value, value_bytes, sync)
    while True:
        core_lock(c)
        if c.pressure >= 1000 and not exempt and not (c.disk_full and kind == KIND_DELETE):
            exempt = wait_for_room(engine)
            continue
        if k.dropped or c.read_only or engine.failure is not None:
            core_unlock(c)
            if k.dropped:
                dropped()
            refuse(engine)
        if (sync or c.pressure) and refuses_to_wait():
            look_ahead(c, size, n + value_bytes, sync)
        p = partition_of(k, partition_hash)
        m = p.sv.mem
        memtable_prefetch(m, h)
        status = wal_reserve(c.wal, size)
        if status == STATUS_OK:
            break
        if status == WAL_LARGE:
            core_unlock(c)
            return commit_large(engine, k, kind, key, n, h, partition_hash, value, value_bytes, sync)
        make_room(engine, size, status, kind == KIND_DELETE)
    frame = wal_place(c.wal, size)
    if frame == NULL:
        frame = c.scratch
    end = wal_put_change(frame + FRAME_HEADER, kind, k.id, key, n, value, value_bytes)
    before = m.bytes
    if memtable_prepare(m, n, value_bytes) != STATUS_OK:
        c.memtables_used += m.bytes - before
        core_unlock(c)
        raise MemoryError()
    seq = wal_append(c.wal, frame, end - frame, 1, 0)
    apply_one(c, p, kind, key, n, h, seq, c.wal.time, value, value_bytes, before)
    if m.bytes >= c.memtable_bytes:
        freeze(c, p)
    tired = publish(c, seq, c.wal.time, n + value_bytes)
    if tired:
        nap(c)
    else:
        core_unlock(c)
    if sync:
        wait_synced(engine, seq)
    return seq


cdef int make_room(Engine engine, size_t size, int status, bint removes) except -1:
    """After a wal_reserve that said no: waits for room without lock or GIL, or raises. The lock is free on return.

    `removes`: the commit only deletes, so on a full disk it may use the space held in reserve.
    """
    cdef core_t* c = engine.c
    cdef error_t error, refusal
    if status != STATUS_WOULD_BLOCK:
        wal_error(c.wal, &error)
        core_unlock(c)
        refuse_log(engine, &error)
    if refuses_to_wait():
        core_unlock(c)
        would_wait("room in the log")
    c.active += 1
    core_unlock(c)
    with nogil:
        status = wal_make_room(c.wal, size, &error)
        pthread_mutex_lock(&c.lock)
        core_leave(c)
        core_unlock(c)
    if status < 0 and not (removes and status == STATUS_DISK_FULL and engine.spare()):
        if wal_error(c.wal, &refusal) == STATUS_OK:
            fail(&error)               # nothing is in doubt: another commit may find room, or files to be had
        refuse_log(engine, &error)
    return 0


cdef u64 commit_large(Engine engine, keyspace_t* k, u8 kind, const u8* key, u32 n, u64 h, u64 partition_hash,
                      const u8* value, u32 value_bytes, bint sync) except 0:
    """One change whose frame is built apart."""
    cdef change_t change
    cdef size_t size = FRAME_HEADER + wal_change_size(k.id, n, value_bytes)
    cdef u8* frame = <u8*>malloc(size)
    cdef u8* end
    if frame == NULL:
        raise MemoryError()
    end = wal_put_change(frame + FRAME_HEADER, kind, k.id, key, n, value, value_bytes)
    change.keyspace = k
    change.hash = h
    change.partition_hash = partition_hash
    change.value = <size_t>(end - frame) - value_bytes
    change.key = change.value - n
    change.key_bytes = n
    change.value_bytes = value_bytes
    change.kind = kind
    try:
        return commit_many(engine, frame, end - frame, &change, 1, 0, sync)
    finally:
        free(frame)


cdef int prepare_all(core_t* c, const change_t* changes, u32 count) noexcept nogil:
    """Room in every memtable for all its changes together, so that none can fail once the frame is logged."""
    cdef u32 i
    cdef memtable_t* m
    cdef size_t before
    cdef int status = STATUS_OK
    for i in range(count):
        m = partition_of(changes[i].keyspace, changes[i].partition_hash).sv.mem
        memtable_want(m, changes[i].key_bytes, changes[i].value_bytes)
    for i in range(count):
        m = partition_of(changes[i].keyspace, changes[i].partition_hash).sv.mem
        if m.wanted_nodes == 0:
            continue
        before = m.bytes
        if memtable_make_room(m) != STATUS_OK:
            status = STATUS_NO_MEMORY  # the others are visited still: what they want is forgotten
        c.memtables_used += m.bytes - before
    return status


cdef void apply_all(core_t* c, const u8* frame, const change_t* changes, u32 count, u64 seq, u64 time) noexcept nogil:
    """Adds every change to its memtable, then freezes what is full: a batch lies in one generation per partition."""
    cdef u32 i
    cdef const change_t* x
    cdef partition_t* p
    for i in range(count):
        x = &changes[i]
        if i + 6 < count:
            p = partition_of(changes[i + 6].keyspace, changes[i + 6].partition_hash)
            memtable_prefetch(p.sv.mem, changes[i + 6].hash)
        p = partition_of(x.keyspace, x.partition_hash)
        apply_one(c, p, x.kind, frame + x.key, x.key_bytes, x.hash, seq, time, frame + x.value, x.value_bytes,
                  p.sv.mem.bytes)
    for i in range(count):
        p = partition_of(changes[i].keyspace, changes[i].partition_hash)
        if p.sv.mem.bytes >= c.memtable_bytes:
            freeze(c, p)


cdef inline bint any_dropped(const change_t* changes, u32 count) noexcept nogil:
    cdef u32 i
    for i in range(count):
        if changes[i].keyspace != NULL and changes[i].keyspace.dropped:
            return True
    return False


cdef bint only_removes(const change_t* changes, u32 count) noexcept nogil:
    cdef u32 i
    for i in range(count):
        if changes[i].kind != KIND_DELETE and changes[i].kind != KIND_KEYSPACE_DROPPED:
            return False
    return True


cdef int commit_locked(core_t* c, u8* frame, size_t frame_bytes, const change_t* changes, u32 count, u16 flags,
                       bint with_gil, bint direct, u64* seq, error_t* error) noexcept nogil:
    """Log, memtables, publication, under the lock. WOULD_BLOCK: make room first; WAL_LARGE: come without the GIL.

    `direct`: the frame is written to its segment before anything is committed, so that a full disk refuses it whole.
    """
    cdef int status
    cdef bint record = count == 1 and changes[0].keyspace == NULL      # concerns a keyspace as such: no memtable takes it
    if c.state != STATE_OPEN or any_dropped(changes, count):
        memset(error, 0, sizeof(error_t))
        error.status = STATUS_CANCELLED
        return STATUS_CANCELLED
    status = wal_reserve(c.wal, frame_bytes)
    if status == WAL_LARGE and with_gil:
        return WAL_LARGE
    if status != STATUS_OK and status != WAL_LARGE:
        if status != STATUS_WOULD_BLOCK:
            wal_error(c.wal, error)
        return status
    if not record and prepare_all(c, changes, count) != STATUS_OK:
        return set_no_memory(error)
    if status == WAL_LARGE or direct:
        status = wal_append_large(c.wal, frame, frame_bytes, count, flags, seq, error)
        if status != STATUS_OK:
            return status
    else:
        seq[0] = wal_append(c.wal, frame, frame_bytes, count, flags)
    if not record:
        apply_all(c, frame, changes, count, seq[0], get64(frame + TIME_OFFSET))
    publish(c, seq[0], get64(frame + TIME_OFFSET), frame_bytes)
    return STATUS_OK


cdef u64 commit_many(Engine engine, u8* frame, size_t frame_bytes, const change_t* changes, u32 count, u16 flags,
                     bint sync) except 0:
    cdef core_t* c = engine.c
    cdef error_t error
    cdef int status
    cdef u64 seq = 0
    cdef bint large = frame_bytes > HOLD_GIL_BELOW or (sync and c.disk_low)
    # a keyspace record takes no memory, and what only deletes makes room
    cdef bint exempt = changes[0].keyspace == NULL or (c.disk_full and only_removes(changes, count))
    cdef bint direct = sync and c.disk_low
    while True:
        core_lock(c)
        if c.pressure >= 1000 and not exempt:
            exempt = wait_for_room(engine)
            continue
        if c.read_only or engine.failure is not None or any_dropped(changes, count):
            core_unlock(c)
            if any_dropped(changes, count):
                dropped()
            refuse(engine)
        if (sync or c.pressure or large) and refuses_to_wait():
            look_ahead(c, frame_bytes, frame_bytes, sync)
        if not large:
            status = commit_locked(c, frame, frame_bytes, changes, count, flags, True, False, &seq, &error)
        else:
            c.active += 1
            core_unlock(c)
            with nogil:
                pthread_mutex_lock(&c.lock)
                status = commit_locked(c, frame, frame_bytes, changes, count, flags, False, direct, &seq, &error)
                core_leave(c)
                core_unlock(c)
        if status == STATUS_OK:
            break
        if status == STATUS_WOULD_BLOCK:
            if large:
                core_lock(c)
            make_room(engine, frame_bytes, status, only_removes(changes, count))
            continue
        if not large:
            core_unlock(c)
        if status == WAL_LARGE:
            large = True
        elif not (status == STATUS_DISK_FULL and only_removes(changes, count) and engine.spare()):
            refuse_log(engine, &error)
    if not large:
        if c.stall_debt_ns >= NAP_FROM_NS:
            nap(c)
        else:
            core_unlock(c)
    if sync and changes[0].keyspace != NULL:
        wait_synced(engine, seq)
    return seq


cdef int wait_synced(Engine engine, u64 seq) except -1:
    """Returns when commits through `seq` survive a power failure. Concurrent callers share one fsync.

    The commit is made: on a full disk the space held in reserve makes it durable.
    """
    cdef core_t* c = engine.c
    cdef error_t error
    cdef int status
    if wal_durable(c.wal) >= seq:
        return 0
    core_lock(c)
    c.active += 1
    core_unlock(c)
    with nogil:
        status = wal_sync_through(c.wal, seq, &error)
        pthread_mutex_lock(&c.lock)
        core_leave(c)
        core_unlock(c)
    if status == STATUS_DISK_FULL and engine.spare():
        return wait_synced(engine, seq)
    if status < 0:
        refuse_log(engine, &error)
    return 0


def commit_record(Engine engine, u8 kind, unsigned int keyspace, bytes key not None, bytes value not None):
    """Commits a record that concerns a keyspace as such (created, dropped); no memtable takes it. Its sequence.

    It is the caller's to wait until it is durable. Where this raises, nothing was committed.
    """
    cdef change_t change
    cdef size_t size = FRAME_HEADER + wal_change_size(keyspace, <u32>len(key), <u32>len(value))
    cdef u8* frame = <u8*>malloc(size)
    if frame == NULL:
        raise MemoryError()
    wal_put_change(frame + FRAME_HEADER, kind, keyspace, <const u8*>PyBytes_AS_STRING(key), <u32>len(key),
                   <const u8*>PyBytes_AS_STRING(value), <u32>len(value))
    memset(&change, 0, sizeof(change))
    change.kind = kind
    try:
        return commit_many(engine, frame, size, &change, 1, 0, True)
    finally:
        free(frame)
