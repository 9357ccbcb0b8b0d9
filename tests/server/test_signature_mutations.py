"""Random requests signed by botocore, and what is left of them when one bit is another; random bytes."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("botocore")

from lsm.dynamodb.errors import ApiError
from lsm.server.signature import present
from server.signing import DATE, ID, KINDS, TOKEN, TOKEN_ID, Sent, check, signed

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-_", min_size=1, max_size=12).map(
    lambda name: f"X-{name}"
)
CHARACTERS = st.characters(
    min_codepoint=0x20, max_codepoint=0x2FFF, exclude_categories=["Cc", "Zs", "Zl", "Zp"], include_characters=" "
)
VALUES = st.text(CHARACTERS, max_size=20)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def requests(draw):
    kind = draw(st.sampled_from(KINDS))
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    params = draw(st.dictionaries(WORDS.filter(bool), WORDS, max_size=4)) if not kind.startswith("query") else {}
    token = draw(st.booleans())
    sent = signed(
        draw(st.binary(max_size=200)),
        kind=kind,
        headers=headers,
        params=params,
        key=TOKEN_ID if token else ID,
        token=TOKEN if token else None,
        region=draw(st.sampled_from(["us-east-1", "local", "x"])),
    )
    return kind, sent


def flipped(content: bytes, bit: int) -> bytes:
    place = bit // 8 % len(content)
    return content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]


def meaning(query: bytes) -> list[list[bytes]]:
    return sorted([unquote_to_bytes(part) for part in pair.partition(b"=")[::2]] for pair in query.split(b"&"))


@settings(max_examples=150, deadline=None)
@given(requests())
def test_any_signed_request_is_accepted(request):
    assert check(request[1]) is None


@settings(max_examples=150, deadline=None)
@given(requests(), st.integers(0, 1 << 20))
def test_a_bit_flipped_in_a_body_is_refused(request, bit):
    kind, sent = request
    assume(sent.body)
    changed = replace(sent, body=flipped(sent.body, bit))
    assert (check(changed) is None) == kind.endswith("unsigned")


@settings(max_examples=150, deadline=None)
@given(requests(), st.integers(0, 1 << 20), st.integers(0, 100))
def test_a_bit_flipped_in_a_signed_header_is_refused(request, bit, which):
    _, sent = request
    candidates = [number for number, (name, value) in enumerate(sent.headers) if value and name != b"Authorization"]
    number = candidates[which % len(candidates)]
    name, value = sent.headers[number]
    changed = flipped(value, bit)
    assume(b" ".join(changed.split()) != b" ".join(value.split()))
    headers = [*sent.headers[:number], (name, changed), *sent.headers[number + 1 :]]
    assert check(replace(sent, headers=headers)) is not None


@settings(max_examples=150, deadline=None)
@given(requests(), st.integers(0, 1 << 20))
def test_a_bit_flipped_in_a_query_string_is_refused(request, bit):
    _, sent = request
    assume(sent.query)
    changed = flipped(sent.query, bit)
    assume(meaning(changed.replace(b"+", b" ")) != meaning(sent.query.replace(b"+", b" ")))
    assert check(replace(sent, query=changed)) is not None


@settings(max_examples=100, deadline=None)
@given(requests(), st.integers(0, 1 << 20))
def test_a_bit_flipped_in_an_authorization_header_is_refused(request, bit):
    kind, sent = request
    assume(not kind.startswith("query"))
    header = sent.header("authorization")
    changed = flipped(header, bit)

    def parts(text: bytes) -> bytes:
        """Without what separates, and without the case of header names."""
        head, _, rest = b" ".join(text.replace(b",", b" ").split()).partition(b"SignedHeaders=")
        names, _, rest = rest.partition(b" ")
        return head + names.lower() + rest

    assume(parts(changed) != parts(header))
    assert check(sent.having("Authorization", changed)) is not None


@settings(max_examples=100, deadline=None)
@given(requests(), st.lists(st.tuples(st.binary(max_size=10), st.binary(max_size=10)), max_size=5))
def test_headers_that_are_not_signed_may_be_any(request, more):
    _, sent = request
    named = {name.lower() for name, _ in sent.headers} | {b"x-amz-security-token", b"x-amz-content-sha256"}
    named |= {b"authorization", b"x-amz-date"}
    added = [pair for pair in more if pair[0].lower() not in named]
    assert check(replace(sent, headers=added + sent.headers)) is None
    in_another_order = sorted(sent.headers, key=lambda pair: pair[0].lower())
    assert check(replace(sent, headers=in_another_order + added)) is None


@settings(max_examples=100, deadline=None)
@given(requests(), st.sampled_from(["method", "path"]), st.integers(0, 1 << 20))
def test_another_method_or_path_is_refused(request, member, bit):
    _, sent = request
    if member == "method":
        changed = replace(sent, method=flipped(b"POST", bit & ~7 | bit % 7).decode())
    else:
        changed = replace(sent, path=flipped(sent.path, bit))
    assert check(changed) is not None


PIECES = b"""
AWS4-HMAC-SHA256 Credential= SignedHeaders= Signature= AKIDEXAMPLE/20231114/us-east-1/dynamodb/aws4_request
host;x-amz-date , = / ; & % 20231114T221320Z X-Amz-Algorithm X-Amz-Date X-Amz-Credential= X-Amz-Signature=0
X-Amz-SignedHeaders=host X-Amz-Expires= \xff \xc3\xa9
"""
LIKELY = st.sampled_from([*PIECES.split(), b" "])
GARBAGE = st.lists(LIKELY | st.binary(max_size=6), max_size=12).map(b"".join)
HEADER_NAMES = st.sampled_from(
    [b"Authorization", b"X-Amz-Date", b"Date", b"Host", b"X-Amz-Security-Token", b"X-Amz-Content-SHA256", b""]
)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=6),
    GARBAGE,
    GARBAGE,
    st.lists(st.tuples(HEADER_NAMES | st.binary(max_size=8), GARBAGE), max_size=6),
    st.binary(max_size=20),
    st.booleans(),
)
def test_garbage_is_refused_and_raises_nothing(method, path, query, headers, body, dated):
    if dated:
        headers = [(b"X-Amz-Date", DATE.encode()), (b"Authorization", b"AWS4-HMAC-SHA256 " + query), *headers]
    sent = Sent(method, path, query, headers, body)
    for options in ({}, {"region": "us-east-1", "explain": True}):
        fault = check(sent, **options)
        assert isinstance(fault, ApiError)
        assert isinstance(fault.message, str)
        fault.message.encode()
    at_once = present(sent)
    assert at_once is None or (at_once.code, at_once.message) == (fault.code, fault.message)
