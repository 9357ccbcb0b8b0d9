# A point read: memtable, frozen memtables, level 0 newest first, then one table a level.
from lsm.block cimport block_t
from lsm.core cimport core_t, superversion_t
from lsm.table cimport table_t
from lsm.types cimport u8, u32, u64

cdef enum:
    LOOKUP_ABSENT = 0
    LOOKUP_FOUND = 1
    LOOKUP_NEEDS_BLOCK = 2

# Where a lookup stands. Zero it, call lookup_step until it answers FOUND or ABSENT, fetch where it needs a block,
# and end with lookup_done; all under the database's lock.
cdef struct lookup_t:
    u32 level
    u32 at                            # next table to look at, an index into the superversion's tables
    bint started
    table_t* table                    # whose block `number` is looked at
    u32 number
    block_t* block                    # fetched for this lookup: one reference
    bint decoded                      # the block must be decoded: a packed one made no sense, and decoding says why
    bint gone                         # found, as a tombstone
    superversion_t* held              # reference taken while the lock was let go
    const u8* value                   # FOUND: valid until lookup_done or another lookup
    u32 value_bytes

cdef int lookup_step(core_t* c, superversion_t* sv, const u8* key, u32 n, u64 h, u64 seq, lookup_t* s) noexcept nogil
# Brings the block that a lookup needs, from memory or, without lock and GIL, from the disk. Called under the lock with
# the GIL and returns so; where it raises, the lookup is done and the lock is free.
cdef int lookup_fetch(core_t* c, superversion_t* sv, lookup_t* s) except -1
cdef void lookup_done(core_t* c, lookup_t* s) noexcept nogil
