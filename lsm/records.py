"""Records out of text: JSON Lines, CSV with a header line, TSV with a header line.

Every line yields one `Record` or one `BadLine` that names the line; a bad line never ends the reading.
One reader serves one thread.
"""

from __future__ import annotations

import csv
import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, NamedTuple, Self

from lsm.byteforms import Form, from_json, reason

__all__ = ["BadLine", "Fields", "Format", "HeaderError", "Lines", "Record", "read_records"]

MAX_FIELD_BYTES = 1 << 30
"""Of a CSV or TSV field. The engine refuses values far shorter, with a better message than the csv module's."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Format(enum.StrEnum):
    """What the text is."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"

    @classmethod
    def of_name(cls, name: str) -> Format:
        """The format that a file's name tells; JSON Lines where it tells none."""
        return {".csv": cls.CSV, ".tsv": cls.TSV, ".tab": cls.TSV}.get(PurePath(name).suffix.lower(), cls.JSONL)


@dataclass(frozen=True)
class Fields:
    """Which member or column of a record is what.

    Without `key` a record is `{"key": ..., "value": ...}`, with `"sort_key"` for a composite keyspace. With `key` the
    value is the whole record as JSON, unless `value` names one field. Strings are turned into bytes by the two forms.
    """

    key: str | None = None
    sort_key: str | None = None
    value: str | None = None
    key_form: Form = Form.TEXT
    value_form: Form = Form.TEXT

    @property
    def key_name(self) -> str:
        return self.key or "key"

    @property
    def sort_key_name(self) -> str | None:
        """The field of the sort key, also where records may lack it; None where there is none."""
        return self.sort_key or (None if self.key else "sort_key")

    @property
    def value_name(self) -> str | None:
        """The field of the value; None for the whole record."""
        return self.value or (None if self.key else "value")


class Record(NamedTuple):
    line: int
    key: bytes
    sort_key: bytes | None
    value: bytes


class BadLine(NamedTuple):
    line: int
    reason: str


class HeaderError(ValueError):
    """The header line of a CSV or TSV file lacks what was asked for: no line of the file can be read."""


class Lines:
    """The lines of a binary stream, counted: `number` of the last one (from 1), `bytes` read so far."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0
        self.bytes = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        line = self._stream.readline()
        if not line:
            raise StopIteration
        self.number += 1
        self.bytes += len(line)
        return line.removeprefix(BYTE_ORDER_MARK) if self.number == 1 else line


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# json.loads and json.dumps make a new one for every call that has settings
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_records(lines: Lines, text_format: Format, fields: Fields) -> Iterator[Record | BadLine]:
    """Every record of `lines` in order; HeaderError before the first one where the header does not fit `fields`."""
    if text_format is Format.JSONL:
        return _json_records(lines, fields)
    return _table_records(lines, text_format, fields)


def _json_records(lines: Lines, fields: Fields) -> Iterator[Record | BadLine]:
    for line in lines:
        if line.isspace():
            continue
        try:
            yield _json_record(lines.number, line, fields)
        except (ValueError, RecursionError) as error:
            yield BadLine(lines.number, reason(error))


def _json_record(number: int, line: bytes, fields: Fields) -> Record:
    text = line.strip()
    members = _DECODER.decode(text.decode("utf-8"))
    if not isinstance(members, dict):
        raise ValueError("a record is a JSON object, this line is none")
    # a whole record keeps its own text: no digit of a number is lost
    value = text if fields.value_name is None else _value(members, fields.value_name, fields.value_form)
    return Record(number, _key(members, fields.key_name, fields.key_form), _sort_key(members, fields), value)


def _table_records(lines: Lines, text_format: Format, fields: Fields) -> Iterator[Record | BadLine]:
    reader = _rows(lines, text_format)
    columns = _header(reader, fields)
    while True:
        first = lines.number + 1
        try:
            row = next(reader)
            if row:
                yield _row_record(first, columns, row, fields)
        except StopIteration:
            return
        except (csv.Error, ValueError) as error:
            yield BadLine(first, reason(error))


def _rows(lines: Lines, text_format: Format) -> Iterator[list[str]]:
    """Rows of CSV as RFC 4180 has it; in TSV a quotation mark is a character like any other."""
    csv.field_size_limit(MAX_FIELD_BYTES)
    text = map(_utf8, lines)
    if text_format is Format.TSV:
        return csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(text, strict=True)


def _header(reader: Iterator[list[str]], fields: Fields) -> list[str]:
    try:
        columns = next(reader, [])
    except (csv.Error, ValueError) as error:
        raise HeaderError(f"the header line cannot be read: {reason(error)}") from None
    if not columns:
        raise HeaderError("there is no header line")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise HeaderError(f"the header line names column {twice[0]!r} twice")
    wanted = [fields.key_name, fields.sort_key, fields.value_name]
    missing = [name for name in wanted if name is not None and name not in columns]
    if missing:
        raise HeaderError(f"there is no column {missing[0]!r}; the header line names {', '.join(columns)}")
    return columns


def _row_record(number: int, columns: list[str], row: list[str], fields: Fields) -> Record:
    if len(row) != len(columns):
        raise ValueError(f"{len(row)} fields, where the header line names {len(columns)} columns")
    members: dict[str, object] = dict(zip(columns, row, strict=True))
    value = _json_bytes(members) if fields.value_name is None else _value(members, fields.value_name, fields.value_form)
    return Record(number, _key(members, fields.key_name, fields.key_form), _sort_key(members, fields), value)


def _key(members: dict[str, object], name: str, form: Form) -> bytes:
    """A string, `{"base64": ...}`, or a whole number as its digits."""
    if name not in members:
        raise ValueError(f"there is no {name!r}")
    value = members[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode("ascii")
    key = _string(name, value, form)
    if key is None:
        raise ValueError(f"{name!r} is neither a string nor a whole number")
    return key


def _sort_key(members: dict[str, object], fields: Fields) -> bytes | None:
    name = fields.sort_key_name
    if name is None or (fields.sort_key is None and name not in members):
        return None
    return _key(members, name, fields.key_form)


def _value(members: dict[str, object], name: str, form: Form) -> bytes:
    """A string or `{"base64": ...}` as its bytes, anything else as JSON."""
    if name not in members:
        raise ValueError(f"there is no {name!r}")
    text = _string(name, members[name], form)
    return _json_bytes(members[name]) if text is None else text


def _string(name: str, value: object, form: Form) -> bytes | None:
    try:
        return from_json(value, form)
    except ValueError as error:
        raise ValueError(f"{name!r} is {error}") from None


def _json_bytes(value: object) -> bytes:
    return _ENCODER.encode(value).encode("utf-8")


def _utf8(line: bytes) -> str:
    return line.decode("utf-8")
