"""Calls that come back into the engine while it is at work: iterators, finalizers, signal handlers, strange objects.

Each runs in an interpreter of its own, since what it must not do is crash or hang: exit status 0, nothing on stderr.
"""

from __future__ import annotations

import sys
import textwrap

import pytest
from children import assert_quiet, run

PRELUDE = """
import contextlib, copy, faulthandler, gc, os, pickle, signal, sys, threading, weakref
import lsm
from lsm.errors import *
from model import TINY

faulthandler.enable()
faulthandler.dump_traceback_later(550, exit=True)
path = sys.argv[1]
db = lsm.open(path, **TINY)
ks = db.keyspace("plain", partitions=2)
comp = db.keyspace("composite", composite=True)
"""

EPILOGUE = """
db.close()
with lsm.open(path) as db:
    for name in db.keyspaces():
        list(db.keyspace(name).scan())
print("done")
"""


def check(path, script: str) -> None:
    done = run(PRELUDE + textwrap.dedent(script) + EPILOGUE, path)
    assert_quiet(done, "done\n")


# put_many and get_many over iterators that do things


def test_iterator_that_puts(path):
    check(
        path,
        """
        def pairs():
            for n in range(500):
                ks.put(b"inner-%03d" % n, b"x" * 50)
                yield b"outer-%03d" % n, b"y" * 50
        ks.put_many(pairs())
        assert len(list(ks.scan(prefix=b"inner"))) == len(list(ks.scan(prefix=b"outer"))) == 500
        """,
    )


def test_iterator_that_puts_many_and_commits_batches(path):
    check(
        path,
        """
        def pairs():
            for n in range(30):
                ks.put_many([(b"a-%d-%d" % (n, m), b"") for m in range(20)])
                with db.batch(sync=n % 10 == 0) as b:
                    b.put(comp, (b"p", b"%d" % n), b"")
                db.flush()
                yield b"b-%d" % n, b""
        ks.put_many(pairs())
        assert (len(ks), len(comp)) == (630, 30)
        """,
    )


@pytest.mark.parametrize("after", [0, 1, 700])
def test_iterator_that_closes_the_database(path, after):
    check(
        path,
        f"""
        def pairs():
            for n in range({after}):
                yield b"outer-%d" % n, b"x" * 50
            db.close()
            yield b"last", b""
        try:
            ks.put_many(pairs())
        except ClosedError:
            pass
        else:
            raise AssertionError("stored into a closed database")
        db = lsm.open(path)
        assert list(db.keyspace("plain")) == []
        """,
    )


@pytest.mark.parametrize("after", [0, 1, 700])
def test_iterator_that_drops_the_keyspace(path, after):
    check(
        path,
        f"""
        def pairs():
            for n in range({after}):
                yield b"outer-%d" % n, b"x" * 50
            db.drop_keyspace("plain")
            db.keyspace("plain", composite=True)
            yield b"last", b""
        try:
            ks.put_many(pairs())
        except KeyspaceDroppedError:
            pass
        else:
            raise AssertionError("stored into a dropped keyspace")
        assert list(db.keyspace("plain")) == []
        """,
    )


def test_iterator_that_raises_stores_nothing(path):
    check(
        path,
        """
        def pairs():
            for n in range(500):
                yield b"%d" % n, b"x" * 50
            raise ZeroDivisionError
        try:
            ks.put_many(pairs())
        except ZeroDivisionError:
            pass
        else:
            raise AssertionError("the exception was lost")
        assert list(ks) == []
        ks.put(b"a", b"1")
        """,
    )


def test_iterator_that_yields_one_buffer_again_and_again(path):
    """What counts is what the buffer held when it was yielded."""
    check(
        path,
        """
        def pairs():
            key, value = bytearray(3), bytearray(3)
            for n in range(500):
                key[:] = value[:] = b"%03d" % n
                yield key, value
        ks.put_many(pairs())
        assert list(ks.items()) == [(b"%03d" % n, b"%03d" % n) for n in range(500)]
        """,
    )


def test_iterator_that_resizes_the_buffers_it_yielded(path):
    check(
        path,
        """
        key, value = bytearray(b"key"), bytearray(b"value" * 1000)
        def pairs():
            yield key, value
            key.clear()
            value.clear()
            value.extend(b"z" * 100000)
            yield b"next", value
        try:
            ks.put_many(pairs())
        except BufferError:
            assert list(ks) == []
        else:
            assert dict(ks.items()) == {b"key": b"value" * 1000, b"next": b"z" * 100000}
        """,
    )


