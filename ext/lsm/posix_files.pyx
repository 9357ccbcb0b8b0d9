"""The operating system's files, on Linux and macOS.

Guarantees: a child program inherits no handle; `sync` reaches the medium, not just the drive's cache; nothing is mapped
past the end of its file. Any thread, no lock.
"""
from libc.errno cimport EAGAIN, EINVAL, ENOENT, ENOSYS, ENOTDIR, EOPNOTSUPP, errno
from posix.fcntl cimport O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from posix.fcntl cimport open as os_open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.stat cimport S_ISDIR, fstat, stat, struct_stat
from posix.stat cimport mkdir as os_mkdir
from posix.types cimport off_t
from posix.unistd cimport close as os_close
from posix.unistd cimport ftruncate, pread, pwrite
from posix.unistd cimport unlink as os_unlink

from lsm.filesystem cimport (FS_ABSENT, FS_CREATE, FS_DIRECTORY, FS_EXCLUSIVE, FS_FILE, FS_READ, FS_TRUNCATE, FS_WRITE,
                             FileSystem, fs_name_t)
from lsm.types cimport i64, load_int, store_int, u64

cdef extern from *:
    """
    #include <dirent.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <sys/file.h>
    #include <sys/statvfs.h>
    #if defined(__linux__)
    #include <sys/vfs.h>
    #else
    #include <sys/param.h>
    #include <sys/mount.h>
    #include <string.h>
    #endif
    #include <sys/uio.h>
    #include <unistd.h>
    static inline int lsm_sync_fd(int fd) {
    #if defined(__APPLE__)
        /* fsync leaves the bytes in the drive's cache; where a volume knows no F_FULLFSYNC, nothing better exists */
        if (fcntl(fd, F_FULLFSYNC) == 0) return 0;
        if (errno != ENOTSUP && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOTTY) return -1;
        return fsync(fd);
    #else
        return fdatasync(fd);
    #endif
    }
    static inline int lsm_sync_directory_fd(int fd) {
    #if defined(__APPLE__)
        return lsm_sync_fd(fd);
    #else
        return fsync(fd);
    #endif
    }
    static inline long lsm_pread_nowait(int fd, void* p, size_t n, long long offset) {
    #if defined(__linux__) && defined(RWF_NOWAIT)
        struct iovec part = {p, n};
        return (long)preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT);
    #else
        (void)fd; (void)p; (void)n; (void)offset;
        errno = ENOSYS;
        return -1;
    #endif
    }
    static inline long long lsm_type_of_place(int fd) {
        struct statfs s;
        if (fstatfs(fd, &s) != 0) return -1;
    #if defined(__linux__)
        return (long long)(unsigned int)s.f_type;
    #else
        return strcmp(s.f_fstypename, "hfs") == 0 ? 0 : -1;   /* APFS copies what a snapshot refers to */
    #endif
    }
    static inline int lsm_allocate(int fd, long long from, long long n) {
    #if defined(__linux__)
        return fallocate(fd, 0, (off_t)from, (off_t)n);
    #else
        (void)fd; (void)from; (void)n;   /* macOS: F_PREALLOCATE leaves the size alone, ftruncate makes a hole */
        errno = ENOTSUP;
        return -1;
    #endif
    }
    static inline struct dirent* lsm_next_entry(DIR* d) {
        errno = 0;                    /* NULL is the end or a failure: errno tells them apart */
        return readdir(d);
    }
    static inline long long lsm_free_bytes(const char* path) {
        struct statvfs s;
        if (statvfs(path, &s) != 0) return -1;
        return (long long)s.f_bavail * (long long)s.f_frsize;
    }
    /* What was written to each whole stretch of so many bytes begins its way to the disk: the sync finds less to do. */
    static inline void lsm_begin_writeback(int fd, long long offset, long long n, long long stretch) {
    #ifdef SYNC_FILE_RANGE_WRITE
        long long from = offset / stretch * stretch, to = (offset + n) / stretch * stretch;
        if (to > from)
            sync_file_range(fd, from, to - from, SYNC_FILE_RANGE_WRITE);
    #else
        (void)fd; (void)offset; (void)n; (void)stretch;
    #endif
    }
    """
    void begin_writeback "lsm_begin_writeback"(int fd, long long offset, long long n, long long stretch) nogil
    int sync_fd "lsm_sync_fd"(int fd) nogil
    int sync_directory_fd "lsm_sync_directory_fd"(int fd) nogil
    long pread_in_memory "lsm_pread_nowait"(int fd, void* p, size_t n, long long offset) nogil
    long long type_of_place "lsm_type_of_place"(int fd) nogil
    int allocate_at "lsm_allocate"(int fd, long long start, long long n) nogil
    long long free_bytes_at "lsm_free_bytes"(const char* path) nogil
    int os_rename "rename"(const char* old, const char* new) nogil
    int flock(int fd, int operation) nogil
    enum:
        LOCK_EX
        LOCK_UN
        LOCK_NB
        ENOTSUP
    ctypedef struct DIR:
        pass
    struct dirent:
        char* d_name
    DIR* fdopendir(int fd) nogil
    dirent* next_entry "lsm_next_entry"(DIR* d) nogil
    int closedir(DIR* d) nogil

