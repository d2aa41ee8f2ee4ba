"""The validation script against each row of `wrong_backends.py`, and against slow or closed ones."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.examples.programs import APP, RunningBackend, pusher_environment, run_script
from tests.examples.script_output import failed_step, hints_of
from tests.examples.wrong_backends import CREATED, WRONG
from tests.support.serving import RunningServer, free_port

#: Seconds to wait for an event that never comes, and for anything else.
WAITING = {"EVENT_TIMEOUT": "4", "TIMEOUT": "30"}
#: Rows that run at the same time: most of their time is waiting.
AT_ONCE = 4

#: May publish once a second.
SLOW_APP = {**APP, "id": "8", "key": "slow-key", "limits": {"backend_events_per_second": 1}}


@pytest.fixture(scope="module")
def operations_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(directory: Path, operations_port: int) -> Iterator[RunningServer]:
    """The server, with metrics and an app of its own for each row: rows do not see each other."""
    apps = [APP, SLOW_APP, *(app_of(name) for name in WRONG)]
    settings = {"apps": apps, "operations": {"enabled": True, "port": operations_port}}
    with RunningServer(directory, settings) as running:
        yield running


def app_of(name: str) -> dict[str, str]:
    number = list(WRONG).index(name)
    return {**APP, "id": str(100 + number), "key": f"key-{number}"}


def try_backend(name: str, directory: Path, server: RunningServer) -> CompletedProcess[str]:
    wrong, app = WRONG[name], app_of(name)
    environment = pusher_environment(
        server.port, PUSHER_APP_ID=app["id"], PUSHER_APP_KEY=app["key"]
    )
    with RunningBackend(
        directory, {**environment, **wrong.environment}, wrong.arguments
    ) as backend:
        given = {**environment, "PUSHER_APP_SECRET": "", **WAITING}
        return run_script(backend, **{**given, **wrong.script})


class Runs:
    """Runs of the script for rows of `WRONG`: the next ones begin while the test of one waits.

    Only the next ones, because other processes of pytest-xdist have the same session and other tests of it.
    """

    def __init__(
        self, names: Sequence[str], pool: Executor, run: Callable[[str], CompletedProcess[str]]
    ) -> None:
        self._names = names
        self._pool = pool
        self._run = run
        self._begun: dict[str, Future[CompletedProcess[str]]] = {}

    def result(self, name: str) -> CompletedProcess[str]:
        """Wait for the run of a row."""
        first = self._names.index(name)
        for coming in self._names[first : first + AT_ONCE]:
            if coming not in self._begun:
                self._begun[coming] = self._pool.submit(self._run, coming)
        return self._begun[name].result()


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, directory: Path, server: RunningServer) -> Iterator[Runs]:
    """The script's runs for the rows of `WRONG` that were selected."""
    selected = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    names = [name for name in WRONG if name in selected]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield Runs(names, pool, lambda name: try_backend(name, directory, server))
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", WRONG, ids=str)
def test_a_wrong_backend_is_named(name: str, runs: Runs) -> None:
    """The step fails that shows the mistake, and the hint says what to change."""
    wrong, result = WRONG[name], runs.result(name)
    assert result.returncode == 1, result.stdout + result.stderr
    assert failed_step(result.stdout) == wrong.step, result.stdout
    hints = hints_of(result.stdout)
    assert re.search(wrong.hint, hints.get(wrong.place, "")), result.stdout
    assert result.stderr == ""


