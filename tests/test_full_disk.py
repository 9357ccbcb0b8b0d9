"""A disk that is full, and files that may not grow: an exception, nothing acknowledged lost, and on when there is room.

The disk is a small tmpfs in a mount namespace of the child's own; where that is not permitted, the tests say so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap

import pytest
from children import assert_quiet, run
from model import value_of

import lsm

UNSHARES = [("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")]


def namespace() -> tuple[str, ...] | None:
    """The command prefix that gives a child its own mounts."""
    if shutil.which("unshare") is None:
        return None
    for command in UNSHARES:
        tried = subprocess.run(
            [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False, timeout=600
        )
        if tried.returncode == 0:
            return command
    return None


NAMESPACE = namespace()
needs_mount = pytest.mark.skipif(NAMESPACE is None, reason="needs unshare --mount and tmpfs, which this system refuses")

PRELUDE = """
import faulthandler, itertools, json, os, subprocess, sys, time
import lsm
from lsm.errors import *
from model import TINY, value_of

faulthandler.dump_traceback_later(550, exit=True)
OPTIONS = {**TINY, "memtable_bytes": 65536, "wal_segment_bytes": 65536, "wal_bytes": 1 << 20, "compression": "none"}
home = sys.argv[1]
path = home + "/data"
options = {**OPTIONS, **json.loads(sys.argv[2])}

def fill_up(name="ballast"):
    with open(f"{home}/{name}", "ab", buffering=0) as file:
        for chunk in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(b"b" * chunk)
            except OSError:
                continue

def write_until_full(ks, first, sync=False, batch=False):
    for n in itertools.count(first):
        try:
            if batch and n % 10 == 0:
                with db.batch(sync=sync) as b:
                    b.put(ks, b"%06d" % n, value_of(2 * n + 1, 1000))
                    b.put(ks, b"batch-%06d" % n, b"1")
            else:
                ks.put(b"%06d" % n, value_of(2 * n + 1, 1000), sync=sync)
        except DiskFullError as error:
            assert error.errno == 28, error.errno
            return n
        assert n < first + 50_000, "the disk never filled"

def verify(ks, end, removed=(), unsure=()):
    expected = [n for n in range(end) if n not in removed]
    found = [int(key) for key in ks.scan(stop=b"a", values=False)]
    assert [n for n in found if n not in unsure] == expected, (len(found), found[-3:], end)
    for n in found:
        assert ks.get(b"%06d" % n) == value_of(2 * n + 1, 1000)

def close_and_grow(db):
    try:
        db.close()
    except DiskFullError:
        pass  # closed, but not made durable against power failure
    assert subprocess.run(["mount", "-o", "remount,size=32m", home]).returncode == 0

def patiently(call):
    deadline = time.monotonic() + 300
    while True:
        try:
            return call()
        except DiskFullError:
            assert time.monotonic() < deadline, "still full though there is room"
            time.sleep(0.01)
