"""The files of a log as recovery finds them: headers, the run of whole frames in a segment, the ring's bytes.

Guarantees: a segment of another database, or a newer format, raises; other damage is a fact for the caller to judge.
Only reads. No lock.
"""
from libc.string cimport memcmp

from lsm.failure cimport fail, set_newer_format
from lsm.types cimport STATUS_OK, error_t, u8
from lsm.wal_format cimport (HEADER_DATABASE_ID, HEADER_INVALID, HEADER_NEWER, HEADER_OK, SEGMENT_NUMBER,
                             WAL_VERSION, ring_header_decode, ring_mark, segment_header_decode)
from lsm.wal_reader cimport (reader_bytes, reader_close, reader_evidence, reader_open, reader_place, reader_t,
                             reader_walk)
from lsm.wal_state cimport RING_HEADER, WAL_HEADER, WAL_MIN_RING

import os

from lsm.errors import CorruptionError


cdef class FoundSegment:
    cdef u64 stream_end(self) noexcept:
        return self.header.base + self.run.end - WAL_HEADER

    cdef bint starts_opening(self) noexcept:
        return self.header.base == 0 and self.header.first_seq == self.header.opening_first


cdef class FoundRing:
    cdef bytes from_stream(self, u64 stream):
        """The ring's bytes in the order of the stream, from that offset on."""
        at = stream % self.header.ring_bytes
        return self.data[at:] + self.data[:at]


cdef int refuse_newer(bytes raw_path, u32 version) except -1:
    cdef error_t error
    set_newer_format(&error, raw_path, version, WAL_VERSION)
    return fail(&error)


cdef FoundSegment find_segment(FileSystem files, str path, u64 number, bytes database_id):
    cdef FoundSegment s = FoundSegment.__new__(FoundSegment)
    cdef reader_t r
    cdef error_t error
    cdef const u8* p = NULL
    cdef int status
    cdef int verdict = HEADER_INVALID
    cdef u32 version
    s.number = number
    s.path = path
    s.raw_path = os.fsencode(path)
    status = reader_open(&r, &files.ops, s.raw_path, &error)
    if status == STATUS_OK:
        s.size = r.size
        p = reader_bytes(&r, WAL_HEADER, &status, &error)
        if p != NULL:
            verdict = segment_header_decode(p, &s.header, &version)
            s.valid = verdict == HEADER_OK
        reader_close(&r)
    if status != STATUS_OK:
        fail(&error)
    if p != NULL and verdict == HEADER_NEWER:
        refuse_newer(s.raw_path, version)
    if s.valid and memcmp(s.header.database_id, <const u8*>database_id, 16) != 0:
        found = (<u8*>s.header.database_id)[:16]
        raise CorruptionError(path, HEADER_DATABASE_ID, database_id.hex(), found.hex(), "a segment of another database")
    if s.valid and s.header.number < number:
        s.valid = False                # blocks of a removed segment, shown by a new one whose own never arrived
    if s.valid and s.header.number > number:
        raise CorruptionError(path, SEGMENT_NUMBER, number, s.header.number, "a segment under another's name")
    return s


cdef FoundRing find_ring(FileSystem files, str path, bytes database_id):
    cdef FoundRing ring = FoundRing.__new__(FoundRing)
    cdef bytes content
    cdef u32 version
    cdef int verdict = HEADER_INVALID
    if not files.exists(path):
        return None
    content = files.read_file(path)
    ring.path = path
    if len(content) < RING_HEADER:
        return ring
    verdict = ring_header_decode(content, &ring.header, &version)
    if verdict == HEADER_NEWER:
        refuse_newer(os.fsencode(path), version)
    size = ring.header.ring_bytes
    if (verdict == HEADER_OK and memcmp(ring.header.database_id, <const u8*>database_id, 16) == 0
            and size >= WAL_MIN_RING and size & (size - 1) == 0 and len(content) == RING_HEADER + size):
        ring.valid = True
        ring.mark = ring_mark(content)
        ring.data = content[RING_HEADER:]
    return ring


cdef int walk_segment(FileSystem files, FoundSegment s) except -1:
    cdef const char* path = s.raw_path
    cdef reader_t r
    cdef error_t error
    cdef int status
    with nogil:
        status = reader_open(&r, &files.ops, path, &error)
        if status == STATUS_OK:
            reader_place(&r, s.header.salt, WAL_HEADER, s.header.base)
            status = reader_walk(&r, s.header.first_seq, &s.run, &error)
            s.size = r.size
            s.crc_stored = r.crc_stored
            s.crc_computed = r.crc_computed
            reader_close(&r)
    return 0 if status == STATUS_OK else fail(&error)


cdef bint segment_proves(FileSystem files, FoundSegment s, u64 offset, u64 lost) except -1:
    cdef const char* path = s.raw_path
    cdef reader_t r
    cdef error_t error
    cdef int status
    with nogil:
        status = reader_open(&r, &files.ops, path, &error)
        if status == STATUS_OK:
            reader_place(&r, s.header.salt, offset, s.header.base + offset - WAL_HEADER)
            status = reader_evidence(&r, lost, &error)
            reader_close(&r)
    if status < 0:
        fail(&error)
    return status == 1
