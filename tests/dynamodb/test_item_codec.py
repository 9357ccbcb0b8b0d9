"""Items as bytes: round trips, one form for equal items, sizes to the byte, the order of keys, damaged bytes."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from decimal import Context, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.decimal_text import read_number
from lsm.item_codec import (
    FORMAT,
    Malformed,
    Unusual,
    decode_item,
    encode_item,
    get_attributes,
    index_key,
    item_json,
    item_key,
    item_size,
    number_order,
    project_item,
    request_key,
    store_value,
)

PAGE = Path(__file__).parent.parent.parent / "docs" / "format" / "item.md"
GOLDEN = "011403016d0a0b00000001016c0903000000020001016e0403312e35017306050000000201610162"

texts = st.text(max_size=8).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text))
numbers = st.builds(
    lambda digits, exponent: str(Decimal(digits).scaleb(exponent, Context(prec=60))),
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-120, 80),
).filter(lambda text: isinstance(read_number(text), str))
scalars = st.one_of(
    st.builds(lambda s: {"S": s}, texts),
    st.builds(lambda n: {"N": n}, numbers),
    st.builds(lambda b: {"B": b}, st.binary(max_size=8)),
    st.sampled_from([{"BOOL": True}, {"BOOL": False}, {"NULL": True}]),
    st.builds(lambda m: {"SS": m}, st.lists(texts, min_size=1, max_size=4, unique=True)),
    st.builds(lambda m: {"BS": m}, st.lists(st.binary(max_size=4), min_size=1, max_size=4, unique=True)),
    st.builds(lambda m: {"NS": m}, st.lists(numbers, min_size=1, max_size=4, unique_by=lambda n: Decimal(n))),
)
names = texts.filter(bool)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda elements: {"L": elements}, st.lists(inner, max_size=4)),
        st.builds(lambda members: {"M": members}, st.dictionaries(names, inner, max_size=4)),
    ),
    max_leaves=8,
)
items = st.dictionaries(names, values, max_size=6)


def plain(text):
    return (
        format(Decimal(text), "f").rstrip("0").rstrip(".")
        if "." in format(Decimal(text), "f")
        else format(Decimal(text), "f")
    )


def stored(value):
    """The stored form, by Python alone."""
    kind, held = next(iter(value.items()))
    if kind == "N":
        return {"N": plain(held) if Decimal(held) else "0"}
    if kind == "NS":
        return {"NS": [plain(m) if Decimal(m) else "0" for m in sorted(held, key=Decimal)]}
    if kind == "SS":
        return {"SS": sorted(held, key=lambda m: m.encode())}
    if kind == "BS":
        return {"BS": sorted(held)}
    if kind == "L":
        return {"L": [stored(element) for element in held]}
    if kind == "M":
        return {"M": {name: stored(inner) for name, inner in held.items()}}
    return value


def size_of_number(text):
    sign, digits, _ = Decimal(text).as_tuple()
    digits = "".join(map(str, digits)).strip("0") if Decimal(text) else ""
    if not digits:
        return 1
    whole, _, fraction = plain(text).lstrip("-").partition(".")
    fraction = fraction.lstrip("0") if whole in ("", "0") else fraction
    whole = "" if whole == "0" else whole
    whole = whole.rstrip("0") if not fraction else whole
    return 1 + (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + sign


def size_of(value):
    kind, held = next(iter(value.items()))
    if kind in ("S",):
        return len(held.encode())
    if kind == "B":
        return len(held)
    if kind == "N":
        return size_of_number(held)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "L":
        return 3 + sum(1 + size_of(element) for element in held)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_of(inner) for name, inner in held.items())
    return sum(size_of({kind[0]: member}) for member in held)


@given(items)
def test_an_item_comes_back_in_its_stored_form(item):
    assert decode_item(encode_item(item)) == {name: stored(value) for name, value in item.items()}


@given(items, st.randoms())
def test_the_order_of_names_makes_no_difference(item, random):
    shuffled = list(item.items())
    random.shuffle(shuffled)
    assert encode_item(dict(shuffled)) == encode_item(item)


@given(items)
def test_the_size_is_the_sum_of_names_and_values(item):
    expected = sum(len(name.encode()) + size_of(value) for name, value in item.items())
    assert item_size(encode_item(item)) == expected


@given(items, st.sets(names, max_size=4))
def test_a_projection_is_the_item_with_fewer_attributes(item, more):
    wanted = frozenset(list(item)[::2]) | more
    kept = {name: value for name, value in item.items() if name in wanted}
    assert project_item(encode_item(item), wanted) == encode_item(kept)


@given(items)
def test_attributes_are_found_without_decoding_the_rest(item):
    wanted = (*item, "\x00 not there")
    assert get_attributes(encode_item(item), wanted) == [*(stored(value) for value in item.values()), None]


@given(items)
def test_json_says_the_same(item):
    def unbase(value):
        kind, held = next(iter(value.items()))
        if kind == "B":
            return {"B": base64.b64decode(held)}
        if kind == "BS":
            return {"BS": [base64.b64decode(member) for member in held]}
        if kind == "L":
            return {"L": [unbase(element) for element in held]}
        return {"M": {name: unbase(inner) for name, inner in held.items()}} if kind == "M" else value

    data = encode_item(item)
    assert {name: unbase(value) for name, value in json.loads(item_json(data)).items()} == decode_item(data)


@given(numbers, numbers)
def test_keys_of_numbers_compare_as_the_numbers_do(one, other):
    left, right = number_order(one), number_order(other)
    assert (left < right) == (Decimal(one) < Decimal(other))
    assert (left == right) == (Decimal(one) == Decimal(other))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0", "1"),
        ("00042", "42"),
        ("1.5E2", "150"),
        ("-0", "0"),
        ("+.5", "0.5"),
        ("5.", "5"),
        ("1E10", "10000000000"),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("0e125", "0"),
        ("100.50", "100.5"),
    ],
)
def test_a_number_has_one_text(text, expected):
    assert read_number(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 1),
        ("+e2", 1),
        ("1e", 1),
        ("1.2.3", 1),
        ("1+2", 1),
        (" 1", 1),
        ("NaN", 1),
        ("1" * 39, 2),
        ("1E+126", 3),
        ("-1E+126", 3),
        ("0e126", 3),
        ("1e99999999999", 3),
        ("1E-131", 4),
        ("0e-131", 4),
        ("0.0e-130", 4),
        ("1e-99999999999", 4),
        ("1e99999999999999999999", 5),
    ],
)
def test_a_number_out_of_bounds_is_refused_for_its_reason(text, reason):
    assert read_number(text) == reason


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"S": 1},
        {"N": 1},
        {"N": "x"},
        {"B": "text"},
        {"SS": []},
        {"SS": ["a", "a"]},
        {"NS": ["1", "1.0"]},
        {"BS": [b"", b""]},
        {"NULL": False},
        {"BOOL": 1},
        {"S": "a", "N": "1"},
        {"X": "a"},
        {"M": {"": {"S": "a"}}},
        {"L": "abc"},
        {"M": []},
        {"S": "\ud800"},
        None,
        "text",
    ],
)
def test_what_dynamodb_would_not_store_is_unusual(value):
    with pytest.raises(Unusual):
        encode_item({"a": value})


def nested(levels):
    value = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def test_thirty_one_levels_pass_and_thirty_two_do_not():
    assert decode_item(encode_item({"a": nested(31)})) == {"a": nested(31)}
    with pytest.raises(Unusual):
        encode_item({"a": nested(32)})


READERS = [
    decode_item,
    item_size,
    item_json,
    lambda data: get_attributes(data, ("zz",)),
    lambda data: project_item(data, frozenset(["m"])),
    lambda data: item_key(data, ("pk", "sk"), ("S", "N")),
]


@pytest.mark.parametrize("read", READERS)
@given(items, st.data())
def test_damaged_bytes_are_refused_or_read_but_never_crash(read, item, data):
    encoded = bytearray(encode_item(item))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    for damaged in (bytes(encoded), bytes(encoded[:cut])):
        with contextlib.suppress(Malformed, UnicodeDecodeError):
            read(damaged)


def test_a_deep_nest_of_damaged_bytes_is_refused():
    body = b"\x00"
    for _ in range(50_000):
        body = b"\x09" + (len(body) + 1).to_bytes(4, "little") + b"\x01" + body
        if len(body) > 300_000:
            break
    data = b"\x01\x00\x01\x01a" + body
    for read in (decode_item, item_json, lambda d: project_item(d, frozenset("a"))):
        with pytest.raises(Malformed):
            read(data)


def test_store_value_gives_the_stored_form():
    assert store_value({"NS": ["3", "1.50", "-2e1"]}) == {"NS": ["-20", "1.5", "3"]}


def test_keys_of_items_and_of_lookups_agree():
    item = encode_item({"pk": {"S": "a"}, "sk": {"N": "1.50"}, "x": {"S": "y"}})
    key = {"pk": {"S": "a"}, "sk": {"N": "01.5"}}
    schema = ("pk", "sk"), ("S", "N")
    assert item_key(item, *schema) == request_key(key, *schema) == (b"a", number_order("1.5"))


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"pk": {"S": "a"}},
        {"pk": {"S": ""}, "sk": {"N": "1"}},
        {"pk": {"N": "1"}, "sk": {"N": "1"}},
        {"pk": {"S": "a"}, "sk": {"N": "x"}},
        {"pk": {"S": "a" * 2049}, "sk": {"N": "1"}},
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "more": {"S": "b"}},
        {"pk": "a", "sk": {"N": "1"}},
        [],
    ],
)
def test_a_lookup_that_does_not_fit_is_none(key):
    assert request_key(key, ("pk", "sk"), ("S", "N")) is None


part = st.binary(min_size=1, max_size=3)


@given(st.tuples(part, part, part, part), st.tuples(part, part, part, part))
def test_index_keys_compare_as_tuples_of_their_parts(one, other):
    def sort_of(parts):
        item = encode_item({"h": {"B": b"h"}, "r1": {"B": parts[0]}, "r2": {"B": parts[1]}})
        found = index_key(item, ("h", "r1", "r2"), ("B", "B", "B"), 1, (parts[2], parts[3]))
        assert found is not None
        assert found[0] == b"h"
        return found[1]

    assert (sort_of(one) < sort_of(other)) == (one < other)


def test_an_item_without_an_index_attribute_is_not_in_the_index():
    item = encode_item({"h": {"S": "a"}, "r": {"N": "1"}})
    assert index_key(item, ("h", "r"), ("S", "S"), 1, (b"p", b"s")) is None
    assert index_key(item, ("h", "x"), ("S", "N"), 1, (b"p", b"s")) is None
    assert index_key(item, ("h", "r"), ("S", "N"), 1, (b"p", b"s")) is not None


def test_golden_bytes():
    item = {"n": {"N": "1.50"}, "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}]}}}, "s": {"SS": ["b", "a"]}}
    assert encode_item(item).hex() == GOLDEN


def test_the_page_names_the_tags_of_the_code():
    rows = dict(re.findall(r"^\| (\d+) \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert {kind: int(tag) for tag, kind in rows.items()} == {
        kind: tag for kind, tag in FORMAT.items() if kind not in ("version", "deepest")
    }
