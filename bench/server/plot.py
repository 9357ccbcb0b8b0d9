"""Draws a run: for each number of connections, requests a second of every server, operation by operation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.delivery import PlotError, pyplot
from bench.server.engines import ENGINES
from bench.server.operations import OPERATIONS
from bench.server.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

COLORS = {
    "lsm-process": "#1f5fa8",
    "lsm-power": "#6a9fd8",
    "lsm-memory": "#b5d0ee",
    "dynoxide-memory": "#e4572e",
    "dynoxide-disk": "#f2a58e",
    "dynamodb-local": "#f2b134",
    "dynalite": "#76a05b",
    "moto": "#9d9da1",
}
WIDTH = 0.84  # of all bars of an operation
LEGEND_INCHES = 2.7  # of one entry


def draw(results: Results, path: Path) -> None:
    """Writes the plot to `path`; its suffix (.svg, .png, .pdf) chooses the format. Raises PlotError."""
    plots = pyplot()
    counts = results.connections
    if not counts:
        raise PlotError("nothing to draw: the run has no figures")
    size = (4.2 * len(counts) + 2, 0.85 * len(results.operations) + 1.8)
    figure, axes = plots.subplots(1, len(counts), figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis, connections in zip(axes[0], counts, strict=True):
        _panel(axis, results, connections)
    titles = [OPERATIONS[name].title for name in results.operations]
    axes[0][0].set_yticks(range(len(titles)), titles)
    axes[0][0].invert_yaxis()
    figure.suptitle("Requests a second; longer is better")
    columns = int(size[0] // LEGEND_INCHES)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=columns, frameon=False)
    lines = -(-len(results.engines) // columns)
    figure.tight_layout(rect=(0, (0.3 + 0.25 * lines) / size[1], 1, 1))
    figure.savefig(path)
    plots.close(figure)


def _panel(axis: Axes, results: Results, connections: int) -> None:
    engines = results.engines
    height = WIDTH / len(engines)
    for place, engine in enumerate(engines):
        rates = [results.median(engine, operation, connections) or 0 for operation in results.operations]
        offset = (place - (len(engines) - 1) / 2) * height
        heights = [row + offset for row in range(len(rates))]
        axis.barh(heights, rates, height, color=COLORS[engine], label=ENGINES[engine].title)
    axis.set_xscale("log")
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(f"{connections} connection{'s' if connections > 1 else ''}")
