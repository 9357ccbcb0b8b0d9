"""The JavaScript SDK v3 and dynamodb-admin, a GUI made of it, against a server of its own process.

Node and npm must be there; the packages are fetched once, into a directory beside other temporary files.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httptools")

from server.serving import HUNG_SECONDS, served

PACKAGES = {"@aws-sdk/client-dynamodb": "^3.700.0", "@aws-sdk/lib-dynamodb": "^3.700.0", "dynamodb-admin": "^5.0.0"}
INSTALL_SECONDS = 120
SESSION = Path(__file__).with_name("javascript_session.cjs")


@pytest.fixture(scope="module")
def modules():
    """The directory node_modules."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0] or 0) < 20:
        pytest.skip(f"node {version} is too old for the JavaScript SDK")
    wanted = json.dumps({"name": "clients", "private": True, "dependencies": PACKAGES})
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    place = Path(tempfile.gettempdir()) / f"lsm-test-javascript-{os.getuid()}-{digest}"
    if not place.is_dir():
        _install(npm, wanted, place)
    return place / "node_modules"


def _install(npm: str, wanted: str, place: Path) -> None:
    """Beside, then under its name: what is there is whole."""
    beside = Path(tempfile.mkdtemp(prefix="lsm-test-javascript-"))
    (beside / "package.json").write_text(wanted)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-progress", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=beside, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        reason = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[0]
    except subprocess.TimeoutExpired:
        reason = f"it took more than {INSTALL_SECONDS} seconds"
    if reason:
        shutil.rmtree(beside, ignore_errors=True)
        pytest.skip(f"npm cannot fetch the JavaScript SDK: {reason}")
    try:
        beside.rename(place)
    except OSError:
        # another run was faster
        shutil.rmtree(beside, ignore_errors=True)


@pytest.fixture(scope="module")
def server():
    with served("--in-memory") as running:
        yield running
        assert running.stop() == 0
        assert running.stderr == ""


def test_the_sdk_does_all_that_a_program_does(modules, server):
    environment = {**os.environ, "NODE_PATH": str(modules)}
    done = subprocess.run(
        ["node", str(SESSION), server.address], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    parts = "tables items documentsAndUpdates batches pages transactions errors manyAtOnce end"
    assert done.stdout.split() == parts.split()


# ---- dynamodb-admin


class Admin:
    """A dynamodb-admin, started."""

    def __init__(self, modules: Path, endpoint: str) -> None:
        environment = {**os.environ, "DYNAMO_ENDPOINT": endpoint, "AWS_REGION": "us-east-1", "NODE_ENV": "test"}
        program = modules / "dynamodb-admin/dist/dynamodb-admin.js"
        self.process = subprocess.Popen(
            ["node", str(program), "--host", "127.0.0.1", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        printed = ""
        for line in self.process.stdout:
            printed += line
            if "listening on http://127.0.0.1:" in line:
                self.port = int(line.split("http://127.0.0.1:")[1].split()[0])
                return
        raise AssertionError(printed)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HUNG_SECONDS)
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def admin(modules, server):
    started = Admin(modules, server.address)
    yield started
    started.stop()


def test_a_gui_shows_and_changes_tables_and_items(admin, server):
    table = {
        "TableName": "Made-in-GUI",
        "HashAttributeName": "artist",
        "HashAttributeType": "S",
        "RangeAttributeName": "year",
        "RangeAttributeType": "N",
        "ReadCapacityUnits": 3,
        "WriteCapacityUnits": 3,
    }
    assert admin.ask("POST", "/create-table", {"TableDefinition": table, "SecondaryIndexes": []}) == (204, "")
    status, page = admin.ask("GET", "/")
    assert status == 200
    assert "Made-in-GUI" in page

    item = {"artist": "Ann", "year": 1999, "songs": ["One", {"length": 3.5}]}
    status, key = admin.ask("PUT", "/tables/Made-in-GUI/add-item", item)
    assert (status, json.loads(key)) == (200, {"artist": "Ann", "year": 1999})
    stored = {"artist": {"S": "Ann"}, "year": {"N": "1999"}}
    _, got = server.call("GetItem", {"TableName": "Made-in-GUI", "Key": stored})
    assert got["Item"] == stored | {"songs": {"L": [{"S": "One"}, {"M": {"length": {"N": "3.5"}}}]}}

    status, page = admin.ask("GET", "/tables/Made-in-GUI")
    assert status == 200
    assert "artist" in page
    status, listed = admin.ask("GET", "/tables/Made-in-GUI/items")
    assert status == 200
    assert [found["artist"] for found in json.loads(listed)["Items"]] == ["Ann"]
    status, page = admin.ask("GET", "/tables/Made-in-GUI/items/Ann,1999")
    assert status == 200
    assert "length" in page
    for what in ("meta", "add-item", "get"):
        assert admin.ask("GET", f"/tables/Made-in-GUI/{what}")[0] == 200, what

    assert admin.ask("DELETE", "/tables/Made-in-GUI/items/Ann,1999")[0] == 204
    assert admin.ask("GET", "/tables/Made-in-GUI/items/Ann,1999")[0] == 404
    assert admin.ask("DELETE", "/tables/Made-in-GUI")[0] == 204
    assert "Made-in-GUI" not in server.call("ListTables", {})[1]["TableNames"]
