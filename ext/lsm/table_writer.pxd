from lsm.block_builder cimport block_builder_t
from lsm.filesystem cimport fs_ops_t
from lsm.table cimport table_info_t, table_options_t
from lsm.types cimport u8, u32, u64, error_t
from lsm.zstd cimport zstd_dictionary_t
from lsm.zstd_pack cimport zstd_pack_t

# The writer's own; others use the functions below.
cdef struct table_writer_t:
    const fs_ops_t* fs
    char* path
    int handle
    table_options_t options           # database_id points to `id` below
    u8[16] id
    block_builder_t* builder
    zstd_pack_t* pack                 # with zstd: blocks that are still to be compressed, the last ones of `blocks`; else NULL
    zstd_dictionary_t dictionary      # its bytes are whose the options are; p NULL: none
    u8* buffer                        # bytes not yet in the file, which belong at `written`
    size_t buffered
    size_t capacity
    u64 written
    u64 packed_raw                    # raw bytes of the blocks that went through `pack`
    u64* hashes                       # of each distinct key
    u64 hash_count
    u64 hash_capacity
    bint hashes_lent                  # they are in the caller's memory
    u64 repeats                       # entries with the key of the entry before
    u64 last_seq
    u32 blocks
    u32 blocks_capacity
    u32* sizes                        # stored size of each block
    u64* separator_ends
    u8* separators
    u64 separators_capacity
    table_info_t info
    error_t failed                    # the first failure; whatever is asked afterwards fails with it

# Writes one table. Keys ascending, versions of a key by descending sequence; what is not in that order is refused (STATUS_CORRUPT).
# A writer belongs to one thread. Memory: about 128 KiB (zstd: 10 MiB), and for each key 8 bytes. With zstd adding and finishing
# take the GIL, once for each 4 MiB: call without locks.
cdef table_writer_t* table_writer_new(const fs_ops_t* fs, const char* path, const table_options_t* options, error_t* error) noexcept nogil
# `seq` is stored; `original_seq` only widens the footer's range (they differ where compaction zeroes a sequence; 0: not
# known any more, table_writer_cover says what may be).
cdef int table_writer_add(table_writer_t* w, const u8* key, u32 key_bytes, u64 seq, u64 original_seq, u8 kind, const u8* value, u32 value_bytes, error_t* error) noexcept nogil
cdef u64 table_writer_bytes(const table_writer_t* w) noexcept nogil            # bytes of file so far, and raw ones of the block at hand
cdef u64 table_writer_entries(const table_writer_t* w) noexcept nogil
# The footer's range shall hold these sequences too: those of a table whose own, zeroed ones say nothing any more.
cdef void table_writer_cover(table_writer_t* w, u64 min_seq, u64 max_seq) noexcept nogil
# Room for the hashes of so many keys, at least as many as will be added; the caller frees it after table_writer_free.
cdef void table_writer_lend(table_writer_t* w, u64* room, u64 keys) noexcept nogil
cdef void table_writer_set_times(table_writer_t* w, u64 min_time, u64 max_time) noexcept nogil
# Writes filter, index and footer and makes the file durable (not its name). Fills `info` (smallest and largest malloc'ed, the caller frees them).
cdef int table_writer_finish(table_writer_t* w, table_info_t* info, error_t* error) noexcept nogil
cdef void table_writer_free(table_writer_t* w) noexcept nogil                 # also after finish; without finish the half file stays for the caller to unlink
