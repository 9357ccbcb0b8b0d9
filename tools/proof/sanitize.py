"""`prove.py sanitize`: the test suite on a compiled core that was built with AddressSanitizer and UBSan.

Guarantees: a finding of any process that the tests start is printed and fails the run, also where its test passes.
Needs gcc and what the tests need.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from proof.instrumented import build, default_place

__all__ = ["UNFIT", "add_sanitize", "findings"]

UNFIT = (
    "tests/test_docs.py",  # about texts: what it runs, other tests run
    "tests/test_stubs.py",  # about sources
    "tests/test_rot.py",  # forks children with little address space, of which ASan's shadow takes terabytes
    "tests/test_model.py",  # hours: thousands of operations for each of many option sets
)
"""Deselected unless tests are named."""

REPORTS = "sanitizer-reports"
FINDING = re.compile(r"ERROR: (\w+Sanitizer: .*)|([^\s:]+:\d+:\d+): (runtime error: .*)")


def findings(place: Path) -> dict[str, int]:
    """What the sanitizers reported, and how often: one line per kind and place."""
    counts: dict[str, int] = {}
    for report in sorted((place / REPORTS).glob("*")):
        for found in FINDING.finditer(report.read_text(errors="replace")):
            line = found[1] or f"{found[2]}: {found[3]}"
            line = re.sub(r"0x[0-9a-f]+", "0x...", line)
            counts[line] = counts.get(line, 0) + 1
    return counts


def _environment(place: Path) -> dict[str, str]:
    """The runtime comes first in every process; Python's own memory comes from malloc, where ASan sees its ends."""
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    reports = place / REPORTS
    return {
        **os.environ,
        "LD_PRELOAD": str(Path(runtime).resolve()),
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(place),
        "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:handle_abort=0:log_path={reports}/asan",
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={reports}/ubsan",
    }


def add_sanitize(subparsers: Any) -> None:
    command = subparsers.add_parser("sanitize", help="Run the tests under ASan and UBSan.", description=__doc__)
    command.set_defaults(run=_run)
    command.add_argument("--tests", nargs="+", metavar="TEST", help="what pytest is given; all but a few otherwise")
    command.add_argument("--deselect", nargs="+", default=[], metavar="TEST", help="tests to leave out")
    command.add_argument("--address", action="store_true", help="AddressSanitizer alone")
    command.add_argument("--undefined", action="store_true", help="UBSan alone")
    command.add_argument("--at", type=Path, help="where the copy is built; it is kept and brought up to date")


def _run(options: argparse.Namespace) -> int:
    chosen = [name for name in ("address", "undefined") if getattr(options, name)] or ["address", "undefined"]
    place = options.at or default_place("-".join(["sanitize", *chosen]))
    if shutil.which("gcc") is None:
        print("gcc is not there; install it: apt-get install gcc", file=sys.stderr)
        return 2
    print(f"building in {place} with -fsanitize={','.join(chosen)}", flush=True)
    build(place, LSM_SANITIZE=",".join(chosen), LSM_DEBUG="1", CC="gcc")
    shutil.rmtree(place / REPORTS, ignore_errors=True)
    (place / REPORTS).mkdir()
    status = subprocess.run(_pytest(options), cwd=place, env=_environment(place), check=False).returncode
    found = findings(place)
    for line, count in found.items():
        print(f"{count} x {line}")
    print(f"sanitizers: {len(found)} findings; reports in {place / REPORTS}; pytest's exit status {status}")
    return 1 if found or status else 0


def _pytest(options: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=900"]
    command.append("--hypothesis-profile=ci")  # no deadlines: everything is slow here
    left_out = [*options.deselect, *([] if options.tests else UNFIT)]
    return [*command, *(options.tests or ["tests"]), *(f"--deselect={name}" for name in left_out)]
