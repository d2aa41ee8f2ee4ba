"""Watchlists: who of the watched is online, at sign-in and ever after (docs/protocol/users.md#watchlist)."""

import asyncio

import pytest

from tests.support.fakes import FakeConnection
from tests.support.node import NodeFixture, events


@pytest.fixture
def fixture() -> NodeFixture:
    return NodeFixture(watchlist=True, limits={"watchlist": 3})


def item(name: str, *users: str) -> dict[str, object]:
    return {"name": name, "user_ids": list(users)}


def told(client: FakeConnection) -> list[object]:
    """The items of the one frame that a client took, which has no channel."""
    (message,) = client.take()
    assert message["event"] == "pusher_internal:watchlist_events"
    assert "channel" not in message
    return message["data"]["events"]  # type: ignore[no-any-return]


async def test_the_present_state_follows_the_sign_in(fixture: NodeFixture) -> None:
    await fixture.user("a")
    client = fixture.connect()
    await fixture.sign_in(client, "me", watchlist=["b", "a", "c"])
    success, state = client.take()
    assert success["event"] == "pusher:signin_success"
    assert state["data"]["events"] == [item("online", "a"), item("offline", "b", "c")]


async def test_what_is_empty_is_left_out(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.sign_in(client, "me", watchlist=["b"])
    assert client.take()[1]["data"]["events"] == [item("offline", "b")]


async def test_u7_the_first_one_online_and_the_last_one_offline(fixture: NodeFixture) -> None:
    watcher, stranger = await fixture.user("me", watchlist=["a"]), await fixture.user("you")
    tabs = [await fixture.user("a"), await fixture.user("a")]
    assert told(watcher) == [item("online", "a")]
    fixture.drop(tabs[0])
    assert watcher.take() == []
    fixture.drop(tabs[1])
    assert told(watcher) == [item("offline", "a")]
    assert stranger.take() == []


async def test_u6_a_list_that_is_too_long_is_cut_with_an_error(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.sign_in(client, "me", watchlist=list("abcd"))
    success, error, state = client.take()
    assert success["event"] == "pusher:signin_success"
    assert error["data"] == {
        "code": 4302,
        "message": "Watchlist limit exceeded. Only the first 3 user IDs are accepted.",
    }
    assert state["data"]["events"] == [item("offline", "a", "b", "c")]
    await fixture.user("d")
    assert client.take() == []
    await fixture.user("c")
    assert told(client) == [item("online", "c")]


async def test_a_limit_of_0_is_none() -> None:
    fixture = NodeFixture(watchlist=True, limits={"watchlist": 0})
    client = fixture.connect()
    await fixture.sign_in(client, "me", watchlist=[str(i) for i in range(500)])
    assert events(client.take()) == ["signin_success", "watchlist_events"]


async def test_who_watches_nobody_is_told_nothing(fixture: NodeFixture) -> None:
    client = fixture.connect()
    await fixture.sign_in(client, "me")
    assert events(client.take()) == ["signin_success"]


async def test_a_new_list_replaces_the_old_one(fixture: NodeFixture) -> None:
    client = await fixture.user("me", watchlist=["a"])
    await fixture.sign_in(client, "me", watchlist=["b"])
    client.take()
    await fixture.user("a")
    assert client.take() == []
    await fixture.user("b")
    assert told(client) == [item("online", "b")]


async def test_without_the_roster_the_list_is_not_watched(fixture: NodeFixture) -> None:
    fixture.roster.asking.is_away = True
    client = fixture.connect()
    await fixture.sign_in(client, "me", watchlist=["a"])
    assert events(client.take()) == ["signin_success"]


async def test_a_watcher_that_is_gone_is_forgotten(fixture: NodeFixture) -> None:
    client = await fixture.user("me", watchlist=["a", "b", "c", "d"])
    fixture.drop(client)
    app_state = fixture.node.hub.app_state(fixture.app)
    assert [app_state.users.watchers(each) for each in "abcd"] == [[]] * 4


async def test_a_watcher_is_forgotten_though_the_switch_has_been_turned_off(
    fixture: NodeFixture,
) -> None:
    client = await fixture.user("me", watchlist=["a"])
    fixture.change(watchlist=False)
    await fixture.sign_in(client, "me", watchlist=["b"])
    fixture.drop(client)
    assert fixture.node.hub.app_state(fixture.app).users.watchers("a") == []


async def test_who_is_gone_while_its_list_is_looked_up_watches_nobody(
    fixture: NodeFixture,
) -> None:
    fixture.roster.asking.close()
    client = fixture.connect()
    signing = asyncio.create_task(fixture.sign_in(client, "me", watchlist=["a"]))
    await fixture.roster.asking.reached()
    client.take()
    fixture.drop(client)
    fixture.roster.asking.open()
    await signing
    assert client.take() == []
    assert fixture.node.hub.app_state(fixture.app).users.watchers("a") == []


async def test_what_changes_while_the_list_is_looked_up_is_not_missed(
    fixture: NodeFixture,
) -> None:
    """The answer is older than the change: whoever is told `offline` last would be wrong."""
    fixture.roster.asking.close()
    client = fixture.connect()
    signing = asyncio.create_task(fixture.sign_in(client, "me", watchlist=["a"]))
    await fixture.roster.asking.reached()
    await fixture.user("a")
    fixture.roster.asking.open()
    await signing
    last = [item for message in client.take()[1:] for item in message["data"]["events"]][-1]
    assert last == item("online", "a")


async def test_the_switch_is_the_apps() -> None:
    fixture = NodeFixture()
    client = fixture.connect()
    await fixture.sign_in(client, "me", watchlist=["a"])
    await fixture.user("a")
    assert events(client.take()) == ["signin_success"]


async def test_an_id_with_a_lone_surrogate_is_left_out_and_the_client_is_told(
    fixture: NodeFixture,
) -> None:
    await fixture.user("b")
    client = fixture.connect()
    await fixture.sign_in(client, "a", watchlist=["cut \ud83d", "b"])
    _, told, states = client.take()
    assert told["event"] == "pusher:error"
    assert told["data"] == {
        "code": None,
        "message": r"Nobody has the user ID 'cut \ud83d' of the watchlist: it has a lone surrogate.",
    }
    assert states["data"] == {"events": [{"name": "online", "user_ids": ["b"]}]}
