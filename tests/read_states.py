"""What tests of offline tools ask of a sound manifest, read without the engine; no child process needs it."""

from __future__ import annotations

from pathlib import Path

from lsm_tools.format_bytes import Faults
from lsm_tools.format_directory import Directory
from lsm_tools.format_manifest import State


def state_of(path: Path) -> State:
    """What the manifest of a sound database says, read without the engine."""
    faults = Faults()
    state = Directory(str(path), faults).state
    assert faults == []
    assert state is not None
    return state
