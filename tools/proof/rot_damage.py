"""What can happen to the files of a directory: a list of damages, each a small value that can be named and repeated.

Guarantees: regions cover every byte of a file; `population` is the same for the same files and seed. Pure functions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from lsm import directory as names
from lsm.table_doors import LAYOUT
from lsm.wal_format import LAYOUTS

__all__ = ["Damage", "Region", "apply", "population", "regions"]

Files = dict[str, bytes]
FLIPS_PER_REGION = 4096
SMALL_FILE_BYTES = 1024
CUTS_PER_FILE = 512
SEGMENT_HEADER = 128
FRAME_HEADER = 48
RING_PAGE = 4096
MANIFEST_HEADER = 128
MANIFEST_RECORD = 16


@dataclass(frozen=True)
class Region:
    """Bytes of one file that belong together."""

    name: str
    begin: int
    end: int


@dataclass(frozen=True)
class Damage:
    """One thing that happens to one file; `at` and `more` mean what `kind` says, see `apply`."""

    kind: str
    file: str
    region: str
    at: int = 0
    more: int = 0
    other: str = ""


# ---- regions


def regions(name: str, content: bytes) -> list[Region]:
    """The parts of a file by its format, without gaps."""
    kind = names.parse(name)
    finder = _FINDERS.get(kind[0] if kind else "", _whole)
    try:
        found = [region for region in finder(content) if region.begin < region.end]
    except (IndexError, KeyError):
        found = _whole(content)
    return found


def _whole(content: bytes) -> list[Region]:
    return [Region("whole", 0, len(content))]


def _number(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")


def _table(content: bytes) -> list[Region]:
    tail = len(content) - LAYOUT["tail"][""][0]
    footer = _number(content, tail, 8)

    def field(name: str) -> int:
        at, size = LAYOUT["footer"][name]
        return _number(content, footer + at, size)

    filters, index = field("filter offset"), field("index offset")
    return [
        Region("header", 0, 128),
        Region("blocks", 128, filters),
        Region("filter", filters, index),
        Region("index", index, footer),
        Region("footer", footer, tail),
        Region("tail", tail, len(content)),
    ]


def _segment(content: bytes) -> list[Region]:
    found = [Region("header", 0, SEGMENT_HEADER)]
    at = SEGMENT_HEADER
    flags, size = LAYOUTS["frame"]["flags"], LAYOUTS["frame"]["payload bytes"]
    while at + FRAME_HEADER <= len(content):
        sealed = _number(content, at + flags[0], flags[1])
        end = at + FRAME_HEADER + _number(content, at + size[0], size[1])
        if sealed:
            found.append(Region("trailer", at, end))
        else:
            found += [Region("frame header", at, at + FRAME_HEADER), Region("frame payload", at + FRAME_HEADER, end)]
        at = end
    return [*found, Region("rest", at, len(content))]


def _ring(content: bytes) -> list[Region]:
    mark = LAYOUTS["ring header"]["durable through"][0]
    return [
        Region("header", 0, 128),
        Region("room", 128, mark),
        Region("marks", mark, mark + 16),
        Region("rest of page", mark + 16, RING_PAGE),
        Region("frames", RING_PAGE, len(content)),
    ]


def _manifest(content: bytes) -> list[Region]:
    found = [Region("header", 0, MANIFEST_HEADER)]
    at = MANIFEST_HEADER
    while at < len(content):
        end = at + -(-(MANIFEST_RECORD + _number(content, at + 4, 4)) // 8) * 8
        found += [Region("record header", at, at + 16), Region("record payload", at + 16, end)]
        at = end
    return found


_FINDERS = {"table": _table, "segment": _segment, "ring": _ring, "manifest": _manifest}


# ---- what happens


def apply(damage: Damage, files: Files, older: dict[str, list[bytes]]) -> Files:
    """The files after it; those that did not change are the same objects."""
    after = dict(files)
    content = files[damage.file]
    at, more = damage.at, damage.more
    if damage.kind == "flip":
        changed = bytearray(content)
        changed[at >> 3] ^= 1 << (at & 7)
        after[damage.file] = bytes(changed)
    elif damage.kind == "zero":
        after[damage.file] = content[:at] + bytes(more) + content[at + more :]
    elif damage.kind == "truncate":
        after[damage.file] = content[:at]
    elif damage.kind == "extend":
        after[damage.file] = content + _garbage(at, more)
    elif damage.kind == "noise":
        after[damage.file] = content[:at] + _garbage(at, more) + content[at + more :]
    elif damage.kind == "swap":
        after[damage.file], after[damage.other] = files[damage.other], content
    elif damage.kind == "older":
        after[damage.file] = older[damage.file][at]
    elif damage.kind == "duplicate":
        after[damage.other] = older[damage.file][at] if more else content
    else:
        assert damage.kind == "delete"
        del after[damage.file]
    return after


def _garbage(seed: int, size: int) -> bytes:
    return bytes(size) if seed % 3 == 0 else random.Random(seed).randbytes(size)


# ---- all of it


def population(files: Files, older: dict[str, list[bytes]], seed: int) -> tuple[list[Damage], list[Damage]]:
    """Damage of whole files, which is always tried, and of bytes and lengths, of which a run may take a sample."""
    rng = random.Random(seed)
    whole = [*_whole_files(files, older)]
    fine: list[Damage] = []
    for name, content in sorted(files.items()):
        for region in regions(name, content):
            fine += _flips(name, content, region, rng)
            fine += _ranges(name, region, rng)
        fine += _lengths(name, content, rng)
    return whole, fine


def _flips(name: str, content: bytes, region: Region, rng: random.Random) -> Iterator[Damage]:
    bits = range(region.begin * 8, region.end * 8)
    chosen: list[int] | range = bits
    if len(content) > SMALL_FILE_BYTES and len(bits) > FLIPS_PER_REGION:
        chosen = rng.sample(bits, FLIPS_PER_REGION)
    return (Damage("flip", name, region.name, bit) for bit in chosen)


def _ranges(name: str, region: Region, rng: random.Random) -> Iterator[Damage]:
    size = region.end - region.begin
    yield Damage("zero", name, region.name, region.begin, size)
    for _ in range(8):
        at = rng.randrange(region.begin, region.end)
        length = min(rng.choice((1, 2, 8, 64, 512)), region.end - at)
        yield Damage("zero", name, region.name, at, length)
        yield Damage("noise", name, region.name, at, length)


def _lengths(name: str, content: bytes, rng: random.Random) -> Iterator[Damage]:
    lengths: list[int] | range = range(len(content))
    if len(content) > CUTS_PER_FILE:
        edges = {r.begin for r in regions(name, content)}
        lengths = sorted(edges | set(rng.sample(range(len(content)), CUTS_PER_FILE)))
    yield from (Damage("truncate", name, "length", at) for at in lengths)
    for more in (1, 7, 8, 32, 128, 512, 4096):
        yield Damage("extend", name, "length", rng.randrange(1 << 20) * 3, more)
        yield Damage("extend", name, "length", rng.randrange(1 << 20) * 3 + 1, more)


def _whole_files(files: Files, older: dict[str, list[bytes]]) -> Iterator[Damage]:
    kinds = {name: names.parse(name) for name in files}
    for name in sorted(files):
        yield Damage("delete", name, "file")
        for at in range(len(older.get(name, ()))):
            yield Damage("older", name, "file", at)
        for other in sorted(files):
            if name < other and (kinds[name] or ("", 0))[0] == (kinds[other] or ("", 0))[0]:
                yield Damage("swap", name, "file", other=other)
    for name in sorted(older):
        kind = kinds.get(name) or names.parse(name)
        for new in _new_names(kind):
            if new not in files:
                copies = older[name]
                yield from (Damage("duplicate", name, "file", at, 1, new) for at in range(len(copies)) if name in files)
                if name in files:
                    yield Damage("duplicate", name, "file", other=new)


def _new_names(kind: tuple[str, int] | None) -> list[str]:
    """Other names of the same kind: below, just above, far above."""
    makers = {"table": names.table_name, "segment": names.segment_name, "manifest": names.manifest_name}
    if kind is None or kind[0] not in makers:
        return []
    number = kind[1]
    return [makers[kind[0]](n) for n in (max(number - 1, 1), number + 1, number + 1000)]
