"""The crash sweep, in short: no disk breaks; and it finds what it is for, in engines and disks that were weakened.

LSM_SWEEP_SECONDS sets how long (default 20), LSM_SWEEP_SEED the first history. `python tools/prove.py sweep` runs
for hours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lsm import births, recovery, scheduler, store
from lsm.manifest import Manifest
from lsm.simulated_files import SimulatedFileSystem
from proof import sweep as sweep_module
from proof.main import main
from proof.sweep import Case, Sweep, run_history
from proof.sweep_invariants import INVARIANTS, BrokenError
from proof.sweep_model import Created, Dropped, Model, Put
from proof.sweep_replay import load, save

SECONDS = float(os.environ.get("LSM_SWEEP_SECONDS", "20"))
SEED = int(os.environ.get("LSM_SWEEP_SEED", "0"))
HISTORIES = range(100, 112)  # for weakened engines: the first that breaks is enough


def test_no_disk_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", "--seconds", str(SECONDS), "--seed", str(SEED), "--share", "0.1", "--json"]
    for _ in range(10):
        assert main([*arguments, "--save", str(tmp_path / "broken")]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["failures"] == []
        assert sum(told["disks broken"].values()) == 0
        if {"ext4", "strict"} <= set(told["disks tried"]) and told["crash points"] > 0:
            return  # else it stood still for all its time
    pytest.fail(str(told))


# ---- that it can find something

Failures = list[tuple[Case, BaseException]]


def broken_by(prepare: Callable[[SimulatedFileSystem], None] | None = None, mode: str = "strict") -> Failures:
    """What broke in the first of a few histories in which anything did."""
    found: Failures = []
    sweep = Sweep((mode,), lambda case, error: found.append((case, error)))
    for seed in HISTORIES:
        sweep.history(4 * seed, share=0.3, prepare=prepare)
        if found:
            break
    return found


def lie(kind: str, files: SimulatedFileSystem) -> None:
    files.fail(kind, 1, 0, None)


@pytest.mark.parametrize("mode", ["strict", "ext4"])
def test_a_disk_whose_sync_lies_is_found_broken(mode: str) -> None:
    assert broken_by(partial(lie, "sync"), mode)


def test_a_disk_whose_directory_sync_lies_is_found_broken() -> None:
    assert broken_by(partial(lie, "sync_dir"))


def forget(*_: Any) -> None:
    """Stands in for a sync that the engine must not leave out."""


def test_an_engine_whose_tables_outrun_its_log_is_found_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    flush = births.flush_memtable

    def hasty(store: Any, keyspace: int, index: int, memtable: Any, form: Any, sync_log: Any) -> Any:
        return flush(store, keyspace, index, memtable, form, forget)

    monkeypatch.setattr(scheduler, "flush_memtable", hasty)
    assert broken_by()


def test_an_engine_that_does_not_sync_its_manifest_is_found_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Manifest, "sync", forget)
    assert broken_by()


def test_an_engine_that_does_not_sync_its_own_name_is_found_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.Store, "_sync_own_name", forget)
    assert any("promised" in str(error) for _, error in broken_by())


def test_an_engine_that_gives_sequences_again_is_found_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    take_epoch = store.Store.edit

    def keep_epoch(self: store.Store, edit: Any, *, sync: bool = True) -> None:
        if edit.epoch is None:
            take_epoch(self, edit, sync=sync)

    monkeypatch.setattr(store.Store, "edit", keep_epoch)
    assert any("sequence" in str(error) for _, error in broken_by())


def test_an_engine_that_leaves_files_behind_is_found_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "remove_orphans", lambda *_: [])
    assert any("no file is left over" in str(error) for _, error in broken_by())


def test_an_engine_that_forgets_the_log_is_found_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "Replay", NoReplay)
    assert any("prefix" in str(error) for _, error in broken_by())


class NoReplay:
    """A replay that finds nothing."""

    sequence = 0
    keep_in_memory = False

    def __init__(self, *_: Any) -> None:
        pass

    def step(self) -> None:
        return None


# ---- the sweep itself


@pytest.mark.parametrize("seed", [8, 12, 13, 14])
def test_a_history_without_threads_is_the_same_calls_for_the_same_seed(seed: int) -> None:
    first, second = (run_history(seed, False)[0].files.trace() for _ in range(2))
    assert first == second
    assert len(first) > 20


def test_a_broken_disk_is_saved_and_breaks_again_from_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [each for each in broken_by(partial(lie, "sync")) if each[0].mode != "killed"]
    place = save(*found[0], tmp_path)
    assert main(["replay", str(place)]) == 1
    assert str(found[0][1])[:60] in capsys.readouterr().err
    again = load(place)
    assert [each.changes for each in again.model.commits] == [each.changes for each in found[0][0].model.commits]


def test_the_command_tells_the_seed_and_how_to_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying() -> SimulatedFileSystem:
        files = SimulatedFileSystem()
        lie("sync", files)
        return files

    monkeypatch.setattr(sweep_module, "new_disk", lying)
    assert main(["sweep", "--history", "100", "--share", "0.05", "--save", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "python tools/prove.py sweep --history 100" in told.err
    assert f"python tools/prove.py replay {tmp_path}/broken-0001" in told.err
    assert "broken" in told.out


def test_the_model_knows_every_prefix() -> None:
    model = Model()
    model.commit(1, Created("a", 1, False))
    model.commit(2, Put("a", b"k", b"1"), Put("a", b"l", b"2"))
    model.commit(3, Put("a", b"k", None))
    model.commit(4, Put("a", b"k", None))
    model.commit(5, Dropped("a"))
    states = [model.prefix(length).state for length in range(6)]
    assert [model.find(state, 0, 5) for state in states] == [0, 1, 2, 3, 3, 0]
    assert model.find(states[3], 4, 5) == 4
    assert model.find(states[1], 2, 5) == 1
    states[2]["a"].data[b"l"] = b"other"
    assert model.find(states[2], 0, 5) is None


def test_the_model_refuses_a_sequence_that_was_given() -> None:
    model = Model()
    model.commit(5, Created("a", 1, False))
    shorter = model.prefix(0, seen=1)
    with pytest.raises(AssertionError, match="given again"):
        shorter.commit(5, Created("a", 1, False))


def test_a_broken_invariant_names_itself() -> None:
    assert issubclass(BrokenError, AssertionError)
    assert len({invariant.name for invariant in INVARIANTS}) == len(INVARIANTS)
