"""Requests to answers: on the event loop where nothing has to be waited for, else in a thread; then durability.

Guarantees: the loop is never blocked by a disk, a lock or long work; an answer leaves when the commits it depends on
are durable (durability "power"), and one fsync serves all that wait. The loop's thread, but for `_patiently`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import traceback
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import lsm
from lsm import WouldWaitError
from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.service import DATA, Service
from lsm.server.access_log import AccessLog
from lsm.server.answers import INLINE, JSON, PATIENT, TEXT, Heads, coded, error_json, render
from lsm.server.authentication import Authentication
from lsm.server.limits import LONG_BODY, BodyBudget, Limits
from lsm.server.lookout import Lookout
from lsm.server.metrics import Metrics
from lsm.server.outbox import LONG, Outbox
from lsm.server.pages import page
from lsm.server.protocol import Connection
from lsm.server.requests import Call, Request, TooLarge, Typed, call_of, content, content_type, typed

__all__ = ["Dispatcher"]

MANY = frozenset(("Query", "Scan", "BatchGetItem", "TransactGetItems", "GetItem"))
"""Operations whose answers may be long, and which change nothing."""
LONG_ANSWER = 64 << 10
AHEAD = 2
"""Requests that are given to the pool for each of its threads: what they make waits for the loop, uncounted."""
EXTRA_SECONDS = 1.0
"""For a client to read a long answer that was sent although others have not read theirs."""
WORDS = {
    400: b"The request is not HTTP/1.1 as this server reads it.\n",
    408: b"The request did not arrive in time.\n",
    413: b"The request is longer than this server takes.\n",
    414: b"The request's target is longer than this server takes.\n",
    431: b"The request's headers are longer than this server takes.\n",
    500: b"The request could not be read, by a fault of this server.\n",
    501: b"This server takes no transfer coding but chunked.\n",
    503: b"This server has as many connections as it takes.\n",
}
INTERNAL = "InternalServerError"
CLOSE = b"Connection: close\r\n"


class Answer:
    """What a request gets. code: of the error, empty for none. more: lines of the head."""

    def __init__(
        self,
        status: int,
        kind: bytes,
        body: bytes,
        operation: str = "",
        table: str = "",
        code: str = "",
        more: bytes = b"",
    ) -> None:
        self.status = status
        self.kind = kind
        self.body = body
        self.operation = operation
        self.table = table
        self.code = code
        self.more = more


class Dispatcher:
    """Of one server. now: the loop's time in seconds, renewed by `tick`."""

    def __init__(
        self,
        service: Service,
        *,
        limits: Limits,
        authentication: Authentication,
        durable: bool,
        log: AccessLog | None = None,
    ) -> None:
        self.service = service
        self.limits = limits
        self.heads = Heads()
        self.metrics = Metrics(service)
        self.bodies = BodyBudget(limits.bodies_bytes)
        self.connections: set[Connection] = set()
        self.now = time.monotonic()
        self.unsent = 0
        self._authentication = authentication
        self._durable = durable
        self._log = log
        self._database = service.database
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="lsm-request")
        self._loop = asyncio.get_running_loop()
        self._lookout = Lookout(self._loop, limits.awake_seconds, time.perf_counter)
        self._outbox = Outbox(self._loop, self._lookout, time.perf_counter)
        self._in_pool = 0
        self._most_in_pool = AHEAD * limits.threads
        self._queue: deque[tuple[Connection, Request, float]] = deque()
        self._waiting: deque[tuple[int, Connection, Request, Answer, float]] = deque()
        self._parked: deque[tuple[Connection, Request, float]] = deque()
        self._extra: Connection | None = None
        self._extra_at = 0.0
        self._ended = False
        self._fd = -1
        self._refusal: lsm.Error | None = None

    # ---- life

    def start(self) -> None:
        """From now on the loop is told when more is durable, and its thread does not wait in the engine."""
        if self._durable:
            self._fd = self._database.durable_fd()
            self._loop.add_reader(self._fd, self._more_is_durable)
        lsm.refuse_to_wait(True)

    def tick(self) -> None:
        """Once a second."""
        self.now = time.monotonic()
        self.heads.tick()
        if self._waiting or self._refusal is not None:
            self._check_health()
        if self._parked:
            self._take_up()

    def sweep(self) -> None:
        """Ends connections whose clients have been silent for too long."""
        for connection in list(self.connections):
            connection.overdue(self.now)

    def stop(self) -> None:
        """No request after those that have begun to arrive."""
        for connection in list(self.connections):
            connection.stop()

    def end_loop(self) -> None:
        """On the loop: nothing is answered any more."""
        self._ended = True
        lsm.refuse_to_wait(False)
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def close(self) -> None:
        """Ends the threads; any thread but theirs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    # ---- connections

    def welcome(self, connection: Connection) -> bool:
        """False where there are as many connections as the limits allow."""
        self.connections.add(connection)
        self.metrics.accepted += 1
        return len(self.connections) <= self.limits.connections

    def goodbye(self, connection: Connection) -> None:
        """The connection is gone."""
        self.connections.discard(connection)

    def clogged(self, unsent: int) -> None:
        """So many bytes wait for a client that does not read them."""
        self.unsent += unsent

    def drained(self, unsent: int) -> None:
        """They do no longer."""
        self.unsent -= unsent
        self._take_up()

    def _take_up(self) -> None:
        """Gives the threads what waits for one, then what was put off; no more than they have room for."""
        while self._in_pool < self._most_in_pool:
            if self._queue:
                waiting = self._queue
            elif self._parked and self._has_room(self._parked[0]):
                waiting = self._parked
            else:
                return
            connection, request, began = waiting.popleft()
            if connection.gone:
                self._drop(request)
            else:
                self._submit(connection, request, began)

    def _has_room(self, parked: tuple[Connection, Request, float]) -> bool:
        """For a long answer; beyond the limit for one at a time: who reads is not held up by those who do not."""
        most = self.limits.unsent_bytes
        if self.unsent <= most:
            return True
        last = self._extra
        over = last is None or last.gone or not (last.busy or last.unsent) or self.now - self._extra_at > EXTRA_SECONDS
        if not over or self.unsent > 2 * most:
            return False
        self._extra, parked[1].extra = parked[0], True
        self._extra_at = self.now
        return True

    def facts(self) -> dict[str, int]:
        """What /stats and /metrics show of connections and waiting; made in a thread, which is left out."""
        return {
            "connections": len(self.connections),
            "connections_accepted": self.metrics.accepted,
            "requests_in_threads": self._in_pool - 1 + len(self._queue),
            "answers_waiting_for_disk": len(self._waiting),
            "answers_waiting_for_readers": len(self._parked),
            "unsent_bytes": self.unsent,
            "body_bytes": self.bodies.taken,
            "bodies_waiting": self.bodies.waiting,
        }

    # ---- from request to answer

    def begin(self, connection: Connection, request: Request) -> None:
        """Sees to it that `connection.answer` is called, now or later."""
        began = time.perf_counter()
        self._lookout.heard()
        if request.refused:
            answer = Answer(request.refused, TEXT, WORDS[request.refused], more=_cors(request))
            self._send(connection, request, answer, began)
            return
        if len(request.body) > LONG_BODY:
            self._hand_over(connection, request, began)
            return
        try:
            answer = self._answer(request, INLINE)
        except WouldWaitError:
            self._hand_over(connection, request, began)
            return
        self._answered(connection, request, answer, began)

    def _hand_over(self, connection: Connection, request: Request, began: float) -> None:
        if self._in_pool < self._most_in_pool and not self._queue:
            self._submit(connection, request, began)
        else:
            self._queue.append((connection, request, began))

    def _submit(self, connection: Connection, request: Request, began: float) -> None:
        if self._ended:
            return
        self._in_pool += 1
        self._pool.submit(self._patiently, connection, request, began)

    def _patiently(self, connection: Connection, request: Request, began: float) -> None:
        """In a thread of the pool."""
        try:
            answer = self._answer(request, PATIENT, connection)
        except BaseException as error:
            answer = _failed(error)
        self._loop.call_soon_threadsafe(self._returned, connection, request, answer, began)

    def _returned(self, connection: Connection, request: Request, answer: Answer, began: float) -> None:
        self._in_pool -= 1
        self._answered(connection, request, answer, began)
        if self._queue or self._parked:
            self._take_up()

    def _answered(self, connection: Connection, request: Request, answer: Answer, began: float) -> None:
        """Sends the answer, once it is durable and others read theirs. What is no operation depends on no commit."""
        if self._durable and answer.operation:
            last = self._database.last_sequence
            if self._database.durable_sequence < last:
                if self._refusal is None:
                    self._waiting.append((last, connection, request, answer, began))
                    return
                answer = _refused(answer, self._refusal)
        crowded = len(answer.body) > LONG_ANSWER and self.unsent > self.limits.unsent_bytes
        if crowded and answer.operation in MANY and not request.extra:
            self._parked.append((connection, request, began))
            return
        self._send(connection, request, answer, began)

    def _send(self, connection: Connection, request: Request, answer: Answer, began: float) -> None:
        more = answer.more
        last = connection.is_last(request)
        if last:
            more += CLOSE
        elif b"connection" in request.named:
            more += b"Connection: keep-alive\r\n"
        request_id = self.heads.request_id()
        body = b"" if request.head.method == "HEAD" else answer.body
        message = self.heads.message(answer.status, answer.kind, body, more, request_id)
        now = time.perf_counter()
        seconds = now - began
        self.metrics.request(answer.operation, answer.table, answer.code, seconds)
        if self._log is not None:
            self._log.add(connection.peer_name(), request, answer, seconds, request_id)
        if len(self.connections) < 2 or len(message) > LONG or connection.has_more():
            self._outbox.at_once(connection, request, message, last, now)
        else:
            self._outbox.add(connection, request, message, last, now)

    def _drop(self, request: Request) -> None:
        if request.reserved:
            self.bodies.give_back(request.reserved)

    # ---- durability

    def _more_is_durable(self) -> None:
        os.read(self._fd, 4096)
        durable = self._database.durable_sequence
        waiting = self._waiting
        while waiting and waiting[0][0] <= durable:
            _, connection, request, answer, began = waiting.popleft()
            self._send(connection, request, answer, began)

    def _check_health(self) -> None:
        """Where the log cannot be made durable, for now or for ever, nobody else would tell those who wait."""
        refusal: lsm.Error | None = None
        try:
            self._database.wait_durable(self._database.last_sequence, 0)
        except lsm.Error as error:
            refusal = error
        if refusal is not None and self._refusal is None:
            print(f"lsm: requests are refused: {refusal}", file=sys.stderr, flush=True)
        self._refusal = refusal
        if refusal is not None:
            waiting, self._waiting = self._waiting, deque()
            for _, connection, request, answer, began in waiting:
                self._send(connection, request, _refused(answer, refusal), began)

    # ---- answering

    def _answer(self, request: Request, door: Door, connection: Connection | None = None) -> Answer:
        """On the loop (INLINE), where it raises WouldWaitError to be done again, or in a thread."""
        head = request.head
        if head.method == "POST" and head.path == b"/":
            answer = self._post(request, door)
        else:
            answer = self._page(request, connection)
        answer.more = _cors(request) + answer.more
        return answer

    def _post(self, request: Request, door: Door) -> Answer:
        kind = content_type(request.named)
        if kind is None:
            if request.body or b"content-type" in request.named:
                return _not_found()
            kind = JSON
        try:
            body = content(request, LONG_BODY if door is INLINE else self.limits.body_bytes)
        except TooLarge:
            if door is INLINE:
                raise WouldWaitError from None
            return Answer(413, TEXT, WORDS[413])
        except ApiError as error:
            answer = Answer(error.status, kind, error_json(error), code=error.code)
        else:
            answer = self._operation(request, body, kind, door)
        answer.body, answer.more = coded(answer.body, request.named.get(b"accept-encoding"))
        return answer

    def _operation(self, request: Request, body: bytes, kind: bytes, door: Door) -> Answer:
        call: Call | None = None
        read: Typed = {}
        try:
            call = call_of(request, body, self._authentication.check)
            operation = call.operation
            if door is INLINE and operation not in DATA:
                raise WouldWaitError
            read = typed(call, body)
            result = self.service.run(operation, read, door)
            return Answer(200, kind, render(result), operation, _table(read))
        except ApiError as error:
            answer = Answer(error.status, kind, error_json(error), code=error.code)
        except WouldWaitError:
            raise
        except Exception as error:
            answer = _failed(error)
            answer.kind = kind
        if call is not None:
            answer.operation, answer.table = call.operation, _table(read)
        return answer

    def _page(self, request: Request, connection: Connection | None) -> Answer:
        """What is no operation: health, CORS, metrics."""
        head = request.head
        if head.method == "OPTIONS" and b"origin" in request.named:
            return Answer(200, b"", b"", more=_preflight(request))
        if head.method == "GET":
            if head.path == b"/":
                text = f"healthy: dynamodb.{self.service.region}.amazonaws.com "
                return Answer(200, TEXT, text.encode())
            if head.path in (b"/metrics", b"/stats"):
                if connection is None:
                    raise WouldWaitError
                if self._authentication.is_open or connection.is_local():
                    kind, body = page(head.path, self)
                    return Answer(200, kind, body)
        return _not_found()


ORIGIN = (
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Expose-Headers: x-amzn-RequestId,x-amz-crc32,x-amzn-ErrorType,x-amzn-ErrorMessage,Date\r\n"
)


def _not_found() -> Answer:
    """The service names no content type for the one XML body that it has."""
    return Answer(404, b"", b"<UnknownOperationException/>\n")


def _cors(request: Request) -> bytes:
    return ORIGIN if b"origin" in request.named else b""


def _preflight(request: Request) -> bytes:
    methods = request.named.get(b"access-control-request-method", b"POST")
    headers = request.named.get(b"access-control-request-headers", b"*")
    return (
        b"Access-Control-Allow-Methods: %b\r\nAccess-Control-Allow-Headers: %b\r\nAccess-Control-Max-Age: 172800\r\n"
        % (methods, headers)
    )


def _table(request: Typed) -> str:
    name = request.get("TableName")
    return name if type(name) is str else ""


def _refused(answer: Answer, refusal: lsm.Error) -> Answer:
    """In the place of an answer that depends on what cannot be made durable."""
    more = ORIGIN if answer.more.startswith(ORIGIN) else b""
    error = ApiError(INTERNAL, str(refusal), 500)
    return Answer(500, answer.kind, error_json(error), answer.operation, answer.table, INTERNAL, more)


def _failed(error: BaseException) -> Answer:
    """An error that is not the client's. What it is stands on stderr."""
    if not isinstance(error, lsm.Error):
        traceback.print_exception(error, file=sys.stderr)
    else:
        print(f"lsm: {error}", file=sys.stderr, flush=True)
    fault = ApiError(INTERNAL, str(error) or type(error).__name__, 500)
    return Answer(500, JSON, error_json(fault), code=INTERNAL)
