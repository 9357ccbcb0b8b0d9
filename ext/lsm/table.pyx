"""Open tables: finding blocks by key, reading and verifying them. docs/format/table.md has the bytes.

Guarantees: no byte of a block is used before its checksum and every length in it were checked; a table never changes.
Callable from any thread without the GIL; reference counts and `cached` belong to whoever holds the database's lock.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, strdup

from lsm.block cimport CODEC_NONE, block_decode, block_free, block_t
from lsm.failure cimport set_corruption, set_io_error, set_no_memory
from lsm.filesystem cimport FS_READ, fs_open, fs_ops_t, fs_read, fs_read_nowait, fs_read_unless_waiting
from lsm.keys cimport first8, key_compare
from lsm.packed cimport PACKED_MOST, packed_bytes, packed_new
from lsm.stored cimport (UNPACK_NO_MEMORY, UNPACK_UNAVAILABLE, codec_is_zstd, stored_codec, stored_unpack,
                         stored_verify_block)
from lsm.table_load cimport table_load
from lsm.types cimport (STATUS_CORRUPT, STATUS_NO_MEMORY, STATUS_WOULD_BLOCK, STATUS_WOULD_READ, error_t, i64,
                        prefetch, u8, u32, u64)

cdef extern from "errno.h" nogil:
    const int ENOTSUP

cdef enum:
    STACK_STORED = 16384              # blocks up to here are read without an allocation
    STACK_RAW = 32768                 # and up to here decompressed without one


cdef table_t* table_open(const fs_ops_t* fs, const char* path, u64 number, const u8* database_id, u64 seed,
                         error_t* error) noexcept nogil:
    cdef table_t* t = <table_t*>calloc(1, sizeof(table_t))
    if t == NULL:
        set_no_memory(error)
        return NULL
    t.refs = 1
    t.fs = fs
    t.seed = seed
    t.handle = -1
    t.path = strdup(path)
    if t.path == NULL:
        set_no_memory(error)
        table_free(t)
        return NULL
    t.handle = fs_open(fs, path, FS_READ, error)
    if t.handle < 0:
        table_free(t)
        return NULL
    if table_load(t, number, database_id, error) < 0:
        table_free(t)
        return NULL
    t.charge += sizeof(table_t) + t.info.smallest_bytes + t.info.largest_bytes
    return t


cdef void table_free(table_t* t) noexcept nogil:
    if t == NULL:
        return
    if t.handle >= 0:
        t.fs.close(t.fs.ctx, t.handle)
    free(t.path)
    free(t.info.smallest)
    free(t.info.largest)
    free(t.filter)
    free(t.separators8)
    free(t.separator_ends)
    free(t.separators)
    free(t.offsets)
    free(t.cached)
    free(<void*>t.dictionary.p)
    free(t)


cdef u32 first_not_below(const u64* a, u32 n, u64 v) noexcept nogil:
    """Index of the first of n ascending numbers that is >= v. Without a branch that depends on the data."""
    cdef const u64* base = a
    cdef u32 half
    if n == 0:
        return 0
    while n > 1:
        half = n >> 1
        base += (<u64>(base[half - 1] < v)) * half
        n -= half
    return <u32>(base - a) + (base[0] < v)


cdef inline u32 count_below(const u64* a, u32 n, u64 v) noexcept nogil:
    """How many of the first n numbers, eight at most, are < v."""
    cdef u32 count = 0
    cdef u32 i
    for i in range(n if n < 8 else 8):
        count += a[i] < v
    return count


cdef inline u32 first_separator(const table_t* t, u64 v) noexcept nogil:
    """first_not_below in all of separators8: the last two lines of the search are one miss each, the rest stays near."""
    cdef u32 n = t.block_count
    cdef u32 i = first_not_below(t.every64, n >> 6, v) << 3
    i += count_below(t.every8 + i, (n >> 3) - i, v)
    i <<= 3
    prefetch(&t.cached[i])             # where the block is looked up next
    return i + count_below(t.separators8 + i, n - i, v)


cdef u32 settle_tie(const table_t* t, u32 low, u64 v, const u8* key, u32 key_bytes) noexcept nogil:
    """The first separator >= key among those from `low` on whose eight bytes are v, else the one after them."""
    cdef u32 high = t.block_count
    cdef u32 middle
    if v != ~<u64>0:
        high = low + first_not_below(t.separators8 + low, t.block_count - low, v + 1)
    while low < high:
        middle = low + ((high - low) >> 1)
        if key_compare(t.separators + t.separator_ends[middle],
                       t.separator_ends[middle + 1] - t.separator_ends[middle], key, key_bytes) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef u32 table_find_block(const table_t* t, const u8* key, u32 key_bytes) noexcept nogil:
    cdef u32 skip = t.skip
    cdef u32 i
    cdef u64 v
    cdef int c
    if skip:
        c = memcmp(key, t.info.smallest, skip if skip < key_bytes else key_bytes)
        if c > 0:
            return t.block_count
        if c < 0 or key_bytes < skip:
            return 0
    v = first8(key + skip, key_bytes - skip)
    i = first_separator(t, v)
    if i < t.block_count and t.separators8[i] == v:
        return settle_tie(t, i, v, key + skip, key_bytes - skip)
    return i


cdef int set_unpack_error(error_t* error, int result, const char* path, u64 offset, u32 raw_bytes) noexcept nogil:
    if result == UNPACK_NO_MEMORY:
        return set_no_memory(error)
    if result == UNPACK_UNAVAILABLE:
        return set_io_error(error, ENOTSUP, "package zstandard with its C backend, which reads this table, is not there", path)
    return set_corruption(error, "compressed bytes of a block", path, offset, raw_bytes, 0)


cdef block_t* decode_raw(const table_t* t, const u8* raw, u32 raw_bytes, u64 offset, bint with_buckets,
                         error_t* error) noexcept nogil:
    cdef int status = 0
    cdef block_t* b = block_decode(raw, raw_bytes, t.seed, with_buckets, &status)
    if b == NULL:
        if status == STATUS_NO_MEMORY:
            set_no_memory(error)
        else:
            set_corruption(error, "columns of a block", t.path, offset, raw_bytes, 0)
    return b


cdef block_t* unpack_and_decode(const table_t* t, const u8* stored, size_t n, int codec, u32 raw_bytes,
                                u64 offset, bint with_buckets, error_t* error) noexcept nogil:
    cdef u8[32768] scratch
    cdef u8* raw = scratch
    cdef block_t* b = NULL
    cdef int result
    if raw_bytes > STACK_RAW:
        raw = <u8*>malloc(raw_bytes)
        if raw == NULL:
            set_no_memory(error)
            return NULL
    result = stored_unpack(stored, n, codec, table_dictionary(t, codec), raw, raw_bytes)
    if result == 0:
        b = decode_raw(t, raw, raw_bytes, offset, with_buckets, error)
    else:
        set_unpack_error(error, result, t.path, offset, raw_bytes)
    if raw != scratch:
        free(raw)
    return b


cdef bint verified(const table_t* t, u32 i, const u8* stored, int* codec, u32* raw_bytes,
                   error_t* error) noexcept nogil:
    cdef u32 expected = 0
    cdef u32 got = 0
    if stored_verify_block(stored, t.offsets[i + 1] - t.offsets[i], t.info.salt, t.offsets[i], codec, raw_bytes,
                           &expected, &got):
        return True
    set_corruption(error, "checksum of a block", t.path, t.offsets[i], expected, got)
    return False


cdef block_t* decode_verified(const table_t* t, u32 i, const u8* stored, int codec, u32 raw_bytes, bint with_buckets,
                              error_t* error) noexcept nogil:
    cdef u64 offset = t.offsets[i]
    cdef block_t* b
    if codec == CODEC_NONE:
        b = decode_raw(t, stored, raw_bytes, offset, with_buckets, error)
    else:
        b = unpack_and_decode(t, stored, t.offsets[i + 1] - offset, codec, raw_bytes, offset, with_buckets, error)
    if b != NULL:
        b.owner = <void*>t
        b.number = i
    return b


cdef block_t* table_decode_block(const table_t* t, u32 i, const u8* stored, bint with_buckets,
                                 error_t* error) noexcept nogil:
    cdef int codec = 0
    cdef u32 raw_bytes = 0
    if not verified(t, i, stored, &codec, &raw_bytes, error):
        return NULL
    return decode_verified(t, i, stored, codec, raw_bytes, with_buckets, error)


cdef block_t* table_unpack(const table_t* t, const block_t* packed, bint with_buckets, error_t* error) noexcept nogil:
    return decode_verified(t, packed.number, packed_bytes(packed), packed.codec, packed.raw_bytes, with_buckets, error)


cdef int would_wait(error_t* error, int status) noexcept nogil:
    error.status = status
    return status


cdef int read_stored(table_t* t, int handle, u8* p, u64 n, u64 offset, int how, error_t* error) noexcept nogil:
    cdef i64 got
    if how == READ_WAIT:
        got = fs_read(t.fs, handle, p, n, offset, t.path, error)
    elif how == READ_UNLESS_DISK:
        got = fs_read_unless_waiting(t.fs, handle, p, n, offset, t.path, error)
    else:
        got = fs_read_nowait(t.fs, handle, p, n, offset, t.path, error)
    if got == STATUS_WOULD_BLOCK or got == STATUS_WOULD_READ:
        return would_wait(error, <int>got)
    if got < 0:
        return error.status
    if <u64>got < n:
        return set_corruption(error, "table file is cut off", t.path, offset + got, n, got)
    if how == READ_NOWAIT and codec_is_zstd(stored_codec(p, n)):
        return would_wait(error, STATUS_WOULD_BLOCK)
    return 0


cdef block_t* read_decoded(table_t* t, int handle, u32 i, int how, error_t* error) noexcept nogil:
    cdef u8[16384] near
    cdef u64 n = t.offsets[i + 1] - t.offsets[i]
    cdef u8* p = near
    cdef block_t* b = NULL
    if n > STACK_STORED:
        p = <u8*>malloc(n)
        if p == NULL:
            set_no_memory(error)
            return NULL
    if read_stored(t, handle, p, n, t.offsets[i], how, error) == 0:
        b = table_decode_block(t, i, p, True, error)
    if p != near:
        free(p)
    return b


cdef block_t* read_packed(table_t* t, int handle, u32 i, int how, error_t* error) noexcept nogil:
    """Read right to where it stays, unless it turns out to be one that has to be decoded."""
    cdef u64 n = t.offsets[i + 1] - t.offsets[i]
    cdef block_t* b = packed_new(n)
    cdef block_t* decoded = NULL
    if b == NULL:
        set_no_memory(error)
        return NULL
    if (read_stored(t, handle, packed_bytes(b), n, t.offsets[i], how, error) == 0
            and verified(t, i, packed_bytes(b), &b.codec, &b.raw_bytes, error)):
        if not codec_is_zstd(b.codec) and b.raw_bytes <= PACKED_MOST:
            b.packed_bytes = <u32>n
            b.owner = t
            b.number = i
            return b
        decoded = decode_verified(t, i, packed_bytes(b), b.codec, b.raw_bytes, True, error)
    block_free(b)
    return decoded


cdef inline block_t* read_with(table_t* t, int handle, u32 i, int how, bint packed, error_t* error) noexcept nogil:
    if packed:
        return read_packed(t, handle, i, how, error)
    return read_decoded(t, handle, i, how, error)


cdef block_t* read_block(table_t* t, u32 i, int how, bint packed, error_t* error) noexcept nogil:
    cdef int handle = t.handle
    cdef block_t* b
    if how != READ_WAIT and handle < 0:
        would_wait(error, STATUS_WOULD_READ)
        return NULL
    # most blocks of such a table are zstd ones: no use in reading them twice
    if how == READ_NOWAIT and t.has_zstd:
        would_wait(error, STATUS_WOULD_BLOCK)
        return NULL
    if handle >= 0:
        return read_with(t, handle, i, how, packed, error)
    handle = fs_open(t.fs, t.path, FS_READ, error)
    if handle < 0:
        return NULL
    b = read_with(t, handle, i, READ_WAIT, packed, error)
    t.fs.close(t.fs.ctx, handle)
    return b


cdef block_t* table_read_block(table_t* t, u32 i, int how, error_t* error) noexcept nogil:
    return read_block(t, i, how, False, error)


cdef block_t* table_read_packed(table_t* t, u32 i, int how, error_t* error) noexcept nogil:
    return read_block(t, i, how, True, error)
