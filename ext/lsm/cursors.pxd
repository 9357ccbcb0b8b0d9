# Ordered reading: a cursor over a run of tables, and a merge of such cursors and of memtables.
# A step either happens or, where it would wait for what `how` (READ_*, but WITH_GIL) does not allow, changes nothing
# that a repeated step would miss: callers with the GIL try with NOWAIT, and repeat without the GIL and with WAIT.
from lsm.block cimport block_t
from lsm.core cimport core_t
from lsm.order cimport mem_cursor_t
from lsm.table cimport table_t
from lsm.types cimport error_t, u8, u32, u64
from lsm.zstd_unpack cimport zstd_unpacked_t

cdef enum:                            # results of a step, besides negative STATUS_*
    STEP_OK = 0
    STEP_END = 1

cdef struct run_cursor_t:
    core_t* core                      # NULL: read past the cache, for compaction: every version, no lock
    table_t** tables                  # ascending, disjoint
    u32 table_count
    u64 seq                           # versions above it are not seen
    bint reverse
    # position: between two entries of `block`; where block is NULL, block `block_at` of table `table_at` comes first
    u32 table_at
    u32 block_at
    u32 slot
    block_t* block
    bint placed                       # False: the position inside the first block is still to be found
    const u8* target                  # ... by this key (NULL: from the end), which must outlive the first step
    u32 target_bytes
    bint plain                        # every entry of the current table is seen
    u8* last                          # forward: the last key given; reverse: the version kept of the key being passed
    u32 last_bytes
    u32 last_room
    bint has_last
    u32 kept_value_bytes              # reverse: value, kind and sequence that go with it
    u64 kept_seq
    u8 kept_kind
    u32 loads                         # blocks in a row that no cache had: reading ahead pays
    u8* ahead
    size_t ahead_room
    size_t ahead_bytes
    u64 ahead_offset
    table_t* ahead_table
    zstd_unpacked_t* unpacked         # zstd blocks of `ahead`, decoded together; NULL until one was met

cdef struct source_t:
    u64 prefix
    const u8* key
    const u8* value
    u64 seq
    u32 key_bytes
    u32 value_bytes
    u32 rank                          # lower is newer; where two sources hold a key, the lower rank wins
    u8 kind
    bint in_memory
    mem_cursor_t* mem
    run_cursor_t* run

cdef struct merge_t:
    core_t* core
    bint reverse
    bint every_version                # compaction: equal keys follow each other, newest first
    source_t* sources
    u32 count
    u32 room
    u32* heap
    u32 heap_count
    u32 started
    int current                       # source of the entry given last, or -1
    int winner                        # chosen, while older entries of its key are stepped over; or -1
    bint midway                       # heap[0] was left inside such a step: its entry is gone, the next not there yet

cdef merge_t* merge_new(core_t* core, bint reverse, bint every_version, u32 sources) noexcept nogil
cdef void merge_free(merge_t* m) noexcept nogil                    # under the lock where there is a core
cdef int merge_add_memtable(merge_t* m, mem_cursor_t* c) noexcept nogil       # takes the cursor over
# Adds a run positioned at `key` (see run_cursor_t.target). STATUS_OK or STATUS_NO_MEMORY.
cdef int merge_add_run(merge_t* m, table_t** tables, u32 count, u64 seq, const u8* key, u32 key_bytes) noexcept nogil
# The next entry, in sources[current]; STEP_END; STATUS_WOULD_READ (a disk would be waited for) or STATUS_WOULD_BLOCK
# (not `how` WAIT); or a negative status with `error`.
cdef int merge_next(merge_t* m, int how, error_t* error) noexcept nogil
