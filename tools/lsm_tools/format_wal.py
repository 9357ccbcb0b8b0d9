"""Files of the write-ahead log read in Python, by docs/format/wal.md alone: segments, ring, frames, changes, trailers.

Guarantees: what is sound is given, what is not becomes a Fault; no length is trusted. Uses the crc32c package. What the
files mean together is format_log's to say. One thread per object; the files must not change meanwhile.

    segment = SegmentFile(path, faults, number=1, database_id=None)     both optional: checked where given
    segment.header                                     {"field": value}, or None where damaged
    for frame in segment.frames(): ...                 the run of sound frames; afterwards .end, .stop, .trailer, .last
    for frame in segment.later_frames(offset): ...     sound frames behind damage, searched for
    ring = RingFile(path, faults); ring.mark; ring.bytes_from(stream); ring.frames(stream, next_sequence)
    frame: Frame(offset, stream, sequence, time, durable_through, origin, flags, change_count, payload)
    format_frame.parse_changes(frame.payload)          the changes of a frame
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from crc32c import crc32c

from lsm_tools.format_bytes import Faults, Layout, Source
from lsm_tools.format_frame import FRAME, TRAILER, Frame, frame_at

__all__ = ["RING_HEADER", "RING_MARKS", "SEGMENT_HEADER", "RingFile", "SegmentFile"]

VERSION: Final = 1
SEGMENT_MAGIC: Final = b"lsmwal\r\n"
RING_MAGIC: Final = b"lsmrng\r\n"
RING_PAGE: Final = 4096
EPOCH_SHIFT: Final = 44
MOST_LAPS: Final = 1 << 16
"""Of the ring that are tried where it is not known how often it was filled."""

_FRONT: Final = (
    (-8, "magic", "says what the file is"),
    (4, "format version", "a newer one than a reader knows is refused"),
    (4, "header checksum", "CRC-32C of bytes 0 to 12 and 16 to 128"),
    (-16, "database id", "of the database that wrote the file"),
    (8, "epoch", "of the opening: the upper 20 bits of the sequences it gives"),
    (4, "cipher id", "0: not encrypted"),
    (4, "key id", "of the cipher's key"),
    (2, "tag bytes", "authentication tag behind each payload; 0: none"),
    (-6, "zeros", ""),
    (8, "salt", "random, of the opening; in every frame's checksum"),
    (8, "created", "microseconds since 1970"),
    (8, "opening's first sequence", "the first that the opening gives"),
)
SEGMENT_HEADER: Final = Layout(
    "segment header",
    *_FRONT,
    (8, "segment number", "as in the file's name; never reused, gaps are possible"),
    (8, "base", "stream offset of the first frame"),
    (8, "first sequence", "of the first frame, also while there is none"),
    (-24, "room", "zeros"),
)
RING_HEADER: Final = Layout(
    "ring header",
    *_FRONT,
    (8, "ring bytes", "a power of two: stream offset x stands at x modulo this, behind the first page"),
    (-40, "room", "zeros"),
)
RING_MARKS: Final = Layout(
    "ring marks",
    (8, "durable through", "sequence through which the log was synced; 0: none yet"),
    (8, "durable through, inverted", "every bit of it; where the two disagree neither counts"),
    start=1024,
)


def _read_header(source: Source, layout: Layout, magic: bytes, database_id: bytes | None) -> dict[str, Any] | None:
    """The header of a segment or ring, or None and a fault."""
    data = source.read(0, layout.size)
    faults, path = source.faults, source.path
    if len(data) < layout.size:
        faults.add(path, 0, f"{layout.name} is cut off", layout.size, len(data))
        return None
    header = layout.decode(data)
    got = crc32c(data[16:128], crc32c(data[:12]))
    if header["magic"] != magic:
        faults.add(path, 0, f"magic of the {layout.name}", magic, header["magic"])
    elif header["header checksum"] != got:
        faults.add(path, 12, f"checksum of the {layout.name}", header["header checksum"], got)
    elif header["format version"] != VERSION or header["cipher id"] or header["tag bytes"]:
        faults.add(path, 8, f"format version of the {layout.name}", VERSION, header["format version"])
    else:
        if database_id is not None and header["database id"] != database_id:
            faults.add(path, 16, "file of another database", database_id, header["database id"])
        return header
    return None


class SegmentFile:
    """One segment. `frames` walks the sound run; where it ended and why stands in `end`, `stop` and `trailer` then.

    stop: None at the very end of the file, otherwise what is wrong with the bytes at `end`. last: the last sequence.
    """

    def __init__(
        self, path: str, faults: Faults, *, number: int | None = None, database_id: bytes | None = None
    ) -> None:
        self.path = path
        self.faults = faults
        self.source = Source(path, faults)
        self.size = self.source.size
        self.header: dict[str, Any] | None = None
        self.end = 0
        self.stop: str | None = "no header"
        self.trailer: Frame | None = None
        self.last = 0
        self.count = 0
        if self.source.is_open:
            self.header = _read_header(self.source, SEGMENT_HEADER, SEGMENT_MAGIC, database_id)
        if self.header is not None and number is not None and self.header["segment number"] != number:
            at = SEGMENT_HEADER.offset_of("segment number")
            faults.add(path, at, "segment number", number, self.header["segment number"])
            if self.header["segment number"] < number:
                # a new file may show blocks of a removed one
                self.header = None

    @property
    def starts_opening(self) -> bool:
        h = self.header
        return h is not None and h["base"] == 0 and h["first sequence"] == h["opening's first sequence"]

    @property
    def stream_end(self) -> int:
        """Stream offset where the run of frames ends; after `frames`."""
        assert self.header is not None
        return int(self.header["base"]) + self.end - SEGMENT_HEADER.size

    def close(self) -> None:
        self.source.close()

    def frame(self, offset: int) -> Frame | str:
        """The frame at an offset of the file, or what is wrong with it."""
        assert self.header is not None
        stream = self.header["base"] + offset - SEGMENT_HEADER.size
        left = self.size - offset
        data = self.source.read(offset, min(left, 4096))
        frame = frame_at(data, self.header["salt"], offset, stream, left)
        if frame == "more":
            size = FRAME.size + FRAME.decode(data)["payload bytes"]
            frame = frame_at(self.source.read(offset, size), self.header["salt"], offset, stream, left)
        return "frame cannot be read" if frame == "more" else frame

    def frames(self) -> Iterator[Frame]:
        """The frames of commits from the start, as long as they are sound and follow each other. Reports no fault."""
        if self.header is None:
            return
        self.last = self.header["first sequence"] - 1
        self.end, self.count, self.trailer, self.stop = SEGMENT_HEADER.size, 0, None, None
        while self.end < self.size:
            frame = self.frame(self.end)
            if isinstance(frame, str):
                self.stop = frame
                return
            if frame.is_trailer:
                self._end(frame)
                return
            if frame.sequence != self.last + 1:
                self.stop = f"sequence {frame.sequence} of a frame, where {self.last + 1} would follow"
                return
            self.last = frame.sequence
            self.count += 1
            self.end += frame.size
            yield frame

    def _end(self, frame: Frame) -> None:
        """Judges a trailer: it ends the file, and counts what was walked."""
        said = TRAILER.decode(frame.payload) if len(frame.payload) == TRAILER.size else {}
        if (
            frame.sequence == self.last
            and said == {"last sequence": self.last, "frames": self.count}
            and frame.offset + frame.size == self.size
        ):
            self.trailer = frame
        else:
            self.stop = f"trailer does not fit: {said}, with {self.count} frames through {self.last} before it"

    def later_frames(self, offset: int) -> Iterator[Frame]:
        """Sound frames, trailers too, that begin at or behind `offset`, whatever lies between them."""
        if self.header is None:
            return
        while offset < self.size:
            frame = self.frame(offset)
            if isinstance(frame, Frame):
                yield frame
                offset += frame.size
                continue
            found = self._find(offset + 1)
            if found is None:
                return
            offset = found

    def _find(self, offset: int) -> int | None:
        """Where the next sound frame begins: the upper bytes of its sequence are known, its epoch is the header's."""
        assert self.header is not None
        mark = ((self.header["epoch"] << EPOCH_SHIFT) >> 40).to_bytes(3, "little")
        at_mark = FRAME.offset_of("sequence") + 5
        start = offset + at_mark
        while start < self.size:
            data = self.source.read(start, 1 << 20)
            at = data.find(mark)
            while at >= 0:
                if isinstance(self.frame(start + at - at_mark), Frame):
                    return start + at - at_mark
                at = data.find(mark, at + 1)
            if len(data) < len(mark):
                return None
            start += len(data) - len(mark) + 1
        return None


