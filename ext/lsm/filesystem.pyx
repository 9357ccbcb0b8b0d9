"""The seam to files: retrying functions over raw operations, and the Python face that every file system shares.

Guarantees: no short transfer, no EINTR, no write without progress passes upwards; failures name path and errno.
Any thread, no lock needed; the functions need no GIL and the methods let it go while the operation runs.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EEXIST, EINTR, EIO, ENOENT, ENOMEM, EOPNOTSUPP
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, strlen

from lsm.failure cimport fail_at, set_io_error
from lsm.no_files cimport no_operations
from lsm.types cimport STATUS_OK, STATUS_WOULD_BLOCK, STATUS_WOULD_READ, error_t, i64, u8, u64

import os

from lsm.errors import InvalidArgumentError

cdef extern from "<errno.h>" nogil:
    enum:
        ENOTSUP
        EWOULDBLOCK

READ = FS_READ
WRITE = FS_WRITE
CREATE = FS_CREATE
EXCLUSIVE = FS_EXCLUSIVE
TRUNCATE = FS_TRUNCATE


# ---- retrying functions over the raw operations

cdef int outcome(i64 result, const char* what, const char* path, error_t* error) noexcept nogil:
    if result >= 0:
        return STATUS_OK
    return set_io_error(error, <int>-result, what, path)


cdef i64 fs_read(const fs_ops_t* fs, int handle, void* buffer, size_t n, u64 offset, const char* path,
                 error_t* error) noexcept nogil:
    cdef size_t done = 0
    cdef i64 got
    while done < n:
        got = fs.pread(fs.ctx, handle, <u8*>buffer + done, n - done, offset + done)
        if got == 0:
            break
        if got > 0:
            done += <size_t>got
        elif got != -EINTR:
            return outcome(got, b"cannot read", path, error)
    return <i64>done


cdef i64 fs_read_nowait(const fs_ops_t* fs, int handle, void* buffer, size_t n, u64 offset, const char* path,
                        error_t* error) noexcept nogil:
    cdef size_t done = 0
    cdef i64 got
    while done < n:
        got = fs.pread_nowait(fs.ctx, handle, <u8*>buffer + done, n - done, offset + done)
        if got == 0:
            break
        if got > 0:
            done += <size_t>got
        elif got == -EAGAIN:
            return STATUS_WOULD_READ
        elif got == -EOPNOTSUPP or got == -ENOTSUP:
            return STATUS_WOULD_BLOCK
        elif got != -EINTR:
            return outcome(got, b"cannot read", path, error)
    return <i64>done


cdef i64 fs_read_unless_waiting(const fs_ops_t* fs, int handle, void* buffer, size_t n, u64 offset, const char* path,
                                error_t* error) noexcept nogil:
    cdef i64 got = fs_read_nowait(fs, handle, buffer, n, offset, path, error)
    return fs_read(fs, handle, buffer, n, offset, path, error) if got == STATUS_WOULD_BLOCK else got


cdef int fs_write(const fs_ops_t* fs, int handle, const void* buffer, size_t n, u64 offset, const char* path,
                  error_t* error) noexcept nogil:
    cdef size_t done = 0
    cdef i64 put
    while done < n:
        put = fs.pwrite(fs.ctx, handle, <const u8*>buffer + done, n - done, offset + done)
        if put > 0:
            done += <size_t>put
        elif put == 0:
            return outcome(-EIO, b"cannot write (no progress)", path, error)
        elif put != -EINTR:
            return outcome(put, b"cannot write", path, error)
    return STATUS_OK


cdef int fs_sync(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil:
    """An interrupted sync is asked for again; one that failed is not: what it lost, a second one would hide."""
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.sync(fs.ctx, handle)
    return outcome(r, b"cannot sync", path, error)


cdef int fs_open(const fs_ops_t* fs, const char* path, int flags, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.open(fs.ctx, path, flags)
    return r if r >= 0 else outcome(r, b"cannot open", path, error)


cdef int fs_close(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil:
    """Never retried: after EINTR the handle is gone, and its number may be another thread's by now."""
    cdef int r = fs.close(fs.ctx, handle)
    return STATUS_OK if r == -EINTR else outcome(r, b"cannot close", path, error)


