# Scans: the public iterator over a keyspace at one moment.
from lsm.cursors cimport merge_t, source_t
from lsm.core cimport core_t, keyspace_t, superversion_t
from lsm.engine cimport Engine
from lsm.keyspace cimport Keyspace
from lsm.memtable cimport memtable_t
from lsm.table cimport table_t
from lsm.types cimport u8, u32, u64


cdef class Scan:
    cdef Engine engine
    cdef Keyspace keyspace            # keeps the database alive
    cdef keyspace_t* k
    cdef merge_t* merge
    cdef superversion_t** held        # of the partitions it reads
    cdef u32 held_count
    cdef bytes low                    # engine keys: included, or None
    cdef bytes high                   # excluded, or None
    cdef const u8* low_p              # the same as native memory; NULL where None
    cdef u32 low_bytes
    cdef const u8* high_p
    cdef u32 high_bytes
    cdef const u8* origin             # where it begins: low, or high in reverse
    cdef u32 origin_bytes
    cdef u64 bound8                   # of the bound that ends it
    cdef const u8* bound
    cdef u32 bound_bytes
    cdef bint reverse
    cdef bint composite
    cdef bint values
    cdef bint busy
    cdef bint finished
    cdef bint closed
    cdef u64 left                     # entries still to give
    cdef u64 seq
    cdef u64 skipped                  # tombstones since the engine was told
    cdef object __weakref__
    cdef int begin(self, u64 seq, object only_partition) except -1
    cdef int open_sources(self, core_t* c) except -1
    cdef int add_sources(self) noexcept nogil
    cdef int add_partition(self, superversion_t* sv) noexcept nogil
    cdef int add_memtable(self, memtable_t* m) noexcept nogil
    cdef int add_run(self, table_t** tables, u32 count) noexcept nogil
    cdef void count_down(self)
    cdef bint past_bound(self, const source_t* s) noexcept nogil
    cdef int step_waiting(self, int status) except -2
    cdef int tell_skipped(self) except -1
    cdef void release(self) noexcept
    cdef void step_ends(self) noexcept
    cdef int raise_closed(self) except -1

cdef Scan open_scan(Keyspace keyspace, object start, object stop, object prefix, bint reverse, object limit,
                    bint values, object partition, u64 seq, object segment=*)
