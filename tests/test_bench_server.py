"""The benchmark of HTTP endpoints: its client counts what a server sent, its checks catch wrong answers, its ratios
and verdicts are what they say.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lsm.dynamodb import connect
from lsm.dynamodb.errors import ApiError

sys.path.append(str(Path(__file__).parent.parent))  # behind the installed packages

from bench.goals import Verdict
from bench.server.__main__ import main
from bench.server.engines import ENGINES, Engine, MissingEngineError
from bench.server.goals import COMPARISONS, judge
from bench.server.items import TABLE, item
from bench.server.load import Load, NoClientError, compile_client, run_client
from bench.server.operations import OPERATIONS
from bench.server.processes import cpu_seconds, family, resident_bytes
from bench.server.report import show
from bench.server.results import Results, Sample, Visit
from bench.server.run import Plan, measure
from bench.server.serving import ServerFailedError, serving
from bench.server.wire import Caller, WrongAnswerError, counted, create_and_load, request_bytes, write_requests

Body = dict[str, Any]

COUNT = 1_000
META = {
    "python": "", "system": "", "processors": 2, "processor": "", "date": "", "rounds": 1,
    "seconds": 1.0, "warm": 1.0, "items": COUNT, "one_processor": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or shutil.which(shlex.split(os.environ.get("CC", "cc"))[0]) is None:
        pytest.skip("the client needs Linux and a C compiler")
    return compile_client(tmp_path_factory.mktemp("client"))


class Script:
    """A server whose answer to request number n is `answer(n)`: pieces to send, and whether it closes then."""

    def __init__(self, answer: Callable[[int], tuple[list[bytes], bool]]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self.port: int = self._listener.getsockname()[1]
        self.answered = self.closed = 0
        self.seen: list[bytes] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := connection.recv(65536):
                with self._lock:
                    number = len(self.seen)
                    self.seen.append(request)
                pieces, closes = self._answer(number)
                with self._lock:  # before the client can see it: it may be the last that it sees
                    self.answered += bool(pieces)
                    self.closed += closes
                for piece in pieces:
                    connection.sendall(piece)
                if closes:
                    return

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(600)


@pytest.fixture
def load(client: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Load, Script]]]:
    """Runs the client against a scripted server."""
    requests = tmp_path / "requests"
    write_requests(requests, [request_bytes("GetItem", {"Key": number}) for number in range(10)])
    scripts = []

    def run(answer: Callable[[int], tuple[list[bytes], bool]], connections: int = 4) -> tuple[Load, Script]:
        """For as long as it takes until some requests of each connection were made."""
        for seconds in (0.2, 1, 5, 25, 125):
            script = Script(answer)
            scripts.append(script)
            figures = run_client(client, script.port, connections, seconds, requests)
            if len(script.seen) >= 5 * connections:
                return figures, script
        raise AssertionError(f"{len(script.seen)} requests in {seconds} s")

    yield run
    for script in scripts:
        script.stop()


def reply(body: bytes = b"{}", status: int = 200, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} Said\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_the_client_counts_what_the_server_sent(load) -> None:
    figures, script = load(lambda number: ([reply(b"x" * (2 + number % 3))], False))
    assert figures.answers == script.answered == sum(figures.statuses.values()) > 4
    assert figures.statuses.keys() == {"200"}
    assert (figures.body_least, figures.body_most, figures.reconnects, figures.dropped) == (2, 4, 0, 0)
    assert figures.body_bytes == sum(2 + number % 3 for number in range(script.answered))
    assert 0 < figures.p50 <= figures.p90 <= figures.p99 <= figures.most * 65 / 64
    assert figures.fault() is None


def test_the_client_sends_the_requests_of_the_file_in_turn(load) -> None:
    figures, script = load(lambda number: ([reply()], False), connections=1)
    expected = [request_bytes("GetItem", {"Key": number}) for number in range(10)]
    assert script.seen == [expected[number % 10] for number in range(figures.answers)]


def test_answers_that_are_not_200_are_counted_and_quoted(load) -> None:
    statuses = (200, 200, 400, 500)
    figures, script = load(lambda number: ([reply(b'{"no": "\x07"}', statuses[number % 4])], False))
    sent = Counter(str(statuses[number % 4]) for number in range(script.answered))
    assert figures.statuses == dict(sent)
    assert figures.excerpt.startswith('{"no": "\x07"}')
    assert f"{sent['400']:,} x 400" in str(figures.fault())


def test_a_close_that_is_announced_costs_a_reconnect_and_no_answer(load) -> None:
    def answer(number: int) -> tuple[list[bytes], bool]:
        return ([reply(more="Connection: close\r\n")], True) if number % 5 == 4 else ([reply()], False)

    figures, script = load(answer)
    assert figures.answers == script.answered == len(script.seen)
    assert figures.dropped == 0
    assert script.closed - 4 <= figures.reconnects <= script.closed
    assert figures.reconnects > 0


def test_a_close_in_the_place_of_an_answer_is_a_fault(load) -> None:
    figures, script = load(lambda number: ([], True) if number % 5 == 4 else ([reply()], False))
    assert figures.dropped == script.closed > 0
    assert figures.answers == script.answered
    assert f"{figures.dropped:,} x no answer" in str(figures.fault())


def test_half_an_answer_is_a_fault(load) -> None:
    figures, script = load(lambda number: ([reply(b"x" * 100)[:-1]], True))
    assert (figures.answers, figures.dropped) == (0, script.closed)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_chunks_in_pieces_of_any_size_are_one_answer(load, step: int) -> None:
    whole = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTRANSFER-ENCODING: chunked\r\n\r\n"
        b"5\r\nhello\r\n1a;note=ff\r\n" + b"y" * 26 + b"\r\n0\r\nTrailer: t\r\n\r\n"
    )
    pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
    figures, script = load(lambda number: (pieces, False))
    assert figures.answers == script.answered > 0
    assert (figures.body_least, figures.body_most) == (31, 31)
    assert figures.fault() is None


def test_a_body_until_the_close_is_an_answer(load) -> None:
    figures, script = load(lambda number: ([b"HTTP/1.0 200 OK\r\n\r\nall ", b"of it"], True))
    assert figures.answers == script.answered == script.closed
    assert (figures.body_least, figures.body_most, figures.dropped) == (9, 9, 0)


def test_long_answers_are_read_to_their_end(load) -> None:
    figures, script = load(lambda number: ([reply(b"z" * 300_000)], False))
    assert figures.answers == script.answered
    assert (figures.body_least, figures.body_most) == (300_000, 300_000)


def test_latency_is_from_the_request_to_the_end_of_its_answer(load) -> None:
    pause = threading.Event()

    def answer(number: int) -> tuple[list[bytes], bool]:
        pause.wait(0.03)
        return [reply()], False

    figures, _ = load(answer)
    assert figures.p50 >= 0.98 * 30_000


def test_without_a_server_the_client_says_so(client: Path, tmp_path: Path) -> None:
    write_requests(tmp_path / "requests", [request_bytes("GetItem", {})])
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoClientError, match="connect"):
        run_client(client, port, 1, 0.1, tmp_path / "requests")


def test_a_file_that_holds_no_requests_is_refused(client: Path, tmp_path: Path) -> None:
    (tmp_path / "requests").write_bytes(struct.pack("<I", 50) + b"short")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener, pytest.raises(NoClientError):
        run_client(client, listener.getsockname()[1], 1, 0.1, tmp_path / "requests")


@pytest.mark.parametrize("name", OPERATIONS)
def test_requests_are_the_same_in_every_run_and_well_formed(name: str) -> None:
    requests = OPERATIONS[name].requests(COUNT)
    assert requests == OPERATIONS[name].requests(COUNT)
    for request in requests[:20]:
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
        json.loads(body)


@pytest.mark.parametrize("name", ["get", "put", "update"])
def test_a_pass_has_every_item_once_in_random_order(name: str) -> None:
    operation = OPERATIONS[name]
    keys = [
        (body.get("Key") or body["Item"])["customer"]["S"] + (body.get("Key") or body["Item"])["order"]["S"]
        for body in operation.bodies(COUNT, random.Random(1))
    ]
    assert len(set(keys[:COUNT])) == COUNT
    assert keys != sorted(keys)
    assert set(Counter(keys).values()) == {2 if name == "put" else 1}


def test_transactions_in_flight_together_share_no_item() -> None:
    numbers = [
        action["Put"]["Item"]["customer"]["S"] + action["Put"]["Item"]["order"]["S"]
        for body in OPERATIONS["transact"].bodies(COUNT, random.Random(1))
        for action in body["TransactItems"]
    ]
    assert all(len(set(numbers[at : at + 4 * 64])) == 4 * 64 for at in range(0, COUNT - 4 * 64, 4))


def test_every_put_changes_its_item_and_items_have_the_size_that_is_told() -> None:
    assert len({json.dumps(item(5, version)) for version in range(3)}) == 3
    assert {len(item(number)) for number in range(100)} == {7}
    sizes = [len(json.dumps(item(number), separators=(",", ":"))) for number in range(COUNT)]
    assert 220 <= min(sizes) <= max(sizes) <= 260


class InProcess(Caller):
    """Our own layer as the server; `lie` may change an answer."""

    def __init__(self, connection, lie: Callable[[str, Body], Body] = lambda target, answer: answer) -> None:
        self._service = connection.service
        self._lie = lie

    def send(self, target: str, body: Body) -> tuple[int, Body]:
        try:
            return 200, self._lie(target, json.loads(json.dumps(self._service.call(target, body))))
        except ApiError as error:
            return 400, {"__type": f"prefix#{error.code}"}


@pytest.fixture
def connection(tmp_path: Path):
    with connect(tmp_path / "data", durability="process") as connection:
        create_and_load(InProcess(connection), COUNT)
        yield connection


def test_checks_pass_in_any_order_and_leave_the_table_as_it_was(connection) -> None:
    call = InProcess(connection)
    for name in [*OPERATIONS, *reversed(OPERATIONS)]:
        OPERATIONS[name].check(call, COUNT)
    assert counted(call) == (COUNT, 0)


LIES: dict[str, tuple[str, Callable[[Body], Body]]] = {
    "get": ("GetItem", lambda answer: {"Item": item(1)}),
    "put": ("GetItem", lambda answer: {"Item": item(COUNT // 3)}),
    "update": ("UpdateItem", lambda answer: {"Attributes": {"count": {"N": "7"}}}),
    "query": ("Query", lambda answer: {**answer, "Items": answer["Items"][::-1]}),
    "transact": ("GetItem", lambda answer: {"Item": item(COUNT // 3)}),
    "batch_get": ("BatchGetItem", lambda answer: {"Responses": {TABLE: answer["Responses"][TABLE][1:]}}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_wrong_answer_is_found_out(connection, name: str) -> None:
    lied, change = LIES[name]
    call = InProcess(connection, lambda target, answer: change(answer) if target == lied else answer)
    with pytest.raises(WrongAnswerError):
        OPERATIONS[name].check(call, COUNT)


def test_the_family_of_a_process_is_counted_together() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input(1)'])"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", child], stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"1"  # both run their programs
            assert len(family(process.pid)) == 2
            assert resident_bytes(process.pid) > resident_bytes(family(process.pid)[1]) > 0
            assert cpu_seconds(process.pid) >= 0
        finally:
            process.communicate(b"\n")
    assert family(process.pid) == [process.pid]


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_is_stopped_and_its_directory_gone(tmp_path: Path) -> None:
    engine = Engine("fake", "nothing", lambda port, directory: [sys.executable, "-c", SERVER, str(port)])
    seen = []

    def interrupted() -> None:
        with serving(engine, tmp_path) as server:
            assert server.start_seconds > 0
            seen.extend([server.directory, Path(f"/proc/{server.pid}")])
            assert all(path.exists() for path in seen)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(seen) == 2
    assert not any(path.exists() for path in seen)


def test_a_server_that_ends_is_quoted(tmp_path: Path) -> None:
    engine = Engine("fake", "nothing", lambda port, directory: [sys.executable, "-c", "raise SystemExit('too old')"])
    with pytest.raises(ServerFailedError, match="too old"), serving(engine, tmp_path):
        pass


def test_a_server_that_says_yes_to_everything_gets_no_figures(
    client: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(port: int, directory: Path) -> list[str]:
        raise MissingEngineError("no such thing; get it")

    fakes = {
        "moto": Engine("fake", "nothing", lambda port, directory: [sys.executable, "-c", SERVER, str(port)]),
        "dynalite": Engine("gone", "nothing", missing),
    }
    monkeypatch.setattr("bench.server.run.ENGINES", fakes)
    results = Results(META)
    measure(Plan(["moto", "dynalite"], ["get"], [1], 0.1, 1, 0.1, COUNT), results)
    assert results.median("moto", "get", 1) is None
    assert len(results.failures) == 1
    assert results.missing == {"dynalite": "no such thing; get it"}
    assert "skipping gone: no such thing; get it" in capsys.readouterr().err


def test_lsm_serve_carries_out_every_operation(client: Path) -> None:
    try:
        ENGINES["lsm-memory"].command(0, Path())
    except MissingEngineError as error:
        pytest.skip(str(error))
    results = Results(META)
    measure(Plan(["lsm-memory"], list(OPERATIONS), [2], 0.1, 1, 0.1, COUNT), results)
    assert results.failures == []
    assert [samples[0].fault for samples in results.samples.values()] == [None] * len(OPERATIONS)
    assert all(samples[0].answers > 0 for samples in results.samples.values())


def results_of(**rates: list[float]) -> Results:
    """GetItem on one connection, by engine; _ stands for -."""
    results = Results(dict(META))
    for engine, values in rates.items():
        cell = (engine.replace("_", "-"), "get", 1)
        results.samples[cell] = [Sample(rate=rate, p50=1.0, p99=2.0, cpu=30.0, answers=9) for rate in values]
    return results


def test_the_ratio_is_of_medians() -> None:
    results = results_of(lsm_process=[30.0, 10.0, 20.0], dynoxide_memory=[8.0, 100.0, 1.0])
    assert results.ratio("lsm-process", "dynoxide-memory", "get", 1) == 2.5


def test_one_invalid_round_makes_a_cell_invalid() -> None:
    results = results_of(lsm_process=[30.0, 10.0], dynoxide_memory=[8.0])
    results.samples["lsm-process", "get", 1].append(Sample(rate=99.0, fault="3 x 500"))
    assert results.median("lsm-process", "get", 1) is None
    assert judge(results, COMPARISONS[0], "get", 1) is None
    text = show(results)
    assert "invalid: lsm, GetItem, 1: 3 x 500" in text


@pytest.mark.parametrize(
    ("comparison", "name", "connections", "aim", "least"),
    [
        (0, "get", 1, 1.5, 1.0),
        (0, "update", 64, 1.5, 1.0),
        (0, "query", 8, 3.0, 1.5),
        (0, "transact", 1, 3.0, 1.5),
        (1, "put", 1, 1.0, 1.0),
        (1, "put", 8, 3.0, 1.0),
        (1, "transact", 1, 1.0, 1.0),
        (1, "transact", 64, 3.0, 1.5),
        (2, "query", 8, None, 1.0),
    ],
)
def test_goals(comparison: int, name: str, connections: int, aim: float | None, least: float) -> None:
    chosen = COMPARISONS[comparison]
    assert chosen.aim(OPERATIONS[name], connections) == aim
    assert chosen.least(OPERATIONS[name], connections) == least


@pytest.mark.parametrize(
    ("rate", "verdict"), [(15.0, Verdict.AIM), (14.0, Verdict.LEAST), (10.0, Verdict.LEAST), (9.9, Verdict.BELOW)]
)
def test_a_ratio_is_judged_by_aim_and_least(rate: float, verdict: Verdict) -> None:
    judged = judge(results_of(lsm_process=[rate], dynoxide_memory=[10.0]), COMPARISONS[0], "get", 1)
    assert judged is not None
    assert judged.verdict is verdict


def test_the_report_shows_ratios_costs_and_what_is_missing() -> None:
    results = results_of(lsm_process=[9.0], dynoxide_memory=[10.0], dynalite=[4.5])
    results.samples["dynalite", "transact", 1] = [Sample(fault="400: UnknownOperationException")]
    results.visits["lsm-process"].append(Visit(210.0, 41.0, 90.0))
    results.missing["moto"] = "pip install it"
    results.failures.append("it rained")
    text = show(results)
    assert "0.90x BELOW" in text
    assert "0 of 1 goals met, 1 below the least" in text
    assert "not there" in text
    assert "2x |" in text
    assert "left out: moto server, memory; pip install it" in text
    assert "failed: it rained" in text
    server = next(line for line in text.splitlines() if "a killed process" in line and line.startswith("| lsm "))
    assert [cell.strip() for cell in server.split("|")][3:6] == ["210", "41.0", "90.0"]


def test_an_interrupted_run_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(plan: Plan, results: Results) -> None:
        results.samples["lsm-process", "get", 1].append(Sample(rate=12_345.0, p50=1.0, p99=2.0, cpu=30.0, answers=9))
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.server.__main__.measure", interrupted)
    assert main(["--engines", "lsm-process", "--json", str(tmp_path / "run.json")]) == 130
    assert "12,345" in capsys.readouterr().out
    assert Results.load(tmp_path / "run.json").median("lsm-process", "get", 1) == 12_345.0


@pytest.mark.parametrize(
    "options", [["--engines", "mysql"], ["--items", "12"], ["--connections", "0"], ["--seconds", "x"]]
)
def test_wrong_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_a_saved_run_is_read_back(tmp_path: Path) -> None:
    results = results_of(lsm_process=[9.0, 8.0])
    results.visits["lsm-process"].append(Visit(210.0, 41.0, 90.0))
    results.failures.append("it rained")
    results.save(tmp_path / "run.json")
    loaded = Results.load(tmp_path / "run.json")
    assert (loaded.samples, loaded.visits, loaded.failures) == (results.samples, results.visits, results.failures)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="not a run saved by"):
        Results.load(tmp_path / "other.json")
