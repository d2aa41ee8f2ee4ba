"""The validation script when the server refuses the connection: the code says which setting to change."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.examples.programs import APP, RunningBackend, pusher_environment, run_script
from tests.examples.script_output import first_hint
from tests.support.serving import RunningServer

#: What is wrong -> the app's settings, what differs in the script's environment, and the hint.
REFUSALS: Mapping[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "full": ({"limits": {"connections": 1}}, {}, "limits.connections"),
    "full, strict": ({"limits": {"connections": 1}, "strict": True}, {}, "limits.connections"),
    "TLS only": ({"tls_only": True}, {}, "PUSHER_SCHEME=https"),
    "disabled": ({"enabled": False}, {}, "disabled"),
    "another origin": ({"allowed_origins": ["app.test"]}, {}, "allowed_origins"),
    "another path": ({}, {"PUSHER_PATH": "/ws"}, "PUSHER_PATH"),
    "another key": ({}, {"PUSHER_APP_KEY": "nobody"}, "PUSHER_APP_KEY"),
}


#: Its second member is refused.
SMALL: dict[str, Any] = {**APP, "id": "99", "key": "small-key", "limits": {"presence_members": 1}}


def app_of(name: str) -> dict[str, Any]:
    number = list(REFUSALS).index(name)
    return {**APP, **REFUSALS[name][0], "id": str(100 + number), "key": f"key-{number}"}


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[RunningServer]:
    """The server, with an app for each refusal."""
    with RunningServer(directory, {"apps": [SMALL, *map(app_of, REFUSALS)]}) as running:
        yield running


@pytest.fixture(scope="module")
def backend(directory: Path, server: RunningServer) -> Iterator[RunningBackend]:
    """One for all tests: none of them gets as far as a comment."""
    with RunningBackend(directory, pusher_environment(server.port)) as running:
        yield running


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_connection_is_explained(
    name: str, server: RunningServer, backend: RunningBackend
) -> None:
    app, (_, changes, hint) = app_of(name), REFUSALS[name]
    environment = pusher_environment(
        server.port, PUSHER_APP_ID=app["id"], PUSHER_APP_KEY=app["key"]
    )
    result = run_script(backend, **{**environment, "TIMEOUT": "3", **changes})
    assert result.returncode == 1
    assert hint in first_hint(result.stdout), result.stdout
    assert "connection refused" in result.stdout


def test_a_limit_is_no_wrong_secret(directory: Path, server: RunningServer) -> None:
    """A subscription that a limit refuses: the secret is not to blame."""
    environment = pusher_environment(
        server.port, PUSHER_APP_ID=SMALL["id"], PUSHER_APP_KEY=SMALL["key"]
    )
    with RunningBackend(directory, environment) as backend:
        result = run_script(backend, **environment)
    assert "A limit of the app" in first_hint(result.stdout, "WebSocket: presence"), result.stdout
