"""Order while something waits: per channel, with sign-in as a barrier.

docs/decisions.md#order-within-a-connection
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pusher_server.clients.mailbox import BARRIER, Mailbox, advance


class Desk:
    """Takes work as a connection does, and writes down what begins and ends."""

    def __init__(self, timeout: float = 60.0) -> None:
        self.log: list[str] = []
        self.relieved: list[bool] = []
        self.timeouts = 0
        self.timed_out = asyncio.Event()
        self.gates: dict[str, asyncio.Event] = {}
        self.box = Mailbox(
            timeout=timeout,
            timed_out=self._time_out,
            relieved=self.relieved.append,
        )

    def _time_out(self) -> None:
        self.timeouts += 1
        self.timed_out.set()

    async def _work(self, name: str, waits: bool) -> None:
        self.log.append(f"+{name}")
        if waits:
            await self.gates.setdefault(name, asyncio.Event()).wait()
        self.log.append(f"-{name}")

    def submit(self, key: str | None, name: str, *, waits: bool = True) -> None:
        if self.box.blocks(key):
            self.box.put(key, lambda: self._work(name, waits))
            return
        rest = advance(self._work(name, waits))
        if rest is not None:
            self.box.wait_for(key, rest)

    async def finish(self, name: str) -> None:
        self.gates[name].set()
        for _ in range(4):  # the wake-up, the end of the task, its callback, what that started
            await asyncio.sleep(0)

    @property
    def told(self) -> str:
        return " ".join(self.log)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    made.box.clear()
    await asyncio.sleep(0)


async def test_what_ends_at_its_first_step_costs_no_task(desk: Desk) -> None:
    tasks = asyncio.all_tasks()
    desk.submit("a", "1", waits=False)
    assert desk.told == "+1 -1"
    assert asyncio.all_tasks() == tasks


async def test_a_message_waits_for_those_of_its_channel(desk: Desk) -> None:
    desk.submit("a", "1")
    desk.submit("a", "2", waits=False)
    desk.submit("a", "3", waits=False)
    assert (desk.told, len(desk.box)) == ("+1", 2)
    await desk.finish("1")
    assert desk.told == "+1 -1 +2 -2 +3 -3"


async def test_other_channels_overtake(desk: Desk) -> None:
    desk.submit("a", "1")
    desk.submit("b", "2", waits=False)
    assert desk.told == "+1 +2 -2"


async def test_a_sign_in_holds_up_everything_behind_it(desk: Desk) -> None:
    desk.submit(BARRIER, "in")
    desk.submit("a", "1", waits=False)
    desk.submit("b", "2", waits=False)
    assert desk.told == "+in"
    await desk.finish("in")
    assert desk.told == "+in -in +1 -1 +2 -2"


async def test_a_sign_in_does_not_wait_for_a_channel(desk: Desk) -> None:
    desk.submit("a", "1")
    desk.submit(BARRIER, "in", waits=False)
    assert desk.told == "+1 +in -in"


async def test_a_second_sign_in_waits_for_the_first_and_holds_up_what_follows(desk: Desk) -> None:
    desk.submit(BARRIER, "in")
    desk.submit(BARRIER, "again")
    desk.submit("a", "1", waits=False)
    await desk.finish("in")
    assert desk.told == "+in -in +again"
    await desk.finish("again")
    assert desk.told == "+in -in +again -again +1 -1"


async def test_an_unsubscribe_drops_what_has_not_begun_of_its_channel(desk: Desk) -> None:
    desk.submit("a", "1")
    desk.submit("a", "2")
    desk.submit(BARRIER, "in")
    desk.submit("b", "3", waits=False)
    desk.submit("a", "4", waits=False)
    desk.box.drop("a")
    desk.box.drop("x")
    await desk.finish("1")
    await desk.finish("in")
    assert desk.told == "+1 +in -1 -in +3 -3"
    assert not desk.box.blocks("a")


async def test_whoever_listens_learns_when_it_is_idle(desk: Desk) -> None:
    desk.submit("a", "1")
    desk.submit("a", "2")
    desk.submit("b", "3")
    await desk.finish("1")
    await desk.finish("2")
    await desk.finish("3")
    assert desk.relieved == [False, False, True]


async def test_who_waits_too_long_is_reported_once() -> None:
    desk = Desk(timeout=0.0)
    desk.submit("a", "1")
    desk.submit("a", "2", waits=False)
    await asyncio.wait_for(desk.timed_out.wait(), 5)
    await desk.finish("1")
    assert (desk.timeouts, desk.told) == (1, "+1 -1 +2 -2")


async def test_who_ends_in_time_is_not_reported(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    call_later, timers = loop.call_later, []

    def recorded(delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        timers.append(call_later(delay, callback, *args))
        return timers[-1]

    monkeypatch.setattr(loop, "call_later", recorded)
    desk.submit("a", "1")
    await desk.finish("1")
    assert [timer.cancelled() for timer in timers] == [True]


async def test_clearing_cancels_what_runs_and_forgets_what_waits(desk: Desk) -> None:
    desk.submit("a", "1")
    desk.submit("a", "2", waits=False)
    desk.box.clear()
    for _ in range(3):
        await asyncio.sleep(0)
    assert desk.told == "+1"
    assert (len(desk.box), desk.box.blocks("a")) == (0, False)
    assert desk.relieved == [True]


async def test_work_may_wait_several_times_and_be_told_of_a_cancellation(desk: Desk) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await first.wait()
        desk.log.append("first")
        try:
            await second.wait()
        except asyncio.CancelledError:
            desk.log.append("cancelled")
            raise

    rest = advance(work())
    assert rest is not None
    desk.box.wait_for("a", rest)
    first.set()
    for _ in range(3):
        await asyncio.sleep(0)
    desk.box.clear()
    for _ in range(3):
        await asyncio.sleep(0)
    assert desk.told == "first cancelled"


async def test_an_error_of_what_is_waited_for_reaches_the_work(desk: Desk) -> None:
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await failing
        except OSError as error:
            desk.log.append(str(error))

    rest = advance(work())
    assert rest is not None
    desk.box.wait_for("a", rest)
    failing.set_exception(OSError("gone"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert desk.told == "gone"