def test_lists_that_change_while_they_are_read(path):
    check(
        path,
        """
        class Pair:
            def __init__(self, n): self.n = n
            def __len__(self): return 2
            def __getitem__(self, at):
                pairs.clear()
                return [b"key-%d" % self.n, b"value"][at]
            def __iter__(self):
                pairs.clear()
                gc.collect()
                yield b"key-%d" % self.n
                yield b"value"
        class Key(tuple):
            def __iter__(self):
                keys.clear()
                return super().__iter__()
            def __getitem__(self, at):
                keys.clear()
                return super().__getitem__(at)
            def __len__(self):
                return 1 << 40
        pairs = [Pair(n) for n in range(100)]
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            ks.put_many(pairs)
        keys = [Key((b"p", b"%d" % n)) for n in range(100)]
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            comp.get_many(keys)
        keys = [Key((b"p", b"%d" % n)) for n in range(100)]
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            comp.put_many([(key, b"") for key in keys])
        """,
    )


@pytest.mark.parametrize("what", ["db.close()", 'db.drop_keyspace("plain")', 'ks.delete(b"a"); db.compact()'])
def test_keys_of_get_many_that_do_things(path, what):
    check(
        path,
        f"""
        ks.put_many([(b"%d" % n, b"x" * 100) for n in range(300)])
        db.flush()
        def keys():
            for n in range(300):
                if n == 150:
                    {what}
                yield b"%d" % n
        try:
            found = ks.get_many(keys())
        except (ClosedError, KeyspaceDroppedError):
            assert {what!r}[:5] in ("db.cl", "db.dr")
        else:
            assert found == [b"x" * 100] * 300
        """,
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ in Python is new in 3.12")
@pytest.mark.parametrize(
    "what", ["db.close()", 'db.drop_keyspace("plain")', 'ks.put(b"inner", b"1")', "1 / 0", "db.compact()"]
)
def test_buffers_that_do_things_when_taken_and_released(path, what):
    check(
        path,
        f"""
        class Strange:
            def __init__(self, content): self.content = content
            def __buffer__(self, flags):
                {what}
                return memoryview(self.content)
            def __release_buffer__(self, view):
                with contextlib.suppress(Exception):
                    {what}
        for use in (
            lambda: ks.put(Strange(b"k"), Strange(b"v")), lambda: ks.get(Strange(b"k")),
            lambda: ks.delete(Strange(b"k")),
            lambda: ks.put_many([(Strange(b"k"), Strange(b"v"))] * 3), lambda: ks.get_many([Strange(b"k")] * 3),
            lambda: comp.put((Strange(b"p"), Strange(b"s")), Strange(b"v")), lambda: list(ks.scan(start=Strange(b"a"))),
        ):
            with contextlib.suppress(Error, ZeroDivisionError, BufferError, KeyError):
                use()
        """,
    )


@pytest.mark.parametrize("what", ["db.close()", 'db.drop_keyspace("plain")', 'ks.put(b"inner", b"1")'])
def test_numbers_that_do_things_when_asked_for_their_value(path, what):
    check(
        path,
        f"""
        ks.put(b"a", b"1")
        class Number:
            def __index__(self):
                {what}
                return 5
            def __float__(self):
                {what}
                return 0.01
            def __bool__(self):
                {what}
                return True
        for use in (
            lambda: list(ks.scan(limit=Number())), lambda: list(ks.scan(reverse=Number())),
            lambda: list(ks.scan(values=Number())),
            lambda: ks.put(b"k", b"v", sync=Number()), lambda: db.wait_durable(Number(), timeout=0),
            lambda: db.wait_durable(0, timeout=Number()), lambda: db.keyspace("other", partitions=Number()),
            lambda: db.batch(sync=Number()).__enter__(),
        ):
            with contextlib.suppress(Error, KeyError, TypeError, TimeoutError):
                use()
        """,
    )


# Inside a batch, inside a scan


@pytest.mark.parametrize("what", ["db.close()", 'db.drop_keyspace("plain")'])
def test_batch_whose_database_or_keyspace_goes_while_it_is_filled(path, what):
    check(
        path,
        f"""
        try:
            with db.batch() as b:
                for n in range(1000):
                    b.put(ks, b"%d" % n, b"x" * 50)
                    b.put(comp, (b"p", b"%d" % n), b"x" * 50)
                    if n == 500:
                        {what}
        except (ClosedError, KeyspaceDroppedError):
            pass
        else:
            raise AssertionError("committed")
        db.close()
        with lsm.open(path) as db:
            assert list(db.keyspace("composite")) == []
        db = lsm.open(path)
        """,
    )


@pytest.mark.parametrize(
    "what", ["db.close()", 'db.drop_keyspace("plain")', "scan.close()", "db.compact()", "db.flush()"]
)
def test_scan_whose_ground_goes_while_it_runs(path, what):
    check(
        path,
        f"""
        pairs = [(b"%04d" % n, b"x" * 50) for n in range(600)]
        ks.put_many(pairs)
        scan, seen = ks.scan(), []
        try:
            for pair in scan:
                seen.append(pair)
                if len(seen) == 300:
                    {what}
        except (ClosedError, KeyspaceDroppedError):
            assert seen == pairs[:len(seen)]
        else:
            assert seen == pairs
        """,
    )


# Finalizers and weak references


def test_finalizers_that_use_the_database_whenever_the_collector_runs(path):
    check(
        path,
        """
        class Cyclic:
            count = 0
            def __init__(self): self.me = self
            def __del__(self):
                with contextlib.suppress(ClosedError):
                    Cyclic.count += 1
                    ks.put(b"finalized-%d" % (Cyclic.count % 50), b"x" * 100)
                    ks.get(b"1")
                    next(ks.scan(), None)
                    if Cyclic.count % 100 == 0:
                        db.snapshot().close()
        gc.set_threshold(2)
        for n in range(1500):
            Cyclic()
            ks.put(b"%d" % n, b"x" * 50)
            ks.get_many([b"%d" % m for m in range(5)])
            list(ks.scan(limit=3))
            comp.put((b"p", b"%d" % n), bytearray(b"value"))
            with db.snapshot() as s, db.batch() as b:
                b.put(ks, b"batched", b"")
                s.get(ks, b"1")
        assert Cyclic.count > 100
        gc.set_threshold(700)
        """,
    )


def test_temporary_buffers_whose_finalizer_uses_the_database(path):
    check(
        path,
        """
        class Loud(bytearray):
            def __del__(self):
                with contextlib.suppress(ClosedError):
                    ks.put(b"finalized", b"1")
        for n in range(200):
            ks.put(Loud(b"%d" % n), Loud(b"value"))
            ks.get(Loud(b"%d" % n))
            ks.put_many([(Loud(b"a"), Loud(b"b")) for _ in range(3)])
            ks.put_many((Loud(b"a"), Loud(b"b")) for _ in range(3))
            with db.batch() as b:
                b.put(ks, Loud(b"c"), Loud(b"d"))
        """,
    )


def test_scan_in_a_cycle_with_its_own_finalizer(path):
    check(
        path,
        """
        class Holder:
            def __del__(self):
                with contextlib.suppress(StopIteration, ClosedError):
                    next(self.scan)
                    self.snapshot.get(ks, b"1")
        ks.put_many([(b"%d" % n, b"x" * 50) for n in range(300)])
        for n in range(100):
            holder = Holder()
            holder.me, holder.scan, holder.snapshot = holder, ks.scan(), db.snapshot()
            next(holder.scan)
            ks.put(b"%d" % n, b"again")
        del holder
        gc.collect()
        db.compact()
        """,
    )


# Signals


def test_signal_handler_that_uses_the_database(path):
    check(
        path,
        """
        count = depth = 0
        def handler(number, frame):
            global count, depth
            if depth == 20:
                return  # on a slow disk the next alarm comes before this one is answered, again and again
            depth += 1
            count += 1
            ks.put(b"signal-%d" % (count % 100), b"x" * 50, sync=count % 50 == 0)
            next(ks.scan(), None)
            depth -= 1
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for n in range(3000):
            ks.put(b"%d" % (n % 500), b"x" * 100, sync=n % 100 == 0)
            if n % 300 == 0:
                db.flush()
                list(ks.scan())
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(list(ks.scan(stop=b"s"))) == 500
        """,
    )


def test_exceptions_out_of_signal_handlers_leave_the_database_whole(path):
    check(
        path,
        """
        class Alarm(Exception): pass
        armed = False
        def handler(number, frame):
            if armed:
                raise Alarm
        signal.signal(signal.SIGALRM, handler)
        acknowledged = alarms = n = 0
        while n < 4000 and alarms < 200:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                while n < 4000:
                    ks.put(b"%05d" % n, b"x" * 100, sync=n % 20 == 0)
                    acknowledged = n = n + 1
                    if n % 100 == 0:
                        db.flush()
                    if n % 500 == 0:
                        db.settle()
                armed = False  # an alarm that comes as late as this is still caught below
            except Alarm:
                alarms += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        db.close()
        db = lsm.open(path)
        assert len(db.keyspace("plain")) >= acknowledged
        """,
    )


# One object in several threads at once


def test_one_iterator_in_several_threads_gives_nothing_twice(path):
    check(
        path,
        """
        ks.put_many([(b"%05d" % n, b"x" * 100) for n in range(3000)])
        db.flush()
        scan, seen = ks.scan(values=False), []
        def work():
            while True:
                try:
                    seen.append(next(scan))
                except StopIteration:
                    return
                except BusyError:
                    continue
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert sorted(seen) == [b"%05d" % n for n in range(3000)]
        """,
    )


def test_iterators_snapshots_and_batches_closed_by_another_thread_while_in_use(path):
    check(
        path,
        """
        ks.put_many([(b"%05d" % n, b"x" * 100) for n in range(1000)])
        db.flush()
        sys.setswitchinterval(1e-5)
        for turn in range(40):
            snapshot, batch = db.snapshot(), db.batch()
            scan, other = ks.scan(), snapshot.scan(ks, reverse=True)
            batch.__enter__()
            def work():
                with contextlib.suppress(ClosedError, StopIteration, BusyError):
                    while True:
                        next(scan)
                        next(other)
                        snapshot.get(ks, b"00001")
                        batch.put(ks, b"batched", b"x")
            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads: thread.start()
            scan.close()
            snapshot.close()
            batch.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
            other.close()
            for thread in threads: thread.join()
        assert b"batched" not in ks
        """,
    )


# Objects made or copied in odd ways


def test_classes_called_by_hand_refuse_or_make_something_harmless(path):
    check(
        path,
        """
        ks.put(b"a", b"1")
        things = [db, ks, comp, ks.scan(), db.snapshot(), db.batch()]
        uses = [
            iter, next, len, repr, bool, hash, lambda t: t.close(), lambda t: t.get(b"k"), lambda t: t.put(b"k", b"v"),
            lambda t: t.put(ks, b"k", b"v"), lambda t: t.get(ks, b"k"), lambda t: list(t.scan()),
            lambda t: list(t.scan(ks)), lambda t: t.keyspace("x"), lambda t: t.stats(), lambda t: t.flush(),
            lambda t: t.snapshot(), lambda t: t.last_sequence, lambda t: t.__enter__(),
            lambda t: t.__exit__(None, None, None), lambda t: t.sequence, lambda t: t.delete(b"k"),
            lambda t: t.put_many([(b"k", b"v")]), lambda t: t.get_many([b"k"]), lambda t: t.approximate_count(),
        ]
        for thing in things:
            for make in (
                lambda: type(thing)(), lambda: type(thing)(db), lambda: type(thing)(None),
                lambda: type(thing)(db, "name"), lambda: type(thing).__new__(type(thing)),
                lambda: object.__new__(type(thing)),
                lambda: copy.copy(thing), lambda: copy.deepcopy(thing), lambda: pickle.loads(pickle.dumps(thing)),
            ):
                try:
                    made = make()
                except Exception:
                    continue
                for use in uses:
                    with contextlib.suppress(Exception):
                        use(made)
                with contextlib.suppress(Exception):
                    del made
        os._exit(print("done", flush=True) or 0)
        """,
    )


@pytest.mark.parametrize("thing", ["db", "ks", "ks.scan()", "db.snapshot()", "db.batch()"])
def test_pickling_is_refused(path, thing):
    check(
        path,
        f"""
        try:
            pickle.dumps({thing})
        except TypeError:
            pass
        else:
            raise AssertionError("pickled")
        """,
    )


def test_initializers_called_again_are_harmless(path):
    check(
        path,
        """
        ks.put(b"a", b"1")
        for thing in (db, ks, ks.scan(), db.snapshot(), db.batch()):
            for arguments in ((), (None,), (db,), (db, "x", 1)):
                with contextlib.suppress(Exception):
                    thing.__init__(*arguments)
                with contextlib.suppress(Exception):
                    repr(thing)
        os._exit(print("done", flush=True) or 0)
        """,
    )
