"""The backends of docs/backends.md, as they stand on the page: trigger, authorization and webhooks."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.client import connected, unique
from tests.conformance.target import Target
from tests.examples.page_backends import (
    ADA,
    APP,
    COMMANDS,
    Backend,
    running,
    settings_of_the_page,
)
from tests.support.serving import RunningServer, free_port
from tests.support.signing import sign
from tests.support.waiting import eventually


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Target, Backend]]:
    """A server with the page's config, and each backend in turn."""
    directory = tmp_path_factory.mktemp("backends")
    port = free_port()
    with (
        RunningServer(directory, settings_of_the_page(directory, port)) as server,
        running(request.param, directory, server.port, port) as backend,
    ):
        yield Target(server.host, (server.port,), APP, own=True), backend


def authorization(backend: Backend, socket_id: str, channel: str, **headers: str) -> httpx.Response:
    """The answer to a client's request for a channel."""
    form = {"socket_id": socket_id, "channel_name": channel}
    return backend.post("/broadcasting/auth", form, **headers)


async def test_a_message_reaches_all_but_its_author(parts: tuple[Target, Backend]) -> None:
    """Both subscribe with the answers of the backend; its event leaves the author's connection out."""
    target, backend = parts
    async with connected(target) as author, connected(target) as reader:
        for client in (author, reader):
            answer = authorization(backend, client.socket_id, "private-room.1", **ADA)
            assert answer.status_code == 200
            data = {**answer.json(), "channel": "private-room.1"}
            await client.send("pusher:subscribe", data=data)
            await client.expect("pusher_internal:subscription_succeeded", "private-room.1")
        headers = {**ADA, "X-Socket-ID": author.socket_id}
        assert backend.post("/messages", {"text": "Zoë 世界"}, **headers).status_code == 204
        message = await reader.expect("message", "private-room.1")
        assert message.content == {"from": "Ada", "text": "Zoë 世界"}
        await author.expect_nothing()
        assert backend.post("/messages", {"text": "to all"}, **ADA).status_code == 204
        assert (await author.expect("message", "private-room.1")).content["text"] == "to all"


async def test_a_member_has_a_name(parts: tuple[Target, Backend]) -> None:
    """Ada is in the list of members as the backend knows her."""
    target, backend = parts
    async with connected(target) as client:
        answer = authorization(backend, client.socket_id, "presence-room.1", **ADA).json()
        await client.send("pusher:subscribe", data={**answer, "channel": "presence-room.1"})
        joined = await client.expect("pusher_internal:subscription_succeeded", "presence-room.1")
        assert joined.content["presence"]["hash"] == {"7": {"name": "Ada"}}


@pytest.mark.parametrize(
    ("channel", "token", "socket_id"),
    [
        ("private-room.2", "token-of-ada", "1.1"),
        ("private-room.1", "another", "1.1"),
        ("private-room.1", "token-of-ada", "1.1:presence-room.1"),
        ("private-room.1", "token-of-ada", ""),
        ("", "token-of-ada", "1.1"),
    ],
)
def test_others_are_refused(
    parts: tuple[Target, Backend], channel: str, token: str, socket_id: str
) -> None:
    """A foreign channel, an unknown token, a socket id that would sign something else."""
    _, backend = parts
    headers = {"Authorization": f"Bearer {token}"}
    assert authorization(backend, socket_id, channel, **headers).status_code == 403


def test_a_stranger_sends_no_message(parts: tuple[Target, Backend]) -> None:
    """Without a token nothing is triggered; a wrong socket id is an error of the request."""
    _, backend = parts
    assert backend.post("/messages", {"text": "x"}).status_code == 403
    headers = {**ADA, "X-Socket-ID": "nothing"}
    assert backend.post("/messages", {"text": "x"}, **headers).status_code == 400


async def test_webhooks_arrive(parts: tuple[Target, Backend]) -> None:
    """The server's own webhooks pass the check of the library."""
    target, backend = parts
    channel = unique("presence-hooked")
    async with connected(target) as client:
        await client.join(channel, "7")

        def is_printed() -> bool:
            return {f"channel_occupied {channel}", f"member_added {channel}"} <= set(
                backend.printed
            )

        await eventually(is_printed)


def forged_body() -> bytes:
    """A fresh webhook that a library would believe."""
    event = {"name": "channel_occupied", "channel": "forged"}
    return json.dumps({"time_ms": int(time.time() * 1_000), "events": [event]}).encode()


@pytest.mark.parametrize("body", [forged_body(), b"\xff\xfe", b"{"], ids=["json", "bytes", "half"])
@pytest.mark.parametrize("key", ["app-key", "another"])
def test_forged_webhooks_are_refused(parts: tuple[Target, Backend], body: bytes, key: str) -> None:
    """A signature with another secret, over any body."""
    _, backend = parts
    headers = {
        "Content-Type": "application/json",
        "X-Pusher-Key": key,
        "X-Pusher-Signature": sign("another-secret", body),
    }
    answer = httpx.post(f"{backend.url}/pusher/webhooks", content=body, headers=headers)
    assert answer.status_code == 401
    assert not [line for line in backend.printed if "forged" in line and "occupied" in line]
