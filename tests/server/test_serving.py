"""The server starts, answers and stops."""

from __future__ import annotations

import signal

import pytest

from server.serving import served

TABLE = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "Artist", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "Artist", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_answers_stops_and_has_everything_when_it_comes_back(tmp_path, number) -> None:
    place = str(tmp_path / "db")
    with served(place) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        assert server.call("PutItem", {"TableName": "Music", "Item": {"Artist": {"S": "x"}}}) == (200, {})
        assert server.stop(number) == 0
        assert server.stderr == ""
    with served(place) as server:
        status, answer = server.call("GetItem", {"TableName": "Music", "Key": {"Artist": {"S": "x"}}})
        assert (status, answer) == (200, {"Item": {"Artist": {"S": "x"}}})
