"""One connection to a Redis server: RESP3, everything in order, one write per turn of the loop.

Commands are answered in the order in which they were sent. Over RESP3 what others publish comes as *pushes* in
the same stream; the confirmation of a subscription is one, too, and stands where its answer would. redis-py's
asyncio client costs 118 µs an event for two nodes, this 18 (two workers on one core, 8 subscribers).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from hiredis import ProtocolError, PushNotification, Reader, pack_command

from pusher_server.cluster.links import QUEUE_BYTES
from pusher_server.errors import ClusterUnavailable

#: What waits for a server that does not read, before the connection is given up: commands cannot be dropped
#: one by one as publications can.
GIVE_UP_BYTES = 4 * QUEUE_BYTES

#: Seconds for what is still to be sent when a connection is closed.
GOODBYE = 1.0

Argument = str | bytes | int
#: A command as bytes; hiredis's own annotation knows tuples of one only.
pack = cast(Callable[[tuple[Argument, ...]], bytes], pack_command)

#: Told of an answer: what Redis sent, a ReplyError, or a ClusterUnavailable when the connection ended.
OnReply = Callable[[Any], None]
#: Told of a message.
OnMessage = Callable[[bytes], None]

_MESSAGES = {b"message", b"smessage"}
_CONFIRMED = {b"subscribe", b"ssubscribe"}
_ENDED = {b"unsubscribe", b"sunsubscribe"}
_INCOMPLETE = object()


class ConnectionUser(Protocol):
    """Who is told that the connection has ended; in a Redis Cluster several stores share one."""

    def on_connection_lost(self, reason: str) -> None:
        """Once, after all open answers have failed."""

    def on_unsubscribed(self) -> None:
        """The server itself has ended a subscription: its slot lives elsewhere now."""


class _Subscription:
    """Stands in the queue of answers for the confirmation that one has begun, or without `on_message` ended."""

    __slots__ = ("channel", "on_message", "on_reply", "user")

    def __init__(
        self, user: ConnectionUser, channel: bytes, on_message: OnMessage | None, on_reply: OnReply
    ) -> None:
        self.user = user
        self.channel = channel
        self.on_message = on_message
        self.on_reply = on_reply

    def __call__(self, reply: Any) -> None:
        self.on_reply(reply)


class RedisConnection(asyncio.Protocol):
    """Made by `topology`; `peer` is for logs."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        #: Of the server process that answers here: another one may have another memory.
        self.run_id = ""
        self.users: set[ConnectionUser] = set()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._gets: Callable[[], Any] = lambda: _INCOMPLETE
        self._feed: Callable[[bytes], None] = lambda _: None
        self._open: deque[OnReply] = deque()
        self._messages: dict[bytes, tuple[ConnectionUser, OnMessage]] = {}
        self._out: list[bytes] = []
        self._out_bytes = 0
        #: Chunks that were read, to see whether the server is alive.
        self._replies = 0
        #: Whether an answer was handed out in this turn, so that pushes must not overtake it.
        self._answered = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        reader = Reader(notEnoughData=_INCOMPLETE)
        self._gets, self._feed = reader.gets, reader.feed
        self._transport = cast(
            asyncio.Transport, transport
        )  # uvloop's is one in deed, not by class

    def connection_lost(self, error: Exception | None) -> None:
        self.end(
            "Redis closed the connection" if error is None else f"{type(error).__name__}: {error}"
        )

    def data_received(self, data: bytes) -> None:
        self._feed(data)
        self._replies += 1
        gets, waiting, messages = self._gets, self._open, self._messages
        try:
            while (reply := gets()) is not _INCOMPLETE:
                if type(reply) is not PushNotification:
                    waiting.popleft()(reply)
                elif reply[0] in _MESSAGES:
                    listener = messages.get(reply[1])
                    if listener is not None:
                        self._push(listener[1], reply[2])
                else:
                    self._subscription_changed(reply)
        except (ProtocolError, IndexError):
            self.fail("what answers there does not speak Redis's protocol")

    def _push(self, on_message: OnMessage, body: bytes) -> None:
        """A future's callbacks run in the loop's next turn; what came after it must not run before them."""
        if self._answered:
            self._loop.call_soon(on_message, body)
        else:
            on_message(body)

    def _subscription_changed(self, push: list[Any]) -> None:
        kind, channel = push[0], push[1]
        if kind not in _CONFIRMED and kind not in _ENDED:
            return  # what later releases may push
        head = self._open[0] if self._open else None
        if (
            isinstance(head, _Subscription)
            and head.channel == channel
            and (head.on_message is not None) == (kind in _CONFIRMED)
        ):
            self._open.popleft()
            if head.on_message is None:
                self._messages.pop(channel, None)
            elif head.user in self.users:
                self._messages[channel] = (head.user, head.on_message)
            head(push)
        elif (listener := self._messages.pop(channel, None)) is not None:
            listener[0].on_unsubscribed()

    def end(self, reason: str) -> None:
        """Fail what is open and tell everybody, once."""
        if self._transport is None:
            return
        self._transport = None
        waiting, self._open = self._open, deque()
        users, self.users = self.users, set()
        self._messages.clear()
        self._out.clear()
        self._out_bytes = 0
        error = ClusterUnavailable(reason)
        for on_reply in waiting:
            on_reply(error)
        waiting.clear()  # `data_received` may be at it
        for user in users:
            user.on_connection_lost(reason)

    # Our side

    @property
    def is_open(self) -> bool:
        """Whether commands may be sent."""
        return self._transport is not None

    @property
    def waiting(self) -> int:
        """Bytes that the server has not taken yet."""
        buffered = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._out_bytes + buffered

    def send(self, packed: bytes, on_reply: OnReply) -> None:
        """With the other commands of this turn, in order."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)
        self._out_bytes += len(packed)
        self._open.append(on_reply)

    def subscribe(
        self,
        user: ConnectionUser,
        packed: bytes,
        channel: bytes,
        on_message: OnMessage | None,
        on_reply: OnReply,
    ) -> None:
        """(S)SUBSCRIBE to one channel, or without `on_message` (S)UNSUBSCRIBE."""
        self.send(packed, _Subscription(user, channel, on_message, on_reply))

    async def ask(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """Answers of rare commands; a ReplyError stands for itself. Raises ClusterUnavailable."""
        answers: list[asyncio.Future[Any]] = []
        for command in commands:
            answers.append(self._loop.create_future())
            self.send(pack(command), partial(_resolve, answers[-1]))
        return list(await asyncio.gather(*answers))

    def answered(self) -> None:
        """An answer was handed out: pushes that came after it wait for its callbacks, one turn."""
        if not self._answered:
            self._answered = True
            self._loop.call_soon(self._caught_up)

    def _caught_up(self) -> None:
        self._answered = False

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or not self._out:
            return
        transport.write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
        self._out.clear()
        self._out_bytes = 0
        if transport.get_write_buffer_size() > GIVE_UP_BYTES:
            self.fail("Redis does not read what it is sent")

    def fail(self, reason: str) -> None:
        """Give it up at once."""
        if self._transport is not None:
            self._transport.abort()
            self.end(reason)

    def watch(self, patience: float) -> None:
        """From now on, give it up when a command waits that long, up to twice, and nothing is answered."""
        answered = self._replies
        if self._transport is not None:
            self._loop.call_later(patience, self._look, patience, answered, bool(self._open))

    def _look(self, patience: float, answered: int, waited: bool) -> None:
        if waited and self._open and self._replies == answered:
            self.fail(f"Redis has not answered for {patience:g} s")
        else:
            self.watch(patience)

    def leave(self, user: ConnectionUser) -> None:
        """Is no longer used by this one. The last to leave closes it, with what is still to be sent.

        Its subscriptions are not ended: what still comes is ignored, and a server that has given the slot
        away would refuse.
        """
        self.users.discard(user)
        for channel in [at for at, (who, _) in self._messages.items() if who is user]:
            del self._messages[channel]
        self.close_if_unused()

    def close_if_unused(self) -> None:
        """Send what is still to be sent, and end without telling anybody."""
        if self.users or self._transport is None:
            return
        self._flush()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
            self._loop.call_later(GOODBYE, transport.abort)


def _resolve(answer: asyncio.Future[Any], reply: Any) -> None:
    if answer.done():
        return
    if isinstance(reply, ClusterUnavailable):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
