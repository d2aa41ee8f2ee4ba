"""What every outbox promises (`webhooks.outbox`): one suite, on a file of SQLite and on real Redis servers.

A further outbox is one more entry in `KINDS`.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from pusher_server.config.redis import RedisSettings
from pusher_server.webhooks.outbox.interface import (
    AttemptRecord,
    Backlog,
    Decision,
    Entry,
    Outbox,
    Presence,
)
from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox
from tests.contract.stores import running_redis
from tests.support.waiting import eventually

WAITING, LETTERS, LINES = 20, 5, 4
_numbers = count(1)


class OutboxHarness:
    """Outboxes of several processes on the same place."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        #: For the program that is killed: how it opens the same place.
        self.place = str(folder / "outbox.sqlite3")
        self.redis: RedisSettings | None = None
        self._opened: list[Outbox] = []

    def outbox(self, **others: int) -> Outbox:
        """As another process has it, with bounds that are `others`."""
        bounds = {"waiting": WAITING, "dead_letters": LETTERS, "log_size": LINES} | others
        if self.redis is None:
            made: Outbox = SqliteOutbox(Path(self.place), clock=time.time, **bounds)
        else:
            made = RedisOutbox(self.redis, "Redis", **bounds)
        self._opened.append(made)
        return made

    async def close(self) -> None:
        for each in self._opened:
            await each.close()


KINDS = ("sqlite", "redis", "sentinel", "cluster")


@asynccontextmanager
async def made_harness(kind: str, folder: Path) -> AsyncIterator[OutboxHarness]:
    harness = OutboxHarness(kind, folder)
    if kind != "sqlite":
        redis = await asyncio.to_thread(running_redis, kind)
        harness.redis = replace(redis.settings, prefix=f"outbox-{next(_numbers)}")
    yield harness
    await harness.close()


