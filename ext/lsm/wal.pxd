# The write-ahead log: one stream of frames for all keyspaces. Commits copy their frame into a small shared-mapped ring
# (survives a killed process without a system call); a native thread drains the ring into append-only segment files.
# docs/format/wal.md has the bytes; wal_state.pxd the locks.
from lsm.filesystem cimport FileSystem, fs_ops_t
from lsm.types cimport error_t, load64, u8, u16, u32, u64, i64
from lsm.wal_commit cimport (wal_append, wal_append_large, wal_durable, wal_error, wal_last, wal_make_room, wal_place,
                                 wal_reserve, wal_sync_through, wal_time, wal_wait_durable)
from lsm.wal_state cimport FRAME_HEADER, WAL_HEADER, WAL_LARGE, WAL_MAX_FRAME, wal_t

cdef class Wal:
    cdef wal_t* native
    cdef FileSystem files
    cdef object directory
    cdef int pid                      # of the process that opened it
    cdef object door                  # lock of append
    cdef bint closed
    cdef int check(self, int status, const error_t* error) except -1
    cdef int check_fork(self) except -1
    cdef int check_process(self) except -1
    cdef int inherit(self, segments) except -1
