"""Idempotency tokens of transactions: spent in the same commit as the transaction's writes, good for ten minutes.

Guarantees: a token survives a restart as its transaction does; of two calls with one token the second waits for the
first. A failed or cancelled transaction spends nothing. Any thread. Rules 11.3.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lsm import Batch, Keyspace
from lsm.dynamodb.clock import Clock
from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.limits import TOKEN_SECONDS
from lsm.dynamodb.locks import acquire
from lsm.waiting import about_to_wait

__all__ = ["TOKENS", "Charge", "Spent", "Tokens"]

TOKENS = "!tokens"
"""The name of the keyspace."""

STRIPES = 64
SWEEP_EVERY = 1000
MISMATCH = "The request uses the same client token as a previous, but non-identical request."


@dataclass(frozen=True, slots=True)
class Charge:
    """size: of the larger image of an item that the first call touched, in bytes."""

    table: str
    size: int


@dataclass(frozen=True, slots=True)
class Spent:
    charges: tuple[Charge, ...]


class Tokens:
    """The tokens of one database."""

    def __init__(self, keyspace: Keyspace[bytes], clock: Clock) -> None:
        self._keyspace = keyspace
        self._clock = clock
        self._locks = [threading.Lock() for _ in range(STRIPES)]
        self._spent = 0
        self.sweep()

    @contextmanager
    def held(self, token: str) -> Iterator[None]:
        """While a call with this token runs, others with it wait."""
        lock = acquire(self._locks[hash(token) % STRIPES])
        try:
            yield
        finally:
            lock.release()

    def find(self, token: str, fingerprint: bytes) -> Spent | None:
        """What the token was spent on, None where it is fresh; ApiError where it stood for another payload."""
        data = self._keyspace.get(token.encode())
        if data is None:
            return None
        record = json.loads(data)
        if record["until"] < self._clock.now():
            return None
        if record["fingerprint"] != fingerprint.hex():
            raise ApiError("IdempotentParameterMismatchException", MISMATCH)
        return Spent(tuple(Charge(table, size) for table, size in record["charges"]))

    def spend(self, batch: Batch, token: str, fingerprint: bytes, charges: list[Charge]) -> None:
        """Adds the token to the transaction's commit."""
        record = {
            "until": self._clock.now() + TOKEN_SECONDS,
            "fingerprint": fingerprint.hex(),
            "charges": [(charge.table, charge.size) for charge in charges],
        }
        batch.put(self._keyspace, token.encode(), json.dumps(record).encode())
        if self._spent >= SWEEP_EVERY:
            about_to_wait("the removal of old tokens")
            self._spent = 0
            self.sweep()
        self._spent += 1

    def sweep(self) -> None:
        """Removes tokens that are no longer good."""
        now = self._clock.now()
        for token, data in self._keyspace.scan():
            if json.loads(data)["until"] < now:
                self._keyspace.delete(token)
