"""The command `lsm serve`: how it starts and refuses to, what it says, how little it needs."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import children
import pytest

pytest.importorskip("httptools")

from server.certificates import self_signed
from server.serving import HUNG_SECONDS, PATIENT, Server, served
from server.wire import connected

MIB = 1 << 20


def serve(*arguments: object, blocked: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A start that is to fail."""
    environment = children.environment()
    if blocked is not None:
        environment["PYTHONPATH"] = f"{blocked}:{environment['PYTHONPATH']}"
    command = [sys.executable, "-m", "lsm", "serve", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False)


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """In one line."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("lsm: ")
    assert "Errno" not in lines[0]
    for word in words:
        assert word in lines[0]


# ---- refusals


def test_a_port_in_use_is_named(tmp_path):
    with served("--in-memory") as server:
        done = serve(tmp_path / "db", "--port", server.port)
        refused(done, 1, f"port {server.port} on 127.0.0.1 is in use", "choose another with --port")


def test_a_path_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    refused(serve(tmp_path / "file"), 1, f"{tmp_path}/file: not a database (a file)")
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("text")
    refused(serve(other), 1, f"{other} is no database and holds notes.txt", "name another path")
    assert [entry.name for entry in other.iterdir()] == ["notes.txt"]
    refused(serve(tmp_path / "no" / "such"), 1, f"there is no directory {tmp_path}/no", "make it first")


def test_a_database_that_is_open_elsewhere_names_the_process(tmp_path):
    with served(str(tmp_path / "db")) as server:
        done = serve(tmp_path / "db", "--port", "0")
        refused(done, 1, f"{tmp_path}/db is open in process {server.process.pid}", "close it there")


def can_listen(host: str) -> bool:
    """Whether this machine has the address."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(kind) as one:
        one.bind((host, 0))
        return True
    return False


