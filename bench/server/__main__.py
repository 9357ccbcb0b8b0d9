"""`python -m bench.server`: starts the servers, prints figures and ratios, saves JSON, draws a plot."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.delivery import deliver, shown_again
from bench.results import describe_machine
from bench.server.engines import ENGINES
from bench.server.items import PER_COLLECTION
from bench.server.load import NoClientError
from bench.server.operations import GOTTEN, OPERATIONS
from bench.server.plot import draw
from bench.server.report import show
from bench.server.results import Results
from bench.server.run import Plan, measure

INTERRUPTED = 130
EXAMPLES = f"""\
engines:    {", ".join(list(ENGINES)[:3])},
            {", ".join(list(ENGINES)[3:])}
operations: {", ".join(OPERATIONS)}

examples:
  python -m bench.server --json bench/results/server.json --plot bench/results/server.svg
  python -m bench.server --engines lsm-process,dynoxide-memory --operations get,put --rounds 1
  python -m bench.server --one-processor --connections 1    what one request costs, waking processors left out
  python -m bench.server show bench/results/server.json     the tables of a saved run again
"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    return _show(given[1:]) if given[:1] == ["show"] else _run(given)


def _run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.one_processor:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # inherited by the servers and the client
    plan = Plan(
        options.engines,
        options.operations,
        options.connections,
        options.seconds,
        options.rounds,
        options.warm,
        options.items,
        options.directory,
    )
    results = Results(_meta(plan, options.one_processor))
    try:
        measure(plan, results)
    except NoClientError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; so far:", file=sys.stderr)
        if results.samples:
            _deliver(results, options.json, options.plot)
        return INTERRUPTED
    if len(results.missing) == len(plan.engines):
        print("no server to measure", file=sys.stderr)
        return 1
    return _deliver(results, options.json, options.plot)


def _meta(plan: Plan, one_processor: bool) -> dict[str, Any]:
    return {
        **describe_machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "warm": plan.warm,
        "items": plan.items,
        "one_processor": one_processor,
    }


def _show(arguments: list[str]) -> int:
    results, plot = shown_again("python -m bench.server", arguments, Results.load)
    return _deliver(results, None, plot)


def _deliver(results: Results, json: Path | None, plot: Path | None) -> int:
    """Servers that failed or answered wrongly are failures; figures below a goal are figures."""
    faults = any(sample.wrong for samples in results.samples.values() for sample in samples)
    return deliver(results, show(results), json, plot, draw=draw, failed=bool(results.failures) or faults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m bench.server",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Starts `lsm serve` and the other local DynamoDB endpoints that are installed, each in its own directory,\n"
            "sends all of them the same prebuilt requests over keep-alive connections from a compiled client, and\n"
            "prints requests a second, the ratios with the goals, latencies, CPU time and memory. Needs a C compiler.\n"
            "What is not installed is left out with a word on how to install it."
        ),
        epilog=EXAMPLES,
    )
    engines, operations = list(ENGINES), list(OPERATIONS)
    parser.add_argument("--engines", type=_names(engines), default=engines, metavar="A,B", help="see below (all)")
    parser.add_argument("--operations", type=_names(operations), default=operations, metavar="A,B", help="(all)")
    parser.add_argument("--connections", type=_counts, default=[1, 8, 64], metavar="N,M", help="(1,8,64)")
    parser.add_argument("--seconds", type=_seconds, default=3.0, metavar="S", help="of load in a cell (3)")
    parser.add_argument("--rounds", type=_positive, default=3, metavar="N", help="medians over so many (3)")
    parser.add_argument("--warm", type=_seconds, default=3.0, metavar="S", help="of each operation first (3)")
    parser.add_argument("--items", type=_items, default=10_000, metavar="N", help="in the table (10,000)")
    parser.add_argument("--one-processor", action="store_true", help="all share one; see bench/README.md")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="on the disk to be measured (temporary)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save every sample; `show FILE` prints it again")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it (.svg, .png or .pdf; needs matplotlib)")
    return parser


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        wanted = text.split(",")
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {name!r} among {', '.join(known)}")
        return [name for name in known if name in wanted]

    return names


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _counts(text: str) -> list[int]:
    return sorted({_positive(part) for part in text.split(",")})


def _items(text: str) -> int:
    """Enough for distinct keys in flight on many connections."""
    count = _positive(text.replace("_", ""))
    if count < 10 * GOTTEN or count % PER_COLLECTION:
        raise argparse.ArgumentTypeError(f"at least {10 * GOTTEN:,}, a multiple of {PER_COLLECTION}")
    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped then, too
    sys.exit(main())
