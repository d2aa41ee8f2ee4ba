"""The validation script against wrong backends: each row is one mistake, the step that shows it and the hint.

A row's hint is the first one, "check 1", unless the mistake looks like a more frequent one from
outside: then its place is given.
"""

import base64
import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.examples.programs import APP, RunningBackend, pusher_environment, run_script
from tests.examples.script_output import failed_step, hints_of
from tests.support.serving import RunningServer, free_port

#: Seconds to wait for an event that never comes, and for anything else.
WAITING = {"EVENT_TIMEOUT": "4", "TIMEOUT": "30"}
#: Rows that run at the same time: most of their time is waiting.
AT_ONCE = 4
CREATED = "Event: comment.created"
AUTHENTICATE = "WebSocket: authenticate"


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """One wrong backend, and what the script must say about it."""

    step: str
    hint: str
    place: int = 1
    #: Of the stand-in: its arguments, and what differs in its environment.
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    #: What differs in the script's environment.
    script: Mapping[str, str] = field(default_factory=dict)


def fault(name: str, step: str, hint: str, place: int = 1, **script: str) -> Wrong:
    return Wrong(step=step, hint=hint, place=place, arguments=("--fault", name), script=script)


def channel(template: str, hint: str, **script: str) -> Wrong:
    return Wrong(step=CREATED, hint=hint, arguments=("--channel", template), script=script)


def refuse(status: int, method: str, path: str, step: str, hint: str) -> Wrong:
    return Wrong(step=step, hint=hint, arguments=("--refuse", str(status), method, path))


def published(hint: str, place: int = 1, *arguments: str, **environment: str) -> Wrong:
    """No event, and nothing from outside says why."""
    return Wrong(step=CREATED, hint=hint, place=place, arguments=arguments, environment=environment)


