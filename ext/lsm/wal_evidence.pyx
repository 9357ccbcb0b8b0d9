"""Torn tail or rot: looks behind the end of a recovered log for proof that a commit which it lacks had been durable.

Guarantees: no proof is seen where an honest power failure or kill left the files so; docs/format/wal.md has the rules.
Only reads. No lock.
"""
from lsm.types cimport STATUS_OK, error_t, u8
from lsm.wal_format cimport RING_MARK
from lsm.wal_found cimport FoundSegment, segment_proves
from lsm.wal_reader cimport reader_evidence, reader_memory, reader_t
from lsm.wal_state cimport WAL_HEADER

from lsm.errors import CorruptionError


cdef bint leftover_proves(FileSystem files, FoundSegment tail, FoundSegment s, u64 lost) except -1:
    if not s.valid:
        return False
    if tail is not None and s.header.salt == tail.header.salt:
        return segment_proves(files, s, WAL_HEADER, lost)
    # Of a later opening. Before it began, the one before was repaired and sealed, and torn files were removed.
    if (tail is not None and not tail.run.sealed) or s.starts_opening():
        return True
    return segment_proves(files, s, WAL_HEADER, s.header.opening_first)


cdef bint ring_proves(FoundSegment tail, FoundRing ring, u64 lost) except -1:
    cdef bytes data
    cdef reader_t r
    cdef error_t error
    if ring is None or not ring.valid:
        return False
    if tail is None or tail.header.salt != ring.header.salt:
        return ring.mark >= max(lost, ring.header.opening_first)
    if ring.mark >= lost:
        return True
    data = ring.from_stream(tail.stream_end())
    reader_memory(&r, data, len(data), ring.header.salt, tail.stream_end())
    return reader_evidence(&r, lost, &error) == 1


cdef bint is_proven(FileSystem files, FoundSegment tail, list leftover, FoundRing ring, u64 lost) except -1:
    if tail is not None and not tail.run.sealed and segment_proves(files, tail, tail.run.end, lost):
        return True
    for s in leftover:
        if leftover_proves(files, tail, s, lost):
            return True
    return ring_proves(tail, ring, lost)


cdef int check_loss(FileSystem files, list kept, list leftover, FoundRing ring, u64 last) except -1:
    cdef FoundSegment tail = kept[len(kept) - 1] if kept else None
    cdef FoundSegment first
    cdef u64 lost = last + 1
    if not is_proven(files, tail, leftover, ring, lost):
        return 0
    what = f"commit {lost:#x} was durable; here the log breaks off"
    if tail is not None and not tail.run.sealed:
        if tail.run.stopped and tail.crc_computed != tail.crc_stored:
            raise CorruptionError(tail.path, tail.run.end, tail.crc_computed, tail.crc_stored, what)
        raise CorruptionError(tail.path, tail.run.end, lost, None, what)
    if leftover:
        first = leftover[0]
        raise CorruptionError(first.path, 0, lost, first.header.first_seq if first.valid else None, what)
    raise CorruptionError(ring.path, RING_MARK, last, ring.mark, "the ring knows of more durable commits")
