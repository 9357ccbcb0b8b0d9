"""The operations of a simulated file system: counted, traced, refused as planned, and over once the power has failed.

Guarantees: each takes the one mutex once and never waits under it; after the crash every call answers ESHUTDOWN and
changes nothing, but that a handle closes and a mapping goes. Any thread.
"""
from libc.errno cimport EBADF, EEXIST, EINVAL, EISDIR, EMFILE, ENOENT, ENOMEM, ENOSPC
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset, strlen

from lsm.filesystem cimport (FS_ABSENT, FS_CREATE, FS_DIRECTORY, FS_EXCLUSIVE, FS_READ, FS_TRUNCATE, FS_WRITE,
                             fs_name_t)
from lsm.memory_names cimport PATH_ROOM, normalize
from lsm.simulated_disk cimport (disk_add, disk_collect, disk_copy, disk_kind, disk_list, disk_look, disk_rename,
                                 disk_sync, disk_sync_dir, disk_truncate, disk_unlink, disk_used, disk_write,
                                 name_find, name_t, node_map, node_unmap)
from lsm.types cimport u8

cdef extern from "<errno.h>" nogil:
    enum:
        ENOTSUP
        ESHUTDOWN
        EWOULDBLOCK

cdef enum:
    COPY_MAX = 1 << 18                # one call transfers no more
    HANDLES_MAX = 1 << 20
    CALLS_MOST = 1 << 20              # of the trace
    PROCEED = 0
    PRETEND = 1


# ---- every call begins and ends here

cdef void copy_end(char* to, const char* path) noexcept nogil:
    cdef size_t n = strlen(path)
    if n >= TRACED_NAME:
        path += n - TRACED_NAME + 1
        n = TRACED_NAME - 1
    memcpy(to, path, n)
    to[n] = 0


cdef void trace(simulation_t* s, int kind, const char* name, u64 offset, u64 n) noexcept nogil:
    """Calls that change, sync, open or close; nothing where memory runs out."""
    cdef u64 room
    cdef void* moved
    cdef call_t* call
    if s.call_count == s.call_room:
        room = s.call_room * 2 if s.call_room > 0 else 256
        moved = realloc(s.calls, room * sizeof(call_t)) if room <= CALLS_MOST else NULL
        if moved == NULL:
            return
        s.calls = <call_t*>moved
        s.call_room = room
    call = &s.calls[s.call_count]
    s.call_count += 1
    call.number = s.changes
    call.kind = kind
    call.result = 0
    call.offset = offset
    call.n = n
    copy_end(call.name, name)


cdef void keep_moment(simulation_t* s) noexcept nogil:
    cdef u64 room
    cdef void* moved
    cdef moment_t* moment
    if s.moment_count >= s.moments_most:
        return
    if s.moment_count == s.moment_room:
        room = s.moment_room * 2 if s.moment_room > 0 else 64
        moved = realloc(s.moments, room * sizeof(moment_t))
        if moved == NULL:
            return
        s.moments = <moment_t*>moved
        s.moment_room = room
    moment = &s.moments[s.moment_count]
    moment.number = s.changes
    moment.note = s.note
    moment.traced = s.call_count
    moment.disk = disk_copy(s.disk)
    s.moment_count += 1 if moment.disk != NULL else 0


cdef int refusal(simulation_t* s, u64 mask, u64* most, bint* halves) noexcept nogil:
    """What the plan says of a call: PROCEED, PRETEND or -errno; every fault that counts the call counts it."""
    cdef int verdict = PROCEED
    cdef fault_t* f
    cdef int i
    for i in range(FAULTS):
        f = &s.faults[i]
        if f.mask & mask == 0 or f.count == 0:
            continue
        if f.skip > 0:
            f.skip -= 1
            continue
        f.count -= 1
        if verdict != PROCEED:
            continue
        if f.most > 0:
            most[0] = f.most if f.most < most[0] else most[0]
        else:
            verdict = -f.os_error if f.os_error != 0 else PRETEND
            halves[0] = f.halves
    return verdict


cdef int begin(simulation_t* s, u64 mask, const char* name, u64 offset, u64* n, bint* halves) noexcept nogil:
    """PROCEED, PRETEND or -errno. The call that is the last proceeds, and learns from `ended` that it was."""
    cdef int i
    cdef int verdict
    if s.off:
        return -ESHUTDOWN
    for i in range(KINDS):
        s.counts[i] += (mask >> i) & 1
    if mask & (1 << CHANGE):
        if disk_look(s.disk) < 0:
            return -ENOMEM
        if s.every > 0 and s.changes % s.every == 0:
            keep_moment(s)
        s.changes += 1
    verdict = refusal(s, mask, n, halves)
    if mask & (1 << CHANGE | 1 << OPEN | 1 << MAP):
        trace(s, lowest(mask), name, offset, n[0])
        if verdict < 0 and s.call_count > 0:
            s.calls[s.call_count - 1].result = verdict
    return verdict


