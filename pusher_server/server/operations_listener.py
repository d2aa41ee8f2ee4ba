"""The HTTP server for operators' programs: uvicorn's protocol on a socket of its own, without `uvicorn.Server`.

`uvicorn.Server` owns the process's signals and its own shutdown. But this listener has to answer before the
first client comes and until the very end of a drain. A supervisor, which has no node, has one as well.
"""

import asyncio
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from pusher_server.server.misdirected import MisdirectedLog
from pusher_server.server.operations_protocol import BOUNDS, OperationsProtocol
from pusher_server.server.request_guard import RequestGuard

#: Seconds between two looks at requests that take too long. There are none while nothing is waited for.
_LOOK_SECONDS = 0.25


class OperationsListener:
    """Serves the ASGI application `app` on a socket that is bound already."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        self._app = app
        self._bound = bound
        self._server: asyncio.Server | None = None
        self._state = ServerState()
        self._guard = RequestGuard(BOUNDS)
        self._looking: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """The URL of the listener."""
        host, port = self._bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def open(self) -> None:
        """Listen, in the running loop."""
        protocol = partial(
            OperationsProtocol,
            guard=self._guard,
            # Its requests are nobody's publications, so the metric leaves them out.
            misdirected=MisdirectedLog(lambda signal: None, time.monotonic),
            look=self._look_soon,
        )
        config = Config(
            self._serve,
            http=cast(Any, protocol),  # any callable will do: it is only called
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=True,  # `False` would end that of the clients' server
            proxy_headers=False,
            timeout_keep_alive=cast(int, BOUNDS.keep_alive),  # only handed to call_later
        )
        config.load()
        # uvicorn writes a head and its body one by one, and clients may wait 40 ms for the second. A socket of
        # `create_server` has no protocol number, so asyncio does not set the option. Accepted ones inherit it.
        self._bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        make = cast(Any, config.http_protocol_class)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: make(config=config, server_state=self._state, app_state={}), sock=self._bound
        )

    async def close(self) -> None:
        """Stop answering. Requests under way end without an answer."""
        if self._server is not None:
            self._server.close()
        for protocol in [*self._state.connections]:
            cast(OperationsProtocol, protocol).leave()
        tasks = [*self._state.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._looking is not None:
            self._looking.cancel()
        self._bound.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):  # `close` did it; uvicorn would log it as a failure
            await self._app(scope, receive, send)

    def _look_soon(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """End requests that take too long, and look again while there are any that could."""
        self._looking = None
        guard = self._guard
        guard.tick(asyncio.get_running_loop().time())
        if guard.deadlines or guard.idle or guard.unread:
            self._look_soon()
