"""The checker of histories on histories made by hand, each with one thing wrong; then recordings of the engine."""

from __future__ import annotations

import pytest
from disk import PATIENCE_SECONDS
from model import scaled

from proof.histories import histories
from proof.history_check import check
from proof.history_record import History, Read, Write

A, B = ("one", b"a"), ("one", b"b")


def put(sequence, begin, end, place=A, value=None):
    return Write(0, begin, end, {place: value or b"%d" % (sequence or 0)}, sequence)


def get(begin, end, value, place=A, thread=1):
    return Read(thread, begin, end, {place: value})


def kinds(history: History) -> list[str]:
    return [violation.kind for violation in check(history)]


def history(writes, reads=(), **more) -> History:
    return History(0, list(writes), list(reads), **more)


def test_reads_that_commits_explain_are_no_violation():
    writes = [put(1, 0, 10), put(2, 20, 30), put(3, 25, 60)]
    reads = [get(5, 6, None), get(11, 12, b"1"), get(26, 27, b"2"), get(28, 40, b"3"), get(41, 42, b"3")]
    assert kinds(history(writes, reads)) == []


def test_a_read_beside_a_commit_may_see_it_or_not():
    for value in (None, b"1"):
        assert kinds(history([put(1, 0, 10)], [get(5, 6, value)])) == []


def test_a_missing_sequence_is_seen():
    assert kinds(history([put(1, 0, 1), put(3, 2, 3)])) == ["sequences"]


def test_a_sequence_given_twice_is_seen():
    assert "sequences" in kinds(history([put(1, 0, 9), put(1, 0, 9, B)]))


def test_sequences_against_real_time_are_seen():
    assert "commit order" in kinds(history([put(2, 0, 1), put(1, 2, 3)]))


def test_a_read_that_misses_an_ended_commit_is_stale():
    assert kinds(history([put(1, 0, 1), put(2, 2, 3)], [get(4, 5, b"1")])) == ["stale read"]


def test_a_read_that_goes_back_in_time_is_stale():
    """Both lie beside the commit, but the second began after the first had seen it."""
    reads = [get(12, 13, b"2", thread=1), get(14, 15, b"1", thread=2)]
    assert kinds(history([put(1, 0, 1), put(2, 10, 20)], reads)) == ["stale read"]


def test_a_read_back_in_time_is_seen_also_through_another_key():
    writes = [put(1, 0, 20), put(2, 10, 20, B)]
    reads = [get(12, 13, b"2", B), get(14, 15, None, A)]
    assert kinds(history(writes, reads)) == ["stale read"]


def test_a_read_of_a_commit_that_had_not_begun_is_seen():
    assert kinds(history([put(1, 10, 20)], [get(1, 2, b"1")])) == ["read of the future"]


def test_a_value_that_nobody_wrote_is_seen():
    assert kinds(history([put(1, 0, 1)], [get(2, 3, b"other")])) == ["torn read"]


def test_half_a_batch_in_a_scan_is_seen():
    batch = Write(0, 0, 10, {A: b"x", B: b"y"}, 1)
    torn = Read(1, 5, 6, {A: b"x"}, whole=(("one", None, None),), kind="scan")
    assert kinds(history([batch], [torn])) == ["torn read"]


def test_a_scan_of_two_moments_is_seen():
    writes = [put(1, 0, 1), put(2, 2, 3, B), put(3, 4, 50)]
    torn = Read(1, 5, 40, {A: b"3"}, whole=(("one", None, None),), kind="scan")
    assert kinds(history(writes, [torn])) == ["torn read"]


def test_a_key_that_a_scan_leaves_out_is_seen():
    scan = Read(1, 2, 3, {}, whole=(("one", b"a", b"b"),), kind="scan")
    assert kinds(history([put(1, 0, 1)], [scan])) == ["stale read"]


def test_a_key_outside_of_a_scans_bounds_may_be_left_out():
    scan = Read(1, 2, 3, {}, whole=(("one", b"b", None),), kind="scan")
    assert kinds(history([put(1, 0, 1)], [scan])) == []


@pytest.mark.parametrize("seen", [b"2", None])
def test_a_snapshot_that_sees_another_moment_is_seen(seen):
    read = Read(1, 6, 7, {A: seen}, sequence=1, kind="snapshot get")
    assert kinds(history([put(1, 0, 1), put(2, 2, 3)], [read])) == ["snapshot"]


def test_an_old_snapshot_may_be_read_late():
    read = Read(1, 6, 7, {A: b"1"}, sequence=1, kind="snapshot get")
    assert kinds(history([put(1, 0, 1), put(2, 2, 3)], [read])) == []


def test_a_snapshot_of_the_past_is_stale():
    made = Read(1, 6, 7, {}, sequence=1, kind="snapshot")
    assert kinds(history([put(1, 0, 1), put(2, 2, 3)], [made])) == ["stale read"]


def test_a_snapshot_of_the_future_is_seen():
    made = Read(1, 2, 3, {}, sequence=2, kind="snapshot")
    assert kinds(history([put(1, 0, 1), put(2, 4, 5)], [made])) == ["read of the future"]


def test_a_commit_after_a_snapshot_that_saw_it_is_seen():
    made = Read(1, 2, 3, {}, sequence=2, kind="snapshot")
    assert "commit order" in kinds(history([put(1, 0, 1), put(3, 1, 9), put(2, 4, 5)], [made]))


def test_a_lost_acknowledged_commit_is_seen_after_a_kill():
    lost = history([put(1, 0, 1), put(2, 2, 3)], recovered={A: b"1"}, recovered_sequence=1)
    assert kinds(lost) == ["recovery"]


def test_a_state_of_no_prefix_is_seen_after_a_kill():
    writes = [put(1, 0, 1), put(2, 2, 3, B)]
    assert kinds(history(writes, recovered={B: b"2"}, recovered_sequence=2)) == ["recovery"]


def test_half_a_recovered_batch_is_seen():
    batch = Write(0, 0, None, {A: b"x", B: b"y"})
    assert kinds(history([batch], recovered={A: b"x"}, recovered_sequence=1)) == ["recovery"]


@pytest.mark.parametrize(("recovered", "sequence"), [({}, 0), ({A: b"x"}, 1), ({B: b"y"}, 1), ({A: b"x", B: b"y"}, 2)])
def test_commits_under_way_at_a_kill_may_be_there_or_not(recovered, sequence):
    writes = [Write(0, 0, None, {A: b"x"}), Write(1, 0, None, {B: b"y"})]
    assert kinds(history(writes, recovered=recovered, recovered_sequence=sequence)) == []


def test_a_commit_that_was_seen_before_the_kill_must_be_there():
    writes = [Write(0, 0, None, {A: b"x"})]
    assert kinds(history(writes, [get(1, 2, b"x")], recovered={}, recovered_sequence=0)) != []


def test_more_recovered_commits_than_were_begun_are_seen():
    assert kinds(history([put(1, 0, 1)], recovered={A: b"1"}, recovered_sequence=2)) == ["sequences"]


def test_what_threads_saw_is_linearizable_also_through_kills(monkeypatch):
    monkeypatch.setattr("proof.histories.HUNG_SECONDS", PATIENCE_SECONDS)
    tally = histories(scaled(12), seed=1, operations=80)
    assert tally.violations == []
    assert tally.operations["scan"] > 0
    assert 0 < tally.killed < tally.histories
