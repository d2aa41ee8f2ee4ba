"""One client while it is established: what it says and what it is answered, in which order."""

import asyncio
import logging

import pytest
from msgspec import structs

from pusher_server.errors import ClusterUnavailable
from pusher_server.signals import SubscriptionRejected
from pusher_server.turns import SUBSCRIPTION_UNITS, UNITS
from tests.support.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame, server_frames
from tests.support.node import NodeFixture
from tests.unit.websocket.edge_fixture import SUCCESS, EdgeFixture, message


async def test_pings_of_both_kinds_are_answered(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.feed(client_frame(PING, b"x" * 125), message("pusher:ping", {}))
    assert await client.told() == [("pong", b"x" * 125), "pusher:pong"]


async def test_pongs_and_unknown_events_are_ignored(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.feed(client_frame(PONG), message("pusher:pong", {}), message("x", {}))
    assert await client.told() == []


async def test_what_is_no_message_is_answered_and_the_rest_is_read(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.feed(client_frame(TEXT, b"[]"), message("pusher:ping"))
    assert await client.told() == [(4200, "Invalid message format"), "pusher:pong"]


async def test_subscribing_and_leaving(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    fixture.node_fixture.publish("a")
    assert await client.told() == [SUCCESS, "event"]
    client.say("pusher:unsubscribe", {"channel": "a"})
    fixture.node_fixture.publish("a")
    assert await client.told() == []


@pytest.mark.parametrize("strict", [False, True])
async def test_a_refusal_does_not_overtake_events_of_its_channel(strict: bool) -> None:
    fixture = EdgeFixture(NodeFixture())
    client = await fixture.client("/app/key?protocol=7").established()
    client.subscribe("a")
    await client.read()
    fixture.node_fixture.change(strict=strict, lenient_channel_names=False)
    fixture.node_fixture.publish("a")
    client.say("pusher:subscribe", {"channel": "a", "channel_data": 5})
    refusal = (None, "channel_data must be a string of JSON text")
    assert await client.told() == ["event", refusal if strict else "pusher:subscription_error"]
    assert [type(each) for each in fixture.node_fixture.told(SubscriptionRejected)] == [
        SubscriptionRejected
    ]


async def test_an_error_of_a_channel_does_not_overtake_its_events(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    fixture.node_fixture.publish("a")
    client.say("client-x", {}, channel="a")
    event, (code, _) = await client.told()
    assert (event, code) == ("event", None)


async def test_the_rate_of_client_events_is_the_sessions() -> None:
    fixture = EdgeFixture(NodeFixture(limits={"client_events_per_second": 2}, client_events="all"))
    client = await fixture.client().established()
    client.feed(*(message("client-x", {}, channel="private-x") for _ in range(3)))
    ((code, _),) = await client.told()
    assert code == 4301
    fixture.wait(0.5)
    client.say("client-x", {}, channel="private-x")
    assert await client.told() == []


async def test_a_wrong_sign_in_ends_the_connection(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.say("pusher:signin", {"auth": "key:x", "user_data": "{}"})
    assert await client.told() == [(4009, "Connection not authorized."), ("close", 4009)]
    assert fixture.closed() == [4009]


async def test_what_goes_wrong_with_us_is_passing_and_logged(
    fixture: EdgeFixture, caplog: pytest.LogCaptureFixture
) -> None:
    client = await fixture.client().established()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    fixture.node_fixture.node.publishing.client_event = broken  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR):
        client.say("client-x", {}, channel="private-x")
        assert await client.told() == [(4100, "Internal error"), ("close", 4100)]
    assert caplog.records


async def test_a_cluster_that_is_away_is_a_passing_fault(
    fixture: EdgeFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """All clients meet it at once: that is one line."""
    client, other = await fixture.client().established(), await fixture.client().established()

    async def away(*_: object) -> None:
        raise ClusterUnavailable("away")

    fixture.node_fixture.node.subscriptions.subscribe = away  # type: ignore[assignment]
    for each in (client, other):
        each.subscribe("a")
        assert await each.told() == [(4100, "Temporarily unavailable"), ("close", 4100)]
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == (
        "pusher_server.websocket",
        "a client is sent away: away",
    )


async def test_other_messages_overtake_and_its_own_channels_wait(fixture: EdgeFixture) -> None:
    gate = fixture.node_fixture.broker.subscribing
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    gate.close()
    client.subscribe("private-encrypted-x")  # refused at once: it has no proof
    client.subscribe("b")
    client.say("client-x", {}, channel="b")
    client.say("client-x", {}, channel="a")
    client.feed(message("pusher:ping"), client_frame(PING))
    first, (code, text), *rest = await client.told()
    assert (first, code) == ("pusher:subscription_error", None)
    assert "only supported on private" in text
    assert rest == ["pusher:pong", ("pong", b"")]
    gate.open()
    success, (code, _) = await client.told()
    assert (success, code) == (SUCCESS, None)


async def test_an_unsubscribe_overtakes(fixture: EdgeFixture) -> None:
    gate = fixture.node_fixture.broker.subscribing
    client = await fixture.client().established()
    gate.close()
    client.subscribe("a")
    client.subscribe("a")
    client.say("pusher:unsubscribe", {"channel": "a"})
    gate.open()
    assert await client.told() == []
    assert client.connection.subscriptions == {}


async def test_reading_stops_while_too_much_waits(fixture: EdgeFixture) -> None:
    gate = fixture.node_fixture.broker.subscribing
    client = await fixture.client().established()
    gate.close()
    for _ in range(65):
        client.subscribe("a")
    assert client.transport.is_reading()
    client.subscribe("a")
    assert not client.transport.is_reading()
    fixture.wait(200)
    gate.open()
    assert await client.told() == [SUCCESS] * 66, "silence that is ours is not judged"
    assert client.transport.is_reading()


async def test_a_wait_that_is_too_long_ends_in_4100() -> None:
    fixture = EdgeFixture(wait_timeout=0.01)
    client = await fixture.client().established()
    fixture.node_fixture.broker.subscribing.close()
    client.subscribe("a")
    frames = await client.told()
    while not frames:
        await asyncio.sleep(0.001)
        frames = await client.told()
    assert frames == [(4100, "The server could not answer in time"), ("close", 4100)]
    assert client.connection.subscriptions == {}


async def test_who_goes_while_waiting_leaves_nothing(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    fixture.node_fixture.broker.subscribing.close()
    client.subscribe("a")
    client.lose()
    fixture.node_fixture.broker.subscribing.open()
    assert await client.read() == []
    assert fixture.app_state.channels == {}


async def test_a_flood_leaves_the_rest_for_later_turns(fixture: EdgeFixture) -> None:
    """One client's messages are served some at a time, in order, and it is not read meanwhile."""
    client = await fixture.client().established()
    client.feed(*[client_frame(PING, b"%d" % i) for i in range(200)])
    assert not client.transport.reading
    at_once = [frame.payload for frame in server_frames(client.transport.take())]
    assert 0 < len(at_once) < 100
    later = [frame.payload for frame in await client.read()]
    while not client.transport.reading:
        later += [frame.payload for frame in await client.read()]
    assert at_once + later == [b"%d" % i for i in range(200)]


async def test_frames_that_complete_nothing_count_as_well(fixture: EdgeFixture) -> None:
    """Empty fragments, thousands in one chunk: a turn serves a bounded number of them, and reads no more."""
    flooder, other = await fixture.client().established(), await fixture.client().established()
    empty = client_frame(CONTINUATION, b"", fin=False)
    whole = client_frame(CONTINUATION, b"}")
    flooder.feed(client_frame(TEXT, b'{"event":"pusher:ping"', fin=False), empty * 500, whole)
    assert not flooder.transport.reading
    await asyncio.sleep(0)
    other.say("pusher:ping")
    assert await other.told() == ["pusher:pong"]
    assert not flooder.transport.reading
    for _ in range(500 // UNITS + 3):
        await asyncio.sleep(0)
    assert await flooder.told() == ["pusher:pong"]
    assert flooder.transport.reading


async def test_subscriptions_take_more_of_a_turn_than_pings(fixture: EdgeFixture) -> None:
    """In a cluster each of them may be a question to a store."""
    client = await fixture.client().established()
    client.feed(*[message("pusher:subscribe", {"channel": f"c{i}"}) for i in range(UNITS)])
    assert len(client.connection.subscriptions) == UNITS // SUBSCRIPTION_UNITS
    while not client.transport.reading:
        await client.told()
    assert len(client.connection.subscriptions) == UNITS


async def test_a_large_chunk_is_served_in_portions(fixture: EdgeFixture) -> None:
    """uvloop would read on in the same turn, up to 8 MB."""
    client = await fixture.client().established()
    client.feed(*[client_frame(TEXT, b'{"event":"x","data":"%b"}' % (b"y" * 60_000))] * 4)
    assert not client.transport.reading
    client.feed(message("pusher:ping"))  # a TLS layer had that already
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.transport.reading
    assert await client.told() == ["pusher:pong"]


async def test_a_flood_ends_with_its_connection(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.feed(*[client_frame(PING, b"x") for _ in range(200)])
    client.transport.take()
    client.lose()
    assert await client.told() == []


async def test_answers_that_nobody_reads_do_not_pile_up_within_a_turn() -> None:
    """The cap holds at once; the sweep would come too late."""
    fixture = EdgeFixture(NodeFixture(), write_buffer_bytes=1_000)
    client = await fixture.client().established()
    client.connection.pause_writing()
    client.feed(*[client_frame(PING, b"x" * 100) for _ in range(50)])
    assert client.transport.is_aborted
    assert fixture.app_state.traffic.slow_consumers_dropped == 1


async def test_a_goodbye_within_a_flood_is_the_end_of_it(fixture: EdgeFixture) -> None:
    """A transport that is closing is neither paused nor resumed: uvloop's would raise."""
    client = await fixture.client().established()
    goodbye = client_frame(CLOSE, (1000).to_bytes(2))
    client.feed(*[client_frame(PING)] * (UNITS - 1), goodbye)
    assert (client.transport.is_closed, client.transport.reading) == (True, True)
    assert await client.told() == [("pong", b"")] * (UNITS - 1) + [("close", 1000)]


async def test_subscriptions_above_the_pace_wait_and_none_is_refused() -> None:
    """Beyond the burst the client is not read until the pace is kept; what it has sent is served then."""
    fixture = EdgeFixture(
        NodeFixture(limits={"subscriptions_per_connection": 10}), subscriptions_per_second=10
    )
    client = await fixture.client().established()
    for i in range(9):
        client.subscribe(f"a{i}")
    for _ in range(2):
        client.say("pusher:unsubscribe", {"channel": "a0"})
        client.subscribe("a0")
    assert await client.told() == [SUCCESS] * 11
    assert not client.transport.reading
    fixture.node_fixture.clock.advance(1.0)
    async with asyncio.timeout(5):
        while not client.transport.reading:
            assert await client.told() == []
    client.say("pusher:ping")
    assert await client.told() == ["pusher:pong"]


async def test_who_waits_for_the_pace_is_read_again_though_the_app_has_changed() -> None:
    """A smaller burst makes the wait longer than it was when it began."""
    fixture = EdgeFixture(
        NodeFixture(limits={"subscriptions_per_connection": 40}), subscriptions_per_second=20
    )
    client = await fixture.client().established()
    for i in range(41):
        client.subscribe(f"a{i % 40}")
        client.say("pusher:unsubscribe", {"channel": f"a{i % 40}"})
    assert not client.transport.reading
    limits = structs.replace(fixture.node_fixture.app.limits, subscriptions_per_connection=20)
    fixture.node_fixture.change(limits=limits)
    client.transport.take()
    await asyncio.sleep(0.1)  # the first wait is over by then, 0.05 s
    assert not client.transport.reading
    fixture.node_fixture.clock.advance(2.0)
    async with asyncio.timeout(5):
        while not client.transport.reading:
            await client.told()


async def test_a_client_that_waits_for_the_pace_is_not_taken_for_dead() -> None:
    fixture = EdgeFixture(
        NodeFixture(limits={"subscriptions_per_connection": 1}), subscriptions_per_second=1
    )
    client = await fixture.client().established()
    for _ in range(200):
        client.subscribe("a")
    assert not client.transport.reading
    client.transport.take()
    fixture.wait(160)
    assert await client.told() == []


async def test_without_a_pace_all_subscriptions_are_served_at_once(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    for i in range(2_000):
        client.subscribe(f"a{i}")
    assert client.transport.reading
    assert await client.told() == [SUCCESS] * 2_000