cdef enum:
    MOST_AT_ONCE = 1 << 30            # macOS refuses more than INT_MAX, Linux cuts it
    PIECE = 1 << 15                   # docs/decisions/0027-small-pages-and-small-pieces.md
    WRITEBACK = 1 << 20               # docs/decisions/0026-writeback-begins-early.md

cdef u64 LAST_OFFSET = (<u64>1 << 63) - 1

cdef struct posix_t:
    int waits_only                    # 1: this kernel or file system does not know RWF_NOWAIT
    i64 place                         # what fstatfs is taken to say of the type; 0: ask it

# Where overwriting a page of a file may need new room on the disk, or the word of a server: a store into a mapping that
# finds none is SIGBUS. The numbers are statfs(2)'s. tmpfs is none of these: its pages, once written, are there.
cdef i64[14] UNSAFE_PLACES = [
    0x9123683E,                       # btrfs
    0x2FC12FC1,                       # ZFS
    0xCA451A4E,                       # bcachefs
    0xF2F52010,                       # F2FS
    0x3434,                           # NILFS
    0x6969,                           # NFS
    0x517B, 0xFF534D42, 0xFE534D42,   # SMB, CIFS, SMB2
    0x65735546,                       # FUSE, virtiofs too
    0x01021997,                       # 9P
    0x00C36400,                       # Ceph
    0x5346414F, 0x6B414653,           # AFS, OpenAFS and the kernel's
]


cdef bint place_is_safe(i64 type) noexcept nogil:
    cdef int i
    for i in range(14):
        if type == UNSAFE_PLACES[i]:
            return False
    return type >= 0


cdef inline i64 result(i64 r) noexcept nogil:
    return r if r >= 0 else -errno


cdef int posix_open(void* ctx, const char* path, int flags) noexcept nogil:
    cdef int how = O_CLOEXEC
    if flags & FS_WRITE:
        how |= O_RDWR if flags & FS_READ else O_WRONLY
    else:
        how |= O_RDONLY
    if flags & FS_CREATE:
        how |= O_CREAT
    if flags & FS_EXCLUSIVE:
        how |= O_EXCL
    if flags & FS_TRUNCATE:
        how |= O_TRUNC
    return <int>result(os_open(path, how, 0o666))


cdef int posix_close(void* ctx, int handle) noexcept nogil:
    return <int>result(os_close(handle))


cdef i64 posix_pread(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    if offset > LAST_OFFSET:
        return -EINVAL
    return result(pread(handle, buffer, n if n < MOST_AT_ONCE else MOST_AT_ONCE, <off_t>offset))


cdef i64 posix_pread_nowait(void* ctx, int handle, void* buffer, size_t n, u64 offset) noexcept nogil:
    cdef posix_t* posix = <posix_t*>ctx
    cdef struct_stat s
    cdef i64 got
    if offset > LAST_OFFSET:
        return -EINVAL
    if load_int(&posix.waits_only):
        return -EOPNOTSUPP
    got = result(pread_in_memory(handle, buffer, n if n < MOST_AT_ONCE else MOST_AT_ONCE, <i64>offset))
    if got == -EOPNOTSUPP or got == -ENOTSUP or got == -ENOSYS or got == -EINVAL:
        store_int(&posix.waits_only, 1)
        return -EOPNOTSUPP
    if got == 0 and n > 0:
        # Linux 5.9 and 5.10 say 0 also before the end of the file.
        if fstat(handle, &s) < 0:
            return -errno
        if <i64>offset < <i64>s.st_size:
            return -EAGAIN
    return got


cdef i64 posix_pwrite(void* ctx, int handle, const void* buffer, size_t n, u64 offset) noexcept nogil:
    if offset > LAST_OFFSET:
        return -EINVAL
    # Ends where a piece of the file ends: the caller comes back with the rest.
    cdef size_t room = PIECE - offset % PIECE
    cdef i64 got = result(pwrite(handle, buffer, n if n < room else room, <off_t>offset))
    if got > 0:
        begin_writeback(handle, <i64>offset, got, WRITEBACK)
    return got


cdef int posix_sync(void* ctx, int handle) noexcept nogil:
    return <int>result(sync_fd(handle))


cdef int posix_truncate(void* ctx, int handle, u64 size) noexcept nogil:
    if size > LAST_OFFSET:
        return -EINVAL
    return <int>result(ftruncate(handle, <off_t>size))


cdef int posix_allocate(void* ctx, int handle, u64 size) noexcept nogil:
    cdef struct_stat s
    cdef i64 r
    if size > LAST_OFFSET:
        return -EINVAL
    if fstat(handle, &s) < 0:
        return -errno
    if size <= <u64>s.st_size:
        return 0
    r = result(allocate_at(handle, s.st_size, <i64>size - s.st_size))
    return -ENOTSUP if r == -ENOSYS or r == -EOPNOTSUPP or r == -EINVAL else <int>r


cdef i64 posix_size(void* ctx, int handle) noexcept nogil:
    cdef struct_stat s
    return <i64>s.st_size if fstat(handle, &s) == 0 else -errno


cdef void* posix_map(void* ctx, int handle, size_t n) noexcept nogil:
    cdef struct_stat s
    cdef void* address
    cdef i64 place = (<posix_t*>ctx).place
    if not place_is_safe(place if place else type_of_place(handle)):
        return NULL
    if n == 0 or fstat(handle, &s) < 0 or <u64>s.st_size < n:
        return NULL                    # touching a page past the end of the file would be SIGBUS
    address = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0)
    return NULL if address == MAP_FAILED else address


