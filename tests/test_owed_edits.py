"""Keyspaces made and dropped on a full disk: what the log has counts, whether or not the manifest had room for it."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from disk import eventually

import lsm
from lsm.faulty_files import FaultyFileSystem
from lsm.simulated_files import SimulatedFileSystem

SMALL: dict[str, Any] = {"reserve_bytes": 0, "wal_ring_bytes": 4096, "wal_segment_bytes": 4096, "memtable_bytes": 4096}
MODES = ("nothing", "everything", "ext4", "killed")
CALLS = range(7)


def opened(files: Any) -> lsm.Database:
    return lsm.open("/db", files=files, **SMALL)


def attempt(call: Any) -> bool:
    try:
        call()
    except lsm.DiskFullError:
        return False
    return True


def fill(db: lsm.Database, name: str) -> None:
    """Each keyspace holds its own name, in tables and in a memtable."""
    ks = db.keyspace(name)
    ks.put(b"table", name.encode())
    db.flush()
    ks.put(b"memtable", name.encode(), sync=True)


def check(files: Any, there: set[str], unsure: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    with opened(files) as db:
        found = set(db.keyspaces())
        assert there <= found <= there | unsure
        for name in there:
            assert dict(db.keyspace(name).scan()) == {b"table": name.encode(), b"memtable": name.encode()}
        fill(db, "later")
        assert db.keyspace("later")[b"table"] == b"later"


def survivors(files: SimulatedFileSystem) -> list[SimulatedFileSystem]:
    return [files.clone(seed, mode) for mode in MODES for seed in range(3)]


@pytest.mark.parametrize("after", CALLS)
@pytest.mark.parametrize("times", [1, None])
def test_a_name_that_was_given_stays_with_its_keyspace(times: int | None, after: int) -> None:
    files = SimulatedFileSystem()
    faulty = FaultyFileSystem(files)
    db = opened(faulty)
    fill(db, "before")
    faulty.fail("write", errno.ENOSPC, after=after, times=times)
    made = {name for name in ("first", "second") if attempt(lambda name=name: db.keyspace(name))}
    unsure = {"first", "second"} - made
    disks = survivors(files)
    faulty.heal()
    for name in made:
        fill(db, name)
    for disk in survivors(files):
        check(disk, {"before"} | made, unsure)
    db.close()
    check(files, {"before"} | made, unsure)
    for disk in disks:
        with opened(disk) as again:
            assert made <= set(again.keyspaces())
            for name in made | {"before"}:
                assert dict(again.keyspace(name).scan()) in ({}, {b"table": b"before", b"memtable": b"before"})


def test_keyspaces_that_are_durable_open_while_another_is_not() -> None:
    faulty = FaultyFileSystem(SimulatedFileSystem())
    db = opened(faulty)
    fill(db, "before")
    faulty.fail("write", errno.ENOSPC)
    for _ in range(2):
        with pytest.raises(lsm.DiskFullError):
            db.keyspace("after")
    assert db.keyspace("before")[b"memtable"] == b"before"
    faulty.heal()
    assert db.keyspace("after").get(b"memtable") is None
    assert db.keyspaces() == ["after", "before"]
    db.close()


@pytest.mark.parametrize("closed_full", [False, True])
@pytest.mark.parametrize("after", CALLS)
def test_a_dropped_keyspace_is_gone_and_its_files_no_sooner_than_its_name(after: int, closed_full: bool) -> None:
    files = SimulatedFileSystem()
    faulty = FaultyFileSystem(files)
    db = opened(faulty)
    for name in ("kept", "dropped"):
        fill(db, name)
    faulty.fail("write", errno.ENOSPC, after=after)
    gone = attempt(lambda: db.drop_keyspace("dropped"))
    assert {"kept"} <= set(db.keyspaces()) <= ({"kept"} if gone else {"kept", "dropped"})
    for disk in survivors(files):
        with opened(disk) as again:
            assert "kept" in again.keyspaces()
            assert dict(again.keyspace("kept").scan()) == {b"table": b"kept", b"memtable": b"kept"}
            assert not (gone and "dropped" in again.keyspaces())
            if "dropped" in again.keyspaces():
                assert dict(again.keyspace("dropped").scan()) == {b"table": b"dropped", b"memtable": b"dropped"}
    if not closed_full:
        faulty.heal()
    assert attempt(db.close) or closed_full
    check(files, {"kept"}, set() if gone else {"dropped"})


def test_what_the_manifest_owes_is_written_when_there_is_room() -> None:
    files = SimulatedFileSystem()
    faulty = FaultyFileSystem(files)
    db = opened(faulty)
    for name in ("kept", "dropped"):
        fill(db, name)
    tables = {name for name in files.listdir("/db") if name.endswith(".table")}
    writes = faulty.calls("write")
    db.keyspace("probe")
    to_log = faulty.calls("write") - writes - 1  # all but the manifest's
    faulty.fail("write", errno.ENOSPC, after=to_log)
    db.drop_keyspace("dropped")
    assert set(db.keyspaces()) == {"kept", "probe"}
    assert tables <= set(files.listdir("/db"))
    faulty.heal()
    assert eventually(lambda: not tables <= set(files.listdir("/db")))
    for disk in survivors(files):
        with opened(disk) as again:
            assert set(again.keyspaces()) == {"kept", "probe"}
    db.close()
