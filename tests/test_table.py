"""Tables: a file answers as the list it was written from, or says that it is damaged; docs/format/table.md is true."""

import bisect
import random
import re
from pathlib import Path

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import CorruptionError, FileError, InvalidArgumentError, UnsupportedVersionError
from lsm.posix_files import PosixFileSystem
from lsm.table_doors import LAYOUT, NUMBERS, TableReader, TableWriter, separator

PUT, DELETE = 1, 2
LAST = 2**64 - 1
ID = bytes(range(16))
SEED, SALT, NUMBER = 99, 0x1122334455667788, 7
FS = PosixFileSystem()
ROOT = Path(__file__).parent.parent

keys = st.one_of(
    st.binary(min_size=1, max_size=5),
    st.binary(max_size=20).map(lambda b: b"a shared prefix/" + b),
    st.integers(0, 500).map(lambda i: b"user:%08d" % i),
)


@st.composite
def entry_lists(draw):
    """Entries in order; some keys with many versions."""
    versions = st.one_of(
        st.sets(st.integers(0, LAST), min_size=1, max_size=4), st.integers(1, 60).map(lambda n: set(range(1, n + 1)))
    )
    rows = []
    for key in sorted(draw(st.sets(keys, min_size=1, max_size=40))):
        for seq in sorted(draw(versions), reverse=True):
            rows.append((key, seq, draw(st.sampled_from([PUT, DELETE])), draw(st.binary(max_size=12))))
    return rows


def write(path, rows, **options):
    given_options = {"database_id": ID, "seed": SEED, "number": NUMBER, "salt": SALT, "block_bytes": 64, **options}
    writer = TableWriter(FS, path, **given_options)
    for row in rows:
        writer.add(*row)
    return writer.finish(min_time=1000, max_time=2000)


def read(path, number=NUMBER, database_id=ID):
    return TableReader(FS, path, number, database_id, SEED)


def newest(rows, key, seq=LAST):
    """(sequence, kind, value) as a plain search finds it."""
    at = bisect.bisect_left(rows, (key, LAST - seq), key=lambda row: (row[0], LAST - row[1]))
    return rows[at][1:] if at < len(rows) and rows[at][0] == key else None