cdef int lowest(u64 mask) noexcept nogil:
    """The kind that says most: create rather than open."""
    cdef int kind = 0
    if mask & (1 << CREATE):
        return CREATE
    while not mask & (<u64>1 << kind):
        kind += 1
    return kind


cdef i64 ended(simulation_t* s, i64 r) noexcept nogil:
    """Ends a call that changed something without syncing it: what the last one did is on its way to the disk, or not."""
    if s.crash_at > 0 and s.changes >= s.crash_at:
        s.off = True
        r = -ESHUTDOWN
    return unlocked(s, r)


cdef i64 ends(simulation_t* s, i64 r) noexcept nogil:
    """Before a sync: the last call syncs nothing for sure."""
    if s.crash_at > 0 and s.changes >= s.crash_at:
        s.off = True
        return -ESHUTDOWN
    return r


cdef i64 answered(simulation_t* s, int verdict) noexcept nogil:
    return unlocked(s, 0 if verdict == PRETEND else verdict)


# ---- handles

cdef handle_t* handle_of(simulation_t* s, int handle, int flags) noexcept nogil:
    if handle < 0 or handle >= s.handle_room or s.handles[handle].node == NULL:
        return NULL
    return &s.handles[handle] if s.handles[handle].flags & flags == flags else NULL


cdef int handle_new(simulation_t* s, node_t* node, int flags, const char* path) noexcept nogil:
    cdef int i = 0
    cdef int room
    cdef void* moved
    while i < s.handle_room and s.handles[i].node != NULL:
        i += 1
    if i == s.handle_room:
        if s.handle_room >= HANDLES_MAX:
            return -EMFILE
        room = s.handle_room * 2 if s.handle_room > 0 else 16
        moved = realloc(s.handles, room * sizeof(handle_t))
        if moved == NULL:
            return -ENOMEM
        s.handles = <handle_t*>moved
        memset(s.handles + s.handle_room, 0, (room - s.handle_room) * sizeof(handle_t))
        s.handle_room = room
    s.handles[i].node = node
    s.handles[i].flags = flags if flags & FS_WRITE else flags | FS_READ
    copy_end(s.handles[i].name, path)
    node.opens += 1
    return i


# ---- the operations: each takes the mutex once

cdef int check_open(simulation_t* s, name_t* found, const char* path, int flags) noexcept nogil:
    if found == NULL:
        if disk_kind(s.disk, path) == FS_DIRECTORY:
            return -EISDIR
        return 0 if flags & FS_CREATE else -ENOENT
    if flags & FS_CREATE and flags & FS_EXCLUSIVE:
        return -EEXIST
    return -EISDIR if found.node.directory else 0


cdef int opened(simulation_t* s, name_t* found, const char* path, int flags) noexcept nogil:
    cdef node_t* node
    cdef int r = 0
    if found == NULL:
        if s.disk.capacity > 0 and disk_used(s.disk) >= s.disk.capacity:
            return -ENOSPC
        node = disk_add(s.disk, path, False, False)
        if node == NULL:
            return -ENOMEM
    else:
        node = found.node
        if flags & FS_TRUNCATE:
            r = disk_truncate(s.disk, node, 0)
    return r if r < 0 else handle_new(s, node, flags, path)


cdef int sim_open(void* ctx, const char* path, int flags) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef simulation_t* s
    cdef name_t* found
    cdef u64 mask = 1 << OPEN
    cdef u64 n = 0
    cdef bint halves = False
    if r < 0:
        return r
    s = locked(ctx)
    found = name_find(s.disk.names, name)
    r = check_open(s, found, name, flags)
    if r == 0 and found == NULL:
        mask |= 1 << CREATE | 1 << ALLOCATE | 1 << CHANGE
    elif r == 0 and flags & FS_TRUNCATE and found.node.now.size > 0:
        mask |= 1 << CHANGE
    n = begin(s, mask, name, 0, &n, &halves)
    if <int>n != PROCEED:
        return <int>unlocked(s, -EBADF if <int>n == PRETEND else <int>n)
    if r == 0:
        r = opened(s, found, name, flags)
    return <int>(ended(s, r) if mask & (1 << CHANGE) else unlocked(s, r))


