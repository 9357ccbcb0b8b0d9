"""libFuzzer as a library: the driver is built with clang, the core with its instrumentation, in a copy of the project.

Guarantees: the project's own build is not touched. One run per copy and target at a time.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proof.instrumented import build

__all__ = ["MISSING", "Run", "build_all", "merge", "missing", "run"]

MISSING = "clang with its runtime is not there; install it: apt-get install clang libclang-rt-dev (or llvm's packages)"
MALLOC_LIMIT_MB = 256
"""No single allocation for an input of a few KiB may be above this: what asks for more trusts a length."""

RUNTIME = "libfuzzer.so"
COUNTERS = """
/* Lines of Python: the driver counts them, libFuzzer looks here. As many as driver.pyx says. */
unsigned char lsm_lines[1 << 14] __attribute__((section("__libfuzzer_extra_counters"), used));
"""


def _runtime(name: str, ending: str) -> str:
    file = f"libclang_rt.{name}-{platform.machine()}.{ending}"
    return subprocess.run(
        ["clang", f"-print-file-name={file}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def missing() -> str | None:
    """What has to be installed, in one line, or None."""
    if shutil.which("clang") is None or not os.path.exists(_runtime("fuzzer_no_main", "a")):
        return MISSING
    return None


def build_all(place: Path) -> None:
    """The instrumented core and the driver."""
    sanitize = "address,undefined,fuzzer-no-link"
    build(place, LSM_SANITIZE=sanitize, LSM_DEBUG="1", CC="clang", LDSHARED="clang -shared")
    _build_driver(place)


def _build_driver(place: Path) -> None:
    source = place / "tools/proof/fuzzing/driver.pyx"
    made, library = place / "build/fuzz_driver.c", place / "fuzz_driver.so"
    if library.exists() and library.stat().st_mtime > source.stat().st_mtime:
        return
    made.parent.mkdir(exist_ok=True)
    cython = [sys.executable, "-m", "cython", "--module-name", "fuzz_driver", str(source), "-o", str(made)]
    subprocess.run(cython, check=True)
    shared = ["clang", "-shared", "-fPIC", "-O1"]
    subprocess.run([*shared, f"-I{sysconfig.get_path('include')}", str(made), "-o", str(library)], check=True)
    counters = place / "build/counters.c"
    counters.write_text(COUNTERS)
    whole = ["-Wl,--whole-archive", _runtime("fuzzer_no_main", "a"), "-Wl,--no-whole-archive"]
    command = [*shared, str(counters), "-o", str(place / RUNTIME), *whole]
    subprocess.run([*command, "-l:libstdc++.so.6", "-lpthread", "-lm"], check=True)


def environment(place: Path) -> dict[str, str]:
    """libFuzzer comes first, because ASan's runtime has empty functions of the same names for coverage."""
    quiet = "detect_leaks=0:handle_abort=0:allocator_may_return_null=0:verify_asan_link_order=0"
    return {
        **os.environ,
        "LD_PRELOAD": f"{place / RUNTIME} {_runtime('asan', 'so')}",
        "PYTHONPATH": f"{place}{os.pathsep}{place / 'tools'}",
        "PYTHONMALLOC": "malloc",
        "PYTHONHASHSEED": "0",
        "ASAN_OPTIONS": quiet,
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def _program(place: Path, target: str) -> Path:
    """libFuzzer over a target as one command, which libFuzzer itself starts again where it merges."""
    path = place / f"fuzz-{target}"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m proof.fuzzing.process {target} "$0" "$@"\n')
    path.chmod(0o755)
    return path


@dataclass
class Run:
    """What libFuzzer said at last. `edges`: of compiled code; `features`: also how often, and lines of Python."""

    executions: int = 0
    edges: int = 0
    features: int = 0
    corpus: int = 0
    corpus_bytes: str = "0b"
    seconds: float = 0.0
    crash: Path | None = None
    log: str = ""


STATE = re.compile(r"#(\d+)\s+\w+\s+(?:cov: (\d+) )?ft: (\d+) corp: (\d+)/(\w+)")


def run(place: Path, target: str, arguments: Sequence[str], echo: bool = False) -> Run:
    """Runs libFuzzer over a target in an instrumented process; its output to the terminal with `echo`."""
    command = [str(_program(place, target)), *arguments, f"-malloc_limit_mb={MALLOC_LIMIT_MB}", "-rss_limit_mb=4096"]
    command += ["-detect_leaks=0", "-print_final_stats=1"]
    started = subprocess.Popen(
        command, cwd=place, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    lines = []
    assert started.stdout is not None
    for line in started.stdout:
        lines.append(line)
        if echo:
            print(line, end="", flush=True)
    started.wait()
    return _parsed("".join(lines), started.returncode)


def _parsed(log: str, status: int) -> Run:
    result = Run(log=log)
    for found in STATE.finditer(log):
        result.executions, result.edges = int(found[1]), int(found[2] or 0)
        result.features, result.corpus, result.corpus_bytes = int(found[3]), int(found[4]), found[5]
    if counted := re.search(r"stat::number_of_executed_units: (\d+)", log):
        result.executions = int(counted[1])
    if wrote := re.search(r"Test unit written to (\S+)", log):
        result.crash = Path(wrote[1])
    if status and result.crash is None:
        result.crash = Path("none")
    return result


def merge(place: Path, target: str, into: Path, sources: Sequence[Path]) -> None:
    """Leaves in `into` few inputs that reach all that the inputs of `sources` reach."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    run(place, target, ["-merge=1", str(into), *map(str, sources)])
