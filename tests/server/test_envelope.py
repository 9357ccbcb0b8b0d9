"""What stands around an operation's answer: target, content type, status, headers, the form of errors, their order."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from server.serving import HEADERS, Server, served
from server.wire import TABLE, ask, connected, message, put

UNKNOWN = {"__type": "com.amazon.coral.service#UnknownOperationException"}
UNREADABLE = {"__type": "com.amazon.coral.service#SerializationException"}
NOT_FOUND = b"<UnknownOperationException/>\n"
NO_AUTHENTICATION = {name: None for name in HEADERS if name != "Content-Type"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("--in-memory", "--region", "eu-west-3") as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        yield running


# ---- target


def test_an_operation_of_the_data_service_is_carried_out(server) -> None:
    answer = ask(server, message())
    assert (answer.status, answer.json()) == (200, {"TableNames": ["Things"]})


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "ListTables",
        "DynamoDB_20120810",
        "DynamoDB_20120810.",
        "DynamoDB_20120810.listtables",
        "DynamoDB_20120810.ListTables ,x",
        "DynamoDB_20111205.ListTables",
        "dynamodb_20120810.ListTables",
        "DynamoDB_20120810.NoSuchOperation",
        "DynamoDB_20120810.ListStreams",
        "DynamoDBStreams_20120810.PutItem",
        "DynamoDBStreams_20120810.NoSuchOperation",
    ],
)
def test_a_target_that_is_none_of_the_service_is_an_unknown_operation_without_text(server, target) -> None:
    answer = ask(server, message(headers={"X-Amz-Target": target}))
    assert (answer.status, answer.json()) == (400, UNKNOWN)
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"


@pytest.mark.parametrize("target", ["DynamoDB_20120810.CreateBackup", "DynamoDB_20120810.SearchVectors"])
def test_an_operation_that_is_not_built_is_unknown(server, target) -> None:
    answer = ask(server, message(headers={"X-Amz-Target": target}))
    assert (answer.status, answer.json()) == (400, UNKNOWN)


# ---- content type


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("application/x-amz-json-1.0", "application/x-amz-json-1.0"),
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/x-amz-json-1.0;charset=UTF-8", "application/x-amz-json-1.0"),
        ("Application/JSON", "application/json"),
    ],
)
def test_the_answer_repeats_the_base_type(server, sent, answered) -> None:
    for operation in ("ListTables", "NoSuchOperation"):
        answer = ask(server, message(operation, headers={"Content-Type": sent}))
        assert answer.headers["content-type"] == answered


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-amz-json-1.1", "application/xml", "application/jsonx", ";"]
)
def test_a_body_of_another_type_is_not_found(server, kind) -> None:
    answer = ask(server, message(headers={"Content-Type": kind}))
    assert (answer.status, answer.body) == (404, NOT_FOUND)
    assert "content-type" not in answer.headers


def test_another_type_without_a_body_is_not_found(server) -> None:
    assert ask(server, message(body=b"", headers={"Content-Type": "text/plain"})).status == 404


def test_neither_body_nor_type_goes_on_as_json(server) -> None:
    answer = ask(server, message(body=b"", headers={"Content-Type": None}))
    assert (answer.status, answer.json()) == (400, UNREADABLE)
    assert answer.headers["content-type"] == "application/json"


# ---- headers of every answer


def test_request_ids_have_52_characters_and_never_come_twice(server) -> None:
    with connected(server) as wire:
        wire.send(message() * 200 + message("Nothing") * 200 + message(line="GET / HTTP/1.1", body=b"") * 100)
        ids = [wire.answer().headers["x-amzn-requestid"] for _ in range(500)]
    assert len(set(ids)) == 500
    assert all(re.fullmatch(r"[0-9A-Z]{52}", one) for one in ids)


@pytest.mark.parametrize(
    "data",
    [
        message(),
        message("Nothing"),
        message(body=b"{"),
        message(headers={"Content-Type": "text/plain"}),
        message(line="PUT / HTTP/1.1"),
        message(line="GET / HTTP/1.1", body=b""),
        message(line="OPTIONS / HTTP/1.1", body=b"", headers={"Origin": "http://here"}),
        b"no http\r\n\r\n",
    ],
)
def test_every_answer_has_its_headers(server, data) -> None:
    # Wire checks the CRC32
    headers = ask(server, data).headers
    assert {"x-amzn-requestid", "x-amz-crc32", "content-length", "date", "server"} <= headers.keys()


# ---- methods and paths


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_not_found(server, method) -> None:
    answer = ask(server, message(line=f"{method} / HTTP/1.1"))
    assert (answer.status, answer.body) == (404, NOT_FOUND)


def test_head_is_not_found_and_its_answer_has_no_body(server) -> None:
    with connected(server) as wire:
        wire.send(message(line="HEAD / HTTP/1.1", body=b"") + message())
        assert wire.answer(head_only=True).status == 404
        assert wire.answer().status == 200


@pytest.mark.parametrize("path", ["/x", "//", "/index.html", "/?x/y/../", "/%2F", "/shell/"])
def test_other_paths_are_not_found(server, path) -> None:
    if "?" in path:
        path = "/x" + path[1:]
    answer = ask(server, message(line=f"POST {path} HTTP/1.1"))
    assert (answer.status, answer.body) == (404, NOT_FOUND)
    assert "content-type" not in answer.headers


def test_get_tells_that_the_server_is_healthy(server) -> None:
    answer = ask(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"healthy: dynamodb.eu-west-3.amazonaws.com ")


def test_get_of_another_path_is_not_found(server) -> None:
    assert ask(server, b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


@pytest.mark.parametrize("target", ["http://localhost/", "HTTP://example.com:8000/", "https://[::1]:8000", "http://x"])
def test_a_target_with_the_servers_address_is_its_path(server, target) -> None:
    assert ask(server, message(line=f"POST {target} HTTP/1.1")).status == 200


def test_a_path_behind_the_servers_address_counts(server) -> None:
    assert ask(server, message(line="POST http://localhost/x HTTP/1.1")).status == 404


# ---- CORS

ALLOW = "access-control-allow-origin"


def test_a_preflight_is_granted(server) -> None:
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target,authorization,x-amz-date",
    }
    answer = ask(server, message(line="OPTIONS / HTTP/1.1", body=b"", headers=headers))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers[ALLOW] == "*"
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "x-amz-target,authorization,x-amz-date"
    assert int(answer.headers["access-control-max-age"]) > 0


def test_options_without_origin_is_not_found(server) -> None:
    assert ask(server, message(line="OPTIONS / HTTP/1.1", body=b"")).status == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({}, 200),
        ({"operation": "Nothing"}, 400),
        ({"body": b"{"}, 400),
        ({"headers": {"Content-Type": "text/plain"}}, 404),
        ({"line": "PUT / HTTP/1.1"}, 404),
        ({"line": "POST /x HTTP/1.1"}, 404),
        ({"line": "GET / HTTP/1.1", "body": b""}, 200),
        ({"headers": {"Content-Encoding": "br"}}, 400),
        ({"headers": {"Content-Length": str(1 << 30)}}, 413),
    ],
)
def test_answers_to_a_page_of_elsewhere_let_it_read_them(server, data, status) -> None:
    headers = {"Origin": "http://elsewhere", **data.get("headers", {})}
    answer = ask(server, message(**{**data, "headers": headers}))
    assert answer.status == status
    assert answer.headers[ALLOW] == "*"
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert "x-amzn-requestid" in exposed
    assert "x-amz-crc32" in exposed


def test_without_origin_nothing_is_said_of_it(server) -> None:
    assert ALLOW not in ask(server, message()).headers


# ---- errors by code


def check(server: Server, data: bytes, kind: str, member: str | None, text: str | None) -> None:
    answer = ask(server, data)
    body = answer.json()
    assert answer.status == 400
    assert body.pop("__type") == kind
    body.pop("CancellationReasons", None)
    assert body == ({} if member is None else {member: text})


def test_a_validation_exception(server) -> None:
    text = "Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"
    check(
        server,
        message("GetItem", {"TableName": "", "Key": {}}),
        "com.amazon.coral.validate#ValidationException",
        "message",
        f"1 validation error detected: {text}",
    )


def test_a_resource_not_found_exception(server) -> None:
    check(
        server,
        message("GetItem", {"TableName": "Nowhere", "Key": {"id": {"S": "x"}}}),
        "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        "message",
        "Requested resource not found",
    )


def test_a_missing_authentication_token(server) -> None:
    check(
        server,
        message(headers=NO_AUTHENTICATION),
        "com.amazon.coral.service#MissingAuthenticationTokenException",
        "message",
        "Request is missing Authentication Token",
    )


def test_a_serialization_exception_has_its_text_in_capital_message(server) -> None:
    check(
        server,
        message("ListTables", {"Limit": "x"}),
        "com.amazon.coral.service#SerializationException",
        "Message",
        "STRING_VALUE cannot be converted to Integer",
    )


def test_a_failed_condition_carries_the_item_beside_its_text(server) -> None:
    assert ask(server, put("there", n={"N": "1"})).status == 200
    request = {
        "TableName": "Things",
        "Item": {"id": {"S": "there"}},
        "ConditionExpression": "attribute_not_exists(id)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    answer = ask(server, message("PutItem", request))
    assert (answer.status, answer.json()) == (
        400,
        {
            "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
            "message": "The conditional request failed",
            "Item": {"id": {"S": "there"}, "n": {"N": "1"}},
        },
    )


def transaction(token: str, key: str, condition: str | None = None) -> bytes:
    put_one = {"TableName": "Things", "Item": {"id": {"S": key}}}
    if condition is not None:
        put_one["ConditionExpression"] = condition
    return message("TransactWriteItems", {"ClientRequestToken": token, "TransactItems": [{"Put": put_one}]})


def test_a_cancelled_transaction_has_its_text_in_capital_message(server) -> None:
    check(
        server,
        transaction("a", "never", "attribute_exists(id)"),
        "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message",
        "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed]",
    )


def test_a_token_for_something_else_has_its_text_in_capital_message(server) -> None:
    assert ask(server, transaction("b", "one")).status == 200
    body = ask(server, transaction("b", "two")).json()
    assert body["__type"] == "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException"
    assert "Message" in body
    assert "message" not in body


# ---- order of checks (each request has this fault and all that are checked later)

LATER_MEMBERS = {"TableName": ""}
LATER_TYPES = {"TableName": 1}


def test_json_that_does_not_parse_comes_before_the_target(server) -> None:
    answer = ask(server, message("Nothing", b"{", NO_AUTHENTICATION))
    assert answer.json() == UNREADABLE


def test_the_target_comes_before_authentication(server) -> None:
    assert ask(server, message("Nothing", LATER_TYPES, NO_AUTHENTICATION)).json() == UNKNOWN


def test_authentication_comes_before_an_empty_body(server) -> None:
    answer = ask(server, message("GetItem", b"", NO_AUTHENTICATION))
    assert answer.code == "MissingAuthenticationTokenException"


def test_authentication_comes_before_the_types_of_members(server) -> None:
    answer = ask(server, message("GetItem", LATER_TYPES, NO_AUTHENTICATION))
    assert answer.code == "MissingAuthenticationTokenException"


def test_an_empty_body_has_no_text(server) -> None:
    assert ask(server, message("GetItem", b"")).json() == UNREADABLE


def test_the_types_of_members_come_before_the_members(server) -> None:
    answer = ask(server, message("GetItem", {**LATER_MEMBERS, "ConsistentRead": 1}))
    assert (answer.code, answer.text) == (
        "SerializationException",
        "NUMBER_VALUE cannot be converted to Boolean",
    )


def test_the_content_type_comes_before_everything(server) -> None:
    answer = ask(server, message("Nothing", b"{", {**NO_AUTHENTICATION, "Content-Type": "text/html"}))
    assert (answer.status, answer.body) == (404, NOT_FOUND)
