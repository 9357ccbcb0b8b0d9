"""A file system in front of another that transfers little at a time and is interrupted often, as a kernel may do.

Guarantees: everything else is the inner file system's. It proves that the seam's functions let neither through.
"""
cimport cython
from libc.errno cimport EINTR

from lsm.filesystem cimport FileSystem, fs_name_t, fs_ops_t
from lsm.types cimport i64, load64, u64

from lsm.errors import InvalidArgumentError

cdef extern from "<errno.h>" nogil:
    enum:
        ENOTSUP

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t lsm_count_one(uint64_t* p) { return __atomic_add_fetch(p, 1, __ATOMIC_RELAXED); }
    """
    u64 count_one "lsm_count_one"(u64* p) nogil

cdef struct short_t:
    const fs_ops_t* inner
    size_t max_bytes
    u64 interrupt_every               # 0: never
    u64 calls
    u64 interrupts


cdef bint interrupted(void* ctx) noexcept nogil:
    cdef short_t* s = <short_t*>ctx
    if s.interrupt_every == 0 or count_one(&s.calls) % s.interrupt_every != 0:
        return False
    count_one(&s.interrupts)
    return True


cdef inline const fs_ops_t* inner_of(void* ctx) noexcept nogil:
    return (<short_t*>ctx).inner


cdef inline size_t cut(void* ctx, size_t n) noexcept nogil:
    cdef size_t most = (<short_t*>ctx).max_bytes
    return n if n < most else most


cdef int short_open(void* ctx, const char* path, int flags) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.open(fs.ctx, path, flags)


cdef int short_close(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    cdef int r = fs.close(fs.ctx, handle)
    return -EINTR if r == 0 and interrupted(ctx) else r


cdef i64 short_pread(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.pread(fs.ctx, handle, buffer, cut(ctx, n), offset)


cdef i64 short_pread_nowait(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.pread_nowait(fs.ctx, handle, buffer, cut(ctx, n), offset)


cdef i64 short_pwrite(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.pwrite(fs.ctx, handle, buffer, cut(ctx, n), offset)


cdef int short_sync(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.sync(fs.ctx, handle)


cdef int short_truncate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.truncate(fs.ctx, handle, size)


cdef int short_allocate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    if fs.allocate == NULL:
        return -ENOTSUP
    return -EINTR if interrupted(ctx) else fs.allocate(fs.ctx, handle, size)


cdef i64 short_size(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.size(fs.ctx, handle)


cdef void* short_map(void* ctx, int handle, size_t n) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return fs.map(fs.ctx, handle, n)


cdef int short_unmap(void* ctx, void* address, size_t n) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return fs.unmap(fs.ctx, address, n)


cdef int short_unlink(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.unlink(fs.ctx, path)


cdef int short_rename(void* ctx, const char* old, const char* new) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.rename(fs.ctx, old, new)


cdef int short_mkdir(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.mkdir(fs.ctx, path)


cdef int short_sync_dir(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.sync_dir(fs.ctx, path)


cdef int short_lock(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.lock(fs.ctx, handle)


cdef int short_kind(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.kind(fs.ctx, path)


cdef int short_list(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil:
    """Interrupted after the names were given: whoever asks again starts over."""
    cdef const fs_ops_t* fs = inner_of(ctx)
    cdef int r = fs.list(fs.ctx, path, each, sink)
    return -EINTR if r == 0 and interrupted(ctx) else r


cdef i64 short_free_bytes(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = inner_of(ctx)
    return -EINTR if interrupted(ctx) else fs.free_bytes(fs.ctx, path)


@cython.no_gc_clear
cdef class ShortTransferFileSystem(FileSystem):
    """At most `max_bytes` per transfer; every `interrupt_every`-th call is interrupted (0: none).

    With max_bytes=0 nothing is ever transferred: reads see the end of the file, writes make no progress.
    """
    cdef FileSystem inner
    cdef short_t state

    def __cinit__(self, FileSystem inner not None, size_t max_bytes, u64 interrupt_every):
        if interrupt_every == 1:
            raise InvalidArgumentError("interrupt_every is 1: no call would ever succeed; give 0, or 2 and more")
        self.inner = inner
        self.state = short_t(inner=&inner.ops, max_bytes=max_bytes, interrupt_every=interrupt_every, calls=0,
                             interrupts=0)
        self.ops.ctx = &self.state
        self.ops.open = short_open
        self.ops.close = short_close
        self.ops.pread = short_pread
        self.ops.pread_nowait = short_pread_nowait
        self.ops.pwrite = short_pwrite
        self.ops.sync = short_sync
        self.ops.truncate = short_truncate
        self.ops.allocate = short_allocate
        self.ops.size = short_size
        self.ops.map = short_map
        self.ops.unmap = short_unmap
        self.ops.unlink = short_unlink
        self.ops.rename = short_rename
        self.ops.mkdir = short_mkdir
        self.ops.sync_dir = short_sync_dir
        self.ops.lock = short_lock
        self.ops.kind = short_kind
        self.ops.list = short_list
        self.ops.free_bytes = short_free_bytes

    @property
    def interrupts(self):
        """How many calls were interrupted so far."""
        return load64(&self.state.interrupts)