class RingFile:
    """The ring: newest commits on their way into a segment. `mark`: sequence through which the log was synced, or 0."""

    def __init__(self, path: str, faults: Faults, *, database_id: bytes | None = None) -> None:
        self.path = path
        self.faults = faults
        self.header: dict[str, Any] | None = None
        self.mark = 0
        self.data = b""
        with Source(path, faults) as source:
            self.size = source.size
            if source.is_open:
                self._read(source, database_id)

    def _read(self, source: Source, database_id: bytes | None) -> None:
        header = _read_header(source, RING_HEADER, RING_MAGIC, database_id)
        if header is None:
            return
        size = header["ring bytes"]
        if size & (size - 1) or not size or self.size != RING_PAGE + size:
            at = RING_HEADER.offset_of("ring bytes")
            self.faults.add(self.path, at, "size of the ring", self.size - RING_PAGE, size)
            return
        marks = RING_MARKS.decode(source.read(0, RING_PAGE))
        if marks["durable through"] ^ marks["durable through, inverted"] == 0xFFFFFFFFFFFFFFFF:
            self.mark = marks["durable through"]
        self.data = source.read(RING_PAGE, size)
        if len(self.data) == size:
            self.header = header

    def bytes_from(self, stream: int) -> bytes:
        """The ring's bytes in the order of the stream, from that offset on."""
        at = stream % len(self.data) if self.data else 0
        return self.data[at:] + self.data[:at]

    def frames(self, stream: int, next_sequence: int) -> Iterator[Frame]:
        """The frames from a stream offset on, as long as they are sound and their sequences follow."""
        if self.header is None:
            return
        data, at = self.bytes_from(stream), 0
        while at < len(data):
            frame = frame_at(data, self.header["salt"], stream + at, stream + at, len(data) - at, at)
            if isinstance(frame, str) or frame.is_trailer or frame.sequence != next_sequence:
                return
            yield frame
            next_sequence += 1
            at += frame.size

    def found_frames(self) -> Iterator[Frame]:
        """Every sound frame that lies in the ring, in the order of the places where they begin.

        For the rescue of a log whose segments are lost: how often the ring was filled before is not known then, so that
        the first frame's stream offset is found by trying.
        """
        if self.header is None:
            return
        mark = ((self.header["epoch"] << EPOCH_SHIFT) >> 40).to_bytes(3, "little")
        size, twice = len(self.data), self.data + self.data
        to_mark = FRAME.offset_of("sequence") + 5
        laps: range = range(MOST_LAPS)
        at = twice.find(mark, to_mark)
        while 0 <= at < size + to_mark:
            start = at - to_mark
            for lap in laps:
                stream = start + lap * size
                frame = frame_at(twice, self.header["salt"], stream, stream, size, start)
                if isinstance(frame, Frame):
                    laps = range(max(0, lap - 1), lap + 2)
                    yield frame
                    break
                if frame != "checksum of a frame":
                    break
            at = twice.find(mark, at + 1)
