"""One client: the shell around frame reader, session, mailbox and node.

Errors become answers in `answers` and nowhere else.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from pusher_server.clients.answers import answer
from pusher_server.clients.dispatch import dispatch
from pusher_server.clients.mailbox import BARRIER, Mailbox, Start, advance
from pusher_server.clients.request import ClientRequest
from pusher_server.clients.slow_reader import SlowReader, bytes_acknowledged
from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Subscription
from pusher_server.protocol import events, messages
from pusher_server.protocol.errors import (
    Code,
    ConnectionRejected,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.protocol.frames import PING, close_frame, pong_frame, text_frame
from pusher_server.protocol.liveness import Liveness
from pusher_server.protocol.members import User
from pusher_server.turns import BYTES_PER_UNIT, SUBSCRIPTION_UNITS, PacedInput
from pusher_server.websocket.ending import CLOSE_TIMEOUT, Reader, end_our_half
from pusher_server.websocket.framing import CloseFrame, FrameReader, Incoming, PingFrame
from pusher_server.websocket.state import State

if TYPE_CHECKING:
    from pusher_server.websocket.edge import WebSocketEdge

logger = logging.getLogger("pusher_server.websocket")

_PING_EVENT = text_frame(events.PING)
_NOT_IN_TIME = "The server could not answer in time"
#: Reading stops while more messages than this wait for their turn.
_MAILBOX_LIMIT = 64
#: Subscriptions at once, at any pace, where their number has no limit.
_UNLIMITED_BURST = 2_000
#: Bytes that may arrive before the app is known.
_EARLY_BYTES = 65_536
#: `pause_writing` is called above this many bytes; 256 kB to 1 MiB measured alike.
_HIGH_WATER = 262_144


class WebSocketConnection(PacedInput, asyncio.Protocol):
    """Takes over a transport after the request for an upgrade; `on_end` is called when it is gone."""

    __slots__ = (
        "__weakref__", "_cost", "_early", "_edge", "_greeting", "_liveness", "_on_end", "_reader", "_slow",
        "_state", "_transport", "app_key", "app_state", "mailbox", "remote", "socket_id", "subscriptions",
        "user", "write",
    )  # fmt: skip

    socket_id: str
    app_key: str
    app_state: AppState

    def __init__(
        self,
        edge: "WebSocketEdge",
        transport: asyncio.Transport,
        remote: str,
        on_end: Callable[["WebSocketConnection"], None],
    ) -> None:
        super().__init__()
        self._edge = edge
        self._transport = transport
        if transport.get_extra_info("sslcontext"):
            self.layered()
        #: The client's address, as trusted proxies forward it.
        self.remote = remote
        self._on_end = on_end
        self._state = State.OPENING
        #: The handshake's response, until the first frame goes out with it.
        self._greeting = b""
        self._early = b""
        #: Units of a turn that the frame in service costs.
        self._cost = 1
        self.mailbox: Mailbox | None = None
        self._reader: Reader | None = None
        #: There while the node knows the connection.
        self._liveness: Liveness | None = None
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

    def close(self, code: int, message: str) -> None:
        """Send an error and close with `code`. Idempotent, scheduled: nothing changes inside the call."""
        if self._state < State.ENDING:
            self._state = State.ENDING
            asyncio.get_running_loop().call_soon(self._finish, code, message)

    # Opening

    def open(self, upgrade: ClientRequest, greeting: bytes, *, secure: bool) -> None:
        """Establish the connection or refuse it in Pusher's way; `greeting` is the 101 response."""
        self._greeting = greeting
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._edge.clients.connections[self] = None
        self.run(BARRIER, lambda: self._establish(upgrade, secure))
        if self._state is State.OPENING:  # the app is looked up, but the client need not wait
            self._write_first(b"")

    async def _establish(self, upgrade: ClientRequest, secure: bool) -> None:
        edge = self._edge
        self.app_key = edge.key_of(upgrade)
        app = await edge.admission.app_for(self.app_key)
        self.app_state = edge.node.hub.app_state(app)
        edge.admission.admit(app, upgrade, secure=secure)
        if self._state is not State.OPENING:
            return
        self.socket_id = edge.admission.new_socket_id(self.app_state)
        now = edge.clock()
        self._liveness = Liveness(now, authorization_timeout=app.authorization_timeout)
        self._reader = FrameReader(app.limits.message_bytes)
        self._state = State.OPEN
        greeting = events.connection_established(self.socket_id, app.activity_timeout)
        self._write_first(self.app_state.traffic.replied(text_frame(greeting)))
        edge.node.open(self)
        timeout = min(app.activity_timeout, app.authorization_timeout or app.activity_timeout)
        edge.clients.heartbeat.watch(self, now + timeout)
        if self._early:  # there was a wait, so what follows queues up behind this step
            early, self._early = self._early, b""
            self.data_received(early)

    def _write_first(self, frames: bytes) -> None:
        greeting, self._greeting = self._greeting, b""
        if greeting or frames:
            self.write(greeting + frames)

    # Called by the transport

    def data_received(self, data: bytes, *, is_late: bool = False) -> None:
        """Feed, take, dispatch; a broken frame ends it after what came before.

        `is_late`: this turn has done enough for the client already.
        """
        if self._state is State.OPENING:
            self._early += data
            if len(self._early) > _EARLY_BYTES:
                self.close(1009, "Too much before the connection was established")
            return
        if self._liveness is not None:
            self._liveness.received(self._edge.clock())
            self.app_state.traffic.bytes_received += len(data)
        self.serve(data, is_late=is_late)

    def _steps(self, data: bytes) -> Iterator[int]:
        """Serve the frames in it, one at each step."""
        if self._reader is None:  # refused or broken: its input has no meaning
            return
        try:
            for incoming in self._reader.receive(data):
                self._cost = 1 + (len(incoming) // BYTES_PER_UNIT if type(incoming) is bytes else 0)
                if self._state is State.OPEN:
                    self._take(incoming)
                    if self._slow is not None and self._slow.is_over(self._buffered()):
                        self._drop()  # each may be owed a large answer: the sweep comes too late
                        return
                elif self._state is State.CLOSING and isinstance(incoming, CloseFrame):
                    self._transport.close()
                yield self._cost
        except Exception as error:
            self._reader = None
            if self._state is State.CLOSING:  # it has had its answer
                self._transport.close()
            else:
                answer(self, self._edge.node, error)

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

    def eof_received(self) -> None:
        """The client is gone; the loop closes the transport."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, for any reason."""
        self._release(1006, settle=False)
        self._state = State.CLOSED
        self.forget_rest()
        self._edge.clients.gone(self)
        self._on_end(self)

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

    # Called by the sweep

    def check(self, now: float) -> float | None:
        """Apply the deadlines that are due. Returns when to check again."""
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
                activity_timeout=self.app_state.app.activity_timeout,
                pong_timeout=self._edge.settings.pong_timeout,
            )
        except ConnectionRejected as error:
            answer(self, self._edge.node, error)
            return now + CLOSE_TIMEOUT
        if ping:
            self.write(_PING_EVENT if self.app_state.app.ping == "event" else PING)
        return again_at

    def check_writing(self, now: float) -> None:
        """Cut a reader that has fallen too far behind; no close frame could reach it."""
        if self._slow is not None and self._slow.is_lost(
            now,
            buffered=self._buffered(),
            acknowledged=bytes_acknowledged(self._transport),
            stall_timeout=self._edge.settings.stall_timeout,
        ):
            self._drop()

    def _buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def _drop(self) -> None:
        self.app_state.traffic.slow_consumers_dropped += 1
        logger.debug("slow consumer dropped", extra={"remote": self.remote})
        self._transport.abort()

    # Messages

    def _take(self, incoming: Incoming) -> None:
        if isinstance(incoming, bytes):
            try:
                message = messages.decode(incoming)
                if message is not None:
                    dispatch(self, self._edge.node, message)
            except (MessageRejected, SubscriptionRefused) as error:
                answer(self, self._edge.node, error)
        elif isinstance(incoming, PingFrame):
            self.write(pong_frame(incoming.payload))
        elif isinstance(incoming, CloseFrame):
            self._release(incoming.code or 1005, settle=False)
            self._begin_closing(close_frame(incoming.code))
            self._transport.close()

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
                    timed_out=lambda: self.close(Code.OVER_CAPACITY, _NOT_IN_TIME),
                    relieved=self._relieved,
                )
            self.mailbox.wait_for(key, rest)

    async def _answered(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            answer(self, self._edge.node, error)

    def _relieved(self, idle: bool) -> None:
        if idle:
            self.mailbox = None
        if self._state is State.OPEN:
            self._read_on()

    # Ending

    def abort(self) -> None:
        """Cut the transport; buffered output is lost."""
        self._transport.abort()

    def _finish(self, code: int, message: str) -> None:
        """Write the events that are due, the error and the close frame; the client has to end."""
        if self._state is not State.ENDING:
            return
        self._release(code, settle=True)
        frames = close_frame(code, message)
        if code >= 4000:  # Pusher's own codes are sent in a frame, too; RFC 6455's are not
            frames = text_frame(events.error(code, message)) + frames
        self._begin_closing(frames, failed=code < 4000)

    def _begin_closing(self, frames: bytes, *, failed: bool = False) -> None:
        self._state = State.CLOSING
        if self._slow is not None:
            self.resume_writing()  # nothing is kept any more, all of it comes before the end
        self._write_first(frames)
        self._reader = end_our_half(self._transport, self._reader, failed=failed)
        self._read_on()  # nothing blocks it any more
        self._edge.clients.leaves(self, CLOSE_TIMEOUT)

    def _release(self, code: int, *, settle: bool) -> None:
        """The node forgets the connection; once."""
        if self.mailbox is not None:
            self.mailbox.clear()
            self.mailbox = None
        if self._liveness is not None:
            self._liveness = None
            self._edge.node.close(self, code, settle=settle)

    def shutdown(self) -> None:
        """Close the connection. uvicorn calls this after the drain, for clients that are still here."""
        self.close(Code.RECONNECT, "Server closed. Please reconnect shortly.")
