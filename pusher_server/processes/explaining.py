"""Lets one worker say for all why nothing arrives: it asks the other workers and nodes over the cluster."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from pusher_server.diagnosis.explanation import Explanation, WhyQuestion
from pusher_server.processes.child import Child

#: Seconds that a worker has to ask the others and to answer.
_SECONDS = 5.0


async def explain(workers: Sequence[Child], question: WhyQuestion) -> Explanation | None:
    """Return the answer of the first worker that gives one; None when none does."""
    line = msgspec.json.encode(question)
    for worker in workers:
        if not worker.ready:
            continue
        with suppress(TimeoutError, msgspec.DecodeError):
            answer = await asyncio.wait_for(worker.explanation(line), _SECONDS)
            return msgspec.json.decode(answer, type=Explanation)
    return None
