# Reading a segment file, or the ring's bytes laid out in stream order, frame by frame. Trusts nothing it reads.
from lsm.filesystem cimport fs_ops_t
from lsm.types cimport error_t, i64, u8, u32, u64
from lsm.wal_format cimport frame_view_t

cdef enum:                            # what stands at the reader's place
    READ_END = 0
    READ_FRAME = 1
    READ_INVALID = 2

cdef struct reader_t:
    const fs_ops_t* fs
    const char* path
    int handle                        # -1: memory of somebody else
    u8* buffer
    size_t room
    size_t start                      # of the place in the buffer
    size_t filled
    u64 offset                        # of the place in the file
    u64 size                          # where the reader stops
    u64 shift                         # stream offset = file offset + shift, modulo 2^64
    u32 salt_crc
    u32 crc_stored                    # of the last invalid frame whose header could be one
    u32 crc_computed

# What a walk over a segment found.
cdef struct run_t:
    u64 last_seq
    u64 last_time
    u64 frames
    u64 end                           # file offset behind the last whole frame
    bint sealed
    bint stopped                      # something else than frames follows

cdef int reader_open(reader_t* r, const fs_ops_t* fs, const char* path, error_t* error) noexcept nogil
cdef void reader_memory(reader_t* r, const u8* bytes, size_t n, u64 salt, u64 stream) noexcept nogil
cdef void reader_close(reader_t* r) noexcept nogil
# Where the frames start: their salt, their file offset and the stream offset that this is.
cdef void reader_place(reader_t* r, u64 salt, u64 offset, u64 stream) noexcept nogil
# n bytes at the place; NULL with status 0: the file ends before; NULL with a negative status: `error`.
cdef const u8* reader_bytes(reader_t* r, size_t n, int* status, error_t* error) noexcept nogil
cdef void reader_skip(reader_t* r, size_t n) noexcept nogil
# READ_* or a negative status. Does not move; `out` is valid until the reader is asked again.
cdef int reader_frame(reader_t* r, frame_view_t* out, error_t* error) noexcept nogil
# From the place on to the end of the contiguous frames that start with sequence `next_seq`.
cdef int reader_walk(reader_t* r, u64 next_seq, run_t* out, error_t* error) noexcept nogil
# Looks behind the place, byte by byte, for a whole frame that says `lost` was durable. 1, 0 or a negative status.
cdef int reader_evidence(reader_t* r, u64 lost, error_t* error) noexcept nogil
