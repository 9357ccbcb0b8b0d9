# Packed blocks: in memory as they stand in the file, verified; a lookup decompresses as much as it needs.
from lsm.block cimport block_t
from lsm.types cimport u8, u32, u64

cdef enum:
    PACKED_MOST = 131072              # raw bytes: larger blocks are decoded

cdef enum:
    PACKED_SCRATCH = PACKED_MOST + 16

cdef enum:
    PACKED_ABSENT = 0
    PACKED_FOUND = 1
    PACKED_MALFORMED = -1

# What packed_find found: in the scratch or in the block, valid as long as both are left alone.
cdef struct packed_found_t:
    const u8* value
    u32 value_bytes
    u8 kind

# As block_find, for a packed block; `scratch` is of PACKED_SCRATCH bytes. MALFORMED: block_decode would say the same.
cdef int packed_find(const block_t* b, const u8* key, u32 key_bytes, u64 seq, u8* scratch, packed_found_t* found, bint* more) noexcept nogil

# A block with room for n stored bytes, refs 1, all but `charge` still zero; NULL: no memory.
cdef block_t* packed_new(size_t n) noexcept nogil


cdef inline u8* packed_bytes(const block_t* b) noexcept nogil:
    """Where its stored bytes begin."""
    return <u8*>b + sizeof(block_t)
