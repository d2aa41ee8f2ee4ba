"""The queue of one webhook: order per channel, pauses, batches, room; and over random histories."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.webhooks.delivery.target_queue import (
    LEAST_ROOM,
    MOST_OPEN,
    ROOM,
    ROOM_OF_APP,
    WIDTH,
    Batch,
    Pace,
    TargetQueue,
    room_of,
)
from pusher_server.webhooks.outbox.interface import Entry, Pending


def pending(number: int, channel: str = "a", event: str = "{}") -> Pending:
    entry = Entry(
        id=f"e{number}", webhook="w", channel=channel, event=event, decided_at=float(number)
    )
    return Pending(f"{number:06}", entry)


def filled(*channels: str, now: float = 0.0) -> TargetQueue:
    queue = TargetQueue()
    for number, channel in enumerate(channels):
        assert queue.put(pending(number, channel), now)
    return queue


def ids(batch: Batch | None) -> list[str]:
    assert batch is not None
    return [each.entry.id for each in batch.pendings]


def attempt(queue: TargetQueue, now: float) -> Batch:
    """Take the next one and note the attempt, as a flight does."""
    batch = queue.next(now)
    assert batch is not None
    if not batch.attempts:
        batch.made_at = now
    batch.attempts += 1
    return batch


def test_events_of_a_channel_leave_one_after_the_other() -> None:
    queue = filled("a", "a", "b")
    first, other = queue.next(0.0), queue.next(0.0)
    assert ids(first) == ["e0"]
    assert ids(other) == ["e2"]
    assert queue.next(0.0) is None
    assert first is not None
    queue.done(first, 0.1)
    assert ids(queue.next(0.1)) == ["e1"]


def test_so_many_at_once_and_no_more() -> None:
    queue = filled(*(f"c{number}" for number in range(WIDTH + 1)))
    flying = [queue.next(0.0) for _ in range(WIDTH)]
    assert queue.next(0.0) is None
    assert queue.pause(0.0) is None
    assert flying[0] is not None
    queue.done(flying[0], 1.0)
    assert ids(queue.next(1.0)) == [f"e{WIDTH}"]


def test_what_failed_is_due_after_pauses_that_double_and_a_last_time_before_it_is_too_old() -> None:
    queue = filled("a", "a")
    now, begun = 0.0, []
    while True:
        batch = attempt(queue, now)
        begun.append(now)
        now += 0.5
        if not queue.failed(batch, now, silent=False):
            break
        pause = queue.pause(now)
        assert pause is not None
        assert queue.next(now + pause - 0.001) is None
        now += pause
    pauses = [later - earlier - 0.5 for earlier, later in pairwise(begun)]
    assert pauses[:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert begun[-1] == Pace().last_attempt == 289
    assert len(begun) == 11
    assert ids(queue.next(now)) == ["e1"], "what waited behind it goes on"


def test_other_channels_do_not_wait_for_one_that_fails() -> None:
    queue = filled("a", "b", "a")
    assert queue.failed(attempt(queue, 0.0), 0.0, silent=False)
    other = attempt(queue, 0.0)
    assert ids(other) == ["e1"]
    queue.done(other, 0.0)
    assert queue.next(0.5) is None
    assert ids(queue.next(1.0)) == ["e0"]


def test_a_target_that_gives_no_answer_is_asked_one_thing_at_a_time() -> None:
    queue = filled("a", "b", "c")
    assert queue.failed(attempt(queue, 0.0), 0.0, silent=True)
    one = attempt(queue, 0.0)
    assert queue.next(0.0) is None
    assert queue.failed(one, 0.0, silent=False)
    assert ids(queue.next(0.0)) == ["e2"]


def test_what_could_not_be_tried_loses_no_attempt() -> None:
    queue = filled("a")
    batch = queue.next(0.0)
    assert batch is not None
    queue.postpone(batch, 5.0)
    assert queue.next(4.9) is None
    assert queue.next(5.0) is batch
    assert batch.attempts == 0


def test_what_is_due_goes_before_what_is_new() -> None:
    queue = filled("a")
    failed = attempt(queue, 0.0)
    queue.failed(failed, 0.0, silent=False)
    queue.put(pending(7, "b"), 0.5)
    assert queue.next(1.0) is failed


def test_batches_gather_for_a_while_or_until_they_are_full() -> None:
    queue = TargetQueue()
    queue.configure(3, 0.05, ROOM)
    queue.put(pending(0, "a"), 1.0)
    queue.put(pending(1, "b"), 1.03)
    assert queue.next(1.04) is None
    assert queue.pause(1.04) == pytest.approx(0.01)
    assert ids(queue.next(1.05)) == ["e0", "e1"]
    for number, channel in enumerate("ccdd", start=2):
        queue.put(pending(number, channel), 2.0)
    assert ids(queue.next(2.0)) == ["e2", "e3", "e4"], "full at once, in order"
    assert queue.next(2.0) is None, "the rest of `d` waits for its beginning"


def test_a_batch_keeps_the_order_of_offering_across_channels() -> None:
    queue = TargetQueue()
    queue.configure(10, 0.0, ROOM)
    for number, channel in enumerate("abab"):
        queue.put(pending(number, channel), 0.0)
    assert ids(queue.next(0.0)) == ["e0", "e1", "e2", "e3"]


def test_what_waited_behind_a_batch_need_not_be_gathered_again() -> None:
    queue = TargetQueue()
    queue.configure(10, 0.05, ROOM)
    queue.put(pending(0), 0.0)
    batch = attempt(queue, 0.05)
    queue.put(pending(1), 0.06)
    assert queue.next(0.2) is None
    queue.done(batch, 0.2)
    assert ids(queue.next(0.2)) == ["e1"]


def test_no_more_than_there_is_room_for() -> None:
    queue = TargetQueue()
    assert queue.has_room
    large = "x" * (ROOM // 4)
    taken = [queue.put(pending(number, f"c{number}", large), 0.0) for number in range(5)]
    assert taken == [True, True, True, True, False]
    assert not queue.has_room
    for _ in range(3):
        queue.done(attempt(queue, 0.0), 0.0)
    assert queue.has_room


def test_room_that_becomes_less_is_given_back_before_more_is_taken() -> None:
    """As when the app gets more webhooks; one entry finds a place in any."""
    queue = TargetQueue()
    large = "x" * (ROOM // 4)
    assert [queue.put(pending(number, f"c{number}", large), 0.0) for number in range(3)] == [
        True
    ] * 3
    queue.configure(1, 0.0, ROOM // 4)
    for _ in range(3):
        assert not queue.put(pending(9, "c9", large), 0.0)
        assert not queue.has_room
        queue.done(attempt(queue, 0.0), 0.0)
    assert queue.has_room
    assert queue.put(pending(9, "c9", large), 0.0)
    assert not queue.put(pending(10, "c10", large), 0.0)
    queue.configure(1, 0.0, ROOM)
    assert queue.put(pending(10, "c10", large), 0.0)


def test_all_webhooks_of_an_app_share_its_room() -> None:
    assert room_of(0) == room_of(1) == room_of(8) == ROOM
    for number in range(1, ROOM_OF_APP // LEAST_ROOM + 1):
        assert number * room_of(number) <= ROOM_OF_APP
    assert room_of(1_000_000) == LEAST_ROOM, "of very many each has room for a few"


def told(number: int, kind: str, channel: str = "a", user: str = "") -> Pending:
    member = f',"user_id":"{user}"' if user else ""
    return pending(number, channel, f'{{"name":"{kind}","channel":"{channel}"{member}}}')


def offered(*pendings: Pending) -> TargetQueue:
    queue = TargetQueue()
    for each in pendings:
        assert queue.put(each, 0.0)
    return queue


def all_of(queue: TargetQueue) -> list[str]:
    """The ids of all that is sent, in order."""
    found = []
    while (batch := queue.next(0.0)) is not None:
        found += ids(batch)
        queue.done(batch, 0.0)
    assert queue.pause(0.0) is None
    return found


def test_what_undoes_an_entry_that_waits_is_not_sent_and_neither_is_that() -> None:
    queue = offered(
        told(0, "channel_occupied"),
        told(1, "member_added", user="u"),
        told(2, "member_added", user="v"),
        told(3, "client_event"),
        told(4, "member_removed", user="u"),
        told(5, "channel_vacated"),
        told(6, "channel_vacated", "b"),
    )
    assert sorted(queue.undone()) == ["000000", "000001", "000004", "000005"]
    assert queue.undone() == []
    assert all_of(queue) == ["e2", "e6", "e3"]


def test_the_latest_count_is_sent() -> None:
    queue = offered(*(told(number, "subscription_count", "ab"[number % 2]) for number in range(9)))
    assert len(queue.undone()) == 7
    assert sorted(all_of(queue)) == ["e7", "e8"]


def test_what_somebody_else_may_have_sent_is_not_undone() -> None:
    """A process that was killed may have sent the first, and its target believes it."""
    queue = TargetQueue()
    assert queue.put(told(0, "channel_occupied"), 0.0, may_have_been_sent=True)
    assert queue.put(told(1, "channel_vacated"), 0.0)
    assert queue.put(told(2, "channel_occupied"), 0.0)
    assert queue.put(told(3, "channel_vacated"), 0.0)
    assert queue.undone() == ["000002", "000003"]
    assert all_of(queue) == ["e0", "e1"]


def test_what_an_attempt_has_had_is_not_undone() -> None:
    queue = offered(told(0, "channel_occupied"))
    batch = attempt(queue, 0.0)
    assert queue.put(told(1, "channel_vacated"), 0.0)
    assert queue.failed(batch, 0.0, silent=False)
    assert queue.put(told(2, "channel_occupied"), 0.0)
    assert queue.put(told(3, "channel_vacated"), 0.0)
    assert queue.undone() == ["000002", "000003"]
    queue.done(attempt(queue, 1.0), 1.0)
    assert ids(queue.next(1.0)) == ["e1"]


def test_of_two_comings_in_a_row_the_leave_is_told() -> None:
    """They are told twice when a store has lost its memory."""
    queue = offered(*(told(number, "channel_occupied") for number in range(2)))
    assert queue.put(told(2, "channel_vacated"), 0.0)
    assert all_of(queue) == ["e0", "e1", "e2"]


def test_a_full_queue_takes_what_makes_room() -> None:
    queue = TargetQueue()
    number = 0
    while queue.put(told(number, "channel_occupied", f"c{number}"), 0.0):
        number += 1
    assert queue.put(told(number, "channel_vacated", "c0"), 0.0)
    assert queue.undone() == ["000000", f"{number:06}"]
    assert queue.put(told(number + 1, "channel_occupied", "d"), 0.0)


def test_parcels_that_wait_for_another_attempt_are_bounded() -> None:
    queue = filled(*(f"c{number}" for number in range(MOST_OPEN + 1)))
    for _ in range(MOST_OPEN):
        assert queue.failed(attempt(queue, 0.0), 0.0, silent=False)
    assert queue.next(0.0) is None
    queue.done(attempt(queue, 1.0), 1.0)
    while (batch := queue.next(1.0)) is not None:
        batch.attempts += 1
        queue.done(batch, 1.0)
    assert queue.pause(1.0) is None, "everything was sent"


CHANNELS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), CHANNELS),
        st.tuples(
            st.just("send"), st.sampled_from(["done", "failed", "silent", "postpone", "drop"])
        ),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.floats(0.0, 100.0)),
    ),
    max_size=80,
)


@given(steps=STEPS, batch=st.sampled_from([1, 3]))
def test_in_every_history_channels_keep_their_order_and_nothing_is_lost_or_doubled(
    steps: list[tuple[str, object]], batch: int
) -> None:
    """What leaves for good, whatever became of it before, is what was offered, channel by channel."""
    queue = TargetQueue()
    queue.configure(batch, 0.05 if batch > 1 else 0.0, ROOM)
    now, number = 0.0, 0
    offered: dict[str, list[str]] = defaultdict(list)
    over: dict[str, list[str]] = defaultdict(list)
    flying: list[Batch] = []

    def land(batch: Batch, how: str) -> None:
        is_over = True
        if how == "done":
            queue.done(batch, now)
        elif how == "drop":
            queue.drop(batch, now)
        elif how == "postpone":
            queue.postpone(batch, now + 1.0)
            is_over = False
        else:
            is_over = not queue.failed(batch, now, silent=how == "silent")
        if is_over:
            for each in batch.pendings:
                over[each.entry.channel].append(each.entry.id)

    def take() -> None:
        batch = queue.next(now)
        if batch is not None:
            if not batch.attempts:
                batch.made_at = now
            batch.attempts += 1
            flying.append(batch)
        busy = [channel for each in flying for channel in each.channels]
        assert len(busy) == len(set(busy)), "a channel is in one batch at a time"
        assert len(flying) <= WIDTH

    for step, value in steps:
        if step == "offer":
            channel = str(value)
            assert queue.put(pending(number, channel), now)
            offered[channel].append(f"e{number}")
            number += 1
        elif step == "take":
            for _ in range(int(str(value))):
                take()
        elif step == "send" and flying:
            land(flying.pop(0), str(value))
        elif step == "wait":
            now += float(str(value))
    while flying or queue.pause(now) is not None:
        now += queue.pause(now) or 0.0
        take()
        if flying:
            land(flying.pop(), "done")
    assert over == offered


def test_the_last_attempt_is_before_a_body_is_too_old() -> None:
    assert Pace().last_attempt < Pace().good_for < 300
    assert 0 < Pace(0.1, 0.1, 0.5).last_attempt < 0.5


def test_the_pace_can_be_another() -> None:
    pace = Pace(first=0.5, longest=3.0, good_for=20.0)
    assert [pace.pause(attempts) for attempts in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    queue = TargetQueue(pace)
    queue.put(pending(1), 0.0)
    batch = attempt(queue, 0.0)
    assert queue.failed(batch, 1.0, silent=False)
    assert queue.pause(1.0) == 0.5
    assert queue.next(1.5) is batch
    assert not queue.failed(batch, 19.0, silent=False)
