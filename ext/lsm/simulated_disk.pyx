"""A disk with a cache above it, for simulated power failures: what is durable, what is only cached, and what changed.

Guarantees: every change between two syncs is kept, in order, those stored through mappings too (as of when last looked
at). Called under the lock of the file system that owns the disk.
"""
from libc.errno cimport EEXIST, EFBIG, EISDIR, ENOENT, ENOMEM, ENOSPC, ENOTDIR
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset, strchr, strcmp, strdup, strlen, strrchr
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

from lsm.filesystem cimport FS_ABSENT, FS_DIRECTORY, FS_FILE
from lsm.memory_names cimport PATH_ROOM, below, child_of, is_root

cdef u64 SIZE_MAX_BYTES = <u64>1 << 32
cdef u64 PINNED_ROOM = <u64>1 << 26   # how far a mapped file may grow: addresses, not memory


# ---- images

cdef void image_free(image_t* image) noexcept nogil:
    if image.pinned:
        munmap(image.bytes, image.room)
    else:
        free(image.bytes)
    memset(image, 0, sizeof(image_t))


cdef int image_room(image_t* image, u64 size) noexcept nogil:
    cdef u64 room
    cdef void* moved
    if size <= image.room:
        return 0
    if image.pinned:
        return -EFBIG
    room = image.room * 2 if image.room * 2 > size else size
    moved = realloc(image.bytes, room)
    if moved == NULL:
        return -ENOMEM
    image.bytes = <u8*>moved
    memset(image.bytes + image.room, 0, room - image.room)
    image.room = room
    return 0


cdef int image_set(image_t* image, u64 size) noexcept nogil:
    cdef int r = image_room(image, size)
    if r < 0:
        return r
    if size < image.size:
        memset(image.bytes + size, 0, image.size - size)
    image.size = size
    return 0


cdef int image_put(image_t* image, const u8* source, u64 n, u64 offset) noexcept nogil:
    cdef int r = image_room(image, offset + n)
    if r < 0:
        return r
    if n > 0:
        memcpy(image.bytes + offset, source, n)
    if offset + n > image.size:
        image.size = offset + n
    return 0


cdef int image_copy(image_t* to, const image_t* source) noexcept nogil:
    return image_put(to, source.bytes, source.size, 0)


cdef int image_apply(image_t* image, const change_t* c) noexcept nogil:
    if c.sets_length:
        return image_set(image, c.offset)
    return image_put(image, c.bytes, c.n, c.offset)


# ---- changes of a file

cdef void changes_forget(node_t* node) noexcept nogil:
    cdef change_t* c
    while node.first != NULL:
        c = node.first
        node.first = c.next
        free(c)
    node.last = NULL
    node.change_count = 0


cdef int change_add(node_t* node, bint sets_length, const u8* source, u64 n, u64 offset, u64 entry) noexcept nogil:
    cdef change_t* c = <change_t*>malloc(sizeof(change_t) + n)
    if c == NULL:
        return -ENOMEM
    c.next = NULL
    c.sets_length = sets_length
    c.offset = offset
    c.n = n
    c.entry = entry
    c.bytes = <u8*>c + sizeof(change_t)
    if n > 0:
        memcpy(c.bytes, source, n)
    if node.last != NULL:
        node.last.next = c
    else:
        node.first = c
    node.last = c
    node.change_count += 1
    return 0


# ---- mappings

cdef u8* node_map(node_t* node, u64 n) noexcept nogil:
    """The bytes move once, to where they can stay while the file grows."""
    cdef u64 room = ((node.now.size + 4095) & ~<u64>4095) + PINNED_ROOM
    cdef void* address
    cdef u8* seen
    if n > node.mapped:
        seen = <u8*>realloc(node.seen, n)
        if seen == NULL:
            return NULL
        node.seen = seen
    if not node.now.pinned:
        address = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if address == MAP_FAILED:
            return NULL
        memcpy(address, node.now.bytes, node.now.size)
        free(node.now.bytes)
        node.now.bytes = <u8*>address
        node.now.room = room
        node.now.pinned = True
    if n > node.mapped:
        memcpy(node.seen + node.mapped, node.now.bytes + node.mapped, n - node.mapped)
        node.mapped = n
    node.maps += 1
    return node.now.bytes


