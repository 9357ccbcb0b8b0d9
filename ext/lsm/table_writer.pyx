"""Writing a table: entries in order become blocks, filter, index and footer. docs/format/table.md has the bytes.

Guarantees: after finish the file is whole and durable; a failure is reported once and then again by every later call.
A writer belongs to one thread; nothing here takes a lock, nor the GIL but for zstd: once for some MiB of blocks.
"""
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset, strdup

from lsm.block cimport CODEC_LZ4, CODEC_NONE, CODEC_ZSTD_DICTIONARY
from lsm.block_builder cimport (block_builder_add, block_builder_bytes, block_builder_finish, block_builder_free,
                                block_builder_last_key, block_builder_new, block_builder_reset)
from lsm.bloom cimport bloom_build, bloom_bytes
from lsm.columns cimport BLOCK_MAX_ENTRIES
from lsm.failure cimport set_corruption, set_io_error, set_no_memory
from lsm.filesystem cimport FS_CREATE, FS_TRUNCATE, FS_WRITE, fs_open, fs_ops_t, fs_sync, fs_write
from lsm.keys cimport ENGINE_KEY_MAX, common_prefix, key_compare
from lsm.large_memory cimport large_free, large_grow, large_new
from lsm.separator cimport separator_between
from lsm.stored cimport STORED_TRAILER, codec_is_zstd, placed_crc, stored_encode, stored_seal
from lsm.table_format cimport *
from lsm.types cimport KIND_DELETE, KIND_DELETE_RANGE, MAX_VALUE_BYTES, put16, put32, put64, u8, u32, u64, error_t
from lsm.xxh64 cimport xxh64
from lsm.zstd cimport ZSTD_UNAVAILABLE, zstd_dictionary_hash
from lsm.zstd_pack cimport (zstd_pack_add, zstd_pack_clear, zstd_pack_compress, zstd_pack_free, zstd_pack_full,
                            zstd_pack_new)

cdef extern from "errno.h" nogil:
    const int ENOTSUP

cdef enum:
    BUFFER = 131072                   # small enough to lie in a processor's own cache until it is written


cdef table_writer_t* table_writer_new(const fs_ops_t* fs, const char* path, const table_options_t* options,
                                      error_t* error) noexcept nogil:
    cdef table_writer_t* w
    w = <table_writer_t*>calloc(1, sizeof(table_writer_t))
    if w == NULL:
        set_no_memory(error)
        return NULL
    w.fs = fs
    w.handle = -1
    w.options = options[0]
    memcpy(w.id, options.database_id, 16)
    w.options.database_id = w.id
    w.path = strdup(path)
    w.builder = block_builder_new()
    w.capacity = BUFFER
    w.buffer = <u8*>large_new(BUFFER)
    if options.codec == CODEC_ZSTD_DICTIONARY:
        w.dictionary.p = options.dictionary
        w.dictionary.bytes = options.dictionary_bytes
        w.dictionary.hash = zstd_dictionary_hash(options.dictionary, options.dictionary_bytes)
    if codec_is_zstd(options.codec):
        w.pack = zstd_pack_new(options.zstd_level, &w.dictionary if w.dictionary.p != NULL else NULL)
    if w.path == NULL or w.builder == NULL or w.buffer == NULL or (codec_is_zstd(options.codec) and w.pack == NULL):
        set_no_memory(error)
        table_writer_free(w)
        return NULL
    w.info.number = options.number
    w.info.salt = options.salt
    w.info.min_seq = w.info.min_hash = ~<u64>0
    w.handle = fs_open(fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE, error)
    if w.handle < 0:
        table_writer_free(w)
        return NULL
    put_header(w)
    return w


cdef void table_writer_free(table_writer_t* w) noexcept nogil:
    if w == NULL:
        return
    close_file(w)
    block_builder_free(w.builder)
    zstd_pack_free(w.pack)
    free(w.path)
    large_free(w.buffer)
    if not w.hashes_lent:
        large_free(w.hashes)
    large_free(w.sizes)
    large_free(w.separator_ends)
    large_free(w.separators)
    free(w.info.smallest)
    free(w.info.largest)
    free(w)


cdef void close_file(table_writer_t* w) noexcept nogil:
    if w.handle >= 0:
        w.fs.close(w.fs.ctx, w.handle)
        w.handle = -1


