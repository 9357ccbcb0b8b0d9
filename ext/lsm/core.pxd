# The core of an open database: its lock, and what it guards.
#
# One native lock (`core_t.lock`) guards every field below it, all memtables, reference counts and the block cache.
# Holders never wait for a disk or for the GIL. A thread that holds the GIL only tries the lock; where that fails it lets
# the GIL go, waits, and tries again, so nobody blocks on the lock with the GIL in hand.
from lsm.cache cimport cache_t
from lsm.filesystem cimport fs_ops_t
from lsm.memtable cimport memtable_t, spares_t
from lsm.pthreads cimport pthread_cond_t, pthread_mutex_t
from lsm.table cimport table_t
from lsm.types cimport error_t, i64, u8, u16, u32, u64
from lsm.wal cimport wal_t

cdef enum:
    STATE_OPEN = 0
    STATE_CLOSED = 1
    STATE_FORKED = 2

cdef enum:
    MAX_LEVELS = 8

cdef enum:                            # what the background is asked to look at
    WORK_FLUSH = 1
    WORK_COMPACT = 2
    WORK_GARBAGE = 4
    WORK_STOP = 8

# All that a reader of one partition may see; never changed after it is published. Counted references, under the lock.
cdef struct superversion_t:
    i64 refs
    memtable_t* mem
    u32 frozen_count
    memtable_t** frozen               # newest first
    u32 table_count
    table_t** tables                  # level 0 newest first, then level 1 by key, ...
    u32 start[9]                      # level i is tables[start[i]:start[i+1]]
    u32 levels

cdef struct partition_t:
    u32 keyspace
    u32 number
    superversion_t* sv
    u64 expected_nodes                # of the last memtable: the next one's index starts that large
    bint dropped
    u64 flushed_seq                   # at replay: tables hold everything up to it
    u64 tombstones_skipped            # by scans, since the last flush or compaction was asked for

cdef struct keyspace_t:
    u32 id
    u32 partition_count
    partition_t** partitions
    bint composite
    bint dropped

cdef struct core_t:
    pthread_mutex_t lock
    pthread_cond_t idle               # active became 0
    pthread_cond_t work_ready         # work became non-zero
    pthread_cond_t room               # pressure fell
    int state
    int active                        # threads that use the core's files without the lock
    bint read_only
    u64 seed
    u64 multiplier
    const fs_ops_t* fs
    wal_t* wal
    cache_t* cache
    u64 sequence                      # the newest commit that readers see
    u64 time                          # its commit time
    u64* snapshots                    # ascending, one entry per open snapshot
    u32 snapshot_count
    u32 snapshot_room
    keyspace_t** keyspaces            # by id; NULL where dropped and forgotten
    u32 keyspace_room
    size_t memtable_bytes
    size_t memtables_budget
    size_t memtables_used             # of all live memtables, frozen ones included
    spares_t spares
    u32 frozen                        # memtables waiting for a flush
    u32 work
    u32 most_tables                   # level-0 tables of the partition that has most
    u32 slow_tables                   # level-0 tables of a partition that slow writers down
    u32 stop_tables
    u32 pressure                      # 0: none; 1 to 999: writers are slowed; 1000: they wait
    int pressure_reason               # 1: memtables, 2: level 0
    bint disk_low                     # the reserve is in use: a synced commit is written before it is made
    bint disk_full                    # the background could not write for lack of space
    u64 stall_debt_ns
    u64 slowdowns
    u64 stops
    u64 stalled_us
    u8* scratch                       # where a single commit's frame is built
    size_t scratch_room
    table_t** dead_tables             # without references, to be freed without the lock
    u32 dead_table_count
    u32 dead_table_room
    memtable_t** dead_memtables
    u32 dead_memtable_count
    u32 dead_memtable_room
    u32 open_handles
    u32 max_handles
    u64 log_step                      # bytes of log after which the background looks at it; 0: never
    u64 log_mark
    u64 user_bytes                    # keys and values that commits brought
    u64 tombstones_skipped

cdef int core_lock(core_t* c) except -1                          # with the GIL; raises when closed or forked, or WouldWaitError
cdef int core_lock_quietly(core_t* c) noexcept                   # with the GIL; 0 and no lock in a forked child, else 1
cdef void core_unlock(core_t* c) noexcept nogil
cdef void core_leave(core_t* c) noexcept nogil                   # under the lock: one fewer thread is active
cdef int raise_state(core_t* c) except -1
# Under the lock:
cdef void ask_for(core_t* c, u32 work) noexcept nogil            # of the background: WORK_*
cdef void update_pressure(core_t* c) noexcept nogil
cdef void count_tables(core_t* c) noexcept nogil


cdef inline partition_t* partition_of(const keyspace_t* k, u64 partition_hash) noexcept nogil:
    """Partition i of n covers the hashes [i * 2^64 / n, (i + 1) * 2^64 / n)."""
    if k.partition_count == 1:
        return k.partitions[0]
    return k.partitions[scale_hash(partition_hash, k.partition_count)]


cdef extern from *:
    """
    static inline unsigned lsm_scale_hash(unsigned long long h, unsigned n) {
        return (unsigned)(((unsigned __int128)h * n) >> 64);
    }
    """
    u32 scale_hash "lsm_scale_hash"(u64 h, u32 n) nogil
