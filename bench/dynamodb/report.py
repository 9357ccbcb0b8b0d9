"""The table of a run, its JSON, and its plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.delivery import pyplot
from bench.dynamodb.doors import DOORS
from bench.dynamodb.run import MAKERS, Figures
from bench.dynamodb.workloads import WORKLOADS

__all__ = ["draw", "save", "table"]


def table(figures: Figures, doors: list[str]) -> str:
    """Microseconds of a call, ours in round trips of its items, and how many times longer the others take."""
    lines = []
    for kind in MAKERS:
        for indexed in (False, True):
            lines += ["", f"items of {kind}, {'two global indexes' if indexed else 'no index'}", _head(doors)]
            for workload in WORKLOADS:
                lines.append(_row(figures, doors, kind, indexed, workload.name, workload.least))
    for door, why in figures.missing.items():
        lines.append(f"{DOORS[door][0]} left out; {why}")
    return "\n".join(lines[1:])


def _head(doors: list[str]) -> str:
    cells = [f"{'microseconds a call':26}", f"{'round trip':>11}", *(f"{DOORS[door][0]:>17}" for door in doors)]
    return "".join([*cells, f"{'ours / trip':>13}", *(f"{DOORS[door][0]:>19}" for door in doors[1:])])


def _row(figures: Figures, doors: list[str], kind: str, indexed: bool, workload: str, least: float | None) -> str:
    trip = figures.median(kind, indexed, workload, "round trip")
    ours = figures.median(kind, indexed, workload, doors[0])
    cells = [f"{workload:26}", f"{trip or 0:11.1f}"]
    cells += [_micros(figures.median(kind, indexed, workload, door)) for door in doors]
    ratio = ours / trip if ours and trip else None
    below = "!" if ratio is not None and least is not None and ratio > least and not indexed else " "
    cells.append(f"{ratio:11.2f}x{below}" if ratio is not None else " " * 13)
    for door in doors[1:]:
        theirs = figures.median(kind, indexed, workload, door)
        cells.append(f"{theirs / ours:18.1f}x" if theirs and ours else f"{'-':>19}")
    return "".join(cells)


def _micros(value: float | None) -> str:
    return f"{'-':>17}" if value is None else f"{value:17.1f}"


def save(figures: Figures, path: Path) -> None:
    """Every sample."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"microseconds": figures.samples, "missing": figures.missing}, indent=1) + "\n")


def draw(figures: Figures, doors: list[str], path: Path) -> None:
    """Calls in round trips of their items, on a logarithmic scale; the suffix of `path` chooses the format. Raises
    PlotError."""
    plots = pyplot()
    figure, axes = plots.subplots(1, 2, figsize=(13, 4.6), sharey=True, squeeze=False)
    for axis, kind in zip(axes[0], MAKERS, strict=True):
        _panel(axis, figures, doors, kind)
    axes[0][0].set_yticks(range(len(WORKLOADS)), [workload.name for workload in WORKLOADS])
    axes[0][0].invert_yaxis()
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=len(doors), frameon=False)
    figure.suptitle("One call, in JSON round trips of its items; shorter is better")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path)
    plots.close(figure)


def _panel(axis: Any, figures: Figures, doors: list[str], kind: str) -> None:
    height = 0.8 / len(doors)
    for place, door in enumerate(doors):
        for row, workload in enumerate(WORKLOADS):
            trip = figures.median(kind, False, workload.name, "round trip")
            value = figures.median(kind, False, workload.name, door)
            if value and trip:
                axis.barh(
                    row + (place - (len(doors) - 1) / 2) * height,
                    value / trip,
                    height,
                    color=f"C{place}",
                    label=DOORS[door][0] if row == 0 else None,
                )
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_title(f"items of {kind}")
