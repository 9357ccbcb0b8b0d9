"""Which codec a table gets: a pure choice, and the measurement that decides for "auto"."""

from __future__ import annotations

import random

import pytest
from model import TINY
from test_zstd import codecs

from lsm import lz4, zstd
from lsm.compression import Codec, block_bytes, choose, flush_codec, saving, unwanted
from lsm.options import COMPRESSIONS

LIGHT = {"none": Codec.NONE, "lz4": Codec.LZ4, "zstd": Codec.LZ4, "auto": Codec.LZ4}


def never() -> float:
    raise AssertionError("measured where nothing depends on it")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_flush_and_a_merge_within_level_0_never_write_zstd(compression):
    assert flush_codec(compression) == LIGHT[compression]
    assert choose(compression, 0, True, never) == LIGHT[compression]


@pytest.mark.parametrize("compression", ["none", "lz4"])
@pytest.mark.parametrize("level", [1, 2, 7])
def test_what_was_asked_for_holds_at_every_level(compression, level):
    assert choose(compression, level, True, never) == LIGHT[compression]


@pytest.mark.parametrize("level", [1, 2, 7])
@pytest.mark.parametrize("deepest", [False, True])
def test_zstd_is_written_by_every_compaction(level, deepest):
    assert choose("zstd", level, deepest, never) == Codec.ZSTD


@pytest.mark.parametrize(("level", "deepest"), [(1, True), (1, False), (2, False), (5, False)])
def test_auto_measures_only_for_the_deepest_level_from_2_on(level, deepest):
    assert choose("auto", level, deepest, never) == Codec.LZ4


@pytest.mark.parametrize(("saved", "codec"), [(0.5, Codec.ZSTD), (0.2, Codec.ZSTD), (0.19, Codec.LZ4), (-1, Codec.LZ4)])
def test_auto_takes_zstd_where_it_saves_a_fifth(saved, codec):
    assert choose("auto", 2, True, lambda: saved) == codec


@pytest.mark.parametrize(
    ("compression", "level", "codec", "expected"),
    [
        ("lz4", 1, Codec.ZSTD, True),
        ("lz4", 1, Codec.LZ4, False),
        ("none", 3, Codec.LZ4, True),
        ("zstd", 1, Codec.LZ4, True),
        ("zstd", 2, Codec.ZSTD, False),
        ("auto", 2, Codec.ZSTD, False),
        ("auto", 2, Codec.NONE, False),
    ],
)
def test_a_full_compaction_rewrites_what_has_another_codec_than_was_asked_for(compression, level, codec, expected):
    assert unwanted(compression, level, codec) is expected


@pytest.mark.parametrize(
    ("codec", "light", "expected"),
    [(Codec.LZ4, 4096, 4096), (Codec.ZSTD, 4096, 16384), (Codec.ZSTD, 32768, 65536), (Codec.ZSTD, 65536, 65536)],
)
def test_zstd_tables_have_larger_blocks(codec, light, expected):
    assert block_bytes(codec, light) == expected


def stored_light(raws):
    return [[(Codec.LZ4, min(len(raw), len(lz4.compress(raw))), raw) for raw in raws]]


def test_text_saves_more_than_a_fifth_and_noise_nothing():
    chance = random.Random(1)
    words = [chance.randbytes(4).hex().encode() for _ in range(200)]
    text = [b" ".join(chance.choices(words, k=450)) for _ in range(8)]
    assert saving(stored_light(text)) > 0.2
    assert -0.01 < saving(stored_light([chance.randbytes(4096) for _ in range(8)])) <= 0


def test_a_sample_of_zstd_blocks_is_judged_as_if_lz4_had_stored_it():
    chance = random.Random(1)
    raw = b" ".join(b"%d" % chance.randrange(1000) for _ in range(4000))
    compressed = [(Codec.ZSTD, len(zstd.compress(raw)), raw)]
    assert 0.2 < saving([compressed]) < 0.9


def test_nothing_saves_nothing():
    assert saving([]) == 0


def deep(open_db, path, compression, rows):
    """The codecs of all tables once all lie in level 2 or below; keys come in order, so that tables could be moved."""
    db = open_db(**{**TINY, "compression": compression, "block_bytes": 1024, "level_base_bytes": 1024})
    ks = db.keyspace("rows")
    for n, row in enumerate(rows):
        ks.put(b"%06d" % n, row)
    db._scheduler.settle()
    db.compact()
    assert [row for _, row in ks.scan()] == rows
    (level,) = db.stats()["keyspaces"]["rows"]["levels"]
    assert level["level"] >= 2
    db.close()
    return codecs(path)


def test_auto_writes_text_of_a_deep_level_with_zstd(open_db, path):
    chance = random.Random(1)
    rows = [b"row %d of a table of rows, state %d" % (n, chance.randrange(50)) for n in range(3000)]
    assert "zstd" in deep(open_db, path, "auto", rows)


def test_auto_leaves_noise_alone(open_db, path):
    chance = random.Random(1)
    assert "zstd" not in deep(open_db, path, "auto", [chance.randbytes(60) for _ in range(3000)])


def test_tables_that_could_be_moved_are_rewritten_for_zstd(open_db, path):
    assert deep(open_db, path, "zstd", [b"row %d, " % n * 4 for n in range(3000)]) == {"zstd"}