def test_an_address_of_another_machine_is_refused():
    if can_listen("203.0.113.9"):
        pytest.skip("this machine lets programs listen on addresses that it has not")
    done = serve("--in-memory", "--host", "203.0.113.9", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "lsm: 203.0.113.9 is no address of this machine: choose another with --host"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("db", "--in-memory"),
        ("--in-memory", "--key", "key.pem"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments):
    refused(serve(*arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "65536"), "65536 is no port: 0 to 65535"),
        (("--port", "http"), "http is no port: 0 to 65535"),
        (("--idle-seconds", "soon"), "soon is no number of seconds above 0"),
        (("--request-seconds", "nan"), "nan is no number of seconds above 0"),
        (("--threads", "0"), "0 is less than 1"),
        (("--awake-us", "-1"), "-1 is no number of microseconds"),
        (("--awake-us", "soon"), "soon is no number of microseconds"),
        (("--cache-mb", "much"), "much is no whole number"),
        (("--account", "12"), "12 is no account: 12 digits"),
        (("--durability", "none"), "invalid choice: 'none'"),
        (("--prt", "1"), "unrecognized arguments"),
    ],
)
def test_a_wrong_option_is_status_2_and_says_what_it_may_be(arguments, words):
    done = serve("--in-memory", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "_" not in done.stderr.splitlines()[-1], "a name from the inside"


def test_credentials_and_certificates_that_cannot_be_used_are_refused(tmp_path):
    text = tmp_path / "text"
    text.write_text("no keys\n")
    refused(serve("--in-memory", "--credentials", tmp_path / "none"), 1, "none: cannot be read")
    refused(serve("--in-memory", "--credentials", text), 1, f"{text}:1: a section `[name]` must come first")
    refused(serve("--in-memory", "--certificate", tmp_path / "none"), 1, "none: cannot be read")
    refused(serve("--in-memory", "--certificate", text), 1, "no certificate with its private key")
    refused(serve("--in-memory", "--port", "0", "--access-log", "/no/such/log"), 1, "/no/such/log", "the access log")


def test_an_encrypted_key_is_refused_instead_of_asking_for_its_password(tmp_path):
    both = self_signed(tmp_path)
    key = tmp_path / "encrypted.pem"
    command = ["openssl", "pkey", "-in", tmp_path / "key.pem", "-aes256", "-passout", "pass:secret", "-out", key]
    subprocess.run(command, check=True, capture_output=True)
    done = serve("--in-memory", "--certificate", both, "--key", key)
    refused(done, 1, f"{key}: the key is encrypted", f"openssl pkey -in {key}")


# ---- packages that are not there

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def blocking(tmp_path: Path) -> Callable[..., Path]:
    def block(*packages: str) -> Path:
        place = tmp_path / "blocked"
        place.mkdir()
        (place / "sitecustomize.py").write_text(BLOCKER.format(blocked=packages))
        return place

    return block


@pytest.mark.parametrize("package", ["httptools", "orjson"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(blocking, package):
    done = serve("--in-memory", blocked=blocking(package))
    refused(done, 1, f"lsm serve needs the package {package}: pip install httptools orjson")


def test_it_serves_without_uvloop_and_prometheus_client(blocking, monkeypatch):
    place = blocking("uvloop", "prometheus_client")
    environment = children.environment()
    monkeypatch.setattr(
        children, "environment", lambda: environment | {"PYTHONPATH": f"{place}:{environment['PYTHONPATH']}"}
    )
    with served("--in-memory") as server:
        assert server.call("ListTables", {}) == (200, {"TableNames": []})
        assert server.get("/metrics")[2] == "# /metrics needs the package prometheus-client\n"
        assert server.stop() == 0
        assert server.stderr == ""


# ---- what it says


def test_help_teaches():
    done = serve("--help")
    assert done.returncode == 0
    options = ("--in-memory", "--credentials FILE", "--durability {power,process}")
    for words in (*options, "aws dynamodb list-tables --endpoint-url", "boto3.resource", "Ctrl-C"):
        assert words in done.stdout, words


def test_it_prints_one_line_with_the_port_that_it_got():
    with served("--in-memory", "--port", "0") as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.address)
        assert server.port > 1023
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_open_server_for_everybody_warns_loudly(host):
    if not can_listen(host):
        pytest.skip("this machine has no IPv6")
    with served("--in-memory", "--host", host) as server:
        assert server.stop() == 0
        assert server.stderr.startswith(f"lsm: warning: ANYBODY WHO REACHES {host} CAN READ AND CHANGE EVERY TABLE")


def test_no_warning_where_signatures_are_verified_or_only_this_machine_reaches_it(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("[a]\naws_access_key_id = A\naws_secret_access_key = B\n")
    keys.chmod(0o600)
    for host, *more in (("0.0.0.0", "--credentials", str(keys)), ("localhost",), ("127.0.0.9",)):
        with served("--in-memory", "--host", host, *more) as server:
            assert server.stop() == 0
            assert server.stderr == ""


def test_keys_that_others_can_read_are_warned_of(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("[a]\naws_access_key_id = A\naws_secret_access_key = B\n")
    keys.chmod(0o644)
    with served("--in-memory", "--credentials", str(keys)) as server:
        assert server.stop() == 0
        assert "can be read by others (mode 0644)" in server.stderr


def test_region_and_account_are_in_arns():
    with served("--in-memory", "--region", "eu-north-1", "--account", "123456789012") as server:
        table = {
            "TableName": "Music",
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        _, answer = server.call("CreateTable", table)
        assert answer["TableDescription"]["TableArn"] == "arn:aws:dynamodb:eu-north-1:123456789012:table/Music"
        assert server.get("/")[2] == "healthy: dynamodb.eu-north-1.amazonaws.com "


# ---- how it ends, how little it takes


@contextlib.contextmanager
def half_a_request(server: Server) -> Iterator[None]:
    """One that never comes to its end."""
    with connected(server) as half:
        half.send_and_see_it_read(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf of a bod")
        yield


def test_a_second_signal_ends_it_at_once(tmp_path):
    with served(str(tmp_path / "db"), *PATIENT) as server, half_a_request(server), connected(server) as idle:
        server.process.send_signal(signal.SIGINT)
        # the stop is under way; it is the half request that holds it up
        assert idle.is_ended()
        assert server.process.poll() is None
        assert server.stop(signal.SIGINT) == 130
    with served(str(tmp_path / "db")) as server:
        assert server.stop() == 0


def test_a_stop_waits_for_half_a_request_as_long_as_it_was_told_to(tmp_path):
    with served(str(tmp_path / "db"), *PATIENT, "--stop-seconds", "0.2") as server, half_a_request(server):
        assert server.stop() == 0


def test_idle_memory_is_under_60_mb(tmp_path):
    with served(str(tmp_path / "db")) as server:
        assert server.call("ListTables", {})[0] == 200
        assert server.resident_bytes() < 60 * MIB
        assert json.loads(server.get("/stats")[2])["server"]["resident_bytes"] < 60 * MIB
