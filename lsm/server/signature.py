"""Signature Version 4: is a request signed, completely, by someone who holds the secret of an access key?

Every refusal is the service's, in its words and in its order of checks; nothing that a client sends makes these
functions raise. Any thread.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_tz
from typing import NamedTuple, Protocol

from lsm.dynamodb.errors import ApiError
from lsm.server.canonical import canonical_query, canonical_request, folded, gathered, parameters, signed_names
from lsm.server.credentials import AccessKey, Credentials, read_credentials

__all__ = ["AccessKey", "Credentials", "Head", "present", "read_credentials", "verify"]

Headers = Mapping[bytes, Sequence[bytes]]
Pairs = Sequence[tuple[bytes, bytes]]

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "dynamodb"
TERMINATOR = "aws4_request"
SKEW_MINUTES = 15
"""How far the clocks of client and server may be apart, either way."""
LONGEST_EXPIRY = 604_800
"""Seconds that a signature in a query string may hold good for: a week."""
UNSIGNED = b"UNSIGNED-PAYLOAD"
IN_QUERY = " in query"
"""Among the parts of a signature that stands in a query string; a name that no part can have."""

_BASIC_FORMAT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_IN_HEADER = ("Credential", "Signature", "SignedHeaders")
_IN_QUERY = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")


class Head(Protocol):
    """The part of a request before its body. path: the target up to `?`; query: what follows it; headers: as sent."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    @property
    def query(self) -> bytes: ...
    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...


class _Claim(NamedTuple):
    """A signature with all its parts, true or not.

    scope: the credential's elements, five when it is well-formed. names: of the signed headers. payload: what
    X-Amz-Content-Sha256 says. expires: None but in a query string that has it. query: in its canonical form.
    """

    algorithm: str
    credential: str
    scope: list[str]
    names: list[bytes]
    signature: str
    date: str
    seconds: float
    token: bytes | None
    payload: bytes | None
    expires: str | None
    headers: Headers
    query: bytes
    in_query: bool


def present(head: Head) -> ApiError | None:
    """What is wrong with a request's signature before any key is looked at: checked also where any key will do."""
    headers = gathered(head.headers)
    pairs = parameters(head.query) if head.query else []
    found = _fields(headers, pairs)
    return found if isinstance(found, ApiError) else None


def verify(
    head: Head,
    body: bytes | bytearray | memoryview,
    credentials: Credentials,
    now: float,
    *,
    region: str | None = None,
    minutes: int = SKEW_MINUTES,
    explain: bool = False,
) -> ApiError | None:
    """None when the request was signed, in the last few minutes, with one of the keys; otherwise what to answer.

    body: as sent, with its content coding but without the transfer's. now: seconds since 1970. region: the one that
    signatures must name; None takes any. explain: a signature that does not match is answered with what was signed.
    """
    claim = _claim(head)
    if isinstance(claim, ApiError):
        return claim
    return (
        _time_fault(claim, now, minutes)
        or _form_fault(claim)
        or _scope_fault(claim, region)
        or _key_fault(claim, credentials)
        or _signature_fault(claim, head, body, credentials, explain)
        or _token_fault(claim, credentials)
    )


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignatureException", message)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", message)


def _text(values: Sequence[bytes]) -> str:
    return b",".join(values).strip().decode("latin-1")


# The parts of a signature.


def _fields(headers: Headers, pairs: Pairs) -> dict[str, str] | ApiError:
    """The parts by name, all there; `Algorithm` and `Date` among them, wherever they stood."""
    authorization = _text(headers.get(b"authorization", ()))
    in_query = any(name == b"X-Amz-Algorithm" for name, _ in pairs)
    if authorization and in_query:
        return _invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
    if in_query:
        return _fields_of_query(pairs)
    if not authorization.startswith("AWS4-"):
        return ApiError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    return _fields_of_header(authorization, headers)


