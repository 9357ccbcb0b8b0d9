"""What a test takes from the account that runs it: nothing of AWS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PREFIXES = ("AWS_", "BOTO_", "DYNAMO_", "PYNAMODB_CONFIG")


@contextmanager
def undisturbed(home: Path) -> Iterator[None]:
    """Inside, clients of AWS find no settings: not in the environment, not in files of the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(PREFIXES):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(home / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield
