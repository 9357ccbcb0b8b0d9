"""What every benchmark does with the figures of a run: print, save, draw, and show them again later."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

__all__ = ["PlotError", "deliver", "pyplot", "shown_again"]


class PlotError(Exception):
    """Nothing can be drawn; the message says what is missing."""


class Figures(Protocol):
    """Of a run."""

    def save(self, path: Path) -> None: ...


AnyFigures = TypeVar("AnyFigures", bound=Figures)


def pyplot() -> Any:
    """matplotlib's, without a display. Raises PlotError where it is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise PlotError("plots need matplotlib: pip install '.[bench]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as found

    return found


def deliver(
    results: AnyFigures,
    text: str,
    json: Path | None,
    plot: Path | None,
    *,
    draw: Callable[[AnyFigures, Path], None],
    failed: bool,
) -> int:
    """The exit status: 1 where the run failed or nothing could be drawn."""
    print(text)
    status = int(failed)
    if json:
        results.save(json)
        print(f"saved {json}", file=sys.stderr)
    if plot:
        try:
            draw(results, plot)
            print(f"drew {plot}", file=sys.stderr)
        except PlotError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


def shown_again(
    program: str, arguments: list[str], load: Callable[[Path], AnyFigures]
) -> tuple[AnyFigures, Path | None]:
    """A saved run, and where it is to be drawn; ends with usage where it cannot be read."""
    parser = argparse.ArgumentParser(f"{program} show", description="Prints the tables of a saved run again.")
    parser.add_argument("file", type=Path, help="what --json wrote")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw it (.svg, .png or .pdf)")
    options = parser.parse_args(arguments)
    try:
        return load(options.file), options.plot
    except (OSError, ValueError) as error:
        parser.error(f"cannot read {options.file}: {error}")
