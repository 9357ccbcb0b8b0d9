"""Who may ask: anybody whose request is signed in form, or only holders of keys that the server was given.

Guarantees: with credentials no request passes whose signature is not right. Immutable but for what `signature` caches;
any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lsm.server.requests import Request
from lsm.server.signature import Credentials, present, verify

__all__ = ["Authentication", "key_id"]

SCHEME = b"AWS4-HMAC-SHA256 "


class Authentication:
    """credentials None: all keys are good, and signatures are not looked at."""

    def __init__(
        self,
        credentials: Credentials | None = None,
        region: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask."""
        return self._credentials is None

    def check(self, request: Request) -> None:
        """Raises ApiError where the request must not be answered."""
        if self._credentials is not None:
            fault = verify(request.head, request.body, self._credentials, self._clock(), region=self._region)
        elif _is_usual(request):
            return
        else:
            fault = present(request.head)
        if fault is not None:
            raise fault


def _is_usual(request: Request) -> bool:
    """Whether nothing can be missing, which needs no closer look."""
    header = request.named.get(b"authorization", b"")
    return (
        header.startswith(SCHEME)
        and b"Credential=" in header
        and b"Signature=" in header
        and b"SignedHeaders=" in header
        and b"x-amz-date" in request.named
        and not request.head.query
    )


def key_id(request: Request) -> str:
    """The id of the key that a request names, as far as one can be made out."""
    place = request.named.get(b"authorization") or request.head.query
    begin = place.rfind(b"Credential=")
    if begin < 0:
        return ""
    return place[begin + 11 : begin + 139].replace(b"%2F", b"/").partition(b"/")[0].decode("latin-1")
