# What a log holds after its writer died, was killed or closed it: the longest valid run of frames, in commit order.
from lsm.filesystem cimport FileSystem
from lsm.types cimport error_t, u8, u64
from lsm.wal_format cimport frame_view_t
from lsm.wal_found cimport FoundRing, FoundSegment
from lsm.wal_reader cimport reader_t, run_t

# A stretch of the stream that the replay reads.
cdef struct stretch_t:
    const char* path                  # NULL: the ring's frames, at `bytes`
    const u8* bytes
    u64 salt
    u64 stream
    u64 last_seq
    u64 end                           # file offset behind its last frame

cdef class RecoveredLog:
    cdef FileSystem files
    cdef readonly object directory
    cdef bint read_only
    cdef bint repaired
    cdef list kept                    # FoundSegment, oldest first
    cdef list dropped                 # the others: torn, or left of creations that failed
    cdef FoundRing ring
    cdef bytes ring_tail              # frames that only the ring has
    cdef run_t ring_run
    cdef readonly u64 last_sequence   # 0: the log never had one
    cdef readonly u64 last_time_us
    cdef readonly u64 epoch           # the highest that any file of the log names
    cdef readonly bint clean
    cdef readonly u64 next_segment_number
    # replay
    cdef reader_t reader
    cdef error_t error                # why next_frame returned a negative status
    cdef u64 from_seq
    cdef stretch_t* stretches
    cdef int stretch_count
    cdef int at
    cdef bint reading
    cdef u64 frame_offset             # of the last frame, in its file
    cdef bytes ring_path
    cdef const char* ring_name        # into ring_path
    cdef FoundSegment tail(self)
    cdef int choose(self, list found) except -1
    cdef int continue_into_ring(self) except -1
    cdef int settle(self) except -1
    cdef int sync_segment(self, FoundSegment s) except -1
    cdef int finish(self, FoundSegment s, bytes tail) except -1
    cdef int open_stretch(self) noexcept nogil
    # From the first frame whose sequence is at least that; call it before next_frame.
    cdef int rewind_native(self, u64 from_seq) except -1
    # The file of the last frame.
    cdef const char* frame_path(self) noexcept nogil
    # 1: `out` is the next frame, valid until the next call; 0: no more; negative: a status, with self.error.
    cdef int next_frame(self, frame_view_t* out) noexcept nogil
