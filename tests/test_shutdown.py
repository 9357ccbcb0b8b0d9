"""Interpreters that end with databases, iterators, batches and threads still there: status 0, silent stderr."""

from __future__ import annotations

import textwrap

import pytest
from children import assert_quiet, run
from model import TINY

import lsm

PRELUDE = """
import atexit, contextlib, faulthandler, gc, itertools, os, signal, sys, threading
import lsm
from model import TINY

faulthandler.dump_traceback_later(550, exit=True)

def until_closed(work):
    with contextlib.suppress(lsm.errors.ClosedError):
        work()

db = lsm.open(sys.argv[1], **TINY)
ks = db.keyspace("plain", partitions=2)
ks.put_many([(b"%05d" % n, b"x" * 50) for n in range(500)])
db.flush()
ks.put_many([(b"%05d" % n, b"y" * 50) for n in range(0, 500, 2)])
"""

ENDINGS = {
    "nothing is closed": "",
    "an iterator is under way": "scan = ks.scan(); next(scan)",
    "a reverse iterator over cold tables is under way": "scan = ks.scan(reverse=True); next(scan)",
    "a snapshot is held": "snapshot = db.snapshot(); snapshot.get(ks, b'00001')",
    "an iterator of a snapshot is under way": "snapshot = db.snapshot(); scan = snapshot.scan(ks); next(scan)",
    "a batch is open": "batch = db.batch(); batch.__enter__(); batch.put(ks, b'batched', b'1')",
    "only the keyspace is referenced": "del db",
    "only an iterator is referenced": "scan = ks.scan(); next(scan); del db, ks",
    "only a batch is referenced": "batch = db.batch(); batch.__enter__(); batch.put(ks, b'batched', b'1'); del db, ks",
    "everything is in a cycle": "cycle = [db, ks, ks.scan(), db.snapshot()]; cycle.append(cycle); del db, ks",
    "everything hangs on a module": "sys.left = [db, ks, ks.scan(), db.snapshot(), db.batch()]; del db, ks",
    "everything hangs on an uncollectable frame": """
        def generator():
            mine, scan = db, ks.scan()
            next(scan)
            yield
        frame = generator()
        next(frame)
    """,
    "sys.exit inside with blocks": """
        with db, db.snapshot() as s, db.batch() as b:
            b.put(ks, b"batched", b"1")
            sys.exit(0)
    """,
    "an atexit callback closes": "atexit.register(db.close)",
    "an atexit callback uses and closes": """
        def last():
            ks.put(b"at exit", b"1")
            list(ks.scan())
            db.close()
        atexit.register(last)
    """,
    "an atexit callback closes iterators after the database": """
        scan, snapshot = ks.scan(), db.snapshot()
        next(scan)
        atexit.register(scan.close)
        atexit.register(snapshot.close)
        atexit.register(db.close)
    """,
    "a finalizer uses what is left": """
        class Late:
            def __init__(self): self.ks, self.db, self.error = ks, db, lsm.errors.Error
            def __del__(self):
                try:
                    self.ks.put(b"late", b"1")
                    self.db.close()
                except self.error:
                    pass
        late = Late()
        sys.late = late
    """,
    "background work is under way": """
        for turn in range(10):
            ks.put_many([(b"%05d" % n, b"z%d" % turn * 20) for n in range(400)])
    """,
    "a daemon thread writes": """
        def work():
            for n in itertools.count():
                ks.put(b"daemon-%d" % (n % 1000), b"x" * 100)
        for _ in range(2):
            threading.Thread(target=until_closed, args=(work,), daemon=True).start()
        while not ks.get(b"daemon-100"):
            pass
    """,
    "a daemon thread writes synced and another scans": """
        def work():
            for n in itertools.count():
                ks.put(b"daemon-%d" % (n % 1000), b"x" * 100, sync=True)
        def read():
            while True:
                list(ks.scan())
        threading.Thread(target=until_closed, args=(work,), daemon=True).start()
        threading.Thread(target=until_closed, args=(read,), daemon=True).start()
        while not ks.get(b"daemon-10"):
            pass
    """,
    "a daemon thread waits for what nobody commits": """
        def work():
            try:
                db.wait_durable(db.last_sequence + 1000)
            except (lsm.errors.Error, ValueError):
                pass
        threading.Thread(target=work, daemon=True).start()
    """,
    "a thread that is no daemon writes on": """
        def work():
            for n in range(2000):
                ks.put(b"thread-%d" % n, b"x")
        threading.Thread(target=work).start()
    """,
    "the descriptor for event loops was taken": "fd = db.durable_fd(); ks.put(b'a', b'', sync=True)",
    "a database in memory is left too": """
        memory = lsm.open(":memory:", **TINY)
        other = memory.keyspace("c", composite=True)
        other.put_many([((b"p", b"%d" % n), b"x" * 50) for n in range(1000)])
        scan = other.scan()
        next(scan)
    """,
    "a hundred databases are left": """
        many = [lsm.open(":memory:") for _ in range(50)] + [lsm.open(f"{sys.argv[1]}-{n}", **TINY) for n in range(50)]
        for n, one in enumerate(many):
            one.keyspace("plain").put(b"a", b"%d" % n)
    """,
}


@pytest.mark.parametrize("ending", list(ENDINGS))
def test_interpreter_ends_quietly_when(path, ending):
    assert_quiet(run(PRELUDE + textwrap.dedent(ENDINGS[ending]), path))
    expected = {b"%05d" % n: (b"x" if n % 2 else b"y") * 50 for n in range(500)}
    with lsm.open(path, **TINY) as database:
        found = dict(database.keyspace("plain").scan(stop=b"a"))
        assert found.keys() == expected.keys()
        if ending != "background work is under way":
            assert found == expected
        assert b"batched" not in database.keyspace("plain")


def test_thread_that_is_no_daemon_finishes_its_writes(path):
    run(PRELUDE + textwrap.dedent(ENDINGS["a thread that is no daemon writes on"]), path)
    with lsm.open(path, **TINY) as database:
        assert len(list(database.keyspace("plain").scan(prefix=b"thread-"))) == 2000


def test_error_that_ends_the_interpreter_is_the_only_thing_told(path):
    done = run(PRELUDE + "scan = ks.scan(); next(scan); raise SystemExit('told')", path)
    assert (done.returncode, done.stderr) == (1, "told\n")


def test_interrupted_interpreter_keeps_what_was_written(path):
    done = run(PRELUDE + "ks.put(b'last', b'1'); os._exit(3)", path)
    assert done.returncode == 3
    with lsm.open(path) as database:
        assert database.keyspace("plain").get(b"last") == b"1"


def test_import_and_nothing_else_is_quiet():
    assert_quiet(run("import lsm"), "")


def test_keyboard_interrupt_ends_a_program_that_waits(path):
    """SIGINT while the main thread waits for durability or background work raises KeyboardInterrupt."""
    script = """
        try:
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            n = 0
            while True:
                ks.put(b"%d" % (n % 100), b"x" * 100, sync=True)
                n += 1
                if n % 10 == 0:
                    db.settle()
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = run(PRELUDE + textwrap.dedent(script), path)
    assert_quiet(done, "interrupted\n")
