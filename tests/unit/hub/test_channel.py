"""What one channel owes to whom: the four rules at the top of `hub.channel`."""

import pytest

from pusher_server.hub.batch import JOIN_BYTES, join
from pusher_server.hub.channel import HELD_BYTES, Channel
from pusher_server.protocol.channel_name import parse_channel_name
from tests.unit.hub.hub_fixture import HubFixture, heard


@pytest.fixture
def house() -> HubFixture:
    return HubFixture(chunk=2)


def test_nothing_is_written_before_the_flush(house: HubFixture) -> None:
    (client,) = house.crowd(1)
    house.deliver("a")
    assert heard(client) == ""
    house.loop.run()
    assert heard(client) == "a"


def test_what_gathers_in_one_turn_is_one_write(house: HubFixture) -> None:
    (client,) = house.crowd(1)
    for payload in "abc":
        house.deliver(payload)
    house.loop.run()
    assert heard(client) == "a b c"
    assert len(client.writes) == 1


def test_an_excluded_sender_gets_the_rest_of_the_batch(house: HubFixture) -> None:
    sender, other = house.crowd(2)
    for payload, skip in (("a", None), ("b", "1.0"), ("c", None), ("d", "1.0")):
        house.deliver(payload, skip=skip)
    house.loop.run()
    assert (heard(sender), heard(other)) == ("a c", "a b c d")
    assert len(sender.writes) == len(other.writes) == 1


def test_an_exclusion_of_somebody_who_is_not_subscribed_excludes_nobody(house: HubFixture) -> None:
    (client,) = house.crowd(1)
    house.client("9.9")
    house.deliver("a", skip="9.9")
    house.deliver("b", skip="0.0")
    house.loop.run()
    assert heard(client) == "a b"


def test_a_pending_subscription_gets_nothing_until_its_opening(house: HubFixture) -> None:
    client = house.client("1.1")
    subscription = house.pend(client)
    house.deliver("a")
    house.deliver("b")
    house.loop.run()
    assert heard(client) == ""
    assert (subscription.active, subscription.gone) == (False, False)
    house.hub.activate(subscription, [b"ok", b"last"])
    assert heard(client) == "ok last a b"
    assert subscription.active
    assert len(client.writes) == 1


def test_what_is_not_to_be_held_never_reaches_a_pending_subscription(house: HubFixture) -> None:
    (other,) = house.crowd(1)
    client = house.client("1.1")
    subscription = house.pend(client)
    house.hub.deliver(house.app_state, "c", b"added", hold=False)
    house.loop.run()
    house.hub.activate(subscription, [b"ok"])
    house.loop.run()
    assert (heard(client), heard(other)) == ("ok", "added")


def test_held_frames_know_their_event(house: HubFixture) -> None:
    subscription = house.pend(house.client("1.1"))
    house.hub.deliver(house.app_state, "c", b"a", event_id=7)
    house.hub.deliver(house.app_state, "c", b"b", event_id=8)
    assert [event_id for event_id, _ in subscription.held] == [7, 8]


def test_who_waits_for_too_much_is_sent_away_and_holds_nothing_more(house: HubFixture) -> None:
    """What other nodes keep us waiting for must not be filled by a busy channel."""
    client, other = house.client("1.1"), house.client("1.2")
    waiting = house.pend(client)
    house.deliver("x" * 3_000_000)  # one may be as large as it likes
    assert client.closed is None
    house.hub.leave(waiting)
    waiting, patient = house.pend(client), house.pend(other)
    for _ in range(10):
        house.deliver("x" * 200_000)
    house.hub.activate(patient, [b"ok"])
    for _ in range(10):
        house.deliver("x" * 200_000)
        assert sum(len(frame) for _, frame in waiting.held) <= HELD_BYTES
    assert client.closed == (4100, "The server could not answer in time")
    assert other.closed is None
    house.loop.run()
    assert len(other.payloads) == 21


def test_a_pending_sender_is_excluded_too(house: HubFixture) -> None:
    client = house.client("1.1")
    subscription = house.pend(client)
    house.deliver("a", skip="1.1")
    house.hub.activate(subscription, [b"ok"])
    house.loop.run()
    assert heard(client) == "ok"


def test_who_joins_gets_only_what_comes_after(house: HubFixture) -> None:
    (first,) = house.crowd(1)
    house.deliver("a")
    late = house.client("1.1")
    house.join(late)
    house.deliver("b")
    house.loop.run()
    assert (heard(first), heard(late)) == ("a b", "ok b")


def test_held_frames_are_not_sent_a_second_time(house: HubFixture) -> None:
    (first,) = house.crowd(1)
    late = house.client("1.1")
    subscription = house.pend(late)
    house.deliver("a")
    house.hub.activate(subscription, [b"ok"])
    house.deliver("b")
    house.loop.run()
    assert (heard(first), heard(late)) == ("a b", "ok a b")


