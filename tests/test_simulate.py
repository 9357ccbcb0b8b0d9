"""`lsm simulate`: the arithmetic of its workloads against real random ones, and its costs against the real engine."""

from __future__ import annotations

import bisect
import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

import lsm
from lsm.cli import main
from lsm.options import CompactionOptions, Options
from lsm.picker import NO_SNAPSHOT, pick
from lsm_tools.simulate_draw import plot, svg
from lsm_tools.simulate_run import Settings, Simulation, simulate
from lsm_tools.simulate_tables import RecordSize, Segment, cut, merged, table_of
from lsm_tools.simulate_workload import WORKLOADS

OPERATIONS, KEYS = 24_000, 6_000
TINY: dict[str, Any] = {
    "memtable_bytes": 128 << 10,
    "table_bytes": 128 << 10,
    "level_base_bytes": 512 << 10,
    "level_multiplier": 4,
}
TOLERANCE = 0.10


def operations(kind: str, count: int, keys: int, seed: int = 1) -> Iterator[tuple[int, bool]]:
    """A workload for real, as the docstrings of simulate_workload have it: (key, put or delete)."""
    chance = random.Random(seed)
    if kind == "timeseries":
        yield from ((key, True) for key in range(count))
        return
    first = list(range({"fill": count, "delete": count // 2}.get(kind, keys)))
    chance.shuffle(first)
    yield from ((key, True) for key in first)
    if kind == "delete":
        chance.shuffle(first)
        yield from ((key, False) for key in first)
    ranked = chance.sample(first, len(first))
    sums = list(itertools.accumulate(rank**-0.99 for rank in range(1, keys + 1)))
    new = itertools.count(keys)
    for _ in range(count - keys if kind in ("overwrite", "zipfian", "mixed") else 0):
        drawn = ranked[bisect.bisect_left(sums, chance.random() * sums[-1])]
        if kind == "overwrite":
            yield chance.randrange(keys), True
        elif kind == "zipfian":
            yield drawn, True
        else:
            draw = chance.random()
            yield (next(new), True) if draw < 0.5 else (drawn, draw < 0.9)


def scattered(key: int) -> int:
    return key * 0x9E3779B97F4A7C15 % 2**64


# The workloads


@pytest.mark.parametrize("kind", WORKLOADS)
@pytest.mark.parametrize(("start", "stop"), [(0, 1.0), (0.1, 0.2), (0.2, 0.7), (0.6, 0.9)])
def test_counts_are_those_of_the_same_workload_made_for_real(kind: str, start: float, stop: float) -> None:
    first, last = round(start * OPERATIONS), round(stop * OPERATIONS)
    newest = dict(list(operations(kind, OPERATIONS, KEYS))[first:last])
    counts = WORKLOADS[kind](OPERATIONS, KEYS).counts(0.0, 1.0, first, last)
    live = sum(newest.values())
    assert counts.live == pytest.approx(live, rel=0.04, abs=20)
    assert counts.tombstones == pytest.approx(len(newest) - live, rel=0.06, abs=20)


@pytest.mark.parametrize("kind", ["delete", "mixed"])
def test_cleaned_stretches_hold_no_old_tombstones(kind: str) -> None:
    workload = WORKLOADS[kind](OPERATIONS, KEYS)
    whole = workload.counts(0, 1, 0, OPERATIONS)
    half = workload.counts(0, 1, 0, OPERATIONS, OPERATIONS * 3 // 4)
    clean = workload.counts(0, 1, 0, OPERATIONS, OPERATIONS)
    assert clean.tombstones == 0 < half.tombstones < whole.tombstones
    assert clean.live == pytest.approx(half.live) == pytest.approx(whole.live)


# The tables


SIZE = RecordSize(16, 100)


def test_merging_loses_no_key_and_keeps_each_once() -> None:
    workload = WORKLOADS["overwrite"](OPERATIONS, KEYS)
    bounds = [0, 9000, 15000, 20000, OPERATIONS]
    tables = [table_of([Segment(0, 1, a, b)], workload, SIZE) for a, b in itertools.pairwise(bounds)]
    together = table_of(merged(tables, bottom=True), workload, SIZE)
    assert together.counts.live == pytest.approx(KEYS)
    assert sum(t.counts.live for t in tables) > KEYS


def test_merging_tables_of_different_ranges_keeps_each_part() -> None:
    workload = WORKLOADS["fill"](1000, 1)
    left, right = (table_of([Segment(*at, 0, 500)], workload, SIZE) for at in ((0.0, 0.3), (0.6, 1.0)))
    newer = table_of([Segment(0.2, 0.7, 500, 1000)], workload, SIZE)
    parts = merged([newer, left, right], bottom=False)
    assert [(p.low, p.high, p.start, p.stop) for p in parts] == [
        (0.0, 0.2, 0, 500),
        (0.2, 0.3, 0, 1000),
        (0.3, 0.6, 500, 1000),
        (0.6, 0.7, 0, 1000),
        (0.7, 1.0, 0, 500),
    ]


@pytest.mark.parametrize("kind", ["fill", "timeseries"])
def test_cutting_makes_tables_of_the_size_asked_for(kind: str) -> None:
    workload = WORKLOADS[kind](OPERATIONS, KEYS)
    tables = cut([Segment(0, 1, 0, OPERATIONS)], workload, SIZE, 100_000)
    assert all(t.stored == pytest.approx(100_000, rel=0.01) for t in tables[:-1])
    assert sum(t.counts.live for t in tables) == pytest.approx(OPERATIONS)
    assert all(a.span[1] == b.span[0] for a, b in itertools.pairwise(tables))


# The runs


def tiny(kind: str, **changes: object) -> Simulation:
    settings = {"compaction": Options(**TINY).compaction(), "freeze_bytes": Options(**TINY).freeze_bytes, **changes}
    return simulate(WORKLOADS[kind](OPERATIONS, KEYS), Settings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", WORKLOADS)
def test_when_all_is_written_and_compaction_done_the_picker_wants_nothing(kind: str) -> None:
    result = tiny(kind)
    assert pick(result.version, Options(**TINY).compaction()) is None
    live = WORKLOADS[kind](OPERATIONS, KEYS).counts(0, 1, 0, OPERATIONS, OPERATIONS).live
    assert sum(t.entries - t.tombstones for t in result.version.all_tables()) >= live * 0.99 - 1


def test_equal_settings_give_equal_results_and_another_seed_others() -> None:
    assert tiny("mixed") == tiny("mixed")
    assert tiny("mixed") != tiny("mixed", seed=2)


def test_a_slow_compaction_lets_level_0_grow_and_writers_wait() -> None:
    fast, slow = tiny("fill", compaction_rate=0), tiny("fill", compaction_rate=1e6)
    assert fast.peak_level0 <= Options(**TINY).level0_compaction_tables
    assert fast.slowed_seconds == fast.stopped_seconds == 0
    assert slow.peak_level0 > Options(**TINY).level0_slowdown_tables
    assert slow.slowed_seconds + slow.stopped_seconds > 0


def test_ascending_keys_are_only_moved() -> None:
    result = tiny("timeseries")
    assert (result.compactions, result.compaction_bytes_written) == (0, 0)
    assert result.moves > 0


def test_deleting_everything_leaves_hardly_a_byte() -> None:
    result = tiny("delete")
    assert result.samples[-1].stored_bytes < max(s.stored_bytes for s in result.samples) / 50


def test_ten_million_records_are_simulated_within_seconds_of_work() -> None:
    started = time.process_time()
    simulate(WORKLOADS["mixed"](10_000_000, 2_500_000), Settings())
    print(f"{time.process_time() - started:.2f} s")  # a figure, not a condition: the machine may be busy


# The engine


def idle(db: lsm.Database) -> bool:
    scheduler = db._scheduler
    assert scheduler is not None
    waiting = any(p[3] for p in db._store.engine.pending(NO_SNAPSHOT))
    return not waiting and scheduler.debt() == 0 and not scheduler.counters.running


def measured(kind: str) -> dict[str, float]:
    """The same workload through the engine, whose compaction is never behind."""
    source = random.Random(2)
    with lsm.open(":memory:", compression="none", **TINY) as db:
        keyspace = db.keyspace("k")
        for number, (key, put) in enumerate(operations(kind, OPERATIONS, KEYS)):
            name = b"%016x" % (key if kind == "timeseries" else scattered(key))
            if put:
                keyspace.put(name, source.randbytes(100))
            else:
                keyspace.delete(name)
            while number % 50 == 0 and not idle(db):
                time.sleep(0.0002)
        db.flush()
        while not idle(db):
            time.sleep(0.0002)
        facts = db.stats()
    return {
        "amplification": facts["write_amplification"],
        "flushed": facts["flush"]["bytes_written"],
        "tables": sum(level["bytes"] for level in facts["keyspaces"]["k"]["levels"]),
    }


@pytest.mark.parametrize("kind", WORKLOADS)
def test_write_amplification_is_the_engines_within_a_tenth(kind: str, never_quiet: None) -> None:
    real, model = measured(kind), tiny(kind, compaction_rate=0)
    assert model.write_amplification == pytest.approx(real["amplification"], rel=TOLERANCE)
    assert model.flush_bytes == pytest.approx(real["flushed"], rel=0.15)
    assert model.samples[-1].stored_bytes == pytest.approx(real["tables"], rel=0.2, abs=3000)


# The pictures and the command


def test_a_plot_shows_the_highest_value_of_each_stretch() -> None:
    lines = plot("x", [(0, 1.0), (50, 4.0), (51, 2.0), (100, None)], width=4, height=2)
    assert lines[0] == "x, at most 4.00"
    assert lines[1].endswith("│  ██")
    assert lines[2].endswith("│▄▄██")


def test_the_svg_is_well_formed_and_has_a_box_for_each_table() -> None:
    result = tiny("mixed")
    root = ElementTree.fromstring(svg("a < b", result, CompactionOptions()))
    titles = [e for e in root.iter() if e.tag.endswith("title")]
    assert len(titles) == result.version.table_count
    assert len([e for e in root.iter() if e.tag.endswith("polyline")]) >= 4


def test_the_command_prints_the_same_text_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "--records", "200000", "--memtable-bytes", "1MiB", "--workload", "zipfian", "--steps"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out == first
    assert "write amplification" in first
    assert "level 0 has too many tables" in first


def test_json_has_samples_levels_and_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--records", "200000", "--memtable-bytes", "1MiB", "--json", "--steps"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["samples"][-1]["write"] == pytest.approx(facts["write_amplification"])
    assert len(facts["steps"]) == facts["flushes"] + facts["compactions"] + facts["moves"]
    assert facts["levels"][0]["level"] == 0


def test_compare_prints_a_row_for_each_combination(capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["--compare", "level_multiplier=4,8", "--compare", "table_bytes=256KiB,1MiB,2MiB"]
    assert main(["simulate", "--records", "60000", "--memtable-bytes", "256KiB", *sets, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["level_multiplier"], r["table_bytes"] >> 18) for r in rows] == [
        (4, 1), (4, 4), (4, 8), (8, 1), (8, 4), (8, 8),
    ]  # fmt: skip
    assert main(["simulate", "--records", "60000", "--memtable-bytes", "256KiB", *sets]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 6


def test_the_svg_file_is_written(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "a.svg"
    assert main(["simulate", "--records", "100000", "--memtable-bytes", "1MiB", "--svg", str(place)]) == 0
    assert place.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "colour=1"], "'colour' is none of"),
        (["--compare", "keys=x"], "'x' is no number above 0"),
        (["--key-bytes", "200"], "--record-bytes 116 are less than --key-bytes 200"),
        (["--keys", "10", "--records", "5"], "--keys 10 are more than --records 5"),
        (["--stored-ratio", "0"], "--stored-ratio 0.0 is no positive number"),
        (["--memtable-bytes", "1KiB"], "flushes would take long"),
        (["--level-multiplier", "1"], "level_multiplier must be between"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments, message, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
