"""Presence: the tables of docs/protocol/presence.md, and the moments at which a list could go wrong."""

import json
from typing import Any

import pytest
from msgspec import structs

from pusher_server.interfaces import Transition, Version, members_topic
from pusher_server.protocol.errors import SubscriptionRefused
from pusher_server.protocol.messages import Subscribe
from pusher_server.signals import ChannelOccupied, ChannelVacated, MemberAdded, MemberRemoved
from tests.support.fakes import FakeConnection
from tests.support.node import UNDO_WINDOW, NodeFixture, events, sign

TOPIC = members_topic("1", "presence-x")


def members(message: dict[str, Any]) -> dict[str, Any]:
    """The hash of a success; ids and count must agree with it."""
    assert message["event"] == "pusher_internal:subscription_succeeded"
    presence = message["data"]["presence"]
    assert list(presence["hash"]) == presence["ids"]
    assert presence["count"] == len(presence["ids"])
    return presence["hash"]  # type: ignore[no-any-return]


async def refusal(
    fixture: NodeFixture, client: FakeConnection, data: str | None
) -> SubscriptionRefused:
    with pytest.raises(SubscriptionRefused) as caught:
        await fixture.join(client, "presence-x", data)
    assert client.take() == []
    assert "presence-x" not in client.subscriptions
    return caught.value


async def test_the_first_connection_of_a_user_is_told_to_the_others(fixture: NodeFixture) -> None:
    first = fixture.connect()
    await fixture.enter(first, "a", {"name": "A"})
    assert members(first.take()[0]) == {"a": {"name": "A"}}
    second = fixture.connect()
    await fixture.enter(second, "b", {"name": "B"})
    assert [members(each) for each in second.take()] == [{"a": {"name": "A"}, "b": {"name": "B"}}]
    assert first.take() == [
        {
            "event": "pusher_internal:member_added",
            "channel": "presence-x",
            "data": {"user_id": "b", "user_info": {"name": "B"}},
        }
    ]
    assert fixture.told() == [
        ChannelOccupied(app_id="1", channel="presence-x"),
        MemberAdded(app_id="1", channel="presence-x", user_id="a"),
        MemberAdded(app_id="1", channel="presence-x", user_id="b"),
    ]


async def test_further_connections_of_a_user_are_told_to_nobody(fixture: NodeFixture) -> None:
    first, other = await fixture.insider("a"), await fixture.insider("b")
    first.take()
    signals = len(fixture.told())
    second = fixture.connect()
    await fixture.enter(second, "a")
    assert members(second.take()[0]) == {"a": None, "b": None}
    fixture.unsubscribe(first, "presence-x")
    assert first.take() == other.take() == []
    fixture.wait(2 * UNDO_WINDOW)
    assert len(fixture.told()) == signals


async def test_the_last_one_of_a_user_is_told_at_once_and_to_webhooks_later(
    fixture: NodeFixture,
) -> None:
    tabs = [await fixture.insider("a"), await fixture.insider("a")]
    other = await fixture.insider("b")
    fixture.drop(tabs[0])
    fixture.drop(tabs[1])
    fixture.flush()
    assert other.take() == [
        {
            "event": "pusher_internal:member_removed",
            "channel": "presence-x",
            "data": {"user_id": "a"},
        }
    ]
    assert fixture.told(MemberRemoved) == []
    fixture.wait(UNDO_WINDOW)
    assert fixture.told(MemberRemoved) == [
        MemberRemoved(app_id="1", channel="presence-x", user_id="a")
    ]


async def test_a_reload_is_seen_by_clients_and_not_by_webhooks(fixture: NodeFixture) -> None:
    tab, other = await fixture.insider("a"), await fixture.insider("b")
    tab.take()
    fixture.drop(tab)
    fixture.wait(UNDO_WINDOW / 2)
    await fixture.insider("a")
    assert events(other.take()) == ["member_removed", "member_added"]
    fixture.wait(2 * UNDO_WINDOW)
    assert fixture.told(MemberAdded, MemberRemoved) == [
        MemberAdded(app_id="1", channel="presence-x", user_id="a"),
        MemberAdded(app_id="1", channel="presence-x", user_id="b"),
    ]


