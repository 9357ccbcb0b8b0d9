"""Draws a run: per record count and workload, how many times faster lsm is than each peer, with the goals marked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.delivery import PlotError, pyplot
from bench.engines import ENGINES, OURS
from bench.goals import GOALS
from bench.report import rows_of_run
from bench.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"leveldb": "#4c78a8", "rocksdb": "#f58518", "lmdb": "#9d9da1"}
BAR_HEIGHT = 0.26
TICKS = (0.5, 1, 2, 3, 4, 6, 10, 20)
LIMITS = (0.3, 30.0)  # longer bars are cut: beyond it the table says how far


def draw(results: Results, path: Path) -> None:
    """Writes the plot to `path`; its suffix (.svg, .png, .pdf) chooses the format. Raises PlotError."""
    plots = pyplot()
    counts = results.record_counts
    rows = [row for row in rows_of_run() if any(_ratios(results, count, row.name) for count in counts)]
    if not rows:
        raise PlotError("nothing to draw: the run has no figures of lsm beside LevelDB, RocksDB or LMDB")
    figure, axes = plots.subplots(
        1, len(counts), figsize=(6.5 * len(counts) + 2, 0.42 * len(rows) + 1.6), sharey=True, squeeze=False
    )
    for axis, count in zip(axes[0], counts, strict=True):
        _panel(axis, results, count, [row.name for row in rows])
    axes[0][0].set_yticks(range(len(rows)), [row.title for row in rows])
    axes[0][0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle("How many times better lsm is than each peer; right of 1x lsm is ahead")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=len(COLORS) + 1, frameon=False)
    figure.tight_layout(rect=(0, 0.6 / figure.get_figheight(), 1, 1))
    figure.savefig(path)
    plots.close(figure)


def _panel(axis: Axes, results: Results, count: int, rows: list[str]) -> None:
    for place, (peer, color) in enumerate(COLORS.items()):
        bars = [(i, results.ratio(count, OURS, peer, row)) for i, row in enumerate(rows)]
        known = [(i, ratio) for i, ratio in bars if ratio]
        heights = [i + (place - 1) * BAR_HEIGHT for i, _ in known]
        widths = [ratio - 1 for _, ratio in known]
        axis.barh(heights, widths, BAR_HEIGHT, left=1, color=color, label=ENGINES[peer].title)
    aims = [(i, GOALS[row].aim_at(count)) for i, row in enumerate(rows) if row in GOALS]
    goals = [(aim, i) for i, aim in aims if aim is not None]
    axis.scatter([aim for aim, _ in goals], [i for _, i in goals], marker="|", s=220, color="black", label="goal")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xticks(TICKS, [f"{tick:g}x" for tick in TICKS])
    axis.minorticks_off()
    axis.set_xlim(*LIMITS)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(f"{count:,} records")


def _ratios(results: Results, count: int, row: str) -> list[float]:
    return [ratio for peer in COLORS if (ratio := results.ratio(count, OURS, peer, row))]
