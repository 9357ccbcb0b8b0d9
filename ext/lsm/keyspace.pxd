# The public handles of the compiled core: Keyspace, Batch, Snapshot; and what turns a Python key into an engine key.
from lsm.commits cimport change_t
from lsm.core cimport keyspace_t
from lsm.engine cimport Engine
from lsm.types cimport u8, u32, u64
from cpython.buffer cimport Py_buffer

cdef enum:
    INLINE_KEY = 240

# An engine key and its hashes; `release_key` lets go of what it borrowed.
cdef struct key_t:
    const u8* p
    u32 n
    u64 hash                          # XXH64 of the engine key
    u64 partition_hash                # XXH64 of its partition part
    u8* heap
    bint viewed
    Py_buffer view
    u8 inline_bytes[240]

# A value: bytes or anything with the buffer protocol.
cdef struct value_t:
    const u8* p
    u32 n
    bint viewed
    Py_buffer view

cdef int take_key(const keyspace_t* k, u64 seed, object key, key_t* out) except -1
cdef void release_key(key_t* k) noexcept
cdef int take_value(object value, value_t* out) except -1
cdef void release_value(value_t* v) noexcept
# Engine-key prefix of an item collection: hash, escaped partition key, terminator.
cdef bytes collection_prefix(u64 seed, object partition)
cdef object key_object(const u8* p, u32 n, bint composite)        # what a caller gets back: bytes, or (partition key, sort key)


cdef class Keyspace:
    cdef Engine engine
    cdef keyspace_t* k
    cdef object owner
    cdef readonly str name
    cdef object __weakref__
    cdef object get_at(self, object key, object default, u64 seq)
    cdef u64 write(self, u8 kind, object key, object value, bint sync) except 0


cdef class Batch:
    cdef Engine engine
    cdef object owner
    cdef u8* frame
    cdef size_t used
    cdef size_t room
    cdef change_t* changes
    cdef u32 count
    cdef u32 change_room
    cdef bint sync
    cdef bint done
    cdef bint busy
    cdef readonly object sequence
    cdef int add(self, Keyspace keyspace, u8 kind, object key, object value) except -1
    cdef int reserve(self, size_t more) except -1


cdef class Snapshot:
    cdef Engine engine
    cdef object owner
    cdef readonly unsigned long long sequence
    cdef bint open
    cdef object __weakref__
    cdef int check(self, Keyspace keyspace) except -1
