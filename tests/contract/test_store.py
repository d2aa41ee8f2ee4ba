"""What every store promises (`cluster.store`): one suite, on the model in memory and on the real ones.

Time is the store's own and passes when a test says so (`StoreHarness.wait`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pusher_server.cluster.commands import (
    SWEEP,
    Announcement,
    AnyCommand,
    Count,
    Enter,
    Fenced,
    Lookup,
    Publish,
    Recall,
    Released,
    Remember,
    Remembered,
    Renew,
    ReportGone,
    Retire,
    Scan,
    Snapshot,
    Subscribe,
    Tally,
    Track,
    Unsubscribe,
    Untrack,
)
from pusher_server.cluster.memory.announcements import AT_ONCE
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import RosterFull
from tests.contract.stores import (
    HARNESSES,
    LEASE,
    UNDO_WINDOW,
    StoreClient,
    StoreHarness,
    past_its_beginning,
)
from tests.support.waiting import eventually

A = "members:1:presence-a"
B = "members:1:presence-b"

Join = Callable[[str], Awaitable[StoreClient]]


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[StoreHarness]:
    async with request.param() as made:
        await past_its_beginning(made)
        yield made


@pytest.fixture
async def join(harness: StoreHarness) -> AsyncIterator[Join]:
    """Makes a node: an open link that has entered under this name; "" only listens."""
    made: list[StoreClient] = []

    async def join(holder: str) -> StoreClient:
        made.append(StoreClient(harness.link()))
        await made[-1].link.open()
        if holder:
            await made[-1].enter(holder)
        return made[-1]

    yield join
    for each in made:
        each.link.close()


async def hold(client: StoreClient, key: str, value: str = "", address: str = A) -> None:
    await client.do(Track(client.holder, address, key, value))


async def let_go(client: StoreClient, key: str, address: str = A) -> Released:
    return await client.do(Untrack(client.holder, address, key))


async def due(client: StoreClient) -> str:
    """What the next renewal gives to announce, as `+key` and `-key`."""
    told = (await client.renew()).due
    return " ".join(f"{'+' if each.held else '-'}{each.key}" for each in told)


async def announced(client: StoreClient) -> str:
    """The same, once what came before is confirmed."""
    client.confirmed = client.batch
    return await due(client)


async def quiet(client: StoreClient) -> None:
    """All that is due is announced and confirmed."""
    while await announced(client):
        pass


async def stay(client: StoreClient, *keys: str, address: str = A) -> None:
    """Hold the keys, with their joins announced."""
    for key in keys:
        await hold(client, key, address=address)
    await quiet(client)


# Holding and letting go


async def test_the_first_hold_is_a_transition_and_the_last_leave_is_one(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await other.do(Subscribe(A))
    first = await one.do(Track(one.holder, A, "k", "v"))
    assert (first.held_now, first.returned) == (True, False)
    second = await other.do(Track(other.holder, A, "k", "w"))
    assert (second.n, second.held_now) == (first.n, False)
    assert await let_go(one, "k") == Released(0, "")
    assert await let_go(other, "k") == Released(first.n + 1, "w")
    await other.heard(A, "+k -k")
    joined, left = other.transitions(A)
    assert (joined.n, joined.value, joined.first, joined.holder) == (first.n, "v", True, "one.1.1")
    assert (left.n, left.value, left.holder) == (first.n + 1, "w", "other.1.1")
    assert joined.epoch == left.epoch == one.entered.epoch == other.entered.epoch


async def test_a_repeat_changes_the_value_and_makes_no_transition(join: Join) -> None:
    one = await join("one.1.1")
    await one.do(Subscribe(A))
    await hold(one, "k", "v")
    repeated = await one.do(Track(one.holder, A, "k", "newer"))
    assert not repeated.held_now
    await one.heard(A, "+k")
    assert (await one.do(Snapshot(A))).entries == {"k": "newer"}
    assert (await one.do(Lookup(A, ["k"]))).by_key == {"k": {"one.1.1": "newer"}}


async def test_another_value_is_a_version_of_its_own_when_it_is_to_be_told(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await one.do(Subscribe(A))
    first = await one.do(Track(one.holder, A, "k", "v", tell=True))
    assert (await other.do(Track(other.holder, A, "k", "v", tell=True))).n == first.n
    told = await other.do(Track(other.holder, A, "k", "w", tell=True))
    assert (told.n, told.held_now) == (first.n + 1, False)
    await one.heard(A, "+k +k")
    update = one.transitions(A)[-1]
    assert (update.n, update.value, update.holder) == (told.n, "w", "other.1.1")
    assert [each.updated for each in one.transitions(A)] == [False, True]
    state = await one.do(Snapshot(A))
    assert (state.n, state.entries) == (told.n, {"k": "w"})


async def test_only_the_first_key_of_a_topic_is_its_first(join: Join) -> None:
    one = await join("one.1.1")
    await one.do(Subscribe(A))
    for key in ("a", "b"):
        await hold(one, key)
    for key in ("a", "b"):
        await let_go(one, key)
    await hold(one, "c")
    await one.heard(A, "+a +b -a -b +c")
    assert [each.first for each in one.transitions(A)] == [True, False, False, False, True]
    versions = [each.n for each in one.transitions(A)]
    assert versions == list(range(versions[0], versions[0] + 5))


async def test_a_version_never_comes_twice_though_topics_end(join: Join) -> None:
    one = await join("one.1.1")
    await one.do(Subscribe(A))
    for _ in range(3):
        await hold(one, "k")
        await let_go(one, "k")
        await hold(one, "k", address=B)
        await let_go(one, "k", address=B)
    await one.heard(A, "+k -k +k -k +k -k")
    versions = [each.n for each in one.transitions(A)]
    assert versions == sorted(set(versions))
    assert (await one.do(Snapshot(A))).n >= versions[-1]


async def test_a_limit_counts_other_keys_and_is_decided_at_once(join: Join) -> None:
    nodes = [await join(f"node{number}.1.1") for number in range(4)]
    tried = await asyncio.gather(
        *(each.do(Track(each.holder, A, each.holder, "", limit=2)) for each in nodes),
        return_exceptions=True,
    )
    assert [type(each) for each in tried if isinstance(each, Exception)] == [RosterFull, RosterFull]
    assert await nodes[0].do(Count(A)) == 2
    (held, *_) = (await nodes[0].do(Snapshot(A))).entries
    for each in nodes:
        assert not (await each.do(Track(each.holder, A, held, "", limit=2))).held_now


async def test_letting_go_what_one_does_not_hold_is_nothing(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await hold(other, "k")
    assert await let_go(one, "k") == Released(0, "")
    assert await let_go(one, "unknown") == Released(0, "")
    assert await one.do(Count(A)) == 1


async def test_keys_and_values_may_be_any_text(join: Join) -> None:
    one = await join("one.1.1")
    await one.do(Subscribe(A))
    texts = [
        "",
        " ",
        "é",
        "\x00",
        "a\x00b",
        "3:abc",
        "1",
        "💬" * 40,
        "x" * 70_000,
        "{b}",
        "*?[a]\\",
    ]
    for text in texts:
        await hold(one, text, text)
    assert (await one.do(Snapshot(A))).entries == {text: text for text in texts}
    await one.heard(A, " ".join(f"+{text}" for text in texts))
    assert [(each.key, each.value) for each in one.transitions(A)] == [(t, t) for t in texts]
    await one.do(Retire(one.holder))
    await one.heard(A, " ".join([f"{sign}{text}" for sign in "+-" for text in texts]))


# Joins, and leaves that may be undone


async def test_a_join_is_due_once_to_who_has_caused_it(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    tracked = await one.do(Track(one.holder, A, "k", ""))
    await hold(other, "k")
    assert await due(other) == ""  # who has caused it is alive, and will announce it
    told = await one.renew()
    version = f"{one.entered.epoch}.{tracked.n}"
    assert (told.due, told.batch) == ([Announcement(A, "k", held=True, version=version)], 1)
    assert await announced(one) == await due(other) == ""


async def test_joins_come_due_in_their_order(join: Join) -> None:
    one = await join("one.1.1")
    keys = [f"k{number * 7 % 20}" for number in range(20)]
    for key in keys:
        await hold(one, key)
    assert await due(one) == " ".join(f"+{key}" for key in keys)


async def test_a_join_whose_answer_was_lost_is_due_all_the_same(join: Join) -> None:
    """To the successor, which tells the store again what it holds."""
    one = await join("one.1.1")
    await hold(one, "k")
    after = await join("")
    await after.enter("one.1.2", succeeds="one.1.1")
    assert (await after.do(Track(after.holder, A, "k", ""))).unsure
    await after.do(Retire("one.1.1"))
    assert await due(after) == "+k"
    assert await announced(after) == ""
    assert not (await after.do(Track(after.holder, A, "k", ""))).unsure


async def test_nobody_relies_on_a_join_before_it_is_announced(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    first = await one.do(Track(one.holder, A, "k", ""))
    assert (first.held_now, first.returned, first.unsure) == (True, False, True)
    assert (await other.do(Track(other.holder, A, "k", ""))).unsure
    assert await due(one) == "+k"
    assert (await other.do(Track(other.holder, A, "k", ""))).unsure
    assert await announced(one) == ""
    assert not (await other.do(Track(other.holder, A, "k", ""))).unsure


async def test_a_leave_is_due_once_when_its_undo_window_has_passed(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await stay(one, "k")
    left = await let_go(one, "k")
    await harness.wait(UNDO_WINDOW - 0.1)
    assert await due(one) == ""
    await harness.wait(0.2)
    assert await due(other) == ""  # who has caused it is alive, and will announce it
    told = await one.renew()
    assert told.due == [Announcement(A, "k", version=f"{one.entered.epoch}.{left.n}")]
    assert await due(other) == ""
    assert await announced(one) == ""


async def test_a_short_stay_is_announced_whole_and_in_its_order(
    join: Join, harness: StoreHarness
) -> None:
    """The leave waits for the join to be confirmed, however late that is."""
    one = await join("one.1.1")
    await hold(one, "k")
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "+k"
    assert await due(one) == "+k"
    assert await announced(one) == "-k"
    assert await announced(one) == ""


async def test_a_return_within_the_window_is_told_and_the_leave_is_undone(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await other.do(Subscribe(A))
    await stay(one, "k")
    await let_go(one, "k")
    back = await other.do(Track(other.holder, A, "k", ""))
    assert (back.held_now, back.returned, back.unsure) == (True, True, False)
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == await due(other) == ""
    await other.heard(A, "+k -k +k")
    assert [each.returned for each in other.transitions(A)] == [False, False, True]


async def test_a_return_before_the_join_was_announced_leaves_one_join(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await hold(one, "k")
    await let_go(one, "k")
    back = await other.do(Track(other.holder, A, "k", ""))
    assert (back.returned, back.unsure) == (True, True)
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(other) == ""
    assert await due(one) == "+k"
    assert await announced(one) == await due(other) == ""


async def test_after_the_window_a_hold_is_new(join: Join, harness: StoreHarness) -> None:
    one = await join("one.1.1")
    await stay(one, "k")
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-k"
    assert await announced(one) == ""
    assert not (await one.do(Track(one.holder, A, "k", ""))).returned
    assert await due(one) == "+k"


async def test_while_a_leave_is_being_announced_a_hold_waits_for_it(
    join: Join, harness: StoreHarness
) -> None:
    """Else its join could be announced before that leave."""
    one, other = await join("one.1.1"), await join("other.1.1")
    await stay(one, "k")
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-k"
    assert (await other.do(Track(other.holder, A, "k", ""))).unsure
    assert await due(other) == ""
    assert await announced(one) == ""
    assert await due(other) == "+k"


async def test_a_leave_that_was_never_announced_is_undone_by_a_hold(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await stay(one, "k")
    confirmed = one.batch
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-k"
    assert (await other.do(Track(other.holder, A, "k", ""))).unsure
    await other.do(Retire("one.1.1", confirmed))
    assert await due(other) == ""
    assert not (await other.do(Track(other.holder, A, "k", ""))).unsure


async def test_again_says_that_a_key_has_returned(join: Join) -> None:
    one = await join("one.1.1")
    await one.do(Subscribe(A))
    told = await one.do(Track(one.holder, A, "k", "", again=True))
    assert (told.held_now, told.returned, told.unsure) == (True, True, False)
    await one.heard(A, "+k")
    assert one.transitions(A)[0].returned
    assert await due(one) == ""


async def test_again_counts_for_nothing_when_the_leave_was_announced(
    join: Join, harness: StoreHarness
) -> None:
    one = await join("one.1.1")
    await stay(one, "k")
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-k"
    assert await announced(one) == ""
    assert not (await one.do(Track(one.holder, A, "k", "", again=True))).returned
    assert await due(one) == "+k"


# After a loss of memory


async def doubting(join: Join) -> tuple[StoreClient, StoreClient]:
    """Two nodes, of which one knew another memory of the store."""
    one, other = await join("one.1.1"), await join("other.1.1")
    await one.enter("one.1.2", epoch="f00")
    return one, other


async def test_after_a_loss_news_wait_until_all_had_time_to_come_back(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await doubting(join)
    told = await one.do(Track(one.holder, A, "k", ""))
    assert (told.held_now, told.returned, told.unsure) == (True, False, True)
    assert await due(one) == await due(other) == ""
    await harness.wait(LEASE / 3)
    await one.renew(), await other.renew()
    await harness.wait(LEASE / 3)
    await one.renew(), await other.renew()
    await harness.wait(LEASE / 3 + 0.1)
    assert await due(other) == ""
    assert await due(one) == "+k"
    assert await announced(one) == ""
    assert not (await one.do(Track(one.holder, A, "k", ""))).unsure


async def test_in_its_first_lease_a_store_is_not_sure_who_was_there_before(
    join: Join, harness: StoreHarness
) -> None:
    """A node that is new as well may come back before those who knew another memory."""
    await harness.restart_empty()
    one = await join("one.1.1")
    for key in ("news", "known"):
        await hold(one, key)
    assert await due(one) == ""
    other = await join("")
    await other.enter("other.1.2", epoch="f00")
    await other.do(Track(other.holder, A, "known", "", again=True))
    for _ in range(3):
        await harness.wait(LEASE / 3 + 0.1)
        found = await due(one)
    assert found == "+news"


async def test_what_somebody_has_announced_before_is_no_news(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await doubting(join)
    assert (await one.do(Track(one.holder, A, "k", ""))).unsure
    assert not (await other.do(Track(other.holder, A, "k", "", again=True))).unsure
    assert not (await one.do(Track(one.holder, A, "k", ""))).unsure
    for _ in range(4):
        await harness.wait(LEASE / 3)
        assert await due(one) == await due(other) == ""


async def test_who_mourns_what_came_back_says_that_it_is_no_news(join: Join) -> None:
    one, other = await doubting(join)
    assert (await one.do(Track(one.holder, A, "k", ""))).unsure
    await other.do(ReportGone(A, "k"))
    assert not (await one.do(Track(one.holder, A, "k", ""))).unsure


async def test_of_what_may_be_no_news_the_leave_is_none(join: Join, harness: StoreHarness) -> None:
    one, _ = await doubting(join)
    assert (await one.do(Track(one.holder, A, "k", ""))).unsure
    assert (await let_go(one, "k")).n > 0
    for _ in range(4):
        await harness.wait(LEASE / 3)
        assert await due(one) == ""


async def test_leaves_come_due_in_their_order(join: Join, harness: StoreHarness) -> None:
    one = await join("one.1.1")
    keys = [f"k{number * 7 % 20}" for number in range(20)]
    await stay(one, *keys)
    await asyncio.gather(*(let_go(one, key) for key in keys))
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == " ".join(f"-{key}" for key in keys)


async def test_a_batch_has_an_end_and_the_next_one_goes_on(
    join: Join, harness: StoreHarness
) -> None:
    """Of a node that dies with thousands of members."""
    one = await join("one.1.1")
    keys = [f"k{number:04}" for number in range(AT_ONCE + 10)]
    await asyncio.gather(*(hold(one, key) for key in keys))
    for sign in "+-":
        first = (await due(one)).split()
        assert len(first) == AT_ONCE
        assert first + (await announced(one)).split() == [f"{sign}{key}" for key in keys]
        assert await announced(one) == ""
        if sign == "+":
            await asyncio.gather(*(let_go(one, key) for key in keys))
            await harness.wait(UNDO_WINDOW + 0.1)


async def test_a_batch_is_given_again_until_it_is_confirmed(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await hold(one, "a")
    first = await one.renew()
    assert (first.batch, [each.key for each in first.due]) == (1, ["a"])
    await hold(one, "b")
    await other.renew()  # keeps the store from thinking that all were silent
    again = await one.renew()
    assert (again.batch, again.due) == (1, first.due)
    one.confirmed = 1
    confirmed = await one.renew()
    assert (confirmed.batch, [each.key for each in confirmed.due]) == (2, ["b"])


async def test_what_a_predecessor_did_not_confirm_is_due_again(
    join: Join, harness: StoreHarness
) -> None:
    one = await join("one.1.1")
    await stay(one, "a", "b", "c")
    confirmed = one.batch
    for key in "ab":
        await let_go(one, key)
    await hold(one, "d")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "+d -a -b"
    after = await join("")
    await after.enter("one.1.2", succeeds="one.1.1", confirmed=confirmed)
    assert await due(after) == "+d -a -b"
    assert await due(one) == ""


async def test_what_a_predecessor_confirmed_in_time_is_settled(
    join: Join, harness: StoreHarness
) -> None:
    one = await join("one.1.1")
    await stay(one, "k")
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-k"
    after = await join("")
    await after.enter("one.1.2", succeeds="one.1.1", confirmed=one.batch)
    assert await due(after) == ""
    await after.do(Retire("one.1.1"))
    assert await due(after) == ""


async def test_what_a_dead_node_was_given_another_is_given(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await stay(one, "k")
    await let_go(one, "k")
    await hold(one, "new")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "+new -k"
    found: list[str] = []
    for _ in range(6):
        await harness.wait(LEASE / 3)
        found += (await announced(other)).split()
    assert found == ["+new", "-k", "-new"]


# Mourning


async def test_mourning_makes_a_leave_due_at_once_and_once(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    for each in (one, other):
        await each.do(ReportGone(A, "k"))
    assert await due(one) == "-k"
    await other.do(ReportGone(A, "k"))
    assert await due(other) == ""
    assert await announced(one) == ""


async def test_what_is_held_or_leaving_is_not_mourned(join: Join, harness: StoreHarness) -> None:
    one = await join("one.1.1")
    await stay(one, "held", "leaving")
    await let_go(one, "leaving")
    for key in ("held", "leaving"):
        await one.do(ReportGone(A, key))
    assert await due(one) == ""
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-leaving"


async def test_a_mourned_key_that_comes_back_before_it_was_told_has_returned(join: Join) -> None:
    one = await join("one.1.1")
    await one.do(ReportGone(A, "k"))
    assert (await one.do(Track(one.holder, A, "k", ""))).returned
    assert await due(one) == ""


async def test_what_is_mourned_after_a_loss_leaves_only_if_nobody_comes_back_with_it(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await doubting(join)
    for key in ("gone", "back"):
        await one.do(ReportGone(A, key))
    assert await due(one) == ""
    await harness.wait(LEASE / 2)
    await other.renew()
    assert (await other.do(Track(other.holder, A, "back", "", again=True))).returned
    await harness.wait(LEASE / 2 + 0.1)
    assert await due(one) + await due(other) == "-gone"


async def test_a_key_can_be_mourned_anew_after_it_was_held(
    join: Join, harness: StoreHarness
) -> None:
    one = await join("one.1.1")
    await one.do(ReportGone(A, "k"))
    assert await due(one) == "-k"
    assert await announced(one) == ""
    await stay(one, "k")
    await let_go(one, "k")
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await due(one) == "-k"


# Leases


async def silence(harness: StoreHarness, witness: StoreClient) -> None:
    """A lease passes, and all but the witness are silent."""
    for _ in range(4):
        await harness.wait(LEASE / 3)
        await witness.do(Renew(witness.holder, 1_000, {}))


def commands_of(holder: str) -> list[AnyCommand]:
    return [
        Track(holder, B, "new", ""),
        Track(holder, A, "k", ""),
        Untrack(holder, A, "k"),
        Renew(holder, 0, {}),
    ]


@pytest.mark.parametrize("number", range(4))
async def test_a_holder_without_a_lease_is_fenced(
    join: Join, harness: StoreHarness, number: int
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await hold(other, "k")
    for fenced in ("never.1.1", "one.1.1"):
        if fenced == one.holder:
            await silence(harness, other)
        with pytest.raises(Fenced):
            await one.do(commands_of(fenced)[number])
    assert (await one.do(Snapshot(B))).entries == {}
    assert (await one.do(Lookup(A, ["k"]))).by_key == {"k": {"other.1.1": ""}}


async def test_a_fenced_holder_enters_under_another_name(join: Join, harness: StoreHarness) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await silence(harness, other)
    await one.enter("one.1.2", succeeds="one.1.1")
    assert (await one.do(Track(one.holder, A, "k", ""))).held_now


async def test_renewing_keeps_a_lease(join: Join, harness: StoreHarness) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    for _ in range(6):
        await harness.wait(LEASE / 3)
        for each in (one, other):
            await each.renew()
    assert (await one.renew()).holders == 2


async def test_what_a_dead_node_held_is_released_once_and_comes_due(
    join: Join, harness: StoreHarness
) -> None:
    dead, one, other = [await join(f"{name}.1.1") for name in ("dead", "one", "other")]
    await one.do(Subscribe(A))
    await hold(dead, "only", "v")
    await hold(dead, "both")
    await hold(one, "both")
    for each in (dead, one):
        await quiet(each)
    swept: dict[str, int] = {}
    left: list[str] = []
    for _ in range(5):
        await harness.wait(LEASE / 3)
        for each in (one, other):
            each.confirmed = each.batch
            told = await each.renew()
            left += [at.key for at in told.due if not at.held]
            for holder, count in told.swept.items():
                swept[holder] = swept.get(holder, 0) + count
    assert swept == {"dead.1.1": 2}
    assert left == ["only"]
    await one.heard(A, "+only +both -only")
    assert one.transitions(A)[-1].holder == "dead.1.1"
    assert (await one.do(Lookup(A, ["both"]))).by_key == {"both": {"one.1.1": ""}}


async def test_a_large_dead_node_is_swept_in_steps(join: Join, harness: StoreHarness) -> None:
    dead, one = await join("dead.1.1"), await join("one.1.1")
    count = 2 * SWEEP + 1
    await asyncio.gather(*(hold(dead, f"k{number}") for number in range(count)))
    await one.do(Subscribe(A))
    for _ in range(2):
        await harness.wait(LEASE / 3)
        await one.renew()
    await harness.wait(LEASE / 2)
    steps = [await one.renew()]
    while steps[-1].more:
        steps.append(await one.renew())
    assert [each.swept["dead.1.1"] for each in steps] == [SWEEP, SWEEP, 1]
    assert (await one.renew()).swept == {}
    await one.heard(A, " ".join(f"-k{number}" for number in range(count)))
    assert await one.do(Count(A)) == 0


async def test_a_silence_of_all_costs_nobody_the_lease(join: Join, harness: StoreHarness) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await hold(one, "k")
    await harness.wait(5 * LEASE)
    assert (await other.renew()).swept == {}
    assert (await one.renew()).holders == 2
    await harness.wait(5 * LEASE)
    await (await join("")).enter("third.1.1")
    assert (await one.renew()).holders == 3
    assert await one.do(Count(A)) == 1


async def test_retiring_releases_in_steps_and_fences(join: Join, harness: StoreHarness) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    count = SWEEP + 1
    await asyncio.gather(*(hold(one, f"k{number}") for number in range(count)))
    await other.do(Subscribe(A))
    assert (await other.do(Retire(one.holder))).more
    with pytest.raises(Fenced):
        await hold(one, "late")
    assert not (await other.do(Retire(one.holder))).more
    assert not (await other.do(Retire(one.holder))).more
    await other.heard(A, " ".join(f"-k{number}" for number in range(count)))
    assert (await other.renew()).holders == 1
    keys = [f"k{number}" for number in range(count)]
    assert await due(other) == " ".join(f"+{key}" for key in keys)
    await harness.wait(UNDO_WINDOW + 0.1)
    assert await announced(other) == " ".join(f"-{key}" for key in keys)


async def test_a_successor_takes_keys_over_without_a_transition(join: Join) -> None:
    before, after = await join("one.1.1"), await join("")
    await hold(before, "kept")
    await hold(before, "gone")
    await after.enter("one.1.2", succeeds="one.1.1")
    await after.do(Subscribe(A))
    await hold(after, "kept")
    await after.do(Retire("one.1.1"))
    await after.heard(A, "-gone")


async def test_rivals_are_other_processes_of_the_same_node(
    join: Join, harness: StoreHarness
) -> None:
    await join("one.1.1")
    await join("other.1.1")
    assert (await join("one.1.2")).entered.rivals == []
    rival = await join("one.2.1")
    assert sorted(rival.entered.rivals) == ["one.1.1", "one.1.2"]
    await silence(harness, rival)
    assert (await join("one.3.1")).entered.rivals == ["one.2.1"]


# Questions


async def test_a_snapshot_has_the_order_of_joining_and_the_version(join: Join) -> None:
    one = await join("one.1.1")
    assert (await one.do(Snapshot(A))).entries == {}
    keys = [f"k{number * 7 % 30}" for number in range(30)]
    for key in keys:
        await hold(one, key)
    await let_go(one, keys[0])
    await hold(one, keys[1], "again")
    last = await one.do(Track(one.holder, A, keys[0], "back"))
    state = await one.do(Snapshot(A))
    assert list(state.entries) == [*keys[1:], keys[0]]
    assert state.entries[keys[1]] == "again"
    assert (state.epoch, state.n) == (one.entered.epoch, last.n)


async def test_lookup_tells_each_holder_and_only_what_is_held(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await hold(one, "a", "1")
    await hold(other, "a", "2")
    await hold(other, "b", "3")
    found = (await one.do(Lookup(A, ["b", "nobody", "a"]))).by_key
    assert found == {"a": {"one.1.1": "1", "other.1.1": "2"}, "b": {"other.1.1": "3"}}
    assert (await one.do(Lookup(A, []))).by_key == {}
    assert (await one.do(Lookup(B, ["a"]))).by_key == {}


async def test_a_scan_is_complete_in_pages(join: Join) -> None:
    one = await join("one.1.1")
    count = 2_500
    await asyncio.gather(*(hold(one, f"k{number}", str(number)) for number in range(count)))
    assert await one.do(Count(A)) == count
    found: dict[str, dict[str, str]] = {}
    pages = 0
    cursor = ""
    while cursor or not pages:
        page = await one.do(Scan(A, "", cursor))
        assert len(page.by_key) < count
        found |= page.by_key
        pages, cursor = pages + 1, page.cursor
    assert found == {f"k{number}": {"one.1.1": str(number)} for number in range(count)}


@pytest.mark.parametrize("prefix", ["", "a", "a*", "[ab]", "\\", "?", "é"])
async def test_a_scan_takes_its_prefix_literally(join: Join, prefix: str) -> None:
    one = await join("one.1.1")
    keys = ["a", "a*", "ab", "b", "[ab]c", "\\", "\\a", "?", "é", "éa", "e"]
    for key in keys:
        await hold(one, key)
    page = await one.do(Scan(A, prefix))
    assert (set(page.by_key), page.cursor) == ({k for k in keys if k.startswith(prefix)}, "")


async def test_tallies_are_summed_over_who_lives(join: Join, harness: StoreHarness) -> None:
    one, other, third = [await join(f"{name}.1.1") for name in ("one", "other", "third")]
    await other.renew(x=5, y=1)
    await third.renew(x=7)
    told = await one.renew(x=100, z=3)
    assert told.elsewhere == {"x": 12, "y": 1}
    assert [await one.do(Tally(name)) for name in "xyzq"] == [112, 1, 3, 0]
    await other.renew(x=6)
    assert [await one.do(Tally(name)) for name in "xy"] == [113, 0]
    await silence(harness, one)
    assert await one.do(Tally("x")) == 0
    assert (await one.renew(x=1)).elsewhere == {}


# Publish and subscribe


async def test_who_has_subscribed_gets_what_is_published_in_order(join: Join) -> None:
    one, other, third = await join(""), await join(""), await join("")
    await one.do(Subscribe(A))
    await other.do(Subscribe(A))
    await other.do(Subscribe(B))
    for number in range(100):
        assert third.link.publish(Publish(A, b"a%d" % number))
        assert third.link.publish(Publish(B, b"b%d" % number))
    await third.do(Publish(B, b"end"))
    await eventually(lambda: (B, b"end") in other.pushes and len(one.pushes) == 100)
    assert one.pushes == [(A, b"a%d" % number) for number in range(100)]
    assert [body for at, body in other.pushes if at == A] == [body for _, body in one.pushes]
    assert third.pushes == []


async def test_publications_of_several_keep_the_order_of_each(join: Join) -> None:
    listener, one, other = await join(""), await join(""), await join("")
    await listener.do(Subscribe(A))
    for number in range(200):
        one.link.publish(Publish(A, b"1 %d" % number))
        other.link.publish(Publish(A, b"2 %d" % number))
    await eventually(lambda: len(listener.pushes) == 400)
    for who in (b"1", b"2"):
        numbers = [int(body[2:]) for _, body in listener.pushes if body[:1] == who]
        assert numbers == list(range(200))


async def test_after_unsubscribing_nothing_comes(join: Join) -> None:
    one, other = await join(""), await join("")
    await one.do(Subscribe(A))
    await one.do(Subscribe(B))
    await one.do(Unsubscribe(A))
    await other.do(Publish(A, b"no"))
    await other.do(Publish(B, b"yes"))
    await eventually(lambda: one.pushes == [(B, b"yes")])
    await one.do(Subscribe(A))
    await other.do(Publish(A, b"again"))
    await eventually(lambda: one.pushes[1:] == [(A, b"again")])


async def test_bodies_are_any_bytes_and_addresses_any_text(join: Join) -> None:
    one, other = await join(""), await join("")
    addresses = ["channel:1:é", "channel:a%3Ab:x;y", "channel:1:" + "n" * 200]
    bodies = [b"", b"\x00\r\n$5\r\n", bytes(range(256)), b"x" * 1_000_000]
    for address in addresses:
        await one.do(Subscribe(address))
        for body in bodies:
            await other.do(Publish(address, body))
    expected = [(address, body) for address in addresses for body in bodies]
    await eventually(lambda: len(one.pushes) == len(expected))
    assert one.pushes == expected


async def test_a_push_that_stands_after_an_answer_is_heard_after_it(join: Join) -> None:
    """And one that stands before an answer before it."""
    one = await join("one.1.1")
    await one.do(Subscribe(A))
    order: list[str] = []
    one.on_push = lambda address, body: order.append("push")  # type: ignore[method-assign] # listens in
    one.link.call(Count(B)).add_done_callback(lambda _: order.append("counted"))
    tracked = one.link.call(Track("one.1.1", A, "k", ""))
    tracked.add_done_callback(lambda _: order.append("tracked"))
    await eventually(lambda: len(order) == 3)
    assert order == ["counted", "push", "tracked"]


async def test_answers_come_in_the_order_of_the_calls(join: Join) -> None:
    one = await join("one.1.1")
    order: list[int] = []
    calls: list[AnyCommand] = [Count(A), Track("one.1.1", A, "k", ""), Recall(A), Snapshot(A)]
    for number, command in enumerate(calls * 5):
        one.link.call(command).add_done_callback(lambda _, number=number: order.append(number))
    await one.do(Count(A))
    await eventually(lambda: order == list(range(20)))


# The cache channels


async def test_what_is_remembered_is_published_too_and_recalled_for_its_time(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join(""), await join("")
    await one.do(Subscribe(A))
    assert await one.do(Recall(A)) == Remembered(b"", 0.0)
    await other.do(Remember(A, b"body", b"\x00cached", 60.0))
    await eventually(lambda: one.pushes == [(A, b"body")])
    found = await one.do(Recall(A))
    assert found.cached == b"\x00cached"
    assert 59.0 < found.ttl <= 60.0
    assert other.link.publish(Remember(A, b"body", b"newer", 60.0))
    await other.do(Count(A))
    assert (await one.do(Recall(A))).cached == b"newer"
    assert (await one.do(Recall(B))).cached == b""


async def test_an_apps_oldest_go_when_its_bytes_are_short_and_one_node_is_told(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    at = [f"channel:a%3Ab:cache-{i}" for i in range(10)]
    for address in at:
        await one.do(Remember(address, b"", b"x" * 1_000, 60.0, 5_000))
    await one.do(Remember("channel:2:cache", b"", b"x" * 1_000, 60.0))
    kept = [(await one.do(Recall(address))).cached != b"" for address in at]
    assert kept == [False] * 7 + [True] * 3
    assert (await one.do(Recall("channel:2:cache"))).cached != b""
    assert (await other.renew()).evicted == {"a:b": 7}
    assert (await one.renew()).evicted == {}


async def test_what_is_over_makes_room_and_is_not_evicted(
    join: Join, harness: StoreHarness
) -> None:
    one = await join("one.1.1")
    for i in range(3):
        await one.do(Remember(f"channel:1:{i}", b"", b"x" * 1_000, 0.05, 5_000))
    await harness.wait(0.1)
    for i in range(3):
        await one.do(Remember(f"channel:1:new-{i}", b"", b"x" * 1_000, 60.0, 5_000))
    for i in range(3):
        assert (await one.do(Recall(f"channel:1:new-{i}"))).cached
    assert (await one.renew()).evicted == {}


async def test_what_was_remembered_is_forgotten_in_time(join: Join, harness: StoreHarness) -> None:
    one = await join("")
    await one.do(Remember(A, b"", b"cached", 0.05))
    await harness.wait(0.1)

    async def forgotten() -> bool:
        return await one.do(Recall(A)) == Remembered(b"", 0.0)

    await eventually(forgotten)


# Accidents


async def test_a_store_that_comes_back_empty_has_another_epoch(
    join: Join, harness: StoreHarness
) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await one.do(Subscribe(A))
    await hold(one, "k")
    await harness.restart_empty()
    await eventually(lambda: len(one.lost) == len(other.lost) == 1)
    for each in (one, other):
        await each.link.open()
    with pytest.raises(Fenced):
        await one.renew()
    before = one.entered
    after = await one.enter("one.1.2", succeeds="one.1.1")
    assert after.epoch != before.epoch
    assert (await other.enter("other.1.2", succeeds="other.1.1")).epoch == after.epoch
    assert await one.do(Snapshot(A)) == await other.do(Snapshot(A))
    assert (await one.do(Snapshot(A))).entries == {}
    assert (await one.renew()).epoch == after.epoch
    # Subscriptions ended with the link.
    await other.do(Publish(A, b"unheard"))
    await one.do(Subscribe(A))
    await other.do(Track(other.holder, A, "k", "", again=True))
    await one.heard(A, "+k +k")
    assert (A, b"unheard") not in one.pushes
    assert one.transitions(A)[-1].epoch == after.epoch


async def test_a_link_that_is_not_open_refuses_and_drops(harness: StoreHarness) -> None:
    client = StoreClient(harness.link())
    for _ in range(2):
        with pytest.raises(ClusterUnavailable):
            await client.do(Count(A))
        assert not client.link.publish(Publish(A, b""))
        await client.link.open()
        await client.link.open()
        assert await client.do(Count(A)) == 0
        assert client.link.publish(Publish(A, b""))
        client.link.close()
        client.link.close()
    assert client.lost == []


async def test_closing_fails_open_answers_and_ends_subscriptions(join: Join) -> None:
    one, other = await join("one.1.1"), await join("other.1.1")
    await one.do(Subscribe(A))
    one.link.close()
    await one.link.open()
    await other.do(Publish(A, b""))
    assert await one.do(Count(A)) == 0
    assert one.pushes == []
    assert await one.renew() is not None


async def test_an_answer_that_nobody_waits_for_is_no_error(join: Join) -> None:
    one = await join("one.1.1")
    one.link.call(Renew("never.1.1", 0, {}))
    dropped = one.link.call(Count(A))
    dropped.cancel()
    assert await one.do(Enter("one.1.2")) is not None
