class PackedBlock:
    """One packed block, for tools and tests: made of the raw bytes of a block, with LZ4 where that saves enough.

    What stands in `raw` is not looked at before `find`. InvalidArgumentError above 128 KiB.
    """

    def __init__(self, raw: bytes, compressed: bool = True) -> None: ...
    @property
    def compressed(self) -> bool: ...
    def find(self, key: bytes, seq: int = ...) -> tuple[tuple[int, bytes] | None, bool]: ...