cdef inline u32 format_version(const table_writer_t* w) noexcept nogil:
    """The lowest that says what is in the file, so that older releases read what they can."""
    return TABLE_VERSION if w.dictionary.p == NULL else TABLE_VERSION_DICTIONARY


cdef void put_header(table_writer_t* w) noexcept nogil:
    cdef u8* p = w.buffer
    memset(p, 0, HEADER_SIZE)
    memcpy(p + HEADER_MAGIC, table_magic(), 8)
    put32(p + HEADER_VERSION, format_version(w))
    put32(p + HEADER_BYTES, HEADER_SIZE)
    memcpy(p + HEADER_DATABASE_ID, w.id, 16)
    put64(p + HEADER_NUMBER, w.options.number)
    put64(p + HEADER_SALT, w.options.salt)
    put32(p + HEADER_CRC, placed_crc(w.options.salt, 0, p, HEADER_CRC))
    w.buffered = HEADER_SIZE


cdef int failed(table_writer_t* w, error_t* error) noexcept nogil:
    """Remembers the first failure."""
    w.failed = error[0]
    return error.status


cdef int refuse(table_writer_t* w, const char* what, u64 expected, u64 got, error_t* error) noexcept nogil:
    set_corruption(error, what, w.path, w.written + w.buffered, expected, got)
    return failed(w, error)


cdef int no_memory(table_writer_t* w, error_t* error) noexcept nogil:
    set_no_memory(error)
    return failed(w, error)


cdef bint grow(void** p, u64* capacity, u64 needed, size_t each) noexcept nogil:
    cdef u64 n = capacity[0] * 2
    cdef void* grown
    if n < needed:
        n = needed + 1024
    grown = large_grow(p[0], n * each)
    if grown == NULL:
        return False
    p[0] = grown
    capacity[0] = n
    return True


cdef int drain(table_writer_t* w, error_t* error) noexcept nogil:
    """Writes what is buffered."""
    if w.buffered and fs_write(w.fs, w.handle, w.buffer, w.buffered, w.written, w.path, error) < 0:
        return failed(w, error)
    w.written += w.buffered
    w.buffered = 0
    return 0


cdef int make_room(table_writer_t* w, size_t n, error_t* error) noexcept nogil:
    """At least n free bytes in the buffer, which grows for a block above its size and shrinks again after it."""
    cdef u8* grown
    cdef size_t capacity = n if n > BUFFER else BUFFER
    if w.capacity - w.buffered >= n:
        return 0
    if drain(w, error) < 0:
        return error.status
    if capacity != w.capacity:
        grown = <u8*>large_new(capacity)
        if grown == NULL:
            return no_memory(w, error)
        large_free(w.buffer)
        w.buffer = grown
        w.capacity = capacity
    return 0


cdef int add_separator(table_writer_t* w, const u8* next_key, u32 next_bytes, error_t* error) noexcept nogil:
    """The separator of the block being closed; next_key is the first of the block after it, NULL: there is none."""
    cdef u32 n
    cdef const u8* last = block_builder_last_key(w.builder, &n)
    cdef u64 at = w.separator_ends[w.blocks - 1] if w.blocks else 0
    if at + n > w.separators_capacity and not grow(<void**>&w.separators, &w.separators_capacity, at + n, 1):
        return no_memory(w, error)
    if next_key == NULL:
        memcpy(w.separators + at, last, n)
        w.separator_ends[w.blocks] = at + n
    else:
        w.separator_ends[w.blocks] = at + separator_between(last, n, next_key, next_bytes, w.separators + at)
    return 0


cdef int index_room(table_writer_t* w, error_t* error) noexcept nogil:
    cdef u64 sizes = w.blocks_capacity
    cdef u64 ends = w.blocks_capacity
    if w.blocks < w.blocks_capacity:
        return 0
    if (not grow(<void**>&w.sizes, &sizes, w.blocks + 1, 4)
            or not grow(<void**>&w.separator_ends, &ends, w.blocks + 1, 8)):
        return no_memory(w, error)
    w.blocks_capacity = <u32>sizes
    return 0


