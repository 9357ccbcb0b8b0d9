"""A file system in front of another that fails as told: this errno, for that operation, from the nth call on.

Guarantees: everything else is the inner file system's; a failing write may leave the first half of its bytes behind, as
a full disk does. It shows what the layers above do with failures. Any thread; `fail` and `heal` while nothing runs.
"""
cimport cython

from lsm.filesystem cimport FileSystem, fs_name_t, fs_ops_t
from lsm.types cimport i64, load64, store64, u64

from lsm.errors import InvalidArgumentError

cdef extern from "<errno.h>" nogil:
    enum:
        ENOTSUP

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t lsm_faulty_count(uint64_t* p) { return __atomic_fetch_add(p, 1, __ATOMIC_RELAXED); }
    """
    u64 count "lsm_faulty_count"(u64* p) nogil

cdef enum:
    OPEN = 0
    WRITE = 1
    SYNC = 2
    SYNC_DIR = 3
    UNLINK = 4
    MAP = 5
    READ = 6
    ALLOCATE = 7
    READ_NOWAIT = 8                   # READ counts both kinds of read
    RENAME = 9
    OPERATIONS = 10

cdef struct fault_t:
    u64 calls
    u64 first                         # calls from there on fail ...
    u64 last                          # ... up to there, not included
    int os_error

cdef struct faulty_t:
    const fs_ops_t* inner
    fault_t faults[OPERATIONS]
    bint halves                       # a failing write leaves half of its bytes


cdef int fault(void* ctx, int operation) noexcept nogil:
    """0 or the negative errno that this call is to answer."""
    cdef fault_t* f = &(<faulty_t*>ctx).faults[operation]
    cdef u64 call = count(&f.calls)
    return -f.os_error if f.first <= call < load64(&f.last) else 0


cdef int faulty_open(void* ctx, const char* path, int flags) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, OPEN)
    return refused if refused else fs.open(fs.ctx, path, flags)


cdef int faulty_close(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.close(fs.ctx, handle)


cdef i64 faulty_pread(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, READ)
    return refused if refused else fs.pread(fs.ctx, handle, buffer, n, offset)


cdef i64 faulty_pread_nowait(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, READ)
    if not refused:
        refused = fault(ctx, READ_NOWAIT)
    return refused if refused else fs.pread_nowait(fs.ctx, handle, buffer, n, offset)


cdef i64 faulty_pwrite(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef faulty_t* f = <faulty_t*>ctx
    cdef const fs_ops_t* fs = f.inner
    cdef int refused = fault(ctx, WRITE)
    if refused and f.halves and n > 1:
        fs.pwrite(fs.ctx, handle, buffer, n // 2, offset)
    return refused if refused else fs.pwrite(fs.ctx, handle, buffer, n, offset)


cdef int faulty_sync(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, SYNC)
    return refused if refused else fs.sync(fs.ctx, handle)


cdef int faulty_sync_dir(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, SYNC_DIR)
    return refused if refused else fs.sync_dir(fs.ctx, path)


cdef int faulty_unlink(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, UNLINK)
    return refused if refused else fs.unlink(fs.ctx, path)


cdef void* faulty_map(void* ctx, int handle, size_t n) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return NULL if fault(ctx, MAP) else fs.map(fs.ctx, handle, n)


cdef int faulty_unmap(void* ctx, void* address, size_t n) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.unmap(fs.ctx, address, n)


cdef int faulty_truncate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.truncate(fs.ctx, handle, size)


cdef int faulty_allocate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused
    if fs.allocate == NULL:
        return -ENOTSUP
    refused = fault(ctx, ALLOCATE)
    return refused if refused else fs.allocate(fs.ctx, handle, size)


cdef i64 faulty_size(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.size(fs.ctx, handle)


cdef int faulty_rename(void* ctx, const char* old, const char* new) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    cdef int refused = fault(ctx, RENAME)
    return refused if refused else fs.rename(fs.ctx, old, new)


cdef int faulty_mkdir(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.mkdir(fs.ctx, path)


cdef int faulty_lock(void* ctx, int handle) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.lock(fs.ctx, handle)


cdef int faulty_kind(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.kind(fs.ctx, path)


cdef int faulty_list(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.list(fs.ctx, path, each, sink)


cdef i64 faulty_free_bytes(void* ctx, const char* path) noexcept nogil:
    cdef const fs_ops_t* fs = (<faulty_t*>ctx).inner
    return fs.free_bytes(fs.ctx, path)


NAMES = {"open": OPEN, "write": WRITE, "sync": SYNC, "sync_dir": SYNC_DIR, "unlink": UNLINK, "map": MAP, "read": READ,
         "allocate": ALLOCATE, "read_nowait": READ_NOWAIT, "rename": RENAME}


@cython.no_gc_clear
cdef class FaultyFileSystem(FileSystem):
    """Passes everything on until told to `fail` an operation: open, write, sync, sync_dir, unlink, map, read, allocate.

    Of reads without waiting alone, read_nowait: EAGAIN says that they would wait, EOPNOTSUPP that nobody can tell.
    """
    cdef FileSystem inner
    cdef faulty_t state

    def __cinit__(self, FileSystem inner not None):
        self.inner = inner
        self.state.inner = &inner.ops
        self.ops.ctx = &self.state
        self.ops.open = faulty_open
        self.ops.close = faulty_close
        self.ops.pread = faulty_pread
        self.ops.pread_nowait = faulty_pread_nowait
        self.ops.pwrite = faulty_pwrite
        self.ops.sync = faulty_sync
        self.ops.truncate = faulty_truncate
        self.ops.allocate = faulty_allocate
        self.ops.size = faulty_size
        self.ops.map = faulty_map
        self.ops.unmap = faulty_unmap
        self.ops.unlink = faulty_unlink
        self.ops.rename = faulty_rename
        self.ops.mkdir = faulty_mkdir
        self.ops.sync_dir = faulty_sync_dir
        self.ops.lock = faulty_lock
        self.ops.kind = faulty_kind
        self.ops.list = faulty_list
        self.ops.free_bytes = faulty_free_bytes

    cdef fault_t* fault_of(self, operation) except NULL:
        if operation not in NAMES:
            raise InvalidArgumentError(f"no operation {operation!r}; there are {', '.join(NAMES)}")
        return &self.state.faults[<int>NAMES[operation]]

    def fail(self, operation, int os_error, *, u64 after=0, times=None, bint halves=False):
        """The operation answers `os_error` after `after` more calls, `times` times (None: until `heal`)."""
        cdef fault_t* f = self.fault_of(operation)
        self.state.halves = halves
        f.os_error = os_error
        f.first = load64(&f.calls) + after
        store64(&f.last, ~<u64>0 if times is None else f.first + <u64>times)

    def heal(self):
        """Nothing fails any more."""
        cdef int i
        for i in range(OPERATIONS):
            store64(&self.state.faults[i].last, 0)

    def calls(self, operation):
        """How often the operation was asked for, failures included."""
        return load64(&self.fault_of(operation).calls)