#: With the server's metrics the script knows what reached the server: the first hint is the cause.
MEASURED = {
    "no worker": (
        "Nothing has reached the server at METRICS_URL. Is a queue worker",
        ("--without-worker",),
        {},
    ),
    "wrong port": ("Nothing has reached the server", (), {"PUSHER_PORT": "9"}),
    "stale worker": ("PUSHER_APP_SECRET of the worker", ("--fault", "stale-worker"), {}),
    "wrong id": ("PUSHER_APP_ID", (), {"PUSHER_APP_ID": "9999"}),
    "wrong scheme": ("PUSHER_SCHEME=https of the worker", (), {"PUSHER_SCHEME": "https"}),
    "a channel that nobody may join": (
        "accepted an event meanwhile",
        ("--channel", "private-nobody.{session}"),
        {},
    ),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_metrics_tell_what_reached_the_server(
    name: str, directory: Path, server: RunningServer, operations_port: int
) -> None:
    hint, arguments, changes = MEASURED[name]
    environment = pusher_environment(server.port)
    with RunningBackend(directory, {**environment, **changes}, arguments) as backend:
        url = f"http://127.0.0.1:{operations_port}/metrics"
        waiting = {**WAITING, "EVENT_TIMEOUT": "2"}  # nothing may come, so load does no harm
        result = run_script(backend, METRICS_URL=url, **waiting, **environment)
    assert failed_step(result.stdout) == CREATED, result.stdout
    assert hint in hints_of(result.stdout)[1], result.stdout


def test_a_refused_event_is_no_forgotten_one(
    directory: Path, server: RunningServer, operations_port: int
) -> None:
    """comment.created has come, the app's rate refuses the next one: the dispatch is not to blame."""
    environment = pusher_environment(server.port, PUSHER_APP_ID="8", PUSHER_APP_KEY="slow-key")
    with RunningBackend(directory, environment) as backend:
        url = f"http://127.0.0.1:{operations_port}/metrics"
        result = run_script(backend, METRICS_URL=url, **WAITING, **environment)
    assert failed_step(result.stdout) == "Event: comment.updated", result.stdout
    assert "limits.backend_events_per_second" in hints_of(result.stdout)[1], result.stdout


def test_metrics_that_cannot_be_read_are_named(
    server: RunningServer, backend: RunningBackend
) -> None:
    result = run_script(
        backend, METRICS_URL=f"{server.url}/nothing", **pusher_environment(server.port)
    )
    assert failed_step(result.stdout) == "API: create a comment"
    assert "operations port" in hints_of(result.stdout)[1]


def test_a_worker_that_polls_is_late(directory: Path, server: RunningServer) -> None:
    """All holds, but over a second late: the queue's settings are named, once."""
    environment = pusher_environment(server.port)
    with RunningBackend(directory, environment, ("--worker-sleep", "4")) as backend:
        result = run_script(backend, TIMEOUT="30", **environment)
    assert result.returncode == 0, result.stdout
    assert re.search(r"! Event: comment\.\w+ .* after \d{4} ms.*: late", result.stdout)
    assert "queue:work --sleep=0.1" in hints_of(result.stdout)[1]
    assert "block_for" in hints_of(result.stdout)[2]
    assert result.stdout.count("check 1.") == 1
    assert "events take longer than 1 s" in result.stdout


def test_a_worker_that_polls_too_seldom_is_late_and_not_missing(
    directory: Path, server: RunningServer
) -> None:
    """An event that comes after the time-out is called late: neither worker nor dispatch is blamed."""
    environment = pusher_environment(server.port)
    with RunningBackend(directory, environment, ("--worker-sleep", "7")) as backend:
        result = run_script(backend, **WAITING, **environment)
    assert failed_step(result.stdout) in (CREATED, "Event: comment.updated"), result.stdout
    assert "did come, but after more than 4 s" in hints_of(result.stdout)[1]
    assert "queue:work --sleep=0.1" in hints_of(result.stdout)[2]


def test_a_page_elsewhere_is_let_in(directory: Path, server: RunningServer) -> None:
    """With CORS in order there is one more ✓."""
    environment = pusher_environment(server.port)
    origin = "https://app.test"
    with RunningBackend(directory, environment, ("--cors-origin", origin)) as backend:
        result = run_script(backend, TIMEOUT="30", ORIGIN=origin, **environment)
    assert result.returncode == 0, result.stdout
    assert "✓ API: CORS" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (("--channel", "session.{session}"), CREATED),
        (("--omit", "comment.updated"), "Event: comment.updated"),
        (("--refuse", "500", "PUT", "/api/"), "Event: comment.updated"),
    ],
)
def test_the_test_comment_is_deleted_also_after_a_failure(
    arguments: tuple[str, ...], step: str, directory: Path, server: RunningServer
) -> None:
    environment = pusher_environment(server.port)
    with RunningBackend(directory, environment, arguments) as backend:
        result = run_script(backend, **WAITING, **environment)
        assert failed_step(result.stdout) == step
        backend.wait_for_log("comment.deleted on")
