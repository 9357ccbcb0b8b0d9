"""One failing call, in another place each time: nothing acknowledged is lost, and nobody sees an interrupted one."""

from __future__ import annotations

import errno
import time
from random import Random

import pytest

import lsm
from lsm.simulated_files import SimulatedFileSystem
from proof.faults import Fault, Tally, faults_of, history, plan, try_fault
from proof.sweep_invariants import BrokenError

SECONDS = 8


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr("proof.faults.LIMIT_SECONDS", 300)


def test_no_fault_loses_what_was_acknowledged():
    tally, seed = Tally(), 5000
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or not tally.raised:
        history(seed, 0.1, max(until, time.monotonic() + 1), tally)
        seed += 1
    assert tally.broken == []
    assert tally.raised > 0


@pytest.mark.parametrize("os_error", [errno.EINTR, 0])
def test_interrupted_calls_and_short_transfers_are_invisible(os_error):
    known = plan(5)
    for kind in ("read", "write"):
        for nth in range(1, known.calls[kind] + 1, 1 + known.calls[kind] // 10):
            assert try_fault(known, Fault(kind, nth, os_error)) is False


def test_all_kinds_of_calls_are_made_to_fail():
    kinds = {fault.kind for fault in faults_of(plan(6), Random(0), 1.0)}
    assert {"open", "read", "write", "sync", "sync_dir", "rename", "allocate"} <= kinds


def test_a_commit_that_is_gone_is_noticed():
    known = plan(7)
    known.model.commits.pop()
    known.model.prints.pop()
    with pytest.raises((BrokenError, AssertionError, IndexError)):
        try_fault(known, Fault("write", 10_000, errno.EIO))


def test_a_manifest_that_cannot_be_synced_stops_writers_and_the_close_ends():
    """Dropping a keyspace failed in the middle: the close flushed its memtable for ever."""
    files = SimulatedFileSystem()
    with lsm.open("/db", files=files, memtable_bytes=1 << 16) as db:
        gone, other = db.keyspace("gone"), db.keyspace("other")
        gone.put(b"k", b"v" * 5000)
        files.fail("sync", 2, errno.EIO)  # the log's sync of the drop passes, the manifest's fails
        with pytest.raises(lsm.Error):
            db.drop_keyspace("gone")
        files.heal()
        with pytest.raises(lsm.PoisonedError):
            other.put(b"k", b"v")
        assert other.get(b"k") is None
    with lsm.open("/db", files=files) as db:
        assert db.keyspaces() in (["other"], ["gone", "other"])
