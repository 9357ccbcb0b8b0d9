"""zstd for blocks, through the `zstandard` package.

Guarantees: decoding gives exactly as many bytes as were asked for, or fails; no frame makes it allocate more than that.
Any thread; callers hold no native lock, since every call takes the GIL. Each thread has compressors and decompressors of
its own: one of each, and a few for the dictionaries it met last.
"""
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcmp, memcpy

from lsm.types cimport u8, u32, u64
from lsm.xxh64 cimport xxh64

import threading

from lsm import errors

LEVEL = 3
DICTIONARIES = 128                     # in memory, prepared: about 60 KiB each
CODECS_PER_THREAD = 4                  # with a dictionary: about 200 KiB each

cdef dict prepared = {}                # by hash: (bytes, zstandard's form of them)
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


cdef u64 zstd_dictionary_hash(const u8* p, size_t n) noexcept nogil:
    return xxh64(p, n, 0)


cdef object dictionary_of(const zstd_dictionary_t* d):
    """zstandard's form of a dictionary, made once: all tables of a compaction have the same."""
    cdef bytes content
    found = prepared.get(d.hash)
    if found is not None:
        content = found[0]
        if <size_t>PyBytes_GET_SIZE(content) == d.bytes and memcmp(PyBytes_AS_STRING(content), d.p, d.bytes) == 0:
            return found[1]
    content = (<const char*>d.p)[:d.bytes]
    made = zstandard().ZstdCompressionDict(content)
    make_room(prepared, DICTIONARIES)
    prepared[d.hash] = (content, made)
    return made


cdef int make_room(dict of, Py_ssize_t most) except -1:
    """The oldest go: dicts are in the order of insertion."""
    while len(of) >= most:
        del of[next(iter(of))]
    return 0


cdef object with_dictionary(str name, tuple key, dictionary, int level):
    """This thread's compressor (level 0: decompressor) under a key, for this very dictionary."""
    try:
        mine = getattr(codecs, name)
    except AttributeError:
        mine = {}
        setattr(codecs, name, mine)
    found = mine.get(key)
    if found is None or found[0] is not dictionary:
        mine.pop(key, None)
        make_room(mine, CODECS_PER_THREAD)
        if level:
            # which dictionary it is, the table says: four bytes less in every block
            made = zstandard().ZstdCompressor(level=level, dict_data=dictionary, write_dict_id=False)
        else:
            made = zstandard().ZstdDecompressor(dict_data=dictionary)
        found = mine[key] = (dictionary, made)
    return found[1]


cdef object decompressor(const zstd_dictionary_t* d):
    if d != NULL:
        return with_dictionary("decompressors", (d.hash,), dictionary_of(d), 0)
    try:
        return codecs.decompressor
    except AttributeError:
        codecs.decompressor = zstandard().ZstdDecompressor()
        return codecs.decompressor


cdef object compressor(int level, const zstd_dictionary_t* d):
    if d != NULL:
        return with_dictionary("compressors", (level, d.hash), dictionary_of(d), level)
    try:
        if codecs.level == level:
            return codecs.compressor
    except AttributeError:
        pass
    codecs.compressor = zstandard().ZstdCompressor(level=level)
    codecs.level = level
    return codecs.compressor


cdef object view(const void* p, size_t n):
    return PyMemoryView_FromMemory(<char*>p, n, PyBUF_READ)


cdef object segmented(const u8* p, size_t n, const segment_t* segments, u32 count):
    return zstandard().BufferWithSegments(view(p, n), view(segments, count * sizeof(segment_t)))


cdef int reason(object error) noexcept:
    if isinstance(error, MemoryError):
        return ZSTD_NO_MEMORY
    return ZSTD_UNAVAILABLE if isinstance(error, ImportError) else ZSTD_MALFORMED


cdef int zstd_decode(const u8* source, size_t source_bytes, const zstd_dictionary_t* dictionary, u8* target,
                     size_t n) noexcept nogil:
    with gil:
        try:
            frame = view(source, source_bytes)
            # a size written in the frame is what zstandard would allocate, whatever limit it is given
            if zstandard().frame_content_size(frame) != <object>n:
                return ZSTD_MALFORMED
            raw = decompressor(dictionary).decompress(frame, max_output_size=n, allow_extra_data=False)
            if PyBytes_GET_SIZE(raw) != <Py_ssize_t>n:
                return ZSTD_MALFORMED
            memcpy(target, PyBytes_AS_STRING(raw), n)
            return 0
        except BaseException as error:
            return reason(error)


cdef int zstd_decode_many(const u8* stretch, size_t n, const segment_t* frames, u32 count, const u64* sizes,
                          const zstd_dictionary_t* dictionary, u8* target) noexcept nogil:
    with gil:
        try:
            found = decompressor(dictionary).multi_decompress_to_buffer(
                segmented(stretch, n, frames, count), decompressed_sizes=view(sizes, count * sizeof(u64)), threads=0)
            return gather(found, count, sizes, NULL, target, NULL)
        except BaseException as error:
            return reason(error)


cdef int zstd_encode_many(const u8* raw, size_t n, const segment_t* pieces, u32 count, const u64* limits, int level,
                          const zstd_dictionary_t* dictionary, u8* target, u64* sizes) noexcept nogil:
    with gil:
        try:
            found = compressor(level, dictionary).multi_compress_to_buffer(segmented(raw, n, pieces, count), threads=0)
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


cdef const zstd_dictionary_t* held(bytes dictionary, zstd_dictionary_t* d):
    if not dictionary:
        return NULL
    d.p = <const u8*>PyBytes_AS_STRING(dictionary)
    d.bytes = PyBytes_GET_SIZE(dictionary)
    d.hash = zstd_dictionary_hash(d.p, d.bytes)
    return d


def compress(bytes data not None, int level=LEVEL, bytes dictionary not None=b""):
    """One frame, as tables hold it."""
    cdef zstd_dictionary_t d
    return compressor(level, held(dictionary, &d)).compress(data)


def decompress(bytes data not None, Py_ssize_t size, bytes dictionary not None=b""):
    """The `size` bytes that the frame holds; CorruptionError where it does not hold exactly as many."""
    cdef zstd_dictionary_t d
    cdef bytearray out = bytearray(size)
    cdef u8* p = out
    cdef int status = zstd_decode(data, len(data), held(dictionary, &d), p, size)
    if status == ZSTD_NO_MEMORY:
        raise MemoryError
    if status != 0:
        raise errors.CorruptionError(None, 0, f"{size} bytes", f"{len(data)} compressed ones", "a zstd frame")
    return bytes(out)
