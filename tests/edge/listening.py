"""An operations listener in the test's own loop, with an application of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pusher_server.server.operations_listener import OperationsListener
from tests.support.wire import Address

#: Runs a scenario in a loop of one kind.
Run = Callable[[Coroutine[Any, Any, None]], None]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything at once."""
    await Response(b"x")(scope, receive, send)


def page(
    events: Callable[[], AsyncIterator[bytes]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """An endpoint that streams what `events` yields."""

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    return endpoint


@asynccontextmanager
async def listening(app: ASGIApp = plain) -> AsyncIterator[tuple[OperationsListener, Address]]:
    """A listener with this application on a free port."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    listener = OperationsListener(app, bound)
    await listener.open()
    try:
        yield listener, Address(port=bound.getsockname()[1])
    finally:
        await listener.close()
