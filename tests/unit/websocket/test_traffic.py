"""What a client's connection counts, against the bytes that went over it."""

from pusher_server.protocol.errors import Code
from pusher_server.signals import ConnectionRefused, MessageRefused
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
