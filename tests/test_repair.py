"""`lsm repair`: what lay in undamaged bytes is saved with its value, nothing is made up, every loss is reported."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import assert_quiet, run
from disk import eventually, table_count
from model import TINY

import lsm
from lsm.cli import main
from lsm.errors import LockedError, NotADatabaseError
from lsm_tools.format_bytes import Faults
from lsm_tools.format_directory import Directory
from lsm_tools.format_salvage import find_blocks
from lsm_tools.format_table import TableFile
from lsm_tools.repair import repair
from lsm_tools.repair_merge import composite_key, looks_composite
from lsm_tools.repair_report import Report

MAKE = f"""
import os, random, sys
import lsm
OPTIONS = {TINY!r}
path, how = sys.argv[1:]
rng = random.Random(3)
db = lsm.open(path, **OPTIONS)
plain = db.keyspace("plain", partitions=2)
pairs = db.keyspace("pairs", composite=True, partitions=2)
gone = db.keyspace("gone")
gone.put(b"x", b"x")
history = []
def put(ks, key, value):
    history.append((ks.name, key, value))
    ks.put(key, value)
for turn in range(1500):
    key = b"%04d" % rng.randrange(500)
    if rng.random() < 0.2:
        history.append(("plain", key, None))
        plain.delete(key)
    else:
        put(plain, key, rng.randbytes(rng.randrange(40)))
    if turn % 3 == 0:
        put(pairs, (b"p\\0%d" % rng.randrange(9), b"s%d" % rng.randrange(60)), b"%d" % turn)
    if turn == 700:
        db.drop_keyspace("gone")
    if turn == 1000:
        db.compact()
if how == "compacted":
    db.compact()
open(path + ".history", "w").write(repr(history))
if how == "killed":
    os._exit(0)
