"""What every outbox does with floods, and under clocks that are set: on a file and on real Redis servers."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from pusher_server.webhooks.outbox.interface import Appended, Decision, Entry, Outbox
from tests.contract.test_outbox import (
    LETTERS,
    WAITING,
    OutboxHarness,
    decided,
    harness,
    outbox,
    waiting,
)
from tests.support.fakes import FakeClock

__all__ = ["harness", "outbox"]

_numbers = iter(range(1, 1_000_000))


def event(kind: str, channel: str, *, user: str = "", webhook: str = "w", name: str = "") -> Entry:
    """One for a webhook, as `payloads` writes it; its id begins with `name`."""
    number = next(_numbers)
    told = {"name": kind, "channel": channel} | ({"user_id": user} if user else {})
    text = json.dumps(told, separators=(",", ":"))
    return Entry(name or f"{kind}-{channel}-{number}", webhook, channel, text, float(number))


async def kinds(outbox: Outbox) -> list[str]:
    """Kinds and channels that wait, in order."""
    found = [each.entry for each in await outbox.pending("1", "", 1_000)]
    return [f"{json.loads(each.event)['name']} {each.channel}" for each in found]


async def leave_out_all(outbox: Outbox, *webhooks: str) -> None:
    """As a delivery that has read nothing of these webhooks."""
    await outbox.append([decided(event("other", "begin"))])
    assert await outbox.claim("one", 30) == ["1"]
    last = (await outbox.pending("1", "", 1_000))[-1].position
    await outbox.leave_out("one", "1", dict.fromkeys(webhooks or ("w",), last))


async def test_what_comes_and_goes_while_both_wait_is_not_kept(outbox: Outbox) -> None:
    await leave_out_all(outbox)
    told = await outbox.append(
        [
            decided(event("channel_occupied", "stays")),
            decided(event("channel_occupied", "a")),
            decided(event("member_added", "a", user="u")),
            decided(event("member_added", "a", user="v")),
            decided(event("client_event", "a")),
        ]
    )
    assert told == Appended()
    told = await outbox.append(
        [decided(event("member_removed", "a", user="u")), decided(event("channel_vacated", "a"))]
    )
    assert told == Appended(undone={"1": 4})
    assert await kinds(outbox) == [
        "other begin",
        "channel_occupied stays",
        "member_added a",
        "client_event a",
    ]
    for number in range(3 * WAITING):
        pair = event("channel_occupied", f"c{number}"), event("channel_vacated", f"c{number}")
        assert (await outbox.append([decided(pair[0])])).crowded_out == {}
        assert (await outbox.append([decided(pair[1])])).undone == {"1": 2}
    assert len(await kinds(outbox)) == 4


async def test_both_are_remembered_when_they_are_told_again(outbox: Outbox) -> None:
    """A node that dies before it has confirmed what it announced lets another one announce it again."""
    await leave_out_all(outbox)
    occupied, vacated = event("channel_occupied", "a"), event("channel_vacated", "a")
    await outbox.append([decided(occupied), decided(vacated)])
    assert await outbox.append([decided(occupied), decided(vacated)]) == Appended()
    assert await kinds(outbox) == ["other begin"]


async def test_of_what_the_latest_counts_the_latest_is_kept(outbox: Outbox) -> None:
    await leave_out_all(outbox)
    for number in range(50):
        for channel in "ab":
            await outbox.append(
                [decided(event("subscription_count", channel, name=f"{number}{channel}"))]
            )
    assert (await waiting(outbox))[1:] == ["49a", "49b"]


async def test_what_was_read_is_not_undone(outbox: Outbox) -> None:
    """It may be on its way. And neither is what a webhook has read, of whom nothing was said."""
    early = event("channel_occupied", "early")
    await outbox.append([decided(early)])
    assert await outbox.append([decided(event("channel_vacated", "nobody-reads"))]) == Appended()
    await leave_out_all(outbox)
    late = event("channel_occupied", "late"), event("channel_occupied", "late", webhook="other")
    await outbox.append([decided(*late)])
    page = await outbox.take("one", "1", "w", (await outbox.pending("1", "", 3))[2].position, 2)
    assert [each.entry for each in page] == list(late)
    vacated = [event("channel_vacated", each) for each in ("early", "late")]
    gone = event("channel_vacated", "late", webhook="other")
    assert await outbox.append([decided(*vacated, gone)]) == Appended()
    assert len(await kinds(outbox)) == 8


async def test_once_everything_was_read_nothing_is_undone(outbox: Outbox) -> None:
    await leave_out_all(outbox)
    await outbox.append([decided(event("channel_occupied", "a"))])
    assert len(await outbox.take("one", "1", "w", "", 10)) == 2
    await outbox.append([decided(event("channel_vacated", "a"))])
    await outbox.append(
        [decided(event("channel_occupied", "a")), decided(event("channel_vacated", "a"))]
    )
    assert len(await kinds(outbox)) == 5


async def test_what_a_worker_has_left_out_counts_for_its_own_claim(
    harness: OutboxHarness, outbox: Outbox
) -> None:
    """Another worker reads from the beginning; and whoever has no claim says nothing about it."""
    await leave_out_all(outbox)
    await outbox.append([decided(event("channel_occupied", "a"))])
    await outbox.release("one")
    other = harness.outbox()
    assert await other.claim("two", 30) == ["1"]
    last = (await outbox.pending("1", "", 10))[-1].position
    await outbox.leave_out("one", "1", {"w": ""})
    await outbox.take("one", "1", "w", last, 10)
    assert await outbox.append([decided(event("channel_vacated", "a"))]) == Appended()
    await other.leave_out("two", "1", {"w": (await outbox.pending("1", "", 10))[-1].position})
    await outbox.append([decided(event("channel_occupied", "b"))])
    assert (await outbox.append([decided(event("channel_vacated", "b"))])).undone == {"1": 2}
    await other.leave_out("two", "1", {})
    await outbox.append([decided(event("channel_occupied", "c"))])
    assert (await outbox.append([decided(event("channel_vacated", "c"))])).undone == {}


async def test_users_are_told_apart_whatever_their_ids_are(outbox: Outbox) -> None:
    await leave_out_all(outbox)
    for user in ("u", "u\0", "\0u", "ü", "u v"):
        await outbox.append([decided(event("member_added", "c", user=user))])
    assert (await outbox.append([decided(event("member_removed", "c", user="u"))])).undone == {
        "1": 2
    }
    found = [json.loads(each.entry.event) for each in await outbox.pending("1", "", 10)]
    assert [each["user_id"] for each in found[1:]] == ["u\0", "\0u", "ü", "u v"]


async def test_a_flood_pushes_out_itself(outbox: Outbox) -> None:
    """Of one channel, of one kind on many channels, for one webhook; whatever the channels are called."""
    calm = [
        event("client_event", "calm"),
        event("member_added", "calm", user="u"),
        event("channel_occupied", "calm", webhook="other"),
    ]
    await outbox.append([decided(*calm)])
    floods = (
        [event("client_event", "aaa") for _ in range(2 * WAITING)],
        [event("channel_occupied", f"{number:03}") for number in range(2 * WAITING)],
        [
            event("channel_occupied", f"zz{number}", webhook="third")
            for number in range(2 * WAITING)
        ],
    )
    lost: Counter[str] = Counter()
    for flood in floods:
        for start in range(0, len(flood), 7):
            lost.update((await outbox.append([decided(*flood[start : start + 7])])).crowded_out)
    left = [each.entry.id for each in await outbox.pending("1", "", 1_000)]
    assert set(left) > {each.id for each in calm}
    assert len(left) == WAITING
    assert lost["1"] == sum(map(len, floods)) + len(calm) - WAITING
    # What was not tried pushes out no dead letter, and of several floods none has much more than another.
    assert len(await outbox.dead("1")) == LETTERS
    shares = Counter(each.partition("-")[0] + each.partition("-")[2][:2] for each in left)
    assert max(shares.values()) <= WAITING // 2


async def test_what_is_on_its_way_goes_last(outbox: Outbox) -> None:
    await leave_out_all(outbox)
    ids = [f"e{number}" for number in range(WAITING - 1)]
    await outbox.append([decided(*(event("client_event", "c", name=each) for each in ids))])
    places = [each.position for each in await outbox.pending("1", "", 1_000)]
    await outbox.take("one", "1", "w", places[0], 10)
    await outbox.append([decided(*(event("client_event", "c", name=f"f{n}") for n in range(5)))])
    assert (await waiting(outbox))[1:12] == [*ids[:10], "e15"]


async def test_dead_letters_are_not_pushed_out_by_what_was_not_tried(outbox: Outbox) -> None:
    await outbox.append(
        [decided(*(event("client_event", "c", name=f"d{n}") for n in range(LETTERS)))]
    )
    for each in await outbox.pending("1", "", 10):
        await outbox.bury("1", [each.position], "status 500", 1.0)
    await outbox.append([decided(*(event("client_event", "c") for _ in range(WAITING + 3)))])
    assert {each.reason for each in await outbox.dead("1")} == {"status 500"}
    assert len(await waiting(outbox)) == WAITING


async def test_one_app_pushes_out_nothing_of_another(outbox: Outbox) -> None:
    await outbox.append([decided(event("client_event", "c", name="calm"), app_id="2")])
    await outbox.append([decided(*(event("client_event", "c") for _ in range(3 * WAITING)))])
    assert await waiting(outbox, "2") == ["calm"]


async def test_floods_and_deliveries_at_once_leave_nothing_behind(outbox: Outbox) -> None:
    """What is kept beside the entries goes with them, in whatever order they go."""
    await leave_out_all(outbox)
    for number in range(200):
        kind = ("channel_occupied", "channel_vacated", "client_event", "subscription_count")[
            number % 4
        ]
        await outbox.append([decided(event(kind, f"c{number % 9}"))])
        if number % 10 == 0:
            page = await outbox.pending("1", "", 3)
            await outbox.finish("1", [page[-1].position])
        if number % 25 == 0:
            await outbox.bury("1", [(await outbox.pending("1", "", 1))[0].position], "no", 1.0)
    await outbox.finish("1", [each.position for each in await outbox.pending("1", "", 1_000)])
    await outbox.append(
        [decided(*(event("client_event", f"c{n}", name=f"n{n}") for n in range(WAITING + 2)))]
    )
    assert await waiting(outbox) == [f"n{n}" for n in range(2, WAITING + 2)]


# Clocks


JUMPS = [-86_400.0, -3_600.0, 3_600.0, 86_400.0]


@pytest.mark.parametrize("jump", JUMPS)
async def test_in_a_file_a_wall_clock_that_is_set_holds_and_ends_no_claim(
    tmp_path: Path, jump: float
) -> None:
    from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

    wall, steady = FakeClock(1_764_000_000.0), FakeClock(1_000_000.0)
    path = tmp_path / "outbox"
    one, two = (SqliteOutbox(path, clock=wall, steady=steady, waiting=WAITING) for _ in range(2))
    await one.append([Decision("1", (event("client_event", "c"), event("client_event", "c")))])
    assert await one.claim("one", 10) == ["1"]
    wall.now += jump
    assert await two.claim("two", 10) == [], "a claim that is renewed is kept"
    steady.now += 9
    assert await one.claim("one", 10) == ["1"]
    wall.now -= 2 * jump
    steady.now += 9
    assert await two.claim("two", 10) == []
    steady.now += 2
    assert await two.claim("two", 10) == ["1"], "and one that is not runs out"
    await one.close()
    await two.close()


@pytest.mark.parametrize("jump", JUMPS)
async def test_in_a_file_what_is_remembered_and_kept_does_not_depend_on_the_time(
    tmp_path: Path, jump: float
) -> None:
    from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

    wall, steady = FakeClock(1_764_000_000.0), FakeClock(1_000_000.0)
    outbox = SqliteOutbox(tmp_path / "outbox", clock=wall, steady=steady, waiting=2)
    entries = [event("client_event", "c") for _ in range(4)]
    await outbox.append([decided(entries[0])])
    await outbox.finish("1", [each.position for each in await outbox.pending("1", "", 9)])
    wall.now += jump
    steady.now += 300
    await outbox.append([decided(entries[0]), decided(entries[1])])
    assert await waiting(outbox) == [entries[1].id], "delivered is delivered"
    await outbox.append([decided(entries[2]), decided(entries[3])])
    assert await waiting(outbox) == [entries[2].id, entries[3].id]
    (dead,) = await outbox.dead("1")
    assert dead.at == wall.now
    steady.now += 301
    await outbox.append([decided(entries[0])])
    assert entries[0].id in await waiting(outbox), "and after ten minutes it is forgotten"
    await outbox.close()


async def test_in_a_file_a_clock_that_began_anew_with_the_machine_holds_nothing(
    tmp_path: Path,
) -> None:
    from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

    steady = FakeClock(1_000_000.0)
    path = tmp_path / "outbox"
    before = SqliteOutbox(path, clock=FakeClock(5.0), steady=steady)
    await before.append(
        [decided(event("client_event", "c")), decided(event("client_event", "c", name="d"))]
    )
    assert await before.claim("one", 10) == ["1"]
    await before.finish("1", [(await before.pending("1", "", 1))[0].position])
    await before.close()
    steady.now = 30.0
    after = SqliteOutbox(path, clock=FakeClock(5.0), steady=steady)
    await after.append([decided(event("client_event", "c", name="e"))])
    await after.claim("two", 10)
    steady.now += 10
    assert await after.claim("two", 10) == ["1"]
    known = await after._thread.read(lambda db: db.execute("SELECT count(*) FROM known").fetchone())
    assert known == (0,)
    await after.close()


async def redis_harness(tmp_path: Path) -> OutboxHarness:
    from tests.contract.stores import running_redis

    made = OutboxHarness("redis", tmp_path)
    redis = await asyncio.to_thread(running_redis, "redis")
    made.redis = replace(redis.settings, prefix=f"clocks-{next(_numbers)}")
    return made


@pytest.mark.parametrize("jump", JUMPS)
async def test_in_redis_its_time_holds_and_ends_no_claim(tmp_path: Path, jump: float) -> None:
    """As if somebody had set the time of its machine: what expires does so early or late."""
    from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox

    made = await redis_harness(tmp_path)
    assert made.redis is not None
    clocks = FakeClock(50.0), FakeClock(90_000.0)
    one, two = (RedisOutbox(made.redis, "Redis", waiting=WAITING, clock=clock) for clock in clocks)
    await one.append([decided(event("client_event", "c"))])
    assert await one.claim("one", 10) == ["1"]
    key = f"{one._base('1')}:claim"

    async def set_time() -> None:
        if jump > 0:
            await one._redis.execute("DEL", key)
        else:
            await one._redis.execute("PEXPIRE", key, int((10 - jump) * 1_000))

    await set_time()
    for _ in range(3):
        assert await two.claim("two", 10) == [], "a claim that is renewed is kept"
        for clock in clocks:
            clock.now += 9
        assert await two.claim("two", 10) == []
        assert await one.claim("one", 10) == ["1"]
        await set_time()
    assert await two.claim("two", 10) == []
    clocks[1].now += 9.9
    assert await two.claim("two", 10) == []
    clocks[1].now += 0.2
    assert await two.claim("two", 10) == ["1"], "and one that is not runs out"
    assert await one.claim("one", 10) == []
    await one.close()
    await two.close()


async def test_in_redis_claims_of_an_earlier_release_are_kept_until_they_expire(
    tmp_path: Path,
) -> None:
    from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox

    made = await redis_harness(tmp_path)
    assert made.redis is not None
    clock = FakeClock(0.0)
    outbox = RedisOutbox(made.redis, "Redis", clock=clock)
    await outbox.append([decided(event("client_event", "c"))])
    key = f"{outbox._base('1')}:claim"
    await outbox._redis.execute("SET", key, "earlier", "PX", 60_000)
    assert await outbox.claim("one", 10) == []
    clock.now += 20
    assert await outbox.claim("one", 10) == []
    await outbox._redis.execute("DEL", key)
    assert await outbox.claim("one", 10) == ["1"]
    await outbox.release("one")
    assert await outbox._redis.execute("EXISTS", key) == 0
    await outbox.close()


async def test_in_redis_names_from_a_later_time_are_forgotten_in_time(tmp_path: Path) -> None:
    """Its time was set back a day: they would be kept a day longer."""
    from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox

    made = await redis_harness(tmp_path)
    assert made.redis is not None
    outbox = RedisOutbox(made.redis, "Redis")
    await outbox.append([decided(event("client_event", "c"))])
    key = f"{outbox._base('1')}:known"
    seconds, _ = await outbox._redis.execute("TIME")
    now = int(seconds)
    await outbox._redis.execute("ZADD", key, now + 86_400, "later w")
    await outbox.append([decided(event("client_event", "c", name="e"))])
    score = float(await outbox._redis.execute("ZSCORE", key, "later w"))
    assert abs(score - now) < 60
    assert float(await outbox._redis.execute("ZSCORE", key, "e w")) == float("inf")
    await outbox.close()
