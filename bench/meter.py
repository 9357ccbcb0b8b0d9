"""What the operating system knows of this process (memory, bytes written) and of a directory (bytes on disk)."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

CLEAR_PEAK = "5"  # proc(5), /proc/pid/clear_refs: resets the peak resident set size


class Memory:
    """Peak resident memory since this object was made, without what was resident then: the harness and its records."""

    def __init__(self) -> None:
        _give_back_freed()
        self._resettable = _reset_peak()
        self.before = _status_bytes("VmRSS") if self._resettable else _peak_of_life()

    def peak_growth(self) -> int:
        peak = _status_bytes("VmHWM") if self._resettable else _peak_of_life()
        return max(peak - self.before, 0)


def written_bytes() -> int | None:
    """Bytes this process had written towards storage, dirtied pages of mapped files included; None where unknown."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes")), None)


def disk_bytes(path: Path) -> int:
    """Allocated bytes of all files under `path`; a hole in a sparse file takes none."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def _give_back_freed() -> None:
    """What the harness freed leaves the resident set: reused, it would hide as much of an engine that uses malloc."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text(CLEAR_PEAK)
    except OSError:
        return False
    return True


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise LookupError(f"/proc/self/status has no {field}")


def _peak_of_life() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
