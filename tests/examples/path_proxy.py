"""A proxy that has the server below a path, as nginx in front of a site has it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx


class PathProxy:
    """Passes requests below `below` on without it, or with `added` in its place; the rest is 404.

    Each answer ends its connection, so that no request waits for another one.
    """

    def __init__(self, origin: str, below: str, added: str = "") -> None:
        class Passing(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                """Write nothing to the tests' output."""

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if not self.path.startswith(f"{below}/"):
                    self.send_error(404)
                    return
                answer = httpx.request(
                    self.command,
                    f"{origin}{added}{self.path.removeprefix(below)}",
                    content=body,
                    headers={"Content-Type": "application/json"},
                    trust_env=False,
                )
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = _pass_on  # noqa: N815 - the name that http.server calls
            do_POST = _pass_on  # noqa: N815 - the name that http.server calls

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
