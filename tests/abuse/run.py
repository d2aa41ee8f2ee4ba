"""Floods of one server after the other, each judged."""

import os
import time
from collections.abc import AsyncIterator, Sequence

from pusher_server import turns
from pusher_server.app import AppLimits
from tests.abuse.flood import Flood
from tests.abuse.report import Row
from tests.abuse.setups import AuditedServer, Setup, serving, share_cores
from tests.abuse.stranger import stranger
from tests.abuse.trial import Trial, Trials
from tests.abuse.victim import victims
from tests.abuse.websocket_floods import ORDINARY

#: Over TLS the shapes below it, and these: what one read hands over is cut differently there.
_ALSO_OVER_TLS = {"empty continuations", "pings", "POST /events", "headers, fast", "connects"}
#: In a short run over all floods, those that a worker was once killed for, and one of each other kind: a worker
#: runs the code of a single process, which has had all of them.
_ON_WORKERS = {
    "empty continuations",
    "long 1-byte fragments",
    "large messages",
    "pairs",
    "POST /events",
    "POST, gzip",
    "GET /",
    "headers, fast",
    "1-byte chunks",
    "large bodies",
    "WebSocket connects",
    "connects",
}

#: What a turn may do for one connection, as `tests.abuse.turns` counts it: its bound, and the step that
#: passes it. A message counts when it is whole, whenever its bytes have come.
MOST_UNITS = turns.UNITS + turns.REQUEST_UNITS
MOST_BYTES = turns.BYTES + AppLimits().message_bytes


def floods_for(setup: Setup, floods: Sequence[Flood], *, thorough: bool) -> list[Flood]:
    """Those that mean something there."""
    if setup.tls:
        return [each for each in floods if each.needs_tls or each.name in _ALSO_OVER_TLS]
    if setup.workers > 1 and not thorough and len(floods) > len(_ON_WORKERS):
        return [each for each in floods if each.name in _ON_WORKERS]
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
                trials = Trials(flooder, victim, ORDINARY, seconds=seconds, thorough=thorough)
                for flood in floods_for(setup, floods, thorough=thorough):
                    began, killed = time.monotonic(), server.killed
                    done = await trials.trial(flood)
                    yield _judged(server, flood, done, began, server.killed - killed)
    finally:
        os.sched_setaffinity(0, before)


def _judged(server: AuditedServer, flood: Flood, done: Trial, began: float, killed: int) -> Row:
    large = list(server.turns(began))
    units = max((turn.units for turn in large), default=0)
    size = max((turn.bytes for turn in large), default=0)
    faults = []
    if killed:
        faults.append(f"{killed} workers killed or ended")
    if units > MOST_UNITS:
        faults.append(f"{units:,} units in a turn")
    if size > MOST_BYTES:
        faults.append(f"{size:,} bytes in a turn")
    return Row(server.setup.name, flood, done, units, size, tuple(faults))
