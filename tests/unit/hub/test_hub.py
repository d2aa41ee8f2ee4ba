"""The verbs: what each changes and what it answers."""

from pusher_server.app import App, AppKey
from pusher_server.hub.hub import Joined, Left
from pusher_server.protocol.channel_name import parse_channel_name
from pusher_server.protocol.frames import text_frame
from tests.support.fakes import FakeCallSoon
from tests.unit.hub.hub_fixture import APP, HubFixture, heard


def test_an_apps_space_is_made_once() -> None:
    fixture = HubFixture()
    other = App(id="2", keys=(AppKey(key="k", secret="s"),))
    assert fixture.hub.app_state(APP) is fixture.app_state
    assert fixture.hub.app_state(other) is not fixture.app_state
    assert set(fixture.hub.app_states) == {"1", "2"}


def test_an_app_that_comes_back_as_another_one_counts_as_it_is_now() -> None:
    fixture = HubFixture()
    again = App(id=APP.id, keys=(AppKey(key="new", secret="s"),))
    assert fixture.hub.app_state(again) is fixture.app_state
    assert fixture.app_state.app is again


def test_an_open_connection_is_found_by_its_name() -> None:
    fixture = HubFixture()
    client = fixture.client("1.1")
    assert fixture.app_state.connections == {"1.1": client}


def test_the_first_subscriber_makes_the_channel_and_the_last_one_ends_it() -> None:
    fixture = HubFixture()
    clients = [fixture.client("1.1"), fixture.client("1.2")]
    joined = [fixture.hub.subscribe(each, parse_channel_name("c")) for each in clients]
    assert joined == [
        Joined(clients[0].subscriptions["c"], True),
        Joined(clients[1].subscriptions["c"], False),
    ]
    assert len(fixture.app_state.channels["c"]) == 2
    assert fixture.hub.leave(joined[0].subscription) == Left(joined[0].subscription, False, False)
    assert fixture.hub.leave(joined[1].subscription) == Left(joined[1].subscription, True, False)
    assert fixture.app_state.channels == clients[0].subscriptions == {}


def test_closing_leaves_every_channel_and_writes_what_is_owed() -> None:
    fixture = HubFixture()
    client, other = fixture.crowd(2)
    fixture.join(client, "d")
    fixture.deliver("a")
    left = fixture.hub.close(client, settle=True)
    assert [(each.subscription.channel.name.text, each.last_here) for each in left] == [
        ("c", False),
        ("d", True),
    ]
    assert heard(client) == "ok a"
    assert fixture.app_state.connections == {"1.1": other}
    assert client.subscriptions == {}


def test_closing_a_connection_that_is_gone_writes_nothing() -> None:
    fixture = HubFixture()
    (client,) = fixture.crowd(1)
    fixture.deliver("a")
    fixture.hub.close(client, settle=False)
    fixture.loop.run()
    assert heard(client) == ""


def test_closing_one_that_was_never_opened_is_nothing() -> None:
    fixture = HubFixture()
    client = fixture.client("1.1")
    assert fixture.hub.close(client, settle=True) == []
    assert fixture.hub.close(client, settle=True) == []


def test_delivering_tells_how_many_are_owed() -> None:
    fixture = HubFixture()
    assert fixture.deliver("a") == 0
    assert not fixture.loop.callbacks
    fixture.crowd(2)
    fixture.pend(fixture.client("2.2"))
    assert fixture.deliver("a") == 3


def test_whom_an_event_came_from_is_not_among_its_recipients() -> None:
    fixture = HubFixture()
    fixture.crowd(2)
    fixture.client("3.3")
    assert fixture.deliver("a", skip="1.0") == 1
    assert fixture.deliver("a", skip="3.3") == 2  # not subscribed
    assert fixture.deliver("a", skip="9.9") == 2  # nobody here


def test_a_pending_subscriber_is_skipped_and_counted_alike() -> None:
    fixture = HubFixture()
    fixture.crowd(1)
    fixture.pend(fixture.client("2.2"))
    assert fixture.deliver("a", skip="2.2") == 1
    assert fixture.hub.deliver(fixture.app_state, "c", b"a", skip="2.2", hold=False) == 1
    assert fixture.hub.deliver(fixture.app_state, "c", b"a", hold=False) == 1


def test_what_is_delivered_is_counted_for_those_who_get_it() -> None:
    fixture = HubFixture()
    traffic = fixture.app_state.traffic
    fixture.crowd(2)
    admitted, refused = (fixture.pend(fixture.client(each)) for each in ("2.1", "2.2"))
    before, bytes_before = traffic.deliveries, traffic.bytes_sent
    frame = len(text_frame(b"a"))
    fixture.deliver("a", skip="1.0")
    assert traffic.deliveries - before == 1
    fixture.hub.activate(admitted, [])
    assert traffic.deliveries - before == 2
    fixture.hub.leave(refused)
    assert traffic.deliveries - before == 2
    assert traffic.bytes_sent - bytes_before == 2 * frame


def test_a_payload_is_framed_once_for_all() -> None:
    loop, framed = FakeCallSoon(), []

    def encode(payload: bytes) -> bytes:
        framed.append(payload)
        return b"\x81" + bytes([len(payload)]) + payload

    fixture = HubFixture()
    fixture.hub = type(fixture.hub)(loop, encode=encode)
    fixture.app_state = fixture.hub.app_state(APP)
    fixture.crowd(3)
    framed.clear()
    fixture.deliver("a")
    loop.run()
    assert framed == [b"a"]
