"""Signature Version 4: every refusal in the service's words and in its order of checks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from urllib.parse import quote

import pytest

pytest.importorskip("botocore")

from lsm.dynamodb.errors import ApiError
from lsm.server.signature import present
from server.signing import DATE, ID, KINDS, MISMATCH, NOW, TOKEN_ID, Sent, check, signed

IN_QUERY = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"]
DATE_MISSING = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "


def refused(fault: ApiError | None, code: str, message: str) -> None:
    assert fault is not None
    assert (fault.code, fault.message, fault.status, fault.members) == (code, message, 400, {})


def plain(*headers: tuple[str, str], query: bytes = b"") -> Sent:
    return Sent("POST", b"/", query, [(name.encode(), value.encode()) for name, value in headers], b"{}")


# What is refused always, with and without credentials.


def test_two_signatures_are_refused():
    sent = replace(signed(), query=b"X-Amz-Algorithm=AWS4-HMAC-SHA256")
    message = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    refused(present(sent), "InvalidSignatureException", message)
    refused(check(sent), "InvalidSignatureException", message)
    refused(present(replace(sent, query=b"a=b&X-Amz%2DAlgorithm")), "InvalidSignatureException", message)


@pytest.mark.parametrize("authorization", [None, "", "   ", "AWS4", "Bearer x", "Basic eDp5", "aws4-hmac-sha256 x=y"])
def test_no_signature_is_refused(authorization):
    sent = plain() if authorization is None else plain(("Authorization", authorization))
    for fault in (present(sent), check(sent)):
        refused(fault, "MissingAuthenticationTokenException", "Request is missing Authentication Token")


@pytest.mark.parametrize(
    ("authorization", "missing"),
    [
        ("AWS4-", ["Credential", "Signature", "SignedHeaders"]),
        ("AWS4-HMAC-SHA256", ["Credential", "Signature", "SignedHeaders"]),
        ("AWS4- Signature=b Credential=a", ["SignedHeaders"]),
        ("AWS4- Signature=b,Credential=a", ["SignedHeaders"]),
        ("AWS4- Signature=b,    SignedHeaders=a", ["Credential"]),
        ("AWS4- Credential=b, SignedHeaders=a", ["Signature"]),
        ("AWS4- Credential=, Signature=, SignedHeaders=", ["Credential", "Signature"]),
        ("AWS4- credential=a, signature=b, signedheaders=c", ["Credential", "Signature", "SignedHeaders"]),
    ],
)
@pytest.mark.parametrize("date", [None, "X-Amz-Date", "Date"])
def test_an_authorization_header_names_exactly_what_it_lacks(authorization, missing, date):
    sent = plain(("Authorization", authorization), *([(date, DATE)] if date else []))
    sentences = [f"Authorization header requires '{name}' parameter. " for name in missing]
    message = "".join(sentences) + (DATE_MISSING if date is None else "") + f"Authorization={authorization}"
    for fault in (present(sent), check(sent)):
        refused(fault, "IncompleteSignatureException", message)


def test_a_missing_date_alone_is_named():
    sent = signed().without("x-amz-date")
    message = DATE_MISSING + f"Authorization={sent.header('authorization').decode()}"
    refused(present(sent), "IncompleteSignatureException", message)


def test_a_part_without_equals_sign_is_named_first():
    header = "AWS4-HMAC-SHA256 Signature=b,    Credential,    SignedHeaders"
    message = f"'Credential' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'."
    refused(present(plain(("Authorization", header))), "IncompleteSignatureException", message)


def test_a_query_string_names_exactly_what_it_lacks():
    for number in range(1 << len(IN_QUERY)):
        names = [name for bit, name in enumerate(IN_QUERY) if number >> bit & 1]
        missing = [name for name in IN_QUERY if name not in names]
        query = "&".join(["X-Amz-Algorithm" if "X-Amz-Algorithm" in missing else "a=b", *(f"{n}=x" for n in names)])
        sent = plain(query=query.encode())
        sentences = [f"AWS query-string parameters must include '{name}'. " for name in missing]
        message = "".join(sentences) + "Re-examine the query-string parameters."
        if missing:
            refused(present(sent), "IncompleteSignatureException", message)
        else:
            assert present(sent) is None


def test_of_a_parameter_sent_twice_the_first_counts():
    sent = signed(kind="query")
    first = replace(sent, query=b"X-Amz-Date=20200101T000000Z&" + sent.query)
    assert check(first).message.startswith("Signature expired: 20200101T000000Z ")
    second = replace(sent, query=sent.query + b"&X-Amz-Date=20200101T000000Z")
    assert check(second).message == MISMATCH


def test_any_key_and_signature_will_do_without_credentials():
    assert present(signed(key="anything", secret="x", service="s3", at=0)) is None
    header = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=, Signature=b"
    assert present(plain(("Authorization", header), ("Date", "whenever"))) is None


# Dates.


@pytest.mark.parametrize(
    "date",
    [
        "201",
        "1442252505",
        "2023-11-14T22:13:20Z",
        "20231314T221320Z",
        "20230230T221320Z",
        "20231114T251320Z",
        "00000101T000000Z",
        "20231114T221320",
        "20231114T221320Z,20231114T221320Z",
        "\u0662\u0660\u0662\u0663",
    ],
)
def test_a_date_that_is_none_is_refused(date):
    values = date.split(",")
    shown = date.encode().decode("latin-1")
    message = f"Date must be in ISO-8601 'basic format'. Got '{shown}'. See http://en.wikipedia.org/wiki/ISO_8601"
    refused(check(signed().having("X-Amz-Date", *values)), "IncompleteSignatureException", message)


def test_a_date_header_that_is_none_is_refused():
    for date in ("yesterday", "Tue, 14 Nov 2023 22:13:20 +0100", "Tue, 45 Nov 2023 22:13:20 GMT"):
        sent = signed().without("x-amz-date").having("Date", date)
        message = f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        refused(check(sent), "IncompleteSignatureException", message)


def test_a_signature_holds_for_fifteen_minutes_either_way():
    assert check(signed(), now=NOW + 900.9) is None
    assert check(signed(), now=NOW - 900) is None


def test_an_old_signature_is_refused():
    message = "Signature expired: 20231114T221320Z is now earlier than 20231114T221321Z (20231114T222821Z - 15 min.)"
    refused(check(signed(), now=NOW + 901), "InvalidSignatureException", message)


def test_a_signature_of_the_future_is_refused():
    message = (
        "Signature not yet current: 20231114T221320Z is still later than 20231114T221319Z (20231114T215819Z + 15 min.)"
    )
    for kind in KINDS:
        refused(check(signed(kind=kind), now=NOW - 901), "InvalidSignatureException", message)


def test_the_minutes_can_be_others():
    message = "Signature expired: 20231114T221320Z is now earlier than 20231114T221321Z (20231114T221821Z - 5 min.)"
    assert check(signed(), now=NOW + 300, minutes=5) is None
    refused(check(signed(), now=NOW + 301, minutes=5), "InvalidSignatureException", message)


def test_a_query_string_holds_as_long_as_it_says():
    assert check(signed(kind="query", expires=604800), now=NOW + 604800) is None
    assert check(signed(kind="query", expires=1), now=NOW + 1) is None
    message = "Signature expired: 20231114T221320Z is now earlier than 20231114T221321Z (20231114T222821Z - 15 min.)"
    refused(check(signed(kind="query"), now=NOW + 901), "InvalidSignatureException", message)
    message = "Signature expired: 20231114T221320Z is now earlier than 20231114T221321Z (20231114T221411Z - 50 sec.)"
    refused(check(signed(kind="query", expires=50), now=NOW + 51), "InvalidSignatureException", message)


def test_a_query_string_that_does_not_say_holds_as_long_as_a_header():
    sent = signed(kind="query").asking("&X-Amz-Expires=900", "")
    assert check(sent, now=NOW + 900).message == MISMATCH
    assert check(sent, now=NOW + 901).message.startswith("Signature expired: ")


@pytest.mark.parametrize(
    ("expires", "message"),
    [
        ("", "X-Amz-Expires should be a number"),
        ("x", "X-Amz-Expires should be a number"),
        ("1.5", "X-Amz-Expires should be a number"),
        ("%D9%A3", "X-Amz-Expires should be a number"),
        ("0", "X-Amz-Expires must be non-negative"),
        ("-1", "X-Amz-Expires must be non-negative"),
        ("604801", "X-Amz-Expires must be less than a week (in seconds); "
         "that is, the given X-Amz-Expires must be less than 604800 seconds"),
        ("9" * 5000, "X-Amz-Expires must be less than a week (in seconds); "
         "that is, the given X-Amz-Expires must be less than 604800 seconds"),
    ],
)  # fmt: skip
def test_an_expiry_that_is_none_is_refused(expires, message):
    sent = signed(kind="query").asking("X-Amz-Expires=900", f"X-Amz-Expires={expires}")
    refused(check(sent), "IncompleteSignatureException", message)


# Form and scope.


@pytest.mark.parametrize("names", ["", "x-amz-date", "hosts;x-amz-date"])
def test_the_host_must_be_signed(names):
    sent = signed().authorized("content-type;host;x-amz-date;x-amz-target", names)
    message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    refused(check(sent), "InvalidSignatureException", message)


@pytest.mark.parametrize("algorithm", ["AWS4-HMAC-SHA25", "AWS4-ECDSA-P256-SHA256", "AWS4-"])
def test_another_algorithm_is_refused(algorithm):
    message = f"Unsupported AWS 'algorithm': '{algorithm}' (only AWS4-HMAC-SHA256 for now). "
    refused(check(signed().authorized("AWS4-HMAC-SHA256", algorithm)), "IncompleteSignatureException", message)
    sent = signed(kind="query").asking("X-Amz-Algorithm=AWS4-HMAC-SHA256", f"X-Amz-Algorithm={algorithm}")
    refused(check(sent), "IncompleteSignatureException", message)


def test_the_algorithm_is_not_a_part_of_the_header():
    sent = signed().authorized("AWS4-HMAC-SHA256", "AWS4-X Algorithm=AWS4-HMAC-SHA256,")
    assert check(sent).message == "Unsupported AWS 'algorithm': 'AWS4-X' (only AWS4-HMAC-SHA256 for now). "


def test_only_blanks_of_ascii_separate_parts():
    for blank in ("\xa0", "\x85"):
        sent = signed()
        header = sent.header("authorization").decode().replace(" ", blank, 1)
        assert check(sent.having("Authorization", header.encode("latin-1"))).code == "IncompleteSignatureException"


@pytest.mark.parametrize("credential", ["a", "a/b/c/d", "a/b/c/d/e/f", "a////", "/"])
def test_a_credential_has_five_elements(credential):
    sent = signed().authorized(f"{ID}/20231114/us-east-1/dynamodb/aws4_request", credential)
    message = (
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        f"got '{credential}'"
    )
    refused(check(sent), "IncompleteSignatureException", message)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (
            "20231114/eu-west-1/dynamodb/aws4_request",
            "Credential should be scoped to a valid region, not 'eu-west-1'. ",
        ),
        ("20231114//dynamodb/aws4_request", "Credential should be scoped to a valid region, not ''. "),
        ("20231114/us-east-1/s3/aws4_request", "Credential should be scoped to correct service: 'dynamodb'. "),
        (
            "20231114/us-east-1/dynamodb/aws5",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. ",
        ),
        (
            "20231113/us-east-1/dynamodb/aws4_request",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            "'20231113' != '20231114', from '20231114T221320Z'.",
        ),
        (
            "b/c/d/e",
            "Credential should be scoped to a valid region, not 'c'. "
            "Credential should be scoped to correct service: 'dynamodb'. "
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'e'. "
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            "'b' != '20231114', from '20231114T221320Z'.",
        ),
    ],
)
def test_a_wrong_scope_says_all_that_is_wrong(scope, message):
    sent = signed().authorized("20231114/us-east-1/dynamodb/aws4_request", scope)
    refused(check(sent, region="us-east-1"), "InvalidSignatureException", message)
    in_query = signed(kind="query").asking("20231114%2Fus-east-1%2Fdynamodb%2Faws4_request", quote(scope, safe=""))
    refused(check(in_query, region="us-east-1"), "InvalidSignatureException", message)


# Keys, signatures, tokens.


def test_an_unknown_key_is_refused():
    message = "The security token included in the request is invalid."
    for kind in KINDS:
        refused(check(signed(kind=kind, key="AKIDOTHER")), "UnrecognizedClientException", message)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_secret_is_refused(kind):
    refused(check(signed(kind=kind, secret="wrong")), "InvalidSignatureException", MISMATCH)


@pytest.mark.parametrize("signature", ["0" * 64, "x", "é", "A" * 100_000])
def test_a_wrong_signature_is_refused(signature):
    sent = signed()
    given = sent.header("authorization").decode().split("Signature=")[1]
    refused(check(sent.authorized(given, signature)), "InvalidSignatureException", MISMATCH)


def test_a_signature_in_capitals_is_refused():
    sent = signed()
    given = sent.header("authorization").decode().split("Signature=")[1]
    refused(check(sent.authorized(given, given.upper())), "InvalidSignatureException", MISMATCH)


@pytest.mark.parametrize("kind", ["header", "hashed", "query"])
def test_another_body_is_refused(kind):
    refused(check(replace(signed(kind=kind), body=b"{ }")), "InvalidSignatureException", MISMATCH)


def test_a_payload_cannot_be_made_unsigned_afterwards():
    for kind in ("header", "hashed"):
        assert check(signed(kind=kind).having("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")).message == MISMATCH


def test_a_header_signature_of_no_payload_must_say_so():
    assert check(signed(kind="unsigned").without("x-amz-content-sha256")).message == MISMATCH
    sent = signed(payload="UNSIGNED-PAYLOAD")
    assert check(sent).message == MISMATCH
    assert check(sent.having("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")) is None


def test_a_query_signature_of_no_payload_cannot_be_given_a_hash_afterwards():
    sent = signed(kind="query-unsigned")
    hashed = hashlib.sha256(sent.body).hexdigest()
    assert check(sent.having("X-Amz-Content-SHA256", hashed)).message == MISMATCH


@pytest.mark.parametrize(
    "streaming", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "unsigned-payload", ""]
)
def test_other_kinds_of_payload_are_refused(streaming):
    refused(
        check(signed(headers={"X-Amz-Content-SHA256": streaming})),
        "InvalidSignatureException",
        MISMATCH,
    )


@pytest.mark.parametrize("kind", ["header", "query"])
def test_every_header_named_must_be_there(kind):
    sent = signed(kind=kind, headers={"X-Gone": ""})
    assert check(sent) is None
    refused(check(sent.without("x-gone")), "InvalidSignatureException", MISMATCH)


def test_a_signed_header_sent_again_is_refused():
    sent = signed()
    again = replace(sent, headers=[*sent.headers, (b"x-amz-target", b"DynamoDB_20120810.DeleteTable")])
    refused(check(again), "InvalidSignatureException", MISMATCH)


def test_a_second_authorization_header_is_refused():
    sent = signed()
    again = replace(sent, headers=[*sent.headers, (b"authorization", sent.header("authorization"))])
    assert check(again).code == "IncompleteSignatureException"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("token", [None, "wrong", ""])
def test_a_key_with_a_token_needs_it(kind, token):
    message = "The security token included in the request is invalid"
    refused(check(signed(kind=kind, key=TOKEN_ID, token=token)), "UnrecognizedClientException", message)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_without_a_token_takes_none(kind):
    message = "The security token included in the request is invalid"
    refused(check(signed(kind=kind, token="surplus")), "UnrecognizedClientException", message)


def test_what_was_signed_is_told_on_request():
    sent = replace(signed(), body=b"other", query=b"b=2&a=1")
    hashed = hashlib.sha256(b"other").hexdigest()
    canonical = (
        "POST\n/\na=1&b=2\ncontent-type:application/x-amz-json-1.0\nhost:127.0.0.1:8000\n"
        f"x-amz-date:{DATE}\nx-amz-target:DynamoDB_20120810.ListTables\n\n"
        f"content-type;host;x-amz-date;x-amz-target\n{hashed}"
    )
    to_sign = (
        f"AWS4-HMAC-SHA256\n{DATE}\n20231114/us-east-1/dynamodb/aws4_request\n"
        f"{hashlib.sha256(canonical.encode()).hexdigest()}"
    )
    message = (
        f"{MISMATCH}\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
        f"The String-to-Sign should have been\n'{to_sign}'\n"
    )
    refused(check(sent, explain=True), "InvalidSignatureException", message)
    refused(check(sent), "InvalidSignatureException", MISMATCH)


# In the order of the service's checks.


def test_checks_come_in_the_services_order():
    wrong = signed(key="unknown", secret="wrong", token="t").having("X-Amz-Date", "201").without("host")
    wrong = wrong.authorized("AWS4-HMAC-SHA256", "AWS4-X").authorized("host;", "").authorized("us-east-1", "a/b/c")
    repairs = [
        ("Date must", lambda sent: sent.having("X-Amz-Date", "20200101T000000Z")),
        ("Signature expired:", lambda sent: sent.having("X-Amz-Date", DATE)),
        ("'Host' or", lambda sent: sent.authorized("SignedHeaders=", "SignedHeaders=host;")),
        ("Unsupported AWS", lambda sent: sent.authorized("AWS4-X", "AWS4-HMAC-SHA256")),
        ("Credential must", lambda sent: sent.authorized("a/b/c", "")),
        ("Credential should", lambda sent: sent.authorized("//", "/us-east-1/")),
        ("The security token included in the request is invalid.", lambda sent: sent.authorized("unknown", ID)),
    ]
    for start, repair in repairs:
        assert check(wrong).message.startswith(start)
        wrong = repair(wrong)
    assert check(wrong).message == MISMATCH
