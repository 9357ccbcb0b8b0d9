"""A copy of the project, built with sanitizers: what `prove.py sanitize` and `prove.py fuzz` run.

Guarantees: the project's own build is not touched; a copy is brought up to date file by file, so that a second build is
short. One run at a time per copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PARTS", "ROOT", "build", "default_place", "refresh"]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("ext", "lsm", "tools", "tests", "bench", "docs", ".ci")
PARTS = (*FOLDERS, "setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore")
LEFT_OUT = {"__pycache__", "results", ".mypy_cache", ".pytest_cache"}
BUILT = {".so", ".c", ".html"}


def default_place(name: str) -> Path:
    """Where a copy stands unless told otherwise: outside the project, so that no tool finds it there."""
    return Path(tempfile.gettempdir()) / f"lsm-{name}-{os.getuid()}"


def refresh(place: Path) -> None:
    """Makes `place` a copy of the sources: what changed is copied, what is gone is removed, what was built stays."""
    wanted = set()
    for source in _sources():
        relative = source.relative_to(ROOT)
        wanted.add(relative)
        _copy_newer(source, place / relative)
    for part in PARTS:
        for found in (place / part).rglob("*"):
            relative = found.relative_to(place)
            if found.is_file() and relative not in wanted and found.suffix not in BUILT and not _left_out(relative):
                found.unlink()


def _sources() -> Iterator[Path]:
    for part in PARTS:
        path = ROOT / part
        found = path.rglob("*") if path.is_dir() else [path]
        for file in found:
            if file.is_file() and file.suffix not in BUILT and not _left_out(file.relative_to(ROOT)):
                yield file


def _left_out(relative: Path) -> bool:
    return bool(LEFT_OUT.intersection(relative.parts))


def _copy_newer(source: Path, target: Path) -> None:
    """Times are kept: they say what was changed, here as to the compiler."""
    if target.exists() and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def build(place: Path, **variables: str) -> None:
    """Builds the compiled core in place; CalledProcessError where that fails, after its output."""
    refresh(place)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=place, env={**os.environ, **variables}, check=True)
