"""The names, files and handles of a file system in memory.

Guarantees: two spellings of a path are one file; an unlinked or replaced file lives until its last handle is closed.
Called under the file system's mutex.
"""
from libc.errno cimport EBADF, EEXIST, EISDIR, EMFILE, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset, strchr, strcmp, strlen

from lsm.filesystem cimport (FS_ABSENT, FS_CREATE, FS_DIRECTORY, FS_EXCLUSIVE, FS_FILE, FS_READ, FS_TRUNCATE, FS_WRITE,
                             fs_name_t)
from lsm.memory_content cimport content_free, content_resize
from lsm.types cimport u8, u64

cdef enum:
    HANDLES_MAX = 1 << 20


# ---- paths: normalized, so that two spellings are one file

cdef int normalize(const char* path, char* out) noexcept nogil:
    """Drops repeated and trailing slashes and "." parts; "." and "/" stand for the roots. 0 or -errno."""
    cdef size_t n = strlen(path)
    cdef size_t i = 0
    cdef size_t start
    cdef size_t used = 0
    if n == 0:
        return -ENOENT
    if n >= PATH_ROOM:
        return -ENAMETOOLONG
    if path[0] == c"/":
        out[0] = c"/"
        used = 1
    while i < n:
        while path[i] == c"/":
            i += 1
        start = i
        while i < n and path[i] != c"/":
            i += 1
        if i == start or (i == start + 1 and path[start] == c"."):
            continue
        if used > 0 and out[used - 1] != c"/":
            out[used] = c"/"
            used += 1
        memcpy(out + used, path + start, i - start)
        used += i - start
    if used == 0:
        out[0] = c"."
        used = 1
    out[used] = 0
    return 0


cdef u64 hash_of(const char* path) noexcept nogil:
    cdef u64 h = <u64>0xCBF29CE484222325
    while path[0] != 0:
        h = (h ^ <u8>path[0]) * <u64>0x100000001B3
        path += 1
    return h


cdef bint is_root(const char* path) noexcept nogil:
    return (path[0] == c"/" or path[0] == c".") and path[1] == 0


cdef const char* below(const char* path, const char* directory) noexcept nogil:
    """What of `path` follows `directory`, or NULL where it does not lie in it."""
    cdef size_t n = strlen(directory)
    if directory[0] == c"." and n == 1:
        return path if path[0] != c"/" else NULL
    if strlen(path) <= n or memcmp(path, directory, n) != 0:
        return NULL
    if n == 1 and directory[0] == c"/":
        return path + 1
    return path + n + 1 if path[n] == c"/" else NULL


cdef bint child_of(const char* path, const char* directory, char* name) noexcept nogil:
    """Whether `path` lies below the directory; into `name` what it lies in there, or is."""
    cdef const char* rest = below(path, directory)
    cdef const char* slash
    cdef size_t n
    if rest == NULL:
        return False
    slash = strchr(rest, c"/")
    n = strlen(rest) if slash == NULL else <size_t>(slash - rest)
    memcpy(name, rest, n)
    name[n] = 0
    return True


# ---- files

cdef file_t* find(memory_t* m, const char* path) noexcept nogil:
    cdef u64 h = hash_of(path)
    cdef file_t* f = m.buckets[h % BUCKETS]
    while f != NULL and (f.hash != h or strcmp(f.path, path) != 0):
        f = f.next
    return f


cdef file_t* add(memory_t* m, const char* path, bint directory) noexcept nogil:
    cdef size_t n = strlen(path) + 1
    cdef file_t* f = <file_t*>calloc(1, sizeof(file_t))
    if f == NULL:
        return NULL
    f.path = <char*>malloc(n)
    if f.path == NULL:
        free(f)
        return NULL
    memcpy(f.path, path, n)
    f.directory = directory
    attach(m, f)
    return f


cdef void attach(memory_t* m, file_t* f) noexcept nogil:
    f.hash = hash_of(f.path)
    f.next = m.buckets[f.hash % BUCKETS]
    m.buckets[f.hash % BUCKETS] = f
    f.linked = True


cdef void detach(memory_t* m, file_t* f) noexcept nogil:
    cdef file_t** at = &m.buckets[f.hash % BUCKETS]
    while at[0] != f:
        at = &at[0].next
    at[0] = f.next
    f.linked = False


cdef void drop_if_unused(file_t* f) noexcept nogil:
    if not f.linked and f.opens == 0:
        content_free(&f.content)
        free(f.path)
        free(f)


# ---- what one operation does

