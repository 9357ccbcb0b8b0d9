"""TagResource, UntagResource, ListTagsOfResource. Rules 8.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.control.definitions import invalid
from lsm.dynamodb.control.members import constraint_faults, raise_at_most_ten
from lsm.dynamodb.errors import ApiError, resource_not_found, validation
from lsm.dynamodb.limits import TAGS
from lsm.dynamodb.tables import OpenTable

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["check_tags", "list_tags_of_resource", "tag_resource", "untag_resource"]

PAGE = 10
Request = Mapping[str, Any]


def check_tags(tags: Sequence[Mapping[str, Any]]) -> None:
    """Of a request: lengths, reserved keys, their number."""
    faults = []
    for number, tag in enumerate(tags, 1):
        faults += constraint_faults("TagKeyString", tag.get("Key"), f"tags.{number}.member.key", True)
        faults += constraint_faults("TagValueString", tag.get("Value"), f"tags.{number}.member.value", True)
    raise_at_most_ten(faults)
    if any(tag["Key"].startswith("aws:") for tag in tags):
        raise invalid("Tag keys starting with 'aws:' are reserved for system use")
    if len({tag["Key"] for tag in tags}) < len(tags):
        raise invalid("Duplicate tag keys are not allowed")
    if len(tags) > TAGS:
        raise validation(f"Too many tags: at most {TAGS} are allowed")


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
            raise ApiError("LimitExceededException", f"Subscriber limit exceeded: at most {TAGS} tags per resource")
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
