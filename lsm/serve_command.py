"""`lsm serve` and `lsm top`: their options, help and errors. What they run is in lsm/server and lsm/top.py.

The packages that the server needs are imported when it starts, so that no other command needs them.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsm.command_line import Failure, one_line, positive
from lsm.errors import Error
from lsm.server.limits import Limits

if TYPE_CHECKING:
    import ssl

__all__ = ["COMMANDS", "add"]

COMMANDS = ("serve", "top")

EXTRA = "pip install httptools orjson uvloop prometheus-client"

SERVE = """\
Every SDK, the AWS CLI and GUI tools work against it unmodified: only the endpoint differs. The database is created
where there is none. Any access key is accepted unless --credentials names a file of keys.

An answer is given when what it depends on is on the disk (concurrent requests share one sync). With --durability
process it is given at once: writes then survive this process being killed, but not the machine losing power.

Ctrl-C or SIGTERM stops it: requests under way are answered, the database is closed. A second Ctrl-C stops at once;
nothing that was acknowledged is lost either way.
"""
SERVE_EXAMPLES = """\
examples:
  lsm serve data.db                      serve http://127.0.0.1:8000 from data.db
  lsm serve --in-memory --port 0         a server for tests: keeps nothing, prints the port it got
  lsm serve data.db --durability process --access-log -
  lsm serve data.db --host 0.0.0.0 --credentials keys.ini --certificate tls.pem --key tls.key

then, in another terminal:
  aws dynamodb list-tables --endpoint-url http://127.0.0.1:8000
  boto3.resource("dynamodb", endpoint_url="http://127.0.0.1:8000")
  lsm top                                what the server is doing
  curl http://127.0.0.1:8000/metrics     for Prometheus; /stats has the same as JSON
