# The names, files and handles of a file system in memory. Called under `memory_t.lock`, but for normalize.
from lsm.filesystem cimport fs_name_t
from lsm.memory_content cimport content_t
from lsm.pthreads cimport pthread_mutex_t
from lsm.types cimport u32, u64

cdef enum:
    BUCKETS = 1024
    PATH_ROOM = 4096

cdef struct file_t:
    file_t* next                      # in its bucket
    char* path
    u64 hash
    content_t content
    u32 opens
    int holder                        # handle + 1 that has the lock, 0: nobody
    bint linked
    bint directory

cdef struct handle_t:
    file_t* file                      # NULL: free
    int flags

cdef struct memory_t:
    pthread_mutex_t lock
    file_t* buckets[BUCKETS]
    handle_t* handles
    int handle_room
    int first_free                    # no free handle below

cdef int normalize(const char* path, char* out) noexcept nogil            # `out` has PATH_ROOM bytes; 0 or -errno
# Paths from here on are normalized.
cdef bint is_root(const char* path) noexcept nogil
cdef const char* below(const char* path, const char* directory) noexcept nogil   # what follows, NULL: not below it
cdef bint child_of(const char* path, const char* directory, char* name) noexcept nogil   # `name` has PATH_ROOM bytes
# Each of these returns >= 0 or -errno.
cdef int kind_at(memory_t* m, const char* path) noexcept nogil
cdef int open_at(memory_t* m, const char* path, int flags) noexcept nogil
cdef int close_at(memory_t* m, int handle) noexcept nogil
cdef int unlink_at(memory_t* m, const char* path) noexcept nogil
cdef int rename_at(memory_t* m, const char* old, const char* new) noexcept nogil
cdef int mkdir_at(memory_t* m, const char* path) noexcept nogil
cdef int list_at(memory_t* m, const char* path, fs_name_t each, void* sink) noexcept nogil
cdef void forget_all(memory_t* m) noexcept nogil


cdef inline file_t* file_of(memory_t* m, int handle, int flags) noexcept nogil:
    """The file, or NULL where there is no such handle or it was not opened for `flags`."""
    if handle < 0 or handle >= m.handle_room or m.handles[handle].file == NULL:
        return NULL
    return m.handles[handle].file if m.handles[handle].flags & flags == flags else NULL
