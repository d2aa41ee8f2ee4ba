"""The verbs: what each changes and what it answers."""

from pusher_server.app import App, AppKey
from pusher_server.hub.hub import Joined, Left
from pusher_server.protocol.channel_name import parse_channel_name
from tests.fakes import FakeCallSoon
from tests.unit.hub.house import APP, House, heard


def test_an_apps_space_is_made_once() -> None:
    house = House()
    other = App(id="2", keys=(AppKey(key="k", secret="s"),))
    assert house.hub.space(APP) is house.space
    assert house.hub.space(other) is not house.space
    assert set(house.hub.spaces) == {"1", "2"}


def test_an_app_that_comes_back_as_another_one_counts_as_it_is_now() -> None:
    house = House()
    again = App(id=APP.id, keys=(AppKey(key="new", secret="s"),))
    assert house.hub.space(again) is house.space
    assert house.space.app is again


def test_an_open_connection_is_found_by_its_name() -> None:
    house = House()
    client = house.client("1.1")
    assert house.space.connections == {"1.1": client}


def test_the_first_subscriber_makes_the_channel_and_the_last_one_ends_it() -> None:
    house = House()
    clients = [house.client("1.1"), house.client("1.2")]
    joined = [house.hub.subscribe(each, parse_channel_name("c")) for each in clients]
    assert joined == [
        Joined(clients[0].subscriptions["c"], True),
        Joined(clients[1].subscriptions["c"], False),
    ]
    assert len(house.space.channels["c"]) == 2
    assert house.hub.leave(joined[0].subscription) == Left(joined[0].subscription, False, False)
    assert house.hub.leave(joined[1].subscription) == Left(joined[1].subscription, True, False)
    assert house.space.channels == clients[0].subscriptions == {}


def test_closing_leaves_every_channel_and_writes_what_is_owed() -> None:
    house = House()
    client, other = house.crowd(2)
    house.join(client, "d")
    house.deliver("a")
    left = house.hub.close(client, settle=True)
    assert [(each.subscription.channel.name.text, each.last_here) for each in left] == [
        ("c", False),
        ("d", True),
    ]
    assert heard(client) == "ok a"
    assert house.space.connections == {"1.1": other}
    assert client.subscriptions == {}


def test_closing_a_connection_that_is_gone_writes_nothing() -> None:
    house = House()
    (client,) = house.crowd(1)
    house.deliver("a")
    house.hub.close(client, settle=False)
    house.loop.run()
    assert heard(client) == ""


def test_closing_one_that_was_never_opened_is_nothing() -> None:
    house = House()
    client = house.client("1.1")
    assert house.hub.close(client, settle=True) == []
    assert house.hub.close(client, settle=True) == []


def test_delivering_tells_how_many_are_owed() -> None:
    house = House()
    assert house.deliver("a") == 0
    assert not house.loop.callbacks
    house.crowd(2)
    house.pend(house.client("2.2"))
    assert house.deliver("a") == 3


def test_a_payload_is_framed_once_for_all() -> None:
    loop, framed = FakeCallSoon(), []

    def encode(payload: bytes) -> bytes:
        framed.append(payload)
        return b"\x81" + bytes([len(payload)]) + payload

    house = House()
    house.hub = type(house.hub)(loop, encode=encode)
    house.space = house.hub.space(APP)
    house.crowd(3)
    framed.clear()
    house.deliver("a")
    loop.run()
    assert framed == [b"a"]
