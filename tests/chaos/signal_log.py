"""The signals that all processes wrote down, and whether each happened exactly once.

One with an id that was there before is the same one: a receiver of webhooks drops it, and so is done here.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.ledger import Ledger
from tests.chaos.truth import Difference, Truth

_BEGINS = {
    "ChannelOccupied": True,
    "ChannelVacated": False,
    "MemberAdded": True,
    "MemberRemoved": False,
}
#: Two processes may write down in another order what happened within this time.
SWAP = 0.5

#: (channel,) or (channel, user).
Key = tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """One signal: somebody or something is there now, or no longer."""

    at: float
    process: int
    begins: bool


@dataclass(frozen=True)
class Kill:
    """A process ended. `alone`: what nodes share was lost or out of reach in the same round."""

    process: int
    alone: bool = False


class SignalLog:
    """Reads what has been appended since it last looked."""

    def __init__(self, path: Path) -> None:
        self.process_of_socket: dict[str, int] = {}
        self.process_of_event: dict[tuple[str, str], int] = {}
        self._path = path
        self._offset = 0
        self._known: dict[Key, bool] = {}
        self._new: dict[Key, list[Record]] = {}
        self._ids: set[str] = set()

    def read(self) -> None:
        """Take in what is new; a line that is not whole yet is left for later."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            at, process, kind, told, *names = json.loads(line)
            if kind == "ConnectionOpened":
                self.process_of_socket[names[0]] = process
            elif kind == "EventPublished":
                self.process_of_event[names[1], names[0]] = process
            elif told in self._ids:
                continue
            elif not names[0].startswith("#"):
                self._ids.add(told)
                record = Record(at, process, _BEGINS[kind])
                self._new.setdefault(tuple(names), []).append(record)

    def differences(self, truth: Truth) -> Iterator[tuple[Key, Difference]]:
        """Where signals do not add up to the truth: one too many, or one that never came."""
        for key in self._keys(truth):
            records = self._new.get(key, [])
            said = self._known.get(key, False) + sum(1 if r.begins else -1 for r in records)
            right = _holds(truth, key)
            if said != right:
                text = f"signals of {'/'.join(key)} leave it at {int(said)}, true is {int(right)}"
                yield key, Difference("signals", f"{text}: {_told(records)}")
            elif not _alternates(self._known.get(key, False), records):
                text = f"signals of {'/'.join(key)} do not alternate: {_told(records)}"
                yield key, Difference("signals", text)

    def during(self, key: Key, begin: float, end: float) -> Sequence[Record]:
        """The signals of a key in a stretch of this round."""
        return [record for record in self._new.get(key, []) if begin <= record.at <= end]

    def excused(self, key: Key, ledger: Ledger, kills: Sequence[Kill]) -> bool:
        """Whether a process that ended alone may have been the only one to know of this key."""
        return any(
            self.process_of_socket.get(stay.socket) == kill.process
            and (len(key) == 1 or stay.user == key[1])
            for kill in kills
            if kill.alone
            for stay in ledger.stays(key[0])
        )

    def begin_round(self, truth: Truth) -> None:
        """From here on the truth is what the signals have said."""
        self._known = {key: True for key in self._keys(truth) if _holds(truth, key)}
        self._new.clear()
        self.process_of_event.clear()

    def _keys(self, truth: Truth) -> set[Key]:
        members = {(channel, user) for channel, users in truth.members.items() for user in users}
        return {*self._known, *self._new, *members, *((name,) for name in truth.subscriptions)}


def _holds(truth: Truth, key: Key) -> bool:
    if len(key) == 1:
        return truth.subscriptions[key[0]] > 0
    return key[1] in truth.members.get(key[0], ())


def _alternates(known: bool, records: Sequence[Record]) -> bool:
    """In the order written, but for neighbours from two processes that may have been swapped."""
    rest = list(records)
    while rest:
        right = next(
            (
                n
                for n, record in enumerate(rest)
                if record.begins is not known
                and all(
                    record.process != before.process and record.at - before.at <= SWAP
                    for before in rest[:n]
                )
            ),
            None,
        )
        if right is None:
            return False
        known = rest.pop(right).begins
    return True


def _told(records: Sequence[Record]) -> str:
    return ", ".join(f"{'+' if r.begins else '-'} by {r.process} at {r.at:.2f}" for r in records)
