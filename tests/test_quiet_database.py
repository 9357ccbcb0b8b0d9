"""What the background does when nobody writes: level 0 is merged, once, and never while somebody does."""

from __future__ import annotations

from typing import Any

import pytest
from disk import eventually

from lsm import scheduler

CALM = {"memtable_bytes": 64 << 10, "level0_compaction_tables": 4, "compression": "none"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "IDLE_SECONDS", 0.1)


def level0(ks_stats: dict[str, Any]) -> int:
    return sum(level["tables"] for level in ks_stats["levels"] if level["level"] == 0)


def overwrite(ks, rounds: int) -> None:
    for number in range(rounds):
        ks.put_many([(b"%04d" % n, b"%d" % number * 50) for n in range(500)])


def merged_soon(db) -> bool:
    return eventually(lambda: level0(db.stats()["keyspaces"]["k"]) == 0)


def background_ends(db) -> int:
    """How many compactions were done, once another round of the background has found that nothing is left to do."""
    rounds: list[None] = []
    is_quiet = db._scheduler._is_quiet

    def counted() -> bool:
        rounds.append(None)
        return bool(is_quiet())

    db._scheduler._is_quiet = counted
    # the second of them begins when the first is over, and with it whatever was under way
    assert eventually(lambda: len(rounds) > 1)
    return int(db.stats()["compaction"]["done"])


def test_level_0_of_a_quiet_database_is_merged(open_db) -> None:
    db = open_db(**CALM)
    ks = db.keyspace("k")
    for _ in range(3):
        overwrite(ks, 1)
        db.flush()
    assert merged_soon(db)
    assert db.stats()["keyspaces"]["k"]["entries"] == 500
    assert len(list(ks.scan())) == 500


def test_once_merged_it_is_left_alone(open_db) -> None:
    db = open_db(**CALM)
    ks = db.keyspace("k")
    for _ in range(2):
        overwrite(ks, 1)
        db.flush()
    assert merged_soon(db)
    done = background_ends(db)
    assert background_ends(db) == done


def test_commits_put_it_off(open_db, monkeypatch) -> None:
    is_quiet = scheduler.Scheduler._is_quiet
    monkeypatch.setattr(scheduler, "IDLE_SECONDS", 3600.0)
    # the background does not ask while this test does
    monkeypatch.setattr(scheduler.Scheduler, "_is_quiet", lambda self: False)
    db = open_db(**CALM)
    ks = db.keyspace("k")
    for _ in range(3):
        overwrite(ks, 1)
        db.flush()
    assert not is_quiet(db._scheduler)
    db._scheduler._quiet_since -= 7200
    assert is_quiet(db._scheduler)
    ks.put(b"k", b"v")
    assert not is_quiet(db._scheduler)
    assert level0(db.stats()["keyspaces"]["k"]) == 3
