"""How a connection ends: by us, by the client, by silence, by slowness."""

import pytest
from msgspec import structs

from pusher_server.signals import ConnectionRefused
from tests.support.frames import BINARY, CLOSE, PONG, TEXT, client_frame
from tests.support.node import NodeFixture
from tests.support.waiting import eventually
from tests.unit.websocket.edge_fixture import SUCCESS, EdgeFixture, message


async def test_closing_writes_what_is_owed_then_error_and_close(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    fixture.node_fixture.publish("a")
    client.connection.close(4200, "bye")
    client.connection.close(4100, "again")
    assert await client.told() == ["event", (4200, "bye"), ("close", 4200)]
    assert fixture.closed() == [4200]


async def test_closing_changes_nothing_inside_the_call(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    client.connection.close(4200, "bye")
    assert "a" in client.connection.subscriptions
    client.subscribe("b")  # no longer read
    await client.read()
    assert client.connection.subscriptions == {}


async def test_a_clients_close_is_answered_with_its_code(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.feed(client_frame(CLOSE, b"\x03\xe9bye"), message("pusher:ping"))
    assert await client.told() == [("close", 1001)]
    assert client.transport.is_closed
    client.lose()
    assert fixture.closed() == [1001]


async def test_a_clients_close_without_a_code(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.feed(client_frame(CLOSE))
    assert await client.told() == [("close", None)]
    assert fixture.closed() == [1005]


@pytest.mark.parametrize("has_halves", [True, False])
async def test_after_our_close_the_clients_answer_ends_it(
    fixture: EdgeFixture, has_halves: bool
) -> None:
    client = await fixture.client(has_halves=has_halves).established()
    client.connection.close(4200, "bye")
    await client.read()
    assert client.transport.is_half_closed is has_halves
    client.feed(message("pusher:ping"), client_frame(CLOSE, b"\x10\x68"))
    assert await client.read() == []
    assert client.transport.is_closed
    assert not client.transport.is_aborted


async def test_who_does_not_answer_our_close_is_cut(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.connection.close(4200, "bye")
    await client.read()
    fixture.wait(4.5)
    assert not client.transport.is_aborted
    fixture.wait(3)
    assert client.transport.is_aborted


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (client_frame(BINARY, b"x"), 1003),
        (client_frame(TEXT, b"\xff"), 1007),
        (client_frame(TEXT, b"{}", mask=None), 1002),
        (client_frame(TEXT, b"x" * 131_073), 1009),
    ],
)
async def test_a_broken_frame_ends_it_after_what_came_before(
    fixture: EdgeFixture, frame: bytes, code: int
) -> None:
    client = await fixture.client().established()
    client.feed(message("pusher:ping"), frame, message("pusher:ping"))
    assert await client.told() == ["pusher:pong", ("close", code)]
    client.feed(message("pusher:ping"))
    assert await client.told() == []
    assert fixture.closed() == [code]


async def test_a_dropped_transport_is_1006(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.connection.eof_received()
    client.lose()
    assert fixture.closed() == [1006]
    assert client.ended == [client.connection]
    assert fixture.clients.connections == {}
    assert len(fixture.clients.heartbeat) == 0
    client.connection.close(4200, "too late")
    assert await client.read() == []


async def test_uvicorns_last_word_is_4200(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.connection.shutdown()
    assert (await client.told())[-1] == ("close", 4200)


async def test_aborting_cuts(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.connection.abort()
    assert client.transport.is_aborted


@pytest.mark.parametrize(("kind", "ping"), [("frame", ("ping", b"")), ("event", "pusher:ping")])
async def test_silence_is_answered_with_a_ping_and_then_4201(kind: str, ping: object) -> None:
    fixture = EdgeFixture(NodeFixture(activity_timeout=10, ping=kind), pong_timeout=5.0)
    client = await fixture.client().established()
    fixture.wait(9)
    assert await client.told() == []
    fixture.wait(2.5)
    assert await client.told() == [ping]
    fixture.wait(6.5)
    assert await client.told() == [(4201, "Pong reply not received"), ("close", 4201)]


async def test_a_pong_keeps_it_alive() -> None:
    fixture = EdgeFixture(NodeFixture(activity_timeout=10), pong_timeout=5.0)
    client = await fixture.client().established()
    for _ in range(5):
        fixture.wait(11.5)
        assert await client.told() == [("ping", b"")]
        client.feed(client_frame(PONG))


@pytest.mark.parametrize(("activity", "pong"), [(3, 10.0), (20, 30.0), (10, 5.0)])
async def test_pings_come_after_every_activity_timeout_whatever_a_pong_may_take(
    activity: int, pong: float
) -> None:
    fixture = EdgeFixture(NodeFixture(activity_timeout=activity), pong_timeout=pong)
    client = await fixture.client().established()
    pings, seconds = 0, 60 * activity
    for _ in range(seconds * 2):
        fixture.wait(0.5)
        for said in await client.told():
            assert said == ("ping", b"")
            pings += 1
            client.feed(client_frame(PONG))
    assert seconds / (activity + 1) - 1 <= pings <= seconds / activity


async def test_several_pings_without_an_answer_end_with_the_first_ones_deadline() -> None:
    fixture = EdgeFixture(NodeFixture(activity_timeout=3), pong_timeout=10.0)
    client = await fixture.client().established()
    fixture.wait(12.75)
    assert set(await client.told()) == {("ping", b"")}
    fixture.wait(1.5)
    said = [each for each in await client.told() if each != ("ping", b"")]
    assert said == [(4201, "Pong reply not received"), ("close", 4201)]


async def test_who_must_authorize_and_does_not() -> None:
    fixture = EdgeFixture(NodeFixture(authorization_timeout=5))
    client = await fixture.client().established()
    fixture.wait(7)
    text = "Connection not authorized within timeout"
    assert await client.told() == [(4009, text), ("close", 4009)]


async def test_who_does_is_left_alone() -> None:
    fixture = EdgeFixture(NodeFixture(authorization_timeout=5))
    client = await fixture.client().established()
    client.connection.authorized()
    fixture.wait(20)
    assert await client.told() == []


async def test_after_the_end_nothing_is_asked_of_the_session(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.lose()
    client.connection.authorized()
    assert not client.connection.may_send_client_event()


async def test_a_changed_activity_timeout_counts() -> None:
    fixture = EdgeFixture(NodeFixture(activity_timeout=10))
    client = await fixture.client().established()
    fixture.node_fixture.node.change_app(
        "1", structs.replace(fixture.node_fixture.app, activity_timeout=40)
    )
    fixture.wait(30)
    assert await client.told() == []


async def test_a_buffer_over_the_cap_is_cut() -> None:
    fixture = EdgeFixture(write_buffer_bytes=1_000)
    client = await fixture.client().established()
    client.transport.buffered = 500
    client.connection.pause_writing()
    fixture.wait(0.25)
    assert not client.transport.is_aborted
    client.transport.buffered = 1_501
    fixture.wait(0.25)
    assert client.transport.is_aborted
    assert fixture.app_state.traffic.slow_consumers_dropped == 1


async def test_one_that_takes_nothing_is_cut() -> None:
    fixture = EdgeFixture(stall_timeout=2.0)
    client = await fixture.client().established()
    client.transport.buffered = 500
    client.connection.pause_writing()
    fixture.wait(2)
    assert not client.transport.is_aborted
    fixture.wait(0.75)
    assert client.transport.is_aborted


async def test_one_that_has_caught_up_is_left_alone() -> None:
    fixture = EdgeFixture(stall_timeout=2.0)
    client = await fixture.client().established()
    client.transport.buffered = 500
    client.connection.pause_writing()
    fixture.wait(1)
    client.connection.resume_writing()
    client.connection.check_writing(fixture.node_fixture.clock())
    fixture.wait(10)
    assert not client.transport.is_aborted


async def test_what_a_slow_reader_is_owed_is_kept_and_comes_in_order(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    client.connection.pause_writing()
    fixture.node_fixture.publish("a")
    client.feed(message("pusher:ping"))
    assert await client.told() == [], "the transport's buffer does not grow"
    client.subscribe("b")  # a subscription that begins meanwhile
    fixture.node_fixture.publish("b")
    assert await client.told() == []
    client.connection.resume_writing()
    assert await client.told() == ["pusher:pong", "event", SUCCESS, "event"]
    fixture.node_fixture.publish("a")
    assert await client.told() == ["event"]


async def test_a_reader_may_become_slow_again_while_it_catches_up(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    client.connection.pause_writing()
    for _ in range(3):
        fixture.node_fixture.publish("a", data="x" * 60_000)
        fixture.node_fixture.flush()
    client.transport.when_written = client.connection.pause_writing
    client.connection.resume_writing()
    assert await client.told() == ["event"]
    client.transport.when_written = None
    fixture.node_fixture.publish("a", data="last")
    fixture.node_fixture.flush()
    client.connection.resume_writing()
    assert await client.told() == ["event"] * 3


async def test_what_is_kept_counts_as_buffered() -> None:
    fixture = EdgeFixture(write_buffer_bytes=1_000)
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    client.connection.pause_writing()
    fixture.node_fixture.publish("a", data="x" * 800)
    fixture.node_fixture.flush()
    fixture.wait(0.25)
    assert not client.transport.is_aborted
    fixture.node_fixture.publish("a", data="x" * 800)
    fixture.node_fixture.flush()
    fixture.wait(0.25)
    assert client.transport.is_aborted


async def test_who_is_sent_away_while_it_is_slow_gets_everything_first(
    fixture: EdgeFixture,
) -> None:
    client = await fixture.client().established()
    client.subscribe("a")
    await client.read()
    client.connection.pause_writing()
    fixture.node_fixture.publish("a", data="1")
    fixture.node_fixture.flush()
    fixture.node_fixture.publish("a", data="2")
    client.connection.close(4200, "bye")
    assert await client.told() == ["event", "event", (4200, "bye"), ("close", 4200)]
    client.connection.pause_writing()
    fixture.wait(6)
    assert client.transport.is_aborted


async def test_a_deadline_that_meets_a_close_changes_nothing(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.connection.close(4200, "bye")
    fixture.wait(200)
    assert await client.told() == [(4200, "bye"), ("close", 4200)]


async def test_a_close_that_the_end_overtakes_says_nothing(fixture: EdgeFixture) -> None:
    client = await fixture.client().established()
    client.connection.close(4200, "bye")
    client.lose()
    assert await client.told() == []
    assert fixture.closed() == [1006]


@pytest.mark.parametrize("has_halves", [True, False])
async def test_after_a_broken_frame_nothing_is_read_for_its_meaning(
    fixture: EdgeFixture, has_halves: bool
) -> None:
    """TCP's half ends at once. TLS has none: it ends once nothing comes any more."""
    client = await fixture.client(has_halves=has_halves).established()
    client.feed(client_frame(BINARY, b"x"))
    assert await client.told() == [("close", 1003)]
    assert client.transport.is_half_closed is has_halves
    client.feed(client_frame(CLOSE, b"\x03\xeb"), message("pusher:ping"))
    assert await client.told() == []
    assert not client.transport.is_closed
    if not has_halves:
        await eventually(lambda: client.transport.is_closed)
    assert not client.transport.is_aborted


async def test_who_is_failed_while_nothing_is_read_is_read_again(fixture: EdgeFixture) -> None:
    """Else its end, and what it still sends, would meet a reset."""
    fixture.node_fixture.broker.subscribing.close()
    client = await fixture.client().established()
    for _ in range(100):
        client.subscribe("c")
    assert not client.transport.is_reading()
    client.connection.close(4200, "bye")
    await client.told()
    assert client.transport.is_reading()


@pytest.mark.parametrize(
    ("payload", "code"), [(b"", None), (b"\x03\xe8", 1000), (b"\x13\x87", 4999)]
)
async def test_a_close_between_fragments_is_no_fault(
    fixture: EdgeFixture, payload: bytes, code: int | None
) -> None:
    client = await fixture.client().established()
    client.feed(client_frame(TEXT, b'{"ev', fin=False), client_frame(CLOSE, payload))
    assert await client.told() == [("close", code)]
    assert fixture.closed() == [code or 1005]
    assert not fixture.node_fixture.told(ConnectionRefused)


async def test_nonsense_after_our_close_ends_it_and_counts_as_nothing_more(
    fixture: EdgeFixture,
) -> None:
    client = await fixture.client(has_halves=False).established()
    client.connection.close(4200, "bye")
    await client.told()
    client.feed(client_frame(BINARY, b"x"))
    assert client.transport.is_closed
    assert not fixture.node_fixture.told(ConnectionRefused)


async def test_a_client_that_has_reset_the_connection_meanwhile(
    fixture: EdgeFixture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio then raises for the end of our half: nobody is left to be told, and nothing is said of it."""
    client = await fixture.client().established()

    def gone() -> None:
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(client.transport, "write_eof", gone)
    client.connection.close(4100, "bye")
    await eventually(lambda: client.transport.is_closed)
    assert not caplog.records
    assert fixture.closed() == [4100]
