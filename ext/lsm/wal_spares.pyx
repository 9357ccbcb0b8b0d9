"""Files of released segments, kept to be written anew: their pages are in memory already, and their blocks on the disk.

Guarantees: a file loses its old name durably before a byte of it changes; what it held before is no frame of the segment
it becomes, since a frame's checksum covers its place in the stream. Under the drain lock, where not said otherwise.
"""
from libc.stdio cimport snprintf

from lsm.filesystem cimport fs_rename, fs_unlink
from lsm.pthreads cimport pthread_mutex_lock, pthread_mutex_unlock
from lsm.wal_state cimport WAL_SPARES

cdef enum:
    PATH_ROOM = 4200                   # the directory's path, which the system takes up to 4096 bytes of, and a name


cdef void place(const wal_t* w, u64 number, char* path) noexcept nogil:
    snprintf(path, PATH_ROOM, b"%s/wal-%06llu.spare", w.directory, <unsigned long long>number)


cdef bint spare_wanted(const wal_t* w, const segment_t* s) noexcept nogil:
    # not those of earlier openings: somebody may have linked to the files of a closed database, to keep them
    return (w.spare_count < WAL_SPARES and s.first_seq >= w.opening_first
            and w.segment_bytes // 2 <= s.bytes <= 2 * w.segment_bytes)


cdef int spare_keep(const wal_t* w, const segment_t* s, error_t* error) noexcept nogil:
    cdef char path[PATH_ROOM]
    place(w, s.number, path)
    return fs_rename(w.fs, s.path, path, error)


cdef void spare_add(wal_t* w, u64 number) noexcept nogil:
    w.spares[w.spare_count] = number
    w.spare_count += 1


cdef void spare_remove(const wal_t* w, u64 number) noexcept nogil:
    cdef char path[PATH_ROOM]
    cdef error_t ignored
    place(w, number, path)
    fs_unlink(w.fs, path, &ignored)


cdef bint spares_give_up(wal_t* w) noexcept nogil:
    cdef bint some = w.spare_count > 0
    while w.spare_count:
        w.spare_count -= 1
        spare_remove(w, w.spares[w.spare_count])
    return some


cdef bint spare_take(wal_t* w, const char* path) noexcept nogil:
    cdef char spare[PATH_ROOM]
    cdef error_t ignored
    if w.spare_count == 0:
        return False
    w.spare_count -= 1
    place(w, w.spares[w.spare_count], spare)
    if fs_rename(w.fs, spare, path, &ignored) == 0:
        return True
    fs_unlink(w.fs, spare, &ignored)
    return False


cdef u32 spares_shrink(wal_t* w, bint all) noexcept nogil:
    cdef u32 left
    pthread_mutex_lock(&w.drain_lock)
    if all or w.spares_seen == w.segments_created:
        spares_give_up(w)
    w.spares_seen = w.segments_created
    left = w.spare_count
    pthread_mutex_unlock(&w.drain_lock)
    return left
