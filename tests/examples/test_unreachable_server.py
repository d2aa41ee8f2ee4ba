"""The validation script when the WebSocket server cannot be reached: it looks itself, and says why."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.examples.programs import (
    APP,
    EXAMPLE,
    NODE_MODULES,
    RunningBackend,
    clean_environment,
    program,
    pusher_environment,
    run_script,
)
from tests.examples.script_output import first_hint
from tests.support.processes import TlsServer, tls_settings, write_certificate
from tests.support.serving import RunningServer, free_port

TIMEOUT = "3"
DEADLINE = 30.0


@pytest.fixture(scope="module")
def backend(directory: Path, server: RunningServer) -> Iterator[RunningBackend]:
    """One for all tests: none of them gets as far as a comment."""
    with RunningBackend(directory, pusher_environment(server.port)) as running:
        yield running


def hint_for(backend: RunningBackend, **script: str) -> str:
    result = run_script(backend, **{"TIMEOUT": TIMEOUT, **pusher_environment(1), **script})
    assert result.returncode == 1
    return first_hint(result.stdout)


def test_nothing_listens(backend: RunningBackend) -> None:
    assert "does the server run?" in hint_for(backend, PUSHER_PORT=str(free_port()))


def test_a_name_that_nobody_knows(backend: RunningBackend) -> None:
    assert "this name is unknown" in hint_for(backend, PUSHER_HOST="nowhere.invalid")


def test_a_port_that_never_answers(backend: RunningBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hint = hint_for(backend, PUSHER_PORT=str(silent.getsockname()[1]))
    assert "does not answer" in hint


def test_https_on_a_plain_port(server: RunningServer, backend: RunningBackend) -> None:
    hint = hint_for(backend, PUSHER_PORT=str(server.port), PUSHER_SCHEME="https")
    assert "this port speaks plain HTTP" in hint


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose certificate no program trusts."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder)
    settings = {"apps": [APP], "server": {"tls": tls_settings(folder)}}
    with TlsServer(folder, settings) as server:
        yield server


def test_http_on_a_port_of_tls(tls_server: RunningServer, backend: RunningBackend) -> None:
    hint = hint_for(backend, PUSHER_PORT=str(tls_server.port))
    assert "PUSHER_SCHEME=https?" in hint


def test_a_certificate_of_nobody(tls_server: RunningServer, backend: RunningBackend) -> None:
    hint = hint_for(backend, PUSHER_PORT=str(tls_server.port), PUSHER_SCHEME="https")
    assert "certificate of the server is not accepted" in hint


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("http://127.0.0.1:{nothing}", "Does the backend run?"),
        ("http://nowhere.invalid", "this host name is unknown"),
        ("https://127.0.0.1:{plain}", "this port speaks plain HTTP"),
        ("http://127.0.0.1:{tls}", "https"),
        ("https://127.0.0.1:{tls}", "NODE_EXTRA_CA_CERTS"),
    ],
)
def test_a_backend_that_cannot_be_reached(
    address: str, hint: str, tls_server: RunningServer, backend: RunningBackend
) -> None:
    """The API's address is at fault: a certificate or a scheme is not taken for a backend that is away."""
    ports = {"nothing": free_port(), "plain": backend.port, "tls": tls_server.port}
    result = run_script(backend, API_URL=address.format(**ports), TIMEOUT=TIMEOUT)
    assert hint in first_hint(result.stdout, "API: log in"), result.stdout


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, "does it pass the upgrade on"),
        (426, "does it pass the upgrade on"),
        (502, "does the server behind it run"),
        (301, "PUSHER_SCHEME=https"),
    ],
)
def test_a_proxy_that_answers_itself(status: int, hint: str, backend: RunningBackend) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            del arguments

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        assert hint in hint_for(backend, PUSHER_PORT=str(proxy.server_address[1]))
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


def test_below_a_path(tmp_path: Path, directory: Path) -> None:
    """PUSHER_PATH leads to a server that is served below a path, as behind a proxy."""
    settings = {"apps": [APP], "server": {"path_prefix": "/ws"}}
    with RunningServer(tmp_path, settings) as server:
        environment = pusher_environment(server.port)
        with RunningBackend(directory, environment) as backend:
            result = run_script(backend, PUSHER_PATH="/ws/", **environment)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("arguments", "logged", "step"),
    [
        (("--without-worker",), "comment.created waits in the queue", "Event: comment.created"),
        ((), "comment.deleted on", "No duplicates"),
    ],
)
def test_a_server_that_stops_during_the_test(
    arguments: tuple[str, ...], logged: str, step: str, tmp_path: Path, directory: Path
) -> None:
    """What is missing is missing because the connection has ended: no worker is blamed, and no ✓ given."""
    with RunningServer(tmp_path, {"apps": [APP]}) as server:
        environment = pusher_environment(server.port)
        with RunningBackend(directory, environment, arguments) as backend:
            script = subprocess.Popen(
                [
                    program("node", "nodejs"),
                    str(EXAMPLE / "scripts" / "test-websocket-comments.js"),
                ],
                stdout=subprocess.PIPE,
                text=True,
                env=clean_environment(
                    NODE_PATH=str(NODE_MODULES),
                    API_URL=backend.url,
                    EVENT_TIMEOUT="4",
                    QUIET="4",
                    **environment,
                ),
            )
            backend.wait_for_log(logged)
            os.kill(server.pid, signal.SIGKILL)
            output, _ = script.communicate(timeout=DEADLINE)
    assert "connection was lost" in first_hint(output, step)
