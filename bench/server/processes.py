"""What the operating system knows of a server's process and its descendants: CPU time and resident memory (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PARENT, USER, SYSTEM, CHILD_USER, CHILD_SYSTEM = 1, 11, 12, 13, 14  # proc(5), /proc/pid/stat, counted behind the name


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[PARENT]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the family, with that of its members that have ended."""
    fields = [stat for member in family(pid) if (stat := _stat(member))]
    ticks = sum(int(stat[place]) for stat in fields for place in (USER, SYSTEM, CHILD_USER, CHILD_SYSTEM))
    return ticks / TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of the family; pages that members share count once for each."""
    total = 0
    for member in family(pid):
        try:
            pages = int(Path(f"/proc/{member}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold anything; none for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
