# The operations of a simulated file system, and what they work on.
from lsm.filesystem cimport fs_ops_t
from lsm.pthreads cimport pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock
from lsm.simulated_disk cimport disk_t, node_t
from lsm.types cimport i64, u64

cdef enum:                            # what a call is; one bit each in a fault's mask
    OPEN = 0
    CREATE = 1                        # an open that makes a file
    CLOSE = 2
    READ = 3
    WRITE = 4
    SYNC = 5
    TRUNCATE = 6
    SIZE = 7
    MAP = 8
    UNLINK = 9
    RENAME = 10
    MKDIR = 11
    SYNC_DIR = 12
    LOCK = 13
    KIND = 14
    LIST = 15
    FREE_BYTES = 16
    ALLOCATE = 17                     # takes room: create, a write or truncate past the end, mkdir, map
    CHANGE = 18                       # changes or syncs something

cdef enum:
    KINDS = 19
    FAULTS = 64
    TRACED_NAME = 40

cdef struct handle_t:
    node_t* node                      # NULL: free
    int flags
    char name[TRACED_NAME]            # end of the path that was opened

cdef struct fault_t:                  # of the calls whose kinds `mask` has: `skip` more pass, then `count` are hit
    u64 mask
    u64 skip
    u64 count
    int os_error                      # 0: the call does nothing and answers that it did
    bint halves                       # a write that fails leaves half of its bytes
    u64 most                          # not 0: it succeeds, with at most so many bytes

cdef struct call_t:                   # one line of the trace
    u64 number
    int kind
    int result
    u64 offset
    u64 n
    char name[TRACED_NAME]

cdef struct moment_t:                 # the disk as a call that changes or syncs something found it
    u64 number
    u64 note
    u64 traced
    disk_t* disk

cdef struct simulation_t:
    pthread_mutex_t lock              # a leaf, never held across a wait
    disk_t* disk
    handle_t* handles
    int handle_room
    u64 counts[KINDS]
    u64 changes                       # calls so far that change or sync something
    fault_t faults[FAULTS]
    u64 crash_at                      # number of the change that is the last; 0: none
    bint off
    u64 note
    u64 every                         # a moment is kept for every so many changes; 0: none
    u64 moments_most
    moment_t* moments
    u64 moment_count
    u64 moment_room
    call_t* calls
    u64 call_count
    u64 call_room

cdef void simulated_operations(fs_ops_t* ops, simulation_t* s) noexcept nogil        # fills `ops`


cdef inline simulation_t* locked(void* ctx) noexcept nogil:
    pthread_mutex_lock(&(<simulation_t*>ctx).lock)
    return <simulation_t*>ctx


cdef inline i64 unlocked(simulation_t* s, i64 r) noexcept nogil:
    pthread_mutex_unlock(&s.lock)
    return r
