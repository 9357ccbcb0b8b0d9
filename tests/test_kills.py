"""Short runs of `tools/prove.py kills`, and that its checks see what they are there to see."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from disk import PATIENCE_SECONDS
from model import scaled

import lsm
from proof.forks import fork
from proof.kill_commands import Loads, Tools
from proof.kill_workload import Owned, changes
from proof.kills import OPTIONS, SMALL, THREADS, Found, Lost, Tally, World, check_files, kills


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Children, and files that the background has yet to remove, may take as long as the machine likes."""
    monkeypatch.setattr(check_files, "__defaults__", (PATIENCE_SECONDS,))
    for module in ("kills", "kill_commands"):
        monkeypatch.setattr(f"proof.{module}.HUNG_SECONDS", PATIENCE_SECONDS)


def test_nothing_acknowledged_is_lost_in_kills_under_load(tmp_path):
    tally = Tally()
    world = World("small", str(tmp_path / "data"), OPTIONS["small"], random.Random())
    for _ in range(scaled(12)):
        world.kill(tally)
    assert tally.kills == scaled(12)


def test_a_run_spreads_over_databases_and_commands():
    tally = kills(scaled(14), seed=1)
    assert tally.findings == []
    assert len(tally.by_world) > 1


def test_a_killed_load_leaves_a_prefix_of_its_records(tmp_path):
    loads, tally = Loads(str(tmp_path / "data"), random.Random()), Tally()
    for _ in range(scaled(4)):
        loads.kill(tally)


def test_a_killed_tool_changes_no_contents(tmp_path):
    tools, tally = Tools(str(tmp_path / "data"), random.Random()), Tally()
    assert "compact" in {tool.name for tool in tools.tools}
    for _ in range(scaled(4)):
        tools.kill(tally)


def test_every_operation_changes_what_its_thread_owns():
    for thread in range(THREADS):
        owned = Owned(thread)
        for _ in range(400):
            before = dict(owned.state)
            owned.advance()
            assert owned.state != before, (thread, owned.count)


def test_what_a_thread_owns_stays_bounded():
    owned = Owned(1)
    owned.advance_to(2000)
    size = len(owned.state)
    owned.advance_to(6000)
    assert len(owned.state) <= size + 10


@pytest.fixture
def world(tmp_path):
    made = World("given", str(tmp_path / "data"), SMALL, random.Random(1))
    made.kill(Tally())
    return made


def in_child(work) -> None:
    fork(lambda send: send(work())).answer()


def test_a_lost_commit_is_seen(world):
    world.owned[2].advance_to(world.owned[2].count + 2)
    with pytest.raises(RuntimeError, match=r"thread 2 after .* operations differs"):
        fork(world._inspect).answer()


def test_a_torn_batch_is_seen(world):
    thread = world.owned[1]
    while len(changes(1, thread.count)) < 4:
        thread.advance()

    def tear() -> None:
        with lsm.open(world.path, **SMALL) as db:
            for name, key, value in changes(1, thread.count)[:2]:
                assert value is not None
                db.keyspace(name).put(key, value)

    in_child(tear)
    with pytest.raises(RuntimeError, match="thread 1"):
        fork(world._inspect).answer()


def test_a_hole_in_the_sequences_is_seen(world):
    base = world.base
    world._check_sequences(Found([], base + 3, 0), 3)
    with pytest.raises(Lost, match="2 commits where sequences say 3"):
        world._check_sequences(Found([], base + 3, 0), 2)


def test_a_file_that_nothing_names_is_seen(world):
    def orphan() -> None:
        with lsm.open(world.path, **SMALL) as db:
            Path(f"{world.path}/999999.table").touch()
            check_files(world.path, db, patience=0.1)

    with pytest.raises(RuntimeError, match=r"nothing names .*999999\.table"):
        in_child(orphan)


def test_a_run_counts_what_it_found_again():
    tally = kills(scaled(6), seed=2, options=SMALL)
    assert sum(tally.by_phase.values()) <= tally.kills
    assert isinstance(tally.by_world, Counter)
    assert tally.as_json()["findings"] == []