@pytest.fixture(params=KINDS)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OutboxHarness]:
    async with made_harness(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def outbox(harness: OutboxHarness) -> Outbox:
    return harness.outbox()


def entry(number: int, *, webhook: str = "w", channel: str = "c") -> Entry:
    return Entry(f"id-{number}", webhook, channel, f'{{"name":"e","n":{number}}}', 1_000.0 + number)


def decided(*entries: Entry, app_id: str = "1") -> Decision:
    return Decision(app_id, entries)


async def waiting(outbox: Outbox, app_id: str = "1") -> list[str]:
    """The ids that wait, in order."""
    return [each.entry.id for each in await outbox.pending(app_id, "", 1_000)]


def ids(*numbers: int) -> list[str]:
    return [f"id-{number}" for number in numbers]


async def positions(outbox: Outbox, app_id: str = "1") -> list[str]:
    return [each.position for each in await outbox.pending(app_id, "", 1_000)]


def attempt(number: int, webhook: str = "w") -> AttemptRecord:
    return AttemptRecord(
        at=float(number),
        webhook=webhook,
        url="https://example.com/hook",
        ids=(f"id-{number}",),
        events=("channel_occupied",),
        number=1,
        status=200,
        took=0.1,
        outcome="delivered",
        answer="ok é",
    )


async def test_entries_wait_in_the_order_of_appending_and_by_app(
    harness: OutboxHarness, outbox: Outbox
) -> None:
    await outbox.append([decided(entry(1), entry(2)), decided(entry(9), app_id="é 2")])
    await asyncio.gather(*(outbox.append([decided(entry(number))]) for number in range(3, 12)))
    other = harness.outbox()
    assert await waiting(other) == ids(1, 2, *range(3, 12))
    assert await waiting(other, "é 2") == ids(9)
    assert await waiting(other, "3") == []
    (first, *_) = await other.pending("1", "", 1)
    assert first.entry == entry(1)


async def test_what_waits_is_read_page_by_page(outbox: Outbox) -> None:
    await outbox.append([decided(*(entry(number) for number in range(15)))])
    found: list[str] = []
    after = ""
    while page := await outbox.pending("1", after, 4):
        assert page == sorted(page, key=lambda each: each.position)
        found += [each.entry.id for each in page]
        after = page[-1].position
    assert found == ids(*range(15))


async def test_an_entry_is_kept_once_while_it_waits_and_after_it_was_delivered(
    outbox: Outbox,
) -> None:
    await outbox.append([decided(entry(1)), decided(entry(1)), decided(entry(1, webhook="other"))])
    await outbox.append([decided(entry(1))])
    assert await waiting(outbox) == ids(1, 1)
    await outbox.finish("1", await positions(outbox))
    assert await waiting(outbox) == []
    await outbox.append([decided(entry(1)), decided(entry(2))])
    assert await waiting(outbox) == ids(2)


async def test_what_is_finished_waits_no_longer_and_the_rest_keeps_its_order(
    outbox: Outbox,
) -> None:
    await outbox.append([decided(*(entry(number) for number in range(5)))])
    places = await positions(outbox)
    await outbox.finish("1", [places[3], places[0]])
    await outbox.finish("1", [places[0]])
    assert await waiting(outbox) == ids(1, 2, 4)


async def test_one_worker_has_the_claim_until_it_gives_it_up(
    harness: OutboxHarness, outbox: Outbox
) -> None:
    other = harness.outbox()
    assert await outbox.claim("one", 30) == []
    await outbox.append([decided(entry(1)), decided(entry(2), app_id="2")])
    assert await outbox.claim("one", 30) == ["1", "2"]
    assert await other.claim("two", 30) == []
    assert await outbox.claim("one", 30) == ["1", "2"]
    await outbox.release("one")
    assert await other.claim("two", 30) == ["1", "2"]
    assert await outbox.claim("one", 30) == []


async def test_apps_with_nothing_to_do_are_not_claimed(outbox: Outbox) -> None:
    await outbox.append([decided(entry(1)), decided(entry(2), app_id="2")])
    assert await outbox.claim("one", 30) == ["1", "2"]
    await outbox.finish("1", await positions(outbox))
    assert await outbox.claim("one", 30) == ["2"]


async def test_a_claim_that_is_not_renewed_runs_out(harness: OutboxHarness, outbox: Outbox) -> None:
    other = harness.outbox()
    await outbox.append([decided(entry(1))])
    assert await outbox.claim("one", 0.2) == ["1"]

    async def taken_over() -> bool:
        return await other.claim("two", 30) == ["1"]

    await eventually(taken_over)
    assert await outbox.claim("one", 30) == []


async def test_the_dead_are_kept_to_a_bound_and_can_be_sent_again(outbox: Outbox) -> None:
    await outbox.append([decided(*(entry(number) for number in range(8)))])
    places = await positions(outbox)
    for place in places[:7]:
        await outbox.bury("1", [place], "answered 500", 2_000.5)
    assert await waiting(outbox) == ids(7)
    dead = await outbox.dead("1")
    assert [each.entry.id for each in dead] == ids(6, 5, 4, 3, 2)
    assert (dead[0].entry, dead[0].at, dead[0].reason) == (entry(6), 2_000.5, "answered 500")
    assert await outbox.dead("1", 2) == dead[:2]
    await outbox.append([decided(entry(6))])
    assert await waiting(outbox) == ids(7), "given up is given up, until somebody wants it"
    assert await outbox.resend("1", ids(4, 5, 99)) == 2
    assert await waiting(outbox) == ids(7, 4, 5)
    assert await outbox.resend("1") == 3
    assert await waiting(outbox) == ids(7, 4, 5, 2, 3, 6)
    assert await outbox.dead("1") == []
    assert await outbox.resend("1") == 0


async def test_when_too_many_wait_the_oldest_are_given_up(outbox: Outbox) -> None:
    await outbox.append([decided(*(entry(number) for number in range(WAITING + 2)))])
    await outbox.append([decided(entry(100))])
    assert await waiting(outbox) == ids(*range(3, WAITING + 2), 100)
    dead = await outbox.dead("1")
    assert [each.entry.id for each in dead] == ids(2, 1, 0)
    assert dead[0].reason == f"more than {WAITING} events waited"


async def test_the_log_has_the_latest_attempts_of_each_webhook(outbox: Outbox) -> None:
    for number in range(6):
        await outbox.record("1", attempt(number))
    await outbox.record("1", attempt(10, "other"))
    await outbox.record("2", attempt(11))
    assert await outbox.log("1", "w") == [attempt(number) for number in (5, 4, 3, 2)]
    assert await outbox.log("1") == [attempt(10, "other"), *await outbox.log("1", "w")]
    assert await outbox.log("1", limit=2) == [attempt(10, "other"), attempt(5)]
    assert await outbox.log("3") == []


async def test_the_backlog_counts_by_app(outbox: Outbox) -> None:
    assert await outbox.backlog() == {}
    await outbox.append([decided(entry(1), entry(2)), decided(entry(3), app_id="2")])
    await outbox.bury("2", await positions(outbox, "2"), "no", 5.0)
    assert await outbox.backlog() == {"1": Backlog(2, 1_001.0, 0), "2": Backlog(0, None, 1)}


HERE = Presence("1", "presence-c", "u")


def came(number: int, *, held: bool = True, only_if_believed: bool = False) -> Decision:
    return Decision("1", (entry(number),), HERE, held=held, only_if_believed=only_if_believed)


async def test_what_owners_believe_is_remembered_with_the_entries(tmp_path: Path) -> None:
    """In a file, where nothing else outlives a crash of all processes."""
    async with made_harness("sqlite", tmp_path) as harness:
        outbox = harness.outbox()
        await outbox.append([came(1), came(2), Decision("1", (), Presence("1", "c"), held=True)])
        assert await waiting(outbox) == ids(1), "it came back: nobody is told twice"
        again = harness.outbox()
        assert sorted(await again.believed()) == [Presence("1", "c"), HERE]
        await again.append([came(3, held=False), came(4, held=False, only_if_believed=True)])
        assert await waiting(again) == ids(1, 3)
        await again.append([came(5, held=False)])
        assert await waiting(again) == ids(1, 3, 5), "decided is decided"
        assert await again.believed() == [Presence("1", "c")]


async def test_a_leave_that_nobody_can_believe_is_dropped_in_redis(tmp_path: Path) -> None:
    async with made_harness("redis", tmp_path) as harness:
        outbox = harness.outbox()
        await outbox.append([came(1), came(2, held=False, only_if_believed=True)])
        assert await waiting(outbox) == ids(1)
        assert await outbox.believed() == []


# Processes that die

_APPENDS = """
import asyncio, sys, time
from pathlib import Path
import msgspec
from pusher_server.config.redis import RedisSettings
from pusher_server.webhooks.outbox.interface import Decision, Entry
from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

place, redis, name = sys.argv[1:]
settings = msgspec.json.decode(redis, type=RedisSettings) if redis else None
outbox = RedisOutbox(settings, "Redis") if settings else SqliteOutbox(Path(place), clock=time.time)

async def main():
    number = 0
    while True:
        number += 1
        await outbox.append([Decision("1", (Entry(f"{name}-{number}", "w", "c", "{}", 1.0),))])
        print(number, flush=True)

asyncio.run(main())
"""


def _appending(harness: OutboxHarness, name: str) -> "subprocess.Popen[bytes]":

    redis = "" if harness.redis is None else msgspec.json.encode(harness.redis).decode()
    command = [sys.executable, "-c", _APPENDS, harness.place, redis, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_nothing_that_was_appended_is_lost_with_killed_processes(
    kind: str, tmp_path: Path
) -> None:
    """Two of them write to the same place; what they said to have appended is there, in their order."""
    async with made_harness(kind, tmp_path) as harness:
        programs = [_appending(harness, name) for name in ("a", "b")]
        said: dict[str, int] = {}
        for name, program in zip("ab", programs, strict=True):
            assert program.stdout is not None
            for _ in range(30):
                said[name] = int(await asyncio.to_thread(program.stdout.readline))
        for name, program in zip("ab", programs, strict=True):
            program.send_signal(signal.SIGKILL)
            rest, _ = await asyncio.to_thread(program.communicate)
            whole = rest[: rest.rfind(b"\n") + 1].split()
            said[name] = int(whole[-1]) if whole else said[name]
        outbox = harness.outbox()
        found: list[str] = []
        after = ""
        while page := await outbox.pending("1", after, 500):
            found += [each.entry.id for each in page]
            after = page[-1].position
        for name in "ab":
            numbers = [int(each[2:]) for each in found if each.startswith(name)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) in (said[name], said[name] + 1)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_nothing_is_lost_or_doubled_while_others_append(kind: str, tmp_path: Path) -> None:
    """Two processes append, this one delivers; at the end they are killed, and what they said was delivered."""
    async with made_harness(kind, tmp_path) as harness:
        programs = [_appending(harness, name) for name in ("a", "b")]
        outbox = harness.outbox()
        delivered: list[str] = []

        async def deliver() -> int:
            if not await outbox.claim("one", 30):
                return 0
            page = await outbox.pending("1", "", 10)
            delivered.extend(each.entry.id for each in page)
            await outbox.finish("1", [each.position for each in page])
            return len(page)

        async def has_both() -> bool:
            await deliver()
            return min(sum(each.startswith(name) for each in delivered) for name in "ab") > 50

        await eventually(has_both, 30)
        said = []
        for program in programs:
            program.send_signal(signal.SIGKILL)
            output, _ = await asyncio.to_thread(program.communicate)
            said.append(len(output[: output.rfind(b"\n") + 1].split()))
        while await deliver():
            pass
        for name, count_ in zip("ab", said, strict=True):
            numbers = [int(each[2:]) for each in delivered if each.startswith(name)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) in (count_, count_ + 1)
