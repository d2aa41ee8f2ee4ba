"""What clients and backends see of two nodes on one Redis: nothing. Real processes, one client on each."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from tests.cluster.servers import (
    COUNTED,
    SMALL,
    WATCHLIST,
    Node,
    all_name,
    clients_of,
    heard,
    members,
    reaches,
    settings,
)
from tests.conformance.api import Api
from tests.conformance.client import connected, opened, unique
from tests.support.redis_servers import RedisServer, until
from tests.support.waiting import eventually

COUNT = "pusher_internal:subscription_count"


def _is_attached(node: Node) -> bool:
    return "attached to " in node.log


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two nodes, for all tests of this module: nothing here harms them."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        redis.start()
        config = settings(redis={"url": f"redis://{redis.address}/0"})
        folder = tmp_path_factory.mktemp("spread")
        nodes = [stack.enter_context(Node(folder, config)) for _ in range(2)]
        for each in nodes:
            until(partial(_is_attached, each), "a node on its Redis")
        yield nodes
        for each in nodes:
            assert "Traceback" not in each.log, each.log


@pytest.fixture
async def apis(pair: list[Node]) -> AsyncIterator[list[Api]]:
    """The HTTP API of each node."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        yield [each.api(http) for each in pair]


async def test_an_event_reaches_everybody_once_but_the_excluded_socket(
    pair: list[Node], apis: list[Api]
) -> None:
    """Wherever it was published and wherever the excluded one is connected."""
    channel = unique("private-")
    async with clients_of(*pair, *pair) as clients:
        for client in clients:
            await client.subscribe(channel)
        for number, (api, excluded) in enumerate((a, c) for a in apis for c in clients):
            await api.publish(channel, f"e{number}", socket_id=excluded.socket_id)
            await api.publish(channel, f"mark{number}")
            for client in clients:
                if client is not excluded:
                    await client.expect(f"e{number}", channel)
                await client.expect(f"mark{number}", channel)


async def test_events_of_one_publisher_keep_their_order_on_every_node(
    pair: list[Node], apis: list[Api]
) -> None:
    channel = unique("a")
    async with clients_of(*pair) as clients:
        for client in clients:
            await client.subscribe(channel)
        for number in range(50):
            await apis[0].publish(channel, str(number))
        for client in clients:
            assert [(await client.receive()).event for _ in range(50)] == list(map(str, range(50)))


async def test_a_client_event_reaches_the_others_on_every_node(pair: list[Node]) -> None:
    channel = unique("presence-")
    async with clients_of(*pair, *pair) as clients:
        for number, client in enumerate(clients):
            await client.join(channel, f"u{number}")
            for before in clients[:number]:
                await heard(before, channel, f"+u{number}")
        sender, *others = clients
        await sender.send("client-x", channel=channel, data={"a": 1})
        for client in others:
            frame = await client.expect("client-x", channel)
            assert (frame.content, frame.user_id) == ({"a": 1}, "u0")
        await others[0].send("client-mark", channel=channel, data={})
        await sender.expect("client-mark", channel)


async def test_a_user_on_two_nodes_is_one_member(pair: list[Node], apis: list[Api]) -> None:
    channel = unique("presence-")
    async with clients_of(*pair) as watchers:
        await watchers[0].join(channel, "w0")
        assert (await watchers[1].join(channel, "w1"))["count"] == 2
        await heard(watchers[0], channel, "+w1")
        async with clients_of(*pair) as (one, other):
            await one.join(channel, "u", user_info={"name": "U"})
            for each in watchers:
                await heard(each, channel, "+u")
            assert (await other.join(channel, "u", user_info={"name": "U"}))["count"] == 3
            await one.unsubscribe(channel)
            await all_name(channel, ["u", "w0", "w1"], *apis)
            for each in watchers:
                await each.expect_nothing()
        for each in watchers:
            await heard(each, channel, "-u")
        await all_name(channel, ["w0", "w1"], *apis)
        await reaches(apis[0], channel, *watchers)


