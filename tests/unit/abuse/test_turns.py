"""The count of what one turn did, in a process that is not flooded."""

import asyncio
from pathlib import Path

from tests.abuse import turns
from tests.abuse.turns import Turn, TurnCounter, read_turns


async def turn_of_the_loop() -> None:
    """Let what is scheduled run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_units_of_one_turn_are_added_and_those_of_two_are_not(tmp_path: Path) -> None:
    counter = TurnCounter(str(tmp_path / "turns"))
    counter.count(6, 600)
    counter.count(4, 400)
    await turn_of_the_loop()
    counter.count(9, 10)
    await turn_of_the_loop()
    (found,) = read_turns(tmp_path / "turns", 0)
    assert (found.units, found.bytes) == (10, 1_000)


def test_what_was_before_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "turns").write_text("1.5 64 100\n2.5 65 101\n")
    assert list(read_turns(tmp_path / "turns", 2.0)) == [Turn(2.5, 65, 101)]
    assert list(read_turns(tmp_path / "none", 0.0)) == []


async def test_small_turns_are_not_written(tmp_path: Path) -> None:
    counter = TurnCounter(str(tmp_path / "turns"))
    counter.count(turns._LEAST - 1, 10)
    await turn_of_the_loop()
    assert list(read_turns(tmp_path / "turns", 0)) == []
