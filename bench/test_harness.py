"""The harness itself: records are the same everywhere, engines agree, ratios and verdicts are what they say."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.child import Task
from bench.data import Data, zipfian_choices
from bench.engines import ENGINES, EngineInfo
from bench.engines.dictionary import Dictionary
from bench.goals import Verdict, judge
from bench.longfill import TENTHS, TITLES, run_long_fill
from bench.longfill_report import growth
from bench.measure import WrongAnswerError, run_group
from bench.progress import Progress
from bench.report import figure, table, times
from bench.results import Results
from bench.runner import plan, run_rounds
from bench.workloads import GROUPS, WORKLOADS, Group, State, load_for

RUN = {"command": "run", "engines": {}, "rounds": 1, "date": "", "python": "", "system": "", "processors": 1}


def results_of(records: int = 200_000, **medians: dict[str, float]) -> Results:
    results = Results(dict(RUN))
    for engine, rows in medians.items():
        results.add(records, engine, rows)
    return results


def test_the_same_seed_gives_the_same_records() -> None:
    assert Data(500).pairs == Data(500).pairs
    assert Data(500).zipfian("get", 100) == Data(500).zipfian("get", 100)
    assert Data(500, seed=2).keys != Data(500).keys


def test_keys_are_distinct_and_absent_keys_are_absent() -> None:
    data = Data(2_000)
    assert len(set(data.keys)) == 2_000
    assert not set(data.keys) & set(data.absent(2_000))


def test_a_key_keeps_its_value_in_every_order() -> None:
    data = Data(2_000)
    values = dict(data.pairs)
    refill = [pair for batch in data.batches(300, "refill") for pair in batch]
    assert refill != data.pairs
    assert dict(refill) == values
    assert all(values[key] == value for key, value in data.zipfian_pairs("puts", 500))


def test_zipfian_choices_favour_the_first() -> None:
    choices = zipfian_choices(random.Random(1), range(1_000), 10_000)
    assert choices.count(0) > 4 * choices.count(9) > 0


@pytest.mark.parametrize("size", [100, 1 << 10, 16 << 10, 7])
def test_values_have_the_size_asked_for(size: int) -> None:
    assert {len(value) for value in Data(50, size).values} == {size}


def test_every_engine_gives_the_same_answers(info: EngineInfo, tmp_path: Path) -> None:
    data = Data(3_000)
    engine = info.open(tmp_path / "database")
    try:
        load_for(State.LIVE, data).apply(engine)
        keys = data.present("look", 200) + data.absent(5)
        values = dict(data.pairs)
        assert [engine.get(key) for key in keys] == [values.get(key) for key in keys]
        assert engine.get_many(keys) == [values.get(key) for key in keys]
        if info.features:
            ordered = sorted(data.pairs)
            assert list(engine.scan()) == ordered
            assert engine.seek(ordered[70][0], 10) == ordered[70:80]
        engine.delete(data.keys[0])
        assert engine.get(data.keys[0]) is None
    finally:
        engine.close()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_group_runs_and_fills_its_rows(group: Group, tmp_path: Path) -> None:
    data = Data(group.records(2_000), group.value_bytes)
    samples = run_group(group, group.workloads, ENGINES["sqlite"], data, tmp_path / "database", lambda text: None)
    assert {workload.name for workload in group.workloads} <= samples.keys()
    assert all(value >= 0 for value in samples.values())


class Forgetful(Dictionary):
    """An engine that answers quickly and wrongly."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.get = lambda key: None


def test_an_engine_that_loses_records_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.engines.dictionary.Dictionary", Forgetful)
    with pytest.raises(WrongAnswerError, match="group 'put'"):
        run_group(GROUPS[0], GROUPS[0].workloads, ENGINES["dict"], Data(100), tmp_path, lambda text: None)


def test_the_long_fill_fills_its_rows(tmp_path: Path) -> None:
    samples = run_long_fill(ENGINES["sqlite"], Data(2_000), tmp_path / "database", lambda text: None)
    expected = TITLES.keys() - {"own_write_amplification", "write_amplification"}
    assert expected | {f"tenth_{tenth}" for tenth in range(1, TENTHS + 1)} <= samples.keys()


def test_the_ratio_is_to_the_better_peer() -> None:
    results = results_of(lsm={"put": 1.0}, leveldb={"put": 7.0}, rocksdb={"put": 4.0}, lmdb={"put": 0.5})
    judged = judge(results, 200_000, "put")
    assert judged is not None
    assert (judged.ratio, judged.better_peer, judged.verdict) == (4.0, "rocksdb", Verdict.LEAST)
    assert judged.lmdb_leads
    assert judged.to_lmdb == 0.5


