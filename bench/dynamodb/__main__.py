"""`python -m bench.dynamodb`: the table of ratios, JSON and a plot; `--load` instead loads many items."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.delivery import PlotError
from bench.dynamodb.doors import DOORS
from bench.dynamodb.loading import load
from bench.dynamodb.report import draw, save, table
from bench.dynamodb.run import measure

EXAMPLES = """\
examples:
  python -m bench.dynamodb                                  all that is installed, three rounds
  python -m bench.dynamodb --doors lsm,boto3 --rounds 1     quickly
  python -m bench.dynamodb --json run.json --plot run.svg   keep it
  python -m bench.dynamodb --load 1000000                   does loading hold its rate?
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.dynamodb",
        description="Measure DynamoDB in the process beside moto, dynalite and the JSON round trip of the items.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--doors", default=",".join(DOORS), help=f"which, of {', '.join(DOORS)}; lsm comes first")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="medians over so many (default 3)")
    parser.add_argument("--calls", type=int, default=2000, metavar="N", help="of the cheap operations in a round")
    parser.add_argument("--directory", metavar="DIR", help="where the databases lie (default: the temporary directory)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save every sample")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it; .svg or .png")
    parser.add_argument("--load", type=int, metavar="COUNT", help="load so many items and print the time of each tenth")
    options = parser.parse_args()
    if options.load is not None:
        return _load(options.load, options.directory)
    doors = options.doors.split(",")
    unknown = [door for door in doors if door not in DOORS]
    if unknown or doors[0] != "lsm":
        parser.error(f"--doors begins with lsm and names some of {', '.join(DOORS)}")
    figures = measure(
        doors,
        options.rounds,
        options.calls,
        directory=options.directory,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(table(figures, doors))
    if options.json is not None:
        save(figures, options.json)
    if options.plot is not None:
        try:
            draw(figures, doors, options.plot)
        except PlotError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _load(count: int, directory: str | None) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-dynamodb-", dir=directory) as place:
        seconds = load(Path(place), count)
    for part, second in enumerate(seconds, 1):
        print(f"tenth {part:2}: {second:7.2f} s, {count / len(seconds) / second:9,.0f} items/s")
    print(f"last to first: {seconds[-1] / seconds[0]:.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
