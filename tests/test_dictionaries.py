"""Tables with a zstd dictionary: what goes in comes out, when one is taken, and what damage to it is called."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import threading
from pathlib import Path

import crc32c
import pytest
from disk import eventually
from model import TINY
from test_zstd import assert_holds, codecs, compacted

from lsm import zstd
from lsm.compression import is_zstd
from lsm.dictionaries import dictionary_bytes, pays, pieces, train
from lsm.errors import CorruptionError, FileError, InvalidArgumentError
from lsm.posix_files import PosixFileSystem
from lsm.table_doors import LAYOUT, NUMBERS, TableReader, TableWriter

FS = PosixFileSystem()
GOLDEN = Path(__file__).parent / "golden"
ID = bytes(range(16))
PUT = 1
TRAINED = {**TINY, "compression": "zstd", "zstd_dictionary": "train", "cache_bytes": 0, "table_bytes": 1 << 16}
ONE_TABLE = {"compression": "zstd", "zstd_dictionary": "train", "cache_bytes": 0, "block_bytes": 512}


def rows(count: int, seed: int = 1) -> dict[bytes, bytes]:
    chance = random.Random(seed)
    return {
        b"user%06d" % n: json.dumps(
            {"id": chance.randrange(10**6), "name": chance.choice(["Ann", "Ben", "Carl"]), "active": True, "tags": []}
        ).encode()
        for n in range(count)
    }


def dictionary_of(content: dict[bytes, bytes]) -> bytes:
    text = b"".join(content.values())
    return train([text[at : at + 512] for at in range(0, len(text), 512)], 4096)


def written(place: Path, content: dict[bytes, bytes], dictionary: bytes, **options: object) -> TableReader:
    settings = {"database_id": ID, "salt": 7, "block_bytes": 512, "codec": "zstd-dictionary", "dictionary": dictionary}
    writer = TableWriter(FS, place, **{**settings, **options})  # type: ignore[arg-type]
    for key, value in content.items():
        writer.add(key, 1, PUT, value)
    writer.finish()
    return TableReader(FS, place, 1, ID)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "t.table"


# Tables


def test_a_table_gives_back_its_records_and_its_dictionary(place) -> None:
    content = rows(2000)
    dictionary = dictionary_of(content)
    table = written(place, content, dictionary)
    assert table.dictionary == dictionary
    assert {(key, value) for key, _, _, value in table.entries()} == set(content.items())
    assert table.get(b"user000700") == (1, PUT, content[b"user000700"])
    assert "zstd-dictionary" in {row[3] for row in table.blocks()}


def test_small_blocks_with_a_dictionary_take_less_than_without(place) -> None:
    content = rows(4000)
    dictionary = dictionary_of(content)
    with_it = written(place, content, dictionary).info["file_bytes"]
    assert with_it < 0.8 * written(place, content, b"", codec="zstd").info["file_bytes"]


@pytest.mark.parametrize(("codec", "name"), [("zstd", "format version"), ("none", "format version")])
def test_a_table_without_a_dictionary_keeps_the_first_format_version(place, codec, name) -> None:
    assert written(place, rows(10), b"", codec=codec).dictionary == b""
    assert versions(place) == {NUMBERS[name]}


def test_a_table_with_a_dictionary_has_the_second_format_version(place) -> None:
    written(place, rows(10), b"a dictionary without a header is content alone")
    assert versions(place) == {NUMBERS["format version with a dictionary"]}


def versions(place: Path) -> set[int]:
    """In header and tail."""
    image = place.read_bytes()
    tail = len(image) - LAYOUT["tail"][""][0] + LAYOUT["tail"]["format version"][0]
    return {struct.unpack_from("<I", image, at)[0] for at in (LAYOUT["header"]["format version"][0], tail)}


def test_the_golden_table_is_still_read(place) -> None:
    place.write_bytes(bytes.fromhex((GOLDEN / "table-dictionary.hex").read_text()))
    table = TableReader(FS, place, 1, ID)
    assert {key: value for key, _, _, value in table.entries()} == rows(40)
    assert table.dictionary.startswith(b"\x37\xa4\x30\xec")
    assert {row[3] for row in table.blocks()} == {"zstd-dictionary"}


def test_the_golden_table_is_as_the_document_says(place) -> None:
    """Read by hand, with the package alone: the first block, by the offsets of docs/format/table.md."""
    import zstandard

    image = bytes.fromhex((GOLDEN / "table-dictionary.hex").read_text())
    place.write_bytes(image)
    offset, size, _, _ = TableReader(FS, place, 1, ID).blocks()[0]
    (footer,) = struct.unpack_from("<Q", image, len(image) - 32)
    at, length = struct.unpack_from("<QQ", image, footer + 176)
    dictionary = image[at : at + length]
    assert at + length + 4 == footer
    (crc,) = struct.unpack_from("<I", image, at + length)
    assert crc == crc32c.crc32c(struct.pack("<QQ", 7, at) + dictionary)
    codec, raw_bytes = struct.unpack_from("<BI", image, offset + size - 9)
    decoder = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(dictionary))
    raw = decoder.decompress(image[offset : offset + size - 9])
    assert (codec, len(raw)) == (3, raw_bytes)
    assert rows(1)[b"user000000"] in raw


def test_a_dictionary_goes_with_its_codec_and_only_with_it(place) -> None:
    with pytest.raises(InvalidArgumentError):
        written(place, {}, b"words", codec="zstd")
    with pytest.raises(InvalidArgumentError):
        written(place, {}, b"", codec="zstd-dictionary")


# Damage


def test_a_damaged_dictionary_is_corruption_when_the_table_is_opened(place) -> None:
    written(place, rows(500), dictionary_of(rows(500)))
    image = bytearray(place.read_bytes())
    (footer,) = struct.unpack_from("<Q", image, len(image) - 32)
    (at,) = struct.unpack_from("<Q", image, footer + 176)
    image[at + 100] ^= 1
    place.write_bytes(image)
    with pytest.raises(CorruptionError, match="checksum of a table's dictionary") as failure:
        TableReader(FS, place, 1, ID)
    assert failure.value.offset == at


@pytest.mark.parametrize("field", [176, 184])
@pytest.mark.parametrize("value", [0, 1, 200, 1 << 40, 2**64 - 1, 2**64 - 5])
def test_a_footer_that_lies_about_the_dictionary_is_corruption(place, field, value) -> None:
    """The checksum verifies: these are the bytes of somebody who can compute one."""
    written(place, rows(500), dictionary_of(rows(500)))
    image = bytearray(place.read_bytes())
    (footer,) = struct.unpack_from("<Q", image, len(image) - 32)
    struct.pack_into("<Q", image, footer + field, value)
    end = len(image) - 36
    struct.pack_into("<I", image, end, crc32c.crc32c(struct.pack("<QQ", 7, footer) + bytes(image[footer:end])))
    place.write_bytes(image)
    with pytest.raises(CorruptionError):
        list(TableReader(FS, place, 1, ID).entries())


def test_a_block_that_asks_for_a_dictionary_which_the_table_lacks_is_corruption(place) -> None:
    table = written(place, rows(500), b"", codec="zstd")
    offset, size, _, _ = table.blocks()[0]
    image = bytearray(place.read_bytes())
    image[offset + size - 9] = 3
    stored = bytes(image[offset : offset + size - 4])
    struct.pack_into("<I", image, offset + size - 4, crc32c.crc32c(struct.pack("<QQ", 7, offset) + stored))
    place.write_bytes(image)
    with pytest.raises(CorruptionError, match="compressed bytes of a block") as failure:
        list(TableReader(FS, place, 1, ID).entries())
    assert failure.value.offset == offset


@pytest.mark.parametrize("dictionary", [b"\x37\xa4\x30\xec" + b"\xff" * 200, b"\x37\xa4\x30\xec"])
def test_a_dictionary_that_is_none_is_corruption_not_a_crash(place, dictionary) -> None:
    """Its checksum is right, so only zstd can tell."""
    content = rows(300)
    good = dictionary_of(content)
    written(place, content, good)
    image = place.read_bytes()
    frame = image[128 : 128 + TableReader(FS, place, 1, ID).blocks()[0][1] - 9]
    with pytest.raises(CorruptionError):
        zstd.decompress(frame, 512, dictionary)


# Databases


@pytest.mark.parametrize("base", [TRAINED, {**TRAINED, "cache_bytes": 1 << 20}], ids=["no cache", "cache"])
def test_everything_is_read_back_each_way(open_db, path, base) -> None:
    content = rows(4000)
    db, ks = compacted(open_db, content, base)
    assert "zstd-dictionary" in codecs(path)
    assert_holds(ks, content)
    assert list(ks.scan(reverse=True)) == sorted(content.items(), reverse=True)
    db.close()
    assert_holds(open_db(**base).keyspace("k"), content)


def test_tables_with_different_dictionaries_are_read_side_by_side(open_db, path) -> None:
    db = open_db(**TRAINED)
    contents = [rows(1500, seed) for seed in range(6)]
    for number, content in enumerate(contents):
        db.keyspace(f"k{number}").put_many(list(content.items()))
    db.flush()
    db.compact()

    def dictionaries() -> set[bytes]:
        found: set[bytes] = set()
        for file in path.glob("*.table"):
            # the background removes tables that were compacted while they are being looked at
            with contextlib.suppress(FileNotFoundError, FileError):
                found.add(TableReader(FS, file, int(file.stem)).dictionary)
        return found

    assert eventually(lambda: len(dictionaries()) > 5)
    for key in random.Random(1).sample(sorted(contents[0]), 200):
        for number, content in enumerate(contents):
            assert db.keyspace(f"k{number}").get(key) == content[key]


def test_threads_read_at_once(open_db) -> None:
    content = rows(3000)
    _, ks = compacted(open_db, content, TRAINED)
    wrong: list[bytes] = []

    def read(seed: int) -> None:
        for key in random.Random(seed).sample(sorted(content), 500):
            if ks.get(key) != content[key]:
                wrong.append(key)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_tables_are_compacted_from_and_to_each_codec(open_db, path) -> None:
    content = rows(2000)
    db, _ = compacted(open_db, content, TRAINED)
    db.close()
    for options in ({"compression": "lz4"}, {}, {"zstd_dictionary": "none"}, {}, {"compression": "none"}):
        db = open_db(**{**TRAINED, **options})
        ks = db.keyspace("k")
        content[b"user000000"] = repr(options).encode()
        ks.put(b"user000000", content[b"user000000"])
        db.flush()
        db.compact()
        assert_holds(ks, content)
        db.close()


# When there is one


def test_auto_takes_a_dictionary_for_small_records_of_one_kind(open_db, path) -> None:
    options = {"compression": "zstd", "cache_bytes": 0, "memtable_bytes": 8 << 20}
    compacted(open_db, rows(20_000), options)
    assert "zstd-dictionary" in codecs(path)


@pytest.mark.parametrize("kind", ["few", "large", "noise"])
def test_auto_takes_none_for(open_db, path, kind) -> None:
    chance = random.Random(1)
    content = {
        "few": rows(1000),
        "large": {b"%04d" % n: b"%d " % n * 500 for n in range(800)},
        "noise": {chance.randbytes(16): chance.randbytes(60) for _ in range(15_000)},
    }[kind]
    compacted(open_db, content, {"compression": "zstd", "memtable_bytes": 8 << 20})
    assert "zstd-dictionary" not in codecs(path)


def test_none_means_none(open_db, path) -> None:
    compacted(open_db, rows(3000), {**TRAINED, "zstd_dictionary": "none"})
    assert "zstd-dictionary" not in codecs(path)


def test_too_few_samples_train_nothing() -> None:
    assert train([b"x" * 100] * 3, 1024) == b""
    assert train([b""] * 100, 1024) == b""


def test_a_dictionary_is_a_small_share_of_what_it_serves() -> None:
    assert dictionary_bytes(1 << 30, 32 << 20) == 16 << 10
    assert dictionary_bytes(1 << 30, 256 << 10) == 4 << 10
    assert dictionary_bytes(1000, 32 << 20) == 512


def test_pieces_are_about_as_large_as_blocks() -> None:
    cut = pieces([(2, 0, b"a" * 16384), (2, 0, b"b" * 4000)], 4096)
    assert [len(piece) for piece in cut] == [4096] * 4 + [4000]
    assert b"".join(cut) == b"a" * 16384 + b"b" * 4000


def test_a_dictionary_pays_where_blocks_have_something_in_common() -> None:
    chance = random.Random(1)
    cities = [b"Rome", b"Jakarta", b"Reykjavik", b"Antananarivo", b"Ouagadougou", b"Montevideo", b"Vientiane"]
    people = [first + b" " + last for first in cities for last in cities]
    frame = b'{"number": %d, "customer": "%s", "city": "%s", "paid": true}'
    text = b"".join(
        frame % (chance.randrange(10**6), chance.choice(people), chance.choice(people)) for _ in range(3000)
    )
    blocks = [text[at : at + 512] for at in range(0, len(text), 512)]
    assert pays([blocks[:64]], train(blocks[64:], 4096), 3)
    noise = [chance.randbytes(512) * 2 for _ in range(64)]
    assert not pays([noise], b"nothing to do with it" * 20, 3)


def test_both_zstd_codecs_count_as_zstd() -> None:
    assert [is_zstd(codec) for codec in range(4)] == [False, False, True, True]
