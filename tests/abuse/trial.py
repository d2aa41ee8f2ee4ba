"""One flood against one server, beside ordinary messages as fast as the server takes them.

Both are sent by one connection without a pause, so both have the server's whole attention whenever it is their
turn. What differs is how much of it one turn takes, and that is what others wait for. Paced to the same number
of bytes, the ordinary flood would leave the server idle, and the comparison would measure only a byte's cost.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.abuse.flood import Flood
from tests.abuse.stranger import Sent, Stranger
from tests.abuse.victim import Round, Victim

#: The victim's p99 may be so many times that beside ordinary messages.
RATIO = 3.0
#: What is aimed at, on a quiet machine.
GOAL = 0.050
#: Below so many seconds nobody notices, and a ratio of two small numbers is noise: on a machine with other work
#: a process waits for its core (seen: 38 ms, with five processes on two cores).
FLOOR = GOAL
#: Rounds of a flood: at the least when it is thorough, and at the most while it does not hold.
ROUNDS, _MOST_ROUNDS = 3, 5
#: Rounds beside ordinary messages that are remembered for the comparison.
_COMPARED = 5
#: In a short run, ordinary messages are measured again after so many floods.
_EVERY = 4
#: One number of a round, in seconds.
Figure = Callable[[Round], float]
#: Seconds that a flood runs before it is measured, so that sockets' buffers are full.
_LEAD = 0.1
#: A server is calm when so many publications in a row took no longer than this.
_CALM, _CALM_SECONDS = 5, GOAL
#: Seconds that it may take for that after a flood, and that are waited so that the next is not blamed for it.
_RECOVERY, _PATIENCE = 5.0, 40.0


@dataclass
class Trial:
    """Rounds beside one flood, and rounds beside ordinary messages before, after and between them.

    Medians are compared, so that one disturbed round decides nothing.
    """

    flooded: Sequence[Round]
    ordinary: Sequence[Round]
    sent: Sent
    #: Whether the server was calm soon after it.
    recovered: bool = True
    #: Whether new clients are judged, too: not beside a flood that stands in the same queue (`Flood.connects`).
    newcomers: bool = True

    def middle(self, figure: Figure) -> float:
        """The median beside the flood, in seconds."""
        return median(map(figure, self.flooded))

    def beside_ordinary(self, figure: Figure) -> float:
        """The median beside ordinary messages, in seconds."""
        return median(map(figure, self.ordinary))

    def ratio(self, figure: Figure) -> float:
        """The one by the other."""
        return self.middle(figure) / max(1e-6, self.beside_ordinary(figure))

    def _is_fine(self, figure: Figure) -> bool:
        return self.middle(figure) <= FLOOR or self.ratio(figure) <= RATIO

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words."""
        found = []
        if not self._is_fine(Round.p99):
            found.append(f"events wait {self.ratio(Round.p99):.1f} times as long")
        if self.newcomers and not self._is_fine(Round.newcomer_p99):
            found.append(f"new clients wait {self.ratio(Round.newcomer_p99):.1f} times as long")
        if refused := median(each.refused for each in self.flooded):
            found.append(f"{refused:g} publications refused")
        if lost := sum(each.lost for each in self.flooded):
            found.append(f"{lost} subscribers lost")
        if not self.recovered:
            found.append(f"events still wait {_RECOVERY:g} s after its end")
        return found

    @property
    def holds(self) -> bool:
        """Whether the victims are as well off as beside ordinary messages."""
        return not self.faults


class Trials:
    """Floods of one server, one after the other, with ordinary messages in between."""

    def __init__(
        self, stranger: Stranger, victim: Victim, ordinary: Flood, *, seconds: float, thorough: bool
    ) -> None:
        """`seconds` is what a round lasts. If it is not `thorough`, one round that holds is enough.

        That is a cheaper way to the same verdict: a stall that a flood can cause is there in each of its
        rounds, and a disturbance from outside costs two or four more rounds and no failure.
        """
        self._stranger = stranger
        self._victim = victim
        self._ordinary = ordinary
        self._seconds = seconds
        self._thorough = thorough
        self._done = 0
        #: The last ones.
        self._beside: deque[Round] = deque(maxlen=_COMPARED)

    async def trial(self, flood: Flood) -> Trial:
        """One flood, until it can be judged."""
        for _ in range(ROUNDS - len(self._beside)):
            await self._measure_ordinary()
        if not self._thorough and self._done % _EVERY == _EVERY - 1:
            await self._measure_ordinary()
        flooded: list[Round] = []
        while True:
            if self._thorough or flooded:
                await self._measure_ordinary()
            measured, sent = await self._round(flood)
            flooded.append(measured)
            found = Trial(
                flooded,
                tuple(self._beside),
                sent,
                recovered=await self._is_calm(),
                newcomers=not flood.connects,
            )
            enough = len(flooded) >= ROUNDS or not self._thorough
            odd = len(flooded) % 2 == 1  # so the median is one of them
            if enough and odd and (found.holds or len(flooded) >= _MOST_ROUNDS):
                break
        self._done += 1
        return found

    async def _measure_ordinary(self) -> None:
        measured, _ = await self._round(self._ordinary)
        self._beside.append(measured)
        await self._is_calm()

    async def _round(self, flood: Flood) -> tuple[Round, Sent]:
        """What the victims wait for while it goes on."""
        await self._stranger.begin(flood)
        await asyncio.sleep(_LEAD)
        measured = await self._victim.round(self._seconds)
        return measured, await self._stranger.end()

    async def _is_calm(self) -> bool:
        """Wait until the last flood has been digested; whether that was soon enough."""
        began, quick = time.monotonic(), 0
        while quick < _CALM and time.monotonic() - began < _PATIENCE:
            quick = quick + 1 if await self._victim.probe() <= _CALM_SECONDS else 0
        return time.monotonic() - began < _RECOVERY
