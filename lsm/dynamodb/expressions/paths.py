"""Document paths of updates and projections: those that overlap or contradict each other. Rules 3.4. No state."""

from __future__ import annotations

from collections.abc import Sequence

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.syntax import Parts, show_path

__all__ = ["clash"]


def clash(kind: str, paths: Sequence[Parts]) -> ApiError | None:
    """The first two paths, in the order written, that cannot stand together."""
    if len(paths) < 2:
        return None
    if len({path[0] for path in paths}) == len(paths):
        return None
    for later in range(1, len(paths)):
        for earlier in range(later):
            if (how := _how(paths[earlier], paths[later])) is not None:
                return faults.invalid(
                    kind,
                    f"Two document paths {how} with each other; must remove or rewrite one of these paths; "
                    f"path one: {show_path(paths[earlier])}, path two: {show_path(paths[later])}",
                )
    return None


def _how(one: Parts, two: Parts) -> str | None:
    for a, b in zip(one, two, strict=False):
        if isinstance(a, int) != isinstance(b, int):
            return "conflict"
        if a != b:
            return None
    return "overlap"
