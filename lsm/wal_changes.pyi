from collections.abc import Iterable

Change = (
    tuple[int, int, bytes, bytes]
    | tuple[int, int, bytes, bytes, bytes | None]
    | tuple[int, int, bytes, bytes, bytes | None, bytes | None]
)

KINDS: dict[int, str]

def encode(changes: Iterable[Change]) -> bytes: ...
def decode(payload: bytes) -> list[tuple[int, int, bytes, bytes, bytes | None, bytes | None]]: ...
