"""One connection: bytes in, requests to the dispatcher one after the other, answers out in their order.

Guarantees: what a connection holds in memory is bounded, whatever the client sends or does not read; a fault of the
client ends the connection with an answer that says so, and which the client can still read. HTTP is parsed by
httptools. The event loop's thread only.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import deque
from typing import TYPE_CHECKING, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from lsm.server.limits import LONG_BODY
from lsm.server.requests import Head, Request, named, path_and_query

if TYPE_CHECKING:
    from lsm.server.dispatch import Dispatcher

__all__ = ["Connection"]

PIECE = 16 << 10
"""Bytes that are parsed at once: so many can hold only so many requests. Less than LONG_BODY."""
TURN = 64
"""Requests of one connection that are begun before the others have their turn."""
KEPT_UNSENT = 32 << 10
"""Bytes of answers that may wait in a connection before its next request is begun."""
REFUSED = 1000
"""Connections beyond the limit that are told so; more are only closed."""
LINGER_SECONDS = 4.0
"""For the client to end its side once ours has ended; closed earlier, it might lose the answer to a reset."""
STOP_SECONDS = 0.1
"""At a stop: for what clients have sent already to get here."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection:
    """heard: when the client last sent or read something, on the loop's clock. began: when its request did, or 0.

    busy: the dispatcher has a request of this connection. unsent: bytes of the messages that are not sent to their end.

    What arrives goes through `_unparsed` (at most one read: nothing more is read until it is parsed), the parser, and
    `_pending` (the requests of one piece); `_go_on` is the only one who takes from them.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.transport: asyncio.Transport | None = None
        self.parser = HttpRequestParser(self)
        self.heard = dispatcher.now
        self.busy = False
        self.gone = False
        self.unsent = 0
        self._left = 0
        self._written = 0
        self.peer = ""
        self._pending: deque[Request] = deque()
        self._unparsed = b""
        self._at = 0
        self._eof = False
        self._ended = 0.0
        self._stopping = False
        self._looping = False
        self._rests = False
        self._paused = False
        self._stuck = False
        self._refused = 0
        self._torn = b""
        self._forget_request()

    def _forget_request(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: bytes | bytearray = b""
        self._head_bytes = 0
        self._quiet_bytes = 0
        self._in_head = True
        self._reserved = 0
        self._waits_for_room = False
        self._expected = -1
        self._continues = False
        self.began = 0.0

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by class
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(KEPT_UNSENT)
        dispatcher = self._dispatcher
        self.heard = dispatcher.now
        if not dispatcher.welcome(self):
            if len(dispatcher.connections) > dispatcher.limits.connections + REFUSED:
                self.transport.abort()
            else:
                self._refuse(503)
                self._go_on()

    def data_received(self, data: bytes) -> None:
        self.heard = self._dispatcher.now
        if self._refused or self._ended:
            return
        if self._unparsed:
            self._unparsed = self._unparsed[self._at :] + data
            self._at = 0
        elif len(data) <= PIECE and not (self.busy or self._pending or self._stuck or self._waits_for_room):
            self._parse(data)
        else:
            self._unparsed = data
        self._go_on()

    def eof_received(self) -> bool:
        # a client may stop sending and still wait for what it asked; not so in TLS
        self._eof = True
        if self._ended or self._is_tls() or not (self.busy or self._pending or self._unparsed):
            return False
        self._go_on()
        return True

    def pause_writing(self) -> None:
        self._stuck = True
        assert self.transport is not None
        self._left = self.transport.get_write_buffer_size()
        # a message stays in memory until its last byte is sent
        self.unsent = max(self._left, self._written)
        self._dispatcher.clogged(self.unsent)

    def resume_writing(self) -> None:
        self._stuck = False
        self.heard = self._dispatcher.now
        unsent, self.unsent = self.unsent, 0
        self._dispatcher.drained(unsent)
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        unsent, self.unsent = self.unsent, 0
        self._dispatcher.goodbye(self)
        if unsent:
            self._dispatcher.drained(unsent)
        self._drop_input()

    def _drop_input(self) -> None:
        """Nothing that has arrived and is not begun will be."""
        bodies = self._dispatcher.bodies
        for request in self._pending:
            bodies.give_back(request.reserved)
        self._pending.clear()
        self._unparsed = b""
        if self._waits_for_room:
            bodies.forget(self._granted)
        elif self._reserved:
            bodies.give_back(self._reserved)
        self._forget_request()

    def _is_tls(self) -> bool:
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is not None

    def peer_name(self) -> str:
        """The client's address and port."""
        if not self.peer and self.transport is not None:
            name = self.transport.get_extra_info("peername")
            self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")
        return self.peer

    def is_local(self) -> bool:
        """Whether the client is on this machine."""
        return self.peer_name().rpartition(":")[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1")

    # ---- the parser

    def _parse(self, data: bytes) -> None:
        body, whole, in_head = len(self._body), len(self._pending), self._in_head
        while data:
            try:
                self.parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                # nothing else is spoken here; what follows is the next request, or this one's body
                data = self._torn + data[upgrade.args[0] :]
                self.parser = HttpRequestParser(self)
            except HttpParserCallbackError as error:
                traceback.print_exception(error, file=sys.stderr)
                self._refused = 500
                break
            except HttpParserError:
                self._refused = self._refused or 400
                break
        if self._in_head == in_head and len(self._pending) == whole:
            if in_head:
                self._count_head(len(data))
            elif len(self._body) == body:
                self._count_quiet(len(data))
        if self._refused:
            self._refuse(self._refused)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._dispatcher.limits.head_bytes:
            self._refused = self._refused or (431 if self._headers else 414)

    def _count_quiet(self, size: int) -> None:
        """Extensions of chunks and trailers: bytes of a body that add nothing to it."""
        self._quiet_bytes += size
        if self._quiet_bytes > self._dispatcher.limits.head_bytes:
            self._refused = self._refused or 431

    def on_message_begin(self) -> None:
        self.began = self._dispatcher.now

    def on_url(self, url: bytes) -> None:
        if self._torn:
            return
        self._url += url
        if len(self._url) > self._dispatcher.limits.line_bytes:
            self._refused = self._refused or 414

    def on_header(self, name: bytes, value: bytes) -> None:
        # trailers say nothing that is asked for here
        if self._in_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._torn:
            self._torn = b""
            return
        self._in_head = False
        limits = self._dispatcher.limits
        if self._head_bytes and sum(len(name) + len(value) + 4 for name, value in self._headers) > limits.head_bytes:
            self._refused = self._refused or 431
        for name, value in self._headers:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                # httptools has checked that it is a number, of 64 bits
                self._expected = min(int(value), limits.body_bytes + 1)
            elif size == 17 and name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._refused = self._refused or 501
            elif size == 6 and name.lower() == b"expect" and value.strip().lower() == b"100-continue":
                self._continues = self.parser.get_http_version() != "1.0"
        if self._expected > limits.body_bytes:
            self._refused = self._refused or 413
        if self._expected > LONG_BODY and not self._refused:
            self._reserve(self._expected)

    def on_body(self, part: bytes) -> None:
        if self._refused:
            return
        body = self._body
        if not body:
            self._body = part
            size = len(part)
        else:
            if type(body) is bytes:
                self._body = body = bytearray(body)
            body += part
            size = len(body)
        limit = self._dispatcher.limits.body_bytes
        if size > limit:
            self._refused = 413
        elif size > LONG_BODY and not self._reserved and not self._waits_for_room:
            # chunked: how much follows is not known
            self._reserve(limit)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        if self.parser.should_upgrade():
            self._torn = self._head_again()
            if self._torn:
                return
        path, query = path_and_query(self._url)
        headers = self._headers
        request = Request(
            Head(self.parser.get_method().decode("latin-1"), path, query, headers),
            named(headers),
            bytes(self._body),
            self.parser.should_keep_alive(),
            self._kept_room(),
        )
        self._forget_request()
        self._pending.append(request)

    def _head_again(self) -> bytes:
        """httptools ends a request that asks for another protocol with its head. Where a body follows: what makes a
        fresh parser read it."""
        framing = [
            b"%b: %b\r\n" % (name, value)
            for name, value in self._headers
            if name.lower() in (b"content-length", b"transfer-encoding")
        ]
        method = self.parser.get_method()
        if not framing or method == b"CONNECT":
            return b""
        connection = b"keep-alive" if self.parser.should_keep_alive() else b"close"
        return b"%b / HTTP/1.1\r\nConnection: %b\r\n%b\r\n" % (method, connection, b"".join(framing))

    # ---- from request to answer

    def _go_on(self) -> None:
        """Begins what waits and parses what came, as far as the client reads the answers."""
        if self._looping or self._rests or self.gone:
            return
        self._looping = True
        left = TURN
        while not (self.busy or self._stuck or self.gone or self._ended):
            if self._pending:
                if not left:
                    self._rests = True
                    asyncio.get_running_loop().call_soon(self._rested)
                    break
                left -= 1
                self.busy = True
                self._dispatcher.begin(self, self._pending.popleft())
            elif self._unparsed and not (self._refused or self._waits_for_room):
                self._parse(self._piece())
            else:
                break
        self._looping = False
        self._look_around()

    def _rested(self) -> None:
        self._rests = False
        self._go_on()

    def _piece(self) -> bytes:
        """The next bytes to parse: a body as far as it is there, else a few."""
        data, at = self._unparsed, self._at
        size = PIECE
        if not self._in_head and self._expected >= 0:
            size = max(size, self._expected - len(self._body))
        end = at + size
        if end < len(data):
            self._at = end
            return data[at:end]
        self._unparsed = b""
        self._at = 0
        return data[at:] if at else data

    def _look_around(self) -> None:
        """After everything that could be done was: whether to read on, to end, to ask for the body."""
        if self.gone or self._ended:
            return
        waiting = self.has_more()
        if not (waiting or self.busy or self._stuck):
            if self._is_over():
                self._end()
                return
            if self._continues and not (self._body or self._waits_for_room or self._refused):
                self._continues = False
                if self.transport is not None and not self.transport.is_closing():
                    self.transport.write(CONTINUE)
        if self._paused != (wait := (waiting and not self._refused) or self._waits_for_room):
            self._read_on(not wait)
            if self._stopping and not wait:
                self._end_soon()

    def _read_on(self, wanted: bool) -> None:
        transport = self.transport
        if transport is None or self._eof or transport.is_closing():
            return
        self._paused = not wanted
        if wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def is_last(self, request: Request) -> bool:
        """Whether the connection ends with the answer to this request, the one that was begun last."""
        return not request.keep_alive or (self._is_over() and not self.has_more())

    def _is_over(self) -> bool:
        """Whether nothing more comes: at a stop, unless a request has begun or may lie in a socket that is not read."""
        return self._eof or (self._stopping and not (self.began or self._paused))

    def has_more(self) -> bool:
        """Whether requests of this connection wait for the one that was begun."""
        return bool(self._pending or self._unparsed)

    def answer(self, request: Request, message: bytes, last: bool) -> None:
        """The dispatcher's answer to the request that it was given last. last: the connection ends with it."""
        self.busy = False
        if request.reserved:
            self._dispatcher.bodies.give_back(request.reserved)
        transport = self.transport
        if self.gone or transport is None or transport.is_closing():
            return
        self._written = len(message)
        transport.write(message)
        if last:
            self._end(lingering=bool(request.refused))
        elif not self._looping:
            self._go_on()

    # ---- the end

    def _end(self, lingering: bool = False) -> None:
        """Nothing follows what was written. What the client still sends is read and dropped: were the socket closed
        before, the client would be told of a reset, perhaps instead of the answer."""
        transport = self.transport
        if self._ended or transport is None:
            return
        self._ended = self._dispatcher.now
        self._drop_input()
        if self._eof or self._stopping:
            transport.close()
        elif transport.can_write_eof():
            transport.write_eof()
        elif not lingering:
            transport.close()
        if self._paused:
            self._read_on(True)

    def _refuse(self, status: int) -> None:
        """Ends a connection whose bytes cannot be followed any further; what it asked before is answered first."""
        self._refused = status
        self._unparsed = b""
        self._pending.append(Request(Head("", b"", b"", []), named(self._headers), b"", False, refused=status))

    # ---- room for bodies

    def _reserve(self, size: int) -> None:
        """Room for the body that is being received; without it nothing more is read."""
        if self._dispatcher.bodies.take(size, self._granted):
            self._reserved = size
        else:
            self._waits_for_room = True

    def _granted(self, size: int) -> None:
        self._waits_for_room = False
        self._reserved = size
        self.heard = self.began = self._dispatcher.now
        # the caller is in the midst of its books
        asyncio.get_running_loop().call_soon(self._go_on)

    def _kept_room(self) -> int:
        """What of the room the whole body needs; the rest is given back."""
        if self._waits_for_room:
            # the end came with the piece that made the body a long one
            self._dispatcher.bodies.forget(self._granted)
            return 0
        spare = self._reserved - len(self._body)
        if self._reserved and spare:
            self._dispatcher.bodies.give_back(spare)
        return self._reserved and len(self._body)

    # ---- time

    def overdue(self, now: float) -> None:
        """Ends the connection where its client has been silent for too long."""
        limits = self._dispatcher.limits
        transport = self.transport
        if transport is None or self.gone:
            return
        if self._stuck:
            self._check_reader(transport, now)
        elif self._ended:
            patience = limits.request_seconds if transport.get_write_buffer_size() else LINGER_SECONDS
            if now - self._ended > patience:
                transport.abort()
        elif self.busy or self._pending or self._waits_for_room:
            return
        elif self.began and now - self.began > limits.request_seconds:
            self._refuse(408)
            self._go_on()
        elif now - self.heard > limits.idle_seconds:
            self._ended = now
            self._drop_input()
            transport.close()

    def _check_reader(self, transport: asyncio.Transport, now: float) -> None:
        """A slow reader may take its time as long as it reads."""
        left = transport.get_write_buffer_size()
        if left < self._left:
            self._left = left
            self.heard = now
        elif now - self.heard > self._dispatcher.limits.request_seconds:
            transport.abort()

    def stop(self) -> None:
        """No request after those that have begun to arrive."""
        self._stopping = True
        if self._ended:
            if self.transport is not None:
                self.transport.close()
        else:
            self._end_soon()

    def _end_soon(self) -> None:
        """Once what the client has sent already is here."""
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._go_on)
