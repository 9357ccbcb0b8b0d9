"""What all commands of `lsm` share: how they fail, and how their arguments are read.

Imports nothing of the engine, so that a command pays only for what it uses. No state.
"""

from __future__ import annotations

import argparse

from lsm.errors import Error

__all__ = ["Failure", "Parser", "one_line", "positive"]


class Failure(Exception):
    """The command could not do what was asked; the message is the line to print."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def one_line(error: Exception) -> str:
    """What `error` says, without line ends; an error of the operating system as `FILE: what is wrong`."""
    if isinstance(error, OSError) and not isinstance(error, Error) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


class Parser(argparse.ArgumentParser):
    """Keeps the line ends of the examples; takes no shortened options, so that adding one breaks no script."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)  # type: ignore[arg-type]


def positive(text: str) -> int:
    """A whole number above 0, as an argument's type."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
