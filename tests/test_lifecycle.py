"""Who may open what: locks, forks, read-only opens, and paths that hold something else."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import crc32c
import pytest
from children import HUNG_SECONDS, assert_quiet, environment, in_fork, run
from model import TINY, scaled, value_of

import lsm
from lsm.errors import (
    ClosedError,
    Error,
    ForkedError,
    LockedError,
    NotADatabaseError,
    ReadOnlyError,
    UnsupportedVersionError,
)

NOBODY = 65534

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def fill(ks, count: int = 200) -> None:
    ks.put_many([(b"%05d" % n, value_of(n, 100)) for n in range(count)])


def contents(count: int = 200):
    return [(b"%05d" % n, value_of(n, 100)) for n in range(count)]


# One opener


def test_second_opener_in_this_process_is_told_who_holds_it(db, path):
    with pytest.raises(LockedError, match="read_only=True") as caught:
        lsm.open(path)
    assert caught.value.pid == os.getpid()
    assert str(path) in str(caught.value)


def test_second_opener_by_another_name_of_the_directory_is_refused(db, path, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(LockedError):
        lsm.open(tmp_path / "link")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LockedError):
        lsm.open("data")


def test_refused_opener_leaves_the_holder_its_lock(db, path):
    ks = db.keyspace("plain")
    for _ in range(3):
        with pytest.raises(LockedError):
            lsm.open(path)
        ks.put(b"a", b"1", sync=True)
    assert ks.get(b"a") == b"1"


def test_second_opener_in_another_process_is_told_who_holds_it(db, path):
    script = """
import sys, lsm
try:
    lsm.open(sys.argv[1])
except lsm.errors.LockedError as error:
    print(error.pid)