cdef int fs_unlink(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.unlink(fs.ctx, path)
    return outcome(r, b"cannot remove", path, error)


cdef int fs_truncate(const fs_ops_t* fs, int handle, u64 size, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.truncate(fs.ctx, handle, size)
    return outcome(r, b"cannot set the length", path, error)


cdef int fs_allocate(const fs_ops_t* fs, int handle, u64 size, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    if fs.allocate == NULL:
        return STATUS_WOULD_BLOCK
    while r == -EINTR:
        r = fs.allocate(fs.ctx, handle, size)
    if r == -ENOTSUP or r == -EOPNOTSUPP:
        return STATUS_WOULD_BLOCK
    return outcome(r, b"cannot make room", path, error)


cdef i64 fs_size(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil:
    cdef i64 r = -EINTR
    while r == -EINTR:
        r = fs.size(fs.ctx, handle)
    return r if r >= 0 else outcome(r, b"cannot read the length", path, error)


cdef int fs_rename(const fs_ops_t* fs, const char* old, const char* new, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.rename(fs.ctx, old, new)
    return outcome(r, b"cannot rename", old, error)


cdef int fs_mkdir(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.mkdir(fs.ctx, path)
    return outcome(r, b"cannot make the directory", path, error)


cdef int fs_sync_dir(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.sync_dir(fs.ctx, path)
    return outcome(r, b"cannot sync the directory", path, error)


cdef int fs_lock(const fs_ops_t* fs, int handle, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.lock(fs.ctx, handle)
    return STATUS_WOULD_BLOCK if r == -EWOULDBLOCK else outcome(r, b"cannot lock", path, error)


cdef int fs_kind(const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil:
    cdef int r = -EINTR
    while r == -EINTR:
        r = fs.kind(fs.ctx, path)
    return r if r >= 0 else outcome(r, b"cannot look at", path, error)


# ---- names of a directory, each with its NUL, one after the other

cdef struct names_t:
    char* bytes
    size_t used
    size_t room


cdef int names_add(void* sink, const char* name) noexcept nogil:
    cdef names_t* names = <names_t*>sink
    cdef size_t n = strlen(name) + 1
    cdef size_t room
    cdef void* moved
    if names.room - names.used < n:
        room = (names.room + n) * 2 + 1024
        moved = realloc(names.bytes, room)
        if moved == NULL:
            return -ENOMEM
        names.bytes = <char*>moved
        names.room = room
    memcpy(names.bytes + names.used, name, n)
    names.used += n
    return 0


# ---- the Python face

cdef bytes encode(path):
    cdef bytes raw = os.fsencode(path)
    if b"\0" in raw:
        raise InvalidArgumentError(f"{path!r}: a path holds no NUL byte; take it out")
    return raw


cdef i64 not_negative(object number, str name) except -1:
    if number < 0:
        raise InvalidArgumentError(f"{name} is {number}; give 0 or more")
    return number


cdef int fail_for(FileSystem files, const error_t* error, int handle) except -1:
    return fail_at(error, files.paths.get(handle))


cdef int kind_of(FileSystem files, path) except -1:
    cdef bytes raw = encode(path)
    cdef const char* name = raw
    cdef error_t error
    cdef int kind
    with nogil:
        kind = fs_kind(&files.ops, name, &error)
    if kind < 0:
        fail_at(&error, raw)
    return kind


cdef class FileSystem:
    """Files and directories, named by paths (str, bytes or PathLike) and open files by integer handles.

    A failed operation raises FileError, DiskFullError or MemoryError. Nothing survives a power failure before `sync`
    (for bytes and length) and `sync_dir` (for names).
    """

    def __cinit__(self):
        no_operations(&self.ops)
        self.paths = {}

    def open(self, path, int flags=FS_READ):
        cdef bytes raw = encode(path)
        cdef const char* name = raw
        cdef error_t error
        cdef int handle
        with nogil:
            handle = fs_open(&self.ops, name, flags, &error)
        if handle < 0:
            fail_at(&error, raw)
        self.paths[handle] = raw
        return handle

    def close(self, int handle):
        cdef bytes path = self.paths.pop(handle, None)
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_close(&self.ops, handle, NULL, &error)
        if status < 0:
            fail_at(&error, path)

    def read(self, int handle, n, offset):
        """Up to n bytes from `offset`; fewer only at the end of the file."""
        cdef u64 at = <u64>not_negative(offset, "offset")
        cdef i64 want = not_negative(n, "n")
        cdef bytes data = PyBytes_FromStringAndSize(NULL, want)
        cdef char* buffer = PyBytes_AS_STRING(data)
        cdef error_t error
        cdef i64 got
        with nogil:
            got = fs_read(&self.ops, handle, buffer, <size_t>want, at, NULL, &error)
        if got < 0:
            fail_for(self, &error, handle)
        return data if got == want else data[:got]

    def read_nowait(self, int handle, n, offset):
        """As `read`, with the GIL held; None where a disk would, or might, have to be waited for."""
        cdef u64 at = <u64>not_negative(offset, "offset")
        cdef i64 want = not_negative(n, "n")
        cdef bytes data = PyBytes_FromStringAndSize(NULL, want)
        cdef error_t error
        cdef i64 got = fs_read_nowait(&self.ops, handle, PyBytes_AS_STRING(data), <size_t>want, at, NULL, &error)
        if got == STATUS_WOULD_BLOCK or got == STATUS_WOULD_READ:
            return None
        if got < 0:
            fail_for(self, &error, handle)
        return data if got == want else data[:got]

    def write(self, int handle, data, offset):
        """All of `data` at `offset`; a gap before it reads as zeros."""
        cdef u64 at = <u64>not_negative(offset, "offset")
        cdef Py_buffer view
        cdef error_t error
        cdef int status
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            with nogil:
                status = fs_write(&self.ops, handle, view.buf, <size_t>view.len, at, NULL, &error)
        finally:
            PyBuffer_Release(&view)
        if status < 0:
            fail_for(self, &error, handle)

    def sync(self, int handle):
        """Bytes and length survive a power failure on return. After a failure nothing is known; do not ask again."""
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_sync(&self.ops, handle, NULL, &error)
        if status < 0:
            fail_for(self, &error, handle)

    def size(self, int handle):
        cdef error_t error
        cdef i64 size
        with nogil:
            size = fs_size(&self.ops, handle, NULL, &error)
        if size < 0:
            fail_for(self, &error, handle)
        return size

    def truncate(self, int handle, size):
        """Cuts the file, or lengthens it with zeros."""
        cdef u64 wanted = <u64>not_negative(size, "size")
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_truncate(&self.ops, handle, wanted, NULL, &error)
        if status < 0:
            fail_for(self, &error, handle)

    def allocate(self, int handle, size):
        """A shorter file gets that size: zeros that have room on the disk. False where that cannot be had."""
        cdef u64 wanted = not_negative(size, "size")
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_allocate(&self.ops, handle, wanted, NULL, &error)
        if status < 0 and status != STATUS_WOULD_BLOCK:
            fail_for(self, &error, handle)
        return status == STATUS_OK

    def lock(self, int handle):
        """True: the file is this handle's until it is closed. False: another handle, here or elsewhere, has it."""
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_lock(&self.ops, handle, NULL, &error)
        if status < 0 and status != STATUS_WOULD_BLOCK:
            fail_for(self, &error, handle)
        return status == STATUS_OK

    def unlock(self, int handle):
        """Lets go of the lock now, also where a forked child still has the handle; closing it in the child does not."""

    def map(self, int handle, n):
        """The first n bytes, shared and writable, or None where that cannot be had (or the file is shorter)."""
        cdef size_t size = <size_t>not_negative(n, "n")
        cdef MappedFile mapped
        cdef void* address
        with nogil:
            address = self.ops.map(self.ops.ctx, handle, size)
        if address == NULL:
            return None
        mapped = MappedFile.__new__(MappedFile)
        mapped.files = self
        mapped.address = address
        mapped.size = size
        return mapped

    def unlink(self, path, *, missing_ok=False):
        cdef bytes raw = encode(path)
        cdef const char* name = raw
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_unlink(&self.ops, name, &error)
        if status < 0 and not (missing_ok and error.os_error == ENOENT):
            fail_at(&error, raw)

    def rename(self, old, new):
        """Replaces `new` where it exists, in one step."""
        cdef bytes raw_old = encode(old)
        cdef bytes raw_new = encode(new)
        cdef const char* old_name = raw_old
        cdef const char* new_name = raw_new
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_rename(&self.ops, old_name, new_name, &error)
        if status < 0:
            fail_at(&error, raw_old)

    def mkdir(self, path, *, exist_ok=False):
        cdef bytes raw = encode(path)
        cdef const char* name = raw
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_mkdir(&self.ops, name, &error)
        if status < 0 and not (exist_ok and error.os_error == EEXIST and self.is_dir(path)):
            fail_at(&error, raw)

    def sync_dir(self, path):
        """Names made, renamed and removed in the directory so far survive a power failure on return."""
        cdef bytes raw = encode(path)
        cdef const char* name = raw
        cdef error_t error
        cdef int status
        with nogil:
            status = fs_sync_dir(&self.ops, name, &error)
        if status < 0:
            fail_at(&error, raw)

    def exists(self, path):
        return kind_of(self, path) != FS_ABSENT

    def is_dir(self, path):
        return kind_of(self, path) == FS_DIRECTORY

    def listdir(self, path):
        """The names in a directory, sorted."""
        cdef bytes raw = encode(path)
        cdef const char* name = raw
        cdef names_t names = names_t(bytes=NULL, used=0, room=0)
        cdef error_t error
        cdef int r = -EINTR
        try:
            with nogil:
                while r == -EINTR:
                    names.used = 0
                    r = self.ops.list(self.ops.ctx, name, names_add, &names)
            if outcome(r, b"cannot list", name, &error) < 0:
                fail_at(&error, raw)
            found = set(PyBytes_FromStringAndSize(names.bytes, names.used).split(b"\0")) - {b""}
        finally:
            free(names.bytes)
        return sorted([os.fsdecode(each) for each in found])

    def free_bytes(self, path):
        """Room that is left for this user where `path` lies; None where there is no such number."""
        cdef bytes raw = encode(path)
        cdef const char* name = raw
        cdef error_t error
        cdef i64 r = -EINTR
        with nogil:
            while r == -EINTR:
                r = self.ops.free_bytes(self.ops.ctx, name)
        if r == -ENOTSUP:
            return None
        if outcome(r, b"cannot ask for free space", name, &error) < 0:
            fail_at(&error, raw)
        return r

    def read_file(self, path):
        """The whole of a file."""
        handle = self.open(path, FS_READ)
        try:
            return self.read(handle, self.size(handle), 0)
        finally:
            self.close(handle)

    def write_file_atomically(self, path, data):
        """After any failure the file is the old one or the new one, whole; on return it is the new one, durably.

        One writer per path: the bytes go to `path` + ".tmp" first.
        """
        cdef bytes raw = encode(path)
        cdef bytes temporary = raw + b".tmp"
        try:
            handle = self.open(temporary, FS_WRITE | FS_CREATE | FS_TRUNCATE)
            try:
                self.write(handle, data, 0)
                self.sync(handle)
            finally:
                self.close(handle)
            self.rename(temporary, raw)
        except BaseException:
            try:
                self.unlink(temporary, missing_ok=True)
            except OSError:
                pass                   # the first failure is the one to report; the next write replaces the file
            raise
        self.sync_dir(os.path.dirname(raw) or b".")


@cython.final
@cython.no_gc_clear
cdef class MappedFile:
    """Bytes of a file, shared with it, as a writable buffer; the mapping goes with the last reference."""
    cdef FileSystem files
    cdef void* address
    cdef size_t size

    def __init__(self):
        raise TypeError("a mapping comes from FileSystem.map()")

    def __dealloc__(self):
        if self.address != NULL:
            self.files.ops.unmap(self.files.ops.ctx, self.address, self.size)

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer* view, int flags):
        if self.address == NULL:
            raise BufferError("nothing is mapped")
        PyBuffer_FillInfo(view, self, self.address, <Py_ssize_t>self.size, 0, flags)
