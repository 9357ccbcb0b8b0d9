# Opening several tables at once, by several threads.
from lsm.filesystem cimport fs_ops_t
from lsm.table cimport table_t
from lsm.types cimport error_t, u8, u32, u64

cdef struct opening_t:
    const char* path
    u64 number
    table_t* table                    # NULL: `error` says why
    error_t error

cdef struct openings_t:
    const fs_ops_t* fs
    const u8* database_id
    u64 seed
    opening_t* each
    u32 count
    u32 begun                         # how many were taken by a thread; atomic
    u32 keep                          # so many files stay open; reads open the others anew
    u32 kept                          # atomic

# Opens each, in the caller's thread and `threads` - 1 others, as far as those are to be had. Each has its table or error.
cdef void tables_open(openings_t* o, u32 threads) noexcept nogil