def test_who_leaves_first_gets_what_is_owed(house: HubFixture) -> None:
    leaver, other = house.crowd(2)
    house.deliver("a")
    house.hub.leave(leaver.subscriptions["c"])
    house.deliver("b")
    house.loop.run()
    assert (heard(leaver), heard(other)) == ("a", "a b")


def test_who_is_gone_gets_nothing_more(house: HubFixture) -> None:
    leaver, other = house.crowd(2)
    house.deliver("a")
    house.hub.leave(leaver.subscriptions["c"], settle=False)
    house.loop.run()
    assert (heard(leaver), heard(other)) == ("", "a")


def test_who_leaves_and_comes_back_is_a_new_subscription(house: HubFixture) -> None:
    client, _ = house.crowd(2)
    house.deliver("a")
    house.hub.leave(client.subscriptions["c"])
    house.deliver("b")
    house.join(client)
    house.deliver("c")
    house.loop.run()
    assert heard(client) == "a ok c"


def test_leaving_while_pending_writes_nothing(house: HubFixture) -> None:
    client = house.client("1.1")
    subscription = house.pend(client)
    house.deliver("a")
    house.hub.leave(subscription)
    house.loop.run()
    assert heard(client) == ""
    assert subscription.gone
    assert not subscription.active


def test_a_large_channel_is_served_in_chunks(house: HubFixture) -> None:
    clients = house.crowd(5)
    house.deliver("a")
    served = []
    while house.loop.turn():
        served.append([heard(client) for client in clients].count("a"))
    assert served == [2, 4, 5]


def test_frames_queued_during_a_job_start_after_it(house: HubFixture) -> None:
    clients = house.crowd(3)
    house.deliver("a")
    house.loop.turn()
    house.deliver("b")
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b"] * 3


def test_a_job_serves_those_who_were_there_when_it_was_made(house: HubFixture) -> None:
    clients = house.crowd(3)
    house.deliver("a")
    house.loop.turn()
    late = house.client("2.1")
    house.join(late)
    house.hub.settle(late.subscriptions["c"])
    house.loop.run()
    assert heard(late) == "ok"
    assert [heard(client) for client in clients] == ["a"] * 3


def test_leaving_before_ones_turn_in_a_job(house: HubFixture) -> None:
    clients = house.crowd(5)
    house.deliver("a")
    house.loop.turn()
    house.deliver("b")
    for position in (0, 3):  # already served, and not yet
        house.hub.leave(clients[position].subscriptions["c"])
        assert heard(clients[position]) == "a b"
    house.hub.leave(clients[4].subscriptions["c"], settle=False)
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b", "a b", "a b", "a b", ""]


def test_an_exclusion_holds_in_a_job_and_for_who_settles(house: HubFixture) -> None:
    clients = house.crowd(5)
    house.deliver("a", skip="1.4")
    house.deliver("b", skip="1.3")
    house.loop.turn()
    house.deliver("c", skip="1.4")
    house.hub.settle(clients[4].subscriptions["c"])
    assert heard(clients[4]) == "b"
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b c", "a b c", "a b c", "a c", "b"]


def test_settling_writes_what_is_owed_once(house: HubFixture) -> None:
    clients = house.crowd(3)
    house.deliver("a")
    house.loop.turn()
    house.deliver("b")
    subscription = clients[2].subscriptions["c"]
    house.hub.settle(subscription)
    assert heard(clients[2]) == "a b"
    house.hub.settle(subscription)
    house.deliver("c")
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b c"] * 3


def test_a_pending_subscription_has_nothing_to_settle(house: HubFixture) -> None:
    client = house.client("1.1")
    subscription = house.pend(client)
    house.deliver("a")
    house.hub.settle(subscription)
    assert heard(client) == ""


def test_everybody_may_leave_in_the_middle_of_a_job(house: HubFixture) -> None:
    clients = house.crowd(4)
    house.deliver("a")
    house.loop.turn()
    for client in clients:
        house.hub.leave(client.subscriptions["c"])
    house.loop.run()
    assert [heard(client) for client in clients] == ["a"] * 4
    assert not house.app_state.channels


def test_everybody_may_leave_before_the_flush(house: HubFixture) -> None:
    (client,) = house.crowd(1)
    house.deliver("a")
    channel = client.subscriptions["c"].channel
    house.hub.leave(client.subscriptions["c"])
    house.loop.run()
    assert heard(client) == "a"
    assert not channel.scheduled


