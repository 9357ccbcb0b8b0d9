"""Keys and values as text and back: UTF-8, hexadecimal, base64, JSON.

`encode` turns text into bytes and `decode` undoes it exactly; `display` is for people and may not be undone.
Pure functions; any thread.
"""

from __future__ import annotations

import base64
import enum
import json

__all__ = ["Form", "decode", "display", "encode", "from_json", "reason", "to_json"]


class Form(enum.StrEnum):
    """How bytes stand as text."""

    TEXT = "text"
    HEX = "hex"
    BASE64 = "base64"


def encode(text: str, form: Form) -> bytes:
    """The bytes that `text` stands for; ValueError, such as "not hex", where it is not of that form."""
    try:
        if form is Form.HEX:
            return bytes.fromhex(text)
        if form is Form.BASE64:
            return base64.b64decode(text, validate=True)
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not text: it holds half of a surrogate pair") from None
    except ValueError:
        raise ValueError(f"not {form}") from None


def decode(data: bytes, form: Form) -> str:
    """The text of `data` in that form; UnicodeDecodeError where the form is text and the bytes are not UTF-8."""
    if form is Form.HEX:
        return data.hex()
    if form is Form.BASE64:
        return base64.b64encode(data).decode("ascii")
    return data.decode("utf-8")


def display(data: bytes, form: Form, *, lines: bool = False) -> str:
    """`decode`, but bytes that are not printable UTF-8 become a Python literal, such as `b'\\x00'`.

    With `lines`, tabs and line ends count as printable.
    """
    try:
        text = decode(data, form)
    except UnicodeDecodeError:
        return repr(data)
    plain = text.replace("\n", "").replace("\t", "") if lines else text
    return text if plain.isprintable() else repr(data)


def to_json(data: bytes, form: Form) -> str | dict[str, str]:
    """A JSON string, or `{"base64": ...}` where the form is text and the bytes are not UTF-8."""
    try:
        return decode(data, form)
    except UnicodeDecodeError:
        return {"base64": decode(data, Form.BASE64)}


def from_json(value: object, form: Form) -> bytes | None:
    """What `to_json` made, as bytes; None where `value` is neither a string nor `{"base64": ...}`."""
    if isinstance(value, str):
        return encode(value, form)
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        return encode(value["base64"], Form.BASE64)
    return None


def reason(error: Exception) -> str:
    """What is wrong with a line that could not be read, for people."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    return str(error)
