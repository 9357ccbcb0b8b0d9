# Which disks may be found after a power failure. The disk is only read; the result is settled: all of it is durable.
from lsm.simulated_disk cimport disk_t
from lsm.types cimport u64

cdef enum:                            # what orders the cache kept while it went to the disk
    MODE_NOTHING = 0                  # nothing that was not synced arrived
    MODE_EVERYTHING = 1               # all of it did
    MODE_EXT4 = 2                     # one journal of names and lengths, in order; a length only after its bytes
    MODE_STRICT = 3                   # POSIX promises no order: any pieces, any length, any prefix of each directory
    MODE_KILLED = 4                   # not the power but the process: what was cached still is

cdef disk_t* disk_survivor(disk_t* d, int mode, u64 seed) noexcept nogil     # NULL: out of memory
