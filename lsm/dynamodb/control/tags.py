"""TagResource, UntagResource, ListTagsOfResource. Rules 8.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.errors import ApiError, resource_not_found, validation
from lsm.dynamodb.limits import TAG_KEY_CHARACTERS, TAG_VALUE_CHARACTERS, TAGS
from lsm.dynamodb.tables import OpenTable

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["check_tags", "list_tags_of_resource", "tag_resource", "untag_resource"]

PAGE = 10
TOO_MANY = "Number of Tags exceed the current limit for the provided ResourceArn"
Request = Mapping[str, Any]


def check_tags(tags: Sequence[Mapping[str, Any]]) -> None:
    """Of a request: lengths, reserved keys, their number."""
    seen = set()
    for tag in tags:
        key, value = tag.get("Key"), tag.get("Value")
        if not key or len(key) > TAG_KEY_CHARACTERS:
            raise validation(f"The Tag Key provided is invalid, Key: {'null' if key is None else key}")
        if value is None or len(value) > TAG_VALUE_CHARACTERS:
            raise validation(f"The Tag Value provided is invalid, Value: {'null' if value is None else value}")
        if key.startswith("aws:"):
            raise validation(f"Tag Key cannot be prefixed with aws:, Key: {key}")
        if key in seen:
            raise validation(f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}")
        seen.add(key)
    if len(seen) > TAGS:
        raise validation(TOO_MANY)


def _table(service: Service, request: Request) -> OpenTable | None:
    """None where the ARN is well-formed and names no table of this account."""
    arn = request.get("ResourceArn")
    if not arn:
        raise validation("Invalid TableArn")
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or parts[2] != "dynamodb" or not parts[5].startswith("table/"):
        raise validation(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    return service.catalog.find(arn) if arn.startswith(service.catalog.arn("")) else None


def tag_resource(service: Service, request: Request) -> dict[str, Any]:
    tags = request.get("Tags")
    with service.catalog.changing:
        table = _table(service, request)
        if not tags:
            raise validation("Atleast one Tag needs to be provided as Input.")
        check_tags(tags)
        if table is None:
            arn = request["ResourceArn"]
            raise ApiError("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {arn} not found")
        merged = {**table.schema.settings.get("Tags", {}), **{tag["Key"]: tag["Value"] for tag in tags}}
        if len(merged) > TAGS:
            raise validation(TOO_MANY)
        _store(service, table, merged)
    return {}


def untag_resource(service: Service, request: Request) -> dict[str, Any]:
    keys = request.get("TagKeys")
    with service.catalog.changing:
        table = _table(service, request)
        if not keys:
            raise validation("Atleast one Tag Key needs to be provided as Input.")
        if table is None:
            raise resource_not_found()
        gone = set(keys)
        left = {key: value for key, value in table.schema.settings.get("Tags", {}).items() if key not in gone}
        _store(service, table, left)
    return {}


def _store(service: Service, table: OpenTable, tags: dict[str, str]) -> None:
    schema = table.schema
    service.catalog.change(replace(schema, settings={**schema.settings, "Tags": tags}))


def list_tags_of_resource(service: Service, request: Request) -> dict[str, Any]:
    table = _table(service, request)
    if table is None:
        arn = request["ResourceArn"]
        user = f"arn:aws:iam::{service.account}:user/local"
        raise ApiError(
            "AccessDeniedException",
            f"User: {user} is not authorized to perform: dynamodb:ListTagsOfResource on resource: {arn}",
        )
    tags = sorted(table.schema.settings.get("Tags", {}).items())
    first = _position(request.get("NextToken"), len(tags))
    page = tags[first : first + PAGE]
    answer: dict[str, Any] = {"Tags": [{"Key": key, "Value": value} for key, value in page]}
    if first + PAGE < len(tags):
        answer["NextToken"] = str(first + PAGE)
    return answer


def _position(token: str | None, count: int) -> int:
    if token is None:
        return 0
    if not token.isdigit() or int(token) > count:
        raise validation("Invalid NextToken")
    return int(token)