@pytest.mark.parametrize(
    ("records", "peer", "verdict"),
    [
        (200_000, 3.0, Verdict.AIM),
        (1_000_000, 3.0, Verdict.LEAST),
        (1_000_000, 4.0, Verdict.AIM),
        (200_000, 2.9, Verdict.BELOW),
    ],
)
def test_goals_grow_with_the_store(records: int, peer: float, verdict: Verdict) -> None:
    judged = judge(results_of(records, lsm={"get": 1.0}, leveldb={"get": peer}), records, "get")
    assert judged is not None
    assert judged.verdict is verdict


def test_disk_must_not_exceed_either_peer_and_the_goal_is_rocksdb() -> None:
    judged = judge(results_of(lsm={"disk": 15.0}, leveldb={"disk": 20.0}, rocksdb={"disk": 16.0}), 200_000, "disk")
    assert judged is not None
    assert judged.verdict is Verdict.AIM
    judged = judge(results_of(lsm={"disk": 17.0}, leveldb={"disk": 20.0}, rocksdb={"disk": 16.0}), 200_000, "disk")
    assert judged is not None
    assert judged.verdict is Verdict.BELOW


def test_growth_compares_the_largest_count_with_the_others() -> None:
    results = results_of(200_000, lsm={"fill": 1.0}, leveldb={"fill": 6.0})
    results.add(1_000_000, "lsm", {"fill": 1.2})
    results.add(1_000_000, "leveldb", {"fill": 6.0})
    results.add(5_000_000, "lsm", {"fill": 2.4, "first_tenth": 1.0, "last_tenth": 1.2})
    results.add(5_000_000, "leveldb", {"fill": 6.0})
    lines = growth(results).splitlines()
    verdicts = {line.split("|")[1].strip(): line.split("|")[4].strip() for line in lines if line.startswith("| ")}
    assert verdicts["time of the last tenth to the first"] == "ok"
    assert verdicts["ratio at 5,000,000 to ratio at 1,000,000: put, one call each"] == "BELOW"
    assert verdicts["time at 5,000,000 to time at 200,000: put, one call each"] == "ABOVE"


def test_a_saved_run_is_read_back(tmp_path: Path) -> None:
    results = results_of(lsm={"put": 1.0})
    results.add(200_000, "lsm", {"put": 3.0})
    results.failures.append("it rained")
    results.save(tmp_path / "run.json")
    loaded = Results.load(tmp_path / "run.json")
    assert loaded.samples == results.samples
    assert loaded.median(200_000, "lsm", "put") == 2.0
    assert loaded.failures == ["it rained"]


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text(json.dumps([1]))
    with pytest.raises(SystemExit) as ended:
        main(["show", str(tmp_path / "other.json")])
    assert ended.value.code == 2
    assert "not a run saved by" in capsys.readouterr().err


def test_slow_engines_stop_at_their_limit_unless_named() -> None:
    engines = {task.engine for task in plan([1_000_000], list(ENGINES), None, named=False)}
    assert engines == {"lsm", "leveldb", "rocksdb", "lmdb"}
    assert {task.engine for task in plan([1_000_000], ["sqlite"], ["put"], named=True)} == {"sqlite"}


def test_a_child_runs_the_task_and_a_failing_one_is_noted(tmp_path: Path) -> None:
    results = Results(dict(RUN))
    tasks = [Task("sqlite", "put", 1_000, ["put"]), Task("sqlite", "no such group", 1_000)]
    run_rounds(tasks, 2, results, tmp_path)
    assert len(results.samples[1_000, "sqlite", "put"]) == 2
    assert len(results.failures) == 2
    assert "no such group" in results.failures[0]
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_workload_and_engine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*WORKLOADS, *ENGINES))


def test_progress_off_a_terminal_is_a_line_per_step() -> None:
    stream = io.StringIO()
    progress = Progress(2, stream)
    for label in ("one", "two"):
        progress.begin(label)
        progress.note("busy")
        progress.end()
    assert [line.split(" (")[0] for line in stream.getvalue().splitlines()] == ["[1/2] one", "[2/2] two"]


def test_figures_are_short_and_tables_are_markdown() -> None:
    assert [figure(value) for value in (None, 0.123, 12.34, 12_345.6)] == ["-", "0.12", "12.3", "12,346"]
    assert [times(value) for value in (None, 6.0, 0.004, 2.5, 123.4)] == ["-", "6x", "0.00x", "2.50x", "123.4x"]
    assert table(["", "a"], [["x", "10"]]).splitlines() == ["|   |  a |", "|---|---:|", "| x | 10 |"]