db.close()
"""

History = dict[str, dict[Any, list[bytes | None]]]


class Sample:
    """A database, what it holds, and every version that any key ever had."""

    def __init__(self, directory: Path, how: str) -> None:
        self.path = directory / how
        assert_quiet(run(MAKE, self.path, how))
        self.history: History = defaultdict(lambda: defaultdict(list))
        for name, key, value in eval(Path(f"{self.path}.history").read_text()):
            self.history[name][key].append(value)
        self.content = {
            name: {key: versions[-1] for key, versions in keys.items() if versions[-1] is not None}
            for name, keys in self.history.items()
        }


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    directory = tmp_path_factory.mktemp("samples")
    return {how: Sample(directory, how) for how in ("closed", "killed", "compacted")}


@pytest.fixture(params=["closed", "killed", "compacted"])
def sample(request: pytest.FixtureRequest, samples: dict[str, Sample], tmp_path: Path) -> Sample:
    """A copy that a test may damage."""
    return copy_of(samples[request.param], tmp_path)


@pytest.fixture
def closed(samples: dict[str, Sample], tmp_path: Path) -> Sample:
    return copy_of(samples["closed"], tmp_path)


@pytest.fixture
def compacted(samples: dict[str, Sample], tmp_path: Path) -> Sample:
    return copy_of(samples["compacted"], tmp_path)


def copy_of(original: Sample, tmp_path: Path) -> Sample:
    copy = object.__new__(Sample)
    copy.history, copy.content = original.history, original.content
    copy.path = tmp_path / "broken"
    shutil.copytree(original.path, copy.path)
    return copy


def content(path: Path) -> dict[str, dict[Any, bytes]]:
    with lsm.open(path, create=False) as db:
        return {name: dict(db.keyspace(name).scan()) for name in db.keyspaces()}


def tree(path: Path) -> list[tuple[str, int, int, bytes]]:
    """Names, sizes, times and bytes of everything below a directory, and its own time."""
    found = [(".", 0, path.stat().st_mtime_ns, b"")]
    for file in sorted(path.iterdir()):
        status = file.stat()
        found.append((file.name, status.st_size, status.st_mtime_ns, hashlib.sha256(file.read_bytes()).digest()))
    return found


def repaired(sample: Sample) -> tuple[Report, dict[str, dict[Any, bytes]]]:
    """Repairs into `new` beside it; the original stays as it is, and what was saved is checked against the history."""
    before = tree(sample.path)
    new = sample.path.parent / "new"
    report = repair(str(sample.path), str(new))
    assert tree(sample.path) == before
    assert report.verified
    json.dumps(report.as_dict())
    assert list(report.lines())
    saved = content(new)
    check_against(sample, report, saved)
    return report, saved


def check_against(sample: Sample, report: Report, saved: dict[str, dict[Any, bytes]]) -> None:
    """Nothing made up, whatever is lost; and what is not as it was is in the report.

    Only commits that nothing called durable can vanish without a trace: those of a ring whose bytes are damaged.
    """
    wrong = 0
    for name, records in saved.items():
        history = sample.history.get(name)
        for key, value in records.items():
            versions = history[key] if history is not None else versions_anywhere(sample, key)
            assert value in versions, f"{name} {key!r} never had that value"
            wrong += versions[-1] != value
    missing = sum(len(records.keys() - saved.get(name, {}).keys()) for name, records in sample.content.items())
    if missing or wrong:
        assert not report.lossless
    uncertain = sum(keyspace.uncertain for keyspace in report.keyspaces)
    if wrong and report.exact and not report.log.lost:
        assert uncertain >= wrong


def versions_anywhere(sample: Sample, key: Any) -> list[bytes | None]:
    return [value for keys in sample.history.values() for value in keys.get(key, [])]


def files(sample: Sample, kind: str) -> list[Path]:
    return [Path(file.path) for file in Directory(str(sample.path), Faults()).of_kind(kind)]


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)


def table_of(path: Path) -> TableFile:
    return TableFile(str(path), Faults())


def tables(sample: Sample) -> list[Path]:
    """Those that the manifest names: a process that is killed may leave half of another."""
    directory = Directory(str(sample.path), Faults())
    assert directory.state is not None
    return [sample.path / table.file_name for _, table in directory.state.tables()]


def largest_table(sample: Sample) -> Path:
    """The one with the most blocks."""
    return max(tables(sample), key=lambda path: len(table_of(path).blocks))


# nothing damaged


def test_a_sound_database_is_saved_whole(sample: Sample) -> None:
    report, saved = repaired(sample)
    assert saved == sample.content
    assert report.lossless
    assert report.records_lost == 0


def test_the_new_database_has_the_options_and_an_id_of_its_own(closed: Sample) -> None:
    repaired(closed)
    with lsm.open(closed.path.parent / "new") as db:
        assert (db.keyspace("pairs").composite, db.keyspace("pairs").partitions) == (True, 2)
        assert (db.keyspace("plain").composite, db.keyspace("plain").partitions) == (False, 2)
    ids = {Directory(str(path), Faults()).state.database_id for path in (closed.path, closed.path.parent / "new")}  # type: ignore[union-attr]
    assert len(ids) == 2


def test_a_dropped_keyspace_stays_dropped(sample: Sample) -> None:
    for path in [*files(sample, "manifest"), *files(sample, "current")]:
        path.unlink()
    assert "gone" not in repaired(sample)[1]


# lost and damaged manifests


def test_without_current_the_manifest_is_found(sample: Sample) -> None:
    (sample.path / "CURRENT").unlink()
    report, saved = repaired(sample)
    assert saved == sample.content
    assert "CURRENT does not name a manifest" in report.notes[0]


def test_a_rotten_current_is_no_hindrance(sample: Sample) -> None:
    flip(sample.path / "CURRENT", 12)
    assert repaired(sample)[1] == sample.content


def test_a_manifest_with_a_damaged_header_is_read_all_the_same(sample: Sample) -> None:
    flip(files(sample, "manifest")[0], 50)
    report, saved = repaired(sample)
    assert saved == sample.content
    assert any("its header is damaged" in note for note in report.notes)


def test_rot_anywhere_in_the_manifest_loses_no_record_of_a_known_table(closed: Sample) -> None:
    path = files(closed, "manifest")[0]
    size = path.stat().st_size
    for place in random.Random(5).sample(range(128, size), 12):
        flip(path, place)
        report, saved = repaired(closed)
        assert all(table.records_lost in (0, None) or table.state == "missing" for table in report.tables)
        known = {name: records for name, records in saved.items() if name in closed.content}
        for name, records in known.items():
            for key, value in records.items():
                assert value in closed.history[name][key]
        flip(path, place)
        shutil.rmtree(closed.path.parent / "new")


def test_without_any_manifest_every_record_is_somewhere(sample: Sample) -> None:
    for path in [*files(sample, "manifest"), *files(sample, "current")]:
        path.unlink()
    report, saved = repaired(sample)
    assert not report.lossless
    assert report.manifest == "missing"
    for records in sample.content.values():
        for key, value in records.items():
            assert any(others.get(key) == value for others in saved.values())


def test_the_log_gives_names_and_options_where_the_manifest_is_lost(path: Path, tmp_path: Path) -> None:
    with lsm.open(path, flush_on_close_bytes=1 << 30) as db:
        db.keyspace("a", partitions=3).put(b"k", b"v")
        db.keyspace("b", composite=True).put((b"p", b"s"), b"w")
    for name in os.listdir(path):
        if name.startswith(("MANIFEST", "CURRENT")):
            (path / name).unlink()
    report = repair(str(path), str(tmp_path / "new"))
    assert content(tmp_path / "new") == {"a": {b"k": b"v"}, "b": {(b"p", b"s"): b"w"}}
    assert {(k.name, k.partitions, k.composite, k.named) for k in report.keyspaces} == {
        ("a", 3, False, True), ("b", 1, True, True)
    }  # fmt: skip


# damaged tables


def test_a_rotten_block_costs_its_own_records_and_no_others(compacted: Sample) -> None:
    path = largest_table(compacted)
    table = table_of(path)
    for place in (table.blocks[0], table.blocks[len(table.blocks) // 2], table.blocks[-1]):
        block = table.read_block(place)
        assert block is not None
        flip(path, place.offset + place.size // 2)
        report, saved = repaired(compacted)
        (damaged,) = [one for one in report.tables if one.state != "sound"]
        assert damaged.records_lost == len(block.entries)
        assert [(p.offset, p.size, p.block) for p in damaged.lost] == [(place.offset, place.size, place.number)]
        lost = {entry.key for entry in block.entries}
        assert all(damaged.lost[0].low <= key <= (damaged.lost[0].high or b"") for key in lost)
        composite = "pairs" if table.smallest[8:10] == b"p\0" else "plain"
        keys = {composite_key(key) if composite == "pairs" else key for key in lost}
        for name, records in compacted.content.items():
            expected = {k: v for k, v in records.items() if name != composite or k not in keys}
            assert {k: v for k, v in saved[name].items() if k in expected} == expected
        flip(path, place.offset + place.size // 2)
        shutil.rmtree(compacted.path.parent / "new")


@pytest.mark.parametrize("part", ["footer", "tail", "index", "filter", "header"])
def test_damage_outside_the_blocks_loses_nothing(sample: Sample, part: str) -> None:
    for path in tables(sample):
        table = table_of(path)
        assert table.footer is not None
        assert table.tail is not None
        places = {
            "footer": table.tail["footer offset"] + 50, "tail": table.size - 20, "header": 45,
            "index": table.footer["index offset"] + 3, "filter": table.footer["filter offset"] + 3,
        }  # fmt: skip
        flip(path, places[part])
    report, saved = repaired(sample)
    assert saved == sample.content
    assert report.records_lost == 0
    assert report.lossless


def test_a_table_without_header_and_footer_is_read_by_what_the_manifest_knows_of_it(compacted: Sample) -> None:
    path = largest_table(compacted)
    flip(path, 45)
    flip(path, path.stat().st_size - 20)
    report, saved = repaired(compacted)
    assert saved == compacted.content
    assert report.records_lost == 0


def test_a_table_cut_short_gives_the_blocks_before_the_cut(compacted: Sample) -> None:
    path = largest_table(compacted)
    table = table_of(path)
    whole = sum(1 for _ in table.entries())
    cut = table.blocks[len(table.blocks) // 2]
    kept = sum(len(b.entries) for b in table.read_blocks() if b.place.offset < cut.offset)
    os.truncate(path, cut.offset + 5)
    report, _ = repaired(compacted)
    (damaged,) = [one for one in report.tables if one.state != "sound"]
    assert damaged.records_lost == whole - kept


def test_a_missing_table_is_named_with_its_keys_and_sequences(compacted: Sample) -> None:
    path = largest_table(compacted)
    table = table_of(path)
    assert table.footer is not None
    path.unlink()
    report, _ = repaired(compacted)
    (missing,) = [one for one in report.tables if one.state != "sound"]
    assert (missing.name, missing.state, missing.records_lost) == (path.name, "missing", table.footer["entries"])
    assert (missing.lowest_sequence, missing.highest_sequence) == (
        table.footer["lowest sequence"], table.footer["highest sequence"]
    )  # fmt: skip
    assert missing.lost[0].low == table.smallest
    assert any(path.name in text for text in report.torn_batches)


@pytest.fixture
def three_tables(path: Path, never_quiet: None) -> Path:
    """An old version of everything, then a newer put and a delete in a table of their own, which is returned."""
    with lsm.open(path, level0_compaction_tables=100, level0_slowdown_tables=200, level0_stop_tables=300) as db:
        keyspace = db.keyspace("a")
        keyspace.put_many([(b"%02d" % n, b"old") for n in range(99)])
        db.flush()
        keyspace.put_many([(b"%02d" % n, b"new") for n in range(20, 60) if n != 37])
        keyspace.delete(b"37")
        db.flush()
        keyspace.put(b"zz", b"other")
        db.flush()
    _, table, _ = sorted(path.glob("*.table"))
    return table


def test_older_versions_under_a_lost_table_are_uncertain(three_tables: Path, path: Path, tmp_path: Path) -> None:
    three_tables.unlink()
    for segment in segments(path):
        segment.unlink()
    report = repair(str(path), str(tmp_path / "new"))
    saved = content(tmp_path / "new")["a"]
    assert saved[b"20"] == b"old"
    assert saved[b"37"] == b"old"
    assert saved[b"zz"] == b"other"
    (keyspace,) = report.keyspaces
    assert keyspace.uncertain == 40
    assert keyspace.uncertain_samples == [b"%02d" % n for n in range(20, 40)]
    assert len(report.log.missing) == 1


def test_what_the_log_still_has_takes_the_place_of_a_lost_table(path: Path, tmp_path: Path) -> None:
    """A keyspace that is not flushed keeps the log, and with it commits of others that are in tables already."""
    with lsm.open(path, memtable_bytes=4096, memtables_bytes=32768) as db:
        db.keyspace("idle").put(b"keeps", b"the log")
        keyspace = db.keyspace("a")
        for number in range(900):
            keyspace.put(b"%04d" % (number % 150), b"%d" % number * 9)
        wanted = dict(keyspace.scan())
        assert eventually(lambda: table_count(path) > 0)
    lost = list(path.glob("*.table"))
    assert lost
    for table in lost:
        table.unlink()
    report = repair(str(path), str(tmp_path / "new"))
    assert content(tmp_path / "new")["a"] == wanted
    assert {table.state for table in report.tables} == {"missing"}


def test_a_missing_log_is_said_to_be_missing(path: Path, tmp_path: Path) -> None:
    with lsm.open(path, flush_on_close_bytes=1 << 30) as db:
        db.keyspace("a").put(b"in", b"a table")
        db.flush()
        last = db.keyspace("a").put(b"in", b"the log")
    for segment in segments(path):
        segment.unlink()
    report = repair(str(path), str(tmp_path / "new"))
    assert content(tmp_path / "new")["a"] == {b"in": b"a table"}
    assert len(report.log.missing) == 1
    assert [lost.last for lost in report.log.lost] == [last]
    assert not report.lossless


def test_files_that_changed_names_are_told_by_their_bytes(closed: Sample) -> None:
    directory = Directory(str(closed.path), Faults())
    assert directory.state is not None
    one, other = [closed.path / table.file_name for _, table in directory.state.tables()][:2]
    one.rename(closed.path / "swap")
    other.rename(one)
    (closed.path / "swap").rename(other)
    report, saved = repaired(closed)
    assert saved == closed.content
    assert sum("its bytes are those of table" in table.note for table in report.tables) == 2


def test_a_table_of_another_database_is_left_out(closed: Sample, path: Path) -> None:
    with lsm.open(path) as db:
        db.keyspace("a").put(b"0001", b"foreign")
        db.flush()
    (foreign,) = path.glob("*.table")
    shutil.copy(foreign, closed.path / "999999.table")
    (closed.path / "CURRENT").unlink()
    report, saved = repaired(closed)
    assert saved == closed.content
    assert "999999.table: of another database" in report.ignored_files


# damaged log


def unflushed(path: Path, **options: Any) -> dict[bytes, bytes]:
    """A closed database of which everything is in the log, in several segments."""
    wanted = {b"%04d" % n: b"%d" % n * 20 for n in range(400)}
    with lsm.open(path, flush_on_close_bytes=1 << 30, wal_segment_bytes=8192, wal_ring_bytes=4096, **options) as db:
        keyspace = db.keyspace("a")
        for key, value in wanted.items():
            keyspace.put(key, value)
    return wanted


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("wal-*.log"))


def test_frames_before_and_behind_rot_are_used_and_the_gap_is_reported(path: Path, tmp_path: Path) -> None:
    wanted = unflushed(path)
    middle = segments(path)[1]
    data = middle.read_bytes()
    flip(middle, len(data) // 2)
    report = repair(str(path), str(tmp_path / "new"))
    saved = content(tmp_path / "new")["a"]
    assert wanted.items() >= saved.items()
    assert len(saved) == len(wanted) - 1
    (lost,) = report.log.lost
    assert (lost.count, lost.certain) == (1, True)
    assert report.log.frames_behind_damage > 0
    assert [damage["file"] for damage in report.log.damaged] == [middle.name]
    assert not report.lossless


def test_a_segment_with_a_damaged_header_is_read_by_its_neighbours(path: Path, tmp_path: Path) -> None:
    wanted = unflushed(path)
    for number in (1, 0):
        flip(segments(path)[number], 60)
        report = repair(str(path), str(tmp_path / "new"))
        assert content(tmp_path / "new")["a"] == wanted
        assert report.log.lost == []
        flip(segments(path)[number], 60)
        shutil.rmtree(tmp_path / "new")


def test_a_missing_segment_is_a_gap_of_known_sequences(path: Path, tmp_path: Path) -> None:
    wanted = unflushed(path)
    lost = segments(path)[1]
    lost.unlink()
    report = repair(str(path), str(tmp_path / "new"))
    saved = content(tmp_path / "new")["a"]
    assert report.log.lost[0].count == len(wanted) - len(saved)
    assert wanted.items() >= saved.items()


def test_a_torn_end_is_left_out(path: Path, tmp_path: Path) -> None:
    wanted = unflushed(path)
    last = segments(path)[-1]
    os.truncate(last, last.stat().st_size - 90)
    report = repair(str(path), str(tmp_path / "new"))
    saved = content(tmp_path / "new")["a"]
    assert wanted.items() >= saved.items()
    assert len(saved) >= len(wanted) - 1
    assert report.log.damaged


RING = """
import os, sys
import lsm
db = lsm.open(sys.argv[1], wal_ring_bytes=1 << 16)
keyspace = db.keyspace("a")
for number in range(50):
    keyspace.put(b"%04d" % number, b"v")
