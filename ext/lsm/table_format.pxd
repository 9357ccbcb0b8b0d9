# Where each field of a table file stands: docs/format/table.md says the same, and a test holds the two together.
# Persisted: never move a field; a new one takes reserved bytes or a new format version.
cdef enum:
    TABLE_VERSION = 1                 # of tables without a dictionary
    TABLE_VERSION_DICTIONARY = 2
    FILTER_BLOCKED_BLOOM = 1          # kind of filter: 64-byte blocks, six bits of one per key

cdef enum:                            # the file's first bytes; not read when a table is opened
    HEADER_MAGIC = 0
    HEADER_VERSION = 8
    HEADER_BYTES = 12
    HEADER_DATABASE_ID = 16
    HEADER_NUMBER = 32
    HEADER_SALT = 40
    HEADER_EPOCH = 48
    HEADER_CIPHER = 56
    HEADER_KEY_ID = 60
    HEADER_TAG_BYTES = 64
    HEADER_RESERVED = 66
    HEADER_CRC = 124
    HEADER_SIZE = 128

cdef enum:                            # the index, raw: then the columns
    INDEX_BLOCKS = 0
    INDEX_SIZE_WIDTH = 4
    INDEX_LENGTH_WIDTH = 5
    INDEX_RESERVED = 6
    INDEX_COLUMNS = 8

cdef enum:                            # the footer: fixed part, then smallest key, largest key, checksum
    FOOTER_DATABASE_ID = 0
    FOOTER_NUMBER = 16
    FOOTER_SALT = 24
    FOOTER_FILE_BYTES = 32
    FOOTER_ENTRIES = 40
    FOOTER_TOMBSTONES = 48
    FOOTER_MIN_SEQ = 56
    FOOTER_MAX_SEQ = 64
    FOOTER_MIN_TIME = 72
    FOOTER_MAX_TIME = 80
    FOOTER_RAW_BYTES = 88
    FOOTER_MIN_HASH = 96
    FOOTER_MAX_HASH = 104
    FOOTER_BLOCKS = 112
    FOOTER_FLAGS = 116
    FOOTER_FILTER_OFFSET = 120
    FOOTER_FILTER_BYTES = 128
    FOOTER_FILTER_KIND = 136
    FOOTER_SMALLEST_BYTES = 140
    FOOTER_LARGEST_BYTES = 144
    FOOTER_CIPHER = 148
    FOOTER_KEY_ID = 152
    FOOTER_TAG_BYTES = 156
    FOOTER_INDEX_OFFSET = 160
    FOOTER_INDEX_BYTES = 168
    FOOTER_DICTIONARY_OFFSET = 176    # from format version 2 on; zeros before
    FOOTER_DICTIONARY_BYTES = 184
    FOOTER_RESERVED = 192
    FOOTER_SIZE = 256

cdef enum:                            # bits of FOOTER_FLAGS
    TABLE_UNIQUE = 1
    TABLE_ZSTD = 2                    # only a hint: each block says its codec

cdef enum:                            # the file's last bytes
    TAIL_FOOTER_OFFSET = 0
    TAIL_FOOTER_BYTES = 8
    TAIL_VERSION = 12
    TAIL_RESERVED = 16
    TAIL_CRC = 20
    TAIL_MAGIC = 24
    TAIL_SIZE = 32

cdef enum:
    SECTION_CRC = 4                   # behind filter, dictionary and footer

cdef inline const char* table_magic() noexcept nogil:
    return b"LSMTABLE"
