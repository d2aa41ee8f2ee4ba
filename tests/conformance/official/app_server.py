"""The customer's application server, as small as it gets, authorising with the PyPI library.

It also serves the test page and pusher-js, so that page and auth endpoint share an origin. The user
is whoever the header `X-User` names (this is a test, not an example to follow).
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pusher  # type: ignore[import-untyped]  # it ships no types

from tests.conformance.target import Target

JS = Path(__file__).parents[2] / "js"
#: 32 bytes in base64, the one of the golden vectors.
MASTER_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
CONTENT_TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8"}


def server_library(target: Target, **options: Any) -> pusher.Pusher:
    """The official Python library, pointed at the target's main app."""
    return pusher.Pusher(
        app_id=target.main.app_id,
        key=target.main.key,
        secret=target.main.secret,
        host=target.host,
        port=target.port,
        ssl=target.scheme == "https",
        encryption_master_key_base64=MASTER_KEY,
        **options,
    )


def authorize(library: pusher.Pusher, path: str, form: dict[str, str], user: str) -> Any:
    """What /pusher/auth and /pusher/user-auth answer; None refuses."""
    if path.endswith("/user-auth"):
        watched = {"watchlist": ["alice", "bob"]} if user == "watcher" else {}
        data = {"id": user, "user_info": {"name": user.title()}, **watched}
        return library.authenticate_user(form["socket_id"], data)
    channel = form["channel_name"]
    if "forbidden" in channel:
        return None
    member = None
    if channel.startswith("presence-"):
        member = {"user_id": user, "user_info": {"id": user, "name": user.title()}}
    return library.authenticate(channel, form["socket_id"], member)


def _request_class(library: pusher.Pusher) -> type[BaseHTTPRequestHandler]:
    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = JS / self.path.lstrip("/").partition("?")[0]
            if path.suffix not in CONTENT_TYPES or not path.is_file():
                self.answer(404, "text/plain", b"not here")
            else:
                self.answer(200, CONTENT_TYPES[path.suffix], path.read_bytes())

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            answer = authorize(library, self.path, form, self.headers.get("X-User", "nobody"))
            if answer is None:
                self.answer(403, "application/json", b"{}")
            else:
                # The library gives the shared secret of an encrypted channel as bytes.
                body = json.dumps(answer, default=bytes.decode)
                self.answer(200, "application/json", body.encode())

        def log_message(self, *_: object) -> None:
            """The test's own output is enough."""

    return Request


class _Listener(ThreadingHTTPServer):
    def handle_error(self, *which: Any) -> None:
        """A client whose process ended may reset its connection: that is no error of the test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*which)


class AppServer:
    """Where the application server listens."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"


@contextmanager
def running_app_server(target: Target) -> Iterator[AppServer]:
    """An application server in a thread of its own, for one target."""
    with _Listener(("127.0.0.1", 0), _request_class(server_library(target))) as server:
        serve: Callable[[float], None] = server.serve_forever
        # It looks so often, in seconds, whether it is to end; by default every test would wait half a second.
        thread = Thread(target=serve, args=(0.02,), name="app server", daemon=True)
        thread.start()
        try:
            yield AppServer(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