async def test_a_later_tab_elsewhere_changes_the_info_for_later_joiners(
    pair: list[Node], apis: list[Api]
) -> None:
    """Without a word to those who are there (docs/protocol/presence.md#later-info), and on both nodes."""
    channel = unique("presence-")
    async with clients_of(*pair, *pair) as (one, other, *late):
        await one.join(channel, "u", user_info="old")
        await other.join(channel, "u", user_info="new")
        await one.expect_nothing()
        for number, client in enumerate(late):
            assert (await client.join(channel, f"late{number}"))["hash"]["u"] == "new"


async def test_the_api_answers_for_the_cluster(pair: list[Node], apis: list[Api]) -> None:
    presence, public = unique("presence-"), unique("public-")
    async with clients_of(*pair, *pair) as clients:
        for number, client in enumerate(clients):
            await client.join(presence, f"u{number % 3}")
            await client.subscribe(public)
        expected = {
            presence: {"occupied": True, "subscription_count": 4, "user_count": 3},
            public: {"occupied": True, "subscription_count": 4},
        }

        async def right(api: Api) -> bool:
            found = [
                await api.read(f"/channels/{name}", f"info={','.join(list(answer)[1:])}")
                for name, answer in expected.items()
            ]
            return found == list(expected.values())

        for api in apis:
            await eventually(partial(right, api))
            assert await members(api, presence) == ["u0", "u1", "u2"]
            channels = (await api.read("/channels", "info=subscription_count"))["channels"]
            assert channels[public] == {"subscription_count": 4}
            answer = await api.publish(public, info="subscription_count")
            assert answer["channels"] == {public: {"subscription_count": 4}}

    async def vacated(api: Api) -> bool:
        return not {presence, public} & (await api.read("/channels"))["channels"].keys()

    for api in apis:
        await eventually(partial(vacated, api))


async def test_an_app_is_full_when_all_nodes_together_are(pair: list[Node]) -> None:
    """Three connections at the most; the third node to ask has none of its own yet."""

    async def is_refused(node: Node) -> bool:
        async with opened(node.target, SMALL) as client:
            frame = await client.receive()
            if frame.event == "pusher:connection_established":
                return False
            assert frame.data["code"] == 4100, frame.raw
            return True

    async def is_admitted(node: Node) -> bool:
        return not await is_refused(node)

    one, other = pair
    async with clients_of(one, app=SMALL):
        async with clients_of(one, one, app=SMALL):
            for node in (other, one):
                await eventually(partial(is_refused, node))
        await eventually(partial(is_admitted, other))
        async with clients_of(other, other, app=SMALL):
            for node in (one, other):
                await eventually(partial(is_refused, node))
    await eventually(partial(is_admitted, other))


async def test_connections_are_counted_on_all_nodes(pair: list[Node]) -> None:
    async with httpx.AsyncClient(trust_env=False) as http, clients_of(*pair, pair[0], app=COUNTED):
        for node in pair:
            api = node.api(http, COUNTED)

            async def right(api: Api = api) -> bool:
                return await api.read("/connections") == {"connections": 3}

            await eventually(right)


async def test_terminating_a_user_closes_its_connections_on_every_node(
    pair: list[Node], apis: list[Api]
) -> None:
    user = unique("user")
    async with clients_of(*pair, *pair) as clients:
        for client in clients[:3]:
            await client.sign_in(user)
        response = await apis[0].post(f"/users/{user}/terminate_connections", {})
        assert response.status_code == 200
        for client in clients[:3]:
            await client.expect_error(4009)
            assert (await client.expect_close())[0] == 4009
        await clients[3].expect_nothing()


async def test_an_event_to_a_user_reaches_its_connections_on_every_node(
    pair: list[Node], apis: list[Api]
) -> None:
    user = unique("user")
    channel = f"#server-to-user-{user}"
    async with clients_of(*pair) as clients:
        for client in clients:
            await client.sign_in(user)
        for api in apis:
            await reaches(api, channel, *clients)