"""
    done = run(script, path)
    assert done.stdout.split() == [str(os.getpid())], done.stderr


def test_holder_in_another_process_is_named(path):
    script = "import sys, lsm; db = lsm.open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdin is not None  # noqa: PT018
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(LockedError, match=str(child.pid)) as caught:
            lsm.open(path)
        child.stdin.close()
        child.wait(HUNG_SECONDS)
    assert caught.value.pid == child.pid
    lsm.open(path).close()


def test_close_lets_the_next_opener_in(path):
    for _ in range(10):
        lsm.open(path).close()


def test_failed_open_lets_the_next_opener_in(path):
    lsm.open(path).close()
    with pytest.raises(TypeError):
        lsm.open(path, no_such_option=1)
    lsm.open(path).close()


def test_of_many_threads_that_open_at_once_one_gets_it(path):
    lsm.open(path).close()
    for _ in range(scaled(5)):
        won: list[Any] = []
        refused: list[Any] = []
        barrier = threading.Barrier(8)

        def opener(won=won, refused=refused, barrier=barrier):
            barrier.wait()
            try:
                won.append(lsm.open(path))
            except LockedError:
                refused.append(1)

        threads = [threading.Thread(target=opener) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(refused)) == (1, 7)
        won[0].close()


def test_memory_databases_are_apart(open_db):
    first, second = open_db(":memory:"), open_db(":memory:")
    first.keyspace("a").put(b"k", b"v")
    assert list(second.keyspaces()) == []


def test_memory_database_leaves_no_file(open_db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = open_db(":memory:", **TINY)
    fill(database.keyspace("a"), 1000)
    database.flush()
    database.close()
    assert os.listdir(tmp_path) == []


# Forks


def uses_in_a_fork(database, ks, scan, snapshot, batch):
    return {
        "put": lambda: ks.put(b"a", b"forked"),
        "get": lambda: ks.get(b"a"),
        "delete": lambda: ks.delete(b"a"),
        "get_many": lambda: ks.get_many([b"a"]),
        "put_many": lambda: ks.put_many([(b"a", b"forked")]),
        "scan": lambda: list(ks.scan()),
        "next": lambda: next(scan),
        "snapshot": lambda: database.snapshot(),
        "snapshot get": lambda: snapshot.get(ks, b"a"),
        "snapshot scan": lambda: list(snapshot.scan(ks)),
        "batch": lambda: database.batch().__enter__(),
        "batch put": lambda: batch.put(ks, b"a", b"forked"),
        "batch end": lambda: batch.__exit__(None, None, None),
        "keyspace": lambda: database.keyspace("new"),
        "drop": lambda: database.drop_keyspace("plain"),
        "flush": lambda: database.flush(),
        "compact": lambda: database.compact(),
        "sync": lambda: database.sync(),
        "wait": lambda: database.wait_durable(1),
        "stats": lambda: database.stats(),
        "durable_fd": lambda: database.durable_fd(),
    }


FORK_USES = list(uses_in_a_fork(*[None] * 5))


@needs_fork
@pytest.mark.parametrize("use", FORK_USES)
def test_use_in_a_forked_child_raises_and_the_parent_goes_on(open_db, use):
    database = open_db(**TINY)
    ks = database.keyspace("plain")
    fill(ks)
    scan, snapshot = ks.scan(), database.snapshot()
    first = next(scan)
    with database.batch() as batch:
        batch.put(ks, b"batched", b"by the parent")
        answer = in_fork(uses_in_a_fork(database, ks, scan, snapshot, batch)[use])
        assert answer.startswith(ForkedError.__name__), answer
    assert ks.get(b"batched") == b"by the parent"
    assert [first, *scan] == contents() == list(snapshot.scan(ks))
    fill(ks, 400)
    database.flush()
    assert list(ks.scan(stop=b"b")) == contents(400)
    snapshot.close()
    database.close()
    assert list(open_db(**TINY).keyspace("plain").scan(stop=b"b")) == contents(400)


@needs_fork
def test_close_in_a_forked_child_does_not_disturb_the_parent(open_db, path):
    database = open_db()
    ks = database.keyspace("plain")
    scan, snapshot = ks.scan(), database.snapshot()

    def close_all():
        for thing in (scan, snapshot, database):
            try:
                thing.close()
            except ForkedError:
                continue
        return "closed"

    assert in_fork(close_all) == "closed"
    ks.put(b"a", b"1", sync=True)
    with pytest.raises(LockedError):
        lsm.open(path)
    assert ks.get(b"a") == b"1"


@needs_fork
def test_child_may_open_other_databases(open_db, tmp_path):
    open_db().keyspace("plain").put(b"a", b"of the parent")

    def work():
        with lsm.open(tmp_path / "of the child", **TINY) as mine:
            ks = mine.keyspace("plain")
            fill(ks)
            mine.flush()
            return len(ks)

    assert in_fork(work) == "200"


@needs_fork
def test_child_that_opens_the_database_of_its_parent_is_refused(db, path):
    answer = in_fork(lambda: lsm.open(path))
    assert answer.startswith(LockedError.__name__)
    assert str(os.getpid()) in answer


@needs_fork
def test_living_child_does_not_keep_the_lock_of_its_parent(open_db, path):
    """The parent closes while a child that never used the database lives: the lock must be free."""
    reader, writer = os.pipe()
    database = open_db()
    database.keyspace("plain").put(b"a", b"1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        database.close()
        assert open_db().keyspace("plain").get(b"a") == b"1"
    finally:
        os.close(writer)
        os.waitpid(pid, 0)


@needs_fork
def test_child_of_a_closed_database_still_gets_a_specific_error(open_db):
    database = open_db()
    ks = database.keyspace("plain")
    database.close()
    assert in_fork(lambda: ks.get(b"a")).split(":")[0] in (ForkedError.__name__, ClosedError.__name__)


@needs_fork
def test_forks_while_threads_write_neither_hang_nor_disturb(open_db):
    database = open_db(**TINY)
    ks, stop = database.keyspace("plain", partitions=2), threading.Event()
    counts = [0] * 3

    def write(thread):
        while not stop.is_set():
            ks.put(b"%d-%d" % (thread, counts[thread]), b"x" * 100, sync=counts[thread] % 50 == 0)
            counts[thread] += 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        answers = [in_fork(lambda: ks.get(b"0-0")) for _ in range(scaled(8))]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(answer.startswith(ForkedError.__name__) for answer in answers), answers
    database.close()
    assert len(open_db(**TINY).keyspace("plain")) == sum(counts)


@needs_fork
def test_multiprocessing_children_raise_and_exit_without_disturbing(open_db):
    database = open_db()
    ks = database.keyspace("plain")
    fill(ks)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def work():
        try:
            ks.get(b"00001")
        except ForkedError:
            answers.put("forked")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        children = [context.Process(target=work) for _ in range(3)]
        for child in children:
            child.start()
    assert [answers.get(timeout=HUNG_SECONDS) for _ in children] == ["forked"] * 3
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 3
    ks.put(b"after", b"1", sync=True)
    database.close()
    assert list(open_db().keyspace("plain").scan(stop=b"a")) == contents()


def test_child_that_ends_as_an_ordinary_interpreter_does_not_disturb(path):
    """The child runs the whole shutdown of its interpreter, with everything of the parent still referenced."""
    script = """
