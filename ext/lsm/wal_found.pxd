# One file of a log as recovery finds it.
from lsm.filesystem cimport FileSystem
from lsm.types cimport u32, u64
from lsm.wal_format cimport header_t
from lsm.wal_reader cimport run_t

cdef class FoundSegment:
    cdef readonly u64 number
    cdef readonly str path
    cdef bytes raw_path
    cdef bint valid                   # has a whole header that checks
    cdef u64 size
    cdef header_t header
    cdef run_t run                    # once walked
    cdef u32 crc_stored               # of what stopped the walk
    cdef u32 crc_computed
    cdef u64 stream_end(self) noexcept
    cdef bint starts_opening(self) noexcept

cdef class FoundRing:
    cdef readonly str path
    cdef bint valid
    cdef header_t header
    cdef u64 mark                     # durable through, 0: not known
    cdef bytes data
    cdef bytes from_stream(self, u64 stream)

# Header and size. Raises where it is of a newer format or of another database.
cdef FoundSegment find_segment(FileSystem files, str path, u64 number, bytes database_id)
# None where there is no ring; a ring of another database or with a broken header is not valid.
cdef FoundRing find_ring(FileSystem files, str path, bytes database_id)
# Fills in `run`.
cdef int walk_segment(FileSystem files, FoundSegment s) except -1
# Whether a whole frame from `offset` on says that `lost` was durable.
cdef bint segment_proves(FileSystem files, FoundSegment s, u64 offset, u64 lost) except -1
