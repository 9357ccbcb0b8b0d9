# A file system that lives in memory and can lose power. Native users borrow `ops` as of any other.
from lsm.filesystem cimport FileSystem
from lsm.simulated_calls cimport simulation_t
from lsm.simulated_disk cimport disk_t

cdef class SimulatedFileSystem(FileSystem):
    cdef simulation_t s
    cdef take(self, disk_t* disk)
