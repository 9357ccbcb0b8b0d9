"""Time, randomness and sleeping, as the layer takes them: tests put their own in place and move time by hand.

No state beyond the system's; any thread.
"""

from __future__ import annotations

import time
import uuid

__all__ = ["Clock"]


class Clock:
    """The system's clock and randomness."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Returns after about so long."""
        time.sleep(seconds)

    def unique(self) -> str:
        """A new UUID as text, lower-case."""
        return str(uuid.uuid4())
