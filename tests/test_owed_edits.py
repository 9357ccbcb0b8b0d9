"""Keyspaces made and dropped while disk, manifest or other threads are in the way.

What the log has counts, a name stays with its data, and no table file goes before the manifest on disk forgets it.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from children import run
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


def with_tables(files: Any, rounds: int = 1) -> lsm.Database:
    """Two keyspaces, "kept" and "dropped", with all they hold in tables, two of each round."""
    db = opened(files)
    for name in ("kept", "dropped"):
        for _ in range(rounds):
            fill(db, name)
            db.flush()
    return db


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


@pytest.mark.parametrize("drops", [False, True])
def test_beside_writers_on_a_disk_without_room(drops: bool) -> None:
    """A record that got into the log counts, also where the wait for it ends because of what others wrote."""
    for _ in range(15):
        files = SimulatedFileSystem()
        faulty = FaultyFileSystem(files)
        db = opened(faulty)
        ks, other = db.keyspace("busy"), db.keyspace("other")
        other.put(b"first", b"1", sync=True)
        with contextlib.suppress(lsm.DiskFullError):
            faulty.fail("write", errno.ENOSPC)
            ks.put(b"fills", bytes(3000), sync=True)  # from here on what is synced is written at once
        faulty.heal()
        over = threading.Event()

        def write(ks: Any = ks, over: threading.Event = over) -> None:
            while not over.is_set():
                attempt(lambda: ks.put(b"k", b"v"))

        writer = threading.Thread(target=write)
        writer.start()
        faulty.fail("write", errno.ENOSPC, after=2)
        attempt(partial(db.drop_keyspace, "other") if drops else partial(db.keyspace, "new"))
        over.set()
        writer.join()
        faulty.heal()
        last = db.keyspace("last")
        last.put(b"of last", b"1", sync=True)
        there = "other" in db.keyspaces()
        if there:
            other.put(b"durable", b"1", sync=True)
        with opened(files.clone(0, "nothing")) as again:
            assert dict(again.keyspace("last").scan()) == {b"of last": b"1"}
            assert there == ("other" in again.keyspaces())
            if there:
                assert again.keyspace("other")[b"durable"] == b"1"
        db.close()


def compact(db: lsm.Database) -> None:
    db.compact()


def drop(db: lsm.Database) -> None:
    db.drop_keyspace("dropped")


@pytest.mark.parametrize("work", [compact, drop])
@pytest.mark.parametrize("after", range(6))
def test_a_failed_sync_of_the_manifest_leaves_every_table_that_it_may_name(
    work: Callable[[lsm.Database], None], after: int
) -> None:
    files = SimulatedFileSystem()
    faulty = FaultyFileSystem(files)
    db = with_tables(faulty, 3)
    faulty.fail("sync", errno.EIO, after=after, times=1)
    with contextlib.suppress(lsm.Error):
        work(db)
    faulty.heal()
    with contextlib.suppress(lsm.Error):
        db.close()
    files.sync_dir("/db")
    for disk in survivors(files):
        with opened(disk) as again:
            assert dict(again.keyspace("kept").scan()) == {b"table": b"kept", b"memtable": b"kept"}


class WrittenAllTheSame:
    """A file system that says of every write that it failed, and makes it."""

    def __init__(self, files: Any) -> None:
        self.files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        self.files.write(handle, data, offset)
        raise lsm.FileError(errno.EIO, "input/output error", "MANIFEST")


@pytest.mark.parametrize("work", [compact, drop])
def test_a_manifest_that_was_written_in_spite_of_an_error_finds_its_tables(
    work: Callable[[lsm.Database], None],
) -> None:
    files = SimulatedFileSystem()
    db = with_tables(files, 2)  # too few for the background to compact them first
    manifest = db._store.manifest
    manifest._fs = WrittenAllTheSame(files)  # type: ignore[assignment]
    with pytest.raises(lsm.Error):
        work(db)
    manifest._fs = files
    db.close()
    check(files, {"kept"}, {"dropped"})


@pytest.mark.parametrize("after", range(5))
def test_debts_that_are_paid_with_a_creation_are_durable_before_files_go(after: int) -> None:
    files = SimulatedFileSystem()
    faulty = FaultyFileSystem(files)
    db = with_tables(faulty)
    writes = faulty.calls("write")
    db.keyspace("probe")
    to_log = faulty.calls("write") - writes - 1
    faulty.fail("write", errno.ENOSPC, after=to_log)
    db.drop_keyspace("dropped")
    faulty.heal()
    db.keyspace("new")
    db.sync()
    faulty.fail("write", errno.ENOSPC, after=after)
    attempt(db.close)
    files.sync_dir("/db")
    for disk in survivors(files):
        with opened(disk) as again:
            assert set(again.keyspaces()) == {"kept", "new", "probe"}
            assert dict(again.keyspace("kept").scan()) == {b"table": b"kept", b"memtable": b"kept"}


def test_a_keyspace_that_another_thread_just_made_is_there() -> None:
    script = """
import sys, threading
import lsm
sys.setswitchinterval(1e-6)
db = lsm.open(":memory:")
barrier = threading.Barrier(4)
def work():
    for n in range(400):
        barrier.wait()
        db.keyspace(f"k{n}").put(b"key", b"value")
        db.stats()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(db.keyspaces()), all(db.keyspace(name)[b"key"] == b"value" for name in db.keyspaces()))
"""
    done = run(script)
    assert (done.returncode, done.stdout) == (0, "400 True\n"), done.stderr


def in_an_edit(db: lsm.Database, work: Callable[[], None]) -> None:
    """Calls `work` in the middle of the manifest's next change, as a finalizer may be."""
    manifest = db._store.manifest
    take = manifest.append

    def append(*args: Any, **named: Any) -> Any:
        manifest.append = take  # type: ignore[method-assign]
        work()
        return take(*args, **named)

    manifest.append = append  # type: ignore[method-assign]


@pytest.mark.parametrize("call", [lambda db: db.keyspace("new"), lambda db: db.drop_keyspace("dropped")])
def test_a_finalizer_in_a_change_of_the_manifest_is_refused_whole(call: Callable[[lsm.Database], None]) -> None:
    files = SimulatedFileSystem()
    db = opened(files)
    for name in ("kept", "dropped"):
        fill(db, name)
    raised: list[BaseException] = []

    def finalizer() -> None:
        try:
            call(db)
        except lsm.ReentrantError as error:
            raised.append(error)

    in_an_edit(db, finalizer)
    db.flush()
    assert len(raised) == 1
    fill(db, "last")
    for disk in survivors(files):
        check(disk, {"kept", "dropped", "last"})
    db.close()


@pytest.mark.parametrize("call", [lambda db: db.keyspace("new"), lambda db: db.drop_keyspace("dropped")])
def test_what_fails_between_log_and_manifest_stops_writes_until_the_next_opening(
    call: Callable[[lsm.Database], None],
) -> None:
    files = SimulatedFileSystem()
    db = with_tables(files)

    def fail() -> None:
        raise MemoryError

    in_an_edit(db, fail)
    with pytest.raises(MemoryError):
        call(db)
    with pytest.raises(lsm.PoisonedError):
        db.keyspace("kept").put(b"key", b"value")
    assert db.keyspace("kept")[b"table"] == b"kept"
    for disk in survivors(files):
        check(disk, {"kept"}, {"dropped", "new"})
    with contextlib.suppress(lsm.Error):
        db.close()
    check(files, {"kept"}, {"dropped", "new"})