def _fields_of_header(authorization: str, headers: Headers) -> dict[str, str] | ApiError:
    # Split as bytes: text would be split at blanks beyond ASCII's too.
    algorithm, *parts = authorization.encode("latin-1").replace(b",", b" ").split()
    fields: dict[str, str] = {}
    for part in [part.decode("latin-1") for part in parts]:
        name, equals, value = part.partition("=")
        if not equals:
            return _incomplete(
                f"'{part}' not a valid key=value pair (missing equal-sign) in Authorization header: '{authorization}'."
            )
        fields[name] = value
    fields["Algorithm"] = algorithm.decode("latin-1")
    fields["Date"] = _text(headers.get(b"x-amz-date", ())) or _iso_of(_text(headers.get(b"date", ())))
    if fields.get("Credential") and fields.get("Signature") and fields["Date"] and "SignedHeaders" in fields:
        return fields
    return _incomplete(_missing_in_header(fields) + f"Authorization={authorization}")


def _missing_in_header(fields: Mapping[str, str]) -> str:
    """The list of signed headers may be empty here; the signature is then refused for want of the host."""
    missing = [name for name in _IN_HEADER if not (fields.get(name) or (name == "SignedHeaders" and name in fields))]
    sentences = [f"Authorization header requires '{name}' parameter. " for name in missing]
    if not fields["Date"]:
        sentences.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
    return "".join(sentences)


def _fields_of_query(pairs: Pairs) -> dict[str, str] | ApiError:
    """Of a parameter that is there twice, the first."""
    sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(pairs)}
    missing = [name for name in _IN_QUERY if not sent.get(name)]
    if missing:
        sentences = [f"AWS query-string parameters must include '{name}'. " for name in missing]
        return _incomplete("".join(sentences) + "Re-examine the query-string parameters.")
    return {name[6:]: value for name, value in sent.items() if name.startswith("X-Amz-")} | {IN_QUERY: ""}


def _claim(head: Head) -> _Claim | ApiError:
    headers = gathered(head.headers)
    pairs = parameters(head.query) if head.query else []
    fields = _fields(headers, pairs)
    if isinstance(fields, ApiError):
        return fields
    date = fields["Date"]
    seconds = _seconds(date)
    if seconds is None:
        return _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        )
    in_query = IN_QUERY in fields
    if in_query:
        pairs = [pair for pair in pairs if pair[0] != b"X-Amz-Signature"]
    return _Claim(
        fields["Algorithm"],
        fields["Credential"],
        fields["Credential"].rstrip("/").split("/"),
        signed_names(fields["SignedHeaders"]),
        fields["Signature"],
        date,
        seconds,
        _sent(headers, b"x-amz-security-token", fields.get("Security-Token") if in_query else None),
        _sent(headers, b"x-amz-content-sha256", fields.get("Content-Sha256") if in_query else None),
        fields.get("Expires") if in_query else None,
        headers,
        canonical_query(pairs) if pairs else b"",
        in_query,
    )


def _sent(headers: Headers, name: bytes, in_query: str | None) -> bytes | None:
    """A header, or the query's parameter in its place."""
    if in_query is not None:
        return in_query.encode("latin-1")
    return folded(headers[name]) if name in headers else None


# Dates.


def _iso_of(date: str) -> str:
    """A `Date` header in the form in which it was signed: that of X-Amz-Date, whichever of HTTP's it is sent in."""
    if not date or _BASIC_FORMAT.fullmatch(date):
        return date
    try:
        parsed = parsedate_tz(date)
        if parsed is None or parsed[9]:
            return date
        return datetime(*parsed[:6], tzinfo=UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, IndexError, OverflowError):
        return date


