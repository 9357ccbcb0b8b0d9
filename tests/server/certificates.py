"""A certificate that a test makes for itself, of 127.0.0.1, in one PEM file with its key."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def self_signed(directory: Path) -> str:
    """The path of the file; skips the test where openssl is not there."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the command openssl is not there to make a certificate")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    done = subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    both = directory / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    both.chmod(0o600)
    return str(both)
