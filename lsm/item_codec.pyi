from typing import Any

FORMAT: dict[str, int]

class Unusual(ValueError):
    """A typed value that the codec does not take as it is; lsm/dynamodb/values.py says what is wrong with it."""

class Malformed(ValueError):
    """Bytes that are no item."""

class Writer: ...
class JsonWriter(Writer): ...

def encode_item(item: dict[str, dict[str, Any]]) -> bytes:
    """The bytes of an item of typed values; equal items, whatever the order of names and set members and however their
    numbers are written, have equal bytes. Raises Unusual for anything DynamoDB would not store as it is."""

def decode_item(data: bytes) -> dict[str, dict[str, Any]]:
    """The item of such bytes, as a new dict of typed values; ValueError (Malformed) where they are none."""

def item_size(data: bytes) -> int:
    """DynamoDB's size of the item, in bytes."""

def get_attributes(data: bytes, names: tuple[str, ...]) -> list[dict[str, Any] | None]:
    """Values of top-level attributes, in the order of `names`, None for those that the item lacks."""

def project_item(data: bytes, names: frozenset[str]) -> bytes:
    """The bytes of the item that has those top-level attributes alone: what an index stores of it."""

def store_value(value: dict[str, Any]) -> dict[str, Any]:
    """A typed value in its stored form: numbers as plain text, sets sorted. Raises Unusual as encode_item does."""

def store_attributes(attributes: Any) -> dict[str, Any]:
    """A map of typed values, such as a key, in stored form. Raises Unusual as encode_item does, for empty names too."""

def store_keys(keys: list[Any]) -> list[dict[str, Any]]:
    """The same of many. Raises Unusual also where two are equal, TypeError for values that no key has."""

def request_keys(
    requests: list[Any], names: tuple[str, ...], types: tuple[str, ...]
) -> list[tuple[bytes, bytes]] | None:
    """`request_key` of many; None where anything about one is unusual."""

def value_size(value: dict[str, Any]) -> int:
    """DynamoDB's size of a typed value, in bytes, without a name."""

def number_order(text: str) -> bytes:
    """Bytes that compare as the numbers do; Unusual for text that DynamoDB would not store."""

def item_json(data: bytes) -> bytes:
    """DynamoDB's JSON of the item, as bytes: {"name":{"S":"..."},...}, binaries in base64, no blanks."""

def items_json(items: list[bytes]) -> bytes:
    """The same of a list of items, as a JSON array."""

def request_key(key: Any, names: tuple[str, ...], types: tuple[str, ...]) -> tuple[bytes, bytes] | None:
    """(partition bytes, sort bytes) of a lookup's Key, its types being S, N or B by name; None where anything about it
    is unusual, which lsm/dynamodb/keys.py then puts into words."""

def item_key(data: bytes, names: tuple[str, ...], types: tuple[str, ...]) -> tuple[bytes, bytes] | None:
    """(partition bytes, sort bytes) of an item in its table; None where the item does not fit the key."""

def index_key(
    data: bytes, names: tuple[str, ...], types: tuple[str, ...], hashes: int, key: tuple[bytes, bytes]
) -> tuple[bytes, bytes] | None:
    """(partition bytes, sort bytes) of an item's entry in an index whose first `hashes` attributes are its partition
    key; `key` is the item's in its table. None where the item is not in the index."""
