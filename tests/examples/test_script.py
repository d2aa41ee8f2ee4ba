"""The validation script: all ✓ on a sound system, and a useful ✗ on each kind of broken one."""

import re
import subprocess
from pathlib import Path

from tests.examples.programs import (
    EXAMPLE,
    RunningBackend,
    program,
    pusher_environment,
    run_script,
)
from tests.support.serving import RunningServer
from tests.support.waiting import block_until

STEPS = 10


def test_all_steps_hold(server: RunningServer, backend: RunningBackend) -> None:
    """Server and backend in order: ten ✓, nothing else, exit status 0."""
    result = run_script(backend, SLOW="20", **pusher_environment(server.port))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("✓") == STEPS, result.stdout
    assert "✗" not in result.stdout
    assert "not tried" not in result.stdout
    assert result.stderr == ""


def test_phase_one_only(server: RunningServer, backend: RunningBackend) -> None:
    """A backend that only has comment.created yet is validated with ONLY_CREATED=1."""
    result = run_script(backend, ONLY_CREATED="1", SLOW="20", **pusher_environment(server.port))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("✓") == STEPS - 2


def test_one_writes_whose_id_is_not_the_sessions(
    server: RunningServer, backend: RunningBackend
) -> None:
    """Else a channel with the author's id would be the session's, and look right."""
    result = run_script(backend, **pusher_environment(server.port))
    assert "B received none of the own events, A each one once" in result.stdout
    swapped = {"EMAIL_A": "bruno@example.com", "EMAIL_B": "amina@example.com"}
    result = run_script(backend, **pusher_environment(server.port), **swapped)
    assert "A received none of the own events, B each one once" in result.stdout


def test_the_first_comment_of_a_backend(directory: Path, server: RunningServer) -> None:
    """Its id is the session's: the next one is tried, and both are deleted."""
    environment = pusher_environment(server.port)
    with RunningBackend(directory, environment, ("--empty",)) as backend:
        result = run_script(backend, **environment)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "comment 2 of B saved" in result.stdout
        block_until(lambda: backend.log.count("comment.deleted on") == 2, show=lambda: backend.log)


def test_ready_tokens_instead_of_a_login(server: RunningServer, backend: RunningBackend) -> None:
    """Bearer tokens from elsewhere are taken as they are; wrong ones are named."""
    result = run_script(backend, TOKEN_A="x", TOKEN_B="y", **pusher_environment(server.port))
    assert result.returncode == 1
    assert "✗ API: log in" in result.stdout
    assert "answered 401" in result.stdout


def test_no_queue_worker(directory: Path, server: RunningServer) -> None:
    """The user's own case: the API works, the WebSocket works, and no event comes."""
    environment = pusher_environment(server.port)
    with RunningBackend(directory, environment, ("--without-worker",)) as backend:
        result = run_script(backend, EVENT_TIMEOUT="2", **environment)
    assert result.returncode == 1
    assert "✓ API: create a comment" in result.stdout
    assert "✗ Event: comment.created" in result.stdout
    assert "check 1. Is a queue worker running?" in result.stdout
    assert "Event: comment.updated       not tried" in result.stdout


def test_wrong_secret_in_the_backend(directory: Path, server: RunningServer) -> None:
    """The signature does not hold: the step and the setting are named."""
    environment = pusher_environment(server.port)
    wrong = {**environment, "PUSHER_APP_SECRET": "of-another-app"}
    with RunningBackend(directory, wrong) as backend:
        result = run_script(backend, **environment)
    assert result.returncode == 1
    assert "✓ WebSocket: authenticate" in result.stdout
    assert "✗ WebSocket: join the session" in result.stdout
    assert "PUSHER_APP_SECRET" in result.stdout


def test_another_key_in_the_backend(directory: Path, server: RunningServer) -> None:
    """Backend and app use different keys."""
    environment = pusher_environment(server.port)
    with RunningBackend(directory, {**environment, "PUSHER_APP_KEY": "other"}) as backend:
        result = run_script(backend, **environment)
    assert result.returncode == 1
    assert "✗ WebSocket: authenticate" in result.stdout
    assert 'signs with key "other"' in result.stdout


def test_unknown_key(server: RunningServer, backend: RunningBackend) -> None:
    """The server refuses the key: its code is shown."""
    changed = pusher_environment(server.port, PUSHER_APP_KEY="nobody")
    result = run_script(backend, **changed)
    assert result.returncode == 1
    assert "✗ WebSocket: connect" in result.stdout
    assert "4001" in result.stdout
    assert "PUSHER_APP_KEY" in result.stdout


def test_server_stopped(tmp_path: Path, backend: RunningBackend) -> None:
    """No WebSocket server: the hint says how to look."""
    stopped = RunningServer(tmp_path, {})
    result = run_script(backend, TIMEOUT="2", **pusher_environment(stopped.port))
    assert result.returncode == 1
    assert "✗ WebSocket: connect" in result.stdout
    assert f"curl -i http://127.0.0.1:{stopped.port}/up" in result.stdout


def test_not_a_participant(server: RunningServer, backend: RunningBackend) -> None:
    """A user who does not take part in the session is refused by the channel's rule."""
    result = run_script(backend, EMAIL_B="chloe@example.com", **pusher_environment(server.port))
    assert result.returncode == 1
    assert "✗ WebSocket: authenticate" in result.stdout
    assert "answered 403" in result.stdout
    assert "routes/channels.php" in result.stdout


def test_backend_stopped(directory: Path, server: RunningServer) -> None:
    """No API: the first step says so."""
    backend = RunningBackend(directory, {})
    result = run_script(backend, **pusher_environment(server.port))
    assert result.returncode == 1
    assert "✗ API: log in" in result.stdout
    assert "python examples/comments/backend" in result.stdout


def test_help_lists_every_setting() -> None:
    """What the script reads from the environment is what its help lists."""
    sources = sorted((EXAMPLE / "scripts").rglob("*.js"))
    text = "".join(path.read_text("utf-8") for path in sources)
    read = set(
        re.findall(r"\b(?:setting|matching|url|path|bare|seconds|jsonObject)\('([A-Z_]+)'", text)
    )
    read |= set(re.findall(r"process\.env\.([A-Z_]+)", text))
    command = [program("node", "nodejs"), str(EXAMPLE / "scripts" / "test-websocket-comments.js")]
    shown = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert read - set(re.findall(r"[A-Z_]{3,}", shown)) == set()
    assert len(read) > 30
