"""Requests signed by botocore's own signers, as a server gets them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from lsm.server.credentials import AccessKey, Credentials
from lsm.server.signature import verify

NOW = 1_700_000_000
DATE = "20231114T221320Z"
ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN_ID, TOKEN = "ASIDEXAMPLE", "FwoGZXIvYXdzE/token+with=signs"
HEADERS = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
KINDS = ["header", "hashed", "unsigned", "query", "query-unsigned"]
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
KEYS = Credentials({ID: AccessKey(SECRET), TOKEN_ID: AccessKey(SECRET, TOKEN)})


@dataclass(frozen=True)
class Sent:
    """A request on the wire; what a server's own head of a request looks like."""

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> bytes:
        return next(value for key, value in self.headers if key.lower() == name.lower().encode())

    def without(self, *names: str) -> Sent:
        gone = {name.lower().encode() for name in names}
        return replace(self, headers=[pair for pair in self.headers if pair[0].lower() not in gone])

    def having(self, name: str, *values: str | bytes) -> Sent:
        """With these values for a header in the place of those it has."""
        added = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for value in values]
        return replace(self, headers=self.without(name).headers + added)

    def authorized(self, old: str, new: str) -> Sent:
        """With a part of the Authorization header replaced."""
        header = self.header("authorization").decode()
        assert old in header
        return self.having("Authorization", header.replace(old, new, 1))

    def asking(self, old: str, new: str) -> Sent:
        """With a part of the query string replaced."""
        assert old.encode() in self.query
        return replace(self, query=self.query.replace(old.encode(), new.encode(), 1))


@contextmanager
def botocore_at(seconds: float) -> Iterator[None]:
    date = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=date):
        yield


def query_auth(credentials: Any, region: str, service: str, expires: int, body: bytes) -> Any:
    """botocore moves a body into the query string; a DynamoDB request keeps its own, which is hashed."""
    auth = SigV4QueryAuth(credentials, service, region, expires=expires)
    auth.payload = lambda _: hashlib.sha256(body).hexdigest()
    return auth


def signed(
    body: bytes = b"{}",
    *,
    kind: str = "header",
    headers: Any = None,
    url: str = "http://127.0.0.1:8000/",
    params: Any = None,
    key: str = ID,
    secret: str = SECRET,
    token: str | None = None,
    region: str = "us-east-1",
    service: str = "dynamodb",
    at: float = NOW,
    expires: int = 900,
    method: str = "POST",
    payload: str | None = None,
) -> Sent:
    """kind: of KINDS; hashed: in a header with X-Amz-Content-SHA256.

    headers: pairs or a mapping beside the usual ones. payload: what is signed for a hash of the body, unsaid.
    """
    more = headers.items() if isinstance(headers, dict) else headers or ()
    in_query = kind.startswith("query")
    request = AWSRequest(method=method, url=url, params=params or {}, data=b"" if in_query else body)
    for name, value in [*HEADERS.items(), *more]:
        request.headers[name] = value
    credentials = BotocoreCredentials(key, secret, token)
    if kind == "unsigned":
        request.url = request.url.replace("http:", "https:")
        request.context["payload_signing_enabled"] = False
    signers: dict[str, Any] = {
        "header": lambda: SigV4Auth(credentials, service, region),
        "unsigned": lambda: SigV4Auth(credentials, service, region),
        "hashed": lambda: S3SigV4Auth(credentials, service, region),
        "query": lambda: query_auth(credentials, region, service, expires, body),
        "query-unsigned": lambda: S3SigV4QueryAuth(credentials, service, region, expires=expires),
    }
    signer = signers[kind]()
    if payload is not None:
        signer.payload = lambda _: payload
    with botocore_at(at):
        signer.add_auth(request)
    if request.headers.get("Host") is None:
        request.headers["Host"] = urlsplit(url).netloc
    prepared = urlsplit(request.prepare().url)
    pairs = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    return Sent(method, prepared.path.encode(), prepared.query.encode(), pairs, body)


def check(sent: Sent, **options: Any) -> Any:
    """What `verify` says, NOW unless `now` is given."""
    credentials = options.pop("credentials", KEYS)
    return verify(sent, sent.body, credentials, options.pop("now", NOW), **options)
