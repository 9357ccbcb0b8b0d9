# The seam: every file the engine touches is opened, read, written, mapped, synced, renamed and removed through these
# operations, from native loops (without the GIL) and from Python alike, so a simulated file system can take their
# place.
from lsm.types cimport u8, u64, i64, error_t

cdef enum:
    FS_READ = 1
    FS_WRITE = 2
    FS_CREATE = 4
    FS_EXCLUSIVE = 8
    FS_TRUNCATE = 16

cdef enum:                            # what stands at a path
    FS_ABSENT = 0
    FS_FILE = 1
    FS_DIRECTORY = 2

# Takes one name of a directory; 0, or -errno, which ends the listing. May not call the file system.
ctypedef int (*fs_name_t)(void* sink, const char* name) noexcept nogil

# Raw operations: each returns >= 0 or -errno, may transfer less than asked and may return -EINTR, which says that
# nothing happened (but close: the handle is gone).
# The functions below them retry; nothing above the seam sees a short transfer or an EINTR.
cdef struct fs_ops_t:
    void* ctx
    int (*open)(void* ctx, const char* path, int flags) noexcept nogil               # a handle >= 0
    int (*close)(void* ctx, int handle) noexcept nogil
    i64 (*pread)(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil
    # -EAGAIN: would wait for a disk; -EOPNOTSUPP: might, which cannot be told here
    i64 (*pread_nowait)(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil
    i64 (*pwrite)(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil
    int (*sync)(void* ctx, int handle) noexcept nogil                               # data and length durable
    int (*truncate)(void* ctx, int handle, u64 size) noexcept nogil
    # a file shorter than `size` gets that size: zeros that have room on the disk, so that writing them needs no more of
    # it; -ENOTSUP: not here. May be NULL: nowhere.
    int (*allocate)(void* ctx, int handle, u64 size) noexcept nogil
    i64 (*size)(void* ctx, int handle) noexcept nogil
    void* (*map)(void* ctx, int handle, size_t n) noexcept nogil                    # shared, writable; NULL: none here
    int (*unmap)(void* ctx, void* address, size_t n) noexcept nogil
    int (*unlink)(void* ctx, const char* path) noexcept nogil
    int (*rename)(void* ctx, const char* old, const char* new) noexcept nogil
    int (*mkdir)(void* ctx, const char* path) noexcept nogil
    int (*sync_dir)(void* ctx, const char* path) noexcept nogil
    # exclusive, at once or -EWOULDBLOCK; held until close
    int (*lock)(void* ctx, int handle) noexcept nogil
    int (*kind)(void* ctx, const char* path) noexcept nogil                         # FS_ABSENT, FS_FILE or FS_DIRECTORY
    # any order, a name may come twice
    int (*list)(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil
    # -ENOTSUP: there is no such number here
    i64 (*free_bytes)(void* ctx, const char* path) noexcept nogil

# On failure each fills `error` (what, path, errno) and returns a negative STATUS_*. `path` serves only that and
# may be NULL where a handle is given.

# bytes read: n, or less at the end of the file
cdef i64 fs_read(const fs_ops_t* fs, int handle, void* buffer, size_t n, u64 offset, const char* path,
                 error_t* error) noexcept nogil
# all n, or less only at the end of the file; STATUS_WOULD_READ (error untouched): would wait for a disk;
# STATUS_WOULD_BLOCK (error untouched): might, which cannot be told here
cdef i64 fs_read_nowait(const fs_ops_t* fs, int handle, void* buffer, size_t n, u64 offset, const char* path,
                        error_t* error) noexcept nogil
# the same, but what cannot be told is read
cdef i64 fs_read_unless_waiting(const fs_ops_t* fs, int handle, void* buffer, size_t n, u64 offset, const char* path,
                                error_t* error) noexcept nogil
cdef int fs_write(const fs_ops_t* fs, int handle, const void* buffer, size_t n, u64 offset, const char* path,
                  error_t* error) noexcept nogil
cdef int fs_sync(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil
cdef int fs_open(const fs_ops_t* fs, const char* path, int flags, error_t* error) noexcept nogil        # a handle
# the handle is gone also after a failure
cdef int fs_close(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil
cdef int fs_unlink(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil
cdef int fs_truncate(const fs_ops_t* fs, int handle, u64 size, const char* path, error_t* error) noexcept nogil
# 0, or STATUS_WOULD_BLOCK (error untouched): cannot be had here
cdef int fs_allocate(const fs_ops_t* fs, int handle, u64 size, const char* path, error_t* error) noexcept nogil
cdef i64 fs_size(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil
# the error names `old`
cdef int fs_rename(const fs_ops_t* fs, const char* old, const char* new, error_t* error) noexcept nogil
cdef int fs_mkdir(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil
cdef int fs_sync_dir(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil
# 0, or STATUS_WOULD_BLOCK (error untouched): another handle has it
cdef int fs_lock(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil
cdef int fs_kind(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil             # FS_ABSENT, ...


# A subclass fills `ops` in its __cinit__ and so gets every Python method. Native users borrow &files.ops and keep the
# object alive.
cdef class FileSystem:
    cdef fs_ops_t ops
    cdef dict paths                   # path of each handle that Python opened, for errors
