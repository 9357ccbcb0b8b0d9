"""The stores that are measured, each as a client with boto3's methods; those that are not installed say what to do."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from lsm.dynamodb import connect

__all__ = ["DOORS", "MissingError"]

FAKE = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}


class MissingError(Exception):
    """A store that cannot be measured here; the message says what to install."""


@contextmanager
def _ours(directory: Path) -> Iterator[Any]:
    with connect(directory / "lsm", durability="process") as connection:
        yield connection.client()


@contextmanager
def _boto3(directory: Path) -> Iterator[Any]:
    try:
        import boto3
    except ImportError as error:
        raise MissingError("boto3: pip install '.[test]'") from error
    from lsm.dynamodb.boto import answer_clients_of

    with connect(directory / "boto3", durability="process") as connection:
        session = boto3.session.Session(**FAKE)
        answer_clients_of(session, connection.service)
        yield session.client("dynamodb")


@contextmanager
def _moto(directory: Path) -> Iterator[Any]:
    try:
        import boto3
        from moto import mock_aws
    except ImportError as error:
        raise MissingError("moto: pip install 'moto[dynamodb]'") from error
    with mock_aws():
        yield boto3.client("dynamodb", **FAKE)


@contextmanager
def _dynalite(directory: Path) -> Iterator[Any]:
    program = shutil.which("dynalite")
    if program is None:
        raise MissingError("dynalite: npm install --global dynalite")
    import boto3

    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [program, "--port", str(port), "--createTableMs", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_port(port)
        yield boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", **FAKE)
    finally:
        server.terminate()
        server.wait()


def _await_port(port: int) -> None:
    for _ in range(200):
        with contextlib.closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise MissingError("dynalite did not begin to listen")


Door = Callable[[Path], AbstractContextManager[Any]]

DOORS: dict[str, tuple[str, Door]] = {
    "lsm": ("lsm, our client", _ours),
    "boto3": ("lsm, boto3", _boto3),
    "moto": ("moto, in-process", _moto),
    "dynalite": ("dynalite, HTTP", _dynalite),
}
"""Title and opener by name; the first is what the ratios are of."""
