"""One attempt for all who want the same at the same time."""

import asyncio
import gc

import pytest

from pusher_server.redis.joined import Joined


class Attempts:
    """Each attempt ends when `ends` is resolved."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = asyncio.Event()
        self.ends: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.joined = Joined(self._attempt)

    async def _attempt(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.ends)
        finally:
            self.ended.set()

    def again(self) -> None:
        self.ended.clear()
        self.ends = asyncio.get_running_loop().create_future()


async def started(attempts: Attempts, number: int) -> list["asyncio.Task[str]"]:
    tasks = [asyncio.create_task(attempts.joined()) for _ in range(number)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_those_who_call_meanwhile_share_one_attempt() -> None:
    attempts = Attempts()
    tasks = await started(attempts, 3)
    attempts.ends.set_result("found")
    assert await asyncio.gather(*tasks) == ["found"] * 3
    assert attempts.begun == 1


async def test_a_later_call_begins_anew() -> None:
    attempts = Attempts()
    attempts.ends.set_result("first")
    assert await attempts.joined() == "first"
    attempts.again()
    attempts.ends.set_result("second")
    assert await attempts.joined() == "second"
    assert attempts.begun == 2


async def test_a_caller_that_gives_up_stops_nobody_else() -> None:
    attempts = Attempts()
    first, second = await started(attempts, 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    attempts.ends.set_result("found")
    assert await second == "found"
    assert attempts.begun == 1


async def test_all_hear_of_an_error_and_nobody_must() -> None:
    """asyncio complains of errors that nobody took; pytest would show it."""
    attempts = Attempts()
    tasks = await started(attempts, 2)
    attempts.ends.set_exception(ValueError("no"))
    assert [str(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
        "no"
    ] * 2

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    attempts.again()
    (task,) = await started(attempts, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    attempts.ends.set_exception(ValueError("too late"))
    await attempts.ended.wait()
    del attempts, task
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