cdef void node_unmap(node_t* node) noexcept nogil:
    """The pinned bytes stay where they are until the file goes; only looking at them ends."""
    node.maps -= 1
    if node.maps == 0:
        free(node.seen)
        node.seen = NULL
        node.mapped = 0


cdef int node_look(node_t* node) noexcept nogil:
    cdef u64 at = 0
    cdef u64 n
    cdef int r
    if node.mapped == 0:
        return 0
    while at < node.mapped:
        n = PIECE if node.mapped - at > PIECE else node.mapped - at
        if memcmp(node.seen + at, node.now.bytes + at, n) != 0:
            memcpy(node.seen + at, node.now.bytes + at, n)
            r = change_add(node, False, node.seen + at, n, at, 0)
            if r < 0:
                return r
        at += n
    return 0


cdef int disk_look(disk_t* d) noexcept nogil:
    cdef node_t* node = d.nodes
    cdef int r = 0
    while node != NULL and r == 0:
        r = node_look(node)
        node = node.next
    return r


cdef void see(node_t* node, u64 offset, u64 n) noexcept nogil:
    """What was written, not stored, is in the list of changes already."""
    if offset < node.mapped:
        n = n if n < node.mapped - offset else node.mapped - offset
        memcpy(node.seen + offset, node.now.bytes + offset, n)


# ---- names

cdef name_t* name_find(name_t* names, const char* path) noexcept nogil:
    while names != NULL and strcmp(names.path, path) != 0:
        names = names.next
    return names


cdef void name_drop(name_t** names, const char* path) noexcept nogil:
    cdef name_t* found
    while names[0] != NULL and strcmp(names[0].path, path) != 0:
        names = &names[0].next
    found = names[0]
    if found != NULL:
        names[0] = found.next
        free(found.path)
        free(found)


cdef int name_add(name_t** names, const char* path, node_t* node) noexcept nogil:
    cdef name_t* found = name_find(names[0], path)
    if found != NULL:
        found.node = node
        return 0
    found = <name_t*>calloc(1, sizeof(name_t))
    if found == NULL:
        return -ENOMEM
    found.path = strdup(path)
    if found.path == NULL:
        free(found)
        return -ENOMEM
    found.node = node
    found.next = names[0]
    names[0] = found
    return 0


cdef int names_apply(name_t** names, const entry_t* e) noexcept nogil:
    if e.kind == NAME_LINKED:
        return name_add(names, e.path, e.node)
    if e.kind == NAME_REMOVED or e.kind == NAME_MOVED:
        name_drop(names, e.path)
    if e.kind == NAME_MOVED:
        return name_add(names, e.other, e.node)
    return 0


cdef void names_free(name_t** names) noexcept nogil:
    while names[0] != NULL:
        name_drop(names, names[0].path)


cdef bint lies_directly_in(const char* path, const char* directory) noexcept nogil:
    cdef const char* rest = below(path, directory)
    return rest != NULL and strchr(rest, c"/") == NULL


cdef bint same_directory(const char* a, const char* b) noexcept nogil:
    cdef const char* end_a = strrchr(a, c"/")
    cdef const char* end_b = strrchr(b, c"/")
    if end_a == NULL or end_b == NULL:
        return end_a == end_b
    return end_a - a == end_b - b and memcmp(a, b, end_a - a) == 0


cdef int disk_kind(disk_t* d, const char* path) noexcept nogil:
    """A directory is what was made as one, and what a file lies in."""
    cdef name_t* found = name_find(d.names, path)
    if found != NULL:
        return FS_DIRECTORY if found.node.directory else FS_FILE
    if is_root(path):
        return FS_DIRECTORY
    found = d.names
    while found != NULL:
        if below(found.path, path) != NULL:
            return FS_DIRECTORY
        found = found.next
    return FS_ABSENT


