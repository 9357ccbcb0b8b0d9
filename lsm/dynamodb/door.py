"""How a front door wants items: operations hand it encoded items, or typed ones where they had to look inside.

The operations call nothing else of a front door. No state, any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsm import WouldWaitError
from lsm.item_codec import decode_item

__all__ = ["TYPED", "Door"]


@dataclass(frozen=True, slots=True)
class Door:
    """encoded: renders an item's stored bytes; several: a list of them. typed: renders an Item (see
    requests/forms.py), a part of one, too; items whose number sets stand in hash order (rules 5.2) go through it.

    patience: bytes of items that one request may read before it is to be carried out elsewhere, which WouldWaitError
    says; None for any number.
    """

    encoded: Callable[[bytes], Any]
    typed: Callable[[dict[str, Any]], Any]
    several: Callable[[list[bytes]], Any]
    patience: int | None = None

    def check(self, size: int) -> None:
        """After reading so many bytes."""
        if self.patience is not None and size > self.patience:
            raise WouldWaitError("this takes more than the caller has patience for")


def _as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    return item


def _decoded(items: list[bytes]) -> list[dict[str, Any]]:
    return [decode_item(data) for data in items]


TYPED = Door(decode_item, _as_it_is, _decoded)
"""For Python callers: dicts of typed values, binaries as bytes."""
