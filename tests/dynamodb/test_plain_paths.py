"""The readers' short ways for plain requests against the long way, which has the service's order of checks.

The same answers and the same refusals, whatever is asked: a short way may give up, it may never take what the long way
refuses."""

from __future__ import annotations

import random
from copy import deepcopy
from functools import partial

import pytest

from dynamodb.asking import Asker, index
from lsm.dynamodb import ApiError, connect
from lsm.dynamodb.requests import batches, items, pages, transactions

SHORT_WAYS = [
    (items, "_plain_put"),
    (items, "_plain_update"),
    (items, "_plain_get"),
    (pages, "_plain_query"),
    (transactions, "_plain_entries"),
    (transactions, "_plain_actions"),
    (batches, "_plain_batch_get"),
]

ROUNDS = 4000


def nested(levels):
    value = {"S": "leaf"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


GOOD = [
    {"S": "a"},
    {"S": "b"},
    {"S": "N"},
    {"N": "1"},
    {"N": "9"},
    {"N": "1.50"},
    {"B": b"\x01"},
    {"BOOL": True},
    {"NULL": True},
    {"SS": ["a", "z"]},
    {"NS": ["1", "9"]},
    {"L": [{"N": "1"}]},
    {"M": {"k": {"S": "v"}}},
]
ODD = [
    {"S": ""},
    {"B": b""},
    {"N": "1e126"},
    {"N": "x"},
    {"N": ""},
    {"N": "1" * 39},
    {"NULL": False},
    {"SS": []},
    {"SS": ["b", "a", "b"]},
    {"NS": ["1", "1.0"]},
    {"BS": []},
    {"M": {"": {"S": "v"}}},
    {"M": {"deep": {"SS": []}}},
    {},
    {"S": "a", "N": "1"},
    {"S": None},
    {"S": "x" * 300},
    {"S": "x" * 2049},
    {"S": "x" * 409_590},
    nested(31),
    nested(32),
    nested(63),
]
CONDITIONS = [
    "n = :a",
    "n BETWEEN :a AND :b",
    ":a BETWEEN n AND :b",
    "n IN (:a, :b)",
    "attribute_type(n, :a)",
    "begins_with(s, :a)",
    "contains(s, :a) OR size(l) > :b",
    "attribute_exists(pk) AND NOT #n < :a",
    "attribute_not_exists(#n)",
    "n <> :a AND (s = :b)",
    "n = n",
    "((n = :a))",
    "size(:a) = :b",
    "n = :undefined",
    "#undefined = :a",
    "name = :a",
    "remove = :a",
    "n =",
    "",
    " ",
]
UPDATES = [
    "SET n = :a",
    "SET n = n + :a",
    "SET n = if_not_exists(n, :a) + :b",
    "SET l = list_append(l, :a)",
    "SET l = list_append(:a, :b)",
    "SET l[0] = :a, m.k = :b",
    "SET #n = :a REMOVE s",
    "ADD n :a",
    "ADD ss :a DELETE t :b",
    "DELETE ss :a",
    "REMOVE n, s",
    "REMOVE l[0]",
    "SET pk = :a",
    "SET g = :a",
    "SET n = :a, n = :b",
    "SET n = :a SET s = :b",
    "SET remove = :a",
    "SET n = :a,",
    "SET " + ", ".join(f"n{i} = :a" for i in range(200)),
    "",
]
KEY_CONDITIONS = [
    "pk = :a",
    "pk = :a AND sk = :b",
    "pk = :a AND sk > :b",
    ":b <= sk AND pk = :a",
    "pk = :a AND sk BETWEEN :b AND :c",
    "pk = :a AND begins_with(sk, :b)",
    "#pk = :a AND sk < :b",
    "g = :a",
    "pk = :a AND n = :b",
    "pk > :a",
    "pk = :a AND pk = :b",
    "pk = pk",
    "pk = :a OR sk = :b",
    "(pk = :a) AND (sk = :b)",
    "pk = :undefined",
    "pk.x = :a",
    "",
]
LONG = "y" * 255
PLACES = {"#n": "n", "#pk": "pk", f"#{LONG}": "n"}
CONDITIONS += [f"#{LONG} = :a", f"n = :{LONG}"]
NAMES = ["one", "two", "one", "two", "one", "two", "absent", "ab", "", "a!", "x" * 256]


class Requests:
    """Requests by the throw of dice, most of them good."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def odd(self, share=0.06):
        return self.dice.random() < share

    def value(self):
        return deepcopy(self.dice.choice(ODD if self.odd(0.12) else GOOD))

    def table(self):
        return self.dice.choice(NAMES if self.odd() else NAMES[:2])

    def key(self, table):
        key = {"pk": {"S": self.dice.choice("abc")}}
        if table == "two":
            key["sk"] = {"N": self.dice.choice(["1", "2", "3.0"])}
        if self.odd():
            key[self.dice.choice(["pk", "sk", "x", ""])] = self.value()
        return key

    def item(self, table):
        item = self.key(table)
        for name in self.dice.sample(["n", "s", "l", "ss", "m", "g"], self.dice.randint(0, 4)):
            item[name] = self.value()
        return item

    def placeholders(self, request, *texts):
        text = " ".join(texts)
        names = {place: name for place, name in PLACES.items() if place in text}
        if names and self.odd(0.03):
            names[self.dice.choice(list(names))] = self.dice.choice(["", "pk", "x" * 70_000])
        values = {place: self.value() for place in (":a", ":b", ":c", f":{LONG}") if place in text}
        if self.odd():
            names[self.dice.choice(["#unused", "n", "#", "#é", "#" + "x" * 255])] = self.dice.choice(
                ["n", "", "x" * 70_000]
            )
        if self.odd():
            values[self.dice.choice([":unused", "a", ":", ":é", ":" + "x" * 255])] = self.value()
        if names or self.odd(0.02):
            request["ExpressionAttributeNames"] = names
        if values or self.odd(0.02):
            request["ExpressionAttributeValues"] = values

    def write(self, operation):
        table = self.table()
        request = {"TableName": table}
        texts = []
        if operation == "PutItem":
            request["Item"] = self.item(table)
        else:
            request["Key"] = self.key(table)
        if operation == "UpdateItem":
            texts.append(self.dice.choice(UPDATES))
            request["UpdateExpression"] = texts[-1]
        if self.dice.random() < 0.5:
            texts.append(self.dice.choice(CONDITIONS))
            request["ConditionExpression"] = texts[-1]
        self.placeholders(request, *texts)
        return request

    def single(self, operation):
        request = self.write(operation)
        if self.dice.random() < 0.4:
            request["ReturnValues"] = self.dice.choice(
                ["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW", "X", ""]
            )
        if self.odd():
            request.pop(self.dice.choice(list(request)))
        if self.odd(0.02):
            request["Item" if operation == "UpdateItem" else "Key"] = {"pk": {"S": "a"}}
        return request

    def get(self):
        table = self.table()
        request = {"TableName": table, "Key": self.key(table)}
        if self.odd():
            request["ConsistentRead"] = True
        return request

    def query(self):
        text = self.dice.choice(KEY_CONDITIONS)
        request = {"TableName": self.table(), "KeyConditionExpression": text}
        self.placeholders(request, text)
        values = request.get("ExpressionAttributeValues", {})
        for place, value in ((":a", {"S": "a"}), (":b", {"N": "1"}), (":c", {"N": "2"})):
            if place in values and not self.odd(0.2):
                values[place] = value
        more = {
            "ScanIndexForward": [True, False],
            "Limit": [1, 2, 0, -1],
            "ConsistentRead": [True],
            "IndexName": ["by-g", "ab"],
        }
        more |= {
            "ExclusiveStartKey": [{"pk": {"S": "a"}, "sk": {"N": "1"}}, {"pk": {"S": "b"}}],
            "Select": ["COUNT", "X"],
        }
        for name, choices in more.items():
            if self.odd(0.15):
                request[name] = self.dice.choice(choices)
        return request

    def get_many(self):
        tables = {}
        for _ in range(self.dice.choice([1, 1, 2])):
            table = self.table()
            keys = [self.key(table) for _ in range(self.dice.randint(0 if self.odd() else 1, 4))]
            tables[table] = {"Keys": keys, **({"ConsistentRead": True} if self.odd(0.2) else {})}
        return {"RequestItems": tables}

    def transaction(self):
        actions = []
        for _ in range(self.dice.randint(0 if self.odd() else 1, 3)):
            kind = self.dice.choice(["Put", "Update", "Delete", "ConditionCheck"])
            action = self.write({"Put": "PutItem", "Update": "UpdateItem"}.get(kind, "DeleteItem"))
            if self.odd():
                action["ReturnValuesOnConditionCheckFailure"] = self.dice.choice(["ALL_OLD", "NONE", "X"])
            actions.append({kind: action} if not self.odd(0.02) else {})
        return {"TransactItems": actions}

    def of(self, operation):
        make = {
            "GetItem": self.get,
            "Query": self.query,
            "BatchGetItem": self.get_many,
            "TransactWriteItems": self.transaction,
        }
        return make.get(operation, partial(self.single, operation))()


def fill(ask):
    ask.create("one", "pk", "pk:S")
    ask.create("two", "pk sk", "pk:S sk:N g:S", GlobalSecondaryIndexes=[index("by-g", "g")])
    for key in "ab":
        ask("PutItem", TableName="one", Item={"pk": {"S": key}, "n": {"N": "5"}, "s": {"S": "text"}})
        for number in "123":
            item = {
                "pk": {"S": key},
                "sk": {"N": number},
                "g": {"S": "a"},
                "l": {"L": [{"N": "1"}]},
                "ss": {"SS": ["a"]},
            }
            ask("PutItem", TableName="two", Item=item)


def outcome(service, operation, request):
    try:
        return service.call(operation, deepcopy(request))
    except ApiError as fault:
        return fault.code, fault.message, fault.members


@pytest.fixture
def ways(monkeypatch):
    """Two equal databases: one read by the short ways, the other never. And how often a short way was taken."""
    taken = []

    def call(short, service, operation, request):
        with monkeypatch.context() as patch:
            for module, name in SHORT_WAYS:
                own = getattr(module, name)

                def watched(*arguments, own=own):
                    found = own(*arguments) if short else None
                    if found is not None:
                        taken.append(operation)
                    return found

                patch.setattr(module, name, watched)
            return outcome(service, operation, request)

    with connect(":memory:") as first, connect(":memory:") as second:
        for connection in (first, second):
            fill(Asker(connection.service))
        yield partial(call, True, first.service), partial(call, False, second.service), taken


@pytest.mark.parametrize(
    "operation", ["PutItem", "UpdateItem", "GetItem", "Query", "BatchGetItem", "TransactWriteItems"]
)
def test_the_short_way_answers_as_the_long_way(ways, operation):
    short, long, taken = ways
    requests = Requests(operation)
    for _ in range(ROUNDS):
        request = requests.of(operation)
        assert short(operation, request) == long(operation, request), request
    assert len(taken) > ROUNDS / 8


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("n BETWEEN :a AND :b", ({"N": "1"}, {"N": "2"}), ({"N": "2"}, {"N": "1"})),
        ("attribute_type(n, :a) AND s = :b", ({"S": "N"}, {"S": "x"}), ({"S": "number"}, {"S": "x"})),
        ("n = :a OR s = :b", ({"SS": ["a"]}, {"S": "x"}), ({"SS": []}, {"S": "x"})),
        ("n = :a OR s = :b", ({"N": "1"}, {"S": "x"}), ({"N": "1e126"}, {"S": "x"})),
        ("n = :a OR s = :b", (nested(31), {"S": "x"}), (nested(32), {"S": "x"})),
    ],
)
def test_a_text_that_passed_is_checked_again_with_other_values(ways, text, good, bad):
    short, long, _ = ways
    for values in (good, bad, good, bad):
        request = {
            "TableName": "one",
            "Key": {"pk": {"S": "a"}},
            "UpdateExpression": "SET z = :a",
            "ConditionExpression": text,
            "ExpressionAttributeValues": dict(zip((":a", ":b"), deepcopy(values), strict=True)),
        }
        answer = short("UpdateItem", request)
        assert answer == long("UpdateItem", request)
        assert isinstance(answer, tuple) or values is good
        assert answer[0] == "ValidationException" if values is bad else True
