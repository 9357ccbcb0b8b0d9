"""How the loop stays awake: as long as requests come at once, and hardly ever where they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from lsm.server import lookout
from lsm.server.lookout import MISS, MOST, TRY, Lookout

AWAKE = 50.0


class Loop:
    """Runs what was asked for once a turn; a turn takes one unit of its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Callable[[], Any]] = []

    def call_soon(self, call: Callable[[], Any]) -> None:
        self.soon.append(call)

    def clock(self) -> float:
        return self.now

    def idle(self, time: float) -> int:
        """So much time without a request; the turns that were polled instead of slept."""
        end = self.now + time
        polled = 0
        while self.soon and self.now < end:
            self.now += 1
            polled += 1
            calls, self.soon = self.soon, []
            for call in calls:
                call()
        self.now = max(self.now, end)
        return polled


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setattr(lookout, "processors", lambda: 2)
    return Loop()


def made(loop: Loop, awake: float = AWAKE) -> Lookout:
    return Lookout(cast(asyncio.AbstractEventLoop, loop), awake, loop.clock)


def ask(loop: Loop, watcher: Lookout, count: int, pause: float) -> int:
    """So many requests, each so long after the answer before; the turns that were polled."""
    polled = 0
    for _ in range(count):
        watcher.heard()
        watcher.answered(loop.now)
        assert len(loop.soon) <= 1
        polled += loop.idle(pause)
    return polled


def test_it_polls_where_requests_follow_at_once(loop: Loop) -> None:
    watcher = made(loop)
    assert ask(loop, watcher, TRY - 1, 10) == 0
    assert ask(loop, watcher, 1000, 10) == 10 * 1000


def test_it_sleeps_where_they_do_not(loop: Loop) -> None:
    watcher = made(loop)
    assert ask(loop, watcher, 10 * TRY, 1000) == 10 * AWAKE
    assert not loop.soon


def test_it_ends_soon_after_the_last_request(loop: Loop) -> None:
    watcher = made(loop)
    ask(loop, watcher, 1000, 10)
    assert loop.idle(1e6) <= AWAKE
    assert not loop.soon
    assert watcher.until == 0


def test_clients_that_become_slow_are_given_up(loop: Loop) -> None:
    watcher = made(loop)
    ask(loop, watcher, 1000, 10)
    polled = ask(loop, watcher, 1000, 1000)
    assert polled <= AWAKE * (MOST / MISS + 1 + 1000 / TRY)


@pytest.mark.parametrize(("late", "polls"), [(3, True), (8, False)])
def test_it_goes_on_where_four_of_five_come(loop: Loop, late: int, polls: bool) -> None:
    watcher = made(loop)
    ask(loop, watcher, 1000, 10)
    polled = 0
    for n in range(1000):
        polled += ask(loop, watcher, 1, 1000 if n % 20 < late else 10)
    assert (polled > 5000) == polls


@pytest.mark.parametrize(("processors", "awake"), [(1, AWAKE), (2, 0.0)])
def test_never_on_one_processor_or_where_it_is_not_wanted(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, processors: int, awake: float
) -> None:
    monkeypatch.setattr(lookout, "processors", lambda: processors)
    assert ask(loop, made(loop, awake), 10 * TRY, 10) == 0
