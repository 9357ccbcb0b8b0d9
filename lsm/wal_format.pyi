VERSION: int
SEGMENT_HEADER_BYTES: int
SEGMENT_MAGIC_VALUE: bytes
RING_MAGIC_VALUE: bytes
SEAL_FLAG: int
FRONT: dict[str, tuple[int, int]]
LAYOUTS: dict[str, dict[str, tuple[int, int]]]
