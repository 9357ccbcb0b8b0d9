"""What the background does when nobody writes: level 0 is merged, once, and never while somebody does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lsm import scheduler

CALM = {"memtable_bytes": 64 << 10, "level0_compaction_tables": 4, "compression": "none"}
LONG = 20.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "IDLE_SECONDS", 0.1)


def level0(ks_stats: dict[str, Any]) -> int:
    return sum(level["tables"] for level in ks_stats["levels"] if level["level"] == 0)


def overwrite(ks, rounds: int) -> None:
    for number in range(rounds):
        ks.put_many([(b"%04d" % n, b"%d" % number * 50) for n in range(500)])


def merged_soon(db) -> bool:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        if level0(db.stats()["keyspaces"]["k"]) == 0:
            return True
        time.sleep(0.02)
    return False


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
    done = db.stats()["compaction"]["done"]
    time.sleep(0.5)
    assert db.stats()["compaction"]["done"] == done


def test_commits_put_it_off(open_db, monkeypatch) -> None:
    monkeypatch.setattr(scheduler, "IDLE_SECONDS", 5.0)
    db = open_db(**CALM)
    ks = db.keyspace("k")
    for _ in range(3):
        overwrite(ks, 1)
        db.flush()
    assert not db._scheduler._is_quiet()
    db._scheduler._quiet_since -= 10
    assert db._scheduler._is_quiet()
    ks.put(b"k", b"v")
    assert not db._scheduler._is_quiet()
    assert level0(db.stats()["keyspaces"]["k"]) == 3
