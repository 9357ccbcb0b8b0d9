"""What runs inside an instrumented process: libFuzzer over one target, or the replay of single inputs.

    python -m proof.fuzzing.process TARGET PROGRAM LIBFUZZER_ARGUMENT...

PROGRAM is what libFuzzer starts with arguments of its own, to merge: this very command.

Started by `engine` with the sanitizers' runtime loaded first; ends as libFuzzer ends.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

from proof.fuzzing import native
from proof.fuzzing.targets import TARGETS

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    driver = importlib.import_module("fuzz_driver")
    target = TARGETS[arguments[0]]
    native.exact = driver.exact
    files = [importlib.import_module(f"lsm.{name}").__file__ for name in target.traced]
    target.run(b"")  # what is done once, imports above all, is no coverage
    return int(driver.run(arguments[1:], target.run, files))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
