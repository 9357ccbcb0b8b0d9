"""What a server tells of itself: /metrics, /stats, the access log and `lsm top` agree with what was sent."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import children
import pytest

pytest.importorskip("httptools")

from server.serving import HUNG_SECONDS, PATIENT, Server, served, until

TABLE: dict[str, Any] = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "a", "AttributeType": "S"},
        {"AttributeName": "b", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-b",
            "KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


class Sent:
    """A few requests of many kinds, and what is to be counted for them."""

    def __init__(self, server: Server) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.units: Counter[tuple[str, str, str]] = Counter()
        self._server = server
        self._send("CreateTable", TABLE)
        for number in range(7):
            item = {"a": {"S": f"{number}"}, "b": {"S": "same"}, "text": {"S": "x" * 1500 * number}}
            self._send("PutItem", {"TableName": "Music", "Item": item})
        key = {"a": {"S": "6"}}
        for consistent in (True, False, False):
            self._send("GetItem", {"TableName": "Music", "Key": key, "ConsistentRead": consistent})
        equal = {"KeyConditionExpression": "b = :b", "ExpressionAttributeValues": {":b": {"S": "same"}}}
        self._send("Query", {"TableName": "Music", "IndexName": "by-b", **equal})
        self._send("Scan", {"TableName": "Music"})
        condition = {"ConditionExpression": "attribute_not_exists(a)"}
        for _ in range(2):
            self._send("PutItem", {"TableName": "Music", "Item": key, **condition}, "ConditionalCheckFailedException")
        self._send("GetItem", {"TableName": "Nowhere", "Key": key}, "ResourceNotFoundException", table="")
        self._send("GetItem", {"TableName": "Music"}, "ValidationException")
        self._send("PutItem", b"{", "SerializationException", table="", operation="")
        self._send("FlyToTheMoon", {}, "UnknownOperationException", table="", operation="")

    def _send(self, name: str, body: Any, code: str = "", **counted: str) -> None:
        metered = name in ("PutItem", "GetItem", "Query", "Scan") and not isinstance(body, bytes)
        whole = {**body, "ReturnConsumedCapacity": "INDEXES"} if metered else body
        status, answer = self._server.call(name, whole)
        assert answer.get("__type", "#").rpartition("#")[2] == code
        assert (status == 200) == (code == "")
        operation = counted.get("operation", name)
        self.requests[operation, counted.get("table", "Music")] += 1
        if code:
            self.errors[operation, code] += 1
        if capacity := answer.get("ConsumedCapacity"):
            kind = "write" if name == "PutItem" else "read"
            for index, units in capacity.get("GlobalSecondaryIndexes", {}).items():
                self.units[kind, "Music", index] += units["CapacityUnits"]
            self.units[kind, "Music", ""] += capacity.get("Table", {}).get("CapacityUnits", 0)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "access.log"


@pytest.fixture(scope="module")
def server(log):
    with served("--in-memory", "--access-log", str(log), *PATIENT) as running:
        yield running
        assert running.stop() == 0
        assert running.stderr == ""


@pytest.fixture(scope="module")
def sent(server):
    return Sent(server)


# ---- /metrics


def metrics(server: Server) -> dict[str, Any]:
    """By name of family, as Prometheus reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    status, kind, text = server.get("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def values(family: Any, suffix: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for sample in family.samples
        if sample.name == family.name + suffix
    }


def operations(found: Mapping[Any, float]) -> dict[Any, float]:
    """Without the pages, which this test asks for itself."""
    return {key: value for key, value in found.items() if key != ("", "")}


def test_metrics_count_every_request_and_error(server, sent):
    families = metrics(server)
    counts = values(families["lsm_request_seconds"], "_count", "operation", "table")
    assert operations(counts) == operations(dict(sent.requests))
    assert counts["", ""] >= sent.requests["", ""]
    assert values(families["lsm_request_errors"], "_total", "operation", "code") == dict(sent.errors)


def test_metrics_count_capacity_to_the_unit(server, sent):
    families = metrics(server)
    for kind in ("read", "write"):
        counted = values(families[f"lsm_consumed_{kind}_capacity_units"], "_total", "table", "index")
        expected = {key[1:]: units for key, units in sent.units.items() if key[0] == kind and units}
        assert counted == expected, kind


