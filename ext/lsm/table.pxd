# A table (SSTable): written once in key order, then only read. docs/format/table.md has the bytes.
from lsm.block cimport block_t
from lsm.filesystem cimport fs_ops_t
from lsm.block cimport CODEC_ZSTD_DICTIONARY
from lsm.types cimport u8, u32, u64, i64, error_t
from lsm.zstd cimport zstd_dictionary_t

# What the manifest and the picker know of a table; also what its footer says.
cdef struct table_info_t:
    u64 number
    u64 file_bytes
    u64 entries                       # all records, tombstones included
    u64 tombstones
    u64 min_seq                       # lowest and highest sequence ever put into it (zeroed sequences count as they were)
    u64 max_seq
    u64 min_time                      # commit times in microseconds; 0 where not known
    u64 max_time
    u64 raw_bytes                     # keys and values before compression
    u64 salt
    u64 min_hash                      # lowest and highest hash of a key
    u64 max_hash
    u32 smallest_bytes
    u32 largest_bytes
    u8* smallest                      # owned by the writer or table that filled this struct
    u8* largest

# An open table: filter and index in memory, blocks read on demand. Counted references, under the database's lock.
cdef struct table_t:
    i64 refs
    table_info_t info
    const fs_ops_t* fs
    char* path
    int handle
    u64 seed                          # database's hash seed
    u8 unique                         # no key stands twice in the table
    u8 has_tombstones
    u8 has_zstd                       # blocks may be compressed with zstd: decoding them takes the GIL
    u8 obsolete                       # no version names it any more: its file goes with the last reference
    u64 filter_lines
    u8* filter                        # NULL: none
    u32 block_count
    u32 skip                          # bytes that all separators (and all keys) of the table share in front
    u64* separators8                  # big-endian bytes skip..skip+8 of each separator, zero-padded
    u64* every8                       # the last of each eight of them: block_count // 8, in the same allocation
    u64* every64                      # the last of each 64
    u32* separator_ends               # block_count + 1
    u8* separators                    # what follows those bytes in each: separator i >= every key of block i, < every later key of block i + 1 (equal where a key's versions span blocks)
    u64* offsets                      # block_count + 1; block i lies in [offsets[i], offsets[i+1])
    block_t** cached                  # the decoded block while the cache holds it
    zstd_dictionary_t dictionary      # its bytes are the table's own; NULL: none
    u64 charge                        # bytes of memory of this struct and all it owns but the blocks
    u64 decoded_bytes                 # about what all its blocks take in memory when they are decoded

cdef struct table_options_t:
    const u8* database_id             # 16 bytes
    u64 seed
    u64 number
    u64 salt
    u32 block_bytes                   # a block is closed when its raw bytes reach this (or at BLOCK_MAX_ENTRIES)
    int bits_per_key                  # 0: no filter
    int codec                         # CODEC_*
    int zstd_level
    const u8* dictionary              # with CODEC_ZSTD_DICTIONARY: must outlive the writer
    u64 dictionary_bytes

cdef enum:                            # how table_read_block may wait
    READ_WAIT = 0                     # for the disk and for the GIL: the caller holds no lock
    READ_NOWAIT = 1                   # for neither: the caller may hold the lock
    READ_WITH_GIL = 2                 # the caller holds the GIL, which zstd lets go of, and no lock: not for the disk
    READ_UNLESS_DISK = 3              # as WAIT, but not for the disk where it can be told that it would be waited for

# What blocks of this codec are decoded with; NULL: nothing.
cdef inline const zstd_dictionary_t* table_dictionary(const table_t* t, int codec) noexcept nogil:
    return &t.dictionary if codec == CODEC_ZSTD_DICTIONARY and t.dictionary.p != NULL else NULL

# Reading. Without the GIL and without locks, but for the reference counts.
# Few reads (mostly one), everything checked. `path` is copied; `database_id` NULL: any database's.
cdef table_t* table_open(const fs_ops_t* fs, const char* path, u64 number, const u8* database_id, u64 seed, error_t* error) noexcept nogil
cdef void table_free(table_t* t) noexcept nogil                       # closes the file; caller has dropped its cached blocks
cdef u32 table_find_block(const table_t* t, const u8* key, u32 key_bytes) noexcept nogil   # first block that may hold a key >= `key`; block_count where none
# Reads, verifies and decodes block i, with lookup buckets, into a new block (refs 1, owner and number set); NULL and `error` on failure.
# t.handle -1: the file is opened for this read. `how` is READ_*; NULL with error.status STATUS_WOULD_READ where it would wait for the disk, STATUS_WOULD_BLOCK where otherwise, as `how` does not allow.
cdef block_t* table_read_block(table_t* t, u32 i, int how, error_t* error) noexcept nogil
# The same, but packed where the block is LZ4 or not compressed, and not too large for that: packed.pxd.
cdef block_t* table_read_packed(table_t* t, u32 i, int how, error_t* error) noexcept nogil
# A decoded copy of a packed block of t: refs 1, owner and number set; NULL and `error` on failure.
cdef block_t* table_unpack(const table_t* t, const block_t* packed, bint with_buckets, error_t* error) noexcept nogil
# Verifies and decodes block i from its stored bytes (offsets[i+1] - offsets[i] of them), e.g. out of a larger read. A zstd block takes the GIL.
cdef block_t* table_decode_block(const table_t* t, u32 i, const u8* stored, bint with_buckets, error_t* error) noexcept nogil
# `error` for a result UNPACK_* (or ZSTD_*) of the block at `offset`; returns its status.
cdef int set_unpack_error(error_t* error, int result, const char* path, u64 offset, u32 raw_bytes) noexcept nogil
