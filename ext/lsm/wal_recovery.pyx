"""Recovery of the log: which frames it holds, the repair of what a killed writer could not finish, and the replay.

Guarantees: the frames are a prefix of the commit order; what can be told from a torn tail raises CorruptionError;
`repair` may be killed anywhere and started again. By the opener of a database, before anything else; no lock.
"""
from libc.errno cimport ENOENT
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from lsm.failure cimport fail, set_corruption
from lsm.types cimport STATUS_OK, u8
from lsm.wal_evidence cimport check_loss
from lsm.wal_format cimport SEAL_PAYLOAD, salt_state, seal_encode
from lsm.wal_found cimport find_ring, find_segment, walk_segment
from lsm.wal_reader cimport (READ_END, READ_FRAME, reader_close, reader_frame, reader_memory, reader_open, reader_place,
                             reader_skip, reader_walk)
from lsm.wal_state cimport FRAME_HEADER, WAL_HEADER, wall_us

import os

from lsm import directory as names
from lsm.errors import CorruptionError, FileError, InvalidArgumentError, ReadOnlyError
from lsm.filesystem import READ, WRITE

LIVE_ATTEMPTS = 10


def scan_log(FileSystem fs not None, directory, bytes database_id not None, *, bint read_only=False, bint live=False):
    """Reads the log in `directory` and says what it holds; changes nothing.

    `live`: another process may be writing it. What is missing at its end was written while we read, unless a second scan
    misses it too. Implies read_only. Raises CorruptionError, UnsupportedVersionError, FileError.
    """
    if len(database_id) != 16:
        raise InvalidArgumentError(f"the database id has {len(database_id)} bytes; it has 16")
    cdef RecoveredLog log = None
    cdef u64 proven = 0                # durable before the scan began
    for attempt in range(LIVE_ATTEMPTS):
        try:
            log = scan_once(fs, os.fsdecode(directory), database_id, read_only, live)
            check_loss(fs, log.kept, log.leftover(), log.ring, log.last_sequence)
            break
        except FileError as error:
            # The writer removed a segment between our listing and reading it.
            if not live or error.errno != ENOENT or attempt + 1 == LIVE_ATTEMPTS:
                raise
        except CorruptionError:
            if not live or log is None or log.last_sequence < proven:
                raise
            proven = log.last_sequence + 1
    return log


cdef RecoveredLog scan_once(FileSystem fs, str directory, bytes database_id, bint read_only, bint live):
    cdef RecoveredLog log = RecoveredLog.__new__(RecoveredLog)
    log.files = fs
    log.directory = directory
    log.read_only = read_only or live
    # The ring first: what is drained meanwhile, the segments have.
    log.ring = find_ring(fs, os.path.join(directory, names.RING), database_id)
    log.ring_path = os.fsencode(os.path.join(directory, names.RING))
    log.ring_name = log.ring_path
    numbers = sorted(number for kind, number in filter(None, map(names.parse, fs.listdir(directory)))
                     if kind == "segment")
    log.next_segment_number = numbers[len(numbers) - 1] + 1 if numbers else 1
    log.choose([find_segment(fs, os.path.join(directory, names.segment_name(number)), number, database_id)
                for number in numbers])
    log.continue_into_ring()
    log.settle()
    return log


cdef bint follows(FoundSegment tail, FoundSegment s, bint skipped) noexcept:
    """Whether `s` goes on where `tail` ends; `skipped`: there are other files between the two."""
    if tail is None:
        return not skipped
    if s.header.salt == tail.header.salt:
        return s.header.base == tail.stream_end() and s.header.first_seq == tail.run.last_seq + 1
    if skipped or not s.starts_opening() or s.header.first_seq <= tail.run.last_seq:
        return False
    return tail.run.sealed or s.header.first_seq == tail.run.last_seq + 1