def test_histograms_are_cumulative_and_their_sums_are_those_of_the_log(server, sent, log):
    family = metrics(server)["lsm_request_seconds"]
    sums = values(family, "_sum", "operation", "table")
    counts = values(family, "_count", "operation", "table")
    buckets = values(family, "_bucket", "operation", "table", "le")
    for key, count in counts.items():
        below = [value for (*labels, _), value in buckets.items() if tuple(labels) == key]
        assert below == sorted(below)
        assert below[-1] == buckets[*key, "+Inf"] == count
    lines = logged(log, sum(sent.requests.values()))
    for key in operations(dict(sent.requests)):
        seconds = [line["milliseconds"] / 1000 for line in lines if (line["operation"], line["table"]) == key]
        if key[1]:
            assert sums[key] == pytest.approx(sum(seconds), abs=1e-6 * len(seconds))


def only_one_is_connected(server: Server) -> bool:
    """Who asks; the others have gone, and the server has seen it."""
    return bool(json.loads(server.get("/stats")[2])["server"]["connections"] == 1)


def test_metrics_show_connections_memory_and_the_engine(server, sent):
    until(lambda: only_one_is_connected(server))
    families = metrics(server)
    one = {name: family.samples[0].value for name, family in families.items() if len(family.samples) == 1}
    assert one["lsm_connections"] == 1
    assert one["lsm_connections_accepted"] >= sum(sent.requests.values())
    assert 0.5 < one["lsm_resident_memory_bytes"] / server.resident_bytes() < 2
    assert one["lsm_cache_budget_bytes"] == 256 << 20
    assert one["lsm_memtable_bytes"] > 0
    assert one["lsm_refuses_writes"] == 0
    assert {"lsm_wal_fsyncs", "lsm_stall_seconds", "lsm_compaction_debt_bytes", "lsm_level_tables"} <= families.keys()


def test_tables_that_are_not_there_make_no_series():
    with served("--in-memory") as server:
        for number in range(50):
            server.call("GetItem", {"TableName": f"stranger-{number}", "Key": {"a": {"S": "a"}}})
        counts = values(metrics(server)["lsm_request_seconds"], "_count", "operation", "table")
        assert counts["GetItem", ""] == 50
        assert len(counts) <= 2


def test_with_credentials_only_this_machine_sees_metrics(tmp_path):
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            # sends nothing; the system says which of its addresses it would use
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this machine has no other address than loopback")
    keys = tmp_path / "keys"
    keys.write_text("[a]\naws_access_key_id = A\naws_secret_access_key = B\n")
    keys.chmod(0o600)
    with served("--in-memory", "--host", "0.0.0.0", "--credentials", str(keys)) as server:
        for path, near, far in (("/metrics", 200, 404), ("/stats", 200, 404), ("/", 200, 200)):
            assert server.get(path, "127.0.0.1")[0] == near
            assert server.get(path, address)[0] == far, path


# ---- /stats and `lsm top`


def test_stats_have_the_same_as_json(server, sent):
    status, kind, text = server.get("/stats")
    stats = json.loads(text)
    assert (status, kind) == (200, "application/json")
    counted = {(row["operation"], row["table"]): row["requests"] for row in stats["requests"]}
    assert operations(counted) == operations(dict(sent.requests))
    assert {(row["operation"], row["code"]): row["errors"] for row in stats["errors"]} == dict(sent.errors)
    for row in stats["requests"]:
        assert sum(row["classes"]) == row["requests"]
        assert len(row["classes"]) == len(stats["latency_bounds_seconds"]) + 1
    assert stats["server"]["limits"]["connections"] == 20_000
    assert stats["engine"]["memtables"]["bytes"] > 0


def top(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lsm", "top", *map(str, arguments)]
    environment = children.environment()
    while True:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False
        )
        # `lsm top` waits ten seconds for an answer; a machine may hold up a server for longer
        if "timed out" not in done.stderr:
            return done


