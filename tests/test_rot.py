"""Short runs of `tools/prove.py rot`, and the holes it found, each with the damage that showed it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from disk import PATIENCE_SECONDS
from model import scaled

import lsm
from lsm.errors import CorruptionError
from proof.rot import damages_of, rot
from proof.rot_damage import Damage, apply, population, regions
from proof.rot_subjects import SUBJECTS, Recipe, Subject, build
from proof.rot_trial import BREACH, Reading, Trial, run

BY_NAME = {recipe.name: recipe for recipe in SUBJECTS}
SMALL = BY_NAME["lz4, closed"].options


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr("proof.rot.HUNG_SECONDS", PATIENCE_SECONDS)


@pytest.mark.parametrize("recipe", SUBJECTS, ids=lambda recipe: recipe.name)
def test_damage_is_refused_or_harmless(recipe):
    tally = rot([recipe], scaled(110), seed=1)
    assert [finding.text() for finding in tally.findings] == []
    assert tally.verdicts["refused"] + tally.verdicts["refused a read"] > 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Subject:
    return build(BY_NAME["lz4, killed"], str(tmp_path_factory.mktemp("rot") / "data"))


def test_regions_cover_every_byte_once(killed):
    for name, content in killed.files.items():
        places = [(region.begin, region.end) for region in regions(name, content)]
        assert places == sorted(places)
        assert sum(end - begin for begin, end in places) == len(content), name


def test_every_bit_of_a_small_file_is_flipped(killed):
    _, fine = population(killed.files, killed.older, 1)
    flips = {damage.at for damage in fine if damage.kind == "flip" and damage.file == "CURRENT"}
    assert flips == set(range(8 * len(killed.files["CURRENT"])))


def test_the_same_seed_gives_the_same_damages(killed):
    assert damages_of(killed, 500, 7) == damages_of(killed, 500, 7)


def test_a_wrong_answer_is_a_breach(killed, tmp_path):
    trial = Trial(killed, str(tmp_path / "data"))
    nothing = Damage("flip", "LOCK", "whole", 0)
    assert run(trial, nothing).verdict == "right"
    for state in killed.states:
        state.get("first", {}).pop(next(iter(killed.states[-1]["first"])), None)
    assert run(trial, nothing).verdict == BREACH


def test_a_reading_says_where_it_differs(tmp_path):
    with lsm.open(tmp_path / "data") as db:
        db.keyspace("first").put(b"a", b"1")
        subject = Subject(Recipe("by hand", {}), {}, {}, [{"first": {b"a": b"1"}}], 0, {"first": [b"a"]})
        reading = Reading(Trial(subject, str(tmp_path)), db)
    assert reading.agrees({"first": {b"a": b"1"}})
    assert reading.first_difference({"first": {b"a": b"2"}}) == "a scan of first"


# ---- holes that were found, and closed


def records(path: Path, *, flush: bool = False, sync: bool = True) -> None:
    with lsm.open(path, **SMALL) as db:
        for n in range(40):
            db.keyspace("k").put(b"%d" % n, b"v" * 300)
        if flush:
            db.flush()
        db.keyspace("k").put(b"last", b"", sync=sync)


def refused(path: Path, **options) -> CorruptionError:
    with pytest.raises(CorruptionError) as caught:
        lsm.open(path, **SMALL, **options)
    assert os.path.dirname(str(caught.value.path)) == str(path)
    return caught.value


def test_a_missing_table_is_corruption_that_names_it(path):
    records(path, flush=True)
    table = next(path.glob("*.table"))
    table.unlink()
    assert refused(path).path == str(table)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("which", [0, -1])
def test_a_missing_segment_at_either_end_of_a_closed_log_is_corruption(path, which, read_only):
    records(path)
    sorted(path.glob("wal-*"))[which].unlink()
    refused(path, read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_closed_log_cut_between_two_frames_is_corruption(path, read_only):
    records(path)
    segment = sorted(path.glob("wal-*"))[-1]
    content = segment.read_bytes()
    ends = [region.begin for region in regions(segment.name, content) if region.name == "frame header"]
    os.truncate(segment, ends[-1])
    assert refused(path, read_only=read_only).path == str(segment)


def test_a_flipped_bit_in_the_middle_of_a_log_is_corruption_to_a_reader_too(path):
    records(path)
    segment = sorted(path.glob("wal-*"))[0]
    content = bytearray(segment.read_bytes())
    content[1000] ^= 1
    segment.write_bytes(content)
    assert refused(path, read_only=True).path == str(segment)


def test_a_segment_under_another_number_is_corruption(path):
    records(path)
    segments = sorted(path.glob("wal-*"))
    first, second = segments[0].read_bytes(), segments[1].read_bytes()
    segments[0].write_bytes(second)
    segments[1].write_bytes(first)
    error = refused(path)
    assert (error.path, error.offset) == (str(segments[0]), 80)


def test_an_older_copy_of_the_manifest_is_corruption(path, never_quiet):
    with lsm.open(path, **SMALL) as db:
        db.keyspace("k").put(b"a", b"1")
        manifest = path / "MANIFEST-000001"
        older = manifest.read_bytes()
        db.flush()
        db.keyspace("k").put(b"b", b"2")
        db.flush()
    manifest.write_bytes(older)
    refused(path)


def test_a_refused_open_leaves_every_file_in_place(path):
    """Tables that a cut manifest does not name are what a repair needs."""
    records(path, flush=True)
    manifest = path / "MANIFEST-000001"
    ends = [r.begin for r in regions(manifest.name, manifest.read_bytes()) if r.name == "record header"]
    os.truncate(manifest, ends[2])
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    refused(path)
    assert {p.name: p.read_bytes() for p in path.iterdir() if p.name != "LOCK"} == {
        name: content for name, content in before.items() if name != "LOCK"
    }


def power_failed(path: Path, copy: Path) -> None:
    """The directory of an open database as a power failure may leave it that took every unsynced name of the log."""
    copy.mkdir()
    for name in ("CURRENT", "MANIFEST-000001", *(table.name for table in path.glob("*.table"))):
        (copy / name).write_bytes((path / name).read_bytes())


def test_sequences_are_new_where_a_power_failure_took_the_whole_log(path, tmp_path):
    with lsm.open(path) as db:
        lost = db.durable_sequence + 1
        power_failed(path, tmp_path / "copy")
    with lsm.open(tmp_path / "copy") as db:
        assert db.last_sequence > lost


@pytest.mark.parametrize("read_only", [True, False])
def test_tables_are_seen_where_no_log_is_left(path, tmp_path, read_only, never_quiet):
    with lsm.open(path, **SMALL) as db:
        db.keyspace("k").put(b"a", b"1")
        db.flush()
        power_failed(path, tmp_path / "copy")
        before = db.last_sequence
    with lsm.open(tmp_path / "copy", read_only=read_only, **SMALL) as db:
        assert db.keyspace("k").get(b"a") == b"1"
        assert db.last_sequence >= before


def test_damage_is_a_value_that_is_repeated_exactly(killed):
    damage = Damage("noise", "CURRENT", "whole", 3, 5)
    assert apply(damage, killed.files, killed.older) == apply(damage, killed.files, killed.older)
