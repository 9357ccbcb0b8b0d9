from collections.abc import Iterable

def grown(sizes: Iterable[int]) -> bytes:
    """For tests: what a region holds that is grown to each size in turn, the k-th addition filled with k."""
