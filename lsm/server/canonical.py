"""The canonical form of a request, from which Signature Version 4 is made: query string, headers, the whole.

Bytes as they came, nothing decoded but the query string; takes any bytes. No state; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes

__all__ = ["canonical_query", "canonical_request", "folded", "gathered", "parameters", "signed_names"]


def gathered(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Values by lower-case name, in the order sent."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        name = name.lower()
        if name in found:
            found[name].append(value)
        else:
            found[name] = [value]
    return found


def folded(values: Sequence[bytes]) -> bytes:
    """The values of one header as they are signed: runs of blanks made one, those around left out, joined by commas."""
    if len(values) == 1:
        return b" ".join(values[0].split())
    return b",".join([b" ".join(value.split()) for value in values])


def signed_names(listed: str) -> list[bytes]:
    """The names of a SignedHeaders list, in the order and case that are signed whatever was sent."""
    return sorted(set(listed.encode("latin-1").lower().split(b";")))


def parameters(query: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values of a query string, decoded, in the order sent; a name without `=` has an empty value."""
    found = []
    for part in query.replace(b"+", b" ").split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            found.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return found


def canonical_query(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    encoded = sorted((quote_from_bytes(name, ""), quote_from_bytes(value, "")) for name, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded]).encode()


def canonical_request(
    method: str,
    path: bytes,
    query: bytes,
    headers: Mapping[bytes, Sequence[bytes]],
    names: Sequence[bytes],
    payload: bytes,
) -> bytes:
    """query: in its canonical form; names: of the signed headers; payload: the hash of the body, in hexadecimal."""
    lines = [
        method.encode("latin-1", "replace"),
        b"/" if path == b"/" else quote_from_bytes(path or b"/", "/").encode(),
        query,
    ]
    lines += [name + b":" + folded(headers.get(name, ())) for name in names]
    lines += [b"", b";".join(names), payload]
    return b"\n".join(lines)