async def test_the_last_one_of_all_leaves_the_members_before_the_channel(
    fixture: NodeFixture,
) -> None:
    client = await fixture.insider("a")
    fixture.drop(client)
    fixture.wait(UNDO_WINDOW)
    assert fixture.told(MemberRemoved, ChannelVacated) == [
        MemberRemoved(app_id="1", channel="presence-x", user_id="a"),
        ChannelVacated(app_id="1", channel="presence-x"),
    ]
    assert fixture.roster.followed == []


async def test_a_number_and_its_text_are_one_user(fixture: NodeFixture) -> None:
    first = await fixture.insider(10)
    second = fixture.connect()
    await fixture.enter(second, "10")
    assert members(second.take()[0]) == {"10": None}
    assert first.take() == []


@pytest.mark.parametrize("info", [True, [], 0, "", {"a": 1.5}, "text"])
async def test_any_info_is_kept_as_it_is(fixture: NodeFixture, info: Any) -> None:
    other = await fixture.insider("b")
    client = fixture.connect()
    await fixture.enter(client, "a", info)
    assert members(client.take()[0]) == {"b": None, "a": info}
    assert other.take()[0]["data"] == {"user_id": "a", "user_info": info}


async def test_absent_info_is_null_in_the_list_and_left_out_of_member_added(
    fixture: NodeFixture,
) -> None:
    other = await fixture.insider("b")
    client = fixture.connect()
    await fixture.enter(client, "a")
    assert members(client.take()[0]) == {"b": None, "a": None}
    assert other.take()[0]["data"] == {"user_id": "a"}


@pytest.mark.parametrize(
    "data",
    ["not json", "[]", "{}", '{"user_id":null}', '{"user_id":""}', '{"user_id":1.0}', '"a"'],
)
async def test_data_that_names_nobody_is_refused_though_it_is_signed(
    fixture: NodeFixture, data: str
) -> None:
    refused = await refusal(fixture, fixture.connect(), data)
    assert (refused.kind, refused.status) == ("InvalidData", 400)
    assert fixture.told() == []


async def test_later_info_of_the_same_user_wins_and_is_told_to_nobody(fixture: NodeFixture) -> None:
    first = await fixture.insider("a", {"v": 1})
    second = fixture.connect()
    await fixture.enter(second, "a", {"v": 2})
    assert members(second.take()[0]) == {"a": {"v": 2}}
    assert first.take() == []
    assert await fixture.roster.lookup(TOPIC, ["a"]) == {"a": {"node": b'{"v": 2}'}}
    third = fixture.connect()
    await fixture.enter(third, "b")
    assert members(third.take()[0]) == {"a": {"v": 2}, "b": None}


async def test_without_channel_data_the_sign_in_says_who_it_is(fixture: NodeFixture) -> None:
    client = await fixture.user("u", user_info={"n": 1})
    await fixture.join(client, "presence-x")
    assert members(client.take()[0]) == {"u": {"n": 1}}


async def test_channel_data_goes_before_the_sign_in(fixture: NodeFixture) -> None:
    client = await fixture.user("u", user_info={"n": 1})
    await fixture.enter(client, "other")
    assert members(client.take()[0]) == {"other": None}


async def test_with_neither_there_is_nobody_to_be(fixture: NodeFixture) -> None:
    refused = await refusal(fixture, fixture.connect(), None)
    assert (refused.kind, refused.status) == ("InvalidData", 400)


async def test_a_full_channel_takes_only_users_that_are_in_it() -> None:
    fixture = NodeFixture(limits={"presence_members": 2})
    first, _ = await fixture.insider("a"), await fixture.insider("b")
    refused = await refusal(fixture, fixture.connect(), '{"user_id":"c"}')
    assert (refused.kind, refused.status) == ("LimitReached", 4100)
    tab = fixture.connect()
    await fixture.enter(tab, "a")
    assert members(tab.take()[0]) == {"a": None, "b": None}
    assert events(first.take()) == ["member_added"]


