"""A lock that tells a thread which holds it already from one that has to wait.

Guarantees: code that the collector or a signal runs in the middle of a critical section gets ReentrantError instead of
a deadlock or a half-made state. An exception out of a signal handler never leaves it held. Any thread.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from lsm.errors import ReentrantError

__all__ = ["Exclusive"]


class Exclusive:
    """`with exclusive():` is the critical section.

    The call only looks; the lock is the interpreter's own, whose taking and letting go no signal can come between.
    """

    def __init__(self, what: str) -> None:
        """`what` is named in the message: what cannot be begun while it is under way."""
        self._what = what
        self._lock = threading.RLock()

    def __call__(self) -> AbstractContextManager[object]:
        """Raises ReentrantError where this thread is inside already."""
        if self.owned:
            raise ReentrantError(
                f"{self._what} is under way in this thread; a finalizer or signal handler cannot begin it anew"
            )
        return self._lock

    @property
    def owned(self) -> bool:
        """Whether this thread is inside."""
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]
