"""A followed topic: the next transition, an old one, or proof that something was missed.

docs/decisions.md#versions-have-an-epoch
"""

import asyncio

import pytest

from pusher_server.cluster.commands import TopicState
from pusher_server.cluster.replica import Replica, Verdict
from pusher_server.cluster.wire import WIRE, Transitioned


def told(
    n: int, *, held: bool = True, first: bool = False, epoch: str = "a", key: str = "k"
) -> Transitioned:
    return Transitioned(WIRE, epoch, n, key, "", held, first, False, "one.1.1")


def known(n: int, *keys: str, with_entries: bool = True) -> Replica:
    replica = Replica("members:1:x", with_entries=with_entries)
    replica.adopt(TopicState("a", n, dict.fromkeys(keys, "") if with_entries else {}))
    return replica


def test_the_next_one_is_told_and_its_version_known() -> None:
    replica = known(5, "a")
    assert replica.judge(told(6)) is Verdict.NEXT
    assert (replica.n, replica.size) == (6, 2)
    assert replica.judge(told(7, held=False)) is Verdict.NEXT
    assert (replica.n, replica.size) == (7, 1)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_what_the_snapshot_contains_is_old(n: int) -> None:
    replica = known(5, "a")
    assert replica.judge(told(n)) is Verdict.OLD
    assert (replica.n, replica.size) == (5, 1)


def test_a_gap_or_another_memory_is_something_missed() -> None:
    assert known(5, "a").judge(told(7)) is Verdict.MISSED
    assert known(5, "a").judge(told(6, epoch="b")) is Verdict.MISSED
    assert known(5, "a").judge(told(9, first=True)) is Verdict.MISSED, "we know of somebody"
    assert known(5).judge(told(9)) is Verdict.MISSED, "somebody came before"


def test_an_empty_topic_may_start_at_a_higher_version() -> None:
    replica = known(5)
    assert replica.judge(told(90, first=True)) is Verdict.NEXT
    assert (replica.n, replica.size) == (90, 1)


def test_without_a_list_nobody_knows_whether_the_topic_was_empty() -> None:
    assert known(5, with_entries=False).judge(told(90, first=True)) is Verdict.MISSED
    assert known(5, with_entries=False).judge(told(6, first=True)) is Verdict.NEXT


def test_while_a_snapshot_is_awaited_transitions_are_kept_for_it() -> None:
    replica = known(5, "a")
    replica.unknown()
    assert replica.judge(told(6)) is Verdict.LATER
    assert [each.n for each in replica.arrived] == [6]
    replica.unknown()
    assert replica.arrived == [], "a further snapshot contains them"


async def test_who_waits_for_a_version_is_woken_by_it() -> None:
    replica = known(5, "a")
    loop = asyncio.get_running_loop()
    waiting = {n: loop.create_future() for n in (6, 7, 8)}
    replica.waiting += list(waiting.items())
    replica.judge(told(6))
    replica.judge(told(7))
    replica.reached()
    assert [n for n, each in waiting.items() if each.done()] == [6, 7]
    replica.release()
    assert waiting[8].done()
