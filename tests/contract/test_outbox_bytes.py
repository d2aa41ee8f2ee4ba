"""What every outbox keeps of an app is bounded in bytes, and what it says of their sum is true."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from pusher_server.webhooks.outbox.encoding import encode_attempt, encode_entry
from pusher_server.webhooks.outbox.interface import AttemptRecord, Decision, Entry, Outbox
from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox
from tests.contract.test_outbox import OutboxHarness, decided, harness, made_harness, waiting

__all__ = ["harness"]

#: Bytes that may wait, many entries of the tests below; and what is made free at once in a file.
MOST = 20_000
SLACK = 1.02

_numbers = iter(range(1, 1_000_000))


def large(channel: str, *, size: int = 1_000, kind: str = "client_event", name: str = "") -> Entry:
    """An event whose JSON has about `size` bytes; its id begins with `name`."""
    number = next(_numbers)
    told = {"name": kind, "channel": channel, "data": "x" * (size - 60)}
    text = json.dumps(told, separators=(",", ":"))
    return Entry(name or f"{kind}-{channel}-{number}", "w", channel, text, float(number))


def opened(harness: OutboxHarness, **others: int) -> Outbox:
    """Bounded in bytes, hardly in number."""
    return harness.outbox(**{"waiting": 5_000, "dead_letters": 500, "waiting_bytes": MOST} | others)


async def told(outbox: Outbox, app_id: str = "1") -> tuple[int, int]:
    """The bytes that it says wait and are dead."""
    if isinstance(outbox, SqliteOutbox):
        query = "SELECT entries_bytes, dead_bytes FROM totals WHERE app = ?"
        found = await outbox._thread.read(lambda db: db.execute(query, (app_id,)).fetchone())
        return cast(tuple[int, int], found or (0, 0))
    assert isinstance(outbox, RedisOutbox)
    key = f"{outbox._base(app_id)}:sums"
    waiting_, dead = await outbox._redis.execute("HMGET", key, "waiting", "dead")
    return int(waiting_ or 0), int(dead or 0)


async def truth(outbox: Outbox, app_id: str = "1") -> tuple[int, int]:
    """The bytes that there are: added up."""
    if isinstance(outbox, SqliteOutbox):

        def add_up(db: Any) -> tuple[int, int]:
            found = []
            for table in ("entries", "dead"):
                rows = db.execute(
                    f"SELECT id, webhook, channel, event FROM {table} WHERE app = ?", (app_id,)
                )
                found.append(sum(len(part.encode()) for row in rows for part in row))
            return found[0], found[1]

        return await outbox._thread.read(add_up)
    assert isinstance(outbox, RedisOutbox)
    sums = []
    for name in ("waiting", "dead"):
        rows = await outbox._redis.execute("XRANGE", f"{outbox._base(app_id)}:{name}", "-", "+")
        told_ = (fields.get(part, b"") for _, fields in rows for part in (b"e", b"i", b"m", b"p"))
        sums.append(sum(map(len, told_)))
    return sums[0], sums[1]


async def test_what_waits_is_bounded_in_bytes(harness: OutboxHarness) -> None:
    outbox = opened(harness)
    lost: Counter[str] = Counter()
    for _ in range(20):
        lost.update((await outbox.append([decided(*(large("c") for _ in range(5)))])).crowded_out)
        assert (await truth(outbox))[0] <= MOST * SLACK
    left = len(await waiting(outbox))
    assert 10 <= left < 20
    assert lost == {"1": 100 - left}, "what goes is counted"
    (dead, *_) = await outbox.dead("1")
    assert dead.reason == f"events of more than {MOST} bytes waited"
    assert await told(outbox) == await truth(outbox)


async def test_a_flood_of_large_events_pushes_out_itself(harness: OutboxHarness) -> None:
    """Not many small ones, which are more in number, nor another kind, channel or app."""
    outbox = opened(harness)
    calm = [large("calm", size=70), large("calm", size=70, kind="cache_miss")]
    calm += [large(f"small-{number}", size=70, kind="channel_occupied") for number in range(10)]
    other = large("calm", size=70)
    await outbox.append([decided(*calm), decided(other, app_id="2")])
    for _ in range(30):
        await outbox.append([decided(large("flood"), large("flood"))])
    for number in range(60):
        await outbox.append([decided(large(f"flood-{number}", kind="channel_occupied"))])
    left = await waiting(outbox)
    assert {each.id for each in calm} <= set(left)
    assert await waiting(outbox, "2") == [other.id]
    kinds = Counter(each.partition("-flood")[0] for each in left if "flood" in each)
    assert min(kinds["client_event"], kinds["channel_occupied"]) >= 3, "none has much more"
    assert await told(outbox) == await truth(outbox)


async def test_of_a_channel_the_oldest_go_and_one_that_is_too_large_goes(
    harness: OutboxHarness,
) -> None:
    outbox = opened(harness)
    await outbox.append([decided(*(large("c", name=f"e{number}") for number in range(40)))])
    left = await waiting(outbox)
    assert left == [f"e{number}" for number in range(40 - len(left), 40)]
    await outbox.append([decided(large("huge", size=3 * MOST, name="huge"))])
    assert "huge" not in await waiting(outbox)
    assert (await waiting(outbox))[-5:] == left[-5:], "and takes not all others with it"
    assert await told(outbox) == await truth(outbox)


async def test_dead_letters_are_bounded_in_bytes(harness: OutboxHarness) -> None:
    outbox = opened(harness)
    for number in range(40):
        await outbox.append([decided(large("c", name=f"e{number}"))])
        (only,) = await outbox.pending("1", "", 10)
        await outbox.bury("1", [only.position], "status 500", 1.0)
    _, dead = await truth(outbox)
    assert MOST / 2 < dead <= MOST
    assert await told(outbox) == (0, dead)
    letters = [each.entry.id for each in await outbox.dead("1", 100)]
    assert letters == [f"e{number}" for number in range(39, 39 - len(letters), -1)]
    await outbox.append([decided(*(large("c", size=2_000) for _ in range(40)))])
    found = await outbox.dead("1", 100)
    assert [each.entry.id for each in found if each.reason == "status 500"] == letters, (
        "what was not tried pushes out no letter"
    )
    assert (await truth(outbox))[1] <= MOST


KINDS = ("client_event", "channel_occupied", "channel_vacated", "subscription_count")


@pytest.mark.parametrize("seed", range(4))
async def test_the_sums_are_true_after_any_history(harness: OutboxHarness, seed: int) -> None:
    draw = random.Random(seed)
    few = {"waiting": draw.choice([15, 5_000]), "dead_letters": draw.choice([4, 500])}
    outboxes = [opened(harness, **few), opened(harness, **few)]
    known: list[Entry] = []

    async def append(outbox: Outbox) -> None:
        for _ in range(draw.randint(1, 4)):
            fresh = large(
                f"c{draw.randint(0, 3)}é", size=draw.randint(70, 3_000), kind=draw.choice(KINDS)
            )
            entry = draw.choice(known) if known and draw.random() < 0.2 else fresh
            known.append(entry)
            await outbox.append([Decision("1", (entry,))])

    async def some(outbox: Outbox) -> list[str]:
        page = [each.position for each in await outbox.pending("1", "", 50)]
        return draw.sample(page, min(len(page), draw.randint(0, 6)))

    async def finish(outbox: Outbox) -> None:
        await outbox.finish(
            "1",
            [*await some(outbox), "000000000000005-0000000005"]
            if harness.redis
            else await some(outbox),
        )

    async def bury(outbox: Outbox) -> None:
        await outbox.bury("1", await some(outbox), "no", 1.0)

    async def resend(outbox: Outbox) -> None:
        ids = [each.entry.id for each in await outbox.dead("1", 100)]
        await outbox.resend("1", None if draw.random() < 0.3 else draw.sample(ids, len(ids) // 2))

    async def leave_out(outbox: Outbox) -> None:
        if await outbox.claim("one", 30) and await outbox.pending("1", "", 1):
            page = await outbox.pending("1", "", 1_000)
            await outbox.leave_out("one", "1", {"w": draw.choice(page).position})

    async def take(outbox: Outbox) -> None:
        await outbox.take("one", "1", "w", "", draw.randint(1, 20))

    steps = [append] * 6 + [finish, bury, resend, leave_out, take]
    for _ in range(80):
        outbox = draw.choice(outboxes)
        await draw.choice(steps)(outbox)
        assert await told(outbox) == await truth(outbox)
    waits, dead = await truth(outboxes[0])
    await outboxes[0].append([decided(large("last", size=70))])
    waits, dead = await truth(outboxes[0])
    assert waits <= MOST * SLACK
    assert dead <= MOST


async def test_a_bound_that_was_lowered_is_reached_in_steps(harness: OutboxHarness) -> None:
    """All of it at once would keep others from the outbox for long."""
    outbox = opened(harness, waiting=20_000, waiting_bytes=100 * MOST)
    for _ in range(14):
        await outbox.append([decided(*(large("c", size=70) for _ in range(500)))])
    small = opened(harness, waiting=20_000)
    given_up = []
    while (await truth(small))[0] > MOST * SLACK:
        crowded_out = (await small.append([decided(large("c", size=70))])).crowded_out
        given_up.append(crowded_out["1"])
        assert await told(small) == await truth(small)
    assert 2 <= len(given_up) <= 8
    assert max(given_up) <= 5_002
    assert len(await small.dead("1", 500)) <= 500


# The delivery log


def line(webhook: str, number: int, size: int = 900) -> AttemptRecord:
    return AttemptRecord(
        at=float(number),
        webhook=webhook,
        url="https://example.com/hook",
        ids=(f"id-{number}",),
        events=("x" * size,),
        number=1,
        status=500,
        took=0.1,
        outcome="retry",
        answer="no é",
    )


async def log_bytes(outbox: Outbox) -> tuple[int, int]:
    """What it says there is of the app's log, and what there is."""
    if isinstance(outbox, SqliteOutbox):

        def add_up(db: Any) -> tuple[int, int]:
            (said,) = db.execute("SELECT sum(bytes) FROM log_sizes WHERE app = '1'").fetchone()
            rows = db.execute("SELECT attempt FROM attempts WHERE app = '1'")
            return said, sum(len(attempt) for (attempt,) in rows)

        return await outbox._thread.read(add_up)
    assert isinstance(outbox, RedisOutbox)
    base, found = outbox._base("1"), 0
    said = await outbox._redis.execute("ZSCORE", f"{base}:logs:bytes", "")
    for webhook in await outbox._redis.execute("SMEMBERS", f"{base}:logs"):
        key = f"{base}:log:{webhook.decode()}"
        found += sum(map(len, await outbox._redis.execute("LRANGE", key, 0, -1)))
    return int(said), found