cdef int sim_close(void* ctx, int handle) noexcept nogil:
    """The handle goes also where the call fails, and when the machine is off."""
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, 0)
    cdef node_t* node
    cdef u64 n = 0
    cdef bint halves = False
    cdef int verdict
    if h == NULL:
        return <int>unlocked(s, -EBADF)
    node = h.node
    h.node = NULL
    if node.holder == handle + 1:
        node.holder = 0
    node.opens -= 1
    verdict = PROCEED if s.off else begin(s, 1 << CLOSE, h.name, 0, &n, &halves)
    if node.opens == 0 and not s.off:
        disk_collect(s.disk)
    return <int>answered(s, verdict)


cdef i64 sim_pread(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, FS_READ)
    cdef u64 most = n if n < COPY_MAX else COPY_MAX
    cdef bint halves = False
    cdef int verdict
    if h == NULL:
        return unlocked(s, -EBADF)
    verdict = begin(s, 1 << READ, h.name, offset, &most, &halves)
    if verdict != PROCEED:
        return answered(s, verdict)
    if offset >= h.node.now.size:
        return unlocked(s, 0)
    most = most if most < h.node.now.size - offset else h.node.now.size - offset
    memcpy(buffer, h.node.now.bytes + offset, most)
    return unlocked(s, <i64>most)


cdef i64 sim_pwrite(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, FS_WRITE)
    cdef u64 most = n if n < COPY_MAX else COPY_MAX
    cdef u64 mask = 1 << WRITE | 1 << CHANGE
    cdef bint halves = False
    cdef int verdict
    if h == NULL:
        return unlocked(s, -EBADF)
    if most > h.node.now.size or offset > h.node.now.size - most:
        mask |= 1 << ALLOCATE
    verdict = begin(s, mask, h.name, offset, &most, &halves)
    if verdict < 0 and halves and most > 1:
        disk_write(s.disk, h.node, <const u8*>buffer, most // 2, offset)
    if verdict != PROCEED:
        return unlocked(s, <i64>most if verdict == PRETEND else verdict)
    return ended(s, disk_write(s.disk, h.node, <const u8*>buffer, most, offset))


cdef int sim_sync(void* ctx, int handle) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, 0)
    cdef u64 n = 0
    cdef bint halves = False
    cdef int r
    if h == NULL:
        return <int>unlocked(s, -EBADF)
    r = begin(s, 1 << SYNC | 1 << CHANGE, h.name, 0, &n, &halves)
    if r != PROCEED:
        return <int>answered(s, r)
    r = <int>ends(s, 0)
    return <int>unlocked(s, r if r < 0 else disk_sync(s.disk, h.node))


cdef int sim_truncate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, FS_WRITE)
    cdef u64 mask = 1 << TRUNCATE | 1 << CHANGE
    cdef u64 n = size
    cdef bint halves = False
    cdef int r
    if h == NULL:
        return <int>unlocked(s, -EBADF if handle_of(s, handle, 0) == NULL else -EINVAL)
    if size > h.node.now.size:
        mask |= 1 << ALLOCATE
    r = begin(s, mask, h.name, size, &n, &halves)
    if r != PROCEED:
        return <int>answered(s, r)
    return <int>ended(s, disk_truncate(s.disk, h.node, size))


cdef int sim_allocate(void* ctx, int handle, u64 size) noexcept nogil:
    """As a truncate that makes the file longer; a file that is as long already stays as it is."""
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, FS_WRITE)
    cdef bint enough = h != NULL and size <= h.node.now.size
    unlocked(s, 0)
    return 0 if enough else sim_truncate(ctx, handle, size)


cdef i64 sim_size(void* ctx, int handle) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, 0)
    cdef u64 n = 0
    cdef bint halves = False
    cdef int r
    if h == NULL:
        return unlocked(s, -EBADF)
    r = begin(s, 1 << SIZE, h.name, 0, &n, &halves)
    if r < 0:
        return unlocked(s, r)
    return unlocked(s, <i64>h.node.now.size)


cdef void* sim_map(void* ctx, int handle, size_t n) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, 0)
    cdef u64 size = n
    cdef bint halves = False
    cdef void* address = NULL
    if h != NULL and begin(s, 1 << MAP | 1 << ALLOCATE, h.name, 0, &size, &halves) == PROCEED:
        if 0 < n <= h.node.now.size:
            address = node_map(h.node, n)
    unlocked(s, 0)
    return address


cdef int sim_unmap(void* ctx, void* address, size_t n) noexcept nogil:
    """What was stored until now is still on its way to the disk."""
    cdef simulation_t* s = locked(ctx)
    cdef node_t* node = s.disk.nodes
    if not s.off:
        disk_look(s.disk)
    while node != NULL and (node.maps == 0 or node.now.bytes != address):
        node = node.next
    if node == NULL:
        return <int>unlocked(s, -EINVAL)
    node_unmap(node)
    if not s.off:
        disk_collect(s.disk)
    return <int>unlocked(s, 0)