def numbered(n, versions=1, value=b"v" * 20):
    return [(b"user:%06d" % i, 1000 - v, PUT, value) for i in range(n) for v in range(versions)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "t.table"


@given(rows=entry_lists(), block_bytes=st.sampled_from([1, 40, 300, 4096]), bits=st.sampled_from([0, 10]))
@settings(deadline=None)
def test_a_table_answers_as_the_list_it_was_written_from(place, rows, block_bytes, bits):
    write(place, rows, block_bytes=block_bytes, bits_per_key=bits)
    table = read(place)
    assert list(table.entries()) == rows
    for key, seq, _, _ in rows:
        for at in (seq, max(seq - 1, 0), LAST):
            assert table.get(key, at) == newest(rows, key, at)
        assert table.get(key + b"\0") == newest(rows, key + b"\0")
        assert table.get(key[:-1]) == newest(rows, key[:-1])
    assert table.unique == (len({row[0] for row in rows}) == len(rows))


@given(rows=entry_lists(), start=keys)
@settings(deadline=None)
def test_entries_begin_at_the_first_key_not_below_the_start(place, rows, start):
    write(place, rows)
    assert list(read(place).entries(start)) == [row for row in rows if row[0] >= start]


@given(rows=entry_lists(), others=st.lists(keys, max_size=8))
@settings(deadline=None)
def test_find_block_names_the_first_block_that_may_hold_the_key_or_one_after_it(place, rows, others):
    write(place, rows)
    table = read(place)
    lasts = [table.block_entries(i)[-1][0] for i in range(len(table.separators()))]
    for key in {row[0] for row in rows} | set(others) | {b"", b"\xff" * 40}:
        block = table.find_block(key)
        # every block before it ends below the key
        assert block >= 0
        assert all(last < key for last in lasts[:block])
        exact = bisect.bisect_left(lasts, key)
        assert block <= exact
        assert block == exact or (not table.block_entries(block, key) and block == exact - 1)


@given(rows=entry_lists())
@settings(deadline=None)
def test_separators_part_each_block_from_the_next(place, rows):
    write(place, rows)
    table = read(place)
    separators = table.separators()
    blocks = [table.block_entries(i) for i in range(len(separators))]
    for this, following, s in zip(blocks, blocks[1:], separators, strict=False):
        last, first = this[-1][0], following[0][0]
        assert last <= s < first or last == s == first
    assert separators[-1] == rows[-1][0]
    assert separators == sorted(separators)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_a_separator_is_the_shortest_between_two_keys(a, b):
    a, b = sorted((a, b))
    s = separator(a, b)
    assert a <= s < b or a == s == b
    for n in range(len(s)):
        # the lowest string of n bytes that is >= a, if there is one, is not below b
        lowest = int.from_bytes(a[:n], "big") + (len(a) > n)
        assert lowest >= 256**n or lowest.to_bytes(n, "big") >= b


def test_versions_of_one_key_span_blocks(place):
    rows = [(b"a", 1, PUT, b"")] + [(b"k", 500 - i, PUT, b"%d" % i) for i in range(400)] + [(b"l", 1, PUT, b"")]
    write(place, rows)
    table = read(place)
    assert len(table.blocks()) > 20
    assert [table.get(b"k", 500 - i) for i in range(400)] == [row[1:] for row in rows[1:-1]]
    assert table.get(b"k", 100) is None
    assert table.get(b"l") == (1, PUT, b"")


def test_keys_and_values_of_very_different_lengths(place):
    rows = sorted(
        [
            (b"a", 1, PUT, b""),
            (b"b" * 65536, 2, PUT, b"x"),
            (b"b" * 65536 + b"c", 3, DELETE, b""),
            (b"c" * 163840, 4, PUT, b"y" * 300),
            (b"d", 5, PUT, bytes(range(256)) * 32768),
            (b"e", 6, PUT, random.Random(1).randbytes(8 << 20)),
            (b"f", 7, PUT, b"z"),
        ]
    )
    write(place, rows, block_bytes=4096)
    table = read(place)
    assert list(table.entries()) == rows
    assert [table.get(row[0]) for row in rows] == [row[1:] for row in rows]


def test_a_large_value_has_a_block_of_its_own(place):
    rows = [(b"a", 1, PUT, b"small"), (b"b", 1, PUT, b"x" * 100_000), (b"c", 1, PUT, b"small")]
    write(place, rows, block_bytes=4096)
    assert [count for _, _, count, _ in read(place).blocks()] == [1, 1, 1]


def test_a_table_of_nothing_is_empty(place):
    info = write(place, [])
    table = read(place)
    assert (info["entries"], info["smallest"], list(table.entries()), table.get(b"k")) == (0, b"", [], None)


def test_info_is_what_was_put_in(place):
    rows = [(b"b", 9, PUT, b"12"), (b"b", 5, DELETE, b""), (b"cc", 7, PUT, b"345")]
    info = write(place, rows)
    hashes = [xxhash.xxh64_intdigest(key, SEED) for key in (b"b", b"cc")]
    assert info == {
        "number": NUMBER, "file_bytes": place.stat().st_size, "entries": 3, "tombstones": 1, "min_seq": 5, "max_seq": 9,
        "min_time": 1000, "max_time": 2000, "raw_bytes": 9, "salt": SALT, "min_hash": min(hashes),
        "max_hash": max(hashes), "smallest": b"b", "largest": b"cc",
    }  # fmt: skip
    assert read(place).info == info


def test_blocks_lie_one_after_the_other_from_the_header_on(place):
    write(place, numbered(100))
    end = LAYOUT["header"][""][0]
    for offset, stored, count, codec in read(place).blocks():
        assert (offset, codec) == (end, "lz4")
        assert count >= 1
        end += stored


def test_bytes_that_do_not_compress_are_stored_as_they_are(place):
    noise = random.Random(3)
    write(place, [(b"%d" % i, 0, PUT, noise.randbytes(500)) for i in range(9)], block_bytes=1000)
    assert {codec for _, _, _, codec in read(place).blocks()} == {"none"}


def test_the_filter_turns_away_most_absent_keys(place):
    write(place, numbered(5000))
    table = read(place)
    assert all(table.may_contain(b"user:%06d" % i) for i in range(5000))
    assert sum(table.may_contain(b"absent:%06d" % i) for i in range(10000)) < 300


def test_entries_out_of_order_are_refused_and_the_writer_stays_refused(place):
    for first, second in (((b"b", 1), (b"a", 1)), ((b"b", 1), (b"b", 1)), ((b"b", 1), (b"b", 2))):
        writer = TableWriter(FS, place, database_id=ID)
        writer.add(*first, PUT, b"")
        with pytest.raises(CorruptionError, match="out of order"):
            writer.add(*second, PUT, b"")
        with pytest.raises(CorruptionError, match="out of order"):
            writer.finish()


def test_a_finished_writer_takes_no_more(place):
    writer = TableWriter(FS, place, database_id=ID)
    writer.add(b"a", 1, PUT, b"")
    writer.finish()
    with pytest.raises(CorruptionError, match="after it is finished"):
        writer.add(b"b", 1, PUT, b"")


def test_what_is_no_option_is_refused(place):
    with pytest.raises(InvalidArgumentError, match="snappy"):
        TableWriter(FS, place, database_id=ID, codec="snappy")
    with pytest.raises(InvalidArgumentError, match="16 bytes, not 3"):
        TableWriter(FS, place, database_id=b"abc")


def test_a_table_of_another_number_or_database_is_corruption(place):
    write(place, numbered(3))
    with pytest.raises(CorruptionError, match="number of a table") as failure:
        read(place, number=8)
    assert (failure.value.expected, failure.value.got) == (8, NUMBER)
    with pytest.raises(CorruptionError, match="database id") as failure:
        read(place, database_id=bytes(16))
    assert failure.value.path == str(place)
    assert read(place, database_id=None).info["entries"] == 3


def test_a_block_moved_to_another_place_is_corruption(place):
    write(place, [(b"%02d" % i, 5, PUT, b"same value") for i in range(8)], block_bytes=1)
    data = bytearray(place.read_bytes())
    (a, n, _, _), (b, m, _, _) = read(place).blocks()[:2]
    assert n == m
    data[a : a + n], data[b : b + n] = data[b : b + n], data[a : a + n]
    place.write_bytes(data)
    with pytest.raises(CorruptionError, match="checksum of a block") as failure:
        list(read(place).entries())
    assert failure.value.offset == a


def test_a_block_of_another_file_is_corruption(place):
    rows = [(b"%02d" % i, 5, PUT, b"same value") for i in range(8)]
    write(place, rows, salt=1)
    other = place.read_bytes()
    write(place, rows, salt=2)
    offset, n, _, _ = read(place).blocks()[0]
    data = bytearray(place.read_bytes())
    data[offset : offset + n] = other[offset : offset + n]
    place.write_bytes(data)
    with pytest.raises(CorruptionError, match="checksum of a block"):
        list(read(place).entries())


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found_or_harmless(place, mask):
    rows = [(b"user:%03d" % (i // 2), 10 - i % 2, PUT if i % 3 else DELETE, b"value %d" % i) for i in range(40)]
    write(place, rows, block_bytes=200)
    whole = place.read_bytes()
    header = LAYOUT["header"][""][0]
    for at in range(len(whole)):
        place.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        if at >= header:
            with pytest.raises(CorruptionError) as failure:
                list(read(place).entries())
            assert failure.value.path == str(place)
            assert 0 < failure.value.offset <= len(whole)
        else:
            # opening needs no header
            table = read(place)
            assert list(table.entries()) == rows
            assert [table.get(row[0], row[1]) for row in rows] == [row[1:] for row in rows]


def test_every_truncation_is_found(place):
    write(place, numbered(12))
    whole = place.read_bytes()
    for n in range(len(whole)):
        place.write_bytes(whole[:n])
        with pytest.raises(CorruptionError) as failure:
            read(place)
        assert failure.value.path == str(place)


def test_bytes_after_the_end_are_found(place):
    write(place, numbered(12))
    place.write_bytes(place.read_bytes() + b"\0")
    with pytest.raises(CorruptionError):
        read(place)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_a_newer_format_is_refused_with_its_number(place):
    write(place, numbered(3))
    data = bytearray(place.read_bytes())
    tail = len(data) - LAYOUT["tail"][""][0]
    version, checksum = LAYOUT["tail"]["format version"][0], LAYOUT["tail"]["checksum"][0]
    newer = int(NUMBERS["format version with a dictionary"]) + 1
    data[tail + version] = newer
    bound = bytes(8) + tail.to_bytes(8, "little") + data[tail : tail + checksum]
    data[tail + checksum : tail + checksum + 4] = crc32c(bound).to_bytes(4, "little")
    place.write_bytes(data)
    with pytest.raises(UnsupportedVersionError) as failure:
        read(place)
    assert (failure.value.found, failure.value.supported) == (newer, newer - 1)


def test_a_file_that_is_not_there_is_a_file_error(place):
    with pytest.raises(FileError) as failure:
        read(place.with_name("absent.table"))
    assert failure.value.filename == str(place.with_name("absent.table"))


GOLDEN_ROWS = [
    (b"user:01", 12, PUT, b"first"),
    (b"user:01", 9, DELETE, b""),
    (b"user:02", 11, PUT, b"second, " * 6),
    (b"user:10", 10, PUT, b"x" * 100),
    (b"v", 3, PUT, b"last"),
]


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_golden_tables_are_still_read(place, codec):
    place.write_bytes(bytes.fromhex((ROOT / f"tests/golden/table-{codec}.hex").read_text()))
    table = read(place)
    assert list(table.entries()) == GOLDEN_ROWS
    assert table.get(b"user:01", 9) == (9, DELETE, b"")
    assert codec in {row[3] for row in table.blocks()}


def test_the_golden_table_is_still_written(place):
    write(place, GOLDEN_ROWS, codec="none")
    assert place.read_bytes().hex() == "".join((ROOT / "tests/golden/table-none.hex").read_text().split())


def documented(section):
    """Rows of the first table under a heading of docs/format/table.md."""
    text = (ROOT / "docs/format/table.md").read_text()
    rows = re.split(rf"^#+ {section}$", text, flags=re.M)[1].split("\n|---")[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize("section", list(LAYOUT))
def test_the_documented_offsets_are_the_codecs(section):
    rows = {field: (int(offset), int(size)) for offset, size, field, *_ in documented(section)}
    assert rows == LAYOUT[section]
    fields = list(rows.values())
    assert [at + n for at, n in fields[:-1]] == [at for at, _ in fields[1:]]


def test_the_documented_numbers_are_the_codecs():
    numbers = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in NUMBERS.items()}
    assert dict(documented("Table files")) == numbers
