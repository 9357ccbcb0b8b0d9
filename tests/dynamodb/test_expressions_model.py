"""Random conditions, updates and projections on random items against an evaluator written from the rules alone.

The evaluator knows no text and no stored form: trees are tuples, numbers Decimals, lists dicts by index while an update
runs. Every tree is rendered with random blanks, cases, parentheses and placeholders.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lsm.dynamodb import ApiError
from lsm.dynamodb.expressions import Condition, Projection, Update
from lsm.item_codec import store_value

FAULT = object()
EXAMPLES = settings(max_examples=120, deadline=None)

# ---- values and items

numbers = st.sampled_from(["0", "1", "1.0", "2", "10E-1", "-0.5"])
texts = st.sampled_from(["", "a", "ab", "\U0001f600", "\uffff"])
blobs = st.sampled_from([b"", b"a", b"\xff"])
scalars = st.one_of(
    numbers.map(lambda n: {"N": n}),
    texts.map(lambda s: {"S": s}),
    blobs.map(lambda b: {"B": b}),
    st.booleans().map(lambda b: {"BOOL": b}),
    st.just({"NULL": True}),
)
sets = st.one_of(
    st.sets(texts, min_size=1, max_size=3).map(lambda m: {"SS": sorted(m)}),
    st.sets(blobs, min_size=1, max_size=3).map(lambda m: {"BS": sorted(m)}),
    st.sets(st.sampled_from(["0", "1.0", "-1", "2.50", "1e1"]), min_size=1, max_size=3).map(lambda m: {"NS": list(m)}),
)
NAMES = ["a", "b", "c", "a.b", "name", "\u00e9"]
values = st.recursive(
    scalars | sets,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda held: {"L": held}),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(lambda held: {"M": held}),
    ),
    max_leaves=6,
)
number_values = numbers.map(lambda n: {"N": n})
list_values = st.lists(scalars | sets, min_size=1, max_size=3).map(lambda held: {"L": held})
# most items have attributes of the types that most paths expect
SHAPE = {
    "a": number_values | values,
    "b": list_values,
    "c": st.fixed_dictionaries({"b": list_values}, optional={"a": number_values, "name": sets}).map(lambda m: {"M": m}),
    "a.b": texts.map(lambda text: {"S": text}) | values,
    "name": sets,
    "\u00e9": values,
}
items = st.tuples(st.fixed_dictionaries(SHAPE), st.sets(st.sampled_from(NAMES), max_size=2)).map(
    lambda drawn: {name: value for name, value in drawn[0].items() if name not in drawn[1]}
)
LIKELY = [("a",), ("b",), ("b", 0), ("b", 1), ("b", 4), ("b", 9), ("c", "a"), ("c", "b"), ("c", "b", 0), ("c", "b", 7)]
LIKELY += [("c", "name"), ("c", "\u00e9"), ("a.b",), ("name",), ("\u00e9",), ("b", 5)]
paths = st.one_of(
    st.sampled_from(LIKELY),
    st.sampled_from(LIKELY),
    st.tuples(st.sampled_from(NAMES), st.lists(st.one_of(st.sampled_from(NAMES), st.integers(0, 3)), max_size=2)).map(
        lambda path: (path[0], *path[1])
    ),
)


def stored(item):
    return {name: store_value(value) for name, value in item.items()}


def plain(value: Any) -> Any:
    """(type, Python value) by value: what two equal attributes have in common."""
    ((kind, held),) = value.items()
    if kind in ("N", "NS"):
        return kind, Decimal(held) if kind == "N" else frozenset(map(Decimal, held))
    if kind in ("SS", "BS"):
        return kind, frozenset(held)
    if kind == "L":
        return kind, tuple(map(plain, held))
    return (kind, tuple(sorted((n, plain(v)) for n, v in held.items()))) if kind == "M" else (kind, held)


# ---- the rules: conditions


def at(path, item):
    value = {"M": item}
    for part in path:
        held = value.get("L" if isinstance(part, int) else "M", {} if isinstance(part, str) else [])
        if part < len(held) if isinstance(part, int) else part in held:
            value = held[part]
        else:
            return None
    return value


def operand(node, item):
    if node[0] == "value":
        return plain(node[1])
    value = at(node[1], item)
    if node[0] == "path" or value is None:
        return None if value is None else plain(value)
    kind, held = next(iter(value.items()))
    if kind in ("N", "BOOL", "NULL"):
        return None
    return "N", Decimal(len(held.encode("utf-16-le")) // 2 if kind == "S" else len(held))


def compared(a, b):
    """-1, 0, 1; None where the two do not compare."""
    if a is None or b is None or a[0] != b[0] or a[0] not in ("S", "N", "B"):
        return None
    left, right = (x[1].encode() if x[0] == "S" else x[1] for x in (a, b))
    return (left > right) - (left < right)


def holds(tree, item):
    what = tree[0]
    if what in ("AND", "OR"):
        return (all if what == "AND" else any)([holds(part, item) for part in tree[1:]])
    if what == "NOT":
        return not holds(tree[1], item)
    if what in ("attribute_exists", "attribute_not_exists"):
        return (at(tree[1][1], item) is None) is (what == "attribute_not_exists")
    found = [operand(node, item) for node in tree[1:]]
    first = found[0]
    if what == "=":
        return first is not None and first == found[1]
    if what == "<>":
        return first is None or first != found[1]
    if what in ("<", "<=", ">", ">="):
        return compared(*found) in {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (1, 0)}[what]
    if what == "BETWEEN":
        return compared(first, found[1]) in (0, 1) and compared(first, found[2]) in (-1, 0)
    if what == "IN":
        return first is not None and first in found[1:]
    if first is None or found[1] is None:
        return False
    if what == "attribute_type":
        return first[0] == found[1][1]
    kind, held = found[1]
    if what == "begins_with":
        return kind == first[0] and kind in ("S", "B") and first[1].startswith(held)
    if first[0] == "L":
        return found[1] in first[1]
    return first[0] in (kind, kind + "S") and first[0] in ("S", "B", "SS", "NS", "BS") and held in first[1]


# ---- trees and their text

path_nodes = paths.map(lambda path: ("path", path))
value_nodes = values.map(lambda value: ("value", value))
ordered_nodes = st.one_of(numbers.map(lambda n: {"N": n}), texts.map(lambda s: {"S": s})).map(lambda v: ("value", v))
size_nodes = paths.map(lambda path: ("size", path))
any_nodes = st.one_of(path_nodes, path_nodes, value_nodes, size_nodes)
kinds = st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"])
ordered_any = st.one_of(path_nodes, path_nodes, ordered_nodes, size_nodes)
number_nodes = number_values.map(lambda value: ("value", value))
first = st.just(("path", ("a",)))
bounds = st.tuples(numbers, numbers).map(lambda both: [("value", {"N": n}) for n in sorted(both, key=Decimal)])
leaves = st.one_of(
    st.tuples(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), first, number_nodes),
    st.tuples(first, bounds).map(lambda drawn: ("BETWEEN", drawn[0], *drawn[1])),
    st.tuples(st.sampled_from(["=", "<>"]), any_nodes, any_nodes),
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), ordered_any, ordered_any),
    st.tuples(st.just("BETWEEN"), ordered_any, ordered_any, ordered_any),
    st.lists(any_nodes, min_size=2, max_size=4).map(lambda nodes: ("IN", *nodes)),
    st.tuples(st.sampled_from(["attribute_exists", "attribute_not_exists"]), path_nodes),
    st.tuples(st.just("attribute_type"), path_nodes, kinds.map(lambda kind: ("value", {"S": kind}))),
    st.tuples(st.just("begins_with"), path_nodes, st.one_of(path_nodes, texts.map(lambda s: ("value", {"S": s})))),
    st.tuples(st.just("contains"), path_nodes, any_nodes),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["AND", "OR"]), inner, inner), inner.map(lambda tree: ("NOT", tree))
    ),
    max_leaves=6,
)


class Writer:
    """Renders trees; names and values are what the text needs of placeholders."""

    def __init__(self, data):
        self._draw = data.draw
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def blank(self, least=0):
        return self._draw(st.sampled_from([" ", "\t", "\n ", "  "] if least else ["", " ", "\n"]))

    def word(self, word):
        shown = self._draw(st.sampled_from([word, word.lower(), word.title()]))
        return f"{self.blank(1)}{shown}{self.blank(1)}"

    def path(self, path):
        shown = ""
        for part in path:
            if isinstance(part, int):
                shown += f"{self.blank()}[{self.blank()}{part}]"
                continue
            if part in ("a", "b", "c") and self._draw(st.booleans()):
                name = part
            else:
                name = f"#n{NAMES.index(part)}"
                self.names[name] = part
            shown += name if not shown else f"{self.blank()}.{self.blank()}{name}"
        return shown

    def operand(self, node):
        if node[0] == "value":
            place = f":v{len(self.values)}"
            self.values[place] = node[1]
            return place
        return self.path(node[1]) if node[0] == "path" else f"size{self.blank()}({self.path(node[1])})"

    def condition(self, tree):
        what = tree[0]
        if what in ("AND", "OR"):
            return self.word(what).join(self.part(part, what) for part in tree[1:])
        if what == "NOT":
            return f"{self.word('NOT')}{self.part(tree[1], 'NOT')}"
        shown = [self.operand(node) for node in tree[1:]]
        if what == "BETWEEN":
            return f"{shown[0]}{self.word('BETWEEN')}{shown[1]}{self.word('AND')}{shown[2]}"
        if what == "IN":
            return f"{shown[0]}{self.word('IN')}({self.comma(shown[1:])})"
        if what[0] in "=<>":
            return f"{shown[0]}{self.blank()}{what}{self.blank()}{shown[1]}"
        return f"{what}{self.blank()}({self.comma(shown)})"

    def comma(self, shown):
        return f"{self.blank()},{self.blank()}".join(shown)

    def part(self, tree, around):
        binds = {"OR": 0, "AND": 1, "NOT": 2}
        needed = binds.get(tree[0], 3) < binds[around] or tree[0] == around != "NOT"
        text = self.condition(tree)
        return f"({text})" if needed or self._draw(st.booleans()) else text


@EXAMPLES
@given(st.data(), items, trees)
def test_conditions_hold_as_the_rules_say(data, item, tree):
    writer = Writer(data)
    text = writer.condition(tree)
    condition = Condition.parse("FilterExpression", text, writer.names, stored(writer.values))
    try:
        condition.check()
    except ApiError as fault:
        allowed = "must be distinct", "BETWEEN operator requires", "operand type"
        if not any(words in fault.message for words in allowed):
            raise
        assume(False)
    assert condition.holds(stored(item)) is holds(tree, item)
    assert set(condition.names_used) == set(writer.names)
    assert set(condition.values_used) == set(writer.values)


# ---- the rules: updates


class Refused(Exception):
    pass


def new_value(node, item):
    what = node[0]
    if what == "value":
        return node[1]
    if what == "if_not_exists":
        found = at(node[1][1], item)
        return new_value(node[2], item) if found is None else found
    if what == "path":
        found = at(node[1], item)
        if found is None:
            raise Refused("does not exist in the item")
        return found
    left, right = (new_value(part, item) for part in node[1:])
    wanted = "L" if what == "list_append" else "N"
    if wanted not in left or wanted not in right:
        raise Refused("incorrect data type")
    if what == "list_append":
        return {"L": [*left["L"], *right["L"]]}
    a, b = Decimal(left["N"]), Decimal(right["N"])
    return {"N": str(a + b if what == "+" else a - b)}


def combined(section, current, value):
    """Of ADD and DELETE."""
    if current is None:
        return value if section == "ADD" else None
    kind = next(iter(value))
    if kind not in current:
        raise Refused("incorrect data type")
    if kind == "N":
        return {"N": str(Decimal(current["N"]) + Decimal(value["N"]))}
    same = Decimal if kind == "NS" else (lambda member: member)
    old, given_ = ({same(member) for member in one[kind]} for one in (current, value))
    left = old | given_ if section == "ADD" else old - given_
    return {kind: [str(m) if kind == "NS" else m for m in left]} if left else None


def opened(value):
    """With lists as dicts by index."""
    kind, held = next(iter(value.items()))
    if kind == "L":
        return {"L": {index: opened(element) for index, element in enumerate(held)}}
    return {"M": {name: opened(part) for name, part in held.items()}} if kind == "M" else {kind: held}


def closed(value):
    kind, held = next(iter(value.items()))
    if kind == "L":
        return {"L": [closed(held[index]) for index in sorted(held)]}
    return {"M": {name: closed(part) for name, part in held.items()}} if kind == "M" else value


def updated(item, clauses):
    found = []
    for section, path, node in clauses:
        value = None if node is None else new_value(node, item)
        found.append(combined(section, at(path, item), value) if section in ("ADD", "DELETE") else value)
    whole = opened({"M": item})
    for (_, path, _), value in zip(clauses, found, strict=True):
        parent = whole
        for part in path[:-1]:
            parent = parent.get("L" if isinstance(part, int) else "M", {}).get(part, {})
        held = parent.get("L" if isinstance(path[-1], int) else "M")
        if held is None:
            raise Refused("document path")
        if value is None:
            held.pop(path[-1], None)
        else:
            held[path[-1]] = opened(value)
    return closed(whole)["M"]


list_nodes = st.lists(scalars, max_size=2).map(lambda held: ("value", {"L": held}))
maybe = st.tuples(st.just("if_not_exists"), path_nodes, number_nodes)
set_nodes = st.one_of(
    value_nodes,
    path_nodes,
    st.tuples(st.just("if_not_exists"), path_nodes, value_nodes | path_nodes),
    st.tuples(st.sampled_from(["+", "-"]), path_nodes | number_nodes | maybe, path_nodes | number_nodes),
    st.tuples(st.just("list_append"), path_nodes | list_nodes, path_nodes | list_nodes),
)
clauses = st.one_of(
    st.tuples(st.just("SET"), paths, set_nodes),
    st.tuples(st.just("REMOVE"), paths, st.none()),
    st.tuples(st.just("ADD"), paths, number_nodes | sets.map(lambda value: ("value", value))),
    st.tuples(st.just("DELETE"), paths, sets.map(lambda value: ("value", value))),
)
elements = st.one_of(
    st.integers(0, 8).map(lambda index: ("b", index)),
    st.integers(0, 8).map(lambda index: ("b", index)),
    st.integers(0, 6).map(lambda index: ("c", "b", index)),
)
list_clauses = st.one_of(
    st.tuples(st.just("SET"), elements, value_nodes | first),
    st.tuples(st.just("SET"), elements, number_nodes),
    st.tuples(st.just("REMOVE"), elements, st.none()),
)
updates = st.one_of(
    st.lists(clauses, min_size=1, max_size=4),
    st.lists(list_clauses, min_size=3, max_size=6, unique_by=lambda clause: clause[1]),
)


class UpdateWriter(Writer):
    def sum(self, node):
        if node[0] in ("if_not_exists", "list_append"):
            return f"{node[0]}{self.blank()}({self.comma([self.sum(part) for part in node[1:]])})"
        if node[0] in "+-":
            left, right = map(self.sum, node[1:])
            return f"{left}{self.blank()}{node[0]}{self.blank()}{right}"
        return self.operand(node)

    def update(self, clauses):
        sections = dict.fromkeys(section for section, _, _ in clauses)
        return "".join(
            self.word(section) + self.comma([self.clause(*clause) for clause in clauses if clause[0] == section])
            for section in sections
        )

    def clause(self, section, path, node):
        shown = self.path(path)
        if section == "SET":
            return f"{shown}{self.blank()}={self.blank()}{self.sum(node)}"
        return shown if node is None else f"{shown}{self.blank(1)}{self.operand(node)}"


@EXAMPLES
@given(st.data(), items, updates)
def test_updates_change_items_as_the_rules_say(data, item, drawn):
    sections = dict.fromkeys(section for section, _, _ in drawn)
    ordered = [clause for section in sections for clause in drawn if clause[0] == section]
    writer = UpdateWriter(data)
    update = Update.parse(writer.update(ordered), writer.names, stored(writer.values))
    try:
        update.check()
    except ApiError as fault:
        if "Two document paths" not in fault.message:
            raise
        assume(False)
    before = stored(item)
    try:
        expected = {name: plain(value) for name, value in updated(item, ordered).items()}
    except Refused as refused:
        try:
            update.apply(before)
        except ApiError as fault:
            if str(refused) not in fault.message:
                raise
        else:
            raise AssertionError(f"taken, but {refused}") from None
        return
    found = update.apply(before)
    assert {name: plain(value) for name, value in found.items()} == expected
    assert stored(found) == found, "not in stored form"
    assert before == stored(item)


# ---- the rules: projections

near_elements = st.lists(st.integers(0, 3).map(lambda index: ("b", index)), min_size=2, max_size=4, unique=True)


def projected(value, wanted):
    """The part of a value at paths that do not overlap; None for nothing."""
    if value is None or () in wanted:
        return value
    kind, held = next(iter(value.items()))
    parts = list(dict.fromkeys(path[0] for path in wanted))
    inner = {part: [path[1:] for path in wanted if path[0] == part] for part in parts}
    if kind == "L" and isinstance(parts[0], int):
        found = [projected(held[i], inner[i]) for i in sorted(parts) if i < len(held)]
        found = [part for part in found if part is not None]
        return {"L": found} if found else None
    if kind == "M" and isinstance(parts[0], str):
        kept = {n: projected(held.get(n), inner[n]) for n in parts}
        kept = {n: part for n, part in kept.items() if part is not None}
        return {"M": kept} if kept else None
    return None


@EXAMPLES
@given(st.data(), items, st.lists(paths, min_size=1, max_size=4) | near_elements)
def test_projections_show_what_the_rules_say(data, item, wanted):
    writer = Writer(data)
    projection = Projection.parse(writer.comma([writer.path(path) for path in wanted]), writer.names)
    try:
        projection.check()
    except ApiError as fault:
        if "Two document paths" not in fault.message:
            raise
        assume(False)
    expected = projected({"M": item}, wanted) or {"M": {}}
    assert projection.of(stored(item)) == stored(expected["M"])
