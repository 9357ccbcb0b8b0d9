"""Measures lsm beside its peers: `python -m bench --help`, `pytest bench --benchmark-only`."""