def test_top_prints_one_sample_as_json(server, sent):
    done = top(server.address, "--once", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    sample = json.loads(line)
    counted = {(row["operation"], row["table"]): row["requests"] for row in sample["rows"]}
    assert counted["PutItem", "Music"] == sent.requests["PutItem", "Music"]
    row = next(row for row in sample["rows"] if row["operation"] == "PutItem")
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert {(row["operation"], row["code"]): row["errors"] for row in sample["errors"]} == dict(sent.errors)
    assert sample["engine"]["stall"] == "none"


def test_top_prints_one_sample_for_people(server, sent):
    until(lambda: only_one_is_connected(server))
    done = top(server.address, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert f"{server.address}   1 connection, " in done.stdout
    assert f"PutItem              Music                    {sent.requests['PutItem', 'Music']:>10}" in done.stdout
    assert "ConditionalCheckFailedException of PutItem" in done.stdout


def test_top_goes_on_in_a_terminal_until_ctrl_c(server, sent):
    seen = b"timed out"
    while b"timed out" in seen:
        seen = seen_in_a_terminal(server, sent)
    assert b"Traceback" not in seen


def seen_in_a_terminal(server: Server, sent: Sent) -> bytes:
    """What `lsm top` shows until it has shown all that is asked for, and Ctrl-C; less where the server was too late."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lsm", "top", server.address, "--seconds", "0.2"]
    process = subprocess.Popen(
        command, env=children.environment(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    end = time.monotonic() + HUNG_SECONDS
    try:
        while seen.count(b"\x1b[H\x1b[J") < 3 or b"GetItem" not in seen or b"1 connection, " not in seen:
            assert time.monotonic() < end, seen
            if process.poll() is not None:
                seen += shown(ours)
                assert b"timed out" in seen
                return seen
            server.call("GetItem", {"TableName": "Music", "Key": {"a": {"S": "1"}}})
            sent.requests["GetItem", "Music"] += 1
            seen += shown(ours)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            assert time.monotonic() < end, seen
            # it could not end while it waits for room to write
            seen += shown(ours)
        assert process.returncode == 0 or b"timed out" in seen
        return seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def shown(terminal: int) -> bytes:
    """What comes within a moment; nothing where the other side has gone."""
    if not select.select([terminal], [], [], 0.05)[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_top_says_that_nothing_answers():
    done = top("http://127.0.0.1:1", "--once")
    assert done.returncode == 1
    assert done.stderr.startswith("lsm: http://127.0.0.1:1: no server of this kind answers (")
    assert "start one with lsm serve PATH" in done.stderr


# ---- the access log


def logged(log: Path, posted: int) -> list[dict[str, Any]]:
    """All lines, with those of so many POSTs; they are written once a second."""
    lines: list[dict[str, Any]] = []

    def are_there() -> bool:
        # the last may be half a line
        *whole, _ = log.read_bytes().split(b"\n")
        lines[:] = map(json.loads, whole)
        return len([line for line in lines if line["method"] == "POST"]) >= posted

    until(are_there)
    return lines


def test_the_access_log_has_a_line_for_every_request(server, sent, log):
    lines = logged(log, sum(sent.requests.values()))
    named = Counter((line["operation"], line["table"]) for line in lines if line["method"] == "POST")
    # the table as it was asked for
    assert named["GetItem", "Nowhere"] == 1
    assert named["PutItem", "Music"] == sent.requests["PutItem", "Music"]
    assert Counter((line["operation"], line["code"]) for line in lines if line["code"]) == sent.errors
    first = lines[0]
    assert (first["operation"], first["status"], first["key"], first["path"]) == ("CreateTable", 200, "test", "/")
    assert first["client"].startswith("127.0.0.1:")
    assert first["request_bytes"] == len(json.dumps(TABLE))
    assert first["time"].endswith("+00:00")
    assert len({line["request_id"] for line in lines}) == len(lines)


def test_the_access_log_goes_on_in_a_new_file_after_sighup(tmp_path):
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    with served("--in-memory", "--access-log", str(log)) as server:
        server.call("ListTables", {})
        log.rename(old)
        server.process.send_signal(signal.SIGHUP)
        until(log.exists)
        server.call("DescribeLimits", {})
        assert server.stop() == 0
        assert server.stderr == ""
    assert [json.loads(line)["operation"] for line in old.read_text().splitlines()] == ["ListTables"]
    assert [json.loads(line)["operation"] for line in log.read_text().splitlines()] == ["DescribeLimits"]


def test_the_access_log_may_be_stdout():
    with served("--in-memory", "--access-log", "-") as server:
        server.call("ListTables", {})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stdout is not None
        (line,) = server.process.stdout.read().splitlines()
        assert json.loads(line)["operation"] == "ListTables"


def test_a_log_that_cannot_be_written_stops_nobody():
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with served("--in-memory", "--access-log", "/dev/full") as server:
        for _ in range(3):
            assert server.call("ListTables", {})[0] == 200
        assert server.stop() == 0
        assert server.stderr.count("the access log cannot be written") == 1


def test_a_key_id_of_a_stranger_cannot_break_a_line(tmp_path):
    log = tmp_path / "access.log"
    with served("--in-memory", "--access-log", str(log)) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=HUNG_SECONDS)
        connection.request("POST", "/", b"{}", {"Authorization": 'AWS4-HMAC-SHA256 Credential="\xe9\\{}/x'})
        connection.getresponse().read()
        connection.close()
        assert server.stop() == 0
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["key"] == '"\xe9\\{}'