async def test_the_log_of_an_app_is_bounded_in_bytes(harness: OutboxHarness) -> None:
    """However many webhooks it has; those with the largest logs give."""
    outbox = opened(harness, log_size=30, log_bytes=MOST)
    await outbox.record("1", line("calm", 1, 50))
    await outbox.record("2", line("w0", 1))
    for number in range(60):
        await outbox.record("1", line(f"w{number % 3}", 2 + number))
        said, found = await log_bytes(outbox)
        assert said == found <= MOST
    assert await outbox.log("1", "calm") == [line("calm", 1, 50)]
    assert await outbox.log("2") == [line("w0", 1)]
    for webhook in range(3):
        left = [each.at for each in await outbox.log("1", f"w{webhook}")]
        assert 4 <= len(left) <= 7
        assert left == [59.0 + webhook - 3 * number for number in range(len(left))], "the latest"
    for number in range(100):
        await outbox.record("1", line("short", number, 10))
    assert len(await outbox.log("1", "short", 100)) == 30, "a number of each stays the other bound"
    said, found = await log_bytes(outbox)
    assert said == found


async def test_ids_of_what_was_delivered_are_bounded_in_number(harness: OutboxHarness) -> None:
    """The latest are remembered: what is told twice is told soon."""
    outbox = opened(harness, remembered=100)
    entries = [large("c", size=70) for _ in range(500)]
    for start in range(0, 500, 10):
        await outbox.append([decided(*entries[start : start + 10])])
        await outbox.finish("1", [each.position for each in await outbox.pending("1", "", 20)])
    await outbox.append([decided(*entries[-100:], large("c", size=70, name="new"))])
    assert await waiting(outbox) == ["new"]
    if isinstance(outbox, RedisOutbox):
        known = await outbox._redis.execute("ZCARD", f"{outbox._base('1')}:known")
    else:
        assert isinstance(outbox, SqliteOutbox)
        query = "SELECT count(*) FROM known WHERE app = '1'"
        (known,) = await outbox._thread.read(lambda db: db.execute(query).fetchone())
    assert 100 <= known <= 112