def _seconds(date: str) -> float | None:
    """Seconds since 1970 of a date in ISO 8601's basic format, in UTC."""
    found = _BASIC_FORMAT.fullmatch(date)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _basic_format(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def _time_fault(claim: _Claim, now: float, minutes: int) -> ApiError | None:
    """The signature is of these minutes, or of the time that its query string allows for."""
    holds, span = minutes * 60, f"{minutes} min."
    if claim.expires is not None:
        expires = _expiry(claim.expires)
        if isinstance(expires, ApiError):
            return expires
        holds, span = expires, f"{expires} sec." if expires % 60 else f"{expires // 60} min."
    now = int(now)
    if claim.seconds < now - holds:
        earliest = _basic_format(now - holds)
        return _invalid(
            f"Signature expired: {claim.date} is now earlier than {earliest} ({_basic_format(now)} - {span})"
        )
    if claim.seconds > now + minutes * 60:
        latest = _basic_format(now + minutes * 60)
        return _invalid(
            f"Signature not yet current: {claim.date} is still later than {latest} "
            f"({_basic_format(now)} + {minutes} min.)"
        )
    return None


def _expiry(expires: str) -> int | ApiError:
    digits = expires.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return _incomplete("X-Amz-Expires should be a number")
    digits = digits.lstrip("0")
    if not digits or expires.startswith("-"):
        return _incomplete("X-Amz-Expires must be non-negative")
    if len(digits) > len(str(LONGEST_EXPIRY)) or int(digits) > LONGEST_EXPIRY:
        return _incomplete(
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {LONGEST_EXPIRY} seconds"
        )
    return int(digits)


# What a signature says of itself.


def _form_fault(claim: _Claim) -> ApiError | None:
    if b"host" not in claim.names:
        return _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if claim.algorithm != ALGORITHM:
        return _incomplete(f"Unsupported AWS 'algorithm': '{claim.algorithm}' (only {ALGORITHM} for now). ")
    if len(claim.scope) != 5:
        return _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{claim.credential}'"
        )
    return None


def _scope_fault(claim: _Claim, region: str | None) -> ApiError | None:
    """All that is wrong with the scope, in one answer."""
    _, date, in_region, service, terminator = claim.scope
    day = claim.date[:8]
    faults = []
    if not in_region or (region is not None and in_region != region):
        faults.append(f"Credential should be scoped to a valid region, not '{in_region}'. ")
    if service != SERVICE:
        faults.append(f"Credential should be scoped to correct service: '{SERVICE}'. ")
    if terminator != TERMINATOR:
        faults.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'. ")
    if date != day:
        faults.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{day}', from '{claim.date}'."
        )
    return _invalid("".join(faults)) if faults else None


# What only the holder of the secret can have made.


def _key_fault(claim: _Claim, credentials: Credentials) -> ApiError | None:
    if claim.scope[0] in credentials.keys:
        return None
    return ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")


def _token_fault(claim: _Claim, credentials: Credentials) -> ApiError | None:
    """The session token is the key's; a key that has none takes none. The service ends this one without a point."""
    token = credentials.keys[claim.scope[0]].token
    if hmac.compare_digest(claim.token or b"", (token or "").encode()):
        return None
    return ApiError("UnrecognizedClientException", "The security token included in the request is invalid")


def _signature_fault(
    claim: _Claim, head: Head, body: bytes | bytearray | memoryview, credentials: Credentials, explain: bool
) -> ApiError | None:
    """A named header that is not there counts as empty in what is signed, and is refused whatever was signed."""
    key_id, day, region, service, _ = claim.scope
    key = credentials.signing_key(key_id, day, region, service)
    hashed = hashlib.sha256(body).hexdigest().encode()
    whole = claim.payload in (None, hashed, UNSIGNED) and all(name in claim.headers for name in claim.names)
    canonical = _canonical(claim, head, UNSIGNED if claim.payload == UNSIGNED else hashed)
    matches = _matches(key, _to_sign(claim, canonical), claim.signature)
    if not matches and claim.in_query and claim.payload is None:
        # Who signs a query string ahead of its body signs no hash of it, and need not say so.
        matches = _matches(key, _to_sign(claim, _canonical(claim, head, UNSIGNED)), claim.signature)
    if matches and whole:
        return None
    return _invalid(_MISMATCH + _explanation(canonical, _to_sign(claim, canonical)) if explain else _MISMATCH)


def _canonical(claim: _Claim, head: Head, payload: bytes) -> bytes:
    return canonical_request(head.method, head.path, claim.query, claim.headers, claim.names, payload)


def _to_sign(claim: _Claim, canonical: bytes) -> bytes:
    scope = "/".join(claim.scope[1:])
    return f"{ALGORITHM}\n{claim.date}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode("latin-1")


def _matches(key: bytes, to_sign: bytes, signature: str) -> bool:
    return hmac.compare_digest(hmac.digest(key, to_sign, "sha256").hex().encode(), signature.encode("latin-1"))


def _explanation(canonical: bytes, to_sign: bytes) -> str:
    return (
        "\n\nThe Canonical String for this request should have been\n"
        f"'{canonical.decode('latin-1')}'\n\n"
        f"The String-to-Sign should have been\n'{to_sign.decode('latin-1')}'\n"
    )
