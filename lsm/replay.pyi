from typing import Literal

from lsm.engine import Engine
from lsm.wal_recovery import RecoveredLog

class Replay:
    """One pass over a recovered log. `step` until it returns None."""

    keep_in_memory: bool

    def __init__(self, engine: Engine, log: RecoveredLog, from_sequence: int, known_ids: int) -> None: ...
    @property
    def frames(self) -> int: ...
    @property
    def changes(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def place(self) -> tuple[str, int]:
        """(path, offset) of the frame that the last step was at."""

    def step(self) -> tuple[Literal["record"], int, int, bytes, bytes, int] | tuple[Literal["full"]] | None: ...
