"""Offline tools: subcommands of `lsm` that look at, check, compact and rescue databases which nothing has open.

They read the files by their published formats (docs/format/), in Python, and check bytes with the crc32c, xxhash and
zstandard packages, so that a fault of the compiled core cannot hide from them. Nothing in package `lsm` needs them.
"""
