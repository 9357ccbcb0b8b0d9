"""A server from its first socket to its last byte: opening, TLS, signals, the graceful stop.

Guarantees: every request that was answered with success survives any way this ends; on the graceful one requests that
have begun to arrive are answered, and the database is closed. One server per process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from lsm.dynamodb.service import Durability, Service
from lsm.server.access_log import AccessLog
from lsm.server.authentication import Authentication
from lsm.server.dispatch import Dispatcher
from lsm.server.limits import Limits
from lsm.server.protocol import Connection

__all__ = ["STOPPED_AT_ONCE", "Settings", "run"]

BACKLOG = 4096
TICK = 1.0
HELD_UP = 3.0
"""Seconds from one tick to the next: what clients sent meanwhile may not be read yet, and nobody is judged by it."""
M_MMAP_THRESHOLD = -3
"""Of malloc.h."""
MAPPED = 256 << 10
"""Bytes from which on memory is mapped for itself."""
SWITCH = 0.0005
"""Seconds until a thread that computes lets the event loop go on."""
STOPPED_AT_ONCE = 130
"""Exit status after a second Ctrl-C."""


@dataclass(frozen=True)
class Settings:
    """Of one server. access_log: a path or `-`; ready: called with the server's address when it accepts."""

    host: str = "127.0.0.1"
    port: int = 8000
    durability: Durability = "power"
    authentication: Authentication = field(default_factory=Authentication)
    tls: ssl.SSLContext | None = None
    access_log: str | None = None
    limits: Limits = field(default_factory=Limits)
    ready: Callable[[str], None] = print


def run(service: Service, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then closes the service. OSError where the address cannot be had."""
    _allow_files(settings.limits.connections)
    _give_back_memory()
    # asyncio warns of clients that went away before they had their answers
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH)
    try:
        import uvloop

        new_loop: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ModuleNotFoundError:
        new_loop = None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(service, settings))


def _allow_files(connections: int) -> None:
    """As many file descriptors as connections ask for, where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 4096
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _give_back_memory() -> None:
    """Long answers and bodies get pages of their own, which go when they go: glibc would come to keep them in heaps
    that only grow."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED)


async def _serve(service: Service, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    log = AccessLog(settings.access_log) if settings.access_log is not None else None
    dispatcher = Dispatcher(
        service,
        limits=settings.limits,
        authentication=settings.authentication,
        durable=settings.durability == "power",
        log=log,
    )
    stop = asyncio.Event()

    def stopped() -> None:
        if stop.is_set():
            # what was acknowledged is in the log, which the next opening reads
            os._exit(STOPPED_AT_ONCE)
        stop.set()

    server = await loop.create_server(
        lambda: cast(asyncio.Protocol, Connection(dispatcher)),
        settings.host,
        settings.port,
        ssl=settings.tls,
        backlog=BACKLOG,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped)
    if log is not None:
        loop.add_signal_handler(signal.SIGHUP, log.reopen)
    dispatcher.start()
    ticking = loop.create_task(_tick(dispatcher, log))
    gc.collect()
    gc.freeze()
    settings.ready(_address(server.sockets[0], settings))
    await stop.wait()
    server.close()
    await _drained(dispatcher)
    ticking.cancel()
    # signals are answered meanwhile
    await loop.run_in_executor(None, _closed, dispatcher, service)
    if log is not None:
        log.close()


async def _tick(dispatcher: Dispatcher, log: AccessLog | None) -> None:
    ticks = 0
    while True:
        await asyncio.sleep(TICK)
        before = dispatcher.now
        dispatcher.tick()
        ticks += 1
        if ticks % 2 == 0 and dispatcher.now - before < HELD_UP:
            dispatcher.sweep()
        if log is not None:
            log.flush()


async def _drained(dispatcher: Dispatcher) -> None:
    """Until every request that has begun to arrive is answered, or the time for it is over."""
    dispatcher.stop()
    left = dispatcher.limits.stop_seconds
    while dispatcher.connections and left > 0:
        await asyncio.sleep(0.02)
        left -= 0.02
    dispatcher.end_loop()


def _closed(dispatcher: Dispatcher, service: Service) -> None:
    dispatcher.close()
    service.close()


def _address(listening: socket.socket, settings: Settings) -> str:
    name: Any = listening.getsockname()
    host = f"[{name[0]}]" if ":" in str(name[0]) else name[0]
    return f"{'http' if settings.tls is None else 'https'}://{host}:{name[1]}"
