# Whether what a log lacks had been durable.
from lsm.filesystem cimport FileSystem
from lsm.types cimport u64
from lsm.wal_found cimport FoundRing

# `kept` and `leftover` are FoundSegments: the log's run, and the files behind its end; `last` is the run's last
# sequence, the ring's frames included. Raises CorruptionError where something behind it was durable once.
cdef int check_loss(FileSystem files, list kept, list leftover, FoundRing ring, u64 last) except -1
