"""One client, over any transport: it is let in, served in order, written to, watched, and forgotten.

A transport extends `Session` by its greeting, by reading its input (`_steps`), by its ping and by its end.
Errors become answers in `answers` and nowhere else.
"""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Any, Self

from pusher_server.app import App
from pusher_server.clients.answers import answer
from pusher_server.clients.dispatch import dispatch
from pusher_server.clients.edge import Edge
from pusher_server.clients.mailbox import BARRIER
from pusher_server.clients.ordered_input import OrderedInput
from pusher_server.clients.request import ClientRequest
from pusher_server.clients.slow_reader import SlowReader, bytes_acknowledged
from pusher_server.clients.state import State
from pusher_server.diagnosis.evidence import Ended
from pusher_server.hub.channel import Subscription
from pusher_server.protocol import messages
from pusher_server.protocol.errors import (
    Code,
    ConnectionRejected,
    FramingViolation,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.protocol.frames import text_frame
from pusher_server.protocol.liveness import Liveness
from pusher_server.protocol.members import User

logger = logging.getLogger("pusher_server.websocket")

#: Bytes that may arrive before the app is known.
_EARLY_BYTES = 65_536
#: `pause_writing` is called above this many bytes; 256 kB to 1 MiB measured alike.
_HIGH_WATER = 262_144
#: Seconds that the client has for its end before the transport is cut.
CLOSE_TIMEOUT = 5.0


class Session(OrderedInput):
    """One client; `on_end` is called when its transport is gone.

    A subclass defines `_greet`, `_steps`, `_write_ping` and `_write_end`, and calls `_begin`.
    """

    __slots__ = (
        "__weakref__",
        "_early",
        "_on_end",
        "_slow",
        "app_key",
        "remote",
        "socket_id",
        "subscriptions",
        "user",
        "write",
    )

    socket_id: str
    app_key: str

    def __init__(
        self,
        edge: Edge,
        transport: asyncio.Transport,
        remote: str,
        on_end: Callable[[Self], None],
    ) -> None:
        OrderedInput.__init__(self, edge, transport)  # not `super()`: see there
        #: The client's address, as trusted proxies forward it.
        self.remote = remote
        self._on_end: Callable[[Any], None] = on_end
        #: Input from before the app is known.
        self._early = b""
        #: While writing is paused.
        self._slow: SlowReader | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.user: User | None = None
        self.write: Callable[[bytes], None] = transport.write

    # Called by the hub and the node

    def send(self, payload: bytes) -> None:
        """Frame one payload and write it."""
        self.write(self.app_state.traffic.replied(text_frame(payload)))

    def authorized(self) -> None:
        """Note that it signed in or was let into a channel that needs authorization."""
        if self._liveness is not None:
            self._liveness.authorized()

    def may_send_client_event(self) -> bool:
        """Take one from its allowance of client events."""
        rate, now = self.app_state.app.limits.client_events_per_second, self._edge.clock()
        return self._liveness is not None and self._liveness.may_send_client_event(now, rate)

    def close(self, code: int, message: str) -> None:
        """Send an error and close with `code`. Idempotent, scheduled: nothing changes inside the call."""
        if self._state < State.ENDING:
            self._state = State.ENDING
            asyncio.get_running_loop().call_soon(self._finish, code, message)

    # Opening

    def _begin(self, request: ClientRequest, secure: bool) -> None:
        """Count the client, and establish the connection before anything else that it sends."""
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._edge.clients.connections[self] = None
        self.run(BARRIER, lambda: self._establish(request, secure))

    async def _establish(self, request: ClientRequest, secure: bool) -> None:
        edge = self._edge
        try:
            self.app_key = edge.key_of(request)
            app = await edge.admission.app_for(self.app_key)
            self.app_state = edge.node.hub.app_state(app)
            edge.admission.admit(app, request, secure=secure)
        except ConnectionRejected as error:
            error.path = request.target
            raise
        if self._state is not State.OPENING:
            return
        self.socket_id = edge.admission.new_socket_id(self.app_state)
        now = edge.clock()
        self._liveness = Liveness(now, authorization_timeout=app.authorization_timeout)
        self._state = State.OPEN
        self._greet(app)
        edge.node.open(self)
        timeout = min(app.activity_timeout, app.authorization_timeout or app.activity_timeout)
        edge.clients.heartbeat.watch(self, now + timeout)
        if self._early:  # there was a wait, so what follows queues up behind this step
            early, self._early = self._early, b""
            self.data_received(early)

    def _greet(self, app: App) -> None:
        """Write `connection_established`; from now on input is served."""
        raise NotImplementedError

    # Messages

    def data_received(self, data: bytes, *, is_late: bool = False) -> None:
        """Serve the input, or keep it until the app is known.

        `is_late`: this turn has done enough for the client already.
        """
        if self._state is State.OPENING:
            self._early += data
            if len(self._early) > _EARLY_BYTES:
                self._answer(
                    FramingViolation(1009, "Too much before the connection was established")
                )
            return
        if self._liveness is not None:
            self._liveness.received(self._edge.clock())
            self.app_state.traffic.bytes_received += len(data)
        self.serve(data, is_late=is_late)

    def _serve_message(self, payload: bytes) -> None:
        """Decode one message and serve it; a refusal is answered, and the connection stays."""
        try:
            message = messages.decode(payload)
            if message is not None:
                dispatch(self, self._edge.node, message)
        except (MessageRejected, SubscriptionRefused) as error:
            self._answer(error)

    def _answer(self, error: Exception) -> None:
        answer(self, self._edge.node, error)

    # Writing

    def pause_writing(self) -> None:
        """Called inside `write`: takes a note and keeps what follows (docs/decisions.md#slow-readers)."""
        slow = self._slow = SlowReader(
            self._edge.clock(),
            buffered=self._buffered(),
            cap=self._edge.settings.write_buffer_bytes,
        )
        if self._state < State.CLOSING:
            self._redirect(slow.keep)
        self._edge.clients.heartbeat.writing_paused(self)

    def resume_writing(self) -> None:
        """The client has caught up: write the frames that were kept, until the buffer is full again."""
        slow, self._slow = self._slow, None
        self._edge.clients.heartbeat.writing_resumed(self)
        self._redirect(self._transport.write)
        for piece in () if slow is None else slow.kept():
            self.write(piece)

    def _redirect(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        for subscription in self.subscriptions.values():
            subscription.channel.redirect(subscription)

    def _buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def _drop(self) -> None:
        self.app_state.traffic.slow_consumers_dropped += 1
        logger.debug("slow consumer dropped", extra={"remote": self.remote})
        self._transport.abort()

    def _dropped_over_cap(self) -> bool:
        """Drop a reader that is over its cap; whether it was. For the time between two messages.

        The answer to each message may be large, so the sweep would come too late.
        """
        if self._slow is None or not self._slow.is_over(self._buffered()):
            return False
        self._drop()
        return True

    # Called by the sweep

    def check(self, now: float, silence: float = inf) -> float | None:
        """Apply the deadlines that are due; see `Watched`. Returns when to check again."""
        if self._state >= State.CLOSING:
            self._transport.abort()
            return None
        if self._liveness is None or self._state is not State.OPEN:
            return now + 1
        if self.backlog is not None or self._is_blocked():
            self._liveness.received(now)  # we do not read, so its silence means nothing
        try:
            ping, again_at = self._liveness.check(
                now,
                activity_timeout=min(self.app_state.app.activity_timeout, silence),
                pong_timeout=self._edge.settings.pong_timeout,
            )
        except ConnectionRejected as error:
            self._answer(error)
            return now + CLOSE_TIMEOUT
        if ping:
            self._write_ping()
        return again_at

    def _write_ping(self) -> None:
        """Write a ping, which the client has to answer."""
        raise NotImplementedError

    def check_writing(self, now: float) -> None:
        """Cut a reader that has fallen too far behind; no close frame could reach it."""
        if self._slow is not None and self._slow.is_lost(
            now,
            buffered=self._buffered(),
            acknowledged=bytes_acknowledged(self._transport),
            stall_timeout=self._edge.settings.stall_timeout,
        ):
            self._drop()

    # Ending

    def abort(self) -> None:
        """Cut the transport; buffered output is lost."""
        self._transport.abort()

    def shutdown(self) -> None:
        """Close the connection. uvicorn calls this after the drain, for clients that are still here."""
        self.close(Code.RECONNECT, "Server closed. Please reconnect shortly.")

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, for any reason."""
        self._release(1006, settle=False)
        self._state = State.CLOSED
        self.forget_rest()
        self._edge.clients.gone(self)
        self._on_end(self)

    def _finish(self, code: int, message: str) -> None:
        """Write the events that are due and our end; the client has to end."""
        if self._state is not State.ENDING:
            return
        self._release(code, settle=True)
        self._write_end(code, message)

    def _write_end(self, code: int, message: str) -> None:
        """Write the error and our end, between `_begin_closing` and `_wait_for_end`."""
        raise NotImplementedError

    def _begin_closing(self) -> None:
        """Keep no output any more: all of it comes before the end."""
        self._state = State.CLOSING
        if self._slow is not None:
            self.resume_writing()

    def _wait_for_end(self) -> None:
        """Read on, because nothing blocks it any more; the client has `CLOSE_TIMEOUT` for its end."""
        self._read_on()
        self._edge.clients.leaves(self, CLOSE_TIMEOUT)

    def _release(self, code: int, *, settle: bool) -> None:
        """The node forgets the connection; once."""
        if self.mailbox is not None:
            self.mailbox.clear()
            self.mailbox = None
        if self._liveness is not None:
            self._note_end(self._liveness, code)
            self._liveness = None
            self._edge.node.close(self, code, settle=settle)

    def _note_end(self, liveness: Liveness, code: int) -> None:
        """Keep how it ended, and for how long no byte went either way when it just dropped."""
        now, idle = self._edge.clock(), None
        if code == 1006:
            sent = (subscription.channel.since for subscription in self.subscriptions.values())
            idle = now - max(liveness.quiet_since, *sent, 0.0)
        app_id, opened = self.app_state.app.id, liveness.opened_at
        self._edge.node.evidence.ended.append(
            Ended(app_id, self.remote, self.socket_id, code, opened, now, idle)
        )
