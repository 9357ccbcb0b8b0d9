"""A simulation as pictures: lines over time and the shape of the levels, as text for a terminal and as SVG.

Guarantees: pure functions from results to text; equal results give equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from lsm.options import CompactionOptions
from lsm.picker import level_targets
from lsm.report import amount, columns
from lsm.version import PartitionVersion
from lsm_tools.simulate_run import Sample, Simulation

__all__ = ["CURVES", "levels_as_text", "plot", "svg"]

WIDTH: Final = 64
HEIGHT: Final = 8
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
KEY_SCALE: Final = 1 << 56

Points = Sequence[tuple[float, float | None]]

CURVES: Final = {
    "write amplification": "bytes written for each byte put",
    "read amplification": "tables a get may have to ask",
    "space amplification": "bytes stored for each byte of live data",
    "level 0": "tables",
}


def points(samples: Sequence[Sample], curve: str) -> Points:
    """(operations, value); None where there is no value."""
    member = {"write amplification": "write", "read amplification": "read", "space amplification": "space"}
    return [(s.operations, getattr(s, member.get(curve, "level0"))) for s in samples]


def plot(title: str, curve: Points, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """The highest value of each stretch of time, as columns of eighths."""
    columns_ = _buckets(curve, width)
    top = max((value for value in columns_ if value is not None), default=0.0) or 1.0
    lines = [f"{title}, at most {top:,.2f}"]
    for row in range(height, 0, -1):
        label = f"{top * row / height:>9,.2f}" if row in (height, (height + 1) // 2) else " " * 9
        lines.append(f"{label} │{''.join(_cell(value, top, row, height) for value in columns_)}".rstrip())
    last = curve[-1][0] if curve else 0
    lines.append(f"{0:>9} └{'─' * width}")
    lines.append(f"{'':10} 0{f'{last:,.0f} operations':>{width - 1}}")
    return lines


def _buckets(curve: Points, width: int) -> list[float | None]:
    """A stretch without a sample shows what was before it."""
    last = curve[-1][0] if curve else 0
    found: list[float | None] = [None] * width
    for x, value in curve:
        at = min(width - 1, int(x * width / last)) if last else 0
        if value is not None:
            found[at] = max(value, found[at] or 0.0)
    for at in range(1, width):
        if found[at] is None:
            found[at] = found[at - 1]
    return found


def _cell(value: float | None, top: float, row: int, height: int) -> str:
    if value is None:
        return " "
    filled = value / top * height - (row - 1)
    return EIGHTHS[max(0, min(8, round(filled * 8)))]


def levels_as_text(version: PartitionVersion, options: CompactionOptions) -> list[str]:
    """A row for each level: how much it holds, may hold, and how full that is."""
    targets = level_targets(options)
    most = max((version.level_bytes(level) for level in range(len(version.levels))), default=0) or 1
    rows = [["level", "tables", "bytes", "target", ""]]
    for level, tables in enumerate(version.levels):
        held = version.level_bytes(level)
        deepest = level == len(targets) - 1
        target = (
            f"{options.level0_compaction_tables} tables" if level == 0 else "-" if deepest else amount(targets[level])
        )
        bar = "█" * round(held * 30 / most) or ("▏" if tables else "")
        rows.append([str(level), f"{len(tables):,}", amount(held), target, bar.ljust(30)])
    return [line.rstrip() for line in columns(rows, left=1, indent="  ")]


# ---- SVG

PANEL_WIDTH: Final = 640
PANEL_HEIGHT: Final = 120
LEFT: Final = 70
TOP: Final = 30
GAP: Final = 40
COLORS: Final = ("#0b6e99", "#b3471d", "#3f7d3a", "#6b4fa0")
LEVEL_HEIGHT: Final = 18


def svg(title: str, result: Simulation, options: CompactionOptions) -> str:
    """The four curves, and below them every table of the end as a box: its keys across, its level down."""
    curves = list(CURVES)
    parts = []
    for number, curve in enumerate(curves):
        top = TOP + 20 + number * (PANEL_HEIGHT + GAP)
        parts += _panel(curve, CURVES[curve], points(result.samples, curve), top, COLORS[number])
    top = TOP + 20 + len(curves) * (PANEL_HEIGHT + GAP)
    parts += _tables(result.version, top)
    height = top + 40 + (len(result.version.levels) + _level0_rows(result.version)) * (LEVEL_HEIGHT + 4)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + PANEL_WIDTH + 30}" height="{height}" '
        f'font-family="sans-serif" font-size="12">'
    )
    return "\n".join(
        [
            head,
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="{LEFT}" y="{TOP - 8}" font-size="15">{escape(title)}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _panel(title: str, unit: str, curve: Points, top: int, color: str) -> list[str]:
    values = [value for _, value in curve if value is not None]
    most = max(values, default=0.0) or 1.0
    last = curve[-1][0] if curve else 1
    bottom = top + PANEL_HEIGHT
    parts = [
        f'<text x="{LEFT}" y="{top - 6}">{escape(title)}: {escape(unit)}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}" fill="none" stroke="#bbb"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * PANEL_HEIGHT
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * share:,.2f}</text>')
    parts.append(f'<text x="{LEFT + PANEL_WIDTH}" y="{bottom + 14}" text-anchor="end">{last:,.0f} operations</text>')
    for run in _runs(curve):
        line = " ".join(
            f"{LEFT + x / max(1, last) * PANEL_WIDTH:.1f},{bottom - y / most * PANEL_HEIGHT:.1f}" for x, y in run
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"/>')
    return parts


def _runs(curve: Points) -> list[list[tuple[float, float]]]:
    """Stretches without a missing value."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in curve:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def _level0_rows(version: PartitionVersion) -> int:
    return max(0, len(version.levels[0]) - 1)


