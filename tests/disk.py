"""What a database holds on disk, in descriptors and in mappings, seen from outside.

Reads names and sizes only; may be called at any time, also while the database works.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 300.0


def sizes(path: Path, suffix: str = "") -> dict[str, int]:
    """Name to bytes of the files whose name ends with suffix.

    Looked at anew where one of them vanished: its successors may have come after the names were listed.
    """
    while True:
        names = [name for name in os.listdir(path) if name.endswith(suffix)]
        with contextlib.suppress(FileNotFoundError):
            return {name: os.stat(path / name).st_size for name in names}


def table_count(path: Path) -> int:
    return len(sizes(path, ".table"))


def table_bytes(path: Path) -> int:
    return sum(sizes(path, ".table").values())


def log_bytes(path: Path) -> int:
    return sum(sizes(path, ".log").values())


def deleted_files_held(path: Path) -> set[str]:
    """Files of this directory that are gone from it while this process holds them open or mapped. Linux only."""
    held = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    with open("/proc/self/maps") as maps:
        held.update(line.split(None, 5)[5].strip() for line in maps if line.count("/"))
    return {name for name in held if name.startswith(f"{path}/") and name.endswith(" (deleted)")}


def eventually(condition: Callable[[], bool]) -> bool:
    """Waits for background work: whether the condition came true. Patience guards against hanging; it is no measure."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