cdef int close_block(table_writer_t* w, const u8* next_key, u32 next_bytes, error_t* error) noexcept nogil:
    cdef size_t n = 0
    cdef size_t stored
    cdef const u8* raw
    if index_room(w, error) < 0 or add_separator(w, next_key, next_bytes, error) < 0:
        return error.status
    raw = block_builder_finish(w.builder, &n)
    if raw == NULL:
        return no_memory(w, error)
    if w.pack != NULL:
        return keep_block(w, raw, n, error)
    if make_room(w, n + STORED_TRAILER, error) < 0:
        return error.status
    stored = stored_encode(w.options.codec, raw, n, w.options.salt, w.written + w.buffered, w.buffer + w.buffered)
    w.sizes[w.blocks] = <u32>stored
    w.blocks += 1
    w.buffered += stored
    block_builder_reset(w.builder)
    return 0


cdef int keep_block(table_writer_t* w, const u8* raw, size_t n, error_t* error) noexcept nogil:
    """Leaves a closed block until its like are compressed with it."""
    if zstd_pack_add(w.pack, raw, n) < 0:
        return no_memory(w, error)
    w.blocks += 1
    block_builder_reset(w.builder)
    return put_packed(w, error) if zstd_pack_full(w.pack) else 0


cdef u32 put_frame(table_writer_t* w, const u8* raw, size_t n, const u8* frame, size_t frame_bytes,
                   error_t* error) noexcept nogil:
    """Appends one block, raw where there is no frame; its stored size, or 0 on failure."""
    cdef size_t size = frame_bytes if frame_bytes else n
    if make_room(w, size + STORED_TRAILER, error) < 0:
        return 0
    memcpy(w.buffer + w.buffered, frame if frame_bytes else raw, size)
    size = stored_seal(w.buffer + w.buffered, size, w.options.codec if frame_bytes else CODEC_NONE, n, w.options.salt,
                       w.written + w.buffered)
    w.buffered += size
    return <u32>size


cdef int put_packed(table_writer_t* w, error_t* error) noexcept nogil:
    """Compresses and appends the blocks that were kept."""
    cdef zstd_pack_t* pack = w.pack
    cdef const u8* frame
    cdef u32 first, i
    cdef int result
    if pack == NULL or pack.count == 0:
        return 0
    result = zstd_pack_compress(pack)
    if result == ZSTD_UNAVAILABLE:
        set_io_error(error, ENOTSUP, "package zstandard with its C backend is not there", w.path)
        return failed(w, error)
    if result < 0:
        return no_memory(w, error)
    first = w.blocks - pack.count
    frame = pack.frames
    for i in range(pack.count):
        w.sizes[first + i] = put_frame(w, pack.raw + pack.blocks[i].offset, pack.blocks[i].bytes, frame,
                                       pack.sizes[i], error)
        if w.sizes[first + i] == 0:
            return error.status
        frame += pack.sizes[i]
    w.packed_raw += pack.raw_bytes
    zstd_pack_clear(pack)
    return 0


cdef bint copy_key(u8** to, u32* to_bytes, const u8* key, u32 n) noexcept nogil:
    cdef u8* p = <u8*>realloc(to[0], n if n else 1)
    if p == NULL:
        return False
    memcpy(p, key, n)
    to[0] = p
    to_bytes[0] = n
    return True


cdef inline int new_key(table_writer_t* w, const u8* key, u32 key_bytes, error_t* error) noexcept nogil:
    cdef u64 h = xxh64(key, key_bytes, w.options.seed)
    if h < w.info.min_hash:
        w.info.min_hash = h
    if h > w.info.max_hash:
        w.info.max_hash = h
    if w.options.bits_per_key <= 0:
        return 0
    if w.hash_count == w.hash_capacity and (
            w.hashes_lent or not grow(<void**>&w.hashes, &w.hash_capacity, w.hash_count + 1, 8)):
        return no_memory(w, error)
    w.hashes[w.hash_count] = h
    w.hash_count += 1
    return 0


cdef inline int check_order(table_writer_t* w, const u8* key, u32 key_bytes, u64 seq, error_t* error) noexcept nogil:
    """0: a new key; 1: an older version of the last one; negative: neither."""
    cdef u32 n
    cdef const u8* last
    cdef int c
    if w.builder.count == 0:
        return 0
    last = block_builder_last_key(w.builder, &n)
    c = key_compare(last, n, key, key_bytes)
    if c > 0:
        return refuse(w, "keys given to a table are out of order", 0, 0, error)
    if c == 0 and seq >= w.last_seq:
        return refuse(w, "versions given to a table are out of order", w.last_seq, seq, error)
    return c == 0