#: With it the script sees private channels that the backend refuses.
SECRET = {"PUSHER_APP_SECRET": APP["secret"]}
SERVER_ERROR = "look into its log"
NO_CLASS = r"must return new PrivateChannel\('session.1'\)"
WRONG = {
    # The worker and its settings
    "no worker": published("Is a queue worker running", 1, "--without-worker"),
    "stale worker": published("queue:restart", 2, "--fault", "stale-worker"),
    "wrong id": published("PUSHER_APP_ID", 3, PUSHER_APP_ID="9999"),
    "wrong port": published("PUSHER_PORT", 3, PUSHER_PORT="9"),
    "wrong scheme": published("PUSHER_SCHEME", 3, PUSHER_SCHEME="https"),
    "log only in the worker": published("BROADCAST_CONNECTION", 4, "--fault", "silent-worker"),
    "not dispatched at all": published(
        r"broadcast\(new CommentCreated", 5,
        *("--omit", "comment.created", "--omit", "comment.updated", "--omit", "comment.deleted"),
    ),
    # Other settings
    "wrong secret": Wrong(
        step="WebSocket: join the session", hint="PUSHER_APP_SECRET",
        environment={"PUSHER_APP_SECRET": "of-another-app"},
    ),
    "wrong secret, and the script has the right one": Wrong(
        step="WebSocket: join the session", hint="PUSHER_APP_SECRET: the backend signs with another",
        environment={"PUSHER_APP_SECRET": "of-another-app"}, script=SECRET,
    ),
    "the server's secret is another": Wrong(
        step="WebSocket: join the session", hint="PUSHER_APP_SECRET: .* the server has another",
        environment={"PUSHER_APP_SECRET": "rotated"}, script={"PUSHER_APP_SECRET": "rotated"},
    ),
    "wrong key": Wrong(
        step=AUTHENTICATE, hint="PUSHER_APP_KEY must be the same",
        environment={"PUSHER_APP_KEY": "other"},
    ),
    "log, null or no connection": fault(
        "silent-connection", AUTHENTICATE, "BROADCAST_CONNECTION .*must be pusher"
    ),
    "cached config": fault("cached-config", AUTHENTICATE, "php artisan config:clear", 2),
    # The event class
    "no broadcastAs": fault("no-broadcast-as", CREATED, r"broadcastAs\(\).*'comment.created'"),
    "broadcastAs with Echo's dot": fault("dotted-broadcast-as", CREATED, "leading dot"),
    "no toOthers": fault("no-to-others", "No duplicates", r"toOthers\(\)"),
    "no InteractsWithSockets": fault("no-to-others", "No duplicates", "InteractsWithSockets", 2),
    "dispatched twice": fault("dispatched-twice", "No duplicates", "observer"),
    "created is not dispatched": Wrong(
        step=CREATED, arguments=("--omit", "comment.created"),
        hint=r"comment.deleted does arrive.*broadcast\(new CommentCreated",
    ),
    "updated is not dispatched": Wrong(
        step="Event: comment.updated", arguments=("--omit", "comment.updated"),
        hint=r"comment.created does arrive.*broadcast\(new CommentUpdated",
    ),
    "deleted fails in the worker": Wrong(
        step="Event: comment.deleted", arguments=("--omit", "comment.deleted"),
        hint="ModelNotFoundException", place=2,
    ),
    # The channel
    "Channel for PrivateChannel": channel("session.{session}", f"public.*{NO_CLASS}"),
    "PresenceChannel for PrivateChannel": channel(
        "presence-session.{session}", f"PresenceChannel.*{NO_CLASS}"
    ),
    "EncryptedPrivateChannel": Wrong(
        step=CREATED,
        hint=f"EncryptedPrivateChannel.*{NO_CLASS}",
        arguments=("--channel", "private-encrypted-session.{session}"),
        environment={"PUSHER_ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode()},
    ),
    "the presence channel": channel(
        "presence-online-users", f"presence channel, presence-online-users.*{NO_CLASS}"
    ),
    "private- in the name": channel(
        "private-private-session.{session}", "stands without \"private-\"", **SECRET
    ),
    "the comment's id": channel(
        "session.{comment}", "session.4 .*public.*: 4 is not the session's id, but the comment's"
    ),
    "the comment's id, private": channel(
        "private-session.{comment}", "private-session.4: .* but the comment's", **SECRET
    ),
    "the comment's id, when the backend refuses us there": published(
        "private-.* is added by itself", 6, "--channel", "private-session.{comment}"
    ),
    "another session's id": channel(
        "private-session.2", "private-session.2: 2 is not the session's id, but B's user id"
    ),
    "a next session's id": channel(
        "presence-session.3", f"PresenceChannel.*3 is not the session's id.*{NO_CLASS}", **SECRET
    ),
    "a channel of the comment": channel("presence-comments.{comment}", NO_CLASS, **SECRET),
    "phase one only, and the comment's id": channel(
        "private-session.{comment}", "is not the session's id", ONLY_CREATED="1", **SECRET
    ),
    "another word": channel("comments.{session}", f"comments.1 .*public.*{NO_CLASS}"),
    "no id": channel("session.", "without an id"),
    "the public channel as well": Wrong(
        step="No duplicates", hint="without session.1",
        arguments=("--channel", "private-session.{session},session.{session}"),
    ),
    "the presence channel as well": Wrong(
        step="No duplicates", hint="without presence-online-users",
        arguments=("--channel", "presence-online-users,private-session.{session}"),
    ),
    "no broadcastAs and Channel": Wrong(
        step=CREATED, hint="broadcastAs", place=2,
        arguments=("--fault", "no-broadcast-as", "--channel", "session.{session}"),
    ),
    # Authorization
    "no channel route": fault("no-channel-rule", AUTHENTICATE, "rule for session.1"),
    "no auth route": refuse(404, "POST", "/broadcasting/auth", AUTHENTICATE, "withBroadcasting"),
    "403 to everybody": fault("web-guard", AUTHENTICATE, "bearer token is not read"),
    "403 to one": Wrong(
        step=AUTHENTICATE, hint="Only B is refused", script={"EMAIL_B": "chloe@example.com"}
    ),
    "401": refuse(401, "POST", "/broadcasting/auth", AUTHENTICATE, "auth:sanctum"),
    "redirect": refuse(302, "POST", "/broadcasting/auth", AUTHENTICATE, "login page"),
    "401 on the user": Wrong(
        step="API: log in", hint="createToken", script={"TOKEN_A": "x", "TOKEN_B": "y"}
    ),
    "CORS without broadcasting/auth": Wrong(
        step="API: CORS", hint="'paths' must cover broadcasting/auth",
        arguments=("--cors-origin", "https://app.test", "--fault", "cors-without-auth"),
        script={"ORIGIN": "https://app.test"},
    ),
    "CORS without X-Socket-ID": Wrong(
        step="API: CORS", hint="'allowed_headers' lacks x-socket-id",
        arguments=("--cors-origin", "https://app.test", "--fault", "cors-without-socket-id"),
        script={"ORIGIN": "https://app.test"},
    ),
    "CORS for another origin": Wrong(
        step="API: CORS", hint="'allowed_origins' must have https://other.test", place=2,
        arguments=("--cors-origin", "https://app.test"), script={"ORIGIN": "https://other.test"},
    ),
    "no CORS": Wrong(
        step="API: CORS", hint="'paths' must cover", script={"ORIGIN": "https://app.test"}
    ),
    # The backend fails
    "500 of the login": refuse(500, "POST", "/api/login", "API: log in", SERVER_ERROR),
    "500 of the user": refuse(500, "GET", "/api/user", "API: log in", SERVER_ERROR),
    "500 of the authorization": refuse(500, "POST", "/broadcasting", AUTHENTICATE, SERVER_ERROR),
    "500 of a comment": refuse(
        500, "POST", "/api/sessions", "API: create a comment", SERVER_ERROR
    ),
    "500 of an edit": refuse(500, "PUT", "/api/", "Event: comment.updated", SERVER_ERROR),
    "500 of a deletion": refuse(500, "DELETE", "/api/", "Event: comment.deleted", SERVER_ERROR),
    "500 of a later authorization": fault(
        "auth-breaks", "WebSocket: join the session", SERVER_ERROR
    ),
    "a backend that hangs": Wrong(
        step="API: create a comment", hint="hangs on this request",
        arguments=("--refuse", "0", "POST", "/api/sessions"), script={"TIMEOUT": "5"},
    ),
    "502": refuse(502, "GET", "/api/user", "API: log in", "does PHP run"),
    "503": refuse(503, "POST", "/api/sessions", "API: create a comment", "maintenance mode"),
    "429": refuse(429, "POST", "/api/sessions", "API: create a comment", "throttle"),
}  # fmt: skip


@pytest.fixture(scope="module")
def operations_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(directory: Path, operations_port: int) -> Iterator[RunningServer]:
    """The server, with metrics and an app of its own for each row: rows do not see each other."""
    apps = [APP, *(app_of(name) for name in WRONG)]
    settings = {"apps": apps, "operations": {"enabled": True, "port": operations_port}}
    with RunningServer(directory, settings) as running:
        yield running


def app_of(name: str) -> dict[str, str]:
    number = list(WRONG).index(name)
    return {**APP, "id": str(100 + number), "key": f"key-{number}"}


def try_backend(
    name: str, directory: Path, server: RunningServer
) -> subprocess.CompletedProcess[str]:
    wrong, app = WRONG[name], app_of(name)
    environment = pusher_environment(
        server.port, PUSHER_APP_ID=app["id"], PUSHER_APP_KEY=app["key"]
    )
    with RunningBackend(
        directory, {**environment, **wrong.environment}, wrong.arguments
    ) as backend:
        given = {**environment, "PUSHER_APP_SECRET": "", **WAITING}
        return run_script(backend, **{**given, **wrong.script})


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, directory: Path, server: RunningServer
) -> Iterator[Mapping[str, Future[subprocess.CompletedProcess[str]]]]:
    """The script's run for each row of `WRONG` that was selected, a few at a time."""
    rows = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(try_backend, name, directory, server)
            for name in WRONG
            if name in rows
        }


