"""The world of the tests of observed behaviours, with a server and HTTP between boto3 and the service."""

from __future__ import annotations

import http.client
import json
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from dynamodb.behaviours import World

from lsm.dynamodb import ApiError
from server.serving import CLIENT, HEADERS, HUNG_SECONDS, Server


class ServedWorld(World):
    """Requests of boto3, and raw bodies, over HTTP. That a refused one wrote nothing is seen in the process alone."""

    def __init__(self, server: Server) -> None:
        settings = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        config = Config(**CLIENT, parameter_validation=False)
        self.client = boto3.client("dynamodb", endpoint_url=server.address, config=config, **settings)
        self.service = SimpleNamespace(database=SimpleNamespace(last_sequence=0), call=self._call)
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=HUNG_SECONDS)

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.raw(operation, json.dumps(request))

    def raw(self, operation: str, body: str) -> dict[str, Any]:
        target = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        self._connection.request("POST", "/", body.encode(), HEADERS | target)
        answer = self._connection.getresponse()
        data: dict[str, Any] = json.loads(answer.read())
        if answer.status == 200:
            return data
        code = data["__type"].rpartition("#")[2]
        raise ApiError(code, data.get("Message", data.get("message")), answer.status)

    def close(self) -> None:
        self._connection.close()
        self.client.close()