os._exit(0)
"""


@pytest.fixture
def with_ring(path: Path) -> Path:
    """Killed, its newest commits in the ring alone."""
    assert_quiet(run(RING, path))
    assert (path / "wal.ring").exists()
    return path


def test_commits_in_the_ring_are_saved(with_ring: Path, tmp_path: Path) -> None:
    repair(str(with_ring), str(tmp_path / "new"))
    assert len(content(tmp_path / "new")["a"]) == 50


def test_a_ring_with_a_damaged_header_is_read_all_the_same(with_ring: Path, tmp_path: Path) -> None:
    flip(with_ring / "wal.ring", 20)
    report = repair(str(with_ring), str(tmp_path / "new"))
    assert "its header is damaged" in report.log.ring
    assert len(content(tmp_path / "new")["a"]) == 50


def test_a_missing_ring_is_said_to_be_missing_where_the_database_was_not_closed(
    with_ring: Path, tmp_path: Path
) -> None:
    (with_ring / "wal.ring").unlink()
    report = repair(str(with_ring), str(tmp_path / "new"))
    assert report.log.missing == ["wal.ring"]
    assert not report.lossless


def test_rot_in_the_ring_costs_the_commit_that_it_is_in(with_ring: Path, tmp_path: Path) -> None:
    data = (with_ring / "wal.ring").read_bytes()
    flip(with_ring / "wal.ring", data.index(b"0030v", 4096) + 1)
    report = repair(str(with_ring), str(tmp_path / "new"))
    saved = content(tmp_path / "new")["a"]
    assert len(saved) >= 30
    assert b"0030" not in saved
    assert 50 - len(saved) == sum(lost.count for lost in report.log.lost)


def test_a_stale_copy_in_the_log_does_not_bring_back_what_was_deleted(path: Path, tmp_path: Path) -> None:
    with lsm.open(path) as db:
        one, other = db.keyspace("a"), db.keyspace("b")
        other.put(b"holds", b"the log")
        one.put(b"key", b"value")
        one.delete(b"key")
        one.put(b"stays", b"here")
        db.compact()
        other.put(b"more", b"in the log")
    log = segments(path)[0]
    data = log.read_bytes()
    if b"keyvalue" in data:
        flip(log, data.index(b"\3\0key") if b"\3\0key" in data else data.rindex(b"key"))
    repair(str(path), str(tmp_path / "new"))
    assert content(tmp_path / "new")["a"] == {b"stays": b"here"}


# any damage

UNTOLD = ("LOCK", "wal.ring")


@pytest.mark.parametrize("seed", range(24))
def test_random_damage_invents_nothing_and_hides_nothing(samples: dict[str, Sample], tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    sample = copy_of(samples[rng.choice(["closed", "killed", "compacted"])], tmp_path)
    for _ in range(rng.randrange(1, 4)):
        path = rng.choice([p for p in sorted(sample.path.iterdir()) if p.stat().st_size and p.name not in UNTOLD])
        size = path.stat().st_size
        kind = rng.choice(["flip", "zeros", "cut", "remove", "copy"])
        if kind == "flip":
            flip(path, rng.randrange(size))
        elif kind == "zeros":
            data = bytearray(path.read_bytes())
            place = rng.randrange(size)
            count = min(rng.choice([1, 50, 600, 5000]), size - place)
            data[place : place + count] = bytes(count)
            path.write_bytes(data)
        elif kind == "cut":
            os.truncate(path, rng.randrange(size))
        elif kind == "remove":
            path.unlink()
        else:
            target = rng.choice([p for p in sorted(sample.path.iterdir()) if p.name not in UNTOLD])
            target.write_bytes(path.read_bytes())
    repaired(sample)


# the command


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lsm_command(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: (main([str(argument) for argument in arguments]), *capsys.readouterr())


def test_the_command_says_what_is_lost_and_ends_with_three(compacted: Sample, lsm_command: Run, tmp_path: Path) -> None:
    assert lsm_command("repair", compacted.path, tmp_path / "sound")[0] == 0
    path = largest_table(compacted)
    place = table_of(path).blocks[1]
    flip(path, place.offset + 3)
    status, out, err = lsm_command("repair", compacted.path, tmp_path / "new")
    assert (status, err) == (3, "")
    assert f"{path.name}: damaged; keyspace " in out
    assert f"block 1, bytes {place.offset:,} to {place.offset + place.size:,}: keys from " in out
    status, out, _ = lsm_command("repair", compacted.path, tmp_path / "other", "--json")
    facts = json.loads(out)
    assert status == 3
    assert facts["records_lost"] > 0
    assert facts["lossless"] is False
    assert {fault["path"] for fault in facts["faults"]} == {str(path)}


def test_a_dry_run_reports_and_makes_nothing(compacted: Sample, lsm_command: Run, tmp_path: Path) -> None:
    status, out, _ = lsm_command("repair", compacted.path, tmp_path / "new", "--dry-run", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["verified"] is None
    assert facts["records"] == sum(map(len, compacted.content.values()))
    assert sorted(os.listdir(tmp_path)) == ["broken"]


def test_the_new_directory_must_not_exist_nor_lie_in_the_old_one(closed: Sample, lsm_command: Run) -> None:
    (closed.path.parent / "new").mkdir()
    assert lsm_command("repair", closed.path, closed.path.parent / "new")[0] == 1
    status, _, err = lsm_command("repair", closed.path, closed.path / "new")
    assert status == 1
    assert "which a repair does not change" in err


def test_an_open_database_is_refused(closed: Sample, tmp_path: Path) -> None:
    with lsm.open(closed.path), pytest.raises(LockedError):
        repair(str(closed.path), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotADatabaseError):
        repair(str(tmp_path / "empty"), str(tmp_path / "new"))
    with pytest.raises(NotADatabaseError):
        repair(str(tmp_path / "nowhere"), str(tmp_path / "new"))
    assert os.listdir(tmp_path) == ["empty"]


def test_a_read_only_original_is_repaired(sample: Sample) -> None:
    for path in sample.path.iterdir():
        path.chmod(stat.S_IRUSR)
    sample.path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert repaired(sample)[1] == sample.content
    finally:
        sample.path.chmod(stat.S_IRWXU)


def test_an_interrupted_repair_leaves_nothing(closed: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lsm_tools.repair_output.Output._verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        repair(str(closed.path), str(tmp_path / "new"))
    assert sorted(os.listdir(tmp_path)) == ["broken"]


# pieces


def test_engine_keys_of_composite_keyspaces_are_told_from_plain_ones() -> None:
    assert composite_key(b"12345678a\0\xffb\0\1s\0t") == (b"a\0b", b"s\0t")
    for key in (b"", b"1234567890", b"12345678\0\1s", b"12345678a\0b\0\1"):
        with pytest.raises(ValueError, match="no engine key"):
            composite_key(key)
    assert looks_composite(iter([b"12345678a\0\1", b"12345678a\0\1b"]), None)
    assert not looks_composite(iter([b"12345678a\0\1", b"12345679a\0\1b"]), None)
    assert not looks_composite(iter([]), None)


def test_blocks_are_found_without_their_index(compacted: Sample) -> None:
    path = largest_table(compacted)
    by_index = [entry for entry in table_of(path).entries()]
    flip(path, path.stat().st_size - 20)
    assert [entry for block in find_blocks(table_of(path)) for entry in block.entries] == by_index