def test_only_pending_ones_make_no_work_for_the_flush(house: HubFixture) -> None:
    subscription = house.pend(house.client("1.1"))
    house.deliver("a")
    assert not subscription.channel.owes
    house.loop.run()
    assert not subscription.channel.scheduled


def test_joined_writes_are_cut_between_frames_near_64_kb() -> None:
    frames = [b"x" * 20_000] * 7
    assert [len(piece) for piece in join(frames)] == [60_000, 60_000, 20_000]
    large = [b"x" * (JOIN_BYTES + 1), b"y", b"z" * JOIN_BYTES]
    assert [len(piece) for piece in join(large)] == [JOIN_BYTES + 1, 1, JOIN_BYTES]
    assert join([b"a"]) == [b"a"]
    assert join([]) == []


def test_a_batch_of_several_pieces_reaches_everybody_in_order(house: HubFixture) -> None:
    house = HubFixture()
    clients = house.crowd(3)
    expected = []
    for letter in "abc":
        house.deliver(letter * 40_000)
        expected.append(letter * 40_000)
    house.loop.run()
    assert [heard(client) for client in clients] == [" ".join(expected)] * 3
    assert [len(client.writes) for client in clients] == [3] * 3


def test_who_is_last_of_a_user_is_told_by_the_channel(house: HubFixture) -> None:
    clients = [house.client(f"1.{i}") for i in range(3)]
    name = "presence-x"
    first, second, other = (
        house.pend(client, name, user) for client, user in zip(clients, "aab", strict=True)
    )
    channel = first.channel
    assert set(channel.users) == {"a", "b"}
    assert not house.hub.leave(first).last_of_user_here
    left = house.hub.leave(second)
    assert (left.last_of_user_here, left.last_here) == (True, False)
    assert set(channel.users) == {"b"}
    assert house.hub.leave(other) == (other, True, True)


def test_only_presence_channels_have_a_member_list() -> None:
    assert Channel(parse_channel_name("presence-x")).members is not None
    assert Channel(parse_channel_name("private-x")).members is None


def test_frames_that_come_while_a_large_channel_is_served_join_the_writes_to_come(
    house: HubFixture,
) -> None:
    clients = house.crowd(5)
    house.deliver("a")
    house.loop.turn()
    house.deliver("b")
    house.deliver("c")
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b c"] * 5
    assert [len(client.writes) for client in clients] == [2, 2, 1, 1, 1]


def test_an_excluded_sender_is_left_out_of_what_joins(house: HubFixture) -> None:
    clients = house.crowd(5)
    house.deliver("a", skip="1.3")
    house.loop.turn()
    for payload, skip in (("b", "1.0"), ("c", "1.3"), ("d", "1.4")):
        house.deliver(payload, skip=skip)
    house.loop.run()
    assert [heard(client) for client in clients] == [
        "a c d",
        "a b c d",
        "a b c d",
        "b d",
        "a b c",
    ]


def test_what_is_settled_between_two_rounds_is_not_written_again(house: HubFixture) -> None:
    clients = house.crowd(5)
    house.deliver("a")
    house.loop.turn()
    house.deliver("b")
    house.loop.turn()
    for client in clients:
        house.hub.settle(client.subscriptions["c"])
    assert [heard(client) for client in clients] == ["a b"] * 5
    house.deliver("c")
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b c"] * 5


def test_nothing_joins_for_somebody_who_has_joined_meanwhile(house: HubFixture) -> None:
    clients = house.crowd(5)
    house.deliver("a")
    house.loop.turn()
    late = house.client("2.1")
    house.join(late)
    house.deliver("b")
    house.loop.run()
    assert [heard(client) for client in clients] == ["a b"] * 5
    assert heard(late) == "ok b"


def test_a_job_ends_although_there_is_always_more(house: HubFixture) -> None:
    """It takes what one write holds; others queue up behind it, and nothing is kept for ever."""
    clients = house.crowd(3)
    for i in range(12):
        house.deliver(f"{i}:" + "x" * (JOIN_BYTES // 4))
        house.loop.turn()
    house.loop.run()
    for client in clients:
        assert [int(each.partition(b":")[0]) for each in client.payloads] == list(range(12))
        assert max(map(len, client.writes)) <= JOIN_BYTES


@pytest.mark.parametrize("index", [0, 4])
def test_a_redirected_write_counts_at_once(house: HubFixture, index: int) -> None:
    """A slow reader is found out inside a write; the job under way must not pass by what is kept for it."""
    clients = house.crowd(5)
    house.deliver("a")
    house.loop.turn()
    clients[index].writes = kept = []
    clients[index].subscriptions["c"].channel.redirect(clients[index].subscriptions["c"])
    house.deliver("b")
    house.loop.run()
    assert len(kept) == 1
    assert heard(clients[index]) == ("b" if index == 0 else "a b")
