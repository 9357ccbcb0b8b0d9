"""`lsm demo`: what it leaves behind, what it tells; and the text of its tables and its progress bar."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

import lsm
import lsm.dynamodb
from lsm import report
from lsm.cli import main
from lsm.demo import run_demo
from lsm.errors import Error
from lsm.progress import Progress, duration
from lsm.unicode import assigned, character_of

LAST = 0x2FFF
"""Of the code points that the tests load: enough for every step, few enough for a second."""


@pytest.fixture
def facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    run_demo(str(tmp_path / "db"), as_json=True, last=LAST, reads=1000)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_demo_keeps_a_database_that_it_was_given_a_path_for(facts: dict[str, Any], tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db") as db:
        assert {"by-category", "characters", "names"} <= set(db.keyspaces())
        character = json.loads(db.keyspace("characters")[b"0000BD"])
        assert character["name"] == "VULGAR FRACTION ONE HALF"
        assert character["numeric"] == 0.5
        assert db.keyspace("names")[b"SNOWMAN"] == b"002603"
        first = next(iter(db.keyspace("by-category").scan(partition=b"Lu")))
        assert first == ((b"Lu", b"000041"), b"LATIN CAPITAL LETTER A")


def test_every_character_is_loaded_once(facts: dict[str, Any], tmp_path: Path) -> None:
    points = assigned(LAST)
    assert facts["write"]["characters"] == len(points)
    with lsm.open(tmp_path / "db") as db:
        for keyspace in ("characters", "by-category", "names"):
            assert sum(1 for _ in db.keyspace(keyspace).scan(values=False)) == len(points)


def test_the_demo_leaves_a_dynamodb_table(facts: dict[str, Any], tmp_path: Path) -> None:
    with lsm.dynamodb.connect(tmp_path / "db") as db:
        client = db.client()
        table = client.describe_table(TableName="UnicodeCharacters")["Table"]
        assert table["GlobalSecondaryIndexes"][0]["IndexName"] == "by-bidirectional-class"
        found = client.get_item(
            TableName="UnicodeCharacters", Key={"category": {"S": "So"}, "codepoint": {"N": str(0x2603)}}
        )
        assert found["Item"]["name"] == {"S": "SNOWMAN"}
        assert client.scan(TableName="UnicodeCharacters", Select="COUNT")["ScannedCount"] > 1000
    assert facts["dynamodb"]["items"] == len(assigned(LAST))
    assert facts["dynamodb"]["greek"][0] == "Α"  # noqa: RUF001


def test_the_demo_tells_what_it_found(facts: dict[str, Any]) -> None:
    assert facts["kept"] is True
    assert facts["write"]["unicode"] == unicodedata.unidata_version
    assert facts["known"]["€"]["name"] == "EURO SIGN"
    assert facts["random"]["present"]["count"] == 1000
    assert facts["scans"]["arrows"] == 112
    assert facts["scans"]["snow"] == ["❄ SNOWFLAKE", "☃ SNOWMAN", "⛄ SNOWMAN WITHOUT SNOW"]
    assert facts["collection"]["greek"][:3] == ["Α", "Β", "Γ"]  # noqa: RUF001
    assert facts["snapshot"] == {"snapshot": "10FFFD", "current": "overwritten"}
    assert facts["stats"]["keyspaces"].keys() == {"by-category", "characters", "names"}


def test_the_demo_prints_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_demo(str(tmp_path / "db"), last=LAST, reads=1000)
    out, err = capsys.readouterr()
    assert err == ""
    for expected in ("Written", "U+20AC  €", "SNOWMAN", "Scans", "An atomic batch", "How it lies on disk", "lsm stats"):
        assert expected in out
    assert not [line for line in out.splitlines() if line != line.rstrip()]


def test_without_a_path_nothing_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_demo(None, last=0x7F, reads=10)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_database_is_kept_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_demo(None, keep=True, last=0x7F, reads=10)
    (directory,) = tmp_path.iterdir()
    assert str(directory) in capsys.readouterr().out
    with lsm.open(directory) as db:
        assert db.keyspace("names")[b"DIGIT ONE"] == b"000031"


def test_the_demo_refuses_a_path_that_holds_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert main(["demo", str(tmp_path)]) == 1
    message = f"lsm: {tmp_path} exists already; name a directory that does not, the demo makes it\n"
    assert capsys.readouterr().err == message
    with pytest.raises(Error, match="name a directory"):
        run_demo(":memory:")


def test_control_characters_are_named_by_their_code_point() -> None:
    assert character_of(9).name == b"<control-0009>"


def test_names_are_unique() -> None:
    points = assigned(LAST)
    assert len({character_of(point).name for point in points}) == len(points)


# text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")]
)
def test_amounts_are_given_in_the_unit_that_fits(size: int, text: str) -> None:
    assert report.amount(size) == text


def test_columns_are_aligned() -> None:
    assert report.columns([["a", "1", "x"], ["long", "22", ""]], left=1) == ["  a      1  x", "  long  22"]


def test_stats_that_lack_members_are_described_all_the_same() -> None:
    assert report.describe({}) == ["", "no keyspaces"]
    assert report.describe({"keyspaces": {"k": {}}})[2].startswith("k ")


def test_levels_of_a_keyspace_are_summed_up() -> None:
    level = {"tables": 2, "entries": 1000, "tombstones": 1, "bytes": 1 << 20, "raw_bytes": 3 << 20}
    levels = [level | {"level": 0}, level | {"level": 1}]
    keyspace = {"partitions": 4, "composite": True, "memtable_bytes": 0, "levels": levels}
    lines = report.describe({"keyspaces": {"orders": keyspace}})
    assert lines[-1].split() == ["all", "4", "2,000", "2", "6.0", "MiB", "2.0", "MiB", "3.00x"]
    assert lines[-2].split()[:4] == ["composite,", "4", "partitions", "level"]


def test_a_sequence_is_told_as_epoch_and_commits() -> None:
    last = (3 << report.COUNTER_BITS) + 1500
    lines = report.describe({"sequence": {"last": last, "durable": last - 1}})
    assert lines[0] == "commits  1,500 in epoch 3, 1 commit not yet durable"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (85, "1:25"), (3725, "1:02:05")])
def test_durations_are_written_as_clocks_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_progress_bar_ends_at_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    with Progress("loading", total=200, stream=stream, enabled=True) as bar:
        bar.update(100, 50)
        bar.update(200, 1_234_567)
    first, last = stream.getvalue().split("\r")[1], stream.getvalue().split("\r")[-1]
    assert " 50% " in first
    assert "100%  1,234,567 records" in last
    assert last.endswith("\n")
    assert all(len(line) < 80 for line in stream.getvalue().removesuffix("\n").split("\r"))


def test_a_progress_bar_needs_no_total() -> None:
    stream = io.StringIO()
    with Progress("loading", total=None, stream=stream, enabled=True) as bar:
        bar.update(100, 50)
    assert "50 records" in stream.getvalue()
    assert "%" not in stream.getvalue()


def test_a_progress_bar_that_is_not_enabled_is_silent() -> None:
    stream = io.StringIO()
    with Progress("loading", total=1, stream=stream) as bar:
        bar.update(1, 1)
    assert stream.getvalue() == ""


def test_a_progress_bar_keeps_to_what_its_stream_can_show() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    with Progress("loading", total=1, stream=stream, enabled=True) as bar:
        bar.update(1, 1)
    assert b"###" in stream.buffer.getvalue()
