"""The core's CRC-32C and XXH64, for tools and tests.

Guarantees the values of the `crc32c` and `xxhash` packages, over anything with the buffer protocol.
Any thread, no lock; holds the GIL throughout.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from lsm.crc32c cimport crc32c_extend, crc32c_portable
from lsm.types cimport u32, u64
from lsm.xxh64 cimport xxh64 as xxh64_of


def crc32c(data, u32 value=0):
    """CRC-32C of `data` (a buffer), continuing from `value`, the checksum of the bytes before it."""
    cdef Py_buffer view
    cdef u32 result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    result = crc32c_extend(value, view.buf, view.len)
    PyBuffer_Release(&view)
    return result


def crc32c_from_tables(data, u32 value=0):
    """As `crc32c`, but as a processor without a CRC instruction computes it."""
    cdef Py_buffer view
    cdef u32 result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    result = crc32c_portable(value, view.buf, view.len)
    PyBuffer_Release(&view)
    return result


def xxh64(data, u64 seed=0):
    """XXH64 of `data` (a buffer) under `seed`, as an unsigned integer of 64 bits."""
    cdef Py_buffer view
    cdef u64 result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    result = xxh64_of(view.buf, view.len, seed)
    PyBuffer_Release(&view)
    return result
