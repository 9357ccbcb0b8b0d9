"""The AWS CLI: the session of DynamoDB's getting started, on a server that is given as the endpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("httptools")

from server.serving import served

SECONDS = 300


def _command() -> list[str]:
    """How `aws` is run here; a shim may stand for one that is not installed."""
    for command in (["aws"], [sys.executable, "-m", "awscli"]):
        if shutil.which(command[0]) is None:
            continue
        try:
            done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and "aws-cli" in done.stdout + done.stderr:
            return command
    pytest.skip("the AWS CLI is not installed: neither `aws` nor the package awscli runs")


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """Runs `aws dynamodb ARGUMENTS` against a server; the parsed answer, or the words of the refusal."""
    command = _command()
    home = tmp_path_factory.mktemp("home")
    with served("--in-memory") as server:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        environment |= {
            "HOME": str(home),
            "AWS_CONFIG_FILE": str(home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "PYENV_ROOT": os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")),
            "PYENV_DIR": os.getcwd(),
        }

        def run(*arguments: str, fails: bool = False) -> Any:
            whole = [*command, "dynamodb", *arguments, "--endpoint-url", server.address, "--output", "json"]
            done = subprocess.run(whole, capture_output=True, text=True, timeout=SECONDS, env=environment)
            assert (done.returncode != 0) == fails, done.stderr
            return done.stderr if fails else json.loads(done.stdout) if done.stdout.strip() else {}

        yield run
        assert server.stop() == 0
        assert server.stderr == ""


def test_the_session_of_the_guide(aws):
    created = aws(
        *("create-table", "--table-name", "Music", "--attribute-definitions"),
        *("AttributeName=Artist,AttributeType=S", "AttributeName=SongTitle,AttributeType=S"),
        *("--key-schema", "AttributeName=Artist,KeyType=HASH", "AttributeName=SongTitle,KeyType=RANGE"),
        *("--provisioned-throughput", "ReadCapacityUnits=5,WriteCapacityUnits=5", "--table-class", "STANDARD"),
    )
    assert created["TableDescription"]["TableName"] == "Music"
    assert aws("wait", "table-exists", "--table-name", "Music") == {}

    song = {"Artist": {"S": "No One You Know"}, "SongTitle": {"S": "Call Me Today"}}
    item = song | {"AlbumTitle": {"S": "Somewhat Famous"}, "Awards": {"N": "1"}}
    put = aws("put-item", "--table-name", "Music", "--item", json.dumps(item), "--return-consumed-capacity", "TOTAL")
    assert put["ConsumedCapacity"] == {"TableName": "Music", "CapacityUnits": 1.0}
    got = aws("get-item", "--consistent-read", "--table-name", "Music", "--key", json.dumps(song))
    assert got["Item"] == item

    updated = aws(
        *("update-item", "--table-name", "Music", "--key", json.dumps(song)),
        *("--update-expression", "SET AlbumTitle = :newval ADD Awards :one"),
        *("--expression-attribute-values", '{":newval": {"S": "Updated Album Title"}, ":one": {"N": "9"}}'),
        *("--return-values", "ALL_NEW"),
    )
    assert updated["Attributes"] == item | {"AlbumTitle": {"S": "Updated Album Title"}, "Awards": {"N": "10"}}

    puts = [{"PutRequest": {"Item": {"Artist": {"S": "Acme Band"}, "SongTitle": {"S": f"{n}"}}}} for n in range(25)]
    assert aws("batch-write-item", "--request-items", json.dumps({"Music": puts})) == {"UnprocessedItems": {}}

    query = aws(
        *("query", "--table-name", "Music", "--key-condition-expression", "Artist = :name"),
        *("--expression-attribute-values", '{":name": {"S": "Acme Band"}}', "--page-size", "10"),
    )
    assert query["Count"] == 25
    assert aws("scan", "--table-name", "Music", "--max-items", "20")["Count"] >= 20

    transaction = [
        {"Delete": {"TableName": "Music", "Key": {"Artist": {"S": "Acme Band"}, "SongTitle": {"S": "0"}}}},
        {"Put": {"TableName": "Music", "Item": song}},
    ]
    assert aws("transact-write-items", "--transact-items", json.dumps(transaction)) == {}
    assert aws("delete-item", "--table-name", "Music", "--key", json.dumps(song), "--return-values", "ALL_OLD") == {
        "Attributes": song
    }
    assert aws("scan", "--table-name", "Music", "--select", "COUNT")["Count"] == 24

    assert aws("list-tables") == {"TableNames": ["Music"]}
    assert aws("delete-table", "--table-name", "Music")["TableDescription"]["TableStatus"] == "DELETING"


def test_a_refusal_is_shown_in_the_services_words(aws):
    words = aws("get-item", "--table-name", "Nowhere", "--key", '{"a": {"S": "b"}}', fails=True)
    assert "(ResourceNotFoundException) when calling the GetItem operation: Requested resource not found" in words
