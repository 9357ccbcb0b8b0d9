"""`prove.py rot`: damages every region of every file of many databases, and checks what the engine then says.

Guarantees: each damage is tried in a child with limits on memory and time, so that a crash, a hang or an unbounded
allocation is a finding and not the end of the run. One thread; nothing is left behind but the findings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import lsm.store
from lsm import directory as names
from lsm.progress import Progress
from proof.forks import Send, fork, limit_memory, scratch, spare_time
from proof.rot_damage import Damage, apply, population
from proof.rot_known import known
from proof.rot_subjects import SUBJECTS, Recipe, Subject, build
from proof.rot_trial import BREACH, Outcome, Trial, lay_out, run

__all__ = ["Finding", "Tally", "add_rot", "damages_of", "rot"]

HUNG_SECONDS = 30.0
MORE_BYTES = 1 << 30
RESIDENT_BYTES = 256 << 20
PER_CHILD = 400


@dataclass
class Finding:
    """A breach, with what repeats it."""

    subject: str
    damage: Damage
    index: int
    detail: str

    def text(self) -> str:
        return f"{self.subject}: {self.damage}: {self.detail}"


@dataclass
class Tally:
    """What a run tried and found. `by_region`: file kind and region, then verdict."""

    tried: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    by_region: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, subject: Subject, index: int, damage: Damage, outcome: Outcome) -> None:
        verdict = outcome.verdict
        if verdict not in ("right", "refused", "refused a read", "tail cut"):
            verdict = known(damage, subject, outcome) or BREACH
        if verdict == BREACH:
            detail = outcome.detail if outcome.verdict == BREACH else f"{outcome.verdict}: {outcome.detail}"
            self.findings.append(Finding(subject.recipe.name, damage, index, detail))
        self.tried += 1
        self.by_kind[damage.kind] += 1
        self.verdicts[verdict] += 1
        kind = names.parse(damage.file)
        place = f"{kind[0] if kind else damage.file} {damage.region}"
        self.by_region.setdefault(place, Counter())[verdict] += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "tried": self.tried,
            "by_kind": dict(self.by_kind),
            "verdicts": dict(self.verdicts),
            "by_region": {place: dict(counts) for place, counts in sorted(self.by_region.items())},
            "findings": [finding.text() for finding in self.findings],
        }


def damages_of(subject: Subject, count: int | None, seed: int) -> list[Damage]:
    """So many damages of a subject, up to half of them of whole files; None: all there are."""
    whole, fine = population(subject.files, subject.older, seed)
    if count is None:
        return whole + fine
    rng = random.Random(seed)
    if len(whole) > count // 2:
        whole = rng.sample(whole, count // 2)
    return whole + rng.sample(fine, min(len(fine), count - len(whole)))


def rot(
    recipes: Sequence[Recipe], count: int | None, seed: int, *, progress: bool | None = False, only: str | None = None
) -> Tally:
    """Tries `count` damages of each recipe's database, or all; Ctrl-C ends it with what was tried so far."""
    tally = Tally()
    place = tempfile.mkdtemp(prefix="rot-", dir=scratch())
    try:
        for recipe in recipes:
            subject = _built(recipe, place, seed)
            work = [*enumerate(damages_of(subject, count, seed))]
            if only is not None:
                work = [(i, damage) for i, damage in work if only in str(damage)]
            with Progress(recipe.name, total=len(work), stream=sys.stderr, enabled=progress) as bar:
                for index, damage, outcome in _outcomes(subject, place, work):
                    tally.add(subject, index, damage, outcome)
                    bar.update(index, index)
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return tally


def _built(recipe: Recipe, place: str, seed: int) -> Subject:
    path = os.path.join(place, "subject")
    shutil.rmtree(path, ignore_errors=True)
    return build(recipe, path, seed)


def _outcomes(subject: Subject, place: str, work: list[tuple[int, Damage]]) -> Iterator[tuple[int, Damage, Outcome]]:
    """Each damage with its outcome; where a child dies, that is the outcome of what it was at."""
    damages = dict(work)
    left = [index for index, _ in work]
    while left:
        batch = left[:PER_CHILD]
        child = fork(lambda send, batch=batch: _try_all(subject, place, [(i, damages[i]) for i in batch], send))  # type: ignore[misc]
        done = 0
        for index, outcome in child.messages():
            done += 1
            yield index, damages[index], outcome
        status = child.wait()
        if done < len(batch):
            index = batch[done]
            done += 1
            what = "hung" if status == -14 else f"the process died, status {status}"
            yield index, damages[index], Outcome(BREACH, what)
        left = left[done:]


def _try_all(subject: Subject, place: str, work: list[tuple[int, Damage]], send: Send) -> None:
    limit_memory(MORE_BYTES)
    lsm.store.OPEN_ATTEMPTS = 1  # of a reader beside a writer, which waits for files to come
    path = os.path.join(place, "damaged")
    for index, damage in work:
        spare_time(HUNG_SECONDS)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        how = index % 8
        trial = Trial(subject, path, read_only=how in (1, 2), compact=how in (3, 4), reopen=how in (4, 5))
        outcome = run(trial, damage)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if grown > RESIDENT_BYTES:
            outcome = Outcome(BREACH, f"{grown >> 20} MiB were allocated")
        send((index, outcome))


# ---- the command


def add_rot(subparsers: Any) -> None:
    command = subparsers.add_parser("rot", help="Damage every region of every file.", description=__doc__)
    command.set_defaults(run=_run)
    command.add_argument("--count", type=int, default=2000, metavar="N", help="damages per database; 0: all")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--subject", metavar="TEXT", default="", help="only databases whose name has this text")
    command.add_argument("--only", metavar="TEXT", help="only damages that are written so, or in part so")
    command.add_argument("--keep", metavar="DIR", help="lay the first finding's files out here")
    command.add_argument("--progress", action="store_true", default=None)
    command.add_argument("--json", action="store_true")


def _run(options: argparse.Namespace) -> int:
    recipes = [recipe for recipe in SUBJECTS if options.subject in recipe.name]
    begun = time.perf_counter()
    tally = rot(recipes, options.count or None, options.seed, progress=options.progress, only=options.only)
    seconds = time.perf_counter() - begun
    if options.json:
        print(json.dumps({**tally.as_json(), "seconds": round(seconds, 1)}))
    else:
        _print(tally, seconds, options)
    if tally.findings and options.keep:
        _keep(tally.findings[0], options)
    return 1 if tally.findings else 0


def _print(tally: Tally, seconds: float, options: argparse.Namespace) -> None:
    print(f"{tally.tried:,} damages in {seconds:.0f} s: {_counts(tally.by_kind)}")
    for place, counts in sorted(tally.by_region.items()):
        print(f"  {place:28} {_counts(counts)}")
    print(f"all: {_counts(tally.verdicts)}")
    for finding in tally.findings[:50]:
        print(finding.text())
        print(
            f"  again: python tools/prove.py rot --seed {options.seed} --count {options.count} "
            f"--subject '{finding.subject}' --only \"{finding.damage}\""
        )


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _keep(finding: Finding, options: argparse.Namespace) -> None:
    recipe = next(recipe for recipe in SUBJECTS if recipe.name == finding.subject)
    place = tempfile.mkdtemp(prefix="rot-", dir=scratch())
    try:
        subject = _built(recipe, place, options.seed)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    lay_out(options.keep, apply(finding.damage, subject.files, subject.older))