cdef int disk_list(disk_t* d, const char* path, fs_name_t each, void* sink) noexcept nogil:
    cdef int kind = disk_kind(d, path)
    cdef name_t* found = d.names
    cdef char name[PATH_ROOM]
    cdef int r = 0
    if kind != FS_DIRECTORY:
        return -ENOENT if kind == FS_ABSENT else -ENOTDIR
    while found != NULL and r == 0:
        if child_of(found.path, path, name):
            r = each(sink, name)
        found = found.next
    return r


# ---- the journal

cdef void entry_free(entry_t* e) noexcept nogil:
    free(e.path)
    free(e.other)
    free(e)


cdef entry_t* entry_add(disk_t* d, int kind, const char* path, const char* other, node_t* node) noexcept nogil:
    cdef entry_t* e = <entry_t*>calloc(1, sizeof(entry_t))
    if e == NULL:
        return NULL
    if path != NULL:
        e.path = strdup(path)
    if other != NULL:
        e.other = strdup(other)
    if (path != NULL and e.path == NULL) or (other != NULL and e.other == NULL):
        entry_free(e)
        return NULL
    e.kind = kind
    e.node = node
    d.next_entry += 1
    e.number = d.next_entry
    if d.last != NULL:
        d.last.next = e
    else:
        d.first = e
    d.last = e
    return e


cdef int change_name(disk_t* d, int kind, const char* path, const char* other, node_t* node) noexcept nogil:
    """Now, and in the journal; a move between directories is two changes, for each is durable by itself."""
    cdef entry_t* e
    if kind == NAME_MOVED and not same_directory(path, other):
        if change_name(d, NAME_LINKED, other, NULL, node) < 0:
            return -ENOMEM
        return change_name(d, NAME_REMOVED, path, NULL, node)
    e = entry_add(d, kind, path, other, node)
    return names_apply(&d.names, e) if e != NULL else -ENOMEM


cdef void commit_journal(disk_t* d) noexcept nogil:
    cdef entry_t* e = d.first
    while e != NULL:
        e.committed = True
        e = e.next


cdef void entries_drop(disk_t* d, const char* directory, node_t* node) noexcept nogil:
    """Entries of that directory's names, or of that node's length, are durable."""
    cdef entry_t** at = &d.first
    cdef entry_t* e
    d.last = NULL
    while at[0] != NULL:
        e = at[0]
        if e.node == node if e.kind == LENGTH_SET else directory != NULL and lies_directly_in(e.path, directory):
            at[0] = e.next
            entry_free(e)
        else:
            d.last = e
            at = &e.next


# ---- what one operation does

cdef node_t* disk_add(disk_t* d, const char* path, bint directory, bint settled) noexcept nogil:
    cdef node_t* node = <node_t*>calloc(1, sizeof(node_t))
    cdef int r
    if node == NULL:
        return NULL
    d.next_id += 1
    node.id = d.next_id
    node.directory = directory
    node.next = d.nodes
    d.nodes = node
    if not settled:
        r = change_name(d, NAME_LINKED, path, NULL, node)
    else:
        r = name_add(&d.names, path, node)
        if r == 0:
            r = name_add(&d.durable_names, path, node)
    return node if r == 0 else NULL


cdef int disk_unlink(disk_t* d, const char* path) noexcept nogil:
    cdef name_t* found = name_find(d.names, path)
    cdef int r
    if found == NULL or found.node.directory:
        return -EISDIR if disk_kind(d, path) == FS_DIRECTORY else -ENOENT
    r = change_name(d, NAME_REMOVED, path, NULL, found.node)
    return r


cdef int disk_rename(disk_t* d, const char* old, const char* new) noexcept nogil:
    cdef name_t* found = name_find(d.names, old)
    if found == NULL:
        return -EISDIR if disk_kind(d, old) == FS_DIRECTORY else -ENOENT
    if found.node.directory or disk_kind(d, new) == FS_DIRECTORY:
        return -EISDIR                 # directories are only prefixes here: they keep their names
    if strcmp(old, new) == 0:
        return 0
    return change_name(d, NAME_MOVED, old, new, found.node)


