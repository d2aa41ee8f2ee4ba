"""The operations listener's application: metrics, health, usage (docs/protocol/http-api.md#health).

Why they have a listener of their own: docs/decisions.md#operations-listener.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from hmac import compare_digest

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pusher_server.config import OperationsSettings
from pusher_server.log_rate_limit import SourceRateLimit, repeated
from pusher_server.metrics import health
from pusher_server.metrics.exposition import exposition
from pusher_server.metrics.process_group import ProcessGroup
from pusher_server.metrics.process_stats import memory_limit
from pusher_server.metrics.questions import Ask, QuestionPages
from pusher_server.metrics.reading import State

logger = logging.getLogger("pusher_server.metrics")

_JSON = "application/json"
#: Above it (some 40 apps) the text is written in a thread: 10 µs a sample, while others wait (measured).
_MANY_SAMPLES = 500
#: Characters of a path in a log line.
_SHOWN_PATH = 120

Endpoint = Callable[[Request], Awaitable[Response]]


def operations_app(
    settings: OperationsSettings, group: ProcessGroup, ask: Ask, *, port: int
) -> Starlette:
    """All pages. `port` is the clients' one: soketi's names carry it. `ask` answers operators' questions."""
    pages, guard = _Pages(settings, group, port), _TokenGuard(settings.token)
    questions = QuestionPages(settings, ask)
    return Starlette(
        routes=[
            _Page("/metrics", guard.guarded(pages.metrics)),
            _Page("/usage", guard.guarded(pages.usage)),
            _Page("/why", guard.guarded(questions.why)),
            _Page("/tail", guard.guarded(questions.tail)),
            _Page("/channels", guard.guarded(questions.channels)),
            _Page("/connections", guard.guarded(questions.connections)),
            _Page("/orders", guard.guarded(questions.order), methods=["POST"]),
            _Page("/ready", pages.ready),
            _Page("/accept-traffic", pages.accept_traffic),
            _Page("/live", pages.live),
            _Page("/", pages.live),
            _Page("/up", pages.up),
        ],
        exception_handlers={404: _not_found, 405: _not_allowed},
        middleware=[Middleware(_Answers)],
    )


class _Pages:
    """The endpoints. Health needs no token: load balancers have none."""

    def __init__(self, settings: OperationsSettings, group: ProcessGroup, port: int) -> None:
        self._settings = settings
        self._group = group
        self._port = port

    async def metrics(self, request: Request) -> Response:
        """Prometheus's text."""
        snapshot = await self._group.snapshot()
        port = self._port if self._settings.soketi_names else None
        accept = request.headers.get("accept", "")
        write = partial(exposition, snapshot.sums, accept, soketi_port=port)
        if len(snapshot.sums) > _MANY_SAMPLES:
            body, content_type = await asyncio.to_thread(write)
        else:
            body, content_type = write()
        return Response(body, media_type=content_type)

    async def usage(self, request: Request) -> Response:
        """The usage of the machine, in soketi's form with more fields."""
        by_worker = (await self._group.snapshot()).states
        states = [state for state in by_worker.values() if isinstance(state, State)]
        total, used = memory_limit(), sum(state.memory for state in states)
        document = {
            "memory": {
                "free": max(0, total - used),
                "used": used,
                "total": total,
                "percent": round(100 * used / total, 2) if total else None,
            },
            "cpu_seconds": round(sum(state.cpu_seconds for state in states), 2),
            "open_files": sum(state.open_files for state in states),
            "max_files": min((state.max_files for state in states), default=0),
            "connections": sum(state.connections for state in states),
            "workers": {
                name: state if isinstance(state, str) else "starting" if state.starting else "ready"
                for name, state in by_worker.items()
            },
            "uptime_seconds": round(max((state.uptime for state in states), default=0.0), 1),
        }
        return Response(msgspec.json.encode(document), media_type=_JSON)

    async def ready(self, request: Request) -> Response:
        """Whether clients should be sent here."""
        return _judged(health.ready((await self._group.snapshot()).states))

    async def accept_traffic(self, request: Request) -> Response:
        """The same, and whether there is room for more of them."""
        states = (await self._group.snapshot()).states
        return _judged(health.accepts_traffic(states, memory_limit()))

    async def live(self, request: Request) -> Response:
        """Whether a worker's loop turns: with workers, the loop of this process alone would serve no client."""
        states = (await self._group.snapshot()).states
        alive = [name for name, state in states.items() if isinstance(state, State)]
        if alive:
            return PlainTextResponse("OK")
        return PlainTextResponse(
            "".join(f"{name}: {state}\n" for name, state in states.items()), 500
        )

    async def up(self, request: Request) -> Response:
        """Answer that the process lives, in Reverb's form."""
        return Response(b'{"health":"OK"}', media_type=_JSON)


class _Page(Route):
    """A path that may have slashes behind it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"]
        bare = path.rstrip("/") or "/"
        return super().matches(scope if bare == path else {**scope, "path": bare})


class _Answers:
    """Keeps answers out of caches, and turns a failure into an answer and a line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, as any ASGI application. Raises an error in the middle of an answer."""
        has_begun = False

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                MutableHeaders(scope=message).setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:  # the one place where a failure becomes an answer
            if has_begun:
                raise
            logger.exception("an operator's request failed", extra={"path": scope["path"]})
            failed = PlainTextResponse("Internal error; the log has more\n", 500)
            await failed(scope, receive, send_on)


class _TokenGuard:
    """Refuses requests without the token, and logs that; there may be no token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._limit = SourceRateLimit()

    def guarded(self, page: Endpoint) -> Endpoint:
        """The page, for requests with the token; for all requests when there is none."""

        async def answer(request: Request) -> Response:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if self._token and not (
                scheme.lower() == "bearer"
                and compare_digest(given.strip().encode(), self._token.encode())
            ):
                self._log(request, "another token" if given else "none")
                challenge = {"www-authenticate": "Bearer"}
                return PlainTextResponse("operations.token is needed\n", 401, challenge)
            return await page(request)

        return answer

    def _log(self, request: Request, sent: str) -> None:
        address = "unix" if request.client is None else request.client.host
        requests = self._limit.due("token", address, time.monotonic(), sent)
        if requests:
            fields: dict[str, object] = {"path": request.url.path[:_SHOWN_PATH], "address": address}
            logger.warning(
                "an operator's request is refused: it needs operations.token as its bearer token and has %s",
                sent,
                extra=fields | repeated(requests),
            )


async def _not_found(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Not found\n", 404)


async def _not_allowed(request: Request, error: Exception) -> Response:
    """No page serves OPTIONS itself, so it comes here, too: HAProxy's `option httpchk` uses it by default."""
    assert isinstance(error, HTTPException)
    assert error.headers is not None  # a route names its methods (RFC 9110 §15.5.6)
    allowed = ", ".join(sorted(error.headers["Allow"].split(", ")))
    if request.method == "OPTIONS":
        return Response(headers={"allow": f"{allowed}, OPTIONS"}, media_type="text/plain")
    return PlainTextResponse("Method not allowed\n", 405, {"allow": allowed})


def _judged(verdict: health.Verdict) -> Response:
    return PlainTextResponse(verdict.text, 200 if verdict.good else 500)
