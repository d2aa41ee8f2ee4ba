"""The example's Laravel files, unchanged, in the Laravel of Debian's packages, with worker and server.

That is 8.83 in Debian 12, 10.48 in Debian 13. `laravel_skeleton/stand_ins` has what it lacks.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.examples.laravel_application import (
    COPIED,
    LARAVEL,
    SKELETON,
    TOKENS,
    LaravelApplication,
    create_application,
    documented_worker,
)
from tests.examples.programs import APP, pusher_environment, run_script
from tests.examples.script_output import failed_step, hints_of
from tests.support.serving import RunningServer, free_port
from tests.support.wire import QUERY, Address, Wire, opened

STEPS = 10


@pytest.fixture(scope="module")
def application(
    laravel: Path, directory: Path, server: RunningServer
) -> Iterator[LaravelApplication]:
    """The application as the example's README sets it up."""
    with LaravelApplication(laravel, directory, pusher_environment(server.port)) as running:
        yield running


def test_the_files_are_those_of_the_example(tmp_path: Path) -> None:
    """What runs is what people copy: the skeleton has no file of the same name."""
    create_application(tmp_path / "application")
    names = [
        path.relative_to(LARAVEL)
        for folder in COPIED
        for path in (LARAVEL / folder).rglob("*")
        if path.is_file()
    ]
    assert len(names) == 9
    for name in names:
        assert not (SKELETON / name).exists()
        assert (tmp_path / "application" / name).read_bytes() == (LARAVEL / name).read_bytes()


def test_the_version_is_one_that_the_docs_name(application: LaravelApplication) -> None:
    version = re.search(r"^Laravel Framework (\d+\.\d+)\.", application.artisan("--version"))
    assert version is not None
    assert version[1] in ("8.83", "10.48")


def test_all_steps_hold(server: RunningServer, application: LaravelApplication) -> None:
    """Ten ✓, none late, exit status 0."""
    result = run_script(application, **TOKENS, **pusher_environment(server.port))
    assert result.returncode == 0, result.stdout + application.log
    assert result.stdout.count("✓") == STEPS, result.stdout
    assert "B received none of the own events, A each one once" in result.stdout
    assert result.stderr == ""


@asynccontextmanager
async def phone(
    application: LaravelApplication, server: RunningServer, person: str
) -> AsyncIterator[tuple[Wire, str]]:
    """A connection of this person that is on private-session.1, and its socket id."""
    async with opened(Address(port=server.port)) as wire:
        await wire.handshake(f"/app/{APP['key']}{QUERY}")
        socket_id = await wire.established()
        channel = "private-session.1"
        answer = application.authorize(person, channel, socket_id)
        await wire.join(channel, auth=answer.json()["auth"])
        yield wire, socket_id


async def test_the_author_is_left_out(
    server: RunningServer, application: LaravelApplication
) -> None:
    """`toOthers()`: the connection of X-Socket-ID does not get the event, the other one does.

    Its data is that of the API's answer.
    """
    async with (
        phone(application, server, "amina") as (amina, socket_id),
        phone(application, server, "bruno") as (bruno, _),
    ):
        first = application.write_comment("héllo 世界", **{"X-Socket-ID": socket_id})
        second = application.write_comment("without the header")
        for expected in (first, second):
            event = await bruno.expect("comment.created")
            assert json.loads(event["data"]) == expected
        event = await amina.expect("comment.created")
        assert json.loads(event["data"]) == second


def test_who_may_not_see_the_session_is_refused(application: LaravelApplication) -> None:
    assert application.authorize("bruno", "private-session.1").status_code == 200
    assert application.authorize("chloe", "private-session.1").status_code == 403
    assert application.authorize("chloe", "private-session.2").status_code == 200
    assert application.authorize("bruno", "private-session.99").status_code == 403
    assert application.authorize(None, "private-session.1").status_code == 401
    body = {"content": "x"}
    assert application.post("chloe", "/api/sessions/1/comments", json=body).status_code == 403


def test_the_script_says_who_is_refused(
    server: RunningServer, application: LaravelApplication
) -> None:
    tokens = {**TOKENS, "TOKEN_B": "token-of-chloe"}
    result = run_script(application, **tokens, **pusher_environment(server.port))
    assert failed_step(result.stdout) == "WebSocket: authenticate"
    assert "Only B is refused" in hints_of(result.stdout)[1]


@pytest.mark.parametrize(
    ("worker", "attempts"),
    [(documented_worker(), 5), (["queue:work", "--sleep=0.1"], 1)],
    ids=["documented", "default"],
)
def test_an_event_is_tried_again_while_the_server_is_away(
    laravel: Path, directory: Path, worker: list[str], attempts: int
) -> None:
    """The API answers all the same; by `--tries=5 --backoff=1` events survive a restart of the server."""
    environment = pusher_environment(free_port())
    with LaravelApplication(laravel, directory, environment, worker) as application:
        application.write_comment("while the server is away")
        application.wait_for_jobs(waiting=0, failed=1)
        assert application.attempts == attempts