cdef int disk_sync_dir(disk_t* d, const char* path) noexcept nogil:
    """A directory that was only a prefix is gone with its last name, whose removal can be synced all the same."""
    cdef entry_t* e = d.first
    cdef int kind = disk_kind(d, path)
    cdef bint known = kind == FS_DIRECTORY
    while e != NULL:
        if e.kind != LENGTH_SET and lies_directly_in(e.path, path):
            known = True
            if names_apply(&d.durable_names, e) < 0:
                return -ENOMEM
        e = e.next
    if not known:
        return -ENOENT if kind == FS_ABSENT else -ENOTDIR
    commit_journal(d)
    entries_drop(d, path, NULL)
    disk_collect(d)
    return 0


cdef bint needs_journal(disk_t* d, node_t* node) noexcept nogil:
    """What a sync of this file's bytes takes along on a file system with one journal: its length, or its birth."""
    cdef entry_t* e = d.first
    if node.now.size != node.durable.size:
        return True
    while e != NULL:
        if e.node == node and not e.committed:
            return True
        e = e.next
    return False


cdef int disk_sync(disk_t* d, node_t* node) noexcept nogil:
    cdef change_t* c
    cdef int r = node_look(node)
    if r < 0:
        return r
    if needs_journal(d, node):
        commit_journal(d)
    c = node.first
    while c != NULL:
        r = image_apply(&node.durable, c)
        if r < 0:
            return r
        c = c.next
    changes_forget(node)
    entries_drop(d, NULL, node)
    return 0


cdef inline u64 blocks(u64 size) noexcept nogil:
    return (size + BLOCK - 1) // BLOCK * BLOCK


cdef u64 disk_used(disk_t* d) noexcept nogil:
    cdef u64 used = 0
    cdef name_t* name = d.names
    cdef node_t* node = d.nodes
    while name != NULL:
        name.node.reached = True
        name = name.next
    while node != NULL:
        if node.reached or node.opens > 0:
            used += blocks(node.now.size)
        node.reached = False
        node = node.next
    return used


cdef u64 room_for(disk_t* d, node_t* node, u64 size) noexcept nogil:
    """How long the file can be, at most `size`."""
    cdef u64 used
    cdef u64 most
    if d.capacity == 0 or blocks(size) <= blocks(node.now.size):
        return size
    used = disk_used(d)
    most = blocks(node.now.size) + (d.capacity - used if used < d.capacity else 0) // BLOCK * BLOCK
    return size if size < most else most


cdef int disk_write(disk_t* d, node_t* node, const u8* source, u64 n, u64 offset) noexcept nogil:
    """Bytes taken: fewer than n where the disk is full; the caller cuts n so that it fits an int."""
    cdef u64 end
    cdef int r
    if offset > SIZE_MAX_BYTES - n:
        return -EFBIG
    if n == 0:
        return 0
    end = room_for(d, node, offset + n)
    if end <= offset:
        return -ENOSPC
    n = end - offset
    r = change_add(node, False, source, n, offset, 0)
    if r == 0:
        r = image_put(&node.now, source, n, offset)
    if r == 0:
        see(node, offset, n)
    return <int>n if r == 0 else r


cdef int disk_truncate(disk_t* d, node_t* node, u64 size) noexcept nogil:
    cdef entry_t* e
    cdef int r
    if size > SIZE_MAX_BYTES:
        return -EFBIG
    if size == node.now.size:
        return 0
    if room_for(d, node, size) < size:
        return -ENOSPC
    if size < node.now.size:
        bury(d, node.now.bytes + size, node.now.size - size)
    e = entry_add(d, LENGTH_SET, NULL, NULL, node)
    if e == NULL:
        return -ENOMEM
    r = change_add(node, True, NULL, 0, size, e.number)
    if r == 0:
        r = image_set(&node.now, size)
    if r == 0 and size < node.mapped:
        see(node, size, node.mapped - size)
    return r


# ---- what is gone

