"""`lsm compact`: what it merges and what it leaves, other compression, kills and Ctrl-C at any time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import environment
from model import scaled

import lsm
from lsm.cli import main
from lsm.options import CompactionOptions
from lsm.posix_files import PosixFileSystem
from lsm.table_doors import TableReader
from lsm.version import PartitionVersion, TableAdded, TableMeta, VersionEdit
from lsm_tools.compact_plan import Request, next_task, scope

FS = PosixFileSystem()
SMALL: dict[str, Any] = {
    "memtable_bytes": 32 << 10,
    "table_bytes": 8 << 10,
    "level_base_bytes": 16 << 10,
    "level_multiplier": 4,
    "flush_on_close_bytes": 1,
}
OPTIONS = CompactionOptions(table_bytes=1000, level_base_bytes=4000, level_multiplier=8)
Content = dict[str, dict[bytes, bytes]]


def record(number: int, chance: random.Random) -> bytes:
    name = chance.choice(["Ann", "Ben", "Carl", "Dora"])
    return json.dumps({"id": number, "name": name, "active": True, "tags": ["a", "b"]}).encode()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def content(place: Path, never_quiet: None) -> Content:
    """Two keyspaces over several levels, with overwritten and deleted records; what each of them holds."""
    chance = random.Random(1)
    found: Content = {"users": {}, "events": {}}
    with lsm.open(place, **SMALL) as db:
        for name, held in found.items():
            keyspace = db.keyspace(name)
            for number in range(6000):
                key = b"%06d" % chance.randrange(4000)
                if chance.random() < 0.1:
                    keyspace.delete(key)
                    held.pop(key, None)
                else:
                    held[key] = record(number, chance)
                    keyspace.put(key, held[key])
        db.flush()
        # however far the background came: all that is to lie in deeper levels does, and the last records above them
        db.settle()
        for name, held in found.items():
            key = min(held)
            held[key] = record(0, chance)
            db.keyspace(name).put(key, held[key])
    return found


Compact = Callable[..., dict[str, Any]]


@pytest.fixture
def compact(place: Path, capsys: pytest.CaptureFixture[str]) -> Compact:
    """Runs the command, with small tables, and gives back what --json says."""

    def run(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["compact", str(place), "--table-bytes", str(SMALL["table_bytes"]), "--json", *arguments]) == 0
        facts: dict[str, Any] = json.loads(capsys.readouterr().out)
        return facts

    return run


def assert_holds(place: Path, content: Content) -> None:
    with lsm.open(place, read_only=True) as db:
        for name, held in content.items():
            assert dict(db.keyspace(name).scan()) == held
            assert db.keyspace(name).get_many(list(held)) == list(held.values())


def codecs(place: Path) -> set[str]:
    """Of all blocks of all tables."""
    return {row[3] for file in place.glob("*.table") for row in TableReader(FS, file, int(file.stem)).blocks()}


def files(place: Path) -> set[str]:
    return {file.name for file in place.glob("*.table")}


def levels(place: Path, keyspace: str) -> dict[int, set[str]]:
    with lsm.open(place, read_only=True) as db:
        (version,) = (k for k in db._store.version.keyspaces.values() if k.name == keyspace)
        (partition,) = version.partitions
    return {n: {f"{t.number:06}" for t in tables} for n, tables in enumerate(partition.levels) if tables}


# Plans


def table(number: int, keys: str = "az", size: int = 1000, **more: int) -> TableMeta:
    return TableMeta(number, size, 10, more.pop("tombstones", 0), size, number, number, 0, 0, keys[0].encode(),
                     keys[1].encode(), **more)  # type: ignore[arg-type]  # fmt: skip


def partition(*levels: list[TableMeta]) -> PartitionVersion:
    edit = VersionEdit(added=tuple(TableAdded(1, 0, level, t) for level, ts in enumerate(levels) for t in ts))
    return PartitionVersion(1, 0).apply(edit)


def chosen(version: PartitionVersion, request: Request) -> tuple[dict[int, list[int]], int] | None:
    task = next_task(version, OPTIONS, request)
    if task is None:
        return None
    return {level: [t.number for t in tables] for level, tables in task.inputs}, task.output_level


def test_everything_goes_into_the_deepest_level() -> None:
    version = partition([table(9), table(8)], [table(5, "ac")], [table(1, "ac"), table(2, "df")])
    assert chosen(version, Request()) == ({0: [9, 8], 1: [5], 2: [1, 2]}, 2)


def test_what_is_compact_is_left_alone() -> None:
    assert chosen(partition([], [], [table(1, "ac"), table(2, "df")]), Request()) is None


def test_garbage_in_the_only_level_is_cleaned_where_it_is() -> None:
    version = partition([], [], [table(1, "ac"), table(2, "df", tombstones=1), table(3, "gi")])
    assert chosen(version, Request()) == ({2: [2]}, 2)


def test_settings_write_everything_anew_in_groups() -> None:
    tables = [table(n, f"{chr(97 + 2 * n)}{chr(98 + 2 * n)}") for n in range(10)]
    version = partition([], tables)
    assert chosen(version, Request(rewrite=True)) == ({1: list(range(8))}, 1)
    assert chosen(version, Request(rewrite=True, since=0)) is None
    assert chosen(version, Request(rewrite=True, since=2)) == ({1: [0, 1]}, 1)


def test_a_range_goes_down_level_by_level_and_leaves_the_rest() -> None:
    version = partition([], [table(5, "ac"), table(6, "gi")], [table(1, "ac"), table(2, "df"), table(3, "gi")])
    assert chosen(version, Request(b"a", b"b")) == ({1: [5], 2: [1]}, 2)
    assert chosen(version, Request(b"d", b"e")) is None
    assert chosen(version, Request(b"d", b"e", rewrite=True)) == ({2: [2]}, 2)
    assert {t.number for t in scope(version, Request(b"d", b"h"))} == {2, 3, 6}


def test_a_range_takes_older_tables_of_level_0_that_overlap_it_along() -> None:
    version = partition([table(9, "ae"), table(8, "df"), table(7, "xz")], [table(1, "ac"), table(2, "xy")])
    assert chosen(version, Request(b"a", b"c")) == ({0: [9, 8], 1: [1]}, 1)


def test_levels_are_written_where_they_are() -> None:
    version = partition([table(9), table(8)], [table(5, "ac")], [table(1, "ac"), table(2, "df")])
    assert chosen(version, Request(levels=frozenset({2}))) == ({2: [1, 2]}, 2)
    assert chosen(version, Request(levels=frozenset({0}))) == ({0: [9, 8]}, 0)
    assert chosen(version, Request(levels=frozenset({1, 2}), since=5)) == ({2: [1, 2]}, 2)


# Whole databases


def test_a_full_compaction_keeps_everything_and_takes_less_space(place, content, compact) -> None:
    facts = compact()
    assert_holds(place, content)
    assert facts["complete"]
    assert facts["after"]["bytes"] < facts["before"]["bytes"]
    for name, held in content.items():
        after = facts["after"]["keyspaces"][name]
        assert (after["entries"], after["tombstones"]) == (len(held), 0)
        assert len(after["levels"]) == 1
        assert len(facts["before"]["keyspaces"][name]["levels"]) > 1
    assert facts["after"]["bytes"] == sum(file.stat().st_size for file in place.glob("*.table"))


def test_a_second_run_writes_nothing(place, content, compact) -> None:
    compact()
    before = files(place)
    facts = compact()
    assert (facts["steps"], facts["bytes_written"]) == (0, 0)
    assert files(place) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--compression", "none"), {"none"}),
        (("--compression", "zstd", "--dictionary", "none"), {"zstd", "none"}),
        (("--compression", "zstd", "--dictionary", "train"), {"zstd-dictionary", "none"}),
        (("--zstd-level", "19"), {"zstd", "zstd-dictionary", "none"}),
    ],
)
def test_compression_changes_to_what_was_asked_for_and_back(place, content, compact, arguments, expected) -> None:
    compact()
    before = files(place)
    compact(*arguments)
    assert codecs(place) <= expected
    assert files(place).isdisjoint(before)
    assert_holds(place, content)
    compact("--compression", "lz4")
    assert codecs(place) <= {"lz4", "none"}
    assert_holds(place, content)


def test_a_higher_zstd_level_makes_smaller_tables(place, content, compact) -> None:
    fast = compact("--compression", "zstd", "--zstd-level", "1", "--dictionary", "none")
    small = compact("--compression", "zstd", "--zstd-level", "19", "--dictionary", "none")
    assert small["after"]["bytes"] < fast["after"]["bytes"]


def test_one_keyspace_alone_leaves_the_others_as_they_are(place, content, compact) -> None:
    before = levels(place, "events")
    facts = compact("-k", "users", "--compression", "none")
    assert levels(place, "events") == before
    assert facts["after"]["keyspaces"].keys() == {"users"}
    assert_holds(place, content)


def test_a_range_leaves_the_tables_beside_it_as_they_are(place, content, compact) -> None:
    compact()
    before = files(place)
    compact("-k", "users", "--start", "001000", "--stop", "001100", "--compression", "none")
    kept = files(place) & before
    assert len(before) - len(kept) in range(1, 4)
    assert_holds(place, content)
    assert "none" in codecs(place)


def test_a_level_is_written_anew_where_it_is_and_no_other(place, content, compact) -> None:
    before = levels(place, "users")
    deepest = max(before)
    compact("-k", "users", "--level", str(deepest), "--compression", "none")
    after = levels(place, "users")
    assert {n: after[n] for n in after if n != deepest} == {n: before[n] for n in before if n != deepest}
    assert after[deepest].isdisjoint(before[deepest])
    assert_holds(place, content)


def test_level_0_is_merged_into_one_table(place, content, compact) -> None:
    with lsm.open(
        place, **SMALL, level0_compaction_tables=1000, level0_slowdown_tables=1000, level0_stop_tables=1000
    ) as db:
        for _ in range(3):
            db.keyspace("users").put(b"000001", b"x")
            db.flush()
    content["users"][b"000001"] = b"x"
    compact("--level", "0", "-k", "users")
    assert len(levels(place, "users")[0]) == 1
    assert_holds(place, content)


def test_what_is_only_in_the_log_is_compacted_too(place, compact) -> None:
    with lsm.open(place) as db:
        db.keyspace("users").put_many([(b"%d" % n, b"v") for n in range(100)])
    assert not files(place)
    assert compact()["after"]["keyspaces"]["users"]["entries"] == 100


def test_the_settings_of_one_run_stay_with_its_tables_until_they_are_merged(place, content, compact) -> None:
    compact("--compression", "zstd", "--dictionary", "train")
    with lsm.open(place, **SMALL) as db:
        db.compact()
        db.settle()
    assert codecs(place) <= {"zstd-dictionary", "none"}
    with lsm.open(place, **SMALL, compression="lz4") as db:
        for name, held in content.items():
            for key in held:
                held[key] = b"new"
            db.keyspace(name).put_many(list(held.items()))
        db.compact()
    assert codecs(place) <= {"lz4", "none"}
    assert_holds(place, content)


def test_a_program_with_the_same_options_goes_on_as_the_tool_began(place, content, compact) -> None:
    compact("--compression", "zstd", "--dictionary", "train")
    with lsm.open(place, **SMALL, compression="zstd", zstd_dictionary="train") as db:
        db.keyspace("users").put_many([(key, value + b" ") for key, value in content["users"].items()])
        db.compact()
    assert codecs(place) <= {"zstd-dictionary", "none"}


# Faults of usage


def test_an_open_database_is_refused_with_the_holders_pid(place, content, capsys) -> None:
    with lsm.open(place):
        assert main(["compact", str(place)]) == 1
    err = capsys.readouterr().err
    assert str(os.getpid()) in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "a"], "name it with --keyspace"),
        (["-k", "users", "--start", "a", "--level", "1"], "--level does not go with --start"),
        (["-k", "absent"], "no keyspace 'absent': there is 'events', 'users'"),
        (["--compression", "lz4", "--zstd-level", "3"], "has neither level nor dictionary"),
        (["--compression", "zstd", "--level", "0"], "level 0 is never zstd"),
        (["-k", "users", "--start", "xyz", "--keys-as", "hex"], "'xyz' is"),
        (["--block-bytes", "1"], "block_bytes must be between"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_changes_nothing(place, content, capsys, arguments, message) -> None:
    before = files(place)
    assert main(["compact", str(place), *arguments]) in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert files(place) == before


def test_a_range_of_a_composite_keyspace_is_refused(place, capsys) -> None:
    with lsm.open(place) as db:
        db.keyspace("c", composite=True).put((b"p", b"s"), b"v")
    assert main(["compact", str(place), "-k", "c", "--start", "a"]) == 1
    assert "hash order" in capsys.readouterr().err


def test_the_text_sets_before_and_after_side_by_side(place, content, capsys) -> None:
    assert main(["compact", str(place), "--progress"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["keyspace", "level", "tables", "entries", "raw", "stored", "ratio", "codec"]
    assert any(line.startswith("after") and " users " in line for line in lines)
    assert " -> " in lines[-1]
    assert "100%" in err


# Ends that nobody asked for


def started(place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lsm", "compact", str(place), "--table-bytes", "8192", "--progress", *arguments]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


ROUNDS = (
    ("--compression", "zstd", "--zstd-level", "19"),
    ("--compression", "lz4"),
    ("-k", "users", "--start", "000500", "--stop", "003000", "--compression", "none"),
    ("--level", "1", "--level", "2", "--dictionary", "train"),
)


def wait_for_work(child: subprocess.Popen[bytes], place: Path, before: set[str]) -> None:
    """Until it has written a file, or has ended."""
    while child.poll() is None and not files(place) - before:
        time.sleep(0.001)


@pytest.mark.parametrize("arguments", ROUNDS, ids=" ".join)
def test_killed_at_any_time_the_database_has_everything(place, content, compact, arguments) -> None:
    chance = random.Random(" ".join(arguments))
    longest, kills = 0.15, 0
    while kills < scaled(2):
        before = files(place)
        child = started(place, *arguments)
        if longest:
            wait_for_work(child, place, before)
        time.sleep(chance.random() * longest)
        child.kill()
        if child.wait() == -signal.SIGKILL:
            kills += 1
        else:
            # it had ended: the sooner the next, at last before it could begin
            longest = longest / 2 if longest > 0.001 else 0.0
        child.communicate()
        assert_holds(place, content)
    compact(*arguments)
    assert_holds(place, content)


def test_ctrl_c_ends_it_cleanly_and_the_next_run_goes_on(place, content, compact) -> None:
    before = files(place)
    child = started(place, "--compression", "zstd", "--zstd-level", "22")
    wait_for_work(child, place, before)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate()
    if not out:  # else it had come to its end before
        assert child.returncode == 130
        assert err.splitlines()[-1] == b"lsm: interrupted: what was merged stays so, the rest is as before"
    with lsm.open(place, read_only=True) as db:
        named = {f"{number:06}" for number in db._store.version.table_numbers()}
    assert {name.partition(".")[0] for name in files(place)} == named
    compact()
    assert_holds(place, content)
