"""Failures that the crash sweep found once, shrunk: each is a way in which a power failure or a kill took something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lsm
from lsm.filesystem import CREATE, READ, WRITE
from lsm.manifest import Manifest
from lsm.simulated_files import Moment, SimulatedFileSystem
from lsm.version import KeyspaceCreated, VersionEdit

SMALL: dict[str, Any] = {"reserve_bytes": 0, "wal_ring_bytes": 4096, "wal_segment_bytes": 4096, "memtable_bytes": 4096}
SEEDS = 40


def opened(files: SimulatedFileSystem, **options: Any) -> lsm.Database:
    return lsm.open("/db", files=files, **{**SMALL, **options})


def put_once(files: SimulatedFileSystem, key: bytes, *, sync: bool = False, close: bool = True) -> int:
    """Opens, commits, closes; the sequence. Without the close the process is killed."""
    db = opened(files)
    sequence = db.keyspace("k").put(key, b"v", sync=sync)
    if close:
        db.close()
    return sequence


def recorded(files: SimulatedFileSystem, work: Callable[[SimulatedFileSystem], object]) -> list[Moment]:
    """The disk at every call that the work makes."""
    files.record()
    work(files)
    files.record(0)
    return files.moments()


def test_a_new_database_keeps_its_own_directory() -> None:
    files = SimulatedFileSystem()
    put_once(files, b"a", sync=True)
    with opened(files.clone(0, "nothing"), create=False) as db:
        assert db.keyspace("k")[b"a"] == b"v"


def test_sequences_of_an_opening_of_which_nothing_survived_are_not_given_again() -> None:
    files = SimulatedFileSystem()
    put_once(files, b"a", sync=True)
    db = opened(files)
    lost = db.keyspace("k").put(b"lost", b"v")
    survivor = files.clone(0, "nothing")
    db.close()
    assert put_once(survivor, b"b") > lost


def test_sequences_are_not_given_again_after_failures_in_recovery() -> None:
    files = SimulatedFileSystem()
    put_once(files, b"a", sync=True)
    db = opened(files)
    lost = db.keyspace("k").put(b"lost", b"v")
    survivor = files.clone(0, "nothing")
    db.close()
    for moment in recorded(survivor, lambda files: opened(files).close()):
        for mode in ("nothing", "everything", "ext4"):
            assert put_once(moment.clone(moment.number, mode), b"b") > lost


def reopens(files: SimulatedFileSystem, mode: str) -> None:
    """After each of many failures a database that holds at least a synced commit."""
    for seed in range(SEEDS):
        with opened(files.clone(seed, mode)) as db:
            assert db.keyspace("k")[b"a"] == b"v"


@pytest.mark.parametrize("mode", ["ext4", "strict"])
def test_what_a_killed_close_left_in_the_cache_is_synced_by_the_next_open(mode: str) -> None:
    files = SimulatedFileSystem()
    put_once(files, b"a", sync=True)
    for moment in recorded(files, lambda files: put_once(files, b"b")):
        killed = moment.clone(0, "killed")
        db = opened(killed)
        reopens(killed, mode)
        db.close()


def test_edits_that_a_killed_process_left_in_the_cache_are_durable_before_a_later_edit_says_so() -> None:
    def created(number: int) -> VersionEdit:
        keyspace = KeyspaceCreated(number, "long name" * 100 + str(number), False, 1, number)
        return VersionEdit(created=(keyspace,), next_keyspace_id=number + 1)

    first = VersionEdit(database_id=bytes(16), hash_seed=1, epoch=1, next_file_number=1, next_keyspace_id=1)
    files = SimulatedFileSystem()
    manifest = Manifest.create(files, "/db", first)
    manifest.append(created(1), sync=False)
    killed = files.clone(0, "killed")
    _, manifest = Manifest.load(killed, "/db")
    manifest.append(created(2), sync=False)
    found = {len(Manifest.load(killed.clone(seed, "strict"), "/db")[0].keyspaces) for seed in range(200)}
    assert found == {1, 2}


def test_blocks_of_a_removed_segment_in_a_new_one_are_no_corruption() -> None:
    files = SimulatedFileSystem()
    put_once(files, b"a", sync=True)
    stale = files.read_file("/db/wal-000001.log")
    handle = files.open("/db/wal-000002.log", READ | WRITE | CREATE)
    files.write(handle, stale[:512], 0)
    files.close(handle)
    with opened(files) as db:
        assert db.keyspace("k")[b"a"] == b"v"