cdef int make_handle(memory_t* m, file_t* f, int flags) noexcept nogil:
    cdef int i = m.first_free
    cdef int room
    cdef void* moved
    while i < m.handle_room and m.handles[i].file != NULL:
        i += 1
    if i == m.handle_room:
        if m.handle_room >= HANDLES_MAX:
            return -EMFILE
        room = m.handle_room * 2 if m.handle_room > 0 else 16
        moved = realloc(m.handles, room * sizeof(handle_t))
        if moved == NULL:
            return -ENOMEM
        m.handles = <handle_t*>moved
        memset(m.handles + m.handle_room, 0, (room - m.handle_room) * sizeof(handle_t))
        m.handle_room = room
    m.handles[i].file = f
    m.handles[i].flags = flags
    m.first_free = i + 1
    f.opens += 1
    return i


cdef int kind_at(memory_t* m, const char* path) noexcept nogil:
    """A directory is what was made as one, and what a file lies in."""
    cdef file_t* f = find(m, path)
    cdef int i
    if f != NULL:
        return FS_DIRECTORY if f.directory else FS_FILE
    if is_root(path):
        return FS_DIRECTORY
    for i in range(BUCKETS):
        f = m.buckets[i]
        while f != NULL:
            if below(f.path, path) != NULL:
                return FS_DIRECTORY
            f = f.next
    return FS_ABSENT


cdef int open_at(memory_t* m, const char* path, int flags) noexcept nogil:
    cdef file_t* f = find(m, path)
    cdef bint made = f == NULL
    cdef int handle
    if f == NULL:
        if kind_at(m, path) == FS_DIRECTORY:
            return -EISDIR
        if not flags & FS_CREATE:
            return -ENOENT
        f = add(m, path, False)
        if f == NULL:
            return -ENOMEM
    elif flags & FS_CREATE and flags & FS_EXCLUSIVE:
        return -EEXIST
    elif f.directory:
        return -EISDIR
    handle = make_handle(m, f, flags if flags & FS_WRITE else flags | FS_READ)
    if handle < 0 and made:
        detach(m, f)
        drop_if_unused(f)
    elif handle >= 0 and flags & FS_TRUNCATE:
        content_resize(&f.content, 0)
    return handle


cdef int rename_at(memory_t* m, const char* old, const char* new) noexcept nogil:
    cdef file_t* f = find(m, old)
    cdef file_t* target = find(m, new)
    cdef char* path
    cdef size_t n = strlen(new) + 1
    if f == NULL:
        return -EISDIR if kind_at(m, old) == FS_DIRECTORY else -ENOENT
    if f.directory or kind_at(m, new) == FS_DIRECTORY:
        return -EISDIR                 # directories are only prefixes here: they keep their names
    if f == target:
        return 0
    path = <char*>malloc(n)
    if path == NULL:
        return -ENOMEM
    memcpy(path, new, n)
    if target != NULL:
        detach(m, target)
        drop_if_unused(target)
    detach(m, f)
    free(f.path)
    f.path = path
    attach(m, f)
    return 0


cdef int list_at(memory_t* m, const char* path, fs_name_t each, void* sink) noexcept nogil:
    cdef int kind = kind_at(m, path)
    cdef int r = 0
    cdef int i
    cdef file_t* f
    cdef char name[PATH_ROOM]
    if kind != FS_DIRECTORY:
        return -ENOENT if kind == FS_ABSENT else -ENOTDIR
    for i in range(BUCKETS):
        f = m.buckets[i]
        while f != NULL and r == 0:
            if child_of(f.path, path, name):
                r = each(sink, name)
            f = f.next
    return r


cdef int close_at(memory_t* m, int handle) noexcept nogil:
    cdef file_t* f = file_of(m, handle, 0)
    if f == NULL:
        return -EBADF
    m.handles[handle].file = NULL
    if handle < m.first_free:
        m.first_free = handle
    if f.holder == handle + 1:
        f.holder = 0
    f.opens -= 1
    drop_if_unused(f)
    return 0


cdef int unlink_at(memory_t* m, const char* path) noexcept nogil:
    cdef file_t* f = find(m, path)
    if f == NULL or f.directory:
        return -EISDIR if kind_at(m, path) == FS_DIRECTORY else -ENOENT
    detach(m, f)
    drop_if_unused(f)
    return 0


cdef int mkdir_at(memory_t* m, const char* path) noexcept nogil:
    if kind_at(m, path) != FS_ABSENT:
        return -EEXIST
    return 0 if add(m, path, True) != NULL else -ENOMEM


cdef void forget_all(memory_t* m) noexcept nogil:
    cdef int i
    cdef file_t* f
    for i in range(m.handle_room):
        close_at(m, i)
    free(m.handles)
    for i in range(BUCKETS):
        while m.buckets[i] != NULL:
            f = m.buckets[i]
            detach(m, f)
            drop_if_unused(f)
