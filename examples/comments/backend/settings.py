"""Settings of the stand-in backend: the names that Laravel's `.env` has, and a few options."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults import Faults, add_fault_options, read_faults

EXAMPLE = Path(__file__).resolve().parent.parent
#: Where stock pusher-js and laravel-echo may be installed, the first that exists is served.
LIBRARY_FOLDERS = (
    EXAMPLE / "node_modules",
    EXAMPLE.parent.parent / "tests" / "js" / "node_modules",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where to listen, where to publish, and where browsers find the WebSocket server."""

    host: str
    port: int
    database: str
    libraries: Path
    worker: bool
    #: Seconds that the worker waits before it looks into an empty queue again.
    worker_sleep: float
    seed: bool
    app_id: str
    key: str
    secret: str
    #: `options.encryption_master_key_base64`; without it no event goes to an encrypted channel.
    encryption_key: str
    pusher_host: str
    pusher_port: int
    pusher_scheme: str
    #: Empty: the page takes the name under which it was opened, so that phones work too.
    websocket_host: str
    websocket_port: int
    websocket_scheme: str
    #: Origin of a page elsewhere that may call the API; empty: only our own page may.
    cors_origin: str
    faults: Faults


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the command line, with the environment as its defaults. Exits 2 on a bad option."""
    options = _parser(environ).parse_args(arguments)
    if "cached-config" in options.fault:
        options = _parser({}).parse_args(arguments)
    return Settings(
        host=options.host,
        port=options.port,
        database=options.database,
        libraries=options.libraries or _installed_libraries(),
        worker=not options.without_worker,
        worker_sleep=options.worker_sleep,
        seed=not options.empty,
        app_id=options.app_id,
        key=options.key,
        secret=options.secret,
        encryption_key=options.encryption_key,
        pusher_host=options.pusher_host,
        pusher_port=options.pusher_port,
        pusher_scheme=options.pusher_scheme,
        websocket_host=options.websocket_host,
        websocket_port=options.websocket_port or options.pusher_port,
        websocket_scheme=options.websocket_scheme or options.pusher_scheme,
        cors_origin=options.cors_origin,
        faults=read_faults(options),
    )


def _installed_libraries() -> Path:
    for folder in LIBRARY_FOLDERS:
        if (folder / "laravel-echo").is_dir():
            return folder
    return LIBRARY_FOLDERS[0]


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python examples/comments/backend",
        description="A stand-in for the Laravel API of the comments example.",
        epilog="PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET, PUSHER_HOST, PUSHER_PORT and "
        "PUSHER_SCHEME are read from the environment, as Laravel reads them from .env.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="listen here (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    parser.add_argument(
        "--database", default=":memory:", metavar="FILE", help="SQLite file (default: in memory)"
    )
    parser.add_argument("--empty", action="store_true", help="start without example comments")
    parser.add_argument(
        "--without-worker",
        action="store_true",
        help="queue broadcasts but run no worker: shows what a forgotten queue:work looks like",
    )
    parser.add_argument(
        "--worker-sleep",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="look into an empty queue this often, as queue:work --sleep does; 0: at once",
    )
    parser.add_argument(
        "--cors-origin",
        default="",
        metavar="ORIGIN",
        help="let pages of this origin call the API, such as https://app.example.com",
    )
    parser.add_argument(
        "--libraries",
        type=Path,
        metavar="FOLDER",
        help="the node_modules that holds pusher-js and laravel-echo",
    )
    _add_pusher_options(parser, environ)
    add_fault_options(parser)
    return parser


def _add_pusher_options(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    group = parser.add_argument_group("Pusher server")
    for option, name, default in (
        ("--app-id", "PUSHER_APP_ID", "1"),
        ("--key", "PUSHER_APP_KEY", "app-key"),
        ("--secret", "PUSHER_APP_SECRET", "app-secret"),
        ("--encryption-key", "PUSHER_ENCRYPTION_KEY", ""),
        ("--pusher-host", "PUSHER_HOST", "127.0.0.1"),
        ("--pusher-port", "PUSHER_PORT", "6001"),
        ("--pusher-scheme", "PUSHER_SCHEME", "http"),
        ("--websocket-host", "WEBSOCKET_HOST", ""),
        ("--websocket-port", "WEBSOCKET_PORT", "0"),
        ("--websocket-scheme", "WEBSOCKET_SCHEME", ""),
    ):
        group.add_argument(
            option,
            type=int if option.endswith("-port") else str,
            default=environ.get(name, default),
            metavar=name,
            help=f"default: ${name}" + (f" or {default}" if default not in ("", "0") else ""),
        )
