"""What the operations listener answers: metrics, health, usage (docs/protocol/http-api.md#health).

Why they have a listener of their own: docs/decisions.md#operations-listener.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hmac import compare_digest

import msgspec
from msgspec import Struct

from pusher_server.config import OperationsSettings
from pusher_server.metrics import health
from pusher_server.metrics.exposition import exposition
from pusher_server.metrics.process_group import ProcessGroup
from pusher_server.metrics.process_stats import memory_limit
from pusher_server.metrics.reading import State

_PLAIN = "text/plain; charset=utf-8"
_JSON = "application/json"
#: Above it (some 40 apps) the text is written in a thread: 10 µs a sample, while others wait (measured).
_MANY_SAMPLES = 500


class OperationsAnswer(Struct, frozen=True):
    """A whole answer. `headers` are those beyond content type and length."""

    status: int
    body: bytes
    content_type: str = _PLAIN
    headers: tuple[tuple[str, str], ...] = ()


class Operations:
    """`port` is the clients' one: soketi's names carry it."""

    def __init__(self, settings: OperationsSettings, team: ProcessGroup, *, port: int) -> None:
        self._settings = settings
        self._team = team
        self._port = port
        self._routes: Mapping[str, Callable[[str], Awaitable[OperationsAnswer]]] = {
            "/metrics": self._metrics,
            "/usage": self._usage,
            "/ready": self._ready,
            "/accept-traffic": self._accept_traffic,
            "/live": self._live,
            "/": self._live,
            "/up": self._up,
        }

    async def answer(
        self, method: str, target: str, headers: Mapping[str, str]
    ) -> OperationsAnswer:
        """`headers` by their names in lower case. Health needs no token: load balancers have none."""
        path = target.partition("?")[0]
        route = self._routes.get(path.rstrip("/") or "/")
        if route is None:
            return _text(404, "Not found\n")
        if method == "OPTIONS":  # HAProxy's `option httpchk` asks so by default
            return OperationsAnswer(200, b"", headers=(("allow", "GET, HEAD, OPTIONS"),))
        if method not in ("GET", "HEAD"):
            return OperationsAnswer(405, b"Method not allowed\n", headers=(("allow", "GET, HEAD"),))
        if route in (self._metrics, self._usage) and not self._may_read(headers):
            challenge = (("www-authenticate", "Bearer"),)
            return OperationsAnswer(401, b"operations.token is needed\n", headers=challenge)
        return await route(headers.get("accept", ""))

    def _may_read(self, headers: Mapping[str, str]) -> bool:
        wanted = self._settings.token
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return not wanted or (
            scheme.lower() == "bearer" and compare_digest(given.strip().encode(), wanted.encode())
        )

    async def _metrics(self, accept: str) -> OperationsAnswer:
        snapshot = await self._team.snapshot()
        port = self._port if self._settings.soketi_names else None
        write = partial(exposition, snapshot.sums, accept, soketi_port=port)
        if len(snapshot.sums) > _MANY_SAMPLES:
            body, content_type = await asyncio.to_thread(write)
        else:
            body, content_type = write()
        return OperationsAnswer(200, body, content_type)

    async def _usage(self, accept: str) -> OperationsAnswer:
        """As soketi's, and some more."""
        found = (await self._team.snapshot()).states
        states = [each for each in found.values() if isinstance(each, State)]
        total, used = memory_limit(), sum(each.memory for each in states)
        document = {
            "memory": {
                "free": max(0, total - used),
                "used": used,
                "total": total,
                "percent": round(100 * used / total, 2) if total else None,
            },
            "cpu_seconds": round(sum(each.cpu_seconds for each in states), 2),
            "open_files": sum(each.open_files for each in states),
            "max_files": min((each.max_files for each in states), default=0),
            "connections": sum(each.connections for each in states),
            "workers": {
                name: state if isinstance(state, str) else "starting" if state.starting else "ready"
                for name, state in found.items()
            },
            "uptime_seconds": round(max((each.uptime for each in states), default=0.0), 1),
        }
        return OperationsAnswer(200, msgspec.json.encode(document), _JSON)

    async def _ready(self, accept: str) -> OperationsAnswer:
        return _judged(health.ready((await self._team.snapshot()).states))

    async def _accept_traffic(self, accept: str) -> OperationsAnswer:
        states = (await self._team.snapshot()).states
        return _judged(health.accepts_traffic(states, memory_limit()))

    async def _live(self, accept: str) -> OperationsAnswer:
        """Some loop turns: ours alone would not serve anybody when there are workers."""
        states = (await self._team.snapshot()).states
        alive = [name for name, state in states.items() if isinstance(state, State)]
        if alive:
            return _text(200, "OK")
        return _text(500, "".join(f"{name}: {state}\n" for name, state in states.items()))

    async def _up(self, accept: str) -> OperationsAnswer:
        """As Reverb's: the process answers."""
        return OperationsAnswer(200, b'{"health":"OK"}', _JSON)


def _judged(verdict: health.Verdict) -> OperationsAnswer:
    return _text(200 if verdict.good else 500, verdict.text)


def _text(status: int, text: str) -> OperationsAnswer:
    return OperationsAnswer(status, text.encode())
