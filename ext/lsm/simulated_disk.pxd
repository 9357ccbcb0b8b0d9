# A disk with a cache above it: for each file the bytes now and the bytes that are durable, with every change between
# them; for each directory the names now and the durable ones, with every change between. Called under the lock of the
# file system that owns it; paths are normalized; results are >= 0 or -errno.
from lsm.filesystem cimport fs_name_t
from lsm.types cimport u8, u64

cdef enum:
    PIECE = 512                       # the finest grain that a mapping is compared by
    GRAVE = 1 << 16
    BLOCK = 4096                      # room is taken in these

cdef enum:                            # what a journal entry says
    NAME_LINKED = 0                   # `path` is `node` now
    NAME_REMOVED = 1
    NAME_MOVED = 2                    # `path` became `other`, in one step
    LENGTH_SET = 3

cdef struct image_t:                  # bytes past `size` are zeros
    u8* bytes
    u64 size
    u64 room
    bint pinned                       # mapped: the bytes do not move

cdef struct change_t:
    change_t* next
    bint sets_length
    u64 offset                        # or the length that was set
    u64 n
    u64 entry                         # sets_length: number of its journal entry
    u8* bytes

cdef struct node_t:                   # a file or directory
    node_t* next
    node_t* copy                      # while a disk is copied
    u64 id
    bint directory
    bint reached                      # while unreachable nodes are looked for
    image_t now
    image_t durable
    change_t* first                   # oldest first: what leads from `durable` to `now`
    change_t* last
    u64 change_count
    u8* seen                          # of the mapped bytes, when last looked at
    u64 mapped
    int maps
    int opens
    int holder                        # handle + 1 that has the lock, 0: nobody

cdef struct name_t:
    name_t* next
    char* path
    node_t* node

cdef struct entry_t:
    entry_t* next
    u64 number
    int kind
    bint committed                    # a file system with one journal has it on the disk
    char* path
    char* other
    node_t* node

cdef struct disk_t:
    node_t* nodes
    name_t* names
    name_t* durable_names
    entry_t* first                    # oldest first: what leads from `durable_names` to `names`
    entry_t* last
    u64 next_entry
    u64 next_id
    u8* grave                         # contents of files that are gone, for garbage
    u64 grave_used
    u64 capacity                      # bytes, 0: no end

cdef disk_t* disk_new() noexcept nogil                                     # NULL: out of memory
cdef void disk_free(disk_t* d) noexcept nogil
# files, names, changes; no handles, no locks, no mappings
cdef disk_t* disk_copy(disk_t* d) noexcept nogil

cdef name_t* name_find(name_t* names, const char* path) noexcept nogil
cdef int names_apply(name_t** names, const entry_t* e) noexcept nogil
cdef int disk_kind(disk_t* d, const char* path) noexcept nogil
cdef int disk_list(disk_t* d, const char* path, fs_name_t each, void* sink) noexcept nogil
cdef u64 disk_used(disk_t* d) noexcept nogil

# the new node is durable where `settled`; NULL: out of memory
cdef node_t* disk_add(disk_t* d, const char* path, bint directory, bint settled) noexcept nogil
cdef int disk_unlink(disk_t* d, const char* path) noexcept nogil
cdef int disk_rename(disk_t* d, const char* old, const char* new) noexcept nogil
cdef int disk_sync_dir(disk_t* d, const char* path) noexcept nogil
cdef int disk_sync(disk_t* d, node_t* node) noexcept nogil
cdef int disk_write(disk_t* d, node_t* node, const u8* source, u64 n, u64 offset) noexcept nogil
cdef int disk_truncate(disk_t* d, node_t* node, u64 size) noexcept nogil
cdef void disk_collect(disk_t* d) noexcept nogil                           # frees what no name and no handle leads to
cdef int disk_look(disk_t* d) noexcept nogil                               # takes in what was stored through mappings
cdef u8* node_map(node_t* node, u64 n) noexcept nogil
cdef void node_unmap(node_t* node) noexcept nogil
cdef int image_set(image_t* image, u64 size) noexcept nogil
cdef int image_put(image_t* image, const u8* source, u64 n, u64 offset) noexcept nogil
