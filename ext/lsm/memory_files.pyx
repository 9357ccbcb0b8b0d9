"""Files in native memory, for databases that keep nothing and for tests.

Guarantees: a file costs about what it holds. Any thread: one native mutex, held for at most COPY_MAX bytes of copying
and never across a wait, so that it may also be taken with the GIL in hand.
"""
from libc.errno cimport EBADF, EFBIG, EINVAL, ENOENT, ENOMEM
from libc.string cimport memset

from lsm.filesystem cimport FS_ABSENT, FS_READ, FS_WRITE, FileSystem, fs_name_t
from lsm.memory_content cimport content_read, content_resize, content_write
from lsm.memory_names cimport (PATH_ROOM, close_at, file_of, file_t, forget_all, kind_at, list_at, memory_t, mkdir_at,
                               normalize, open_at, rename_at, unlink_at)
from lsm.pthreads cimport pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock
from lsm.types cimport i64, u8, u64

cdef extern from "<errno.h>" nogil:
    enum:
        ENOTSUP
        EWOULDBLOCK

cdef enum:
    COPY_MAX = 1 << 18                # one call transfers no more

cdef u64 SIZE_MAX_BYTES = <u64>1 << 38


# ---- the operations: each takes the mutex once

cdef inline memory_t* locked(void* ctx) noexcept nogil:
    pthread_mutex_lock(&(<memory_t*>ctx).lock)
    return <memory_t*>ctx


cdef inline i64 unlocked(memory_t* m, i64 r) noexcept nogil:
    pthread_mutex_unlock(&m.lock)
    return r


cdef int memory_open(void* ctx, const char* path, int flags) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef memory_t* m
    if r < 0:
        return r
    m = locked(ctx)
    return <int>unlocked(m, open_at(m, name, flags))


cdef int memory_close(void* ctx, int handle) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    return <int>unlocked(m, close_at(m, handle))


cdef i64 memory_pread(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    cdef file_t* f = file_of(m, handle, FS_READ)
    if f == NULL:
        return unlocked(m, -EBADF)
    if offset >= f.content.size:
        return unlocked(m, 0)
    n = n if n < COPY_MAX else COPY_MAX
    n = n if n < f.content.size - offset else <size_t>(f.content.size - offset)
    content_read(&f.content, <u8*>buffer, offset, n)
    return unlocked(m, <i64>n)


cdef i64 memory_pwrite(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    cdef file_t* f = file_of(m, handle, FS_WRITE)
    cdef size_t done
    if f == NULL:
        return unlocked(m, -EBADF)
    n = n if n < COPY_MAX else COPY_MAX
    if offset > SIZE_MAX_BYTES - n:
        return unlocked(m, -EFBIG)
    done = content_write(&f.content, <const u8*>buffer, offset, n)
    return unlocked(m, <i64>done if done > 0 or n == 0 else -ENOMEM)


cdef int memory_sync(void* ctx, int handle) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    return <int>unlocked(m, 0 if file_of(m, handle, 0) != NULL else -EBADF)


cdef int memory_truncate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    cdef file_t* f = file_of(m, handle, FS_WRITE)
    if f == NULL:
        return <int>unlocked(m, -EBADF if file_of(m, handle, 0) == NULL else -EINVAL)
    if size > SIZE_MAX_BYTES:
        return <int>unlocked(m, -EFBIG)
    content_resize(&f.content, size)
    return <int>unlocked(m, 0)


cdef int memory_allocate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    cdef file_t* f = file_of(m, handle, FS_WRITE)
    if f == NULL:
        return <int>unlocked(m, -EBADF if file_of(m, handle, 0) == NULL else -EINVAL)
    if size > SIZE_MAX_BYTES:
        return <int>unlocked(m, -EFBIG)
    if size > f.content.size:
        content_resize(&f.content, size)
    return <int>unlocked(m, 0)


cdef i64 memory_size(void* ctx, int handle) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    cdef file_t* f = file_of(m, handle, 0)
    return unlocked(m, <i64>f.content.size if f != NULL else -EBADF)


cdef int memory_unlink(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef memory_t* m
    if r < 0:
        return r
    m = locked(ctx)
    return <int>unlocked(m, unlink_at(m, name))


cdef int memory_rename(void* ctx, const char* old, const char* new) noexcept nogil:
    cdef char old_name[PATH_ROOM]
    cdef char new_name[PATH_ROOM]
    cdef int r = normalize(old, old_name)
    cdef memory_t* m
    if r == 0:
        r = normalize(new, new_name)
    if r < 0:
        return r
    m = locked(ctx)
    return <int>unlocked(m, rename_at(m, old_name, new_name))


cdef int memory_mkdir(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef memory_t* m
    if r < 0:
        return r
    m = locked(ctx)
    return <int>unlocked(m, mkdir_at(m, name))


cdef int memory_sync_dir(void* ctx, const char* path) noexcept nogil:
    return 0


cdef int memory_lock(void* ctx, int handle) noexcept nogil:
    cdef memory_t* m = locked(ctx)
    cdef file_t* f = file_of(m, handle, 0)
    if f == NULL:
        return <int>unlocked(m, -EBADF)
    if f.holder != 0 and f.holder != handle + 1:
        return <int>unlocked(m, -EWOULDBLOCK)
    f.holder = handle + 1
    return <int>unlocked(m, 0)


cdef int memory_kind(void* ctx, const char* path) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef memory_t* m
    if r < 0:
        return FS_ABSENT if r == -ENOENT else r
    m = locked(ctx)
    return <int>unlocked(m, kind_at(m, name))


cdef int memory_list(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil:
    cdef char name[PATH_ROOM]
    cdef int r = normalize(path, name)
    cdef memory_t* m
    if r < 0:
        return r
    m = locked(ctx)
    return <int>unlocked(m, list_at(m, name, each, sink))


cdef i64 memory_free_bytes(void* ctx, const char* path) noexcept nogil:
    return -ENOTSUP


cdef class MemoryFileSystem(FileSystem):
    """Files that go with this object. A directory is a prefix: files may be made in one that nobody made."""
    cdef memory_t memory

    def __cinit__(self):
        memset(&self.memory, 0, sizeof(memory_t))
        pthread_mutex_init(&self.memory.lock, NULL)
        self.ops.ctx = &self.memory
        self.ops.open = memory_open
        self.ops.close = memory_close
        self.ops.pread = memory_pread
        self.ops.pread_nowait = memory_pread
        self.ops.pwrite = memory_pwrite
        self.ops.sync = memory_sync
        self.ops.truncate = memory_truncate
        self.ops.allocate = memory_allocate
        self.ops.size = memory_size
        self.ops.unlink = memory_unlink
        self.ops.rename = memory_rename
        self.ops.mkdir = memory_mkdir
        self.ops.sync_dir = memory_sync_dir
        self.ops.lock = memory_lock
        self.ops.kind = memory_kind
        self.ops.list = memory_list
        self.ops.free_bytes = memory_free_bytes

    def __dealloc__(self):
        forget_all(&self.memory)
        pthread_mutex_destroy(&self.memory.lock)
