"""What a client's connection counts, against the bytes that went over it."""

import logging

import pytest

from pusher_server.errors import ClusterUnavailable
from pusher_server.protocol.errors import Code
from pusher_server.signals import ConnectionRefused, MessageRefused
from tests.support.waiting import eventually
from tests.unit.websocket.edge_fixture import GREETING, EdgeFixture, message


async def test_bytes_and_messages_both_ways() -> None:
    """All that the client sent and got, but the handshake."""
    fixture = EdgeFixture()
    client = fixture.client()
    said = [message("pusher:ping", {}), message("pusher:subscribe", {"channel": "a"})]
    client.feed(*said)
    traffic = fixture.app_state.traffic
    assert traffic.messages_received == 2
    assert traffic.bytes_received == sum(map(len, said))
    assert traffic.replies == 3  # established, pong, succeeded
    assert traffic.bytes_sent == len(client.transport.written) - len(GREETING)


async def test_refusals_are_told_with_their_codes() -> None:
    """To an app where there is one: a key that is no app's has none, a disabled app has itself."""
    fixture = EdgeFixture()
    fixture.client("/app/nobody?protocol=7")
    fixture.client(f"/app/{fixture.node_fixture.app.keys[0].key}?protocol=4")
    client = fixture.client()
    client.feed(message("pusher:subscribe", "nonsense"))
    told = fixture.node_fixture.told(ConnectionRefused, MessageRefused)
    assert told == [
        ConnectionRefused(app_id="", code=Code.UNKNOWN_APP),
        ConnectionRefused(app_id="1", code=Code.UNSUPPORTED_PROTOCOL),
        MessageRefused(app_id="1", code=Code.RECONNECT),
    ]


async def test_an_end_that_is_our_fault_has_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """All of them are 4100 for the client."""
    fixture = EdgeFixture()

    async def away(*_: object) -> None:
        raise ClusterUnavailable("away")

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    for verb in (away, broken):
        client = await fixture.client().established()
        fixture.node_fixture.node.subscriptions.subscribe = verb  # type: ignore[assignment]
        client.subscribe("a")
    assert fixture.node_fixture.told(ConnectionRefused) == [
        ConnectionRefused(app_id="1", code=Code.OVER_CAPACITY, reason="unavailable"),
        ConnectionRefused(app_id="1", code=Code.OVER_CAPACITY, reason="internal"),
    ]


async def test_a_wait_that_is_too_long_is_a_line_and_a_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = EdgeFixture(wait_timeout=0.001)
    client = await fixture.client().established()
    fixture.node_fixture.broker.subscribing.close()
    with caplog.at_level(logging.WARNING, "pusher_server"):
        client.subscribe("a")
        await eventually(lambda: bool(fixture.node_fixture.told(ConnectionRefused)))
    assert fixture.node_fixture.told(ConnectionRefused) == [
        ConnectionRefused(app_id="1", code=Code.OVER_CAPACITY, reason="wait_timeout")
    ]
    (record,) = caplog.records
    assert "websocket.wait_timeout" in record.getMessage()


async def test_too_much_before_the_app_is_known_is_a_line_and_a_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = EdgeFixture()
    fixture.node_fixture.apps.gate.close()
    client = fixture.client()
    with caplog.at_level(logging.WARNING, "pusher_server"):
        client.feed(b"x" * 70_000)
    assert fixture.node_fixture.told(ConnectionRefused) == [ConnectionRefused(app_id="", code=1009)]
    (record,) = caplog.records
    assert record.getMessage().startswith("connection ended: Too much before")
    assert vars(record)["address"] == "192.0.2.1"


async def test_a_client_that_is_served_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    fixture = EdgeFixture()
    with caplog.at_level(logging.DEBUG, "pusher_server"):
        client = await fixture.client().established()
        client.subscribe("a")
        client.lose()
    assert caplog.records == []
