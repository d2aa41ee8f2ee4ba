"""Lets one worker answer an operator for all: it asks the other workers and nodes over the cluster."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from pusher_server.processes.child import Child

#: Seconds that a worker has to ask the others and to answer.
_SECONDS = 5.0


async def answer(workers: Sequence[Child], question: bytes) -> bytes:
    """Return the answer of the first worker that gives one, as JSON; nothing when none does."""
    for worker in workers:
        if not worker.ready:
            continue
        with suppress(TimeoutError):
            answered = await asyncio.wait_for(worker.answer(question), _SECONDS)
            if answered:
                return answered
    return b""
