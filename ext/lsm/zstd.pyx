"""zstd for blocks, through the `zstandard` package.

Guarantees: decoding gives exactly as many bytes as were asked for, or fails; no frame makes it allocate more than that.
Any thread; callers hold no native lock, since every call takes the GIL. One compressor and one decompressor per thread.
"""
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcpy

from lsm.types cimport u8, u32, u64

import threading

from lsm import errors

LEVEL = 3

cdef object codecs = threading.local()
cdef object package = None


cdef object zstandard():
    """The package, imported when it is first needed."""
    global package
    if package is None:
        import zstandard as found
        if "multi_decompress_to_buffer" not in found.backend_features:
            raise ImportError(f"zstandard's backend {found.backend!r} cannot work on many blocks at once")
        package = found
    return package


cdef object decompressor():
    try:
        return codecs.decompressor
    except AttributeError:
        codecs.decompressor = zstandard().ZstdDecompressor()
        return codecs.decompressor


cdef object compressor():
    try:
        return codecs.compressor
    except AttributeError:
        codecs.compressor = zstandard().ZstdCompressor(level=LEVEL)
        return codecs.compressor


cdef object view(const void* p, size_t n):
    return PyMemoryView_FromMemory(<char*>p, n, PyBUF_READ)


cdef object segmented(const u8* p, size_t n, const segment_t* segments, u32 count):
    return zstandard().BufferWithSegments(view(p, n), view(segments, count * sizeof(segment_t)))


cdef int reason(object error) noexcept:
    if isinstance(error, MemoryError):
        return ZSTD_NO_MEMORY
    return ZSTD_UNAVAILABLE if isinstance(error, ImportError) else ZSTD_MALFORMED


cdef int zstd_decode(const u8* source, size_t source_bytes, u8* target, size_t n) noexcept nogil:
    with gil:
        try:
            frame = view(source, source_bytes)
            # a size written in the frame is what zstandard would allocate, whatever limit it is given
            if zstandard().frame_content_size(frame) != <object>n:
                return ZSTD_MALFORMED
            raw = decompressor().decompress(frame, max_output_size=n, allow_extra_data=False)
            if PyBytes_GET_SIZE(raw) != <Py_ssize_t>n:
                return ZSTD_MALFORMED
            memcpy(target, PyBytes_AS_STRING(raw), n)
            return 0
        except BaseException as error:
            return reason(error)


cdef int zstd_decode_many(const u8* stretch, size_t n, const segment_t* frames, u32 count, const u64* sizes,
                          u8* target) noexcept nogil:
    with gil:
        try:
            found = decompressor().multi_decompress_to_buffer(
                segmented(stretch, n, frames, count), decompressed_sizes=view(sizes, count * sizeof(u64)), threads=0)
            return gather(found, count, sizes, NULL, target, NULL)
        except BaseException as error:
            return reason(error)


cdef int zstd_encode_many(const u8* raw, size_t n, const segment_t* pieces, u32 count, const u64* limits, u8* target,
                          u64* sizes) noexcept nogil:
    with gil:
        try:
            found = compressor().multi_compress_to_buffer(segmented(raw, n, pieces, count), threads=0)
            return gather(found, count, NULL, limits, target, sizes)
        except BaseException as error:
            return reason(error)


cdef int gather(object found, u32 count, const u64* expected, const u64* limits, u8* target, u64* sizes) except -9:
    """Copies the segments of a result to `target`; each must have the expected size, or be below its limit."""
    cdef Py_buffer b
    cdef u32 i
    cdef u64 size
    cdef int wrong = 0
    if len(found) != <object>count:
        return ZSTD_MALFORMED
    for i in range(count):
        PyObject_GetBuffer(found[i], &b, PyBUF_SIMPLE)
        size = <u64>b.len
        if expected != NULL and size != expected[i]:
            wrong = ZSTD_MALFORMED
        elif limits != NULL and size >= limits[i]:
            sizes[i] = 0
        else:
            memcpy(target, b.buf, size)
            target += size
            if sizes != NULL:
                sizes[i] = size
        PyBuffer_Release(&b)
        if wrong:
            return wrong
    return 0


def compress(bytes data not None):
    """One frame, as tables hold it."""
    return compressor().compress(data)


def decompress(bytes data not None, Py_ssize_t size):
    """The `size` bytes that the frame holds; CorruptionError where it does not hold exactly as many."""
    cdef bytearray out = bytearray(size)
    cdef u8* p = out
    cdef int status = zstd_decode(data, len(data), p, size)
    if status == ZSTD_NO_MEMORY:
        raise MemoryError
    if status != 0:
        raise errors.CorruptionError(None, 0, f"{size} bytes", f"{len(data)} compressed ones", "a zstd frame")
    return bytes(out)