import os, sys, lsm
db = lsm.open(sys.argv[1], memtable_bytes=4096)
ks = db.keyspace("plain")
ks.put_many([(b"%d" % n, b"x" * 50) for n in range(300)])
scan, snapshot, batch = ks.scan(), db.snapshot(), db.batch()
next(scan)
batch.__enter__()
batch.put(ks, b"batched", b"1")
pid = os.fork()
if pid == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert len(list(scan)) == 299
batch.__exit__(None, None, None)
ks.put(b"after", b"1", sync=True)
scan.close()
snapshot.close()
db.close()
with lsm.open(sys.argv[1]) as db:
    print(len(db.keyspace("plain")))
"""
    done = run(script, path)
    assert_quiet(done, "302\n")


# Read-only


def fingerprint(path: Path) -> dict[str, str]:
    return {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in os.listdir(path) if name != "LOCK"}


def test_read_only_open_of_a_closed_database_reads_everything(open_db):
    database = open_db(**TINY)
    fill(database.keyspace("plain", partitions=2))
    database.keyspace("c", composite=True).put((b"p", b"s"), b"v")
    database.close()
    reader = open_db(read_only=True)
    ks = reader.keyspace("plain")
    assert list(ks.items()) == contents()
    assert ks.get(b"00007") == value_of(7, 100)
    assert list(reader.keyspace("c").scan(partition=b"p")) == [((b"p", b"s"), b"v")]
    with reader.snapshot() as s:
        assert s.get(ks, b"00007") == value_of(7, 100)


@pytest.mark.parametrize("left", ["closed", "killed"])
def test_read_only_open_changes_no_byte(path, left):
    end = "db.close()" if left == "closed" else "os.kill(os.getpid(), 9)"
    script = f"""
