"""What became of entries, written while deliveries go on."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from pusher_server.webhooks.delivery import outcomes as module
from pusher_server.webhooks.delivery.outcomes import Outcomes
from pusher_server.webhooks.outbox.interface import PAUSE, AttemptRecord, Decision, Entry
from tests.unit.webhooks.delivery_fixture import simulate
from tests.unit.webhooks.memory_outbox import MemoryOutbox

ATTEMPT = AttemptRecord(
    at=0.0, webhook="w", url="", ids=(), events=(), number=1, status=200, took=0.0,
    outcome="delivered", answer="",
)  # fmt: skip


async def filled(count: int) -> MemoryOutbox:
    outbox = MemoryOutbox(asyncio.get_running_loop().time)
    entries = tuple(Entry(f"e{number}", "w", "c", "{}", 0.0) for number in range(count))
    await outbox.append([Decision(app_id="1", entries=entries)])
    return outbox


def position(number: int) -> str:
    return f"{number:012}"


def test_what_is_told_is_written_and_until_then_owed() -> None:
    async def play() -> None:
        outbox = await filled(3)
        outcomes = Outcomes(outbox)
        outcomes.finish("1", [position(1)])
        outcomes.bury("1", [position(2)], "status 500", 7.0)
        outcomes.record("1", ATTEMPT)
        assert [outcomes.owes("1", position(number)) for number in (1, 2, 3)] == [True, True, False]
        await outcomes.close(1.0)
        assert not outcomes.owes("1", position(1))
        assert list(outbox.waiting["1"]) == [position(3)]
        (dead,) = await outbox.dead("1")
        assert (dead.entry.id, dead.reason, dead.at) == ("e1", "status 500", 7.0)
        assert await outbox.log("1") == [ATTEMPT]

    simulate(play)


def test_it_is_full_while_the_outbox_is_away() -> None:
    async def play() -> None:
        outbox = await filled(module.MOST_OWED)
        outbox.trouble = "away"
        outcomes = Outcomes(outbox)
        outcomes.finish("1", list(outbox.waiting["1"]))
        await asyncio.sleep(60.0)
        assert outcomes.is_full
        outbox.trouble = ""
        await asyncio.sleep(PAUSE)
        assert not outcomes.is_full
        assert not outbox.waiting["1"]

    simulate(play)


def test_what_is_told_during_a_writing_is_written_next() -> None:
    async def play() -> None:
        outbox = await filled(2)
        finish = outbox.finish

        async def slowly(app_id: str, positions: Sequence[str]) -> None:
            await asyncio.sleep(1.0)
            await finish(app_id, positions)

        outbox.finish = slowly  # type: ignore[method-assign]
        outcomes = Outcomes(outbox)
        outcomes.finish("1", [position(1)])
        await asyncio.sleep(0.5)
        outcomes.finish("1", [position(2)])
        await asyncio.sleep(1.0)
        assert list(outbox.waiting["1"]) == [position(2)]
        await asyncio.sleep(1.0)
        assert not outbox.waiting["1"]

    simulate(play)


def test_a_fault_of_the_outbox_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        outbox = await filled(1)
        finish = outbox.finish

        async def fails(app_id: str, positions: Sequence[str]) -> None:
            outbox.finish = finish  # type: ignore[method-assign]
            raise ZeroDivisionError

        outbox.finish = fails  # type: ignore[method-assign]
        outcomes = Outcomes(outbox)
        outcomes.finish("1", [position(1)])
        await asyncio.sleep(PAUSE + 0.1)
        assert not outbox.waiting["1"]

    with caplog.at_level(logging.ERROR):
        simulate(play)
    assert "writing what became of webhook events failed" in caplog.text


def test_closing_waits_no_longer_than_it_is_told() -> None:
    async def play() -> None:
        outbox = await filled(1)
        outbox.trouble = "away"
        outcomes = Outcomes(outbox)
        outcomes.finish("1", [position(1)])
        began = asyncio.get_running_loop().time()
        await outcomes.close(3.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)

    simulate(play)
