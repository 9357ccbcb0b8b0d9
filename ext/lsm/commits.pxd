# The commit path: log frame, memtable, publication. One sequence number a commit, whatever it changes.
from lsm.core cimport keyspace_t
from lsm.engine cimport Engine
from lsm.types cimport u8, u16, u32, u64

# One change of a batch; key and value are offsets into the batch's frame.
cdef struct change_t:
    keyspace_t* keyspace
    u64 hash                          # XXH64 of the whole engine key
    u64 partition_hash                # XXH64 of its partition part
    size_t key
    size_t value
    u32 key_bytes
    u32 value_bytes
    u8 kind

# Both return the commit's sequence. Called with the GIL, without the lock. `sync`: durable on return.
cdef u64 commit_one(Engine engine, keyspace_t* k, u8 kind, const u8* key, u32 n, u64 h, u64 partition_hash,
                    const u8* value, u32 value_bytes, bint sync) except 0
# `frame` has FRAME_HEADER bytes of room in front of the encoded changes.
cdef u64 commit_many(Engine engine, u8* frame, size_t frame_bytes, const change_t* changes, u32 count, u16 flags,
                     bint sync) except 0
# Returns when commits through `seq` survive a power failure.
cdef int wait_synced(Engine engine, u64 seq) except -1
