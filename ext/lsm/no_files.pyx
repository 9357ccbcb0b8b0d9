"""What a file system answers whose subclass left an operation out: ENOSYS, instead of a jump to address zero.

Guarantees: every pointer of an fs_ops_t can be called. Any thread, no lock.
"""
from libc.errno cimport ENOSYS

from lsm.filesystem cimport fs_name_t, fs_ops_t
from lsm.types cimport i64, u64


cdef int no_open(void* ctx, const char* path, int flags) noexcept nogil:
    return -ENOSYS


cdef int no_handle(void* ctx, int handle) noexcept nogil:
    return -ENOSYS


cdef i64 no_read(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    return -ENOSYS


cdef i64 no_write(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil:
    return -ENOSYS


cdef int no_truncate(void* ctx, int handle, u64 size) noexcept nogil:
    return -ENOSYS


cdef i64 no_size(void* ctx, int handle) noexcept nogil:
    return -ENOSYS


cdef void* no_map(void* ctx, int handle, size_t n) noexcept nogil:
    return NULL


cdef int no_unmap(void* ctx, void* address, size_t n) noexcept nogil:
    return -ENOSYS


cdef int no_path(void* ctx, const char* path) noexcept nogil:
    return -ENOSYS


cdef int no_rename(void* ctx, const char* old, const char* new) noexcept nogil:
    return -ENOSYS


cdef int no_list(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil:
    return -ENOSYS


cdef i64 no_free_bytes(void* ctx, const char* path) noexcept nogil:
    return -ENOSYS


cdef void no_operations(fs_ops_t* ops) noexcept nogil:
    ops.ctx = NULL
    ops.open = no_open
    ops.close = no_handle
    ops.pread = no_read
    ops.pread_nowait = no_read
    ops.pwrite = no_write
    ops.sync = no_handle
    ops.truncate = no_truncate
    ops.allocate = no_truncate
    ops.size = no_size
    ops.map = no_map
    ops.unmap = no_unmap
    ops.unlink = no_path
    ops.rename = no_rename
    ops.mkdir = no_path
    ops.sync_dir = no_path
    ops.lock = no_handle
    ops.kind = no_path
    ops.list = no_list
    ops.free_bytes = no_free_bytes
