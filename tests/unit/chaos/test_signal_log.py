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
        self._path = path
        self.line(0.0, 1, "ChannelOccupied", ROOM)

    def line(self, at: float, process: int, kind: str, *names: str) -> None:
        """One signal."""
        with self._path.open("a") as file:
            file.write(json.dumps([at, process, kind, *names]) + "\n")

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
        file.write('[1.0, 1, "MemberAdded", ')
        file.flush()
        written.log.read()
        file.write(f'"{ROOM}", "u1"]\n')
    written.log.read()
    assert written.wrong() == []


@pytest.mark.parametrize(
    ("killed", "process", "excused"), [(10.5, 1, True), (12.0, 1, False), (10.5, 2, False)]
)
def test_a_join_is_excused_if_its_process_was_killed_just_after(
    written: Written, killed: float, process: int, excused: bool
) -> None:
    written.line(0.0, 1, "ConnectionOpened", "1.1")
    written.members()
    ledger = Ledger()
    ledger.asked(ROOM, "1.1", "u1", 10.0).granted = 10.1
    assert written.log.excused((ROOM, "u1"), ledger, [Kill(killed, process)]) is excused


def test_a_leave_that_the_kill_itself_caused_is_not_excused(written: Written) -> None:
    written.line(0.0, 1, "ConnectionOpened", "1.1")
    written.members()
    ledger = Ledger()
    stay = ledger.asked(ROOM, "1.1", "u1", 1.0)
    stay.granted, stay.ended = 1.1, 10.01
    kill = Kill(10.0, 1)
    assert not written.log.excused((ROOM, "u1"), ledger, [kill])
    forgotten = Kill(10.0, 1, alone=True)
    assert written.log.excused((ROOM, "u1"), ledger, [forgotten]), "nobody else knew of it"
