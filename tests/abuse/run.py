"""Floods of one server after the other, each judged."""

import os
from collections.abc import AsyncIterator, Sequence

from tests.abuse.flood import Flood
from tests.abuse.report import Row
from tests.abuse.setups import AuditedServer, Setup, serving, share_cores
from tests.abuse.stranger import stranger
from tests.abuse.trial import trial
from tests.abuse.victim import victims
from tests.abuse.websocket_floods import ORDINARY

#: Over TLS the shapes below it, and these: what one read hands over is cut differently there.
_ALSO_OVER_TLS = {"empty continuations", "pings", "POST /events", "headers, fast", "connects"}


def floods_for(setup: Setup, floods: Sequence[Flood]) -> list[Flood]:
    """Those that mean something there."""
    if setup.tls:
        return [each for each in floods if each.needs_tls or each.name in _ALSO_OVER_TLS]
    return [each for each in floods if not each.needs_tls]


async def run(
    setup: Setup, floods: Sequence[Flood], *, seconds: float, thorough: bool, broken: str = ""
) -> AsyncIterator[Row]:
    """Flood one server; a row for each flood, as soon as it is there."""
    cores = share_cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.others)
    try:
        with serving(setup, cores, broken) as server:
            async with victims(server.address) as victim, stranger(server.address) as flooder:
                for flood in floods_for(setup, floods):
                    killed = server.killed
                    done = await trial(
                        flood, ORDINARY, flooder, victim, seconds=seconds, thorough=thorough
                    )
                    yield Row(setup.name, flood, done, 0, 0, _faults(server, killed))
    finally:
        os.sched_setaffinity(0, before)


def _faults(server: AuditedServer, killed_before: int) -> tuple[str, ...]:
    killed = server.killed - killed_before
    return (f"{killed} workers killed or ended",) if killed else ()