"""


def on_small_disk(tmp_path, script: str, size: str = "12m", **options) -> None:
    """Runs the script where argv[1] is a disk of this size."""
    home = tmp_path / "disk"
    home.mkdir()
    mount = (
        f'assert subprocess.run(["mount", "-t", "tmpfs", "-o", "size={size}", "tmpfs", sys.argv[1]]).returncode == 0\n'
    )
    code = PRELUDE + mount + textwrap.dedent(script) + '\nprint("done")\n'
    done = run(code, home, json.dumps(options), prefix=NAMESPACE or ())
    assert_quiet(done, "done\n")


@needs_mount
@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("ring", [4096, 1 << 20])
def test_full_disk_raises_and_everything_acknowledged_stays(tmp_path, sync, ring):
    on_small_disk(
        tmp_path,
        f"""
        db = lsm.open(path, **options)
        ks = db.keyspace("plain")
        end = write_until_full(ks, 0, sync={sync}, batch=True)
        assert end > 1000, end
        unsure = [end] if {sync} else []  # committed and refused its sync, perhaps
        verify(ks, end, (), unsure)
        for n in range(20):
            try:
                ks.put(b"more-%d" % n, b"x" * 1000)
            except DiskFullError:
                continue
        verify(ks, end, (), unsure)
        close_and_grow(db)
        with lsm.open(path, **options) as db:
            verify(db.keyspace("plain"), end, (), unsure)
        """,
        wal_ring_bytes=ring,
    )


@needs_mount
def test_refused_write_is_not_visible_then_or_later(tmp_path):
    on_small_disk(
        tmp_path,
        """
        db = lsm.open(path, **options)
        ks = db.keyspace("plain")
        end = write_until_full(ks, 0)
        refused = []
        for n in range(end):
            if n >= 50 and refused:
                break  # before, the background may have made room for some
            key = b"refused-%d" % n
            try:
                with db.batch() as b:
                    b.put(ks, key, b"x" * 20000)
                    b.delete(ks, b"%06d" % n)
            except DiskFullError:
                refused.append(key)
                assert ks.get(key) is None
                assert ks.get(b"%06d" % n) is not None
        assert refused
        close_and_grow(db)
        with lsm.open(path, **options) as db:
            assert db.keyspace("plain").get_many(refused) == [None] * len(refused)
        """,
    )


@needs_mount
def test_writing_goes_on_when_there_is_room_again(tmp_path):
    on_small_disk(
        tmp_path,
        """
        with open(home + "/ballast", "wb") as ballast:
            ballast.write(b"b" * (4 << 20))
        db = lsm.open(path, **options)
        ks = db.keyspace("plain")
        end = write_until_full(ks, 0)
        os.unlink(home + "/ballast")
        first = end
        end = patiently(lambda: ks.put(b"%06d" % first, value_of(2 * first + 1, 1000)) and first + 1)
        for n in range(end, end + 500):
            patiently(lambda: ks.put(b"%06d" % n, value_of(2 * n + 1, 1000), sync=n % 50 == 0))
        end += 500
        verify(ks, end)
        patiently(db.flush)
        verify(ks, end)
        db.close()
        with lsm.open(path, **options) as db:
            verify(db.keyspace("plain"), end)
        """,
    )


@needs_mount
def test_reserve_makes_room_for_deletes(tmp_path):
    on_small_disk(
        tmp_path,
        """
        db = lsm.open(path, **options)
        ks = db.keyspace("plain")
        end = write_until_full(ks, 0)
        fill_up()
        for n in range(20):
            ks.delete(b"%06d" % n)
        verify(ks, end, set(range(20)))
        close_and_grow(db)
        with lsm.open(path, **options) as db:
            verify(db.keyspace("plain"), end, set(range(20)))
        """,
    )


@needs_mount
def test_dropping_a_keyspace_makes_room_on_a_full_disk(tmp_path):
    on_small_disk(
        tmp_path,
        """
        db = lsm.open(path, **options)
        ks = db.keyspace("plain")
        for n in range(3000):
            ks.put(b"%06d" % n, value_of(2 * n + 1, 1000))
        other = db.keyspace("other")
        write_until_full(other, 0)
        db.drop_keyspace("other")
        end = patiently(lambda: ks.put(b"003000", value_of(6001, 1000)) and 3001)
        verify(ks, end)
        db.close()
        """,
    )


@needs_mount
def test_database_opens_for_reading_on_a_full_disk(tmp_path):
    on_small_disk(
        tmp_path,
        """
        with lsm.open(path, **options) as db:
            ks = db.keyspace("plain")
            for n in range(1000):
                ks.put(b"%06d" % n, value_of(2 * n + 1, 1000))
        fill_up()
        with lsm.open(path, read_only=True, **options) as db:
            verify(db.keyspace("plain"), 1000)
        try:
            with lsm.open(path, **options) as db:
                verify(db.keyspace("plain"), 1000)
        except DiskFullError:
            pass  # for writing, an open may need room
        os.unlink(home + "/ballast")
        with lsm.open(path, **options) as db:
            db.keyspace("plain").put(b"001000", value_of(2001, 1000))
            verify(db.keyspace("plain"), 1001)
        """,
    )


@needs_mount
def test_database_cannot_be_made_on_a_full_disk_but_on_it_later(tmp_path):
    on_small_disk(
        tmp_path,
        """
        fill_up()
        try:
            lsm.open(path, **options).close()
        except (DiskFullError, ReadOnlyError):
            pass
        os.unlink(home + "/ballast")
        with lsm.open(path, **options) as db:
            db.keyspace("plain").put(b"a", b"1")
        """,
    )


@needs_mount
def test_killed_on_a_full_disk_recovers_what_was_acknowledged(tmp_path):
    on_small_disk(
        tmp_path,
        """
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            db = lsm.open(path, **options)
            os.write(writer, b"%d" % write_until_full(db.keyspace("plain"), 0))
            os.kill(os.getpid(), 9)
        os.close(writer)
        os.waitpid(pid, 0)
        end = int(os.read(reader, 20))
        with lsm.open(path, read_only=True, **options) as db:
            verify(db.keyspace("plain"), end)
        try:
            lsm.open(path, **options).close()
        except DiskFullError:
            pass  # for writing, an open may need room
        close_and_grow(db)
        with lsm.open(path, **options) as db:
            verify(db.keyspace("plain"), end)
            db.keyspace("plain").put(b"%06d" % end, value_of(2 * end + 1, 1000))
            verify(db.keyspace("plain"), end + 1)
        """,
    )


@needs_mount
def test_read_only_file_system_opens_for_reading_and_refuses_writing(tmp_path):
    on_small_disk(
        tmp_path,
        """
        with lsm.open(path, **options) as db:
            ks = db.keyspace("plain")
            for n in range(100):
                ks.put(b"%06d" % n, value_of(2 * n + 1, 1000))
        assert subprocess.run(["mount", "-o", "remount,ro", home]).returncode == 0
        with lsm.open(path, read_only=True) as db:
            verify(db.keyspace("plain"), 100)
        try:
            lsm.open(path)
        except ReadOnlyError as error:
            assert "read_only=True" in str(error)
        else:
            raise AssertionError("opened for writing")
        try:
            lsm.open(home + "/other")
        except ReadOnlyError:
            pass
        else:
            raise AssertionError("made")
        """,
    )


def test_files_that_may_not_grow_raise_and_lose_nothing(path):
    """RLIMIT_FSIZE: writes past it fail with EFBIG. A write of unknown effect may poison the database; reads go on."""
    pytest.importorskip("resource")
    script = """
        import resource
        db = lsm.open(path, wal_segment_bytes=64 << 20, wal_bytes=1 << 30, memtable_bytes=64 << 20)
        ks = db.keyspace("plain")
        ks.put(b"000000", value_of(1, 1000), sync=True)
        largest = max(os.path.getsize(f"{path}/{name}") for name in os.listdir(path))
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 100_000, resource.RLIM_INFINITY))
        for n in range(1, 100_000):
            try:
                ks.put(b"%06d" % n, value_of(2 * n + 1, 1000), sync=n % 10 == 0)
            except (FileError, PoisonedError) as error:
                break
        else:
            raise AssertionError("nothing refused")
        # a synced write that raised is committed or not: its effect is unknown, which is why it poisons
        seen = [int(key) for key in ks.scan(values=False)]
        assert seen[:n] == list(range(n)) and len(seen) <= n + 1, (n, len(seen))
        try:
            db.close()
        except (FileError, PoisonedError):
            pass
        print(n)
    """
    done = run(PRELUDE + textwrap.dedent(script), path.parent, "{}")
    assert_quiet(done)
    acknowledged = int(done.stdout)
    with lsm.open(path) as database:
        found = dict(database.keyspace("plain").items())
    assert set(found) >= {b"%06d" % n for n in range(acknowledged)}
    assert all(value == value_of(2 * int(key) + 1, 1000) for key, value in found.items())