"""

_MIB = 1 << 20


def add(subparsers: Any) -> None:
    """Adds both."""
    _add_serve(subparsers)
    _add_top(subparsers)


def _add_serve(subparsers: Any) -> None:
    command: argparse.ArgumentParser = subparsers.add_parser(
        "serve",
        help="Serve DynamoDB over HTTP.",
        description=f"Serve DynamoDB over HTTP.\n\n{SERVE}",
        epilog=SERVE_EXAMPLES,
    )
    command.set_defaults(run=_serve)
    command.add_argument("path", metavar="PATH", nargs="?", help="the database directory")
    command.add_argument("--in-memory", action="store_true", help="keep nothing; instead of PATH")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    command.add_argument("--port", type=_port, default=8000, help="port; 0 takes a free one (default: 8000)")
    command.add_argument(
        "--durability",
        choices=("power", "process"),
        default="power",
        help="what an acknowledged write survives: losing power, or only this process being killed (default: power)",
    )
    command.add_argument("--region", default="us-east-1", help="the region in ARNs (default: us-east-1)")
    command.add_argument("--account", type=_account, default="000000000000", help="the account in ARNs, 12 digits")
    command.add_argument(
        "--credentials",
        metavar="FILE",
        help="verify signatures by these keys: an INI file with aws_access_key_id and aws_secret_access_key",
    )
    command.add_argument("--certificate", metavar="PEM", help="serve HTTPS with this certificate (and chain)")
    command.add_argument("--key", metavar="PEM", help="the certificate's private key, where it is in another file")
    command.add_argument("--access-log", metavar="FILE", help="a JSON line for every request; - is stdout")
    _add_limits(command)


def _add_limits(command: argparse.ArgumentParser) -> None:
    limits = command.add_argument_group("limits", "what the server holds in memory, and how long it waits for clients")
    limits.add_argument("--cache-mb", type=positive, default=256, metavar="N", help="block cache (default: 256)")
    for option, name, unit, kind, words in LIMITS:
        default = f"{getattr(STANDARD, name) / unit:g}"
        limits.add_argument(option, type=kind, default=default, metavar="N", help=words.format(default))


def _limits(options: argparse.Namespace) -> Limits:
    given = {name: getattr(options, option[2:].replace("-", "_")) * unit for option, name, unit, _, _ in LIMITS}
    return Limits(**given)


def _add_top(subparsers: Any) -> None:
    command: argparse.ArgumentParser = subparsers.add_parser(
        "top",
        help="Show what a server is doing, as it does it.",
        description="Show what a server is doing: requests a second and their latency by operation and table, errors, "
        "connections, the engine.",
        epilog="examples:\n  lsm top\n  lsm top http://127.0.0.1:8001 --seconds 5\n"
        "  lsm top --once --json       one sample, for a program",
    )
    command.set_defaults(run=_top)
    command.add_argument("url", metavar="URL", nargs="?", default="http://127.0.0.1:8000", help="the server")
    command.add_argument("--seconds", type=_seconds, default=2.0, metavar="N", help="between samples (default: 2)")
    command.add_argument("--once", action="store_true", help="one sample, then end")
    command.add_argument("--json", action="store_true", help="print samples as JSON objects, a line each")


def _top(options: argparse.Namespace) -> int:
    from lsm.top import run

    return run(options.url, options.seconds, once=options.once, as_json=options.json)


# ---- running


def _serve(options: argparse.Namespace) -> int:
    _check_usage(options)
    try:
        from lsm.server import authentication, running, signature
    except ModuleNotFoundError as missing:
        raise Failure(f"lsm serve needs the package {missing.name}: {EXTRA}") from None
    held = None
    if options.credentials is not None:
        try:
            held = signature.read_credentials(options.credentials)
        except (OSError, ValueError) as error:
            raise Failure(one_line(error)) from None
        if held.warning:
            _warn(held.warning)
    tls = _tls(options)
    _warn_if_open(options)
    settings = running.Settings(
        host=options.host,
        port=options.port,
        durability=options.durability,
        authentication=authentication.Authentication(held),
        tls=tls,
        access_log=options.access_log,
        limits=_limits(options),
        ready=lambda address: print(f"lsm: listening on {address}", flush=True),
    )
    from lsm.dynamodb import connect

    with connect(
        ":memory:" if options.in_memory else options.path,
        durability=options.durability,
        region=options.region,
        account=options.account,
        cache_bytes=options.cache_mb * _MIB,
    ) as connection:
        try:
            running.run(connection.service, settings)
        except OSError as error:
            raise Failure(_in_words(error, options)) from None
    return 0


def _check_usage(options: argparse.Namespace) -> None:
    if options.in_memory and options.path is not None:
        raise Failure("--in-memory keeps nothing, so it takes no PATH: leave one of the two out", 2)
    if not options.in_memory and options.path is None:
        raise Failure("which database? Give its PATH, or --in-memory to keep nothing", 2)
    if options.key is not None and options.certificate is None:
        raise Failure("--key goes with --certificate: give both, or one file with both as --certificate", 2)
    if options.path is not None:
        _check_path(Path(options.path))


def _check_path(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise Failure(f"{path}: not a database (a file); a database is a directory, and is created where there is none")
    if not path.absolute().parent.is_dir():
        raise Failure(f"{path}: there is no directory {path.absolute().parent} to create a database in; make it first")


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    for path in (options.certificate, options.key):
        if path is not None and not os.access(path, os.R_OK):
            raise Failure(f"{path}: cannot be read")
    try:
        context.load_cert_chain(options.certificate, options.key, lambda: _refuse_encrypted(options))
    except ssl.SSLError as error:
        raise Failure(
            f"{options.certificate}: no certificate with its private key, both in PEM ({error.reason or error})"
        ) from None
    return context


def _refuse_encrypted(options: argparse.Namespace) -> bytes:
    """In the place of a question on the terminal, which a server started by another program could never answer."""
    path = options.key or options.certificate
    raise Failure(f"{path}: the key is encrypted; `openssl pkey -in {path} -out FILE` writes one that is not")


def _warn(text: str) -> None:
    print(f"lsm: warning: {text}", file=sys.stderr, flush=True)


def _warn_if_open(options: argparse.Namespace) -> None:
    if options.credentials is not None or _is_loopback(options.host):
        return
    _warn(
        f"ANYBODY WHO REACHES {options.host} CAN READ AND CHANGE EVERY TABLE: no signature is verified. "
        "Use --credentials FILE, or listen on 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress

    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _in_words(error: OSError, options: argparse.Namespace) -> str:
    if isinstance(error, Error):
        return one_line(error)
    if error.filename is not None and error.filename == options.access_log:
        return f"{one_line(error)}: the access log cannot be opened"
    place = f"port {options.port} on {options.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is in use: stop what listens there, or choose another with --port (0 takes a free one)"
    if error.errno in (errno.EACCES, errno.EPERM) and options.port < 1024:
        return f"{place} is for the superuser: choose one from 1024 on with --port"
    if error.errno == errno.EADDRNOTAVAIL or error.errno is None or isinstance(error, socket.gaierror):
        return f"{options.host} is no address of this machine: choose another with --host"
    return one_line(error)


# ---- what options are


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return int(text)


def _account(text: str) -> str:
    if len(text) != 12 or not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text} is no account: 12 digits")
    return text


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        number = float(text)
        if 0 < number < 1e9:
            return number
    raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")


def _microseconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        number = float(text)
        if 0 <= number <= 1e6:
            return number
    raise argparse.ArgumentTypeError(f"{text} is no number of microseconds, 0 to 1,000,000")


STANDARD = Limits()
LIMITS: tuple[tuple[str, str, float, Any, str], ...] = (
    ("--max-connections", "connections", 1, positive, "default: {}"),
    ("--max-body-mb", "body_bytes", _MIB, positive, "of one request (default: {}, as DynamoDB)"),
    ("--bodies-mb", "bodies_bytes", _MIB, positive, "of all long bodies being received (default: {})"),
    ("--unsent-mb", "unsent_bytes", _MIB, positive, "of all answers not read yet (default: {})"),
    ("--request-seconds", "request_seconds", 1, _seconds, "for a request to arrive (default: {})"),
    ("--idle-seconds", "idle_seconds", 1, _seconds, "of silence between requests (default: {})"),
    ("--stop-seconds", "stop_seconds", 1, _seconds, "for requests under way at a stop (default: {})"),
    ("--threads", "threads", 1, positive, "for long and waiting requests (default: {})"),
    ("--awake-us", "awake_seconds", 1e-6, _microseconds, "of polling before the loop sleeps; 0: none (default: {})"),
)
"""Option, member of Limits, what it counts in, its type, and its help."""
