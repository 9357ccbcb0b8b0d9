"""How a front door wants items: operations hand it encoded items, or typed ones where they had to look inside.

The operations call nothing else of a front door. No state, any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsm.item_codec import decode_item

__all__ = ["TYPED", "Door"]


@dataclass(frozen=True, slots=True)
class Door:
    """encoded: renders an item's stored bytes. typed: renders an Item (see requests/forms.py), a part of one, too.

    numeric_sets_hashed: unused by the typed door; operations pass items whose number sets stand in hash order
    (rules 5.2) through `typed`.
    """

    encoded: Callable[[bytes], Any]
    typed: Callable[[dict[str, Any]], Any]


def _as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    return item


TYPED = Door(decode_item, _as_it_is)
"""For Python callers: dicts of typed values, binaries as bytes."""
