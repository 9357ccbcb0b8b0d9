"""Access keys: the file they stand in, and the signing keys made from their secrets.

A file is taken whole or refused in one line that names the place. Read once, before serving; afterwards any thread.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from lsm.errors import InvalidArgumentError

__all__ = ["AccessKey", "Credentials", "read_credentials"]

ID = "aws_access_key_id"
SECRET = "aws_secret_access_key"
TOKEN = "aws_session_token"
SETTINGS = (ID, SECRET, TOKEN)
SIGNING_KEYS = 1024

# What separates the parts of an Authorization header cannot stand in an id.
_ID = re.compile(r"[!-~]+")
_NOT_IN_ID = frozenset(",/=")
_SETTING = re.compile(r"([^=:]*?)\s*[=:]\s*(.*)")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A secret, and the session token that every request signed with it must carry; None: it must carry none."""

    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """keys: by access key id. warning: one line to print when the file is open to others, without prefix."""

    keys: Mapping[str, AccessKey]
    warning: str | None = None
    _signing: dict[tuple[str, str, str, str], bytes] = field(default_factory=dict, repr=False, compare=False)

    def signing_key(self, key_id: str, date: str, region: str, service: str) -> bytes:
        """The key that signs a day's requests. KeyError when there is no such access key."""
        scope = (key_id, date, region, service)
        key = self._signing.get(scope)
        if key is None:
            key = _derived(self.keys[key_id].secret, date, region, service)
            if len(self._signing) >= SIGNING_KEYS:
                self._signing.clear()
            self._signing[scope] = key
        return key


def _derived(secret: str, *scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


def read_credentials(path: str | os.PathLike[str]) -> Credentials:
    """Reads a shared credentials file of the AWS tools: `[name]` sections of aws_access_key_id, aws_secret_access_key
    and, where there is one, aws_session_token; comments begin with `#` or `;`.

    Raises InvalidArgumentError, in one line with the path and where it can the number of the line.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise InvalidArgumentError(f"{name}: cannot be read: {error.strerror or error}") from None
    try:
        keys = _keys(_sections(content))
    except _WrongLine as wrong:
        raise InvalidArgumentError(f"{name}:{wrong.line}: {wrong.what}") from None
    if not keys:
        raise InvalidArgumentError(f"{name}: holds no access keys; write a section `[name]` with {ID} and {SECRET}")
    return Credentials(keys, _warning(name, mode))


def _warning(name: str, mode: int) -> str | None:
    if os.name == "nt" or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    return f"{name} holds secrets and can be read by others (mode {stat.S_IMODE(mode):04o}); `chmod 600` it"


class _WrongLine(Exception):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line = line
        self.what = what


@dataclass(slots=True)
class _Section:
    name: str
    line: int
    settings: dict[str, str] = field(default_factory=dict)


def _sections(content: bytes) -> list[_Section]:
    sections: dict[str, _Section] = {}
    section: _Section | None = None
    for line, text in _lines(content):
        if text.startswith("["):
            section = _opened(text, line)
            if section.name in sections:
                raise _WrongLine(line, f"section [{section.name}] was there before")
            sections[section.name] = section
        elif section is None:
            raise _WrongLine(line, "a section `[name]` must come first")
        else:
            _set(section, text, line)
    return list(sections.values())


def _lines(content: bytes) -> list[tuple[int, str]]:
    """Lines that say something, without the white space around them."""
    found = []
    for line, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError:
            raise _WrongLine(line, "not text in UTF-8") from None
        if text and text[0] not in "#;":
            found.append((line, text))
    return found


def _opened(text: str, line: int) -> _Section:
    name = text[1:-1].strip()
    if not text.endswith("]") or not name:
        raise _WrongLine(line, "a section is written `[name]`")
    return _Section(name, line)


def _set(section: _Section, text: str, line: int) -> None:
    """Takes one setting. No text of the file is repeated in what is raised but names: a slip may hold a secret."""
    found = _SETTING.fullmatch(text)
    if found is None:
        raise _WrongLine(line, f"expected `name = value`, with one of {', '.join(SETTINGS)}")
    name, value = found[1].lower(), found[2]
    if name not in SETTINGS:
        raise _WrongLine(line, f"unknown setting; the settings are {', '.join(SETTINGS)}")
    if name in section.settings:
        raise _WrongLine(line, f"{name} was set before in [{section.name}]")
    if not value:
        raise _WrongLine(line, f"{name} has no value")
    if name == ID and (not _ID.fullmatch(value) or not _NOT_IN_ID.isdisjoint(value)):
        raise _WrongLine(line, f"{name} may hold ASCII characters other than blanks, `,`, `/` and `=`")
    section.settings[name] = value


def _keys(sections: list[_Section]) -> dict[str, AccessKey]:
    keys: dict[str, AccessKey] = {}
    for section in sections:
        for name in (ID, SECRET):
            if name not in section.settings:
                raise _WrongLine(section.line, f"section [{section.name}] has no {name}")
        key_id = section.settings[ID]
        if key_id in keys:
            raise _WrongLine(section.line, f"section [{section.name}] has the {ID} of another section")
        keys[key_id] = AccessKey(section.settings[SECRET], section.settings.get(TOKEN))
    return keys
