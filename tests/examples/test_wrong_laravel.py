"""A Laravel that is set up wrongly in one way: the script's hint, and the line in the server's log."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.laravel_application import TOKENS, LaravelApplication
from tests.examples.programs import APP, pusher_environment, run_script
from tests.examples.script_output import failed_step, hints_of
from tests.support.serving import RunningServer, free_port
from tests.support.waiting import block_until

AUTHENTICATE = "WebSocket: authenticate"
#: The server writes one line a minute for each app and reason, so these have apps of their own.
WRONG_SECRET = {**APP, "id": "100", "key": "key-of-the-wrong-secret"}
STALE_WORKER = {**APP, "id": "101", "key": "key-of-the-stale-worker"}


@pytest.fixture(scope="module")
def operations_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(directory: Path, operations_port: int) -> Iterator[RunningServer]:
    """The server, with metrics."""
    settings = {
        "apps": [APP, WRONG_SECRET, STALE_WORKER],
        "operations": {"enabled": True, "port": operations_port},
    }
    with RunningServer(directory, settings) as running:
        yield running


def environment_of(app: dict[str, str], server: RunningServer) -> dict[str, str]:
    return pusher_environment(server.port, PUSHER_APP_ID=app["id"], PUSHER_APP_KEY=app["key"])


def refusal(app: dict[str, str], subject: str) -> re.Pattern[str]:
    """The server's line about a wrong secret."""
    reason = "the signature does not match: .*PUSHER_APP_SECRET.*"
    return re.compile(rf"WARNING .*: {subject} refused: {reason} app={app['id']} ")


@pytest.fixture(scope="module")
def wrong_application(
    laravel: Path, directory: Path, server: RunningServer
) -> Iterator[LaravelApplication]:
    """An application whose `.env` each test writes anew."""
    with LaravelApplication(laravel, directory, pusher_environment(server.port)) as running:
        yield running


@pytest.mark.parametrize(
    ("line", "step", "hint"),
    [
        ("BROADCAST_CONNECTION=log", AUTHENTICATE, "BROADCAST_CONNECTION .*must be pusher"),
        ("BROADCAST_CONNECTION=null", AUTHENTICATE, "BROADCAST_CONNECTION .*must be pusher"),
        ("BROADCAST_CONNECTION=", "API: log in", "look into its log .*laravel.log"),
        ("PUSHER_APP_KEY=other", AUTHENTICATE, "PUSHER_APP_KEY must be the same"),
    ],
)
def test_a_wrong_line_is_named(
    line: str, step: str, hint: str, server: RunningServer, wrong_application: LaravelApplication
) -> None:
    """A wrong line in `.env` that the script notices before there is a comment."""
    environment = pusher_environment(server.port)
    name, value = line.split("=")
    right = {"BROADCAST_CONNECTION": "pusher", **environment}
    wrong_application.set_environment(**{**right, name: value})
    result = run_script(wrong_application, **TOKENS, **environment)
    assert failed_step(result.stdout) == step
    assert re.search(hint, hints_of(result.stdout)[1]), result.stdout


def test_a_cached_configuration_is_named(
    server: RunningServer, wrong_application: LaravelApplication
) -> None:
    """`.env` is right, but `config:cache` has kept another key; after `config:clear` all steps hold."""
    environment = {"BROADCAST_CONNECTION": "pusher", **pusher_environment(server.port)}
    wrong_application.set_environment(**{**environment, "PUSHER_APP_KEY": "of-before"})
    wrong_application.artisan("config:cache")
    wrong_application.set_environment(**environment)
    result = run_script(wrong_application, **TOKENS, **pusher_environment(server.port))
    assert failed_step(result.stdout) == AUTHENTICATE
    assert "php artisan config:clear" in hints_of(result.stdout)[2]
    wrong_application.artisan("config:clear")
    result = run_script(wrong_application, **TOKENS, **pusher_environment(server.port))
    assert result.returncode == 0, result.stdout + wrong_application.log


def test_a_wrong_secret_is_named_on_both_sides(
    laravel: Path, directory: Path, server: RunningServer
) -> None:
    """The script names the setting; the server has a line for the subscription and one for the publication."""
    environment = {**environment_of(WRONG_SECRET, server), "PUSHER_APP_SECRET": "of-another-app"}
    with LaravelApplication(laravel, directory, environment) as application:
        result = run_script(application, **TOKENS, **{**environment, "PUSHER_APP_SECRET": ""})
        assert failed_step(result.stdout) == "WebSocket: join the session"
        assert "PUSHER_APP_SECRET" in hints_of(result.stdout)[1]
        application.write_comment("nobody gets it")
        publication = refusal(WRONG_SECRET, "request")
        block_until(lambda: publication.search(server.log), show=lambda: server.log)
    assert refusal(WRONG_SECRET, "subscription").search(server.log), server.log
    assert "of-another-app" not in server.log


def test_a_stale_worker_is_named_and_restarted(
    laravel: Path, directory: Path, server: RunningServer, operations_port: int
) -> None:
    """`.env` is right, but the worker still has the old secret; after `queue:restart` all steps hold.

    `queue:retry all` publishes the jobs that had failed for good.
    """
    environment = environment_of(STALE_WORKER, server)
    old = {**environment, "PUSHER_APP_SECRET": "of-before-the-last-deployment"}
    script = {"METRICS_URL": f"http://127.0.0.1:{operations_port}/metrics", "EVENT_TIMEOUT": "3"}
    with LaravelApplication(laravel, directory, old) as application:
        application.write_comment("by which the worker has read its settings")
        application.wait_for_jobs(waiting=0, failed=1)
        application.set_environment(**environment)
        result = run_script(application, **TOKENS, **script, **environment)
        assert failed_step(result.stdout) == "Event: comment.created", result.stdout
        assert "PUSHER_APP_SECRET of the worker" in hints_of(result.stdout)[1], result.stdout
        assert refusal(STALE_WORKER, "request").search(server.log), server.log
        application.artisan("queue:restart")
        assert application.wait_for_worker_end() == 0
        application.start_worker()
        result = run_script(application, **TOKENS, **environment)
        assert result.returncode == 0, result.stdout + application.log
        refused = application.log.count("ERROR: Pusher error")
        application.artisan("queue:retry", "all")
        application.wait_for_jobs(waiting=0, failed=0)
        assert application.log.count("ERROR: Pusher error") == refused


def test_a_worker_without_options_is_late(
    laravel: Path, directory: Path, server: RunningServer
) -> None:
    """It looks for jobs every 3 seconds; the script names the option."""
    environment = pusher_environment(server.port)
    with LaravelApplication(laravel, directory, environment, ["queue:work"]) as application:
        result = run_script(application, **TOKENS, **environment)
    assert result.returncode == 0, result.stdout + application.log
    late = re.findall(r"! Event: comment.* after (\d+) ms.*: late", result.stdout)
    assert any(int(milliseconds) >= 2_000 for milliseconds in late), result.stdout
    assert "queue:work --sleep=0.1" in hints_of(result.stdout)[1]