def _tables(version: PartitionVersion, top: int) -> list[str]:
    parts = [f'<text x="{LEFT}" y="{top - 6}">tables at the end: keys across, each box a table</text>']
    span = _span(version)
    row = 0
    for level, tables in enumerate(version.levels):
        parts.append(f'<text x="{LEFT - 6}" y="{_y(top, row) + 13}" text-anchor="end">level {level}</text>')
        for table in tables:
            low, high = (int.from_bytes(key, "big") / KEY_SCALE for key in (table.smallest, table.largest))
            x = LEFT + (low - span[0]) / (span[1] - span[0]) * PANEL_WIDTH
            width = max(1.0, (high - low) / (span[1] - span[0]) * PANEL_WIDTH)
            garbage = (table.tombstones + table.shadowed) / max(1, table.entries)
            parts.append(
                f'<rect x="{x:.1f}" y="{_y(top, row)}" width="{width:.1f}" height="{LEVEL_HEIGHT}" '
                f'fill="{_shade(garbage)}" stroke="white"><title>table {table.number}: {table.entries:,} entries, '
                f"{amount(table.file_bytes)}, {garbage:.0%} tombstones</title></rect>"
            )
            row += level == 0 and table is not tables[-1]  # tables of level 0 overlap: one under the other
        row += 1
    return parts


def _y(top: int, row: int) -> int:
    return top + 6 + row * (LEVEL_HEIGHT + 4)


def _shade(garbage: float) -> str:
    """From blue, all live, to red, all tombstones."""
    low, high = (0x4A, 0x90, 0xB8), (0xC0, 0x40, 0x30)
    return "#" + "".join(f"{round(a + (b - a) * min(1.0, garbage)):02x}" for a, b in zip(low, high, strict=True))


def _span(version: PartitionVersion) -> tuple[float, float]:
    lows = [int.from_bytes(t.smallest, "big") / KEY_SCALE for t in version.all_tables()]
    highs = [int.from_bytes(t.largest, "big") / KEY_SCALE for t in version.all_tables()]
    low, high = min(lows, default=0.0), max(highs, default=1.0)
    return (low, high) if high > low else (low, low + 1.0)
