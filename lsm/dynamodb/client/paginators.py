"""Paginators: pages of Query, Scan, ListTables and ListTagsOfResource, with botocore's names and results."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["PAGINATORS", "Paginator"]


@dataclass(frozen=True, slots=True)
class Paging:
    """Names of members: where a page begins, where the next one does, how long it is, what it holds."""

    method: str
    start: str
    following: str
    limit: str | None
    results: tuple[str, ...]
    sums: tuple[str, ...] = ()


PAGINATORS = {
    "query": Paging("query", "ExclusiveStartKey", "LastEvaluatedKey", "Limit", ("Items",), ("Count", "ScannedCount")),
    "scan": Paging("scan", "ExclusiveStartKey", "LastEvaluatedKey", "Limit", ("Items",), ("Count", "ScannedCount")),
    "list_tables": Paging("list_tables", "ExclusiveStartTableName", "LastEvaluatedTableName", "Limit", ("TableNames",)),
    "list_tags_of_resource": Paging("list_tags_of_resource", "NextToken", "NextToken", None, ("Tags",)),
}


class Paginator:
    """What `client.get_paginator` returns."""

    def __init__(self, call: Callable[..., dict[str, Any]], paging: Paging) -> None:
        self._call = call
        self._paging = paging

    def paginate(self, PaginationConfig: dict[str, Any] | None = None, **request: Any) -> Pages:
        """Pages of the request; PaginationConfig may hold MaxItems, PageSize and StartingToken."""
        return Pages(self._call, self._paging, PaginationConfig or {}, request)


class Pages:
    """Iterates over answers, one per page. resume_token: where to go on after MaxItems."""

    def __init__(
        self, call: Callable[..., dict[str, Any]], paging: Paging, config: dict[str, Any], request: dict[str, Any]
    ) -> None:
        self._call = call
        self._paging = paging
        self._request = request
        self._most = config.get("MaxItems")
        self._page = config.get("PageSize")
        self._token = config.get("StartingToken")
        self.resume_token: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        paging, request = self._paging, dict(self._request)
        left = None if self._most is None else int(self._most)
        skip = 0
        if self._page is not None and paging.limit is not None:
            request[paging.limit] = int(self._page)
        if self._token is not None:
            position = _read_token(self._token)
            skip = position.pop("skip", 0)
            request.update(position)
        while True:
            page = self._call(**request)
            primary = paging.results[0]
            items = page.get(primary, [])[skip:]
            if skip:
                page[primary] = items
            if left is not None and len(items) > left:
                page[primary] = items[:left]
                self.resume_token = _token({**_start(paging, request), "skip": skip + left})
                page.pop(paging.following, None)
                yield page
                return
            skip = 0
            yield page
            following = page.get(paging.following)
            if left is not None:
                left -= len(items)
            if following is None:
                return
            request[paging.start] = following
            if left == 0:
                self.resume_token = _token({paging.start: following})
                return

    def build_full_result(self) -> dict[str, Any]:
        """All pages as one answer: their lists joined, their counts added up."""
        whole: dict[str, Any] = {name: [] for name in self._paging.results}
        whole.update(dict.fromkeys(self._paging.sums, 0))
        for page in self:
            for name in self._paging.results:
                whole[name] += page.get(name, [])
            for name in self._paging.sums:
                whole[name] += page.get(name, 0)
        if self.resume_token is not None:
            whole["NextToken"] = self.resume_token
        return whole


def _start(paging: Paging, request: dict[str, Any]) -> dict[str, Any]:
    return {paging.start: request[paging.start]} if paging.start in request else {}


def _token(position: dict[str, Any]) -> str:
    text = json.dumps(position, default=lambda data: {"bytes": base64.b64encode(data).decode()})
    return base64.b64encode(text.encode()).decode()


def _read_token(token: str) -> dict[str, Any]:
    def restored(data: dict[str, Any]) -> Any:
        return base64.b64decode(data["bytes"]) if data.keys() == {"bytes"} else data

    read: dict[str, Any] = json.loads(base64.b64decode(token), object_hook=restored)
    return read