cdef int posix_unmap(void* ctx, void* address, size_t n) noexcept nogil:
    return <int>result(munmap(address, n))


cdef int posix_unlink(void* ctx, const char* path) noexcept nogil:
    return <int>result(os_unlink(path))


cdef int posix_rename(void* ctx, const char* old, const char* new) noexcept nogil:
    return <int>result(os_rename(old, new))


cdef int posix_mkdir(void* ctx, const char* path) noexcept nogil:
    return <int>result(os_mkdir(path, 0o777))


cdef int posix_sync_dir(void* ctx, const char* path) noexcept nogil:
    cdef int fd = os_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    cdef int r
    if fd < 0:
        return -errno
    r = <int>result(sync_directory_fd(fd))
    os_close(fd)
    return 0 if r == -EINVAL else r    # a file system that keeps no directory to sync says EINVAL


cdef int posix_lock(void* ctx, int handle) noexcept nogil:
    return <int>result(flock(handle, LOCK_EX | LOCK_NB))


cdef int posix_kind(void* ctx, const char* path) noexcept nogil:
    cdef struct_stat s
    if stat(path, &s) < 0:
        return FS_ABSENT if errno == ENOENT or errno == ENOTDIR else -errno
    return FS_DIRECTORY if S_ISDIR(s.st_mode) else FS_FILE


cdef int posix_list(void* ctx, const char* path, fs_name_t each, void* sink) noexcept nogil:
    cdef int fd = os_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    cdef DIR* d
    cdef dirent* entry
    cdef char* name
    cdef int r = 0
    if fd < 0:
        return -errno
    d = fdopendir(fd)
    if d == NULL:
        r = -errno
        os_close(fd)
        return r
    while r == 0:
        entry = next_entry(d)
        if entry == NULL:
            r = -errno
            break
        name = entry.d_name
        if name[0] == c"." and (name[1] == 0 or (name[1] == c"." and name[2] == 0)):
            continue
        r = each(sink, name)
    closedir(d)
    return r


cdef i64 posix_free_bytes(void* ctx, const char* path) noexcept nogil:
    return result(free_bytes_at(path))


cdef class PosixFileSystem(FileSystem):
    """Files of the operating system. Use one instance per database: it remembers what the place below cannot do.

    `place`, for tests: the type of file system that statfs(2) is to be taken to name.
    """
    cdef posix_t posix

    def __cinit__(self, *, long long place=0):
        self.posix.waits_only = 0
        self.posix.place = place
        self.ops.ctx = &self.posix
        self.ops.open = posix_open
        self.ops.close = posix_close
        self.ops.pread = posix_pread
        self.ops.pread_nowait = posix_pread_nowait
        self.ops.pwrite = posix_pwrite
        self.ops.sync = posix_sync
        self.ops.truncate = posix_truncate
        self.ops.allocate = posix_allocate
        self.ops.size = posix_size
        self.ops.map = posix_map
        self.ops.unmap = posix_unmap
        self.ops.unlink = posix_unlink
        self.ops.rename = posix_rename
        self.ops.mkdir = posix_mkdir
        self.ops.sync_dir = posix_sync_dir
        self.ops.lock = posix_lock
        self.ops.kind = posix_kind
        self.ops.list = posix_list
        self.ops.free_bytes = posix_free_bytes

    def unlock(self, int handle):
        """Lets go of the lock now, also where a forked child still has the handle; closing it in the child does not."""
        flock(handle, LOCK_UN)
