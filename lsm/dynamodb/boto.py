"""boto3 without a socket: botocore's own clients, whose requests are answered in this process.

Guarantees: a client's request is serialised and its answer shaped as ever (event hooks, resources, paginators, waiters,
retries' bookkeeping); only sending is left out. Needs botocore, boto3_session boto3; nothing else of the package does.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from lsm.dynamodb.client.answers import metadata, with_times
from lsm.dynamodb.client.exceptions import error_response
from lsm.dynamodb.connection import Connection, connect
from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.service import DATA, Service
from lsm.dynamodb.wire import decode_request

__all__ = ["answer_clients_of", "boto3_session", "redirected"]

EVENT = "before-call.dynamodb"
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


class _Transport:
    """Answers what botocore would send, by a Service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        operation = model.name
        status = 200
        try:
            request = decode_request(operation, json.loads(params["body"]))
            answer = self._service.call(operation, request)
            if operation not in DATA:
                answer = with_times(operation, answer)
            answer["ResponseMetadata"] = metadata()
        except ApiError as error:
            status = error.status
            answer = error_response(error, metadata(status))
        return SimpleNamespace(status_code=status, headers={}), answer


def answer_clients_of(session: Any, service: Service) -> None:
    """Every dynamodb client that this botocore or boto3 session makes from now on is answered by `service`."""
    events = getattr(session, "events", None)
    if events is None:
        session.register(EVENT, _Transport(service))
    else:
        events.register(EVENT, _Transport(service))


def boto3_session(path: str | os.PathLike[str], *, region: str = "us-east-1", **options: Any) -> Any:
    """A boto3 Session on the database at `path`: its dynamodb clients and resources never leave the process.

    options: of lsm.dynamodb.connect. `session.lsm` is the Connection; close it to close the database. Raises
    ModuleNotFoundError where boto3 is not installed.
    """
    import boto3

    connection = connect(path, region=region, **options)
    session: Any = boto3.session.Session(region_name=region, **CREDENTIALS)
    answer_clients_of(session, connection.service)
    session.lsm = connection
    return session


_redirecting = threading.RLock()
_targets: list[_Transport] = []


@contextmanager
def redirected(connection: Connection) -> Iterator[None]:
    """Inside, every dynamodb client of botocore in this process, whoever makes or made it, is answered by `connection`.

    One at a time is in force, the innermost. Credentials and region need not be configured.
    """
    from botocore.client import BaseClient

    with _redirecting:
        if not _targets:
            _original.append(BaseClient._make_request)
            BaseClient._make_request = _make_request
        _targets.append(_Transport(connection.service))
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, held in before.items():
            if held is None:
                os.environ.pop(name, None)
        with _redirecting:
            _targets.pop()
            if not _targets:
                BaseClient._make_request = _original.pop()


ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_original: list[Any] = []


def _make_request(client: Any, operation_model: Any, request_dict: dict[str, Any], request_context: Any) -> Any:
    """In the place of botocore's own, which signs and sends."""
    if client.meta.service_model.service_name == "dynamodb" and _targets:
        return _targets[-1](operation_model, request_dict)
    return _original[-1](client, operation_model, request_dict, request_context)
