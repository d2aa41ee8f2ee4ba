"""What one channel owes to whom: the four rules at the top of `hub.channel`."""

import pytest

from pusher_server.hub.batch import JOIN_BYTES, join
from pusher_server.hub.channel import HELD_BYTES, Channel
from pusher_server.protocol.channel_name import parse_channel_name
from tests.unit.hub.hub_fixture import HubFixture, heard


@pytest.fixture
def fixture() -> HubFixture:
    return HubFixture(chunk=2)


def test_nothing_is_written_before_the_flush(fixture: HubFixture) -> None:
    (client,) = fixture.crowd(1)
    fixture.deliver("a")
    assert heard(client) == ""
    fixture.loop.run()
    assert heard(client) == "a"


def test_what_gathers_in_one_turn_is_one_write(fixture: HubFixture) -> None:
    (client,) = fixture.crowd(1)
    for payload in "abc":
        fixture.deliver(payload)
    fixture.loop.run()
    assert heard(client) == "a b c"
    assert len(client.writes) == 1


def test_an_excluded_sender_gets_the_rest_of_the_batch(fixture: HubFixture) -> None:
    sender, other = fixture.crowd(2)
    for payload, skip in (("a", None), ("b", "1.0"), ("c", None), ("d", "1.0")):
        fixture.deliver(payload, skip=skip)
    fixture.loop.run()
    assert (heard(sender), heard(other)) == ("a c", "a b c d")
    assert len(sender.writes) == len(other.writes) == 1


def test_an_exclusion_of_somebody_who_is_not_subscribed_excludes_nobody(
    fixture: HubFixture,
) -> None:
    (client,) = fixture.crowd(1)
    fixture.client("9.9")
    fixture.deliver("a", skip="9.9")
    fixture.deliver("b", skip="0.0")
    fixture.loop.run()
    assert heard(client) == "a b"


def test_a_pending_subscription_gets_nothing_until_its_opening(fixture: HubFixture) -> None:
    client = fixture.client("1.1")
    subscription = fixture.pend(client)
    fixture.deliver("a")
    fixture.deliver("b")
    fixture.loop.run()
    assert heard(client) == ""
    assert (subscription.active, subscription.gone) == (False, False)
    fixture.hub.activate(subscription, [b"ok", b"last"])
    assert heard(client) == "ok last a b"
    assert subscription.active
    assert len(client.writes) == 1


def test_what_is_not_to_be_held_never_reaches_a_pending_subscription(fixture: HubFixture) -> None:
    (other,) = fixture.crowd(1)
    client = fixture.client("1.1")
    subscription = fixture.pend(client)
    fixture.hub.deliver(fixture.app_state, "c", b"added", hold=False)
    fixture.loop.run()
    fixture.hub.activate(subscription, [b"ok"])
    fixture.loop.run()
    assert (heard(client), heard(other)) == ("ok", "added")


def test_held_frames_know_their_event(fixture: HubFixture) -> None:
    subscription = fixture.pend(fixture.client("1.1"))
    fixture.hub.deliver(fixture.app_state, "c", b"a", event_id=7)
    fixture.hub.deliver(fixture.app_state, "c", b"b", event_id=8)
    assert [event_id for event_id, _ in subscription.held] == [7, 8]


def test_who_waits_for_too_much_is_sent_away_and_holds_nothing_more(fixture: HubFixture) -> None:
    """What other nodes keep us waiting for must not be filled by a busy channel."""
    client, other = fixture.client("1.1"), fixture.client("1.2")
    waiting = fixture.pend(client)
    fixture.deliver("x" * 3_000_000)  # one may be as large as it likes
    assert client.closed is None
    fixture.hub.leave(waiting)
    waiting, patient = fixture.pend(client), fixture.pend(other)
    for _ in range(10):
        fixture.deliver("x" * 200_000)
    fixture.hub.activate(patient, [b"ok"])
    for _ in range(10):
        fixture.deliver("x" * 200_000)
        assert sum(len(frame) for _, frame in waiting.held) <= HELD_BYTES
    assert client.closed == (4100, "The server could not answer in time")
    assert other.closed is None
    fixture.loop.run()
    assert len(other.payloads) == 21


def test_a_pending_sender_is_excluded_too(fixture: HubFixture) -> None:
    client = fixture.client("1.1")
    subscription = fixture.pend(client)
    fixture.deliver("a", skip="1.1")
    fixture.hub.activate(subscription, [b"ok"])
    fixture.loop.run()
    assert heard(client) == "ok"


def test_who_joins_gets_only_what_comes_after(fixture: HubFixture) -> None:
    (first,) = fixture.crowd(1)
    fixture.deliver("a")
    late = fixture.client("1.1")
    fixture.join(late)
    fixture.deliver("b")
    fixture.loop.run()
    assert (heard(first), heard(late)) == ("a b", "ok b")


