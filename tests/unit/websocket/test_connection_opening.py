"""One client before it is established: the app's store may be slow, the client may not wait."""

import asyncio

import pytest

from tests.support.frames import TEXT, client_frame
from tests.support.node import GatedApps
from tests.support.waiting import eventually
from tests.unit.websocket.edge_fixture import GREETING, SUCCESS, EdgeFixture, message


def slow_store(fixture: EdgeFixture) -> GatedApps:
    fixture.node_fixture.apps.gate.close()
    return fixture.node_fixture.apps


async def test_the_first_frame_goes_with_the_greeting(fixture: EdgeFixture) -> None:
    client = fixture.client()
    data = client.transport.take()
    assert data == GREETING + (
        b'\x81\x63{"event":"pusher:connection_established","data":'
        b'"{\\"socket_id\\":\\"0.1\\",\\"activity_timeout\\":120}"}'
    )
    assert fixture.app_state.connections == {"0.1": client.connection}


async def test_a_socket_id_that_is_taken_is_not_given_again(fixture: EdgeFixture) -> None:
    first = await fixture.client().established()
    fixture._random = iter([1, 5])  # type: ignore[assignment]
    second = await fixture.client().established()
    assert (first.connection.socket_id, second.connection.socket_id) == ("0.1", "0.5")


@pytest.mark.parametrize(("target", "code"), [("/app/x", 4001), ("/nowhere", 4005)])
async def test_a_refusal_is_said_in_a_frame_and_in_the_close(
    fixture: EdgeFixture, target: str, code: int
) -> None:
    client = fixture.client(target)
    (said, message_), close = await client.told()
    assert (said, close) == (code, ("close", code))
    assert message_
    assert fixture.closed() == []
    client.feed(client_frame(TEXT, b"{}"))
    assert await client.told() == []


async def test_early_bytes_wait_for_a_slow_app_store(fixture: EdgeFixture) -> None:
    apps = slow_store(fixture)
    client = fixture.client()
    assert client.transport.take() == GREETING, "the client need not wait for its upgrade"
    client.subscribe("a")
    client.subscribe("b")
    await apps.gate.reached()
    apps.gate.open()
    assert await client.told() == ["pusher:connection_established", SUCCESS, SUCCESS]


async def test_early_bytes_are_read_before_later_ones(fixture: EdgeFixture) -> None:
    """However the loop orders its callbacks: half a frame early, the rest right behind."""
    apps = slow_store(fixture)
    client = fixture.client()
    frame = message("pusher:ping") + message("pusher:subscribe", {"channel": "a"})
    client.feed(frame[:10])
    await apps.gate.reached()
    apps.gate.open()
    await eventually(lambda: client.connection in fixture.app_state.connections.values())
    client.feed(frame[10:])
    assert await client.told() == ["pusher:connection_established", "pusher:pong", SUCCESS]


async def test_too_many_early_bytes_are_refused(fixture: EdgeFixture) -> None:
    slow_store(fixture)
    client = fixture.client()
    client.feed(b"x" * 65_537)
    assert await client.told() == [("close", 1009)]


async def test_a_client_that_goes_before_it_is_established(fixture: EdgeFixture) -> None:
    apps = slow_store(fixture)
    client = fixture.client()
    await apps.gate.reached()
    client.lose()
    apps.gate.open()
    assert await client.read() == []
    assert client.ended == [client.connection]
    assert fixture.clients.connections == {}
    assert fixture.closed() == []


async def test_a_store_that_is_away_is_a_passing_fault(fixture: EdgeFixture) -> None:
    apps = slow_store(fixture)
    apps.gate.is_away = True
    client = fixture.client()
    await apps.gate.reached()
    apps.gate.open()
    assert await client.told() == [(4100, "Temporarily unavailable"), ("close", 4100)]


async def test_a_store_that_does_not_answer_in_time() -> None:
    fixture = EdgeFixture(wait_timeout=0.01)
    slow_store(fixture)
    client = fixture.client()
    frames = await client.told()
    while not frames:
        await asyncio.sleep(0.001)
        frames = await client.told()
    assert frames == [(4100, "The server could not answer in time"), ("close", 4100)]