# What earlier releases have written to Redis, which know of no sums; a file has triggers (`test_files.py`)


async def append_as_before(outbox: RedisOutbox, number: int, size: int) -> None:
    entry = Entry(f"early-{number}", "w", "c", "x" * size, 1.0)
    fields = ("e", encode_entry(entry), "d", 1, "i", entry.id, "m", f"{entry.id} w")
    await outbox._redis.execute("XADD", f"{outbox._base('1')}:waiting", "*", *fields)


@pytest.fixture(params=["redis", "cluster"])
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RedisOutbox]:
    async with made_harness(request.param, tmp_path) as harness:
        outbox = opened(harness, waiting_bytes=50 * MOST)
        assert isinstance(outbox, RedisOutbox)
        yield outbox


async def test_what_waits_in_redis_without_a_sum_is_added_up_once(shared: RedisOutbox) -> None:
    """In steps, and deliveries go on meanwhile."""
    for number in range(1_200):
        await append_as_before(shared, number, 300)
    assert await told(shared) == (0, 0)
    for number in range(6):
        await shared.append([decided(large("c"))])
        said = (await told(shared))[0]
        assert said < (await truth(shared))[0] or number == 5
        page = await shared.pending("1", "", 2_000)
        gone = [page[0], page[number], page[len(page) // 2], page[-2]]
        await shared.finish("1", [each.position for each in gone])
    assert await told(shared) == await truth(shared)


async def test_a_sum_that_another_release_has_made_wrong_is_mended(shared: RedisOutbox) -> None:
    """While one release replaces the other, both append, finish and bury."""
    await shared.append([decided(*(large("c") for _ in range(10)))])
    stream, dead = (f"{shared._base('1')}:{name}" for name in ("waiting", "dead"))
    await append_as_before(shared, 1, 5_000)
    await shared.append([decided(large("c"))])
    assert await told(shared) == await truth(shared)
    for _ in range(3):
        (oldest, *_) = await shared._redis.execute("XRANGE", stream, "-", "+", "COUNT", 1)
        await shared._redis.execute("XDEL", stream, oldest[0])
        letter = [part for pair in oldest[1].items() for part in pair]
        await shared._redis.execute("XADD", dead, "*", *letter, "at", 1, "reason", "no")
    await shared.append([decided(large("c"))])
    await shared.bury("1", [(await shared.pending("1", "", 1))[0].position], "no", 1.0)
    assert await told(shared) == await truth(shared)
    for size in (3_000, 70):  # as many as before
        (oldest, *_) = await shared._redis.execute("XRANGE", stream, "-", "+", "COUNT", 1)
        await append_as_before(shared, size, size)
        await shared._redis.execute("XDEL", stream, oldest[0])
        await shared.append([decided(large("c"))])
        assert await told(shared) == await truth(shared)
    await shared._redis.execute("DEL", f"{shared._base('1')}:sums")
    await shared.finish("1", [(await shared.pending("1", "", 1))[0].position])
    await shared.append([decided(large("c"))])
    assert (await told(shared))[0] == (await truth(shared))[0]


async def test_a_log_in_redis_without_a_sum_is_added_up(shared: RedisOutbox) -> None:
    """An earlier release has written it, and goes on to; logs that have expired are not counted for ever."""
    base = shared._base("1")
    for webhook in ("w", "gone"):
        for number in range(5):
            await shared._redis.execute(
                "LPUSH", f"{base}:log:{webhook}", encode_attempt(line(webhook, number))
            )
        await shared._redis.execute("SADD", f"{base}:logs", webhook)
        await shared.record("1", line(webhook, 9))
    said, found = await log_bytes(shared)
    assert said == found
    await shared._redis.execute("DEL", f"{base}:log:gone")
    shared._log_bytes = 5_000
    for number in range(12):
        await shared._redis.execute(
            "LPUSH", f"{base}:log:w", encode_attempt(line("w", 10 + number))
        )
        await shared.record("1", line("w", 10 + number))
        await shared.record("1", line("other", number))
    await shared.record("1", line("w", 30))
    said, found = await log_bytes(shared)
    assert said == found <= 5_000
