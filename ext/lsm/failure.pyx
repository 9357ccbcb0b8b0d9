"""The one place where a kernel's error record becomes a Python exception.

Guarantees: `set_*` fill the whole record, return its status and need no GIL; `fail` always raises. No lock.
"""
from libc.errno cimport EDQUOT, ENOMEM, ENOSPC
from libc.string cimport memset, strncpy

from lsm.types cimport (STATUS_CANCELLED, STATUS_CORRUPT, STATUS_DISK_FULL, STATUS_IO, STATUS_NEWER_FORMAT,
                        STATUS_NO_MEMORY, STATUS_WOULD_BLOCK, STATUS_WOULD_READ, error_t)
from lsm.waiting cimport would_wait

import os

from lsm import errors


cdef void set_text(error_t* error, const char* what, const char* path) noexcept nogil:
    strncpy(error.what, what, sizeof(error.what) - 1)
    if path != NULL:
        strncpy(error.path, path, sizeof(error.path) - 1)


cdef int set_io_error(error_t* error, int os_error, const char* what, const char* path) noexcept nogil:
    """Fills `error` from an errno (positive) and returns its status."""
    memset(error, 0, sizeof(error_t))
    error.os_error = os_error
    if os_error == ENOMEM:
        error.status = STATUS_NO_MEMORY
    elif os_error == ENOSPC or os_error == EDQUOT:
        error.status = STATUS_DISK_FULL
    else:
        error.status = STATUS_IO
    set_text(error, what, path)
    return error.status


cdef int set_corruption(error_t* error, const char* what, const char* path,
                        unsigned long long offset, unsigned long long expected,
                        unsigned long long got) noexcept nogil:
    """Fills `error` with what stands at `offset` of `path` and what should; returns its status."""
    memset(error, 0, sizeof(error_t))
    error.status = STATUS_CORRUPT
    error.offset = offset
    error.expected = expected
    error.got = got
    set_text(error, what, path)
    return error.status


cdef int set_no_memory(error_t* error) noexcept nogil:
    memset(error, 0, sizeof(error_t))
    error.status = STATUS_NO_MEMORY
    return error.status


cdef int set_newer_format(error_t* error, const char* path, unsigned long long found,
                          unsigned long long supported) noexcept nogil:
    """Fills `error` with the version that `path` has and the newest that can be read; returns its status."""
    memset(error, 0, sizeof(error_t))
    error.status = STATUS_NEWER_FORMAT
    error.got = found
    error.expected = supported
    set_text(error, b"", path)
    return error.status


cdef int fail(const error_t* error) except -1:
    """Raises the exception that `error` describes."""
    if error.status == STATUS_WOULD_READ:
        would_wait("a read from the disk")
    if error.status == STATUS_WOULD_BLOCK:
        would_wait("what another thread is at")
    return fail_at(error, <bytes>error.path)


cdef int fail_at(const error_t* error, bytes raw_path) except -1:
    what = (<bytes>error.what).decode("utf-8", "replace")
    path = os.fsdecode(raw_path) if raw_path else None
    if error.status == STATUS_NO_MEMORY:
        raise MemoryError(f"{what}: out of memory" if what else "out of memory")
    if error.status == STATUS_CORRUPT:
        raise errors.CorruptionError(path, error.offset, error.expected, error.got, what)
    if error.status == STATUS_NEWER_FORMAT:
        raise errors.UnsupportedVersionError(path, error.got, error.expected)
    if error.status == STATUS_CANCELLED:
        raise errors.ClosedError("the database was closed while this ran")
    reason = os.strerror(error.os_error) if error.os_error else f"status {error.status}"
    text = f"{what}: {reason}" if what else reason
    if error.status == STATUS_DISK_FULL:
        raise errors.DiskFullError(error.os_error, f"{text}; free some and try again", path)
    raise errors.FileError(error.os_error, text, path)
