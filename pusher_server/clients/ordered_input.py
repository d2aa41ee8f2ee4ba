"""One client's input, over any transport: messages in order, and no more of them than the server can serve.

Reading stops while too much waits: for a turn of the event loop (`PacedInput`), for other nodes (`Mailbox`), or
for the pace of subscriptions.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pusher_server.clients.edge import Edge
from pusher_server.clients.mailbox import Mailbox, Start, advance
from pusher_server.clients.state import State
from pusher_server.hub.app_state import AppState
from pusher_server.protocol.errors import Code, ConnectionRejected
from pusher_server.protocol.liveness import Liveness
from pusher_server.turns import SUBSCRIPTION_UNITS, PacedInput

#: Reading stops while more messages than this wait for their turn.
_MAILBOX_LIMIT = 64
#: Subscriptions at once, at any pace, where their number has no limit.
_UNLIMITED_BURST = 2_000


class OrderedInput(PacedInput, asyncio.Protocol):
    """The half of a `Session` that decides when to read and when to serve."""

    __slots__ = ("_cost", "_edge", "_liveness", "_state", "_transport", "app_state", "mailbox")

    app_state: AppState

    def __init__(self, edge: Edge, transport: asyncio.Transport) -> None:
        # `super()`, here and in `Session`, made a connect cost 1 % more.
        PacedInput.__init__(self)
        self._edge = edge
        self._transport = transport
        if transport.get_extra_info("sslcontext"):
            self.layered()
        self._state = State.OPENING
        #: Units of a turn that the message in service costs.
        self._cost = 1
        self.mailbox: Mailbox | None = None
        #: There while the node knows the connection.
        self._liveness: Liveness | None = None

    def close(self, code: int, message: str) -> None:
        """Send an error and close with `code`. Idempotent, scheduled: nothing changes inside the call."""
        raise NotImplementedError

    def _answer(self, error: Exception) -> None:
        """Send the answer that the error carries."""
        raise NotImplementedError

    # Messages in order

    def run(self, key: str | None, work: Start) -> None:
        """Do it now, or after the work it has to wait for; `key` is a channel or `BARRIER`."""
        self._cost += SUBSCRIPTION_UNITS - 1
        if self.mailbox is not None and self.mailbox.blocks(key):
            self.mailbox.put(key, lambda: self._answered(work()))
            if len(self.mailbox) > _MAILBOX_LIMIT:
                self._transport.pause_reading()
            return
        rest = advance(self._answered(work()))
        if rest is not None:
            if self.mailbox is None:
                self.mailbox = Mailbox(
                    timeout=self._edge.settings.wait_timeout,
                    timed_out=self._timed_out,
                    relieved=self._relieved,
                )
            self.mailbox.wait_for(key, rest)

    async def _answered(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._answer(error)

    def _timed_out(self) -> None:
        self._answer(
            ConnectionRejected(
                Code.OVER_CAPACITY,
                "The server could not answer in time",
                reason="wait_timeout",
                cause="the database or other nodes did not answer within websocket.wait_timeout",
            )
        )

    def _relieved(self, idle: bool) -> None:
        if idle:
            self.mailbox = None
        if self._state is State.OPEN:
            self._read_on()

    # Reading

    def count_subscription(self) -> None:
        """Above the pace of subscriptions nothing more is read until it is kept again."""
        pace = self._edge.settings.subscriptions_per_second
        if pace and self._liveness is not None:
            self._liveness.subscribed(self._edge.clock(), pace)
            if self._pace_wait():
                self._transport.pause_reading()
                self._read_on_at_pace()

    def _read_on_at_pace(self) -> None:
        if wait := self._pace_wait():  # again, when the app has come to allow a smaller burst
            asyncio.get_running_loop().call_later(wait, self._read_on_at_pace)
        else:
            self._read_on()

    def _pace_wait(self) -> float:
        pace = self._edge.settings.subscriptions_per_second
        if not pace or self._liveness is None:
            return 0.0
        most = self.app_state.app.limits.subscriptions_per_connection or _UNLIMITED_BURST
        return self._liveness.subscription_wait(self._edge.clock(), pace, max(pace, most))

    def _hold(self) -> bool:
        if self._transport.is_closing():
            return False
        self._transport.pause_reading()
        return True

    def _call_soon(self, callback: Callable[[], None]) -> object:
        return asyncio.get_running_loop().call_soon(callback)

    def _is_blocked(self) -> bool:
        crowded = self.mailbox is not None and len(self.mailbox) > _MAILBOX_LIMIT
        return crowded or self._pace_wait() > 0

    def _caught_up(self) -> None:
        self.backlog = None
        self._read_on()

    def _read_on(self) -> None:
        if self._transport.is_closing() or self._is_blocked():
            return
        if self.backlog is not None:
            self.backlog.go_on()
        elif not self._transport.is_reading():
            self._transport.resume_reading()
