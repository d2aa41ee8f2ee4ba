"""Which events go when too many wait, and what is said of it."""

import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.webhooks.outbox.overflow import Overflow, Waiting, shares, to_drop


def test_it_is_said_once_a_minute_with_all_that_was_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    crowding = Overflow(20, 3_000, lambda: now)
    with caplog.at_level(logging.ERROR):
        crowding.note({})
        assert not caplog.records
        crowding.note({"1": 3, "2": 1})
        crowding.note({"1": 5})
        now += 59
        crowding.note({"1": 5})
        now += 1
        crowding.note({"1": 1})
    first, second = (each.getMessage() for each in caplog.records)
    assert (
        "of an app, more than 20 events waited, or events of more than 3000 bytes waited (4 of"
        in first
    )
    assert "webhooks.waiting and webhooks.waiting_bytes let more wait" in first, (
        "what helps is said, too"
    )
    assert "(11 of those of which most waited)" in second
    assert caplog.records[0].__dict__["apps"] == "1, 2"


WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 30), min_size=1)


@given(weights=WEIGHTS, excess=st.integers(0, 100))
def test_the_heaviest_are_levelled_and_nobody_gives_while_another_has_more(
    weights: dict[str, int], excess: int
) -> None:
    found = shares(weights, excess)
    assert sum(found.values()) == min(excess, sum(weights.values()))
    left = {name: weight - found.get(name, 0) for name, weight in weights.items()}
    assert min(left.values()) >= 0
    for giver in found:
        assert max(left.values()) <= left[giver] + 1


def waiting(*told: tuple[str, str, str], weight: int = 1) -> list[Waiting]:
    return [Waiting(number, *each, weight) for number, each in enumerate(told)]


def test_one_app_does_not_push_out_another() -> None:
    found = waiting(("small", "k", "c"), *[("large", "k", f"c{n}") for n in range(20)])
    assert to_drop(found, 10) == list(range(1, 11))


def test_one_kind_does_not_push_out_another() -> None:
    flood = [("1", "channel_occupied", f"c{n}") for n in range(20)]
    found = waiting(("1", "client_event", "c1"), ("1", "member_added", "c2"), *flood)
    assert to_drop(found, 15) == list(range(2, 17))


def test_one_channel_does_not_push_out_another_of_its_kind() -> None:
    flood = [("1", "client_event", "flooded")] * 20
    found = waiting(("1", "client_event", "calm"), *flood, ("1", "client_event", "late"))
    assert to_drop(found, 18) == list(range(1, 19))


def test_of_equals_the_oldest_go() -> None:
    found = waiting(*[("1", "k", f"c{n}") for n in range(10)], weight=1_000)
    assert to_drop(found, 2_500) == [0, 1, 2]


@given(
    told=st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("kl"), st.sampled_from("xyz"))),
    excess=st.integers(1, 60),
)
def test_as_much_goes_as_must_and_no_item_more(
    told: list[tuple[str, str, str]], excess: int
) -> None:
    found = to_drop(waiting(*told), excess)
    assert len(found) == len(set(found)) == min(excess, len(told))
    left = Counter(app for number, (app, _, _) in enumerate(told) if number not in set(found))
    for number in found:
        assert max(left.values(), default=0) <= left[told[number][0]] + 1
