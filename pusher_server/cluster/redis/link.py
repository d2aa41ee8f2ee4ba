"""One store on Redis: a `StoreLink` over a connection that it may share with other stores."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

from hiredis import ReplyError

from pusher_server.cluster.commands import (
    Command,
    Fenced,
    Nothing,
    Publish,
    Remember,
    Subscribe,
    Unsubscribe,
)
from pusher_server.cluster.links import QUEUE_BYTES, LinkStats, StoreLink, StoreListener, fail
from pusher_server.cluster.redis.connection import Argument, RedisConnection, pack
from pusher_server.cluster.redis.encoding import query_of
from pusher_server.cluster.redis.scripts import Scripts
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import RosterFull
from pusher_server.redis.errors import ONE_SLOT, code_of, why
from pusher_server.unreadable import UnreadableLog

R = TypeVar("R")

#: Errors for the refusals of scripts (`lua/`), by their first word.
_REFUSALS: dict[str, type[Exception]] = {"FENCED": Fenced, "FULL": RosterFull}
_NOTHING = Nothing()
#: Errors of decoding an answer that our scripts did not write.
UNEXPECTED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


class RedisLink(StoreLink):
    """A link to the store whose keys and channels start with `base`; its hash tag keeps them in one slot.

    `connect` returns an open connection to the current server of the slot, or raises ClusterUnavailable.
    """

    def __init__(
        self,
        base: str,
        scripts: Scripts,
        connect: Callable[[], Awaitable[RedisConnection]],
        *,
        peer: str,
        sharded: bool = False,
    ) -> None:
        self.stats = LinkStats()
        self.peer = peer
        self._base = base
        self._channels = f"{base}:".encode()
        self._scripts = scripts
        self._connect = connect
        self._publish = b"SPUBLISH" if sharded else b"PUBLISH"
        self._subscribe = b"SSUBSCRIBE" if sharded else b"SUBSCRIBE"
        self._unsubscribe = b"SUNSUBSCRIBE" if sharded else b"UNSUBSCRIBE"
        self._remember = scripts.by_name["remember"].sha
        self._listener: StoreListener | None = None
        self._unreadable = UnreadableLog()
        self._connection: RedisConnection | None = None
        self._calls: set[asyncio.Future[Any]] = set()
        self._opening = asyncio.Lock()
        self._closed = 0

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def attach(self, listener: StoreListener) -> None:
        self._listener = listener

    async def open(self) -> None:
        async with self._opening:
            if self._connection is not None:
                return
            closed = self._closed
            connection = await self._connect()
            connection.users.add(self)
            if closed != self._closed or not connection.is_open:
                connection.leave(self)
                raise ClusterUnavailable("closed while it was being opened")
            self._connection = connection
            self.peer = connection.peer
            self.stats.opened += 1

    def close(self) -> None:
        self._closed += 1
        self._end("closed")

    # Commands

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        connection = self._connection
        if connection is None:
            fail(answer, ClusterUnavailable("not connected to Redis"))
            return answer
        self.stats.commands += 1
        self._calls.add(answer)
        if isinstance(command, Subscribe | Unsubscribe):
            self._change_subscription(connection, command, answer)
        elif isinstance(command, Publish | Remember):
            connection.send(self._packed(command), partial(self._replied, answer, _nothing))
        else:
            query = query_of(command, self._base, connection.run_id, self._left_out)
            packed = self._script(query.script, query.arguments) if query.script else None
            connection.send(
                packed or pack(query.arguments), partial(self._replied, answer, query.read)
            )
        return cast("asyncio.Future[R]", answer)

    def publish(self, command: Publish | Remember) -> bool:
        connection = self._connection
        if connection is None or connection.waiting > QUEUE_BYTES:
            self.stats.dropped += 1
            return False
        self.stats.commands += 1
        connection.send(self._packed(command), self._published)
        return True

    def _script(self, name: str, arguments: tuple[Argument, ...]) -> bytes:
        script = self._scripts.by_name[name]
        return pack(("EVALSHA", script.sha, 1, self._base, *arguments))

    def _packed(self, command: Publish | Remember) -> bytes:
        if type(command) is Publish:
            channel = self._channels + command.address.encode()
            return pack((self._publish, channel, command.body))
        assert isinstance(command, Remember)
        ttl = max(1, round(command.ttl * 1_000))
        arguments = (command.address, command.body, command.cached, ttl, command.limit)
        return self._script("remember", arguments)

    def _change_subscription(
        self,
        connection: RedisConnection,
        command: Subscribe | Unsubscribe,
        answer: asyncio.Future[Any],
    ) -> None:
        channel = self._channels + command.address.encode()
        begins = isinstance(command, Subscribe)
        connection.subscribe(
            self,
            pack((self._subscribe if begins else self._unsubscribe, channel)),
            channel,
            partial(self._pushed, command.address) if begins else None,
            partial(self._replied, answer, _nothing),
        )

    # Answers and pushes

    def _pushed(self, address: str, body: bytes) -> None:
        self.stats.pushes += 1
        if self._listener is not None:
            self._listener.on_push(address, body)

    def _published(self, reply: Any) -> None:
        """Count a publication that failed; nobody waits for its answer."""
        if type(reply) is ReplyError:
            self.stats.dropped += 1
            self._refused(reply)
        elif isinstance(reply, ClusterUnavailable):
            self.stats.dropped += 1

    def _replied(
        self, answer: asyncio.Future[Any], read: Callable[[Any], object], reply: Any
    ) -> None:
        self._calls.discard(answer)
        if type(reply) is ReplyError:
            refusal = _REFUSALS.get(code_of(reply))
            fail(answer, refusal() if refusal else ClusterUnavailable(why(reply)))
            if refusal is None:
                self._refused(reply)
        elif isinstance(reply, ClusterUnavailable):
            fail(answer, reply)
        elif not answer.done():
            try:
                answer.set_result(read(reply))
            except UNEXPECTED as error:
                # Another program or a later release writes to our keys.
                reason = f"Redis holds what we cannot read: {type(error).__name__}"
                self._unreadable.report("an answer", f"{self.peer} ({error})", self._repair)
                fail(answer, ClusterUnavailable(reason))
        if self._connection is not None:
            self._connection.answered()

    @property
    def _repair(self) -> str:
        return f"somebody else writes to its keys; delete those that begin with {self._base}:"

    def _left_out(self, key: str, field: bytes) -> None:
        repair = f"delete it: HDEL {key} with the field {field[:100]!r}"
        self._unreadable.report("an entry", f"in {self.peer}", repair)

    def _refused(self, error: ReplyError) -> None:
        """End the link, because node and store may differ after a refused command; the node opens it again.

        MOVED ends the connection for all its stores, because the queue of answers cannot be trusted. MOVED may
        be the answer to SUNSUBSCRIBE, and the server's own `sunsubscribe` may have been taken for that answer.
        """
        connection = self._connection
        if connection is None:
            return
        if code_of(error) in ONE_SLOT:
            self._lose(why(error))
        else:
            connection.fail(why(error))

    def on_unsubscribed(self) -> None:
        self._lose("the slot has moved to another node of the Redis Cluster")

    def on_connection_lost(self, reason: str) -> None:
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        if self._connection is not None:
            self._end(reason)
            if self._listener is not None:
                self._listener.on_lost(reason)

    def _end(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        calls, self._calls = self._calls, set()
        for answer in calls:
            fail(answer, ClusterUnavailable(reason))
        connection.leave(self)


def _nothing(reply: Any) -> Nothing:
    return _NOTHING
