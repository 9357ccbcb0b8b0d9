"""The kept inputs of each target: one compressed file per target in tests/fuzz_seeds.

Guarantees: load(store(x)) is x without duplicates, in one order, so that equal seeds make equal files. No locks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import zstandard

__all__ = ["PLACE", "load", "store"]

PLACE: Final = Path(__file__).resolve().parents[3] / "tests" / "fuzz_seeds"
LEVEL: Final = 19
LARGEST: Final = 64 << 20


def load(target: str, place: Path = PLACE) -> list[bytes]:
    """All seeds of a target; none where there is no file."""
    path = place / f"{target}.seeds"
    if not path.exists():
        return []
    data = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=LARGEST)
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def store(target: str, seeds: Iterable[bytes], place: Path = PLACE) -> None:
    """Replaces a target's seeds."""
    ordered = sorted(set(seeds), key=lambda seed: (len(seed), seed))
    data = b"".join(len(seed).to_bytes(4, "little") + seed for seed in ordered)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{target}.seeds").write_bytes(zstandard.ZstdCompressor(level=LEVEL).compress(data))