cdef int table_writer_add(table_writer_t* w, const u8* key, u32 key_bytes, u64 seq, u64 original_seq, u8 kind,
                          const u8* value, u32 value_bytes, error_t* error) noexcept nogil:
    cdef size_t so_far = block_builder_bytes(w.builder)
    cdef size_t each = <size_t>key_bytes + value_bytes
    cdef int again
    if w.failed.status < 0:
        error[0] = w.failed
        return error.status
    if key_bytes > ENGINE_KEY_MAX or value_bytes > MAX_VALUE_BYTES:
        return refuse(w, "a key or value given to a table is too long", ENGINE_KEY_MAX, each, error)
    again = check_order(w, key, key_bytes, seq, error)
    if again < 0:
        return again
    # what is far larger than a block gets one of its own, so that its neighbours stay cheap to read
    if w.builder.count and (so_far >= w.options.block_bytes or so_far + each > 2 * <size_t>w.options.block_bytes
                            or w.builder.count == BLOCK_MAX_ENTRIES):
        if close_block(w, key, key_bytes, error) < 0:
            return error.status
    if block_builder_add(w.builder, key, key_bytes, seq, kind, value, value_bytes) < 0:
        return no_memory(w, error)
    if again:
        w.repeats += 1
    elif new_key(w, key, key_bytes, error) < 0:
        return error.status
    if w.info.entries == 0 and not copy_key(&w.info.smallest, &w.info.smallest_bytes, key, key_bytes):
        return no_memory(w, error)
    w.last_seq = seq
    w.info.entries += 1
    w.info.raw_bytes += each
    if kind == KIND_DELETE or kind == KIND_DELETE_RANGE:
        w.info.tombstones += 1
    if original_seq:
        table_writer_cover(w, original_seq, original_seq)
    return 0


cdef void table_writer_cover(table_writer_t* w, u64 min_seq, u64 max_seq) noexcept nogil:
    w.info.min_seq = min(w.info.min_seq, min_seq)
    w.info.max_seq = max(w.info.max_seq, max_seq)


cdef u64 table_writer_bytes(const table_writer_t* w) noexcept nogil:
    cdef u64 size = w.written + w.buffered + block_builder_bytes(w.builder)
    if w.pack == NULL:
        return size
    if w.packed_raw == 0:
        return size + w.pack.raw_bytes // 2
    # what waits will shrink as what went before did
    return size + <u64>(<double>w.pack.raw_bytes * <double>(w.written + w.buffered) / <double>w.packed_raw)


cdef u64 table_writer_entries(const table_writer_t* w) noexcept nogil:
    return w.info.entries


cdef void table_writer_lend(table_writer_t* w, u64* room, u64 keys) noexcept nogil:
    w.hashes = room
    w.hash_capacity = keys
    w.hashes_lent = True


cdef void table_writer_set_times(table_writer_t* w, u64 min_time, u64 max_time) noexcept nogil:
    w.info.min_time = min_time
    w.info.max_time = max_time


cdef int put_filter(table_writer_t* w, u64* offset, u64* size, error_t* error) noexcept nogil:
    """Appends the filter and its checksum."""
    size[0] = 0
    offset[0] = w.written + w.buffered
    if w.options.bits_per_key <= 0 or w.hash_count == 0:
        return 0
    size[0] = bloom_bytes(w.hash_count, w.options.bits_per_key)
    # bloom_build works on whole words, which are aligned where the buffer begins
    if drain(w, error) < 0 or make_room(w, size[0] + SECTION_CRC, error) < 0:
        return error.status
    bloom_build(w.buffer, size[0], w.hashes, w.hash_count)
    put32(w.buffer + size[0], placed_crc(w.options.salt, w.written, w.buffer, size[0]))
    w.buffered = size[0] + SECTION_CRC
    return 0


cdef u32 width_for(u64 highest) noexcept nogil:
    return 1 if highest < 256 else (2 if highest < 65536 else 4)


cdef u8* put_column(u8* p, u64 v, u32 width) noexcept nogil:
    if width == 1:
        p[0] = <u8>v
    elif width == 2:
        put16(p, <u32>v)
    else:
        put32(p, <u32>v)
    return p + width


cdef u64 separator_bytes(const table_writer_t* w, u32 i) noexcept nogil:
    return w.separator_ends[i] - (w.separator_ends[i - 1] if i else 0)


