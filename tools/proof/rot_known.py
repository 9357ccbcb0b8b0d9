"""Damage that nothing in the files can tell from a state they may honestly have: defined here, counted apart.

Guarantees: what this names is the whole list; any other loss is a breach. A pure function.

After a power failure took the ring, the only proof that a commit at the log's end had been synced is what was written
later: the `durable through` of a frame behind it, a trailer, an edit of the manifest. Damage to a segment may look like
a torn tail from the last commit on that nothing left whole speaks of, and only from there.
"""

from __future__ import annotations

from lsm import directory as names
from lsm.wal_format import LAYOUTS
from proof.rot_damage import Damage, apply, regions
from proof.rot_subjects import Subject
from proof.rot_trial import Outcome

__all__ = ["NO_PROOF", "known", "proven"]

NO_PROOF = "synced, but no proof of it left"
COUNTER = (1 << 44) - 1


def known(damage: Damage, subject: Subject, outcome: Outcome) -> str | None:
    """The name of the class that this outcome belongs to, or None: then it is a breach."""
    kind = names.parse(damage.file)
    if subject.recipe.ending != "power failed" or kind is None or kind[0] != "segment" or outcome.prefix is None:
        return None
    return NO_PROOF if outcome.prefix >= proven(damage, subject) else None


def proven(damage: Damage, subject: Subject) -> int:
    """The number of commits that frames and trailers which the damage left whole, or the manifest, say were durable."""
    after = apply(damage, subject.files, subject.older)
    best = subject.flushed
    at, size = LAYOUTS["frame"]["durable through"]
    for name, content in subject.files.items():
        kind = names.parse(name)
        if kind is None or kind[0] != "segment" or name not in after:
            continue
        for begin, end in _frames(name, content):
            if after[name][begin:end] == content[begin:end]:
                best = max(best, int.from_bytes(content[begin + at : begin + at + size], "little") & COUNTER)
    return best


def _frames(name: str, content: bytes) -> list[tuple[int, int]]:
    """Where frames and trailers begin and end."""
    found: list[tuple[int, int]] = []
    for region in regions(name, content):
        if region.name in ("frame header", "trailer"):
            found.append((region.begin, region.end))
        elif region.name == "frame payload":
            found[-1] = (found[-1][0], region.end)
    return found