cdef void bury(disk_t* d, const u8* source, u64 n) noexcept nogil:
    """Blocks that a later file may find on the disk where its own never arrived."""
    n = n if n < 8192 else 8192
    if n > GRAVE - d.grave_used:
        d.grave_used = 0
    if n > 0:
        memcpy(d.grave + d.grave_used, source, n)
    d.grave_used += n


cdef void node_free(disk_t* d, node_t* node) noexcept nogil:
    bury(d, node.now.bytes, node.now.size)
    changes_forget(node)
    image_free(&node.now)
    image_free(&node.durable)
    free(node.seen)
    free(node)


cdef void reach(name_t* names, entry_t* e) noexcept nogil:
    while names != NULL:
        names.node.reached = True
        names = names.next
    while e != NULL:
        e.node.reached = e.node.reached or e.kind != LENGTH_SET
        e = e.next


cdef void disk_collect(disk_t* d) noexcept nogil:
    cdef node_t** at = &d.nodes
    cdef node_t* node
    reach(d.names, d.first)
    reach(d.durable_names, NULL)
    while at[0] != NULL:
        node = at[0]
        if node.reached or node.opens > 0 or node.maps > 0:
            node.reached = False
            at = &node.next
        else:
            at[0] = node.next
            entries_drop(d, NULL, node)
            node_free(d, node)


# ---- whole disks

cdef disk_t* disk_new() noexcept nogil:
    cdef disk_t* d = <disk_t*>calloc(1, sizeof(disk_t))
    if d == NULL:
        return NULL
    d.grave = <u8*>calloc(1, GRAVE)
    if d.grave == NULL:
        free(d)
        return NULL
    return d


cdef void disk_free(disk_t* d) noexcept nogil:
    cdef node_t* node
    cdef entry_t* e
    if d == NULL:
        return
    names_free(&d.names)
    names_free(&d.durable_names)
    while d.first != NULL:
        e = d.first
        d.first = e.next
        entry_free(e)
    while d.nodes != NULL:
        node = d.nodes
        d.nodes = node.next
        node_free(d, node)
    free(d.grave)
    free(d)


cdef node_t* node_copy(disk_t* to, node_t* node) noexcept nogil:
    cdef node_t* copy = <node_t*>calloc(1, sizeof(node_t))
    cdef change_t* c = node.first
    cdef int r
    node.copy = copy
    if copy == NULL:
        return NULL
    copy.next = to.nodes
    to.nodes = copy
    copy.id = node.id
    copy.directory = node.directory
    r = image_copy(&copy.now, &node.now) or image_copy(&copy.durable, &node.durable)
    while c != NULL and r == 0:
        r = change_add(copy, c.sets_length, c.bytes, c.n, c.offset, c.entry)
        c = c.next
    return copy if r == 0 else NULL


cdef int names_copy(name_t** to, name_t* names) noexcept nogil:
    while names != NULL:
        if name_add(to, names.path, names.node.copy) < 0:
            return -ENOMEM
        names = names.next
    return 0


cdef int copy_into(disk_t* to, disk_t* d) noexcept nogil:
    cdef node_t* node = d.nodes
    cdef entry_t* e = d.first
    cdef entry_t* copy
    while node != NULL:
        if node_copy(to, node) == NULL:
            return -ENOMEM
        node = node.next
    if names_copy(&to.names, d.names) < 0 or names_copy(&to.durable_names, d.durable_names) < 0:
        return -ENOMEM
    while e != NULL:
        copy = entry_add(to, e.kind, e.path, e.other, e.node.copy)
        if copy == NULL:
            return -ENOMEM
        copy.number = e.number
        copy.committed = e.committed
        e = e.next
    return 0


cdef disk_t* disk_copy(disk_t* d) noexcept nogil:
    cdef disk_t* to = disk_new()
    if to == NULL:
        return NULL
    if copy_into(to, d) < 0:
        disk_free(to)
        return NULL
    to.next_entry = d.next_entry
    to.next_id = d.next_id
    to.grave_used = d.grave_used
    to.capacity = d.capacity
    memcpy(to.grave, d.grave, GRAVE)
    return to
