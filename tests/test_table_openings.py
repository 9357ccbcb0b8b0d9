"""Tables are opened several at a time, large ones by several threads: all of them, or an error and none."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from children import assert_quiet, run
from disk import table_count

import lsm
from lsm import store
from lsm.errors import ClosedError, CorruptionError

TABLES = 40
CALM: dict[str, Any] = {"level0_compaction_tables": 64, "level0_slowdown_tables": 80, "level0_stop_tables": 100}
CONTENT = [(b"%04d" % n, b"value %d" % n) for n in range(TABLES)]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A closed database of forty tables, which count as large from here on."""
    place = tmp_path / "data"
    with lsm.open(place, **CALM) as db:
        ks = db.keyspace("k")
        for key, value in CONTENT:
            ks.put(key, value)
            db.flush()
    assert table_count(place) == TABLES
    monkeypatch.setattr(store, "SHARED_FROM_BYTES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    return place


def open_files(path: Path) -> list[str]:
    """Files of this directory that this process has open. Linux only."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [name for name in found if name.startswith(f"{path}/")]


@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"max_open_files": 16}])
def test_all_are_opened(path, options):
    with lsm.open(path, **options) as db:
        assert list(db.keyspace("k").items()) == CONTENT


def test_of_several_damaged_ones_one_is_named_and_none_stays_open(path):
    damaged = sorted(path.glob("*.table"))[3::7]
    for table in damaged:
        os.truncate(table, table.stat().st_size - 1)
    with pytest.raises(CorruptionError) as caught:
        lsm.open(path)
    assert str(caught.value.path) in map(str, damaged)
    if os.path.isdir("/proc/self/fd"):
        assert open_files(path) == []


def test_a_missing_one_is_corruption(path):
    missing = sorted(path.glob("*.table"))[20]
    missing.unlink()
    with pytest.raises(CorruptionError) as caught:
        lsm.open(path)
    assert caught.value.path == str(missing)


def test_an_engine_that_was_shut_opens_none(path):
    db = lsm.open(path, **CALM)
    tables, engine = sorted(path.glob("*.table"))[:3], db._store.engine
    db.close()
    with pytest.raises(ClosedError):
        engine.open_tables([str(table) for table in tables], [int(table.stem) for table in tables], 2)
    gc.collect()


def test_openings_at_once_keep_no_more_files_open_than_they_may(path):
    """Each sees the same room for open files when it begins."""
    files = sorted(path.glob("*.table"))
    tables, numbers = [str(file) for file in files], [int(file.stem) for file in files]
    with lsm.open(path, max_open_files=TABLES + 8, **CALM) as db:
        engine, held = db._store.engine, []

        def open_more() -> None:
            held.extend(engine.open_tables(tables, numbers, 2))

        for _ in range(5):
            threads = [threading.Thread(target=open_more) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert engine.counters()["open_handles"] <= TABLES + 8
        assert len(held) == 20 * TABLES
        assert list(db.keyspace("k").items()) == CONTENT
        held.clear()


LIMITED = """
import os, resource, sys
import lsm
from lsm import store
store.SHARED_FROM_BYTES = 0
taken = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for _ in range(24):
    os.close(taken.pop())
with lsm.open(sys.argv[1], max_open_files=16) as db:
    assert len(list(db.keyspace("k").scan())) == 40
"""


def test_few_descriptors_are_enough(path):
    """Sixteen for tables, as the option says, and a few for all else."""
    assert_quiet(run(LIMITED, path))


def test_a_reader_whose_tables_a_writer_took_away_is_not_told_of_corruption(path, monkeypatch):
    """Each attempt finds that tables it read of are gone, and the manifest another."""
    monkeypatch.setattr(store, "OPEN_ATTEMPTS", 2)
    build = store.Store._build
    with lsm.open(path, **CALM) as writer:

        def overtaken(self, version):
            if self.options.read_only:
                writer.keyspace("k").put(b"k", b"v")
                writer.compact()
            build(self, version)

        monkeypatch.setattr(store.Store, "_build", overtaken)
        with pytest.raises(lsm.FileError) as caught:
            lsm.open(path, read_only=True)
        assert caught.value.errno == errno.EAGAIN
