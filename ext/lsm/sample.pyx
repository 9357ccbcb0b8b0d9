"""Blocks of open tables as raw bytes, to judge by them how their like should be compressed.

Guarantees: what is given back was verified. Reads without the GIL; the caller keeps the table open, and holds no lock.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from lsm.engine cimport Table
from lsm.failure cimport fail, set_corruption
from lsm.filesystem cimport FS_READ, fs_open, fs_read
from lsm.large_memory cimport large_free, large_new
from lsm.stored cimport stored_unpack, stored_verify_block
from lsm.table cimport set_unpack_error, table_dictionary, table_t
from lsm.types cimport error_t, u8, u32, u64


def block_count(Table table not None):
    """How many blocks the table has."""
    return table.t.block_count


def raw_blocks(Table table not None, u32 first, u32 count):
    """(codec, stored bytes, raw bytes) of up to `count` blocks from `first` on. Raises CorruptionError, FileError."""
    cdef error_t error
    cdef table_t* t = table.t
    cdef u32 stop = min(<u64>first + count, <u64>t.block_count)
    cdef u8* p
    cdef int status
    if first >= stop:
        return []
    p = <u8*>large_new(t.offsets[stop] - t.offsets[first])
    if p == NULL:
        raise MemoryError
    try:
        with nogil:
            status = read_range(t, p, first, stop, &error)
        if status < 0:
            fail(&error)
        return [raw_block(t, p + (t.offsets[i] - t.offsets[first]), i) for i in range(first, stop)]
    finally:
        large_free(p)


cdef int read_range(table_t* t, u8* p, u32 first, u32 stop, error_t* error) noexcept nogil:
    cdef u64 n = t.offsets[stop] - t.offsets[first]
    cdef int handle = t.handle if t.handle >= 0 else fs_open(t.fs, t.path, FS_READ, error)
    cdef long long got
    if handle < 0:
        return error.status
    got = fs_read(t.fs, handle, p, n, t.offsets[first], t.path, error)
    if handle != t.handle:
        t.fs.close(t.fs.ctx, handle)
    if got < 0:
        return error.status
    if <u64>got < n:
        return set_corruption(error, "table file is cut off", t.path, t.offsets[first] + got, n, got)
    return 0


cdef tuple raw_block(const table_t* t, const u8* stored, u32 i):
    cdef error_t error
    cdef u64 n = t.offsets[i + 1] - t.offsets[i]
    cdef int codec = 0
    cdef u32 raw_bytes = 0
    cdef u32 expected, got
    cdef int result
    cdef bytes raw
    if not stored_verify_block(stored, n, t.info.salt, t.offsets[i], &codec, &raw_bytes, &expected, &got):
        set_corruption(&error, "checksum of a block", t.path, t.offsets[i], expected, got)
        fail(&error)
    raw = PyBytes_FromStringAndSize(NULL, raw_bytes)
    result = stored_unpack(stored, n, codec, table_dictionary(t, codec), <u8*>PyBytes_AS_STRING(raw), raw_bytes)
    if result < 0:
        set_unpack_error(&error, result, t.path, t.offsets[i], raw_bytes)
        fail(&error)
    return codec, n, raw
