# Files of released segments, kept to be written anew: their pages are in memory already, and their blocks on the disk.
from lsm.types cimport error_t, u32, u64
from lsm.wal_state cimport segment_t, wal_t

# Whether the file of a segment that nobody needs is worth keeping. Under release: only who holds it adds spares.
cdef bint spare_wanted(const wal_t* w, const segment_t* s) noexcept nogil
# Takes a segment's name from its file; `spare_add`, under drain, once that is durable.
cdef int spare_keep(const wal_t* w, const segment_t* s, error_t* error) noexcept nogil
cdef void spare_add(wal_t* w, u64 number) noexcept nogil
# Where that could not be made durable.
cdef void spare_remove(const wal_t* w, u64 number) noexcept nogil
# Gives a spare file to a new segment's name; False where there is none. Under drain.
cdef bint spare_take(wal_t* w, const char* path) noexcept nogil
# Removes those that no segment took since the last call, or `all`; how many are left. Takes drain.
cdef u32 spares_shrink(wal_t* w, bint all) noexcept nogil
# Removes all; whether there were any. Under drain.
cdef bint spares_give_up(wal_t* w) noexcept nogil