def test_held_frames_are_not_sent_a_second_time(fixture: HubFixture) -> None:
    (first,) = fixture.crowd(1)
    late = fixture.client("1.1")
    subscription = fixture.pend(late)
    fixture.deliver("a")
    fixture.hub.activate(subscription, [b"ok"])
    fixture.deliver("b")
    fixture.loop.run()
    assert (heard(first), heard(late)) == ("a b", "ok a b")


def test_who_leaves_first_gets_what_is_owed(fixture: HubFixture) -> None:
    leaver, other = fixture.crowd(2)
    fixture.deliver("a")
    fixture.hub.leave(leaver.subscriptions["c"])
    fixture.deliver("b")
    fixture.loop.run()
    assert (heard(leaver), heard(other)) == ("a", "a b")


def test_who_is_gone_gets_nothing_more(fixture: HubFixture) -> None:
    leaver, other = fixture.crowd(2)
    fixture.deliver("a")
    fixture.hub.leave(leaver.subscriptions["c"], settle=False)
    fixture.loop.run()
    assert (heard(leaver), heard(other)) == ("", "a")


def test_who_leaves_and_comes_back_is_a_new_subscription(fixture: HubFixture) -> None:
    client, _ = fixture.crowd(2)
    fixture.deliver("a")
    fixture.hub.leave(client.subscriptions["c"])
    fixture.deliver("b")
    fixture.join(client)
    fixture.deliver("c")
    fixture.loop.run()
    assert heard(client) == "a ok c"


def test_leaving_while_pending_writes_nothing(fixture: HubFixture) -> None:
    client = fixture.client("1.1")
    subscription = fixture.pend(client)
    fixture.deliver("a")
    fixture.hub.leave(subscription)
    fixture.loop.run()
    assert heard(client) == ""
    assert subscription.gone
    assert not subscription.active


def test_a_large_channel_is_served_in_chunks(fixture: HubFixture) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a")
    served = []
    while fixture.loop.turn():
        served.append([heard(client) for client in clients].count("a"))
    assert served == [2, 4, 5]


def test_frames_queued_during_a_job_start_after_it(fixture: HubFixture) -> None:
    clients = fixture.crowd(3)
    fixture.deliver("a")
    fixture.loop.turn()
    fixture.deliver("b")
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b"] * 3


def test_a_job_serves_those_who_were_there_when_it_was_made(fixture: HubFixture) -> None:
    clients = fixture.crowd(3)
    fixture.deliver("a")
    fixture.loop.turn()
    late = fixture.client("2.1")
    fixture.join(late)
    fixture.hub.settle(late.subscriptions["c"])
    fixture.loop.run()
    assert heard(late) == "ok"
    assert [heard(client) for client in clients] == ["a"] * 3


def test_leaving_before_ones_turn_in_a_job(fixture: HubFixture) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a")
    fixture.loop.turn()
    fixture.deliver("b")
    for position in (0, 3):  # already served, and not yet
        fixture.hub.leave(clients[position].subscriptions["c"])
        assert heard(clients[position]) == "a b"
    fixture.hub.leave(clients[4].subscriptions["c"], settle=False)
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b", "a b", "a b", "a b", ""]


def test_an_exclusion_holds_in_a_job_and_for_who_settles(fixture: HubFixture) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a", skip="1.4")
    fixture.deliver("b", skip="1.3")
    fixture.loop.turn()
    fixture.deliver("c", skip="1.4")
    fixture.hub.settle(clients[4].subscriptions["c"])
    assert heard(clients[4]) == "b"
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b c", "a b c", "a b c", "a c", "b"]


def test_settling_writes_what_is_owed_once(fixture: HubFixture) -> None:
    clients = fixture.crowd(3)
    fixture.deliver("a")
    fixture.loop.turn()
    fixture.deliver("b")
    subscription = clients[2].subscriptions["c"]
    fixture.hub.settle(subscription)
    assert heard(clients[2]) == "a b"
    fixture.hub.settle(subscription)
    fixture.deliver("c")
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b c"] * 3


def test_a_pending_subscription_has_nothing_to_settle(fixture: HubFixture) -> None:
    client = fixture.client("1.1")
    subscription = fixture.pend(client)
    fixture.deliver("a")
    fixture.hub.settle(subscription)
    assert heard(client) == ""


def test_everybody_may_leave_in_the_middle_of_a_job(fixture: HubFixture) -> None:
    clients = fixture.crowd(4)
    fixture.deliver("a")
    fixture.loop.turn()
    for client in clients:
        fixture.hub.leave(client.subscriptions["c"])
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a"] * 4
    assert not fixture.app_state.channels


def test_everybody_may_leave_before_the_flush(fixture: HubFixture) -> None:
    (client,) = fixture.crowd(1)
    fixture.deliver("a")
    channel = client.subscriptions["c"].channel
    fixture.hub.leave(client.subscriptions["c"])
    fixture.loop.run()
    assert heard(client) == "a"
    assert not channel.scheduled


