# Building blocks: entries in, the raw bytes of a block out. One builder serves block after block.
from lsm.types cimport u8, u32, u64

# The columns of the block under construction. Others read `count` and the last entry; the rest is the builder's own.
cdef struct block_builder_t:
    u32 count
    u32 repeats                       # entries with the key of the entry before
    u64 min_seq
    u64 max_seq
    bint all_puts
    u8* keys                          # whole keys, one after the other
    size_t keys_capacity
    u8* buffer                        # room for the columns in front, then the values: they are copied once
    size_t capacity
    size_t values_at                  # where in `buffer` the values begin
    u32[255] key_ends                 # the first 0
    u32[255] value_ends               # the first 0
    u8[254] kinds
    u64[254] seqs

cdef block_builder_t* block_builder_new() noexcept nogil
cdef void block_builder_free(block_builder_t* b) noexcept nogil
cdef int block_builder_add(block_builder_t* b, const u8* key, u32 key_bytes, u64 seq, u8 kind, const u8* value, u32 value_bytes) noexcept nogil   # 0 or STATUS_NO_MEMORY
cdef const u8* block_builder_finish(block_builder_t* b, size_t* n) noexcept nogil  # raw bytes, valid until the next add or reset; NULL: out of memory
cdef void block_builder_reset(block_builder_t* b) noexcept nogil


cdef inline u32 block_builder_count(const block_builder_t* b) noexcept nogil:
    return b.count


cdef inline size_t block_builder_bytes(const block_builder_t* b) noexcept nogil:
    """Raw size so far, about: keys and values."""
    if b.count == 0:
        return 0
    return <size_t>b.key_ends[b.count] + b.value_ends[b.count]


cdef inline const u8* block_builder_last_key(const block_builder_t* b, u32* n) noexcept nogil:
    """The key added last; the block must hold one."""
    n[0] = b.key_ends[b.count] - b.key_ends[b.count - 1]
    return b.keys + b.key_ends[b.count - 1]