async def test_the_size_of_a_members_data_is_limited() -> None:
    fixture = NodeFixture(limits={"presence_member_bytes": 40})
    data = '{"user_id":"1","user_info":"%s"}'
    room = 40 - len(data % "")
    await fixture.join(fixture.connect(), "presence-x", data % ("x" * room))
    refused = await refusal(fixture, fixture.connect(), data % ("x" * (room + 1)))
    assert (refused.kind, refused.status) == ("LimitReached", 4301)
    assert (await refusal(fixture, fixture.connect(), data % ("é" * room))).status == 4301


async def test_the_size_of_signed_in_info_is_limited_too() -> None:
    fixture = NodeFixture(limits={"presence_member_bytes": 10})
    client = await fixture.user("u", user_info="x" * 9)
    assert (await refusal(fixture, client, None)).status == 4301


async def test_the_length_of_a_user_id_is_limited() -> None:
    fixture = NodeFixture(limits={"user_id_length": 3})
    await fixture.enter(fixture.connect(), "abc")
    refused = await refusal(fixture, fixture.connect(), '{"user_id":"abcd"}')
    assert (refused.kind, refused.status) == ("LimitReached", 4301)


async def test_a_second_subscribe_as_another_user_is_refused(fixture: NodeFixture) -> None:
    client, other = await fixture.insider("a"), await fixture.insider("b")
    client.take()
    data = '{"user_id":"c"}'
    with pytest.raises(SubscriptionRefused) as caught:
        await fixture.join(client, "presence-x", data)
    assert caught.value.kind == "InvalidData"
    await fixture.enter(client, "a", {"new": 1})
    assert members(client.take()[0]) == {"a": {"new": 1}, "b": None}
    assert other.take() == []


async def test_members_elsewhere_are_told_to_clients_and_to_no_observer_here(
    fixture: NodeFixture,
) -> None:
    client = await fixture.insider("a")
    signals = len(fixture.told())
    known = client.subscriptions["presence-x"].channel.members
    assert known is not None
    assert known.version is not None
    now = known.version
    there = Transition(
        topic=TOPIC,
        key="far",
        value=b'{"n":1}',
        held=True,
        version=Version(now.epoch, now.n + 1),
    )
    fixture.node.on_transition(there)
    fixture.flush()
    assert client.take()[0]["data"] == {"user_id": "far", "user_info": {"n": 1}}
    tab = fixture.connect()
    await fixture.enter(tab, "a")
    assert members(tab.take()[0]) == {"a": None, "far": {"n": 1}}
    fixture.node.on_transition(
        structs.replace(there, held=False, version=Version(now.epoch, now.n + 2))
    )
    fixture.flush()
    assert events(client.take()) == ["member_removed"]
    assert len(fixture.told()) == signals


async def test_a_proof_covers_the_data_exactly_as_it_stands(fixture: NodeFixture) -> None:
    client = fixture.connect()
    data = json.dumps({"user_id": "a"})
    auth = sign(client, "presence-x", data)
    with pytest.raises(SubscriptionRefused) as caught:
        await fixture.node.subscriptions.subscribe(
            client, Subscribe("presence-x", auth, data.replace(" ", ""))
        )
    assert caught.value.kind == "AuthError"


async def test_info_with_a_lone_surrogate_joins_as_a_replacement_character(
    fixture: NodeFixture,
) -> None:
    """Somebody's cut emoji must not make the list unreadable for everybody else."""
    witness = await fixture.insider("1")
    joiner = fixture.connect()
    await fixture.enter(joiner, "2", {"name": "cut \ud83d", "\ude00": ["\ud83d\ude00"]})
    info = {"name": "cut \ufffd", "\ufffd": ["\U0001f600"]}
    (success,) = joiner.take()
    assert success["data"]["presence"]["hash"] == {"1": None, "2": info}
    (added,) = witness.take()
    assert added["data"] == {"user_id": "2", "user_info": info}


async def test_a_user_id_with_a_lone_surrogate_is_refused_by_name(fixture: NodeFixture) -> None:
    with pytest.raises(SubscriptionRefused) as caught:
        await fixture.enter(fixture.connect(), "a\ud83d")
    assert (caught.value.kind, caught.value.status) == ("InvalidData", 400)
    assert caught.value.message == r"user_id has a lone surrogate: 'a\ud83d'"
