"""Options: defaults, ranges, and what a wrong one is told."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from lsm.errors import InvalidArgumentError
from lsm.options import Options


def test_the_defaults_are_valid() -> None:
    options = Options()
    assert (options.memtable_bytes, options.memtables_bytes, options.compression) == (64 << 20, 80 << 20, "auto")


def test_the_budget_of_all_memtables_follows_the_size_of_one() -> None:
    assert Options(memtable_bytes=1 << 20).memtables_bytes == (1 << 20) + (1 << 18)
    assert Options(memtable_bytes=1 << 20, memtables_bytes=5 << 20).memtables_bytes == 5 << 20


def test_keywords_become_options() -> None:
    assert Options.from_keywords({"cache_bytes": 0, "read_only": True}) == Options(cache_bytes=0, read_only=True)


def test_compaction_gets_its_options() -> None:
    compaction = Options(table_bytes=8192, level_multiplier=10).compaction()
    assert (compaction.table_bytes, compaction.level_multiplier, compaction.level_base_bytes) == (8192, 10, 256 << 20)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"memtable_size": 1}, "unknown option 'memtable_size'; did you mean memtable_bytes?"),
        ({"blok_bytes": 1}, "did you mean block_bytes?"),
        ({"zzz": 1}, "unknown option 'zzz'; there are memtable_bytes, "),
        ({"memtable_bytes": 1}, "memtable_bytes must be between 1024 and 4294967296, not 1"),
        ({"memtable_bytes": "64MB"}, "memtable_bytes must be an int, not str '64MB'"),
        ({"memtable_bytes": 1e6}, "memtable_bytes must be an int, not float 1000000.0"),
        ({"cache_bytes": True}, "cache_bytes must be an int, not bool True"),
        ({"read_only": 1}, "read_only must be True or False, not 1"),
        ({"compression": "snappy"}, "compression must be one of 'auto', 'lz4', 'zstd', 'none', not 'snappy'"),
        ({"compression": []}, "compression must be one of"),
        ({"level0_stop_tables": 5}, "level0_stop_tables (5) must be at least level0_slowdown_tables (20)"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        Options.from_keywords(keywords)
    assert message in str(refused.value)


def test_every_option_is_explained() -> None:
    assert [f.name for f in fields(Options) if f.name not in (Options.__doc__ or "")] == []


def test_small_budgets_make_their_parts_small():
    assert Options(memtables_bytes=1 << 20).memtable_bytes == 1 << 20
    assert Options(wal_bytes=1 << 20).wal_segment_bytes == 1 << 20