import os, sys, lsm
db = lsm.open(sys.argv[1], memtable_bytes=8192)
ks = db.keyspace("plain")
for n in range(200):
    ks.put(b"%05d" % n, b"x" * 100)
{end}
"""
    run(script, path)
    before = fingerprint(path)
    with lsm.open(path, read_only=True) as database:
        assert len(database.keyspace("plain")) == 200
        list(database.keyspace("plain").scan())
    assert fingerprint(path) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda db, ks: ks.put(b"a", b""),
        lambda db, ks: ks.delete(b"a"),
        lambda db, ks: ks.put_many([(b"a", b"")]),
        lambda db, ks: ks.__setitem__(b"a", b""),
        lambda db, ks: db.keyspace("new"),
        lambda db, ks: db.drop_keyspace("plain"),
        lambda db, ks: batch_write(db, ks),
        lambda db, ks: db.compact(),
    ],
)
def test_write_to_a_read_only_database_raises(open_db, write):
    database = open_db()
    fill(database.keyspace("plain"))
    database.close()
    reader = open_db(read_only=True)
    ks = reader.keyspace("plain")
    with pytest.raises(ReadOnlyError, match="read_only"):
        write(reader, ks)
    assert list(ks.items()) == contents()
    assert list(reader.keyspaces()) == ["plain"]


def batch_write(db, ks) -> None:
    with db.batch() as b:
        b.put(ks, b"a", b"")


def test_read_only_opens_share_a_database(open_db):
    open_db().close()
    first, second = open_db(read_only=True), open_db(read_only=True)
    assert list(first.keyspaces()) == list(second.keyspaces()) == []


def test_reader_beside_a_live_writer_sees_a_prefix_and_all_that_was_flushed(open_db):
    writer = open_db(**TINY)
    ks = writer.keyspace("plain")
    for n in range(300):
        ks.put(b"%05d" % n, value_of(n, 100))
        if n == 200:
            writer.flush()
    seen = list(open_db(read_only=True).keyspace("plain").items())
    assert len(seen) >= 201
    assert seen == contents(len(seen))


def test_reader_beside_a_live_writer_keeps_its_moment(open_db):
    writer = open_db(**TINY)
    ks = writer.keyspace("plain")
    fill(ks)
    writer.flush()
    reader = open_db(read_only=True)
    theirs = reader.keyspace("plain")
    seen = list(theirs.items())
    for turn in range(5):
        ks.put_many([(b"%05d" % n, b"later %d" % turn) for n in range(300)])
        writer.flush()
    writer.compact()
    assert list(theirs.items()) == seen
    assert theirs.get(b"00007") == value_of(7, 100)


def test_reader_in_another_process_does_not_disturb_the_writer(open_db, path):
    writer = open_db(**TINY)
    ks = writer.keyspace("plain")
    fill(ks)
    writer.sync()
    done = run("import sys, lsm; print(len(lsm.open(sys.argv[1], read_only=True).keyspace('plain')))", path)
    assert_quiet(done)
    assert int(done.stdout) <= 200
    fill(ks, 400)
    writer.close()
    assert list(open_db().keyspace("plain").items()) == contents(400)


def test_read_only_open_of_nothing_raises_and_makes_nothing(path):
    with pytest.raises((Error, FileNotFoundError)):
        lsm.open(path, read_only=True)
    assert not path.exists()


def test_unknown_keyspace_of_a_read_only_database_raises(open_db):
    open_db().close()
    with pytest.raises(ReadOnlyError):
        open_db(read_only=True).keyspace("unknown")


# Paths


def test_create_false_refuses_where_nothing_is(path):
    with pytest.raises((Error, FileNotFoundError), match="create"):
        lsm.open(path, create=False)
    assert not path.exists()


def test_create_false_opens_what_is_there(path):
    lsm.open(path).close()
    lsm.open(path, create=False).close()


def test_path_may_be_text_or_path_object(path):
    lsm.open(str(path)).close()
    lsm.open(path, create=False).close()


def test_relative_path_stays_where_it_was_opened(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    database = lsm.open("data", **TINY)
    monkeypatch.chdir(tmp_path / "elsewhere")
    fill(database.keyspace("plain"), 1000)
    database.flush()
    database.compact()
    database.close()
    assert os.listdir(tmp_path / "elsewhere") == []
    with lsm.open(tmp_path / "data") as database:
        assert len(database.keyspace("plain")) == 1000


def test_empty_directory_becomes_a_database(path):
    path.mkdir()
    lsm.open(path).close()
    lsm.open(path, create=False).close()


def test_file_in_place_of_the_directory_is_refused_and_untouched(path):
    path.write_bytes(b"a file of somebody")
    with pytest.raises(NotADatabaseError, match=str(path)):
        lsm.open(path)
    assert path.read_bytes() == b"a file of somebody"


@pytest.mark.parametrize("read_only", [False, True])
def test_directory_that_holds_something_else_is_refused_and_untouched(path, read_only):
    path.mkdir()
    (path / "letter.txt").write_bytes(b"dear")
    with pytest.raises(NotADatabaseError, match=str(path)):
        lsm.open(path, read_only=read_only)
    assert fingerprint(path) == {"letter.txt": hashlib.sha256(b"dear").hexdigest()}


def test_path_below_a_file_is_refused(path):
    path.write_bytes(b"")
    with pytest.raises((Error, OSError)):
        lsm.open(path / "below")


def test_foreign_files_beside_the_databases_own_are_left_alone(open_db, path):
    open_db().close()
    (path / "README").write_bytes(b"notes")
    (path / "000099.table.bak").write_bytes(b"backup")
    database = open_db(**TINY)
    fill(database.keyspace("plain"), 1000)
    database.compact()
    database.close()
    assert (path / "README").read_bytes() == b"notes"
    assert (path / "000099.table.bak").read_bytes() == b"backup"


@pytest.mark.parametrize("links", ["symlink", "moved"])
def test_database_reached_by_a_link_or_moved_is_the_same(path, tmp_path, links):
    with lsm.open(path) as database:
        fill(database.keyspace("plain"))
    other = tmp_path / "other"
    other.symlink_to(path) if links == "symlink" else path.rename(other)
    with lsm.open(other) as database:
        assert list(database.keyspace("plain").items()) == contents()


# Files of other versions


def patch_manifest(path: Path, version: int) -> None:
    """Sets the format version of the manifest in force, with its checksum, as docs/format/manifest.md has them."""
    (manifest,) = path.glob("MANIFEST-*")
    content = bytearray(manifest.read_bytes())
    assert content[:8] == b"LSMMANIF"
    content[8:12] = struct.pack("<I", version)
    content[124:128] = struct.pack("<I", crc32c.crc32c(bytes(content[:124])))
    manifest.write_bytes(content)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("version", [2, 77, 2**32 - 1])
def test_newer_manifest_is_refused_with_its_number_and_untouched(open_db, path, version, read_only):
    database = open_db()
    database.keyspace("plain")
    database.close()
    patch_manifest(path, version)
    before = fingerprint(path)
    with pytest.raises(UnsupportedVersionError, match=str(version)) as caught:
        lsm.open(path, read_only=read_only)
    assert (caught.value.found, caught.value.supported) == (version, 1)
    assert "MANIFEST-" in str(caught.value.path)
    assert fingerprint(path) == before
    patch_manifest(path, 1)
    with lsm.open(path) as database:
        assert list(database.keyspaces()) == ["plain"]


# Directories that nothing can be written to


@pytest.fixture
def public_directory():
    """A directory that a user without privileges can reach."""
    made = Path(tempfile.mkdtemp(prefix="lsm-public-"))
    made.chmod(0o755)
    yield made
    for directory in (made, *made.iterdir()):
        directory.chmod(0o755)  # whom permissions stop removes nothing from where they may not write
    shutil.rmtree(made)


def without_privileges(work) -> str:
    """Runs in a forked child, as nobody where this is root, as whom permissions do not stop."""
    return in_fork(work, user=NOBODY if os.geteuid() == 0 else None)


@needs_fork
def test_read_only_directory_opens_for_reading(public_directory):
    path = public_directory / "data"
    with lsm.open(path) as database:
        fill(database.keyspace("plain"))
    path.chmod(0o555)

    def read():
        with lsm.open(path, read_only=True) as database:
            return len(database.keyspace("plain"))

    assert without_privileges(read) == "200"


@needs_fork
def test_read_only_directory_refuses_to_open_for_writing(public_directory):
    path = public_directory / "data"
    with lsm.open(path) as database:
        fill(database.keyspace("plain"))
    path.chmod(0o555)
    before = fingerprint(path)
    for name in os.listdir(path):
        (path / name).chmod(0o444)
    answer = without_privileges(lambda: lsm.open(path))
    assert answer.startswith(ReadOnlyError.__name__), answer
    assert "read_only=True" in answer
    assert fingerprint(path) == before


@needs_fork
def test_database_cannot_be_made_in_a_read_only_directory(public_directory):
    public_directory.chmod(0o555)
    answer = without_privileges(lambda: lsm.open(public_directory / "data"))
    assert answer.startswith(ReadOnlyError.__name__), answer
    assert os.listdir(public_directory) == []


@needs_fork
def test_unreadable_directory_raises_an_error_that_names_it(public_directory):
    path = public_directory / "data"
    lsm.open(path).close()
    path.chmod(0)
    answer = without_privileges(lambda: lsm.open(path, read_only=True))
    path.chmod(0o755)
    assert "Error" in answer.split(":")[0]
    assert str(path) in answer


def test_opening_for_one_put_again_and_again_piles_up_no_log(path):
    for number in range(60):
        with lsm.open(path) as db:
            db.keyspace("k").put(b"%d" % number, b"v")
    assert len(list(path.glob("wal-*"))) <= 20
    with lsm.open(path) as db:
        assert len(list(db.keyspace("k").scan())) == 60
