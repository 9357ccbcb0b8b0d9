"""Parsed JSON of typed values, looked at once: whether it can be taken as it is.

Guarantees: True only where every value has one member, of the type that its name promises. Binaries, which JSON has in
base64, are never taken as they are. No state; any thread that holds the GIL.
"""

from typing import Any

def is_plain(values: Any) -> bool:
    """Whether this is a map of names to typed values without binaries, each as the service model has it."""