async def test_a_watchlist_knows_users_of_every_node(pair: list[Node]) -> None:
    """Online once with the first connection anywhere, offline once after the last one."""
    friend, absent = unique("friend"), unique("absent")

    async def told(client: Any) -> dict[str, list[str]]:
        frame = await client.expect(WATCHLIST)
        return {event["name"]: event["user_ids"] for event in frame.content["events"]}

    async with clients_of(*pair) as watchers:
        for number, watcher in enumerate(watchers):
            await watcher.sign_in(f"{unique('me')}{number}", watchlist=[friend, absent])
            assert await told(watcher) == {"offline": [friend, absent]}
        async with connected(pair[0].target) as one:
            await one.sign_in(friend)
            for watcher in watchers:
                assert await told(watcher) == {"online": [friend]}
            async with connected(pair[1].target) as two, connected(pair[1].target) as late:
                await two.sign_in(friend)
                await late.sign_in(unique("me"), watchlist=[friend])
                assert await told(late) == {"online": [friend]}
            for watcher in watchers:
                await watcher.expect_nothing()
        for watcher in watchers:
            assert await told(watcher) == {"offline": [friend]}


async def test_the_subscription_count_is_that_of_all_nodes(pair: list[Node]) -> None:
    """The last number that everybody is told is the right one."""
    channel = unique("counted")

    async def told(client: Any, count: int) -> None:
        while (await client.expect(COUNT, channel)).content != {"subscription_count": count}:
            pass

    async with clients_of(*pair, app=COUNTED) as clients:
        for client in clients:
            await client.subscribe(channel)
        for client in clients:
            await told(client, 2)
        async with connected(pair[1].target, COUNTED) as third:
            await third.subscribe(channel)
            for client in (*clients, third):
                await told(client, 3)
        for client in clients:
            await told(client, 2)


@pytest.mark.parametrize("prefix", ["cache-", "private-cache-", "presence-cache-"])
async def test_a_cache_channel_remembers_for_all_nodes(
    pair: list[Node], apis: list[Api], prefix: str
) -> None:
    channel = unique(prefix)
    await apis[0].publish(channel, "old", "1")
    await apis[1].publish(channel, "last", '{"a":1}')
    for number, node in enumerate(pair):
        async with connected(node.target) as client:
            member = json.dumps({"user_id": f"u{number}"}) if "presence" in prefix else None
            await client.subscribe(channel, member)
            assert (await client.expect("last", channel)).data == '{"a":1}'

    async def seen(api: Api) -> bool:
        found = await api.read(f"/channels/{channel}", "info=cache")
        return bool(found["cache"]["data"] == '{"a":1}')

    assert [await seen(api) for api in apis] == [True, True]


async def test_a_crowd_joins_on_both_nodes_and_everybody_has_the_same_list(
    pair: list[Node], apis: list[Api]
) -> None:
    """60 clients at once, a third of them leaving again: at rest every view is the truth."""
    channel = unique("presence-")
    async with clients_of(*pair * 30) as clients:
        views: list[set[str]] = [set() for _ in clients]

        async def take_part(index: int) -> None:
            client = clients[index]
            views[index].update((await client.join(channel, f"u{index}"))["ids"])

        await asyncio.gather(*(take_part(index) for index in range(60)))
        for index in range(0, 60, 3):
            await clients[index].unsubscribe(channel)
        staying = [index for index in range(60) if index % 3]
        expected = sorted(f"u{index}" for index in staying)
        await all_name(channel, expected, *apis)
        await apis[0].publish(channel, "one")
        await apis[1].publish(channel, "other")
        for index in staying:
            marks = {"one", "other"}
            while marks or sorted(views[index]) != expected:
                frame = await clients[index].receive()
                marks.discard(frame.event)
                if frame.event.endswith("member_added"):
                    user = frame.content["user_id"]
                    assert user not in views[index], "told once"
                    views[index].add(user)
                elif frame.event.endswith("member_removed"):
                    views[index].remove(frame.content["user_id"])
            await clients[index].expect_nothing()