cdef u8* raw_index(table_writer_t* w, size_t* n) noexcept nogil:
    """The index before compression, in pages that the caller frees; NULL: none to be had."""
    cdef u64 skip = common_prefix(w.info.smallest, w.info.smallest_bytes, w.info.largest, w.info.largest_bytes)
    cdef u64 largest_size = 0
    cdef u64 longest = 0
    cdef u64 total = w.separator_ends[w.blocks - 1] - w.blocks * skip if w.blocks else 0
    cdef u32 size_width, length_width, i
    cdef u8* raw
    cdef u8* p
    for i in range(w.blocks):
        largest_size = max(largest_size, <u64>w.sizes[i])
        longest = max(longest, separator_bytes(w, i) - skip)
    size_width = width_for(largest_size)
    length_width = width_for(longest)
    n[0] = INDEX_COLUMNS + <u64>w.blocks * (size_width + length_width) + total
    raw = <u8*>large_new(n[0])
    if raw == NULL:
        return NULL
    put32(raw + INDEX_BLOCKS, w.blocks)
    raw[INDEX_SIZE_WIDTH] = <u8>size_width
    raw[INDEX_LENGTH_WIDTH] = <u8>length_width
    put16(raw + INDEX_RESERVED, 0)
    p = raw + INDEX_COLUMNS
    for i in range(w.blocks):
        p = put_column(p, w.sizes[i], size_width)
    for i in range(w.blocks):
        p = put_column(p, separator_bytes(w, i) - skip, length_width)
    for i in range(w.blocks):
        memcpy(p, w.separators + w.separator_ends[i] - separator_bytes(w, i) + skip, separator_bytes(w, i) - skip)
        p += separator_bytes(w, i) - skip
    return raw


cdef int put_index(table_writer_t* w, u64* offset, u64* size, error_t* error) noexcept nogil:
    cdef size_t n = 0
    cdef u8* raw = raw_index(w, &n)
    if raw == NULL:
        return no_memory(w, error)
    if n >= <u64>0xFFFFFFFF:
        large_free(raw)
        return refuse(w, "the index of a table is too large", <u64>0xFFFFFFFF, n, error)
    if make_room(w, n + STORED_TRAILER, error) < 0:
        large_free(raw)
        return error.status
    offset[0] = w.written + w.buffered
    # of a zstd table with LZ4, so that opening it needs no GIL
    size[0] = stored_encode(CODEC_NONE if w.options.codec == CODEC_NONE else CODEC_LZ4, raw, n, w.options.salt,
                            offset[0], w.buffer + w.buffered)
    w.buffered += size[0]
    large_free(raw)
    return 0


cdef int put_dictionary(table_writer_t* w, u64* offset, error_t* error) noexcept nogil:
    """Appends the dictionary and its checksum, behind the index, so that one read of the file's end has both."""
    cdef size_t n = w.dictionary.bytes
    offset[0] = w.written + w.buffered
    if w.dictionary.p == NULL:
        return 0
    if make_room(w, n + SECTION_CRC, error) < 0:
        return error.status
    offset[0] = w.written + w.buffered
    memcpy(w.buffer + w.buffered, w.dictionary.p, n)
    put32(w.buffer + w.buffered + n, placed_crc(w.options.salt, offset[0], w.buffer + w.buffered, n))
    w.buffered += n + SECTION_CRC
    return 0


