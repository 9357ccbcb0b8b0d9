"""Signature Version 4, with botocore's signers as the oracle: what they sign is accepted."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from urllib.parse import quote

import pytest

pytest.importorskip("botocore")

from lsm.server.canonical import canonical_query, canonical_request, parameters, signed_names
from lsm.server.credentials import SIGNING_KEYS, AccessKey, Credentials
from lsm.server.signature import present, verify
from server.signing import DATE, ID, KEYS, KINDS, MISMATCH, NOW, SECRET, TOKEN, TOKEN_ID, check, signed

EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_request_is_accepted(kind):
    assert check(signed(kind=kind)) is None
    assert present(signed(kind=kind)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b'{"a": "\xc3\xa9"}', bytes(range(256)) * 100])
def test_any_body_is_accepted(kind, body):
    assert check(signed(body, kind=kind)) is None


def test_the_body_may_be_any_kind_of_bytes():
    sent = signed()
    assert verify(sent, bytearray(sent.body), KEYS, NOW) is None
    assert verify(sent, memoryview(sent.body), KEYS, NOW) is None


@pytest.mark.parametrize("kind", ["header", "query"])
@pytest.mark.parametrize(
    "headers",
    [
        [("X-Blanks", "  a   b\t c  ")],
        [("X-Empty", "")],
        [("X-Many", "b"), ("x-many", "a  a"), ("X-MANY", "")],
        [("X-Unicode", "Grüße 東京 🎉")],
        [("X-Amz-Date-Like", "x"), ("A", "first"), ("Z-z", "last"), ("X_y", "between")],
        [("Host", "dynamodb.us-east-1.amazonaws.com")],
    ],
)
def test_headers_are_signed_in_their_canonical_form(kind, headers):
    assert check(signed(kind=kind, headers=headers)) is None


@pytest.mark.parametrize(
    "params",
    [
        {"a": "1", "b": "2"},
        {"B": "1", "a": "2", "A": "3", "-": "4", "~": "5", "_": "6", ".": "7"},
        [("a", "2"), ("a", "10"), ("a", "1"), ("a", "")],
        {"space and/slash": "a b/c", "plus+": "+", "percent%": "%41", "amp&": "a=b&c", "": "no name"},
        {"ключ": "значение 🎉", "é": "É"},
        {"a-b": "1", "a": "1", "a b": "1", "aé": "1"},
    ],
)
def test_query_strings_are_signed_in_their_canonical_form(params):
    # Hypertext-encoded by botocore twice over: in the URL that is sent and, sorted, in what is signed.
    sent = signed(params=params)
    pairs = params.items() if isinstance(params, dict) else params
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert check(replace(sent, query=query.encode())) is None
    lower = "&".join(f"{quote(name, safe='/')}={quote(value, safe='/')}" for name, value in pairs)
    assert check(replace(sent, query=lower.encode())) is None


def test_parameters_beside_a_signature_in_the_query_may_have_the_names_of_its_parts():
    params = {"Date": "201", "my-ab-Date": "201", "Expires": "no", "my-ab-Expires": "no", "parts-Date": "201"}
    assert check(signed(kind="query", params=params)) is None


def test_a_blank_authorization_header_is_none():
    assert check(signed(kind="query").having("Authorization", " ")) is None


def test_a_name_without_equals_sign_has_an_empty_value():
    assert check(replace(signed(params={"flag": ""}), query=b"&flag&")) is None


def test_a_plus_in_a_query_string_is_a_blank():
    assert check(replace(signed(params={"a": "b c"}), query=b"a=b+c")) is None


def test_a_path_is_signed_as_sent():
    assert check(signed(url="http://127.0.0.1:8000/a%20b/c~d")) is None
    assert check(replace(signed(), path=b"/other")).message == MISMATCH


def test_parts_may_be_separated_by_commas_or_blanks_alone():
    sent = signed()
    header = sent.header("authorization").decode()
    assert check(sent.having("Authorization", header.replace(", ", ","))) is None
    assert check(sent.having("Authorization", header.replace(", ", " "))) is None
    assert check(sent.having("authorization", header.replace(", ", " ,  "))) is None


def test_signed_headers_may_be_listed_in_any_order_and_case():
    sent = signed()
    names = sent.header("authorization").decode().split("SignedHeaders=")[1].split(",")[0]
    listed = ";".join(reversed(names.title().split(";")))
    assert check(sent.authorized(names, listed)) is None


def test_a_slash_behind_the_credential_is_passed_over():
    assert check(signed().authorized("aws4_request", "aws4_request/")) is None


def test_a_date_header_dates_a_request_without_x_amz_date():
    sent = signed(headers={"Date": "any"})
    assert sent.header("date") == b"Tue, 14 Nov 2023 22:13:20 -0000"
    assert check(sent) is None


def test_a_date_header_may_be_in_basic_format():
    # Signed as the text says, unlike what botocore makes of it.
    sent = signed(headers={"Date": "any"})
    names = "content-type;host;x-amz-target"
    sent = sent.authorized("content-type;date;host;x-amz-target", names).having("Date", DATE)
    assert check(sent).message == MISMATCH
    assert check(sent.having("Date", "20231114T000000Z")).message.startswith("Signature expired: 20231114T000000Z")


def test_any_region_is_accepted_unless_the_server_has_one():
    sent = signed(region="eu-central-1")
    assert check(sent) is None
    assert check(sent, region="eu-central-1") is None


def test_a_session_token_is_accepted_in_header_and_query():
    for kind in KINDS:
        assert check(signed(kind=kind, key=TOKEN_ID, token=TOKEN)) is None


def test_an_unsigned_session_token_is_accepted():
    assert check(signed(key=TOKEN_ID).having("X-Amz-Security-Token", TOKEN)) is None


def test_a_hash_of_the_payload_need_not_be_signed_but_right():
    sent = signed()
    hashed = hashlib.sha256(sent.body).hexdigest()
    assert check(sent.having("X-Amz-Content-SHA256", hashed)) is None
    assert check(sent.having("X-Amz-Content-SHA256", hashed[:-1] + "x")).message == MISMATCH


def test_an_unsigned_payload_may_be_any():
    for kind in ("unsigned", "query-unsigned"):
        assert check(replace(signed(kind=kind), body=b"other")) is None


def test_the_example_of_the_documentation_has_its_signature():
    # IAM User Guide, "Create a signed AWS API request": the request to ListUsers of 30 August 2015.
    headers = {
        b"content-type": [b"application/x-www-form-urlencoded; charset=utf-8"],
        b"host": [b"iam.amazonaws.com"],
        b"x-amz-date": [b"20150830T123600Z"],
    }
    query = canonical_query(parameters(b"Version=2010-05-08&Action=ListUsers"))
    empty = hashlib.sha256(b"").hexdigest().encode()
    canonical = canonical_request("GET", b"/", query, headers, signed_names("host;content-type;x-amz-date"), empty)
    hashed = hashlib.sha256(canonical).hexdigest()
    assert hashed == "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    key = Credentials({ID: AccessKey(EXAMPLE_SECRET)}).signing_key(ID, "20150830", "us-east-1", "iam")
    to_sign = f"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n{hashed}".encode()
    signature = hmac.digest(key, to_sign, "sha256").hex()
    assert signature == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


def test_a_signing_key_is_made_once_a_day_and_region():
    credentials = Credentials({ID: AccessKey(SECRET)})
    for _ in range(3):
        assert check(signed(), credentials=credentials) is None
    assert list(credentials._signing) == [(ID, "20231114", "us-east-1", "dynamodb")]


def test_signing_keys_kept_are_bounded():
    credentials = Credentials({ID: AccessKey(SECRET)})
    sent = signed(region="region")
    for number in range(2 * SIGNING_KEYS + 10):
        assert check(sent.authorized("/region/", f"/{number}/"), credentials=credentials) is not None
    assert len(credentials._signing) <= SIGNING_KEYS
    assert check(sent, credentials=credentials) is None


def test_secrets_are_not_shown():
    shown = repr(Credentials({ID: AccessKey(SECRET, TOKEN)}))
    assert SECRET not in shown
    assert TOKEN not in shown
