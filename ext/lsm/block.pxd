# One block of a table in memory, decoded into one allocation that answers lookups directly, or packed, as it stands in
# the file: packed.pxd. Building is in block_builder.pxd.
from lsm.types cimport prefetch, u8, u32, u64

cdef enum:                            # how the bytes of a block are stored; persisted, never renumber
    CODEC_NONE = 0
    CODEC_LZ4 = 1
    CODEC_ZSTD = 2
    CODEC_ZSTD_DICTIONARY = 3         # with the dictionary of the table

# A decoded block. Entries are in order (key ascending, sequence descending). Keys stand whole (prefixes expanded), one
# after the other, so entry i has the key keys[key_ends[i]:key_ends[i+1]] and the value values[value_ends[i]:value_ends[i+1]].
# Of a packed block (packed_bytes > 0) only refs, charge, raw_bytes, codec and the cache's fields mean anything.
cdef struct block_t:
    u32 refs                          # counted under the database's lock, or by the only owner
    u32 count
    u32 charge                        # bytes of memory: block_charge of the allocation
    u32 bucket_mask
    const u8* keys
    const u8* values
    const u32* key_ends               # count + 1, the first 0
    const u32* value_ends             # count + 1, the first 0
    const u8* kinds                   # NULL: every entry is KIND_PUT
    const u64* seqs                   # NULL: every sequence is 0
    u8* buckets                       # slot of the newest entry of a key by its hash, linear probing, 0xFF empty; NULL if not asked for
    bint unique                       # no key stands twice
    u32 prefix_bytes                  # bytes that all keys share in front
    u32 packed_bytes                  # 0: decoded; else the stored bytes, trailer included, which follow this struct
    u32 raw_bytes                     # of a packed block, once decompressed
    int codec                         # of a packed block: none or LZ4
    # the cache's own
    void* owner                       # the table_t
    u32 number                        # block number in its table
    u32 visited                       # hits since the hand last came by
    block_t* newer
    block_t* older

# Decoding trusts nothing: every length is checked before it is used. Returns NULL and sets `status[0]` (STATUS_CORRUPT or STATUS_NO_MEMORY).
# `seed` is the database's hash seed; `with_buckets` builds the lookup table for block_find.
cdef block_t* block_decode(const u8* raw, size_t n, u64 seed, bint with_buckets, int* status) noexcept nogil
cdef void block_free(block_t* b) noexcept nogil

# Index of the newest entry of `key` whose sequence is <= `seq`, or -1. `h` is XXH64(key, seed). Needs buckets.
# more[0] is set where older versions of the key may stand in the next block.
cdef int block_find(const block_t* b, const u8* key, u32 key_bytes, u64 h, u64 seq, bint* more) noexcept nogil
# First entry whose key is >= key (count where there is none).
cdef u32 block_lower_bound(const block_t* b, const u8* key, u32 key_bytes) noexcept nogil


cdef inline u32 block_charge(u64 n) noexcept nogil:
    """What an allocation of n bytes costs: a sixteenth is lost between blocks of many sizes that come and go."""
    n += n >> 4
    return <u32>n if n < <u64>0xFFFFFFFFu else <u32>0xFFFFFFFFu


cdef inline void block_prefetch(const block_t* b) noexcept nogil:
    """Starts the reads of what block_find looks at before it knows the key's place: ends and buckets stand in front."""
    cdef u32 i
    for i in range(8):
        prefetch(<const u8*>b + 64 * i)


cdef inline const u8* block_key(const block_t* b, u32 i, u32* n) noexcept nogil:
    n[0] = b.key_ends[i + 1] - b.key_ends[i]
    return b.keys + b.key_ends[i]


cdef inline const u8* block_value(const block_t* b, u32 i, u32* n) noexcept nogil:
    n[0] = b.value_ends[i + 1] - b.value_ends[i]
    return b.values + b.value_ends[i]


cdef inline u64 block_seq(const block_t* b, u32 i) noexcept nogil:
    return b.seqs[i] if b.seqs != NULL else 0
