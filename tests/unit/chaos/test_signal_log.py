"""Signals: each once, in agreement with the truth, and what may be lost with a killed process."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.signal_log import Kill, SignalLog
from tests.chaos.truth import Truth

ROOM = "presence-room-0"
#: u1 is in the room, which is occupied.
TRUTH = Truth(subscriptions=Counter({ROOM: 1}), members={ROOM: {"u1"}})
_NAMES = {"+": "MemberAdded", "-": "MemberRemoved"}


class Written:
    """A log to which processes write; the room's own signal is there already."""

    def __init__(self, path: Path) -> None:
        self.log = SignalLog(path)
        self._lines = 0
        self._path = path
        self.line(0.0, 1, "ChannelOccupied", ROOM)

    def line(self, at: float, process: int, kind: str, *names: str, told: str = "") -> None:
        """One signal, with an id of its own unless one is given."""
        self._lines += 1
        with self._path.open("a") as file:
            line = [at, process, kind, told or f"id {self._lines}", *names]
            file.write(json.dumps(line) + "\n")

    def members(self, *signals: tuple[str, float, int]) -> "Written":
        """Joins (+) and leaves (-) of u1: sign, time, process."""
        for sign, at, process in signals:
            self.line(at, process, _NAMES[sign], ROOM, "u1")
        self.log.read()
        return self

    def wrong(self, truth: Truth = TRUTH) -> list[tuple[str, ...]]:
        """The keys whose signals do not add up."""
        return [key for key, _ in self.log.differences(truth)]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Nothing about u1 yet."""
    return Written(tmp_path / "signals")


def test_a_join_that_was_told_is_right(written: Written) -> None:
    assert written.members(("+", 1.0, 1)).wrong() == []


@pytest.mark.parametrize(
    "signals",
    [
        [],
        [("+", 1.0, 1), ("-", 5.0, 1)],
        [("+", 1.0, 1), ("+", 1.1, 2)],
        [("+", 1.0, 1), ("-", 5.0, 1), ("-", 5.1, 2), ("+", 8.0, 1)],
        [("+", 1.0, 1), ("+", 4.0, 1), ("-", 8.0, 1)],
        [("-", 1.0, 1), ("+", 4.0, 1), ("+", 8.0, 1)],
    ],
    ids=["missing", "gone", "join twice", "leave twice", "late", "leave first"],
)
def test_what_does_not_add_up_is_found(
    written: Written, signals: list[tuple[str, float, int]]
) -> None:
    assert written.members(*signals).wrong() == [(ROOM, "u1")]


def test_two_processes_may_write_in_another_order(written: Written) -> None:
    signals = [("+", 1.0, 1), ("+", 5.0, 2), ("-", 5.1, 1)]
    assert written.members(*signals).wrong() == []


def test_one_process_may_not(written: Written) -> None:
    signals = [("+", 1.0, 1), ("+", 5.0, 1), ("-", 5.1, 1)]
    assert written.members(*signals).wrong() == [(ROOM, "u1")]


def test_a_new_round_begins_with_the_truth(written: Written) -> None:
    written.members(("+", 1.0, 1)).log.begin_round(TRUTH)
    assert written.wrong() == []
    assert written.members(("+", 20.0, 1)).wrong() == [(ROOM, "u1")]
    nobody = Truth(subscriptions=Counter({ROOM: 1}))
    assert written.wrong(nobody) == [(ROOM, "u1")]


def test_a_line_that_is_not_whole_is_read_later(written: Written, tmp_path: Path) -> None:
    with (tmp_path / "signals").open("a") as file:
        file.write('[1.0, 1, "MemberAdded", "id", ')
        file.flush()
        written.log.read()
        file.write(f'"{ROOM}", "u1"]\n')
    written.log.read()
    assert written.wrong() == []


def test_what_is_told_again_under_the_same_id_counts_once(written: Written) -> None:
    for at, process in ((1.0, 1), (9.0, 2)):
        written.line(at, process, "MemberAdded", ROOM, "u1", told="same")
    written.log.read()
    assert written.wrong() == []


@pytest.mark.parametrize(
    ("process", "alone", "excused"), [(1, True, True), (1, False, False), (2, True, False)]
)
def test_only_what_nobody_else_knew_is_excused(
    written: Written, process: int, alone: bool, excused: bool
) -> None:
    written.line(0.0, 1, "ConnectionOpened", "1.1")
    written.members()
    ledger = Ledger()
    ledger.asked(ROOM, "1.1", "u1", 10.0).granted = 10.1
    assert written.log.excused((ROOM, "u1"), ledger, [Kill(process, alone)]) is excused
