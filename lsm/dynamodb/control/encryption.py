"""SSESpecification: checked and described; nothing is encrypted by it. Texts as the service gives them. No state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.control.definitions import invalid

__all__ = ["check_encryption"]


def check_encryption(given: Mapping[str, Any] | None, before: Mapping[str, Any] | None = None) -> None:
    """Of CreateTable, and of UpdateTable on a table whose settings are `before`."""
    if given is None:
        return
    for member in ("SSEType", "KMSMasterKeyId"):
        if not given.get("Enabled") and given.get(member) is not None:
            raise invalid(f"{member} can not be specified if Enabled is false")
    if given.get("KMSMasterKeyId") is not None and given.get("SSEType") is None:
        raise invalid("SSEType KMS is required if KMSMasterKeyId is specified")
    if given.get("SSEType") == "AES256":
        raise invalid("SSEType AES256 is not supported")
    if before is not None and not given.get("Enabled") and not before.get("SSESpecification", {}).get("Enabled"):
        raise invalid("Table is already encrypted by default")
