"""Opening a table: its footer, filter and index, read with few reads and checked. docs/format/table.md has the bytes.

Guarantees: nothing is used before its checksum and every length in it were checked. Called for a table that nobody
else has yet; no lock, no GIL.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from lsm.block cimport CODEC_NONE, block_t
from lsm.failure cimport set_corruption, set_no_memory
from lsm.filesystem cimport fs_read, fs_size
from lsm.keys cimport ENGINE_KEY_MAX, common_prefix, first8, key_compare
from lsm.stored cimport STORED_TRAILER, placed_crc, stored_unpack, stored_verify
from lsm.table cimport set_unpack_error, table_info_t, table_t
from lsm.table_format cimport *
from lsm.types cimport STATUS_NEWER_FORMAT, error_t, get16, get32, get64, i64, u8, u32, u64
from lsm.zstd cimport zstd_dictionary_hash

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void** p, size_t alignment, size_t n)

cdef enum:
    FIRST_READ = 16384                # of the file's end, and 1/160 of the file: the index mostly lies in it
    FIRST_READ_MAX = 4194304
    DECODED_ENTRY = 12                # ends of key and value, lookup bucket
    DECODED_BLOCK = 192               # its struct and what the allocator rounds up


# The end of a file as far as it was read: bytes [at, size).
cdef struct image_t:
    u8* p
    u64 at
    u64 size


# What the footer says of the other sections.
cdef struct sections_t:
    u64 footer
    u64 footer_bytes
    u64 filter
    u64 filter_bytes
    u64 index
    u64 index_bytes
    u32 version
    u64 dictionary
    u64 dictionary_bytes                # 0: none


cdef int read_exactly(table_t* t, int handle, u8* p, u64 n, u64 offset, error_t* error) noexcept nogil:
    cdef i64 got = fs_read(t.fs, handle, p, n, offset, t.path, error)
    if got < 0:
        return error.status
    if <u64>got < n:
        return set_corruption(error, "table file is cut off", t.path, offset + got, n, got)
    return 0


cdef int reach(table_t* t, image_t* image, u64 offset, error_t* error) noexcept nogil:
    """Extends the image downwards, so that it begins at or before `offset`."""
    cdef u64 kept = image.size - image.at
    cdef u8* p
    if offset >= image.at:
        return 0
    p = <u8*>malloc(image.size - offset)
    if p == NULL:
        return set_no_memory(error)
    if read_exactly(t, t.handle, p, image.at - offset, offset, error) < 0:
        free(p)
        return error.status
    if kept:
        memcpy(p + (image.at - offset), image.p, kept)
    free(image.p)
    image.p = p
    image.at = offset
    return 0


cdef inline const u8* at(const image_t* image, u64 offset) noexcept nogil:
    return image.p + (offset - image.at)


cdef int read_end(table_t* t, image_t* image, error_t* error) noexcept nogil:
    cdef i64 size = fs_size(t.fs, t.handle, t.path, error)
    cdef u64 first
    if size < 0:
        return error.status
    if size < HEADER_SIZE + FOOTER_SIZE + SECTION_CRC + TAIL_SIZE:
        return set_corruption(error, "table file is too short", t.path, size,
                              HEADER_SIZE + FOOTER_SIZE + SECTION_CRC + TAIL_SIZE, size)
    first = FIRST_READ + <u64>size // 160
    if first > FIRST_READ_MAX:
        first = FIRST_READ_MAX
    image.size = image.at = size
    return reach(t, image, size - first if first < <u64>size else 0, error)


cdef int parse_tail(table_t* t, image_t* image, sections_t* s, error_t* error) noexcept nogil:
    cdef u64 offset = image.size - TAIL_SIZE
    cdef const u8* p = at(image, offset)
    cdef u32 crc = placed_crc(0, offset, p, TAIL_CRC)
    if memcmp(p + TAIL_MAGIC, table_magic(), 8) != 0:
        return set_corruption(error, "last bytes of a table", t.path, offset + TAIL_MAGIC,
                              get64(table_magic()), get64(p + TAIL_MAGIC))
    if crc != get32(p + TAIL_CRC):
        return set_corruption(error, "checksum of a table's tail", t.path, offset, get32(p + TAIL_CRC), crc)
    s.version = get32(p + TAIL_VERSION)
    if s.version < TABLE_VERSION or s.version > TABLE_VERSION_DICTIONARY:
        set_corruption(error, "format version of a table", t.path, offset + TAIL_VERSION,
                       TABLE_VERSION_DICTIONARY, s.version)
        if s.version > TABLE_VERSION_DICTIONARY:
            error.status = STATUS_NEWER_FORMAT
        return error.status
    s.footer = get64(p + TAIL_FOOTER_OFFSET)
    s.footer_bytes = get32(p + TAIL_FOOTER_BYTES)
    if (s.footer < HEADER_SIZE or s.footer_bytes < FOOTER_SIZE + SECTION_CRC or s.footer > image.size
            or s.footer + s.footer_bytes + TAIL_SIZE != image.size):
        return set_corruption(error, "place of a table's footer", t.path, offset,
                              image.size, s.footer + s.footer_bytes + TAIL_SIZE)
    return reach(t, image, s.footer, error)


cdef int footer_is(table_t* t, const sections_t* s, int field, u64 expected, u64 got, const char* what,
                   error_t* error) noexcept nogil:
    if expected == got:
        return 0
    return set_corruption(error, what, t.path, s.footer + field, expected, got)


cdef int check_identity(table_t* t, const sections_t* s, const u8* p, u64 number, const u8* database_id,
                        error_t* error) noexcept nogil:
    if footer_is(t, s, FOOTER_NUMBER, number, get64(p + FOOTER_NUMBER), "number of a table", error) < 0:
        return error.status
    if database_id == NULL:
        return 0
    if footer_is(t, s, FOOTER_DATABASE_ID, get64(database_id), get64(p + FOOTER_DATABASE_ID),
                 "database id of a table", error) < 0:
        return error.status
    return footer_is(t, s, FOOTER_DATABASE_ID + 8, get64(database_id + 8), get64(p + FOOTER_DATABASE_ID + 8),
                     "database id of a table", error)


cdef bint sections_fit(const sections_t* s) noexcept nogil:
    """Blocks, filter, index, dictionary and footer follow each other without a gap; no sum can overflow."""
    cdef u64 filter_end = s.filter
    cdef u64 end = s.footer
    if s.filter < HEADER_SIZE or s.filter > s.footer or s.filter_bytes > s.footer or s.filter_bytes % 64:
        return False
    if s.filter_bytes:
        filter_end += s.filter_bytes + SECTION_CRC
    if s.dictionary_bytes:
        if s.dictionary > s.footer or s.footer - s.dictionary < SECTION_CRC:
            return False
        if s.dictionary_bytes != s.footer - s.dictionary - SECTION_CRC:
            return False
        end = s.dictionary
    return s.index == filter_end and s.index_bytes <= end and s.index + s.index_bytes == end


cdef u8* duplicate(const u8* p, size_t n) noexcept nogil:
    cdef u8* copy = <u8*>malloc(n if n else 1)
    if copy != NULL:
        memcpy(copy, p, n)
    return copy


cdef int fill_info(table_t* t, const u8* p, u64 file_bytes, error_t* error) noexcept nogil:
    cdef table_info_t* info = &t.info
    info.number = get64(p + FOOTER_NUMBER)
    info.salt = get64(p + FOOTER_SALT)
    info.file_bytes = file_bytes
    info.entries = get64(p + FOOTER_ENTRIES)
    info.tombstones = get64(p + FOOTER_TOMBSTONES)
    info.min_seq = get64(p + FOOTER_MIN_SEQ)
    info.max_seq = get64(p + FOOTER_MAX_SEQ)
    info.min_time = get64(p + FOOTER_MIN_TIME)
    info.max_time = get64(p + FOOTER_MAX_TIME)
    info.raw_bytes = get64(p + FOOTER_RAW_BYTES)
    info.min_hash = get64(p + FOOTER_MIN_HASH)
    info.max_hash = get64(p + FOOTER_MAX_HASH)
    info.smallest_bytes = get32(p + FOOTER_SMALLEST_BYTES)
    info.largest_bytes = get32(p + FOOTER_LARGEST_BYTES)
    info.smallest = duplicate(p + FOOTER_SIZE, info.smallest_bytes)
    info.largest = duplicate(p + FOOTER_SIZE + info.smallest_bytes, info.largest_bytes)
    if info.smallest == NULL or info.largest == NULL:
        return set_no_memory(error)
    t.block_count = get32(p + FOOTER_BLOCKS)
    t.unique = (get32(p + FOOTER_FLAGS) & TABLE_UNIQUE) != 0
    t.has_zstd = (get32(p + FOOTER_FLAGS) & TABLE_ZSTD) != 0
    t.has_tombstones = info.tombstones != 0
    t.skip = <u32>common_prefix(info.smallest, info.smallest_bytes, info.largest, info.largest_bytes)
    return 0


cdef int parse_footer(table_t* t, image_t* image, sections_t* s, u64 number, const u8* database_id,
                      error_t* error) noexcept nogil:
    cdef const u8* p = at(image, s.footer)
    cdef u64 n = s.footer_bytes - SECTION_CRC
    cdef u32 crc = placed_crc(get64(p + FOOTER_SALT), s.footer, p, n)
    if crc != get32(p + n):
        return set_corruption(error, "checksum of a table's footer", t.path, s.footer, get32(p + n), crc)
    if check_identity(t, s, p, number, database_id, error) < 0:
        return error.status
    if footer_is(t, s, FOOTER_FILE_BYTES, image.size, get64(p + FOOTER_FILE_BYTES), "size of a table", error) < 0:
        return error.status
    if get32(p + FOOTER_SMALLEST_BYTES) > ENGINE_KEY_MAX or get32(p + FOOTER_LARGEST_BYTES) > ENGINE_KEY_MAX:
        return set_corruption(error, "length of a table's bound", t.path, s.footer + FOOTER_SMALLEST_BYTES,
                              ENGINE_KEY_MAX, get32(p + FOOTER_SMALLEST_BYTES))
    if footer_is(t, s, FOOTER_SMALLEST_BYTES, n - FOOTER_SIZE,
                 <u64>get32(p + FOOTER_SMALLEST_BYTES) + get32(p + FOOTER_LARGEST_BYTES),
                 "bounds of a table", error) < 0:
        return error.status
    s.filter = get64(p + FOOTER_FILTER_OFFSET)
    s.filter_bytes = get64(p + FOOTER_FILTER_BYTES)
    s.index = get64(p + FOOTER_INDEX_OFFSET)
    s.index_bytes = get64(p + FOOTER_INDEX_BYTES)
    s.dictionary = s.dictionary_bytes = 0
    if s.version >= TABLE_VERSION_DICTIONARY:
        s.dictionary = get64(p + FOOTER_DICTIONARY_OFFSET)
        s.dictionary_bytes = get64(p + FOOTER_DICTIONARY_BYTES)
    if not sections_fit(s):
        return set_corruption(error, "places of a table's sections", t.path, s.footer + FOOTER_FILTER_OFFSET,
                              s.footer, s.index + s.index_bytes)
    if fill_info(t, p, image.size, error) < 0:
        return error.status
    # last, because it may free the bytes that p is in
    return reach(t, image, s.filter + s.filter_bytes, error)


cdef void* lines(size_t n) noexcept nogil:
    """So many bytes that begin with a cache line; NULL: no memory."""
    cdef void* p = NULL
    return p if posix_memalign(&p, 64, n) == 0 else NULL


cdef int load_filter(table_t* t, const image_t* image, const sections_t* s, u32 kind, error_t* error) noexcept nogil:
    cdef u32 crc, expected
    if s.filter_bytes == 0:
        return 0
    t.filter = <u8*>lines(s.filter_bytes)
    if t.filter == NULL:
        return set_no_memory(error)
    if s.filter >= image.at:
        memcpy(t.filter, at(image, s.filter), s.filter_bytes)
    elif read_exactly(t, t.handle, t.filter, s.filter_bytes, s.filter, error) < 0:
        return error.status
    crc = placed_crc(t.info.salt, s.filter, t.filter, s.filter_bytes)
    expected = get32(at(image, s.filter + s.filter_bytes))
    if crc != expected:
        return set_corruption(error, "checksum of a table's filter", t.path, s.filter, expected, crc)
    if kind != FILTER_BLOCKED_BLOOM:
        free(t.filter)
        t.filter = NULL
        return 0
    t.filter_lines = s.filter_bytes // 64
    t.charge += s.filter_bytes
    return 0


cdef int load_dictionary(table_t* t, const image_t* image, const sections_t* s, error_t* error) noexcept nogil:
    cdef const u8* p = at(image, s.dictionary)
    cdef u32 crc
    if s.dictionary_bytes == 0:
        return 0
    crc = placed_crc(t.info.salt, s.dictionary, p, s.dictionary_bytes)
    if crc != get32(p + s.dictionary_bytes):
        return set_corruption(error, "checksum of a table's dictionary", t.path, s.dictionary,
                              get32(p + s.dictionary_bytes), crc)
    t.dictionary.p = duplicate(p, s.dictionary_bytes)
    if t.dictionary.p == NULL:
        return set_no_memory(error)
    t.dictionary.bytes = s.dictionary_bytes
    t.dictionary.hash = zstd_dictionary_hash(t.dictionary.p, t.dictionary.bytes)
    t.charge += s.dictionary_bytes
    return 0


cdef inline u64 column(const u8* p, u32 i, u32 width) noexcept nogil:
    if width == 1:
        return p[i]
    return get16(p + 2 * <u64>i) if width == 2 else get32(p + 4 * <u64>i)


cdef inline bint is_width(u32 width) noexcept nogil:
    return width == 1 or width == 2 or width == 4


cdef int allocate_index(table_t* t, u64 separators, error_t* error) noexcept nogil:
    cdef u64 blocks = t.block_count
    cdef u64 whole = (blocks + 7) & ~<u64>7          # each of the three begins with a line
    cdef u64 eighth = (blocks // 8 + 7) & ~<u64>7
    t.separators8 = <u64*>lines(8 * (whole + eighth + blocks // 64) + 8)
    t.separator_ends = <u32*>malloc(4 * (blocks + 1))
    t.offsets = <u64*>malloc(8 * (blocks + 1))
    t.cached = <block_t**>calloc(blocks + 1, sizeof(void*))
    t.separators = <u8*>malloc(separators + 1)
    if (t.separators8 == NULL or t.separator_ends == NULL or t.offsets == NULL or t.cached == NULL
            or t.separators == NULL):
        return set_no_memory(error)
    t.every8 = t.separators8 + whole
    t.every64 = t.every8 + eighth
    t.charge += 28 * blocks + blocks // 7 * 8 + separators
    t.decoded_bytes = (t.info.raw_bytes + DECODED_ENTRY * t.info.entries + DECODED_BLOCK * blocks) // 16 * 17
    return 0


cdef bint fill_offsets(table_t* t, const u8* sizes, u32 width, u64 end) noexcept nogil:
    """Offsets of the blocks, which must fill the file from its header to `end`."""
    cdef u64 offset = HEADER_SIZE
    cdef u64 n
    cdef u32 i
    for i in range(t.block_count):
        n = column(sizes, i, width)
        if n < STORED_TRAILER:
            return False
        t.offsets[i] = offset
        offset += n
    t.offsets[t.block_count] = offset
    return offset == end


cdef bint fill_separators(table_t* t, const u8* lengths, u32 width, const u8* suffixes) noexcept nogil:
    """Separators without what all share; they must be in order, none below the smallest key, the last the largest."""
    cdef const u8* last = t.info.smallest + t.skip
    cdef const u8* p = t.separators
    cdef u32 last_bytes = t.info.smallest_bytes - t.skip
    cdef u64 last8 = first8(last, last_bytes)
    cdef u64 p8
    cdef u32 end = 0
    cdef u32 i, n
    for i in range(t.block_count):
        t.separator_ends[i] = end
        end += <u32>column(lengths, i, width)
    t.separator_ends[t.block_count] = end
    memcpy(t.separators, suffixes, end)
    for i in range(t.block_count):
        n = t.separator_ends[i + 1] - t.separator_ends[i]
        p8 = t.separators8[i] = first8(p, n)
        if i % 8 == 7:
            t.every8[i // 8] = p8
            if i % 64 == 63:
                t.every64[i // 64] = p8
        if last8 > p8 or (last8 == p8 and key_compare(last, last_bytes, p, n) > 0):
            return False
        last = p
        last8 = p8
        last_bytes = n
        p += n
    return t.block_count == 0 or key_compare(last, last_bytes, t.info.largest + t.skip,
                                                t.info.largest_bytes - t.skip) == 0


cdef int parse_index(table_t* t, const sections_t* s, const u8* raw, u64 n, error_t* error) noexcept nogil:
    cdef u32 size_width, length_width, i
    cdef u64 columns
    cdef u64 suffixes = 0
    cdef const u8* lengths
    if n < INDEX_COLUMNS or get32(raw + INDEX_BLOCKS) != t.block_count:
        return set_corruption(error, "index of a table", t.path, s.index, t.block_count, n)
    size_width = raw[INDEX_SIZE_WIDTH]
    length_width = raw[INDEX_LENGTH_WIDTH]
    columns = INDEX_COLUMNS + <u64>t.block_count * (size_width + length_width)
    if not is_width(size_width) or not is_width(length_width) or columns > n:
        return set_corruption(error, "columns of a table's index", t.path, s.index, n, columns)
    if <u64>t.block_count * STORED_TRAILER > s.filter - HEADER_SIZE:
        return set_corruption(error, "more blocks than a table has room for", t.path, s.index,
                              (s.filter - HEADER_SIZE) // STORED_TRAILER, t.block_count)
    lengths = raw + INDEX_COLUMNS + <u64>t.block_count * size_width
    for i in range(t.block_count):
        suffixes += column(lengths, i, length_width)
    if columns + suffixes != n:
        return set_corruption(error, "lengths of a table's separators", t.path, s.index, n, columns + suffixes)
    if allocate_index(t, suffixes, error) < 0:
        return error.status
    if not fill_offsets(t, raw + INDEX_COLUMNS, size_width, s.filter):
        return set_corruption(error, "sizes of a table's blocks", t.path, s.index, s.filter, t.offsets[t.block_count])
    if not fill_separators(t, lengths, length_width, raw + columns):
        return set_corruption(error, "separators of a table are out of order", t.path, s.index, 0, 0)
    return 0


cdef int load_index(table_t* t, const image_t* image, const sections_t* s, error_t* error) noexcept nogil:
    cdef const u8* p = at(image, s.index)
    cdef u8* raw
    cdef int codec = 0
    cdef int result
    cdef u32 n = 0
    cdef u32 expected = 0
    cdef u32 got = 0
    if not stored_verify(p, s.index_bytes, t.info.salt, s.index, &codec, &n, &expected, &got):
        return set_corruption(error, "checksum of a table's index", t.path, s.index, expected, got)
    if codec == CODEC_NONE:
        return parse_index(t, s, p, n, error)
    raw = <u8*>malloc(n)
    if raw == NULL:
        return set_no_memory(error)
    result = stored_unpack(p, s.index_bytes, codec, NULL, raw, n)
    if result < 0:
        set_unpack_error(error, result, t.path, s.index, n)
        free(raw)
        return error.status
    result = parse_index(t, s, raw, n, error)
    free(raw)
    return result


cdef int load(table_t* t, image_t* image, u64 number, const u8* database_id, error_t* error) noexcept nogil:
    cdef sections_t s
    cdef u32 kind
    if (read_end(t, image, error) < 0 or parse_tail(t, image, &s, error) < 0
            or parse_footer(t, image, &s, number, database_id, error) < 0):
        return error.status
    kind = get32(at(image, s.footer) + FOOTER_FILTER_KIND)
    if load_filter(t, image, &s, kind, error) < 0 or load_dictionary(t, image, &s, error) < 0:
        return error.status
    return load_index(t, image, &s, error)


cdef int table_load(table_t* t, u64 number, const u8* database_id, error_t* error) noexcept nogil:
    cdef image_t image
    cdef int status
    image.p = NULL
    status = load(t, &image, number, database_id, error)
    free(image.p)
    return status