def test_only_pending_ones_make_no_work_for_the_flush(fixture: HubFixture) -> None:
    subscription = fixture.pend(fixture.client("1.1"))
    fixture.deliver("a")
    assert not subscription.channel.owes
    fixture.loop.run()
    assert not subscription.channel.scheduled


def test_joined_writes_are_cut_between_frames_near_64_kb() -> None:
    frames = [b"x" * 20_000] * 7
    assert [len(piece) for piece in join(frames)] == [60_000, 60_000, 20_000]
    large = [b"x" * (JOIN_BYTES + 1), b"y", b"z" * JOIN_BYTES]
    assert [len(piece) for piece in join(large)] == [JOIN_BYTES + 1, 1, JOIN_BYTES]
    assert join([b"a"]) == [b"a"]
    assert join([]) == []


def test_a_batch_of_several_pieces_reaches_everybody_in_order(fixture: HubFixture) -> None:
    fixture = HubFixture()
    clients = fixture.crowd(3)
    expected = []
    for letter in "abc":
        fixture.deliver(letter * 40_000)
        expected.append(letter * 40_000)
    fixture.loop.run()
    assert [heard(client) for client in clients] == [" ".join(expected)] * 3
    assert [len(client.writes) for client in clients] == [3] * 3


def test_who_is_last_of_a_user_is_told_by_the_channel(fixture: HubFixture) -> None:
    clients = [fixture.client(f"1.{i}") for i in range(3)]
    name = "presence-x"
    first, second, other = (
        fixture.pend(client, name, user) for client, user in zip(clients, "aab", strict=True)
    )
    channel = first.channel
    assert set(channel.users) == {"a", "b"}
    assert not fixture.hub.leave(first).last_of_user_here
    left = fixture.hub.leave(second)
    assert (left.last_of_user_here, left.last_here) == (True, False)
    assert set(channel.users) == {"b"}
    assert fixture.hub.leave(other) == (other, True, True)


def test_only_presence_channels_have_a_member_list() -> None:
    assert Channel(parse_channel_name("presence-x")).members is not None
    assert Channel(parse_channel_name("private-x")).members is None


def test_frames_that_come_while_a_large_channel_is_served_join_the_writes_to_come(
    fixture: HubFixture,
) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a")
    fixture.loop.turn()
    fixture.deliver("b")
    fixture.deliver("c")
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b c"] * 5
    assert [len(client.writes) for client in clients] == [2, 2, 1, 1, 1]


def test_an_excluded_sender_is_left_out_of_what_joins(fixture: HubFixture) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a", skip="1.3")
    fixture.loop.turn()
    for payload, skip in (("b", "1.0"), ("c", "1.3"), ("d", "1.4")):
        fixture.deliver(payload, skip=skip)
    fixture.loop.run()
    assert [heard(client) for client in clients] == [
        "a c d",
        "a b c d",
        "a b c d",
        "b d",
        "a b c",
    ]


def test_what_is_settled_between_two_rounds_is_not_written_again(fixture: HubFixture) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a")
    fixture.loop.turn()
    fixture.deliver("b")
    fixture.loop.turn()
    for client in clients:
        fixture.hub.settle(client.subscriptions["c"])
    assert [heard(client) for client in clients] == ["a b"] * 5
    fixture.deliver("c")
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b c"] * 5


def test_nothing_joins_for_somebody_who_has_joined_meanwhile(fixture: HubFixture) -> None:
    clients = fixture.crowd(5)
    fixture.deliver("a")
    fixture.loop.turn()
    late = fixture.client("2.1")
    fixture.join(late)
    fixture.deliver("b")
    fixture.loop.run()
    assert [heard(client) for client in clients] == ["a b"] * 5
    assert heard(late) == "ok b"


def test_a_job_ends_although_there_is_always_more(fixture: HubFixture) -> None:
    """It takes what one write holds; others queue up behind it, and nothing is kept for ever."""
    clients = fixture.crowd(3)
    for i in range(12):
        fixture.deliver(f"{i}:" + "x" * (JOIN_BYTES // 4))
        fixture.loop.turn()
    fixture.loop.run()
    for client in clients:
        assert [int(each.partition(b":")[0]) for each in client.payloads] == list(range(12))
        assert max(map(len, client.writes)) <= JOIN_BYTES


@pytest.mark.parametrize("index", [0, 4])
def test_a_redirected_write_counts_at_once(fixture: HubFixture, index: int) -> None:
    """A slow reader is found out inside a write; the job under way must not pass by what is kept for it."""
    clients = fixture.crowd(5)
    fixture.deliver("a")
    fixture.loop.turn()
    clients[index].writes = kept = []
    clients[index].subscriptions["c"].channel.redirect(clients[index].subscriptions["c"])
    fixture.deliver("b")
    fixture.loop.run()
    assert len(kept) == 1
    assert heard(clients[index]) == ("b" if index == 0 else "a b")
