"""Answers that are held for a moment: together, in their order, never long, never many, never lost."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from lsm.server.lookout import Lookout
from lsm.server.outbox import MOST, SECONDS, Outbox
from lsm.server.protocol import Connection
from lsm.server.requests import Head, Request
from server.test_lookout import Loop

REQUEST = Request(Head("POST", b"/", b"", []), {}, b"", True)


class Client:
    """Stands in for a connection: it notes what it is given and when."""

    def __init__(self, loop: Loop, name: int, sent: list[tuple[int, bytes, bool, float]]) -> None:
        self.loop = loop
        self.name = name
        self.sent = sent

    def answer(self, request: Request, message: bytes, last: bool) -> None:
        assert request is REQUEST
        self.sent.append((self.name, message, last, self.loop.now))


class World:
    def __init__(self) -> None:
        self.loop = Loop()
        self.sent: list[tuple[int, bytes, bool, float]] = []
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.outbox = Outbox(loop, Lookout(loop, 0.0, self.loop.clock), self.loop.clock)

    def add(self, name: int, last: bool = False) -> None:
        client: Any = Client(self.loop, name, self.sent)
        self.outbox.add(cast(Connection, client), REQUEST, b"%d" % name, last, self.loop.now)

    def turn(self) -> None:
        """One turn of the loop that takes no time."""
        calls, self.loop.soon = self.loop.soon, []
        for call in calls:
            call()


@pytest.fixture
def world() -> World:
    return World()


def test_an_answer_alone_leaves_with_the_second_turn(world: World) -> None:
    world.add(1)
    assert not world.sent
    world.turn()
    assert not world.sent
    world.turn()
    assert world.sent == [(1, b"1", False, 0.0)]
    assert not world.loop.soon


def test_answers_wait_while_turns_bring_more_and_leave_in_their_order(world: World) -> None:
    for n in range(10):
        world.add(2 * n)
        world.add(2 * n + 1, last=n == 4)
        world.turn()
        assert not world.sent
    world.turn()
    assert [(name, last) for name, _, last, _ in world.sent] == [(n, n == 9) for n in range(20)]


def test_no_more_than_so_many_are_held(world: World) -> None:
    for n in range(3 * MOST + 1):
        world.add(n)
    assert len(world.sent) == 3 * MOST
    world.turn()
    world.turn()
    world.turn()
    assert [name for name, *_ in world.sent] == list(range(3 * MOST + 1))
    assert not world.loop.soon


def test_no_longer_than_a_moment(world: World) -> None:
    world.add(1)
    while world.loop.now <= 2 * SECONDS and not world.sent:
        world.loop.now += SECONDS / 4
        world.add(2)
        world.turn()
    assert SECONDS < world.loop.now <= 1.5 * SECONDS


def test_after_all_were_sent_it_begins_anew(world: World) -> None:
    for round_ in range(5):
        for n in range(MOST + 3):
            world.add(round_ * 1000 + n)
            if n % 7 == 0:
                world.turn()
        while world.loop.soon:
            world.turn()
        assert len(world.sent) == (round_ + 1) * (MOST + 3)
    assert [name for name, *_ in world.sent] == sorted(name for name, *_ in world.sent)


def test_after_a_full_round_answers_still_wait_while_turns_bring_more(world: World) -> None:
    for n in range(MOST):
        world.add(n)
    assert len(world.sent) == MOST
    for n in range(5):
        world.add(n)
        world.turn()
        assert len(world.sent) == MOST
    world.turn()
    assert len(world.sent) == MOST + 5