cdef int sim_unlink(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef simulation_t* s
    cdef u64 n = 0
    cdef bint halves = False
    if r < 0:
        return r
    s = locked(ctx)
    r = begin(s, 1 << UNLINK | 1 << CHANGE, name, 0, &n, &halves)
    return <int>(answered(s, r) if r != PROCEED else ended(s, disk_unlink(s.disk, name)))


cdef int sim_rename(void* ctx, const char* old, const char* new) noexcept nogil:
    cdef char old_name[PATH_ROOM]
    cdef char new_name[PATH_ROOM]
    cdef int r = normalize(old, old_name)
    cdef simulation_t* s
    cdef u64 n = 0
    cdef bint halves = False
    if r == 0:
        r = normalize(new, new_name)
    if r < 0:
        return r
    s = locked(ctx)
    r = begin(s, 1 << RENAME | 1 << CHANGE, new_name, 0, &n, &halves)
    return <int>(answered(s, r) if r != PROCEED else ended(s, disk_rename(s.disk, old_name, new_name)))


cdef int made(simulation_t* s, const char* name) noexcept nogil:
    if disk_kind(s.disk, name) != FS_ABSENT:
        return -EEXIST
    return 0 if disk_add(s.disk, name, True, False) != NULL else -ENOMEM


cdef int sim_mkdir(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef simulation_t* s
    cdef u64 n = 0
    cdef bint halves = False
    if r < 0:
        return r
    s = locked(ctx)
    r = begin(s, 1 << MKDIR | 1 << ALLOCATE | 1 << CHANGE, name, 0, &n, &halves)
    return <int>(answered(s, r) if r != PROCEED else ended(s, made(s, name)))


cdef int sim_sync_dir(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef simulation_t* s
    cdef u64 n = 0
    cdef bint halves = False
    if r < 0:
        return r
    s = locked(ctx)
    r = begin(s, 1 << SYNC_DIR | 1 << CHANGE, name, 0, &n, &halves)
    if r != PROCEED:
        return <int>answered(s, r)
    r = <int>ends(s, 0)
    return <int>unlocked(s, r if r < 0 else disk_sync_dir(s.disk, name))


cdef int sim_lock(void* ctx, int handle) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef handle_t* h = handle_of(s, handle, 0)
    cdef u64 n = 0
    cdef bint halves = False
    cdef int r
    if h == NULL:
        return <int>unlocked(s, -EBADF)
    r = begin(s, 1 << LOCK, h.name, 0, &n, &halves)
    if r == PROCEED:
        if h.node.holder == 0 or h.node.holder == handle + 1:
            h.node.holder = handle + 1
        else:
            r = -EWOULDBLOCK
    return <int>answered(s, r)


cdef int sim_kind(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef simulation_t* s
    cdef u64 n = 0
    cdef bint halves = False
    if r < 0:
        return FS_ABSENT if r == -ENOENT else r
    s = locked(ctx)
    r = begin(s, 1 << KIND, name, 0, &n, &halves)
    return <int>unlocked(s, r if r < 0 else disk_kind(s.disk, name))


cdef int sim_list(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef simulation_t* s
    cdef u64 n = 0
    cdef bint halves = False
    if r < 0:
        return r
    s = locked(ctx)
    r = begin(s, 1 << LIST, name, 0, &n, &halves)
    return <int>unlocked(s, r if r < 0 else disk_list(s.disk, name, each, sink))


cdef i64 sim_free_bytes(void* ctx, const char* path) noexcept nogil:
    cdef simulation_t* s = locked(ctx)
    cdef u64 n = 0
    cdef u64 used
    cdef bint halves = False
    cdef int r = begin(s, 1 << FREE_BYTES, b"", 0, &n, &halves)
    if r < 0:
        return unlocked(s, r)
    if s.disk.capacity == 0:
        return unlocked(s, -ENOTSUP)
    used = disk_used(s.disk)
    return unlocked(s, <i64>(s.disk.capacity - used) if used < s.disk.capacity else 0)


cdef void simulated_operations(fs_ops_t* ops, simulation_t* s) noexcept nogil:
    ops.ctx = s
    ops.open = sim_open
    ops.close = sim_close
    ops.pread = sim_pread
    ops.pread_nowait = sim_pread
    ops.pwrite = sim_pwrite
    ops.sync = sim_sync
    ops.truncate = sim_truncate
    ops.allocate = sim_allocate
    ops.size = sim_size
    ops.map = sim_map
    ops.unmap = sim_unmap
    ops.unlink = sim_unlink
    ops.rename = sim_rename
    ops.mkdir = sim_mkdir
    ops.sync_dir = sim_sync_dir
    ops.lock = sim_lock
    ops.kind = sim_kind
    ops.list = sim_list
    ops.free_bytes = sim_free_bytes