cdef class RecoveredLog:
    """The frames of a log, for replay; `repair` first, unless the database is only read.

    `segments` is what Wal.create inherits. `epoch` must be exceeded by the next opening unless `clean`.
    """

    def __init__(self):
        raise TypeError("made by scan_log")

    def __dealloc__(self):
        if self.reading:
            reader_close(&self.reader)
        free(self.stretches)

    cdef int choose(self, list found) except -1:
        cdef FoundSegment s
        cdef FoundSegment tail = None
        cdef bint skipped = False
        self.kept = []
        self.dropped = []
        for s in found:
            if s.valid:
                self.epoch = max(self.epoch, s.header.epoch)
            if s.valid and follows(tail, s, skipped):
                walk_segment(self.files, s)
                self.kept.append(s)
                tail = s
                skipped = False
            else:
                self.dropped.append(s)
                skipped = True
        return 0

    cdef FoundSegment tail(self):
        return self.kept[len(self.kept) - 1] if self.kept else None

    def leftover(self):
        """Files behind the end of the run; those before it were never part of the stream."""
        cdef FoundSegment tail = self.tail()
        return [s for s in self.dropped if tail is None or s.number > tail.number]

    cdef int continue_into_ring(self) except -1:
        cdef FoundSegment tail = self.tail()
        cdef reader_t r
        cdef error_t error
        cdef bytes data
        self.ring_tail = b""
        if self.ring is None or not self.ring.valid:
            return 0
        self.epoch = max(self.epoch, self.ring.header.epoch)
        if tail is None or tail.run.sealed or tail.header.salt != self.ring.header.salt:
            return 0
        data = self.ring.from_stream(tail.stream_end())
        reader_memory(&r, data, len(data), tail.header.salt, tail.stream_end())
        if reader_walk(&r, tail.run.last_seq + 1, &self.ring_run, &error) != STATUS_OK:
            fail(&error)
        self.ring_tail = data[:self.ring_run.end]
        return 0

    cdef int settle(self) except -1:
        cdef FoundSegment tail = self.tail()
        cdef FoundSegment s
        for s in self.kept:
            self.last_time_us = max(self.last_time_us, s.run.last_time)
        if tail is not None:
            self.last_sequence = tail.run.last_seq
        if self.ring_tail:
            self.last_sequence = self.ring_run.last_seq
            self.last_time_us = self.ring_run.last_time
        self.clean = not self.dropped and self.ring is None and (tail is None or tail.run.sealed)
        return 0

    @property
    def segments(self):
        """Oldest first: (number, first sequence, last sequence, bytes, False)."""
        cdef FoundSegment s
        return [(s.number, s.header.first_seq, s.run.last_seq, s.run.end, False) for s in self.kept]

    # ---- repair

    def repair(self):
        """Makes the files say durably what the scan found: torn bytes go, the ring's frames go to the last segment.

        A log that was closed has nothing to repair. Its last trailer may not be durable: the next opening of the log sees
        to that when it begins.
        """
        cdef FoundSegment s
        cdef FoundSegment tail = self.tail()
        if self.read_only:
            raise ReadOnlyError("this log was scanned to be read only; scan it again to repair it")
        if self.repaired:
            return
        if self.clean:
            self.repaired = True
            return
        # A process that was killed leaves what it had not synced in the cache, where it reads as well as anything.
        for s in self.kept:
            if s.run.sealed:
                self.sync_segment(s)
        for s in self.dropped:
            self.files.unlink(s.path, missing_ok=True)
        if self.dropped:
            # Before a trailer may say that the log ends earlier.
            self.files.sync_dir(self.directory)
        for s in self.kept:
            if not s.run.sealed:
                self.finish(s, self.ring_tail if s is tail else b"")
        self.files.sync_dir(self.directory)
        if self.ring is not None:
            self.files.unlink(self.ring.path, missing_ok=True)
            self.files.sync_dir(self.directory)
        self.stretch_count = 0         # a replay begun before ends here: its bytes have moved
        self.ring_tail = b""
        self.repaired = True

    cdef int sync_segment(self, FoundSegment s) except -1:
        handle = self.files.open(s.path, READ | WRITE)
        try:
            self.files.sync(handle)
        finally:
            self.files.close(handle)
        return 0

    cdef int finish(self, FoundSegment s, bytes tail) except -1:
        """Content durable first, then the trailer that says so."""
        cdef u8 trailer[FRAME_HEADER + SEAL_PAYLOAD]
        cdef size_t n
        handle = self.files.open(s.path, READ | WRITE)
        try:
            if s.size > s.run.end:
                self.files.truncate(handle, s.run.end)
            if tail:
                self.files.write(handle, tail, s.run.end)
                s.run.end += <u64>len(tail)
                s.run.frames += self.ring_run.frames
                s.run.last_seq = self.ring_run.last_seq
            self.files.sync(handle)
            n = seal_encode(trailer, salt_state(s.header.salt), s.stream_end(), s.run.last_seq, s.run.frames, wall_us(),
                            s.run.last_seq)
            self.files.write(handle, trailer[:n], s.run.end)
            self.files.sync(handle)
            s.run.sealed = True
        finally:
            self.files.close(handle)
        return 0

    # ---- replay

    cdef int rewind_native(self, u64 from_seq) except -1:
        cdef FoundSegment s
        cdef FoundSegment tail = self.tail()
        cdef stretch_t* next
        if self.reading:
            reader_close(&self.reader)
        self.reading = False
        free(self.stretches)
        self.stretches = <stretch_t*>calloc(len(self.kept) + 1, sizeof(stretch_t))
        if self.stretches == NULL:
            raise MemoryError
        self.stretch_count = self.at = 0
        self.from_seq = from_seq
        for s in self.kept:
            next = &self.stretches[self.stretch_count]
            next[0] = stretch_t(path=s.raw_path, salt=s.header.salt, stream=s.header.base, last_seq=s.run.last_seq,
                                end=s.run.end, bytes=NULL)
            if s.run.frames and s.run.last_seq >= from_seq:
                self.stretch_count += 1
        if self.ring_tail:
            self.stretches[self.stretch_count] = stretch_t(path=NULL, salt=tail.header.salt, stream=tail.stream_end(),
                                                           last_seq=self.ring_run.last_seq, end=self.ring_run.end,
                                                           bytes=self.ring_tail)
            self.stretch_count += 1
        return 0

    cdef int open_stretch(self) noexcept nogil:
        cdef stretch_t* s = &self.stretches[self.at]
        cdef int status
        if s.path == NULL:
            reader_memory(&self.reader, s.bytes, s.end, s.salt, s.stream)
        else:
            status = reader_open(&self.reader, &self.files.ops, s.path, &self.error)
            if status != STATUS_OK:
                return status
            reader_place(&self.reader, s.salt, WAL_HEADER, s.stream)
            self.reader.size = s.end
        self.reading = True
        return STATUS_OK

    cdef const char* frame_path(self) noexcept nogil:
        cdef const char* path = self.stretches[self.at].path
        return path if path != NULL else self.ring_name

    cdef int next_frame(self, frame_view_t* out) noexcept nogil:
        cdef int what
        while self.at < self.stretch_count:
            if not self.reading:
                what = self.open_stretch()
                if what != STATUS_OK:
                    return what
            what = reader_frame(&self.reader, out, &self.error)
            if what == READ_END:
                reader_close(&self.reader)
                self.reading = False
                self.at += 1
            elif what == READ_FRAME:
                self.frame_offset = self.reader.offset
                reader_skip(&self.reader, FRAME_HEADER + out.bytes)
                if out.sequence >= self.from_seq:
                    return 1
            elif what < 0:
                return what
            else:
                return set_corruption(&self.error, b"a frame changed since the log was scanned",
                                      self.stretches[self.at].path, self.reader.offset, self.reader.crc_computed,
                                      self.reader.crc_stored)
        return 0

    def frames(self, u64 from_sequence=0):
        """(sequence, commit time in microseconds, flags, change count, payload) of the frames from there on."""
        cdef frame_view_t f
        cdef int what
        self.rewind_native(from_sequence)
        while True:
            with nogil:
                what = self.next_frame(&f)
            if what < 0:
                fail(&self.error)
            if what == 0:
                return
            yield f.sequence, f.time, f.flags, f.changes, f.payload[:f.bytes]
