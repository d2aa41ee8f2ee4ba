"""Lets a node look at its evidence once a second, beside its clients (docs/decisions.md#evidence-and-rules)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from pusher_server.interfaces import Tallies

logger = logging.getLogger("pusher_server.server")

#: Seconds between two looks.
_EVERY = 1.0


class EvidenceWatch:
    """`tallies` is None when this process is all there is."""

    def __init__(self, tallies: Tallies | None) -> None:
        self._nodes = 1
        self._task: asyncio.Task[None] | None = None
        if tallies is not None:
            tallies.add(lambda: {}, self._renewed)

    def others(self) -> int:
        """Return the number of live nodes beside this one, as of the last renewal of its lease."""
        return max(0, self._nodes - 1)

    def start(self, step: Callable[[], Awaitable[None]]) -> None:
        """Call `step` from now on, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(step))

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def _renewed(self, elsewhere: Mapping[str, int], nodes: int) -> None:
        self._nodes = nodes

    async def _run(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await step()
            except Exception:  # this second is lost, and no more
                logger.exception("looking at what nobody received failed")