@pytest.mark.parametrize("name", WRONG, ids=str)
def test_a_wrong_backend_is_named(
    name: str, results: Mapping[str, Future[subprocess.CompletedProcess[str]]]
) -> None:
    """The step fails that shows the mistake, and the hint says what to change."""
    wrong, result = WRONG[name], results[name].result()
    assert result.returncode == 1, result.stdout + result.stderr
    assert failed_step(result.stdout) == wrong.step, result.stdout
    hints = hints_of(result.stdout)
    assert re.search(wrong.hint, hints.get(wrong.place, "")), result.stdout
    assert result.stderr == ""


#: With the server's metrics the script knows what reached the server: the first hint is the cause.
MEASURED = {
    "no worker": ("Nothing has reached the server. Is a queue worker", ("--without-worker",), {}),
    "wrong port": ("Nothing has reached the server", (), {"PUSHER_PORT": "9"}),
    "stale worker": ("PUSHER_APP_SECRET of the worker", ("--fault", "stale-worker"), {}),
    "wrong id": ("PUSHER_APP_ID", (), {"PUSHER_APP_ID": "9999"}),
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
        result = run_script(backend, METRICS_URL=url, **WAITING, **environment)
    assert failed_step(result.stdout) == CREATED, result.stdout
    assert hint in hints_of(result.stdout)[1], result.stdout


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
