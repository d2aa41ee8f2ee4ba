"""One flood against one server, beside ordinary messages as fast as the server takes them.

Both are sent by one connection without a pause, so both have the server's whole attention whenever it is their turn.
What differs is how much of it one turn takes, and that is what others wait for. Paced to the same number of bytes,
the ordinary flood would leave the server idle and the comparison would measure only how expensive a byte is.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

from tests.abuse.flood import Flood
from tests.abuse.stranger import Sent, Stranger
from tests.abuse.victim import Round, Victim

#: The victim's p99 may be so many times that beside ordinary messages.
RATIO = 3.0
#: Below so many seconds nobody notices, and a ratio of two small numbers is noise: on a machine with other work a
#: process waits some milliseconds for its core.
FLOOR = 0.020
#: What is aimed at, on a quiet machine.
GOAL = 0.050
PAIRS = 3
#: Seconds that a flood runs before it is measured, so that sockets' buffers are full.
_LEAD = 0.15
#: A server is calm when so many publications in a row took no longer than this; waited for between floods.
_CALM, _CALM_SECONDS, _CALM_PATIENCE = 5, GOAL, 40.0


@dataclass(frozen=True)
class Pair:
    """A round beside ordinary messages, and one beside the flood soon after."""

    ordinary: Round
    flooded: Round
    sent: Sent


@dataclass
class Trial:
    """Repeated pairs of one flood; medians are judged, so that one disturbed round decides nothing."""

    pairs: Sequence[Pair] = field(default_factory=list)
    #: New connections are not judged beside a flood of connections: the kernel's queue is first come, first served.
    newcomers: bool = True

    def middle(self, figure: str, *, ordinary: bool = False) -> float:
        """The median of a figure of `Round` over all pairs."""
        rounds = [pair.ordinary if ordinary else pair.flooded for pair in self.pairs]
        return median(getattr(each, figure) for each in rounds)

    def ratio(self, figure: str) -> float:
        """The median of each pair's own ratio."""
        return median(
            getattr(pair.flooded, figure) / max(1e-6, getattr(pair.ordinary, figure))
            for pair in self.pairs
        )

    def _is_fine(self, figure: str) -> bool:
        return self.middle(figure) <= FLOOR or self.ratio(figure) <= RATIO

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words."""
        found = []
        if not self._is_fine("p99"):
            found.append(f"events wait {self.ratio('p99'):.1f} times as long")
        if self.newcomers and not self._is_fine("newcomer_p99"):
            found.append(f"new clients wait {self.ratio('newcomer_p99'):.1f} times as long")
        if any(pair.flooded.refused for pair in self.pairs):
            found.append(f"{sum(p.flooded.refused for p in self.pairs)} publications refused")
        if any(pair.flooded.lost for pair in self.pairs):
            found.append(f"{sum(p.flooded.lost for p in self.pairs)} subscribers lost")
        return found

    @property
    def holds(self) -> bool:
        """Whether the victims are as well off as beside ordinary messages."""
        return not self.faults


async def trial(
    flood: Flood,
    ordinary: Flood,
    stranger: Stranger,
    victim: Victim,
    *,
    seconds: float,
    thorough: bool,
) -> Trial:
    """`PAIRS` pairs and their medians; unless it is to be thorough, a first pair that holds is enough.

    That is a cheaper way to the same verdict, because a stall that a flood can cause is there in each of its rounds;
    a disturbance from outside costs two more pairs and no failure.
    """
    found = Trial(pairs := [], newcomers=not flood.connects)
    while len(pairs) < PAIRS:
        beside, _ = await flooded_round(ordinary, stranger, victim, seconds)
        measured, sent = await flooded_round(flood, stranger, victim, seconds)
        pairs.append(Pair(beside, measured, sent))
        if not thorough and len(pairs) == 1 and found.holds:
            break
    return found


async def flooded_round(
    flood: Flood, stranger: Stranger, victim: Victim, seconds: float
) -> tuple[Round, Sent]:
    """What the victims wait for while it goes on, from a calm server on."""
    await calm(victim)
    await stranger.begin(flood)
    await asyncio.sleep(_LEAD)
    measured = await victim.round(seconds)
    return measured, await stranger.end()


async def calm(victim: Victim) -> None:
    """Wait until the last flood has been digested, or too long: then the next round shows it."""
    quick = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_CALM_PATIENCE):
            while quick < _CALM:
                quick = quick + 1 if await victim.probe() <= _CALM_SECONDS else 0
