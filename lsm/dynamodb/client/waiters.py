"""Waiters: table_exists and table_not_exists, with botocore's names, delays and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsm.dynamodb.client.exceptions import ClientError, WaiterError
from lsm.dynamodb.clock import Clock

__all__ = ["WAITERS", "Waiter"]

WAITERS = ("table_exists", "table_not_exists")
DELAY, ATTEMPTS = 20, 25


class Waiter:
    """What `client.get_waiter` returns."""

    def __init__(self, name: str, describe: Callable[..., dict[str, Any]], clock: Clock) -> None:
        self.name = name
        self._describe = describe
        self._clock = clock

    def wait(self, WaiterConfig: dict[str, Any] | None = None, **request: Any) -> None:
        """Returns when it is so; WaiterError after MaxAttempts looks, Delay seconds apart (WaiterConfig)."""
        config = WaiterConfig or {}
        attempts = int(config.get("MaxAttempts", ATTEMPTS))
        answer: dict[str, Any] = {}
        for attempt in range(attempts):
            done, answer = self._look(request)
            if done:
                return
            if attempt + 1 < attempts:
                self._clock.sleep(float(config.get("Delay", DELAY)))
        raise WaiterError(self.name, "Max attempts exceeded", answer)

    def _look(self, request: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        try:
            answer = self._describe(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise WaiterError(self.name, f"An error occurred: {error}", error.response) from error
            return self.name == "table_not_exists", error.response
        return self.name == "table_exists" and answer["Table"]["TableStatus"] == "ACTIVE", answer