cdef void fill_footer(table_writer_t* w, u8* p, u64 filter_offset, u64 filter_bytes, u64 index_offset,
                      u64 index_bytes, u64 dictionary_offset) noexcept nogil:
    cdef table_info_t* info = &w.info
    memset(p, 0, FOOTER_SIZE)
    memcpy(p + FOOTER_DATABASE_ID, w.id, 16)
    put64(p + FOOTER_NUMBER, info.number)
    put64(p + FOOTER_SALT, info.salt)
    put64(p + FOOTER_FILE_BYTES, info.file_bytes)
    put64(p + FOOTER_ENTRIES, info.entries)
    put64(p + FOOTER_TOMBSTONES, info.tombstones)
    put64(p + FOOTER_MIN_SEQ, info.min_seq)
    put64(p + FOOTER_MAX_SEQ, info.max_seq)
    put64(p + FOOTER_MIN_TIME, info.min_time)
    put64(p + FOOTER_MAX_TIME, info.max_time)
    put64(p + FOOTER_RAW_BYTES, info.raw_bytes)
    put64(p + FOOTER_MIN_HASH, info.min_hash)
    put64(p + FOOTER_MAX_HASH, info.max_hash)
    put32(p + FOOTER_BLOCKS, w.blocks)
    put32(p + FOOTER_FLAGS, (0 if w.repeats else TABLE_UNIQUE) | (0 if w.pack == NULL else TABLE_ZSTD))
    put64(p + FOOTER_FILTER_OFFSET, filter_offset)
    put64(p + FOOTER_FILTER_BYTES, filter_bytes)
    put32(p + FOOTER_FILTER_KIND, FILTER_BLOCKED_BLOOM if filter_bytes else 0)
    put32(p + FOOTER_SMALLEST_BYTES, info.smallest_bytes)
    put32(p + FOOTER_LARGEST_BYTES, info.largest_bytes)
    put64(p + FOOTER_INDEX_OFFSET, index_offset)
    put64(p + FOOTER_INDEX_BYTES, index_bytes)
    if w.dictionary.p != NULL:
        put64(p + FOOTER_DICTIONARY_OFFSET, dictionary_offset)
        put64(p + FOOTER_DICTIONARY_BYTES, w.dictionary.bytes)
    if info.entries:
        memcpy(p + FOOTER_SIZE, info.smallest, info.smallest_bytes)
        memcpy(p + FOOTER_SIZE + info.smallest_bytes, info.largest, info.largest_bytes)


cdef int put_footer(table_writer_t* w, u64 filter_offset, u64 filter_bytes, u64 index_offset, u64 index_bytes,
                    u64 dictionary_offset, error_t* error) noexcept nogil:
    """Appends footer and tail."""
    cdef size_t n = FOOTER_SIZE + <size_t>w.info.smallest_bytes + w.info.largest_bytes
    cdef u64 offset
    cdef u8* p
    if make_room(w, n + SECTION_CRC + TAIL_SIZE, error) < 0:
        return error.status
    offset = w.written + w.buffered
    p = w.buffer + w.buffered
    w.info.file_bytes = offset + n + SECTION_CRC + TAIL_SIZE
    fill_footer(w, p, filter_offset, filter_bytes, index_offset, index_bytes, dictionary_offset)
    put32(p + n, placed_crc(w.options.salt, offset, p, n))
    p += n + SECTION_CRC
    memset(p, 0, TAIL_SIZE)
    put64(p + TAIL_FOOTER_OFFSET, offset)
    put32(p + TAIL_FOOTER_BYTES, <u32>(n + SECTION_CRC))
    put32(p + TAIL_VERSION, format_version(w))
    memcpy(p + TAIL_MAGIC, table_magic(), 8)
    put32(p + TAIL_CRC, placed_crc(0, w.info.file_bytes - TAIL_SIZE, p, TAIL_CRC))
    w.buffered += n + SECTION_CRC + TAIL_SIZE
    return 0


cdef int note_largest(table_writer_t* w, error_t* error) noexcept nogil:
    cdef u32 n
    cdef const u8* key
    if w.info.min_seq > w.info.max_seq:
        w.info.min_seq = 0
    if w.info.entries == 0:
        w.info.min_hash = 0
        return 0
    key = block_builder_last_key(w.builder, &n)
    if not copy_key(&w.info.largest, &w.info.largest_bytes, key, n):
        return no_memory(w, error)
    return close_block(w, NULL, 0, error)


cdef int table_writer_finish(table_writer_t* w, table_info_t* info, error_t* error) noexcept nogil:
    cdef u64 filter_offset = 0
    cdef u64 filter_bytes = 0
    cdef u64 index_offset = 0
    cdef u64 index_bytes = 0
    cdef u64 dictionary_offset = 0
    if w.failed.status < 0:
        error[0] = w.failed
        return error.status
    if (note_largest(w, error) < 0 or put_packed(w, error) < 0
            or put_filter(w, &filter_offset, &filter_bytes, error) < 0
            or put_index(w, &index_offset, &index_bytes, error) < 0
            or put_dictionary(w, &dictionary_offset, error) < 0
            or put_footer(w, filter_offset, filter_bytes, index_offset, index_bytes, dictionary_offset, error) < 0
            or drain(w, error) < 0):
        return error.status
    if fs_sync(w.fs, w.handle, w.path, error) < 0:
        return failed(w, error)
    close_file(w)
    info[0] = w.info
    w.info.smallest = NULL
    w.info.largest = NULL
    refuse(w, "a table takes nothing after it is finished", 0, 0, &w.failed)
    return 0
