"""The log's bytes: docs/format/wal.md is true, golden files are still read, an independent encoder writes the same."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wal_logs import EPOCH, FILES, FIRST, FRAME_HEADER, SEGMENT_HEADER, new_log, reopen, ring, segment

from lsm import wal_changes, wal_format
from lsm.errors import CorruptionError
from lsm.wal_recovery import scan_log

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests/golden"
DOC = (ROOT / "docs/format/wal.md").read_text()
GOLDEN_DATABASE = bytes(range(32, 48))
GOLDEN_CHANGES = [
    [(7, 1, b"events", b"\x01\0\0\0\1\0\0\0", None, None)],
    [(1, 1, b"k", b"v" * 20, None, None)],
    [(2, 1, b"k", b"", b"v" * 20, b"meta"), (1, 300, b"other", b"", None, b"")],
    [(1, 1, b"in the ring only", b"unsynced", None, None)],
]

kinds = st.integers(1, 10)
small = st.binary(max_size=40)
changes = st.tuples(kinds, st.integers(0, 2**32 - 1), small, small, st.none() | small, st.none() | small).map(
    lambda c: (c[0], c[1], c[2], b"" if c[0] == 2 else c[3], c[4], c[5])
)


def tables(heading: str) -> list[list[str]]:
    """The rows of the tables under a heading, up to the next heading; header rows and rules left out."""
    text = re.split(r"^#+ ", DOC.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if not set(row[0]) <= {"-"} and row[0] not in ("offset", "number", "bytes", "kind")]


@pytest.mark.parametrize("layout", list(wal_format.LAYOUTS))
def test_the_documents_tables_are_the_codecs(layout):
    documented = {row[2]: (int(row[0]), int(row[1])) for row in tables(layout)}
    assert documented == wal_format.LAYOUTS[layout]


def test_the_documents_numbers_are_the_codecs():
    numbers = dict(row[:2] for row in tables("The write-ahead log"))
    assert numbers == {
        "format version": str(wal_format.VERSION),
        "segment magic": "`" + repr(wal_format.SEGMENT_MAGIC_VALUE)[2:-1] + "`",
        "ring magic": "`" + repr(wal_format.RING_MAGIC_VALUE)[2:-1] + "`",
        "frame header bytes": str(FRAME_HEADER),
        "ring page bytes": "4096",
        "largest frame": str(1 << 30),
        "frame flag: trailer": str(wal_format.SEAL_FLAG),
    }
    assert wal_format.SEGMENT_HEADER_BYTES == SEGMENT_HEADER


def test_the_documents_kinds_are_the_codecs():
    documented = {int(row[0]): row[1] for row in tables("change") if len(row) == 2}
    assert documented == wal_changes.KINDS


def test_fields_leave_no_gap_and_do_not_overlap():
    for layout, size in (("segment header", 128), ("frame", 48), ("trailer payload", 16)):
        at = 0
        for offset, width in wal_format.LAYOUTS[layout].values():
            assert offset == at, layout
            at += width
        assert at == size


# ---- goldens


def golden(name: str) -> bytes:
    """Rows of 32 bytes with their offsets; rows of zeros are left out, the last line is the size."""
    *rows, size = (GOLDEN / name).read_text().splitlines()
    content = bytearray(int(size, 16))
    for row in rows:
        offset, data = row.split()
        at = int(offset, 16)
        content[at : at + len(data) // 2] = bytes.fromhex(data)
    return bytes(content)


def test_golden_files_are_still_read(tmp_path):
    for name in ("wal-000001.log", "wal-000002.log", "wal.ring"):
        (tmp_path / name).write_bytes(golden(name.replace("wal.", "wal-").replace(".log", "") + ".hex"))
    found = scan_log(FILES, tmp_path, GOLDEN_DATABASE)
    frames = list(found.frames())
    assert [wal_changes.decode(payload) for *_, payload in frames] == GOLDEN_CHANGES
    assert [seq for seq, *_ in frames] == [(3 << 44) + i for i in (1, 2, 3, 4)]
    assert [count for *_, count, _ in frames] == [1, 1, 2, 1]
    assert [flags for _, _, flags, _, _ in frames] == [0] * 4
    assert (found.epoch, found.clean, found.next_segment_number) == (3, False, 3)
    found.repair()
    assert len(list(scan_log(FILES, tmp_path, GOLDEN_DATABASE).frames())) == 4


def checked(body: bytes) -> bytes:
    """A header with its checksum at byte 12."""
    crc = crc32c.crc32c(body[16:128], crc32c.crc32c(body[:12]))
    return body[:12] + struct.pack("<I", crc) + body[16:]


def frame(salt: int, stream: int, body: bytes) -> bytes:
    return struct.pack("<I", crc32c.crc32c(struct.pack("<QQ", salt, stream) + body)) + body


def test_a_segment_is_what_the_document_says(tmp_path):
    log = new_log(tmp_path / "log")
    log.append(b"first", changes=7)
    log.sync()
    log.append(b"second frame", changes=1, flags=6)
    ring_page = ring(tmp_path / "log").read_bytes()[:4096]
    log.close()
    got = segment(tmp_path / "log").read_bytes()
    salt, created = struct.unpack_from("<QQ", got, 56)
    times = [struct.unpack_from("<Q", got, at)[0] for at in (144, 197, 257)]
    database, zeros = bytes(range(16)), bytes(6)
    front = struct.pack("<8sII16sQIIH6sQQQ", b"lsmwal\r\n", 1, 0, database, EPOCH, 0, 0, 0, zeros, salt, created, FIRST)
    one = struct.pack("<IQQQIHHII", 5, FIRST, times[0], FIRST - 1, 0, 0, 0, 7, 0) + b"first"
    two = struct.pack("<IQQQIHHII", 12, FIRST + 1, times[1], FIRST, 0, 6, 0, 1, 0) + b"second frame"
    end = struct.pack("<IQQQIHHIIQQ", 16, FIRST + 1, times[2], FIRST + 1, 0, 1, 0, 0, 0, FIRST + 1, 2)
    assert got[:128] == checked(front + struct.pack("<QQQ", 1, 0, FIRST) + bytes(24))
    assert got[128:181] == frame(salt, 0, one)
    assert got[181:241] == frame(salt, 53, two)
    assert got[241:] == frame(salt, 113, end)
    created = struct.unpack_from("<Q", ring_page, 64)[0]
    front = struct.pack("<8sII16sQIIH6sQQQ", b"lsmrng\r\n", 1, 0, database, EPOCH, 0, 0, 0, zeros, salt, created, FIRST)
    head = checked(front + struct.pack("<Q", 1 << 20) + bytes(40))
    assert ring_page == head + bytes(896) + struct.pack("<QQ", FIRST, ~FIRST & (2**64 - 1)) + bytes(4096 - 1040)


def test_salts_differ_between_openings_and_are_shared_within(tmp_path):
    log = new_log(tmp_path / "log")
    log.append(b"x")
    log.rotate()
    salt_of_ring = ring(tmp_path / "log").read_bytes()[56:64]
    log.close()
    log = reopen(tmp_path / "log")
    log.close()
    salts = [segment(tmp_path / "log", number).read_bytes()[56:64] for number in (1, 2, 3)]
    assert salts[0] == salts[1] == salt_of_ring != salts[2]


# ---- changes


@given(st.lists(changes, max_size=8))
def test_changes_come_back_as_they_were(batch):
    assert wal_changes.decode(wal_changes.encode(batch)) == batch


@given(st.lists(changes, min_size=1, max_size=4), st.data())
def test_a_cut_change_is_corruption(batch, data):
    payload = wal_changes.encode(batch)
    last = len(wal_changes.encode(batch[:-1]))
    cut = data.draw(st.integers(last + 1, len(payload) - 1))
    with pytest.raises(CorruptionError) as caught:
        wal_changes.decode(payload[:cut])
    assert caught.value.offset == last


@given(st.binary(max_size=60))
def test_arbitrary_bytes_parse_or_are_corruption(payload):
    try:
        parsed = wal_changes.decode(payload)
    except CorruptionError:
        return
    assert all(1 <= kind <= 10 for kind, *_ in parsed)


def test_golden_changes_are_still_written():
    assert wal_changes.encode([(1, 1, b"k", b"v"), (2, 300, b"k", b"", b"old", b"m")]).hex() == (
        "010101016b76c2ac0201006b036f6c64016d"
    )


def test_a_delete_with_a_value_is_corruption():
    with pytest.raises(CorruptionError):
        wal_changes.decode(bytes([2, 1, 1, 1]) + b"kv")
