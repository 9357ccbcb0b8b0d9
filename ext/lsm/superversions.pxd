# What readers see, and the references that keep it. Under the core's lock, but for free_dead.
from lsm.core cimport core_t, partition_t, superversion_t
from lsm.memtable cimport memtable_t
from lsm.table cimport table_t
from lsm.types cimport u32

cdef superversion_t* superversion_new(u32 frozen, u32 tables) noexcept nogil      # one reference; NULL: no memory
cdef superversion_t* empty_version(core_t* c) noexcept nogil
cdef void superversion_release(core_t* c, superversion_t* sv) noexcept nogil
cdef void publish_version(core_t* c, partition_t* p, superversion_t* sv) noexcept nogil
cdef void table_release(core_t* c, table_t* t) noexcept nogil
cdef void memtable_release(core_t* c, memtable_t* m) noexcept nogil
cdef int freeze(core_t* c, partition_t* p) noexcept nogil
# Frees what nobody refers to any more; `remove`: files of retired tables too. Takes the lock.
cdef void free_dead(core_t* c, bint remove) noexcept nogil
